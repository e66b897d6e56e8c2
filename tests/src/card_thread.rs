// SPDX-License-Identifier: Apache-2.0
//! A box in real time: engine and card thread, until it is dropped.

use cam_core::{CardState, Config, Engine, Event};
use stb_shim::cam::Cam;
use stb_shim::clock;
use stb_shim::descrambler::Descrambler;
use stb_shim::driver::Driver;
use stb_shim::events::Notice;
use stb_shim::reader::{Opener, Reader};
use stb_shim::storage::MemoryStorage;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The engine, and the thread that serves it.
pub struct CardThread {
    pub cam: Arc<Cam>,
    thread: Option<JoinHandle<()>>,
}

impl CardThread {
    /// A reader that tells when a card comes is not polled for one.
    pub fn start(
        mut config: Config,
        reader: Box<dyn Reader>,
        opener: Box<Opener>,
        descrambler: Box<dyn Descrambler>,
    ) -> Self {
        if reader.capabilities().detect {
            config.idle_poll = None;
        }
        let cam = Arc::new(Cam::new(Engine::new(config), 4096, 64).unwrap());
        let rows = Box::new(MemoryStorage::default());
        let policy = reader.capabilities().policy();
        let mut driver = Driver::new(Arc::clone(&cam), reader, policy, opener, descrambler, rows);
        let thread = thread::spawn(move || driver.run());
        Self { cam, thread: Some(thread) }
    }

    /// Waits until the card is up.
    pub fn until_ready(&self, patience: Duration) {
        loop {
            let stamped = self.cam.events().pop(clock::now, patience).expect("the card comes up");
            if let Notice::Engine(Event::Card { state: CardState::Ready, .. }) = stamped.notice {
                return;
            }
        }
    }
}

impl Drop for CardThread {
    fn drop(&mut self) {
        self.cam.stop();
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
        }
    }
}

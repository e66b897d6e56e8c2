// SPDX-License-Identifier: Apache-2.0
//! A card in an emulated reader that a thread of the test serves.

use nix::sys::eventfd::EventFd;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use vreader::os::Os;
use vreader::serve::{Options, ReaderKind, Server};

/// A card in a reader, until it is dropped.
pub struct Served {
    pub url: String,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Any card in a reader at this port.
    pub fn at_port(os: Box<dyn Os>, options: &Options, link: &Path) -> Self {
        let mut server = Server::new(os, options).unwrap();
        let scheme = match options.kind {
            ReaderKind::Phoenix => "serial",
            ReaderKind::GemPcTwin => "gempc",
        };
        let url = format!("{scheme}:{}", link.display());
        Self::thread(url, move |stop| server.run(stop.as_fd()).unwrap())
    }

    /// Whatever serves until it is told to stop.
    pub fn thread(url: String, run: impl FnOnce(Arc<EventFd>) + Send + 'static) -> Self {
        let stop = Arc::new(EventFd::new().unwrap());
        let told = stop.clone();
        let thread = std::thread::spawn(move || run(told));
        Self { url, stop, thread: Some(thread) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.write(1).unwrap();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

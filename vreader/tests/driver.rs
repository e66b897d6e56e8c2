// SPDX-License-Identifier: Apache-2.0
//! The card thread with `vcard serve` behind it: what becomes of a card, and of a reader, that
//! goes.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use cam_core::{CardState, Config, Engine, Event};
use cam_types::{Key, StbId};
use ecm_emm::card::AccessStatus;
use nix::poll::{PollFd, PollFlags, poll};
use stb_shim::cam::Cam;
use stb_shim::clock;
use stb_shim::descrambler::NoDescrambler;
use stb_shim::driver::Driver;
use stb_shim::due::Due;
use stb_shim::events::Notice;
use stb_shim::readers;
use stb_shim::storage::MemoryStorage;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;
use system_tests::card_thread::CardThread;
use system_tests::entropy::Sevens;
use system_tests::served::Vcard;

const VCARD: Vcard = Vcard(env!("CARGO_BIN_EXE_vcard"));

/// A box without a pairing.
struct Stb(CardThread);

impl Stb {
    fn new(url: String) -> Self {
        let reader = readers::open(&url).unwrap();
        let entropy = Box::new(Sevens);
        let config = Config::new(StbId::new(*b"STB00001"), Key::new([0x42; 16]), entropy);
        let opener = Box::new(move || readers::open(&url));
        Self(CardThread::start(config, reader, opener, Box::new(NoDescrambler)))
    }

    /// Waits until the card is in this state for this reason.
    fn until(&self, name: &str, wanted: (CardState, AccessStatus)) {
        let end = clock::now().after(Duration::from_secs(10));
        let mut last = None;
        while clock::now() < end {
            let stamped = self.0.cam.events().pop(clock::now, Duration::from_secs(1));
            if let Some(Notice::Engine(Event::Card { state, reason })) = stamped.map(|s| s.notice) {
                if (state, reason) == wanted {
                    return;
                }
                last = Some((state, reason));
            }
        }
        panic!("{name}: never {wanted:?}, but {last:?}");
    }
}

/// Pulled, put back, unplugged, plugged in again under the same path: each is told as what it is,
/// and the card is up again every time.
#[test]
fn a_card_and_a_reader_that_go_and_come_back() {
    let up = (CardState::Unpaired, AccessStatus::NOT_PAIRED);
    let absent = |reason| (CardState::Absent, reason);
    for (scheme, options) in [("serial", &[][..]), ("gempc", &["--line", "gempc-twin"])] {
        let card = VCARD.serve(&format!("driver-{scheme}"), options);
        let stb = Stb::new(card.url(scheme));
        stb.until(scheme, up);
        card.control("remove");
        stb.until(scheme, absent(AccessStatus::NO_CARD));
        card.control("insert");
        stb.until(scheme, up);
        card.control("unplug");
        stb.until(scheme, absent(AccessStatus::READER_FAULT));
        card.control("plug");
        stb.until(scheme, up);
        // Unplugged with the card in it, plugged in without.
        card.control("unplug");
        stb.until(scheme, absent(AccessStatus::READER_FAULT));
        card.control("remove");
        card.control("plug");
        stb.until(scheme, absent(AccessStatus::NO_CARD));
        card.control("insert");
        stb.until(scheme, up);
    }
}

/// Without a card thread: one descriptor says when there is something to do. No other clock brings
/// the card up, and no turn is made in vain for long.
#[test]
fn a_host_that_waits_for_one_descriptor_brings_the_card_up() {
    for (scheme, options) in [("serial", &[][..]), ("gempc", &["--line", "gempc-twin"])] {
        let card = VCARD.serve(&format!("due-{scheme}"), options);
        let url = card.url(scheme);
        let reader = readers::open(&url).unwrap();
        let entropy = Box::new(Sevens);
        let mut config = Config::new(StbId::new(*b"STB00001"), Key::new([0x42; 16]), entropy);
        if reader.capabilities().detect {
            config.idle_poll = None;
        }
        let cam = Arc::new(Cam::new(Engine::new(config), 4096, 64).unwrap());
        let policy = reader.capabilities().policy();
        let opener = Box::new(move || readers::open(&url));
        let rows = Box::new(MemoryStorage::default());
        let mut driver =
            Driver::new(Arc::clone(&cam), reader, policy, opener, Box::new(NoDescrambler), rows);
        let due = Due::new(cam.waker()).unwrap();
        let mut up = false;
        let mut turns = 0;
        while !up {
            let mut fds = [PollFd::new(due.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, 10_000u16).unwrap(), 1, "{scheme}: never due again");
            let next = driver.turn(Some(clock::now()));
            driver.wait_elsewhere(&due, next).unwrap();
            turns += 1;
            // Each octet of some hundred may come by itself.
            assert!(turns < 5000, "{scheme}: {turns} turns");
            while let Some(stamped) = cam.events().pop(clock::now, Duration::ZERO) {
                up |= matches!(
                    stamped.notice,
                    Notice::Engine(Event::Card { state: CardState::Unpaired, .. })
                );
            }
        }
        driver.shut_down();
    }
}

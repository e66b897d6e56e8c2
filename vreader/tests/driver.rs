// SPDX-License-Identifier: Apache-2.0
//! The card thread with `vcard serve` behind it: what becomes of a card, and of a reader, that
//! goes.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use cam_core::{CardState, Config, Event};
use cam_types::{Key, StbId};
use ecm_emm::card::AccessStatus;
use stb_shim::clock;
use stb_shim::descrambler::NoDescrambler;
use stb_shim::events::Notice;
use stb_shim::readers;
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

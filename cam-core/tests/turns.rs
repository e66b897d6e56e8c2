// SPDX-License-Identifier: Apache-2.0
//! Forgeries on one stream and EMMs, ten a second each, on the slowest line: whatever else the card
//! must do still has its turn.

use crate::rig::card::{PIN, key};
use crate::rig::{Rig, SLOWEST, air};
use cam_core::SessionId;
use cam_types::{PackageId, Pid};
use ecm_emm::emm::EmmCommand;

const OTHER_ECM: Pid = Pid::from_field(0x0160);

/// What comes ten times a second beside forgeries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Beside {
    Nothing,
    Emms,
}

struct Flood {
    rig: Rig,
    /// The service on the other stream.
    other: SessionId,
    ecm: Vec<u8>,
    beside: Beside,
    rounds: u32,
}

impl Flood {
    /// The other service shows the card's decision about this ECM.
    fn new(beside: Beside, ecm: Vec<u8>) -> Self {
        let mut rig = Rig::ready();
        rig.tune_emms();
        rig.open(&air::news());
        let other = rig.open(&air::pmt(5, OTHER_ECM, None, 0x130));
        rig.carousel(OTHER_ECM, &ecm, 1000);
        rig.exchange = SLOWEST;
        Self { rig, other, ecm, beside, rounds: 0 }
    }

    /// Lets it flow until `done`; gives how many milliseconds that took.
    fn until(&mut self, what: &str, done: impl Fn(&Rig, SessionId) -> bool) -> u32 {
        let before = self.rounds;
        while !done(&self.rig, self.other) {
            assert!(self.rounds - before < 200, "{what}: not within 20 s");
            let n = self.rounds;
            self.rounds += 1;
            self.rig.section(air::NEWS_ECM, &air::forgery(&air::news_ecm(4), n));
            if self.beside == Beside::Emms {
                self.rig.section(air::EMM, &air::emm(100 + n, &[air::grant(7)]));
            }
            self.rig.section(OTHER_ECM, &self.ecm);
            self.rig.run(100);
        }
        100 * (self.rounds - before)
    }
}

fn free() -> Vec<u8> {
    let criteria = ecm_emm::ecm::Criteria { free: true, ..Default::default() };
    air::ecm_with(1, 1, 4, &key(0x20), criteria)
}

#[test]
fn after_a_reset_the_other_service_has_its_ecws() {
    for beside in [Beside::Nothing, Beside::Emms] {
        let mut flood = Flood::new(beside, free());
        flood.rig.pull();
        assert!(!flood.rig.has_ecw(flood.other));
        flood.rig.inserted = true;
        // Five exchanges open the session; a forgery, an EMM, and its own.
        let took = flood.until("reset", Rig::has_ecw);
        assert!(took <= 5000, "{beside:?}: {took} ms");
    }
}

#[test]
fn a_revocation_takes_the_other_service() {
    for beside in [Beside::Nothing, Beside::Emms] {
        let ecm = air::ecm_with(1, 1, 4, &key(0x20), air::package(1));
        let mut flood = Flood::new(beside, ecm);
        assert!(flood.rig.has_ecw(flood.other));
        let revoke = EmmCommand::Revoke { package: PackageId::new(1), version: 2 };
        flood.rig.section(air::EMM, &air::emm(1, &[revoke]));
        let took = flood.until("revocation", |rig, other| !rig.has_ecw(other));
        assert!(took <= 3500, "{beside:?}: {took} ms");
    }
}

#[test]
fn a_pin_opens_the_other_service() {
    for beside in [Beside::Nothing, Beside::Emms] {
        let rated = air::rated_ecm(1, 1, 4, &key(0x20), air::package(1), 15);
        let mut flood = Flood::new(beside, rated);
        flood.rig.card.rating_limit = 9;
        flood.rig.pull();
        flood.rig.inserted = true;
        flood.until("the card", |rig, _| rig.engine.card().pseudonym.is_some());
        let judged = flood.rig.card.judged.len();
        flood.until("refused", |rig, _| rig.card.judged.len() > judged + 3);
        assert!(!flood.rig.has_ecw(flood.other));
        flood.rig.engine.pin_verify(flood.rig.now, PIN).unwrap();
        flood.rig.drain();
        let took = flood.until("PIN", Rig::has_ecw);
        assert!(took <= 4000, "{beside:?}: {took} ms");
    }
}

/// What is read back from the card: rights after a grant.
#[test]
fn rights_are_read_back() {
    for beside in [Beside::Nothing, Beside::Emms] {
        let mut flood = Flood::new(beside, free());
        flood.rig.section(air::EMM, &air::emm(1, &[air::grant(5)]));
        let took = flood.until("rights", |rig, _| rig.engine.rights().len() > 1);
        assert!(took <= 8000, "{beside:?}: {took} ms");
    }
}

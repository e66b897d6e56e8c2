// SPDX-License-Identifier: Apache-2.0
//! Secure messaging over T=0: whatever one fault does to the line, an answer that verifies is the
//! right one. The command is the ECM of a paired box to the real card.
use crate::{Clean, NOTICED, comes_back};
use ecm_emm::card::{AccessStatus, EcmAnswer, INS_ECM};
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::line::Policy;
use std::time::Duration;
use system_tests::demo::{self, NOON, Stb};
use system_tests::terminal::SELECT;
use system_tests::wire::{Event, Mishap, Wire};
use vcard::nvm::RamStore;
use vcard::{Card, atr};

struct Case {
    memory: Vec<u8>,
    ecm: Vec<u8>,
    /// What the card answers to it.
    expected: Vec<u8>,
    atr: Vec<u8>,
    /// The waiting time of the protocol.
    wait: fn(&LineParams) -> Duration,
}

impl Case {
    fn new(atr: Vec<u8>, wait: fn(&LineParams) -> Duration) -> Self {
        let (memory, ecm) = (demo::memory(), demo::news(NOON));
        let mut card = demo::powered(Box::new(RamStore::new(&memory)));
        let expected = Stb::open(&mut card).send(&mut card, INS_ECM, 0, &ecm).unwrap();
        let answer = EcmAnswer::parse(&expected).unwrap();
        assert_eq!(answer.status, AccessStatus::GRANTED_SUBSCRIPTION);
        Self { memory, ecm, expected, atr, wait }
    }

    fn wire(&self) -> Wire<Card> {
        let card = demo::powered(Box::new(RamStore::new(&self.memory)));
        Wire::new(&self.atr, Policy::new(USUAL_CLOCK_HZ), 254, card)
    }

    /// The card is up and a session is open; the wrapped command comes with it.
    fn session(&self) -> (Wire<Card>, Stb, Vec<u8>) {
        let mut wire = self.wire();
        assert_eq!(wire.activate(), Event::Ready);
        let mut stb = Stb::open(&mut wire.app);
        let apdu = stb.wrapped(INS_ECM, 0, 0, &self.ecm);
        (wire, stb, apdu)
    }

    fn clean(&self) -> Clean {
        let start = Clean::measure(self.wire(), &SELECT).start;
        let (mut wire, mut stb, apdu) = self.session();
        wire.arm(None);
        let begin = wire.now;
        let Event::Response(response) = wire.command(&apdu) else { panic!("no answer") };
        assert_eq!(stb.opened(&response), self.expected);
        let exchange = wire.now.since(begin);
        let baud = wire.terminal.params().baud();
        Clean { start, exchange, octets: wire.passed.len(), baud }
    }

    /// One fault; whether an answer came that verifies.
    fn fault(&self, clean: &Clean, place: usize, mishap: Mishap) -> bool {
        let (mut wire, mut stb, apdu) = self.session();
        let wait = (self.wait)(&wire.terminal.params()) + Policy::new(USUAL_CLOCK_HZ).latency;
        wire.arm(Some((place, mishap)));
        let begin = wire.now;
        let event = wire.command(&apdu);
        let here = format!("{mishap:?} at octet {place} of {}", clean.octets);
        // T=0 carries no Le beside data.
        let times = wire.executed.iter().filter(|got| apdu.starts_with(got)).count();
        assert!(times <= 1, "{here}: executed twice");
        let verified = match event {
            Event::Response(response) => match stb.verify_answer(&response) {
                Ok(plain) => {
                    assert_eq!(plain, self.expected, "{here}: a wrong answer");
                    true
                }
                // Nobody vouches for this one, and the box knows it.
                Err(_) => false,
            },
            Event::Failed(error) => {
                comes_back(&mut wire, &error, begin, clean, wait, &here);
                false
            }
            Event::Ready => panic!("{here}: ready"),
        };
        // A card that has counted wrong may speak up later, and is reset.
        while let Some(event) = wire.rest(Duration::from_secs(5)) {
            assert!(!matches!(event, Event::Response(_)), "{here}: {event:?}");
        }
        wire.arm(None);
        let next = wire.command(&SELECT);
        assert!(matches!(next, Event::Response(fci) if fci.ends_with(&[0x90, 0x00])), "{here}");
        verified
    }
}

#[test]
fn one_fault_anywhere_in_secure_messaging_on_t0() {
    let case = Case::new(atr::t0(), |line| line.wt(2, 372));
    let clean = case.clean();
    for mishap in NOTICED.into_iter().chain([0x01, 0x80, 0xFF].map(Mishap::Changed)) {
        for place in 0..clean.octets {
            let verified = case.fault(&clean, place, mishap);
            let noticed = matches!(mishap, Mishap::Lost | Mishap::Damaged);
            assert!(!(verified && noticed), "{mishap:?} at {place}: not noticed");
        }
    }
}

#[test]
fn one_fault_anywhere_in_secure_messaging_on_t1() {
    let case = Case::new(atr::t1(), |line| line.bwt(1));
    let clean = case.clean();
    for mishap in NOTICED.into_iter().chain([0x01, 0x80].map(Mishap::Changed)) {
        for place in 0..clean.octets {
            assert!(case.fault(&clean, place, mishap), "{mishap:?} at {place}: in vain");
        }
    }
}

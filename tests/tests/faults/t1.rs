// SPDX-License-Identifier: Apache-2.0
//! T=1: no single fault leads to a wrong answer, a second execution or a slower line.
use crate::{Clean, Echo, NOTICED, changes, comes_back, echo, exchange};
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::Policy;
use iso7816::t1::Edc;
use system_tests::wire::{Event, Mishap, Wire};
use vcard::atr::Profile;

struct Case {
    edc: Edc,
    /// Fields of the terminal and of the card are cut to this.
    ifs: u8,
    apdu: Vec<u8>,
}

impl Case {
    fn wire(&self) -> Wire<Echo> {
        let atr = Profile { edc: self.edc, ifsc: self.ifs, ..Profile::t1() }.emit();
        Wire::new(&atr, Policy::new(USUAL_CLOCK_HZ), self.ifs, Echo)
    }

    /// One fault; whether the answer came all the same.
    fn fault(&self, clean: &Clean, place: usize, mishap: Mishap) -> bool {
        let mut wire = self.wire();
        assert_eq!(wire.activate(), Event::Ready);
        let line = wire.terminal.params();
        let wait = line.bwt(1) + Policy::new(USUAL_CLOCK_HZ).latency;
        wire.arm(Some((place, mishap)));
        let begin = wire.now;
        let event = wire.command(&self.apdu);
        let here = format!("{:?}, {mishap:?} at octet {place} of {}", self.edc, clean.octets);
        let came = match event {
            Event::Response(response) => {
                assert_eq!(response, echo(&self.apdu), "{here}: a wrong answer");
                assert_eq!(wire.executed, std::slice::from_ref(&self.apdu), "{here}");
                let took = wire.now.since(begin);
                assert!(took <= clean.exchange + wait + clean.start, "{here}: {took:?}");
                true
            }
            Event::Failed(error) => {
                assert!(wire.executed.len() <= 1, "{here}: executed twice");
                comes_back(&mut wire, &error, begin, clean, wait, &here);
                false
            }
            Event::Ready => panic!("{here}: ready"),
        };
        wire.arm(None);
        let next = exchange(3, 4);
        assert_eq!(wire.command(&next), Event::Response(echo(&next)), "{here}: the next");
        assert!(wire.executed.len() <= 2, "{here}");
        came
    }

    fn every_fault(&self, mishaps: &[Mishap]) {
        let clean = Clean::measure(self.wire(), &self.apdu);
        for mishap in mishaps {
            for place in 0..clean.octets {
                assert!(self.fault(&clean, place, *mishap), "{mishap:?} at {place}: in vain");
            }
        }
    }
}

fn all() -> Vec<Mishap> {
    NOTICED.into_iter().chain(changes()).collect()
}

/// The size of an ECM and its answer, one block each way.
#[test]
fn one_fault_anywhere_in_an_exchange_with_lrc() {
    let case = Case { edc: Edc::Lrc, ifs: 254, apdu: exchange(100, 40) };
    case.every_fault(&all());
}

#[test]
fn one_fault_anywhere_in_an_exchange_with_crc() {
    let case = Case { edc: Edc::Crc, ifs: 254, apdu: exchange(100, 40) };
    case.every_fault(&all());
}

/// A data octet that equals the LRC, doubled, leaves a right block and one octet over: both ways.
#[test]
fn a_doubled_octet_that_leaves_a_right_block_is_seen() {
    let holds_its_lrc = |pcb: u8, inf: &[u8]| {
        let lrc = inf.iter().fold(pcb ^ inf.len() as u8, |sum, octet| sum ^ octet);
        inf[..inf.len() - 1].contains(&lrc)
    };
    let apdu = (0..=255)
        .map(|p1| {
            let mut apdu = exchange(100, 96);
            apdu[2] = p1;
            apdu
        })
        .find(|apdu| holds_its_lrc(0, apdu) && holds_its_lrc(0, &echo(apdu)))
        .unwrap();
    let case = Case { edc: Edc::Lrc, ifs: 254, apdu };
    case.every_fault(&[Mishap::Doubled]);
}

/// In blocks of 32 octets.
#[test]
fn one_fault_anywhere_in_chains_with_lrc() {
    let case = Case { edc: Edc::Lrc, ifs: 32, apdu: exchange(100, 40) };
    case.every_fault(&all());
}

#[test]
fn one_fault_anywhere_in_chains_with_crc() {
    let case = Case { edc: Edc::Crc, ifs: 32, apdu: exchange(100, 40) };
    case.every_fault(&all());
}

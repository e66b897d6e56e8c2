// SPDX-License-Identifier: Apache-2.0
//! T=0 in plain: what can be noticed is, and what cannot is listed.
use crate::{Clean, Echo, comes_back, echo, exchange};
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Policy};
use std::time::Duration;
use system_tests::wire::{Event, From, Mishap, Wire};
use vcard::atr;

/// How one fault ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// The right answer to the right command.
    Right,
    Failed,
    /// An answer all the same, but not that one.
    Wrong,
}

/// A command, and what the card's application gets of it: T=0 carries no Le beside data.
struct Case {
    apdu: Vec<u8>,
    seen: Vec<u8>,
}

impl Case {
    /// Case 4: header 0..5, procedure byte, data 6..106, 61xx, GET RESPONSE 108..113, procedure
    /// byte, answer 114..
    fn both_ways(back: u8) -> Self {
        let apdu = exchange(100, back);
        let seen = apdu[..105].to_vec();
        Self { apdu, seen }
    }

    /// Case 2: header 0..5, procedure byte, answer 6.. With P1 60 the answer ends with 60.
    fn from_the_card(p1: u8, back: u8) -> Self {
        let apdu = vec![0x80, 0xCA, p1, back, back];
        Self { seen: apdu.clone(), apdu }
    }

    fn wire(&self) -> Wire<Echo> {
        Wire::new(&atr::t0(), Policy::new(USUAL_CLOCK_HZ), 254, Echo)
    }

    fn fault(&self, clean: &Clean, place: usize, mishap: Mishap) -> (From, Outcome) {
        let mut wire = self.wire();
        assert_eq!(wire.activate(), Event::Ready);
        let wait = wire.terminal.params().wt(2, 372) + Policy::new(USUAL_CLOCK_HZ).latency;
        wire.arm(Some((place, mishap)));
        let begin = wire.now;
        let event = wire.command(&self.apdu);
        let (from, octet) = wire.passed[place];
        let here = format!("{mishap:?} {octet:02X} at {place} of {}, by {from:?}", clean.octets);
        let times = wire.executed.iter().filter(|command| **command == self.seen).count();
        assert!(times <= 1, "{here}: executed twice");
        let outcome = match event {
            Event::Response(response) => {
                // A card that has counted wrong may speak up later: that is told, and it is reset.
                if let Some(late) = wire.rest(Duration::from_secs(5)) {
                    let Event::Failed(error) = late else { panic!("{here}: {late:?}") };
                    assert_eq!(error.cause(), Cause::Leftover, "{here}");
                    assert_eq!(wire.run(), Some(Event::Ready), "{here}");
                }
                let right = response == echo(&self.seen)
                    && wire.executed == std::slice::from_ref(&self.seen);
                if right { Outcome::Right } else { Outcome::Wrong }
            }
            Event::Failed(error) => {
                comes_back(&mut wire, &error, begin, clean, wait, &here);
                Outcome::Failed
            }
            Event::Ready => panic!("{here}: ready"),
        };
        // The command after it is answered rightly, or fails when octets were left over.
        wire.arm(None);
        let next = hex!("80 CA 01 05 05");
        match wire.command(&next) {
            Event::Response(response) => assert_eq!(response, echo(&next), "{here}: the next"),
            other => panic!("{here}: the next: {other:?}"),
        }
        (from, outcome)
    }

    /// The places at which one such fault leads to an answer that is wrong, or right.
    fn places(&self, mishap: Mishap, wanted: Outcome) -> Vec<(From, usize)> {
        let clean = Clean::measure(self.wire(), &self.apdu);
        (0..clean.octets)
            .filter_map(|place| {
                let (from, outcome) = self.fault(&clean, place, mishap);
                (outcome == wanted).then_some((from, place))
            })
            .collect()
    }
}

fn cases() -> [Case; 5] {
    [
        Case::both_ways(40),
        Case::both_ways(96),
        Case::from_the_card(0, 40),
        Case::from_the_card(0, 96),
        Case::from_the_card(0x60, 40),
    ]
}

/// Places of one side: `1-2 4` are 1, 2 and 4.
fn of(from: From, places: &str) -> Vec<(From, usize)> {
    let range = |token: &str| {
        let (first, last) = token.split_once('-').unwrap_or((token, token));
        first.parse().unwrap()..=last.parse().unwrap()
    };
    places.split(' ').flat_map(range).map(|place| (from, place)).collect()
}

#[test]
fn a_lost_or_damaged_octet_fails_the_exchange_wherever_it_is() {
    for case in cases() {
        for mishap in [Mishap::Lost, Mishap::Damaged] {
            assert_eq!(case.places(mishap, Outcome::Right), [], "{mishap:?}");
            assert_eq!(case.places(mishap, Outcome::Wrong), [], "{mishap:?}");
        }
    }
}

/// All that is left. The numbers are those of these commands; what they stand for is in
/// `docs/conformance/iso7816-t1.md` under single faults.
#[test]
fn a_doubled_octet_fails_the_exchange_but_for_these() {
    let terminal = From::Terminal;
    // A header that has moved is another command, and so is one whose data has moved. The last
    // octet of data, or of GET RESPONSE, comes when the card has all it wants.
    let table = [
        (of(terminal, "1-2 4 6-104 108-111"), of(terminal, "105 112")),
        (of(terminal, "1-4 6-104 108-111"), of(terminal, "105 112")),
        (of(terminal, "1-2"), of(terminal, "3-4")),
        (of(terminal, "1-2"), of(terminal, "3-4")),
        // The answer moves by one, and its last octet, 60, reads as NULL.
        (
            [of(terminal, "1-2"), of(From::Card, "5-44")].concat(),
            [of(terminal, "3-4"), of(From::Card, "45")].concat(),
        ),
    ];
    for (number, (case, (wrong, right))) in cases().iter().zip(table).enumerate() {
        assert_eq!(case.places(Mishap::Doubled, Outcome::Wrong), wrong, "case {number}");
        assert_eq!(case.places(Mishap::Doubled, Outcome::Right), right, "case {number}");
    }
}

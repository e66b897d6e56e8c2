// SPDX-License-Identifier: Apache-2.0
//! Dialogues of T=0, seen from the card.

use super::*;
use hex_literal::hex;

const WT: Duration = Duration::from_millis(1000);

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

struct Rig {
    card: T0,
    executed: Vec<Vec<u8>>,
    /// What the operating system answers; `None` when it is still at work.
    response: Option<Vec<u8>>,
    now: u64,
}

impl Rig {
    fn new(response: &[u8]) -> Self {
        let response = Some(response.to_vec());
        Self {
            card: T0::new(WT, crate::inserted::takes_data),
            executed: Vec::new(),
            response,
            now: 0,
        }
    }

    fn input(&mut self, input: Input<'_>) -> Vec<u8> {
        self.card.handle_input(at(self.now), input);
        let mut sent = Vec::new();
        loop {
            match self.card.poll_output() {
                Output::Transmit(octets) => sent.extend_from_slice(octets),
                Output::Execute(apdu) => {
                    self.executed.push(apdu.to_vec());
                    if let Some(response) = &self.response {
                        self.card.handle_input(at(self.now), Input::Executed(response));
                    }
                }
                Output::Configure(_) => panic!("T=0 does not change the line"),
                Output::Wait(_) => return sent,
            }
        }
    }

    fn dialogue(&mut self, rows: &[(&[u8], &[u8])]) {
        for (row, (terminal, card)) in rows.iter().enumerate() {
            let answer = self.input(Input::Received(terminal));
            assert_eq!(answer, *card, "row {row}: got {answer:02X?}, expected {card:02X?}");
        }
    }
}

#[test]
fn data_in_and_an_answer_to_fetch() {
    let mut rig = Rig::new(&hex!("AABBCC 9000"));
    rig.dialogue(&[
        (&hex!("84 34 00"), &[]),
        (&hex!("00 03"), &hex!("34")),
        (&hex!("0102"), &[]),
        (&hex!("03"), &hex!("61 03")),
        (&hex!("00 C0 00 00 05"), &hex!("6C 03")),
        (&hex!("00 C0 00 00 02"), &hex!("C0 AABB 61 01")),
        (&hex!("00 C0 00 00 01"), &hex!("C0 CC 9000")),
        (&hex!("00 C0 00 00 01"), &hex!("6985")),
    ]);
    assert_eq!(rig.executed, [hex!("8434000003010203")]);
}

#[test]
fn another_command_drops_the_kept_answer() {
    let mut rig = Rig::new(&hex!("AA 9000"));
    rig.dialogue(&[
        (&hex!("84 34 00 00 01"), &hex!("34")),
        (&hex!("01"), &hex!("61 01")),
        (&hex!("00 84 00 00 01"), &hex!("84 AA 9000")),
        (&hex!("00 C0 00 00 01"), &hex!("6985")),
    ]);
}

#[test]
fn the_right_length_gets_the_same_answer_without_a_second_execution() {
    let mut rig = Rig::new(&hex!("AABBCC 9000"));
    rig.dialogue(&[
        (&hex!("00 B2 01 0C 00"), &hex!("6C 03")),
        (&hex!("00 B2 01 0C 03"), &hex!("B2 AABBCC 9000")),
        (&hex!("00 B2 01 0C 02"), &hex!("6C 03")),
        (&hex!("00 B2 02 0C 03"), &hex!("B2 AABBCC 9000")),
    ]);
    assert_eq!(rig.executed.len(), 3);
}

#[test]
fn a_whole_answer_of_256() {
    let mut rig = Rig::new(&[&[7; 256][..], &hex!("9000")].concat());
    rig.dialogue(&[
        (&hex!("00 B0 00 00 00"), &[&hex!("B0")[..], &[7; 256], &hex!("9000")].concat()),
        (&hex!("84 36 00 00 01"), &hex!("36")),
        (&hex!("01"), &hex!("61 00")),
        (&hex!("00 C0 00 00 00"), &[&hex!("C0")[..], &[7; 256], &hex!("9000")].concat()),
    ]);
}

#[test]
fn short_ends() {
    let mut rig = Rig::new(&hex!("6A82"));
    rig.dialogue(&[
        (&hex!("00 A4 04 00 00"), &hex!("6A82")),
        (&hex!("00 A4 04 00 01"), &hex!("A4")),
        (&hex!("FF"), &hex!("6A82")),
        (&hex!("00 B0 00 00 10"), &hex!("6A82")),
        // INS 6X and 9X would look like a status word.
        (&hex!("00 60 00 00 00"), &hex!("6D00")),
        (&hex!("00 90 00 00 00"), &hex!("6D00")),
    ]);
    assert_eq!(rig.executed[0], hex!("00A40400"));
}

#[test]
fn the_terminal_is_told_to_wait() {
    let mut rig = Rig::new(&[]);
    rig.response = None;
    rig.dialogue(&[(&hex!("00 84 00 00 08"), &[])]);
    for half in 1..=3 {
        rig.now = half * 500;
        assert_eq!(rig.input(Input::Timeout), [NULL]);
        assert!(rig.input(Input::Timeout).is_empty());
    }
    assert_eq!(rig.input(Input::Executed(&hex!("01 6281"))), hex!("6C 01"));
    rig.dialogue(&[(&hex!("00 84 00 00 01"), &hex!("84 01 6281"))]);
}

#[test]
fn a_header_cut_short_is_forgotten() {
    let mut rig = Rig::new(&hex!("9000"));
    rig.dialogue(&[(&hex!("00 A4 04"), &[])]);
    rig.now = 1000;
    assert!(rig.input(Input::Timeout).is_empty());
    rig.dialogue(&[(&hex!("00 A4 00 00 00"), &hex!("9000"))]);
}

#[test]
fn trouble_with_an_answer() {
    let mut t0 = T0::new(WT, crate::inserted::takes_data);
    t0.handle_input(Instant::default(), Input::Received(&hex!("80 CA")));
    t0.handle_input(Instant::default(), Input::Damaged(0x80));
    t0.handle_input(Instant::default(), Input::Received(&hex!("00 00 00")));
    assert!(matches!(t0.poll_output(), Output::Execute(_)));
    t0.say_null(3);
    t0.handle_input(Instant::default(), Input::Executed(&hex!("9000")));
    let mut sent = Vec::new();
    while let Output::Transmit(octets) = t0.poll_output() {
        sent.extend_from_slice(octets);
    }
    assert_eq!(sent, hex!("60 60 60 9000"));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the terminal says, the card does not panic.
        #[test]
        fn any_octets(inputs in prop::collection::vec(
            (0..4u8, prop::collection::vec(any::<u8>(), 0..300)), 0..30)
        ) {
            let mut rig = Rig::new(&hex!("0102 9000"));
            for (kind, octets) in inputs {
                rig.now += 300;
                let _ = match kind {
                    0 => rig.input(Input::Timeout),
                    1 => rig.input(Input::Executed(&octets)),
                    _ => rig.input(Input::Received(&octets)),
                };
            }
        }
    }
}

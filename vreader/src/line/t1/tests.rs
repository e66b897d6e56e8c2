// SPDX-License-Identifier: Apache-2.0
//! Dialogues of ISO/IEC 7816-3 annex A, seen from the card: `>` is what the terminal sends.

use super::*;
use hex_literal::hex;

const PARAMS: T1Params = T1Params {
    edc: Edc::Lrc,
    cwt: Duration::from_millis(5),
    bwt: Duration::from_millis(200),
    largest_field: 254,
    quiet: Duration::ZERO,
};

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

/// A card whose operating system answers a command with its own octets and 9000.
struct Rig {
    card: T1,
    executed: Vec<Vec<u8>>,
    now: u64,
    slow: bool,
}

impl Rig {
    fn new() -> Self {
        Self { card: T1::new(PARAMS), executed: Vec::new(), now: 0, slow: false }
    }

    fn input(&mut self, input: Input<'_>) -> Vec<u8> {
        self.card.handle_input(at(self.now), input);
        let mut sent = Vec::new();
        loop {
            match self.card.poll_output() {
                Output::Transmit(octets) => sent.extend_from_slice(octets),
                Output::Execute(apdu) => {
                    let apdu = apdu.to_vec();
                    self.executed.push(apdu.clone());
                    if !self.slow {
                        let response = [&apdu[..], &hex!("9000")].concat();
                        self.card.handle_input(at(self.now), Input::Executed(&response));
                    }
                }
                Output::Configure(_) => panic!("T=1 does not change the line"),
                Output::Wait(_) => return sent,
            }
        }
    }

    fn deadline(&mut self) -> Option<Instant> {
        match self.card.poll_output() {
            Output::Wait(deadline) => deadline,
            other => panic!("{other:?}"),
        }
    }

    /// Every row: what the terminal sends (without LRC when it starts with NAD 00), what the card
    /// answers.
    fn dialogue(&mut self, rows: &[(&[u8], &[u8])]) {
        for (row, (terminal, card)) in rows.iter().enumerate() {
            let answer = self.input(Input::Received(&with_lrc(terminal)));
            let expected = if card.is_empty() { Vec::new() } else { with_lrc(card) };
            assert_eq!(answer, expected, "row {row}: got {answer:02X?}, expected {expected:02X?}");
        }
    }
}

fn with_lrc(block: &[u8]) -> Vec<u8> {
    let lrc = block.iter().fold(0, |sum, octet| sum ^ octet);
    [block, &[lrc]].concat()
}

/// A block whose PCB does not exist.
const DAMAGED: &[u8] = &hex!("00 83 00");

#[test]
fn error_free() {
    Rig::new().dialogue(&[
        (&hex!("00 C1 01 FE"), &hex!("00 E1 01 FE")),
        (&hex!("00 00 02 AABB"), &hex!("00 00 04 AABB9000")),
        (&hex!("00 40 01 CC"), &hex!("00 40 03 CC9000")),
        (&hex!("00 00 04 00C00000"), &hex!("00 00 06 00C000009000")),
    ]);
}

#[test]
fn chains_both_ways() {
    let mut rig = Rig::new();
    rig.dialogue(&[
        (&hex!("00 C1 01 02"), &hex!("00 E1 01 02")),
        (&hex!("00 20 02 0102"), &hex!("00 90 00")),
        (&hex!("00 60 02 0304"), &hex!("00 80 00")),
        (&hex!("00 00 01 05"), &hex!("00 20 02 0102")),
        (&hex!("00 90 00"), &hex!("00 60 02 0304")),
        (&hex!("00 80 00"), &hex!("00 20 02 0590")),
        (&hex!("00 90 00"), &hex!("00 40 01 00")),
        (&hex!("00 40 01 09"), &hex!("00 20 02 0990")),
    ]);
    assert_eq!(rig.executed, [hex!("0102030405").to_vec(), hex!("09").to_vec()]);
}

#[test]
fn damaged_blocks_are_asked_for_again() {
    Rig::new().dialogue(&[
        (DAMAGED, &hex!("00 82 00")),
        (&hex!("00 00 01 AA"), &hex!("00 00 03 AA9000")),
        // The card's block was damaged.
        (&hex!("00 80 00"), &hex!("00 00 03 AA9000")),
        // Scenario 14: the terminal's R-block was damaged, too.
        (DAMAGED, &hex!("00 92 00")),
        (&hex!("00 80 00"), &hex!("00 00 03 AA9000")),
    ]);
    let mut rig = Rig::new();
    rig.dialogue(&[
        (&hex!("00 00 01 AA"), &hex!("00 00 03 AA9000")),
        // The terminal's next block was lost, and it asks for the card's next.
        (&hex!("00 90 00"), &hex!("00 90 00")),
        (&hex!("00 40 01 BB"), &hex!("00 40 03 BB9000")),
        // A wrong N(S).
        (&hex!("00 40 01 CC"), &hex!("00 82 00")),
        (&hex!("00 00 01 CC"), &hex!("00 00 03 CC9000")),
    ]);
    assert_eq!(rig.executed.len(), 3);
}

#[test]
fn wrong_lrc_is_an_edc_error_and_the_third_is_the_last() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        assert_eq!(rig.input(Input::Received(&hex!("00 00 01 AA 00"))), hex!("00 81 00 81"));
    }
    assert!(rig.input(Input::Received(&hex!("00 00 01 AA 00"))).is_empty());
    rig.dialogue(&[(&hex!("00 C0 00"), &hex!("00 E0 00"))]);
    assert_eq!(rig.input(Input::Received(&hex!("00 00 01 AA 00"))), hex!("00 81 00 81"));
}

#[test]
fn chain_errors() {
    let mut rig = Rig::new();
    rig.dialogue(&[
        (&hex!("00 C1 01 02"), &hex!("00 E1 01 02")),
        // The answer was damaged.
        (&hex!("00 C1 01 02"), &hex!("00 E1 01 02")),
        (&hex!("00 20 02 0102"), &hex!("00 90 00")),
        // The card's acknowledgement was damaged: R(N(R) = what the terminal expects of the card).
        (&hex!("00 80 00"), &hex!("00 90 00")),
        // The terminal repeats a block that the card has.
        (&hex!("00 20 02 0102"), &hex!("00 92 00")),
        (&hex!("00 40 01 03"), &hex!("00 20 02 0102")),
        (&hex!("00 80 00"), &hex!("00 20 02 0102")),
        (&hex!("00 90 00"), &hex!("00 60 02 0390")),
        (&hex!("00 90 00"), &hex!("00 60 02 0390")),
        (&hex!("00 80 00"), &hex!("00 00 01 00")),
        (&hex!("00 00 01 07"), &hex!("00 60 02 0790")),
    ]);
    assert_eq!(rig.executed, [hex!("010203").to_vec(), hex!("07").to_vec()]);
}

#[test]
fn the_terminal_gives_the_cards_chain_up() {
    Rig::new().dialogue(&[
        (&hex!("00 C1 01 02"), &hex!("00 E1 01 02")),
        (&hex!("00 00 02 0102"), &hex!("00 20 02 0102")),
        (&hex!("00 C2 00"), &hex!("00 E2 00")),
        (&hex!("00 40 01 03"), &hex!("00 60 02 0390")),
    ]);
}

#[test]
fn a_command_without_end_is_aborted() {
    let mut rig = Rig::new();
    let long = |ns: u8| [&[0, ns | 0x20, 200][..], &[7; 200]].concat();
    rig.dialogue(&[
        (&long(0x00), &hex!("00 90 00")),
        (&long(0x40), &hex!("00 C2 00")),
        (DAMAGED, &hex!("00 C2 00")),
        (&hex!("00 E2 00"), &hex!("00 80 00")),
        (&hex!("00 00 01 AA"), &hex!("00 00 03 AA9000")),
    ]);
    assert_eq!(rig.executed, [[0xAA]]);
}

#[test]
fn resynch_starts_over_and_forgets() {
    let mut rig = Rig::new();
    rig.dialogue(&[
        (&hex!("00 00 01 01"), &hex!("00 00 03 019000")),
        (&hex!("00 60 01 02"), &hex!("00 80 00")),
        (&hex!("00 C0 00"), &hex!("00 E0 00")),
        (&hex!("00 00 01 03"), &hex!("00 00 03 039000")),
    ]);
    assert_eq!(rig.executed, [[1], [3]]);
    // While the operating system works: its answer belongs to nobody.
    rig.slow = true;
    rig.dialogue(&[
        (&hex!("00 40 01 04"), &[]),
        (&hex!("00 C0 00"), &hex!("00 E0 00")),
        (&hex!("00 00 01 05"), &[]),
    ]);
    assert!(rig.input(Input::Executed(&hex!("04 9000"))).is_empty());
    assert_eq!(rig.input(Input::Executed(&hex!("05 9000"))), with_lrc(&hex!("00 00 03 059000")));
}

#[test]
fn more_time_is_asked_for() {
    let mut rig = Rig::new();
    rig.slow = true;
    rig.dialogue(&[(&hex!("00 00 01 01"), &[])]);
    assert_eq!(rig.deadline(), Some(at(100)));
    rig.now = 99;
    assert!(rig.input(Input::Timeout).is_empty());
    rig.now = 100;
    assert_eq!(rig.input(Input::Timeout), hex!("00 C3 01 01 C3"));
    rig.dialogue(&[
        // The request was damaged; then the answer to it.
        (&hex!("00 80 00"), &hex!("00 C3 01 01")),
        (DAMAGED, &hex!("00 C3 01 01")),
        (&hex!("00 E3 01 02"), &hex!("00 C3 01 01")),
        (&hex!("00 E3 01 01"), &[]),
    ]);
    rig.now = 200;
    assert_eq!(rig.input(Input::Timeout), hex!("00 C3 01 01 C3"));
    // The answer comes before the terminal's consent, and waits for it.
    assert!(rig.input(Input::Executed(&hex!("01 9000"))).is_empty());
    rig.dialogue(&[
        (&hex!("00 E3 01 01"), &hex!("00 00 03 019000")),
        (&hex!("00 80 00"), &hex!("00 00 03 019000")),
    ]);
}

#[test]
fn a_block_cut_short_is_asked_for_again() {
    let mut rig = Rig::new();
    assert!(rig.input(Input::Received(&hex!("00 00 05 01"))).is_empty());
    assert_eq!(rig.deadline(), Some(at(105)));
    rig.now = 105;
    assert_eq!(rig.input(Input::Timeout), hex!("00 82 00 82"));
    assert_eq!(rig.deadline(), None);
    rig.dialogue(&[(&hex!("00 00 01 01"), &hex!("00 00 03 019000"))]);
}

#[test]
fn nonsense_is_refused() {
    for block in [
        &hex!("00 E0 00")[..],
        &hex!("00 C3 01 05"),
        &hex!("00 E1 01 20"),
        &hex!("21 00 00"),
        &hex!("00 C1 01 00"),
    ] {
        Rig::new().dialogue(&[(block, &hex!("00 82 00"))]);
    }
}

#[test]
fn trouble_with_an_answer() {
    let mut rig = Rig::new();
    rig.slow = true;
    rig.dialogue(&[(&hex!("00 00 01 01"), &[])]);
    rig.card.stall(2, 5);
    assert_eq!(rig.input(Input::Executed(&hex!("9000"))), hex!("00 C3 01 05 C7"));
    rig.dialogue(&[
        (&hex!("00 E3 01 01"), &hex!("00 C3 01 05")),
        (&hex!("00 E3 01 05"), &hex!("00 C3 01 05")),
        (&hex!("00 E3 01 05"), &hex!("00 00 02 9000")),
        (&hex!("00 40 01 02"), &[]),
    ]);
    rig.card.spoil(Wrong::Edc, 2);
    assert_eq!(rig.input(Input::Executed(&hex!("9000"))), hex!("00 40 02 9000 D3"));
    assert_eq!(rig.input(Input::Received(&hex!("00 90 00 90"))), hex!("00 40 02 9000 D3"));
    rig.dialogue(&[(&hex!("00 90 00"), &hex!("00 40 02 9000"))]);
}

#[test]
fn wrong_blocks() {
    let sound = hex!("00 00 02 9000 92");
    for (how, wrong) in [
        (Wrong::Nad, &hex!("21 00 02 9000 B3")[..]),
        (Wrong::Pcb, &hex!("00 8F 02 9000 1D")),
        (Wrong::Len, &hex!("00 00 FF 9000 6F")),
        (Wrong::Number, &hex!("00 40 02 9000 D2")),
        (Wrong::Edc, &hex!("00 00 02 9000 93")),
        (Wrong::Short, &hex!("00 00 02 9000")),
        (Wrong::Long, &hex!("00 00 02 9000 92 00")),
        (Wrong::Resynch, &hex!("00 C0 00 C0")),
    ] {
        assert_eq!(how.spoil(&sound, Edc::Lrc), wrong, "{how:?}");
    }
    let mut out = [0; MAX_BLOCK];
    let len = Block::I { ns: true, more: false, inf: &hex!("9000") }.emit(Edc::Crc, &mut out);
    let mut other = [0; MAX_BLOCK];
    Block::I { ns: false, more: false, inf: &hex!("9000") }.emit(Edc::Crc, &mut other).unwrap();
    assert_eq!(Wrong::Number.spoil(&out[..len.unwrap()], Edc::Crc), other[..len.unwrap()]);
}

#[test]
fn an_octet_with_wrong_parity_spoils_its_block() {
    let mut rig = Rig::new();
    assert!(rig.input(Input::Received(&hex!("00 00"))).is_empty());
    assert!(rig.input(Input::Damaged(0x01)).is_empty());
    assert_eq!(rig.input(Input::Received(&hex!("AA AB"))), hex!("00 81 00 81"));
    rig.dialogue(&[(&hex!("00 00 01 AA"), &hex!("00 00 03 AA9000"))]);
}

#[test]
fn fields_no_longer_than_the_card_likes() {
    let mut rig = Rig::new();
    rig.card.params.largest_field = 3;
    rig.dialogue(&[
        (&hex!("00 00 02 AABB"), &hex!("00 20 03 AABB90")),
        (&hex!("00 90 00"), &hex!("00 40 01 00")),
    ]);
}

/// A doubled octet can leave a right block, one octet too early: it is not that block.
#[test]
fn a_block_with_an_octet_behind_it_is_none() {
    let mut rig = Rig::new();
    let block = with_lrc(&hex!("00 00 02 AABB"));
    let longer = [&block[..], &[0x00]].concat();
    assert_eq!(rig.input(Input::Received(&longer)), with_lrc(&hex!("00 82 00")));
    assert!(rig.executed.is_empty());
    // Octet by octet it takes silence to know.
    rig.card.params.quiet = Duration::from_millis(2);
    assert!(rig.input(Input::Received(&block)).is_empty());
    assert_eq!(rig.deadline(), Some(at(2)));
    rig.now = 1;
    assert!(rig.input(Input::Received(&[0x00])).is_empty());
    rig.now = 3;
    assert_eq!(rig.input(Input::Timeout), with_lrc(&hex!("00 82 00")));
    assert!(rig.executed.is_empty());
    assert!(rig.input(Input::Received(&block)).is_empty());
    rig.now = 5;
    assert_eq!(rig.input(Input::Timeout), with_lrc(&hex!("00 00 04 AABB9000")));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the terminal says, the card does not panic, and RESYNCH brings it back.
        #[test]
        fn any_octets(inputs in prop::collection::vec(
            (0..3u8, prop::collection::vec(any::<u8>(), 0..20), any::<bool>()), 0..40)
        ) {
            let mut rig = Rig::new();
            for (kind, mut octets, sound) in inputs {
                rig.now += 60;
                rig.slow = kind == 2;
                if sound && octets.len() > 3 {
                    octets[0] = 0;
                    octets[2] = (octets.len() - 3) as u8;
                    octets = with_lrc(&octets);
                }
                let input = if kind == 1 { Input::Timeout } else { Input::Received(&octets) };
                let _ = rig.input(input);
            }
            rig.slow = false;
            // Whatever was half received is cut short by now.
            rig.now += 1000;
            let _ = rig.input(Input::Timeout);
            rig.dialogue(&[(&hex!("00 C0 00"), &hex!("00 E0 00"))]);
            while rig.card.void > 0 {
                let _ = rig.input(Input::Executed(&hex!("6F00")));
            }
            rig.dialogue(&[(&hex!("00 00 01 AA"), &hex!("00 00 03 AA9000"))]);
        }
    }
}

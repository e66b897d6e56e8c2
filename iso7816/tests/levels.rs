// SPDX-License-Identifier: Apache-2.0
//! The card line above characters: readers that take TPDUs and readers that take APDUs.

use cam_types::Instant;
use hex_literal::hex;
use iso7816::line::{CardLine, Cause, Input, Level, Output, Policy};
use std::time::Duration;

/// What the line wanted, in order, until it said `Wait`.
#[derive(Debug, PartialEq)]
enum Wanted {
    Activate,
    Deactivate,
    Configure(u16, u8),
    Transmit(Vec<u8>),
    Ready { protocol: u8 },
    Response(Vec<u8>),
    Failed { cause: Cause, executed: bool, usable: bool },
}

struct Rig {
    line: CardLine,
    now: Instant,
}

impl Rig {
    /// A line whose reader has reset the card and brought this answer.
    fn activated(atr: &[u8], level: Level, agreed: Option<u8>) -> (Self, Vec<Wanted>) {
        let policy = Policy { max_command: 65_544, max_response: 4096, ..Policy::new(4_000_000) };
        let mut rig = Self { line: CardLine::new(policy), now: moments::first() };
        assert_eq!(rig.tell(Input::Activate), [Wanted::Activate]);
        let wanted = rig.tell(Input::Answered { atr, level, agreed });
        (rig, wanted)
    }

    fn tell(&mut self, input: Input<'_>) -> Vec<Wanted> {
        self.now = self.now.after(Duration::from_millis(1));
        self.line.handle_input(self.now, input);
        let mut wanted = Vec::new();
        loop {
            wanted.push(match self.line.poll_output() {
                Output::Activate(_) => Wanted::Activate,
                Output::Deactivate => Wanted::Deactivate,
                Output::Configure(params) => Wanted::Configure(params.f, params.d),
                Output::Transmit(octets) => Wanted::Transmit(octets.to_vec()),
                Output::Ready(_) => Wanted::Ready { protocol: self.line.protocol() },
                Output::Response(response) => Wanted::Response(response.to_vec()),
                Output::Failed(error) => Wanted::Failed {
                    cause: error.cause(),
                    executed: error.may_have_executed(),
                    usable: error.usable(),
                },
                Output::Wait(_) => return wanted,
            });
        }
    }

    fn command(&mut self, apdu: &[u8]) -> Vec<Wanted> {
        self.tell(Input::Command { apdu, patience: None })
    }
}

const T0: [u8; 4] = hex!("3B 11 18 41");
const T1: [u8; 5] = hex!("3B 90 18 01 89");

fn transmit(octets: &[u8]) -> Vec<Wanted> {
    vec![Wanted::Transmit(octets.to_vec())]
}

fn t1_ready() -> Rig {
    let (mut rig, wanted) = Rig::activated(&T1, Level::Tpdu, None);
    assert_eq!(wanted, transmit(&hex!("FF 11 18 F6")));
    let wanted = rig.tell(Input::Message(&hex!("FF 11 18 F6")));
    let ifs = Wanted::Transmit(hex!("00 C1 01 FE 3E").to_vec());
    assert_eq!(wanted, [Wanted::Configure(372, 12), ifs]);
    let wanted = rig.tell(Input::Message(&hex!("00 E1 01 FE 1E")));
    assert_eq!(wanted, [Wanted::Ready { protocol: 1 }]);
    rig
}

#[test]
fn blocks_pass_whole_and_a_mute_card_is_asked_again() {
    let mut rig = t1_ready();
    let block = hex!("00 00 05 00 B0 00 00 02 B7");
    assert_eq!(rig.command(&hex!("00 B0 00 00 02")), transmit(&block));
    // Waiting is the reader's business: our clock alone fails nothing.
    rig.now = rig.now.after(Duration::from_secs(30));
    assert_eq!(rig.tell(Input::Timeout), []);
    let again = transmit(&hex!("00 82 00 82"));
    assert_eq!(rig.tell(Input::Unanswered { damaged: false }), again);
    let again = transmit(&hex!("00 81 00 81"));
    let wanted = rig.tell(Input::Unanswered { damaged: true });
    assert!(wanted == again || wanted == transmit(&hex!("00 82 00 82")), "{wanted:?}");
    let wanted = rig.tell(Input::Message(&hex!("00 00 04 AA BB 90 00 85")));
    assert_eq!(wanted, [Wanted::Response(hex!("AA BB 90 00").to_vec())]);
}

#[test]
fn a_block_cut_short_or_with_octets_behind_it_is_none() {
    for nonsense in [&hex!("00 00 04 AA BB 90")[..], &hex!("00 00 02 90 00 92 00"), &[]] {
        let mut rig = t1_ready();
        let _ = rig.command(&hex!("00 B0 00 00 02"));
        let wanted = rig.tell(Input::Message(nonsense));
        assert_eq!(wanted, transmit(&hex!("00 82 00 82")), "{nonsense:02X?}");
    }
}

#[test]
fn silence_without_end_resets_the_card_and_says_so() {
    let mut rig = t1_ready();
    let _ = rig.command(&hex!("00 B0 00 00 02"));
    for _ in 0..16 {
        let wanted = rig.tell(Input::Unanswered { damaged: false });
        if let [Wanted::Failed { executed: true, usable: false, .. }, Wanted::Activate] = wanted[..]
        {
            return;
        }
        assert!(matches!(wanted[..], [Wanted::Transmit(_)]), "{wanted:?}");
    }
    panic!("the line never gives up");
}

#[test]
fn a_long_command_passes_as_whole_envelopes() {
    let (mut rig, _) = Rig::activated(&hex!("3B 00"), Level::Tpdu, None);
    let apdu = [&hex!("80 34 00 00 00 0100")[..], &[0x5A; 0x100], &hex!("0002")].concat();
    let (first, rest) = apdu.split_at(255);
    let envelope = |len, part: &[u8]| transmit(&[&[0x80, 0xC2, 0, 0, len][..], part].concat());
    assert_eq!(rig.command(&apdu), envelope(255, first));
    assert_eq!(rig.tell(Input::Message(&hex!("90 00"))), envelope(10, rest));
    assert_eq!(rig.tell(Input::Message(&hex!("61 02"))), transmit(&hex!("80 C0 00 00 02")));
    let wanted = rig.tell(Input::Message(&hex!("AA BB 90 00")));
    assert_eq!(wanted, [Wanted::Response(hex!("AA BB 90 00").to_vec())]);
}

#[test]
fn tpdus_pass_whole_with_get_response_and_the_right_length() {
    let (mut rig, wanted) = Rig::activated(&T0, Level::Tpdu, None);
    assert_eq!(wanted, transmit(&hex!("FF 10 18 F7")));
    let wanted = rig.tell(Input::Message(&hex!("FF 10 18 F7")));
    assert_eq!(wanted, [Wanted::Configure(372, 12), Wanted::Ready { protocol: 0 }]);
    // Case 4: command without Le, the answer by GET RESPONSE.
    let wanted = rig.command(&hex!("84 34 00 00 02 AABB 00"));
    assert_eq!(wanted, transmit(&hex!("84 34 00 00 02 AABB")));
    assert_eq!(rig.tell(Input::Message(&hex!("61 03"))), transmit(&hex!("84 C0 00 00 03")));
    let wanted = rig.tell(Input::Message(&hex!("01 02 03 90 00")));
    assert_eq!(wanted, [Wanted::Response(hex!("01 02 03 90 00").to_vec())]);
    // Case 2 with a wrong length: sent once more, never VERIFY.
    assert_eq!(rig.command(&hex!("00 B0 00 00 00")), transmit(&hex!("00 B0 00 00 00")));
    assert_eq!(rig.tell(Input::Message(&hex!("6C 02"))), transmit(&hex!("00 B0 00 00 02")));
    let wanted = rig.tell(Input::Message(&hex!("AA BB 90 00")));
    assert_eq!(wanted, [Wanted::Response(hex!("AA BB 90 00").to_vec())]);
    let _ = rig.command(&hex!("00 20 00 00 00"));
    let wanted = rig.tell(Input::Message(&hex!("6C 02")));
    assert_eq!(wanted, [Wanted::Response(hex!("6C 02").to_vec())]);
}

#[test]
fn a_tpdu_is_never_sent_again() {
    for failure in [
        Input::Unanswered { damaged: false },
        Input::Unanswered { damaged: true },
        Input::Message(&[0x90]),
        Input::Message(&hex!("01 02 03 04 90 00")),
    ] {
        let (mut rig, _) = Rig::activated(&T0, Level::Tpdu, Some(0));
        let _ = rig.command(&hex!("00 B0 00 00 02"));
        let wanted = rig.tell(failure);
        let failed = matches!(
            wanted[..],
            [Wanted::Failed { executed: true, usable: false, .. }, Wanted::Activate]
        );
        assert!(failed, "{wanted:?}");
    }
}

#[test]
fn a_reader_that_has_agreed_on_t_is_not_asked_for_pps() {
    let (rig, wanted) = Rig::activated(&T0, Level::Tpdu, Some(0));
    assert_eq!(wanted, [Wanted::Configure(372, 12), Wanted::Ready { protocol: 0 }]);
    assert_eq!(rig.line.level(), Level::Tpdu);
    let (_, wanted) = Rig::activated(&T0, Level::Tpdu, Some(14));
    let unable =
        Wanted::Failed { cause: Cause::Protocol { t: 14 }, executed: false, usable: false };
    assert_eq!(wanted, [Wanted::Deactivate, unable]);
}

#[test]
fn apdus_pass_as_they_are_and_of_any_length() {
    for agreed in [None, Some(1)] {
        let (mut rig, wanted) = Rig::activated(&T1, Level::Apdu, agreed);
        assert_eq!(wanted, [Wanted::Ready { protocol: 1 }]);
        for apdu in [&hex!("00 B0 00 00 02")[..], &hex!("80 34 00 00 00 0002 AABB 0000")] {
            assert_eq!(rig.command(apdu), transmit(apdu));
            let wanted = rig.tell(Input::Message(&hex!("AA BB 90 00")));
            assert_eq!(wanted, [Wanted::Response(hex!("AA BB 90 00").to_vec())]);
        }
        let _ = rig.command(&hex!("00 B0 00 00 02"));
        let wanted = rig.tell(Input::Message(&[0; 4097]));
        let long = Wanted::Failed { cause: Cause::TooLong, executed: true, usable: true };
        assert_eq!(wanted, [long]);
        let _ = rig.command(&hex!("00 B0 00 00 02"));
        let wanted = rig.tell(Input::Unanswered { damaged: false });
        let silent = Wanted::Failed { cause: Cause::Silent, executed: true, usable: false };
        assert_eq!(wanted, [silent, Wanted::Activate]);
    }
}

#[test]
fn an_answer_to_reset_that_came_whole_may_be_followed_by_characters() {
    let (mut rig, wanted) = Rig::activated(&T0, Level::Characters, None);
    assert_eq!(wanted, transmit(&hex!("FF 10 18 F7")));
    assert_eq!(rig.tell(Input::Message(&hex!("FF 10 18 F7"))), [], "characters only");
    assert_eq!(rig.tell(Input::Received(&hex!("FF 10 18 F7"))), []);
    rig.now = rig.now.after(Duration::from_millis(10));
    let wanted = rig.tell(Input::Timeout);
    assert_eq!(wanted, [Wanted::Configure(372, 12), Wanted::Ready { protocol: 0 }]);
    assert_eq!(rig.command(&hex!("00 B0 00 00 02")), transmit(&hex!("00 B0 00 00 02")));
}

#[test]
fn a_reader_without_an_answer_to_reset_is_asked_again_and_given_up() {
    let (mut rig, mut wanted) = Rig::activated(&[], Level::Tpdu, None);
    for _ in 0..8 {
        match wanted[..] {
            [Wanted::Deactivate] => {
                rig.now = rig.now.after(Duration::from_millis(20));
                wanted = rig.tell(Input::Timeout);
                assert_eq!(wanted, [Wanted::Activate]);
                wanted = rig.tell(Input::Unanswered { damaged: false });
            }
            [Wanted::Deactivate, Wanted::Failed { cause: Cause::Mute, executed: false, .. }] => {
                return;
            }
            _ => panic!("{wanted:?}"),
        }
    }
    panic!("the line never gives up");
}

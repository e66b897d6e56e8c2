// SPDX-License-Identifier: Apache-2.0
//! Answers to reset with the traits of pay-TV cards, made up for this test: all come up on the
//! line.

use crate::rig::{Event, Rig, agreeable, with_tck};
use hex_literal::hex;
use iso7816::atr::{AtrError, AtrPolicy, AtrWarnings};
use iso7816::etu::{Convention, USUAL_CLOCK_HZ};
use iso7816::line::{Cause, Policy};

struct Kind {
    name: &'static str,
    /// Without TCK.
    atr: &'static [u8],
    t: u8,
    /// F, D and guard time of the running protocol.
    line: (u16, u8, u16),
    warnings: AtrWarnings,
}

const NONE: AtrWarnings = AtrWarnings::NONE;

#[rustfmt::skip]
const KINDS: &[Kind] = &[
    Kind { name: "inverse, T=0, Vpp 25, N 0", atr: &hex!("3F 67 25 00 2A 20 00 40 68 9F 00"), t: 0, line: (372, 1, 12), warnings: NONE },
    Kind { name: "inverse, N 255, WI 15", atr: &hex!("3F 70 13 25 FF"), t: 0, line: (372, 4, 12), warnings: NONE },
    Kind { name: "inverse, T=1, 512/16 specific", atr: &hex!("3F FD 95 25 02 91 81 31 FE 45 00 00 00 00 00 00 00 00 00 00 00 00 00"), t: 1, line: (512, 16, 14), warnings: NONE },
    Kind { name: "512/16 specific, T=0, WI 15", atr: &hex!("3B F2 95 25 FF F0 80 25 0F 1F 03 41 42"), t: 0, line: (512, 16, 12), warnings: NONE },
    Kind { name: "512/16 specific, may change", atr: &hex!("3B B0 95 25 91 01 31 FE 45"), t: 1, line: (512, 16, 12), warnings: NONE },
    Kind { name: "512/16 specific T=0, 00", atr: &hex!("3B 90 95 50 00 1C"), t: 0, line: (512, 16, 12), warnings: NONE },
    Kind { name: "TA1 11, N 2, WI 28", atr: &hex!("3B D0 11 02 40 1C"), t: 0, line: (372, 1, 14), warnings: NONE },
    Kind { name: "TA1 13, N 3, WI 150", atr: &hex!("3B D0 13 03 40 96"), t: 0, line: (372, 4, 15), warnings: NONE },
    Kind { name: "TA1 12, N 1, WI 96", atr: &hex!("3B D0 12 01 40 60"), t: 0, line: (372, 2, 13), warnings: NONE },
    Kind { name: "TA1 14, N 5, WI 240", atr: &hex!("3B D0 14 05 40 F0"), t: 0, line: (372, 8, 17), warnings: NONE },
    Kind { name: "TA1 21", atr: &hex!("3B 10 21"), t: 0, line: (372, 1, 12), warnings: NONE },
    Kind { name: "TA1 15", atr: &hex!("3B 90 15 81 31 FE 47"), t: 1, line: (372, 16, 12), warnings: NONE },
    Kind { name: "TA1 18, N 255, T=1", atr: &hex!("3B D0 18 FF 81 31 FE 57"), t: 1, line: (372, 12, 11), warnings: NONE },
    Kind { name: "TA1 96, T=1 and T=15", atr: &hex!("3B 90 96 81 B1 FE 45 1F 03"), t: 1, line: (512, 32, 12), warnings: NONE },
    Kind { name: "TA1 33", atr: &hex!("3B 10 33"), t: 0, line: (744, 4, 12), warnings: NONE },
    Kind { name: "TA1 36", atr: &hex!("3B 10 36"), t: 0, line: (744, 32, 12), warnings: NONE },
    Kind { name: "TA1 00", atr: &hex!("3B 10 00"), t: 0, line: (372, 1, 12), warnings: AtrWarnings::RESERVED_RATE },
    Kind { name: "T=0 and T=15", atr: &hex!("3B 80 80 1F 03"), t: 0, line: (372, 1, 12), warnings: NONE },
    Kind { name: "T=14", atr: &hex!("3B 9F 21 0E 49 52 44 45 54 4F 20 41 43 53 20 56 31 2E 32"), t: 14, line: (558, 1, 12), warnings: NONE },
    Kind { name: "T=14, inverse, N 5", atr: &hex!("3F D0 11 05 0E"), t: 14, line: (372, 1, 17), warnings: NONE },
    Kind { name: "IFSC 254, BWI 4, CWI 7", atr: &hex!("3B 80 81 31 FE 47"), t: 1, line: (372, 1, 12), warnings: NONE },
    Kind { name: "IFSC 160, BWI 5, CWI 7", atr: &hex!("3B 80 81 31 A0 57"), t: 1, line: (372, 1, 12), warnings: NONE },
    Kind { name: "IFSC 255", atr: &hex!("3B 80 81 31 FF 47"), t: 1, line: (372, 1, 12), warnings: AtrWarnings::RESERVED_IFSC },
    Kind { name: "IFSC 32", atr: &hex!("3B 80 81 31 20 47"), t: 1, line: (372, 1, 12), warnings: NONE },
    Kind { name: "T=15 before T=1", atr: &hex!("3B 80 8F 31 FE 45"), t: 1, line: (372, 1, 12), warnings: AtrWarnings::ORDER },
];

/// The answer as a card sends it: with TCK unless all it offers is T=0.
fn sent(kind: &Kind) -> Vec<u8> {
    match iso7816::atr::Atr::expect(kind.atr) {
        iso7816::atr::Expect::More(1) => with_tck(kind.atr),
        iso7816::atr::Expect::Complete(_) => kind.atr.to_vec(),
        other => panic!("{}: {other:?}", kind.name),
    }
}

#[test]
fn every_kind_of_card_comes_up_and_takes_a_command() {
    for kind in KINDS {
        let Kind { name, t, line, warnings, .. } = kind;
        let atr = sent(kind);
        let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &atr);
        let params = rig.line.params();
        assert_eq!(rig.line.protocol(), *t, "{name}");
        assert_eq!((params.f, params.d, params.guard_etu), *line, "{name}");
        assert_eq!(rig.line.atr().unwrap().warnings(), *warnings, "{name}");
        let inverse = atr[0] == 0x3F;
        assert_eq!(params.convention == Convention::Inverse, inverse, "{name}");
        rig.command(if *t == 14 { &hex!("01 02 00 00 00") } else { &hex!("80320000") });
        loop {
            match rig.next_act() {
                Some(Event::Transmit(sent)) => rig.card(&agreeable(&sent, *t)),
                Some(Event::Response(response)) => {
                    assert_eq!(response.len(), if *t == 14 { 8 } else { 2 }, "{name}");
                    break;
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

/// A waiting time is what WI makes of it, however long.
#[test]
fn long_waiting_times_are_waited_for() {
    for (wi, seconds) in [(15_u8, 1.5), (28, 2.8), (96, 9.6), (150, 15.0), (240, 23.9)] {
        let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &[0x3B, 0x80, 0x40, wi]);
        rig.command(&hex!("80320000"));
        let wait = rig.deadline.unwrap().since(rig.now).as_secs_f64();
        assert!((wait - seconds).abs() < 0.2, "WI {wi}: {wait}");
    }
}

#[test]
fn ifsc_255_is_32_or_what_the_policy_says() {
    let atr = with_tck(&hex!("3B 80 81 31 FF 47"));
    let apdu = [&hex!("80340000 F0")[..], &[0x5A; 0xF0]].concat();
    for (reserved_ifsc, len) in [(32, 32), (254, 245)] {
        let policy = AtrPolicy { reserved_ifsc, ..AtrPolicy::TOLERANT };
        let mut rig = Rig::up(Policy { atr: policy, ..Policy::new(USUAL_CLOCK_HZ) }, &atr);
        rig.command(&apdu);
        let Some(Event::Transmit(block)) = rig.next_act() else { panic!("nothing sent") };
        assert_eq!(block[2], len);
    }
}

#[test]
fn a_wrong_a_missing_and_a_spare_tck_and_trailing_octets_are_warnings() {
    let right = with_tck(&hex!("3B 80 81 31 FE 45"));
    let mut wrong = right.clone();
    *wrong.last_mut().unwrap() ^= 0x55;
    let table: &[(&[u8], AtrWarnings)] = &[
        (&wrong, AtrWarnings::WRONG_TCK),
        (&hex!("3B 80 81 31 FE 45"), AtrWarnings::NO_TCK),
        (&hex!("3B 10 13 03"), AtrWarnings::SPARE_TCK),
        (&[&right[..], &hex!("00 00 90")].concat(), AtrWarnings::TRAILING),
        (&hex!("3B 10 13 55"), AtrWarnings::TRAILING),
    ];
    for (atr, warnings) in table {
        let rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), atr);
        assert_eq!(rig.line.atr().unwrap().warnings(), *warnings, "{atr:02X?}");
    }
}

/// By the letter of the standard the odd ones are refused, each with its reason.
#[test]
fn the_strict_policy_refuses_the_odd_ones() {
    let strict = Policy { atr: AtrPolicy::STRICT, ..Policy::new(USUAL_CLOCK_HZ) };
    for kind in KINDS {
        let end = Rig::new(strict).activate(&sent(kind));
        if kind.warnings.is_empty() {
            assert_eq!(end, Event::Ready, "{}", kind.name);
            continue;
        }
        let Event::Failed(error) = end else { panic!("{}: {end:?}", kind.name) };
        let Cause::NotACard(AtrError::Refused(why)) = error.cause() else {
            panic!("{}: {error}", kind.name)
        };
        assert!(why.contains(kind.warnings), "{}: {why}", kind.name);
    }
}

/// Cut anywhere, an answer is refused or taken for what it then is; the line always comes to an
/// end.
#[test]
fn every_prefix_ends_up_or_down() {
    for kind in KINDS {
        let atr = sent(kind);
        for len in 0..atr.len() {
            let end = Rig::new(Policy::new(USUAL_CLOCK_HZ)).activate(&atr[..len]);
            let without_tck = len + 1 == atr.len() && atr.len() > kind.atr.len();
            assert_eq!(end == Event::Ready, without_tck, "{} cut at {len}: {end:?}", kind.name);
        }
    }
}

#[test]
fn any_octet_of_an_answer_may_be_anything() {
    for kind in KINDS {
        let atr = sent(kind);
        for at in 0..atr.len() {
            for bit in 0..8 {
                let mut other = atr.clone();
                other[at] ^= 1 << bit;
                let mut rig = Rig::new(Policy::new(USUAL_CLOCK_HZ));
                rig.input(iso7816::line::Input::Activate);
                loop {
                    match rig.next_act() {
                        Some(Event::Activate(_)) => rig.card(&other),
                        // Whatever it is asked, this card says nothing more.
                        Some(Event::Ready | Event::Failed(_)) | None => break,
                        Some(_) => {}
                    }
                }
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Answers to reset: of real cards, of broken ones, and of none.

use hex_literal::hex;
use iso7816::atr::{Atr, AtrError, AtrPolicy, AtrWarnings, Expect, SpecificMode};
use iso7816::etu::Convention;
use iso7816::t1::{Edc, T1Params};
use proptest::prelude::*;

fn tolerant(octets: &[u8]) -> Atr {
    Atr::parse(octets, AtrPolicy::TOLERANT).unwrap()
}

#[test]
fn our_card() {
    let octets = hex!("3B D6 18 FF 81 31 FE 55 53 54 42 43 41 4D");
    let tck = octets[1..].iter().fold(0, |sum, octet| sum ^ octet);
    let mut octets = octets.to_vec();
    octets.push(tck);
    let atr = Atr::parse(&octets, AtrPolicy::STRICT).unwrap();
    assert_eq!(atr.octets(), octets);
    assert_eq!(atr.historical(), b"STBCAM");
    assert_eq!(atr.convention(), Convention::Direct);
    assert_eq!((atr.ta1(), atr.rate()), (Some(0x18), (372, 12, 5_000_000)));
    assert_eq!(atr.extra_guard(), 255);
    assert_eq!((atr.guard_etu(1, 372, 12), atr.guard_etu(0, 372, 12)), (11, 12));
    assert_eq!(atr.specific_mode(), None);
    assert_eq!((atr.first_protocol(), atr.offers(1), atr.offers(0)), (1, true, false));
    assert_eq!(atr.t1(), T1Params { ifsc: 254, bwi: 5, cwi: 5, edc: Edc::Lrc });
    assert!(atr.warnings().is_empty());
}

#[test]
fn real_and_typical_ones() {
    // The shortest: T=0, all defaults.
    let atr = tolerant(&hex!("3B 00"));
    assert_eq!((atr.first_protocol(), atr.offers(0), atr.offers(1)), (0, true, false));
    assert_eq!((atr.rate(), atr.wi(), atr.extra_guard()), ((372, 1, 5_000_000), 10, 0));
    // Inverse convention, T=0 with N=255.
    let atr = tolerant(&hex!("3F 67 25 00 2A 20 00 40 68 9F 00"));
    assert_eq!(atr.convention(), Convention::Inverse);
    assert_eq!(atr.ta1(), None);
    assert_eq!(atr.extra_guard(), 0x00);
    // Specific mode at 512/16, T=1, may not change.
    let atr = tolerant(&hex!("3B 90 95 91 81 31 FE 45 00"));
    assert_eq!(
        atr.specific_mode(),
        Some(SpecificMode { protocol: 1, may_change: false, implicit: false })
    );
    assert_eq!((atr.rate().0, atr.rate().1), (512, 16));
    assert_eq!(atr.t1().bwi, 4);
    // T=0 and T=1 offered, T=15 with class bits; WI 15.
    let atr = tolerant(&hex!("3B 80 C0 0F 81 1F 43 12"));
    assert_eq!((atr.first_protocol(), atr.offers(0), atr.offers(1)), (0, true, true));
    assert_eq!((atr.wi(), atr.t15()), (15, Some(0x43)));
    // T=14 alone: parsed, for the line to refuse.
    let atr = tolerant(&hex!("3B 80 0E 8E"));
    assert_eq!((atr.first_protocol(), atr.offers(0), atr.offers(14)), (14, false, true));
    // CRC, BWI 0, second octets for T=1 do not count.
    let atr = tolerant(&hex!("3B 80 81 F1 20 03 01 71 10 99 00 8B"));
    assert_eq!(atr.t1(), T1Params { ifsc: 0x20, bwi: 0, cwi: 3, edc: Edc::Crc });
}

#[test]
fn guard_time_with_t15_counts_in_units_of_ta1() {
    // N = 10, TA1 = 512/16; the line runs at 372/1: one unit is 512/16 of the 372 clocks of an etu.
    let atr = tolerant(&hex!("3B 50 95 0A"));
    assert_eq!(atr.guard_etu(0, 372, 1), 22);
    let atr = tolerant(&hex!("3B D0 95 0A 80 1F 03 D3"));
    assert_eq!(atr.t15(), Some(3));
    assert_eq!(atr.guard_etu(0, 372, 1), 13);
    assert_eq!(atr.guard_etu(0, 512, 16), 22);
}

/// With TCK as the exclusive-or of all but TS.
fn with_tck(octets: &[u8]) -> Vec<u8> {
    let tck = octets[1..].iter().fold(0, |sum, octet| sum ^ octet);
    [octets, &[tck]].concat()
}

#[test]
fn tck_ends_every_answer_but_those_of_t0_alone() {
    for (octets, tck) in [
        (&hex!("3B 00")[..], false),
        (&hex!("3B 80 00"), false),
        (&hex!("3B 80 80 00"), false),
        (&hex!("3B 80 01"), true),
        (&hex!("3B 80 0E"), true),
        (&hex!("3B 80 80 01"), true),
        (&hex!("3B 80 80 0F"), true),
    ] {
        let expected = if tck { Expect::More(1) } else { Expect::Complete(octets.len()) };
        assert_eq!(Atr::expect(octets), expected, "{octets:02X?}");
        let whole = if tck { with_tck(octets) } else { octets.to_vec() };
        assert!(Atr::parse(&whole, AtrPolicy::STRICT).is_ok(), "{octets:02X?}");
    }
}

#[test]
fn programming_voltages_change_nothing() {
    // TB1 of every kind, and TB2.
    for tb in 0..=0xFF {
        let atr = Atr::parse(&[0x3B, 0xA0, tb, 0x20, tb], AtrPolicy::STRICT).unwrap();
        assert_eq!(atr.rate(), (372, 1, 5_000_000));
        assert_eq!((atr.wi(), atr.extra_guard(), atr.specific_mode()), (10, 0, None));
        assert_eq!(atr.interface_octet(2, 'B'), Some(tb));
    }
}

#[test]
fn ta2_tells_protocol_change_and_implicit_parameters() {
    for (ta2, protocol, may_change, implicit) in [
        (0x80, 0, false, false),
        (0x81, 1, false, false),
        (0x00, 0, true, false),
        (0x01, 1, true, false),
        (0x91, 1, false, true),
        // reserved bits are not looked at
        (0xE1, 1, false, false),
    ] {
        let atr = tolerant(&with_tck(&[0x3B, 0x80, 0x91, ta2, 0x31, 0xFE, 0x45]));
        assert_eq!(atr.specific_mode(), Some(SpecificMode { protocol, may_change, implicit }));
    }
    assert_eq!(tolerant(&hex!("3B 80 00")).specific_mode(), None);
}

#[test]
fn the_first_protocol_is_the_first_that_is_one() {
    for (octets, first, offered) in [
        (&hex!("3B 00")[..], 0, &[0][..]),
        (&hex!("3B 80 80 01"), 0, &[0, 1]),
        (&hex!("3B 80 81 00"), 1, &[0, 1]),
        (&hex!("3B 80 8F 01"), 1, &[1]),
        (&hex!("3B 80 0F"), 0, &[0]),
        (&hex!("3B 80 0E"), 14, &[14]),
        (&hex!("3B 80 05"), 5, &[5]),
    ] {
        let atr = tolerant(&with_tck(octets));
        assert_eq!(atr.first_protocol(), first, "{octets:02X?}");
        let offers: Vec<u8> = (0..15).filter(|t| atr.offers(*t)).collect();
        assert_eq!(offers, offered, "{octets:02X?}");
    }
}

#[test]
fn only_the_first_octets_for_t1_count_and_only_from_the_third_level_on() {
    // TA2 and TB2 stand behind T=1 too, but say something else.
    let atr = tolerant(&with_tck(&hex!("3B 80 F1 81 25 0A F1 20 03 01 71 10 99 00")));
    assert_eq!(atr.t1(), T1Params { ifsc: 0x20, bwi: 0, cwi: 3, edc: Edc::Crc });
    assert_eq!(atr.wi(), 10);
    let atr = tolerant(&with_tck(&hex!("3B 80 81 01")));
    assert_eq!(atr.t1(), T1Params::default());
}

#[test]
fn octets_for_t15_are_for_all_protocols() {
    let atr = tolerant(&with_tck(&hex!("3B 80 81 B1 FE 45 3F C7 80")));
    assert_eq!((atr.t15(), atr.spu()), (Some(0xC7), Some(0x80)));
    assert_eq!(atr.t1().ifsc, 254);
    let atr = tolerant(&with_tck(&hex!("3B 80 81 31 FE 45")));
    assert_eq!((atr.t15(), atr.spu()), (None, None));
}

#[test]
fn guard_time_by_n() {
    for (n, t0, t1) in [(0, 12, 12), (2, 14, 14), (254, 266, 266), (255, 12, 11)] {
        let atr = tolerant(&[0x3B, 0x40, n]);
        assert_eq!((atr.guard_etu(0, 372, 1), atr.guard_etu(1, 372, 1)), (t0, t1), "N {n}");
    }
}

#[test]
fn historical_octets_are_as_many_as_t0_says() {
    for k in 0..=15 {
        let octets = [&[0x3B, k][..], &b"ABCDEFGHIJKLMNO"[..k.into()]].concat();
        assert_eq!(tolerant(&octets).historical().len(), k.into());
        let longer = [&octets[..], b"Z"].concat();
        assert!(tolerant(&longer).warnings().contains(AtrWarnings::TRAILING));
        if k > 0 {
            let short = &octets[..octets.len() - 1];
            assert_eq!(Atr::parse(short, AtrPolicy::TOLERANT), Err(AtrError::Short));
        }
    }
}

#[test]
fn oddities_are_warnings_or_errors_by_policy() {
    let table: &[(&[u8], AtrWarnings)] = &[
        (&hex!("3B 80 01 FF"), AtrWarnings::WRONG_TCK),
        (&hex!("3B 80 01"), AtrWarnings::NO_TCK),
        (&hex!("3B 80 01 81 00 00"), AtrWarnings::TRAILING),
        (&hex!("3B 00 AA"), AtrWarnings::TRAILING),
        (&hex!("3B 80 1F 03 9C"), AtrWarnings::ORDER),
        (&hex!("3B 80 81 00 01"), AtrWarnings::ORDER),
        (&hex!("3B 10 71"), AtrWarnings::RESERVED_RATE),
        (&hex!("3B 10 10"), AtrWarnings::RESERVED_RATE),
        (&hex!("3B 80 40 00"), AtrWarnings::RESERVED_WI),
        (&hex!("3B 80 81 11 FF EF"), AtrWarnings::RESERVED_IFSC),
        (&hex!("3B 80 81 11 00 10"), AtrWarnings::RESERVED_IFSC),
        (&hex!("3B 80 81 21 A5 85"), AtrWarnings::RESERVED_BWI),
    ];
    for (octets, warning) in table {
        let atr = tolerant(octets);
        assert!(atr.warnings().contains(*warning), "{octets:02X?}: {}", atr.warnings());
        assert!(!warning.to_string().is_empty());
        match Atr::parse(octets, AtrPolicy::STRICT) {
            Err(AtrError::Refused(why)) => assert!(why.contains(*warning)),
            other => panic!("{octets:02X?} {other:?}"),
        }
    }
    assert_eq!(tolerant(&hex!("3B 80 81 11 FF EF")).t1().ifsc, 32);
    assert_eq!(tolerant(&hex!("3B 10 71")).rate().0, 372);
    assert_eq!(tolerant(&hex!("3B 80 01 81 00 00")).octets(), hex!("3B 80 01 81"));
}

#[test]
fn what_is_no_answer_to_reset_is_refused() {
    let overlong = [&hex!("3B FF")[..], &[0xFF; 60]].concat();
    let table: &[(&[u8], AtrError)] = &[
        (&[], AtrError::Short),
        (&hex!("3B"), AtrError::Short),
        (&hex!("3B 02 41"), AtrError::Short),
        (&hex!("3B 80"), AtrError::Short),
        (&hex!("AA 00"), AtrError::Ts(0xAA)),
        (&hex!("03 00"), AtrError::Ts(0x03)),
        (&overlong, AtrError::Overlong),
    ];
    for (octets, error) in table {
        assert_eq!(Atr::parse(octets, AtrPolicy::TOLERANT), Err(*error), "{octets:02X?}");
    }
}

#[test]
fn the_end_shows_in_the_content() {
    let octets = hex!("3B 95 18 81 31 FE 55 53 54 42 43 41 00");
    for len in 0..octets.len() {
        assert!(matches!(Atr::expect(&octets[..len]), Expect::More(_)), "{len}");
    }
    assert_eq!(Atr::expect(&octets), Expect::Complete(13));
    assert_eq!(Atr::expect(&hex!("3B 00 AA")), Expect::Complete(2));
    assert_eq!(Atr::expect(&[&hex!("3B FF")[..], &[0xFF; 60]].concat()), Expect::Overlong);
}

proptest! {
    #[test]
    fn random_octets_do_not_panic(
        octets in prop::collection::vec(any::<u8>(), 0..60),
        ts in prop::sample::select(vec![0x3B, 0x3F, 0x00]),
    ) {
        let octets = [vec![ts], octets].concat();
        let expect = Atr::expect(&octets);
        if let Ok(atr) = Atr::parse(&octets, AtrPolicy::TOLERANT) {
            prop_assert!(atr.octets().len() <= Atr::MAX_LEN);
            let _ = (atr.rate(), atr.guard_etu(0, 372, 1), atr.guard_etu(1, 1, 0), atr.t1());
            // What was taken in is what the structure said.
            if let Expect::Complete(len) = expect {
                prop_assert_eq!(atr.octets(), &octets[..len]);
            }
            if Atr::parse(&octets, AtrPolicy::STRICT).is_ok() {
                prop_assert!(atr.warnings().is_empty());
            }
        }
    }

    /// However it is split, collecting octet by octet ends exactly where the structure ends.
    #[test]
    fn collecting_ends(octets in prop::collection::vec(any::<u8>(), 1..80)) {
        let mut len = 1;
        loop {
            match Atr::expect(&octets[..len]) {
                Expect::More(more) => {
                    prop_assert!(more >= 1);
                    prop_assert!(len < Atr::MAX_LEN);
                    len += 1;
                    if len > octets.len() {
                        break;
                    }
                }
                Expect::Complete(total) => {
                    prop_assert_eq!(total, len);
                    break;
                }
                Expect::Overlong => break,
            }
        }
    }
}

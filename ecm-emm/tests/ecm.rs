// SPDX-License-Identifier: Apache-2.0
//! ECM and offer: round trips, damage and limits.

use crate::values::{epoch, event, fen, key, octets, operator, package, relabelled, suite, time};
use cam_types::{CasTime, ChannelId, DecodeError, Epoch, OperatorId, PackageId, Secret, Slot};
use ecm_emm::ecm::{
    Blackout, Cci, ControlWords, Criteria, Ecm, EcmBody, EcmHeader, EcmKind, Fingerprint, MAX_ECM,
    Ppt, Ppv, Rating, Regions,
};
use ecm_emm::suite::Suite;
use ecm_emm::{EncodeError, OpenError};
use hex_literal::hex;
use proptest::prelude::*;

fn cw() -> impl Strategy<Value = ControlWords> {
    prop_oneof![
        Just(ControlWords::None),
        any::<([u8; 8], [u8; 8])>().prop_map(|(even, odd)| ControlWords::Cw64 {
            even: Secret::new(even),
            odd: Secret::new(odd)
        }),
        any::<([u8; 16], [u8; 16])>().prop_map(|(even, odd)| ControlWords::Cw128 {
            even: Secret::new(even),
            odd: Secret::new(odd)
        }),
    ]
}

fn ppv() -> impl Strategy<Value = Ppv> {
    (event(), fen(), any::<u8>(), any::<u32>(), 1..=u32::MAX, any::<u8>()).prop_map(
        |(event, price, tier, start, length, preview_s)| {
            let start = CasTime::new(start.min(u32::MAX - 1));
            Ppv { event, price, tier, start, end: start.saturating_add(length), preview_s }
        },
    )
}

fn criteria() -> impl Strategy<Value = Criteria> {
    (
        prop::collection::vec(package(), 0..=6),
        prop::option::of(ppv()),
        any::<bool>(),
        prop::option::of((event(), fen(), 300_u16..)),
        prop::option::of(any::<u16>().prop_map(Blackout)),
        prop::option::of(any::<(u8, u8)>()),
        prop::option::of((epoch(), time())),
        prop::option::of((1_u16.., time())),
    )
        .prop_map(
            |(packages, ppv, free, ppt, blackout, fingerprint, next_epoch, floor_ahead)| Criteria {
                packages,
                ppv,
                free,
                ppt: ppt.map(|(event, price, slice_s)| Ppt { event, price, slice_s }),
                blackout,
                fingerprint: fingerprint.map(|(flags, seconds)| Fingerprint { flags, seconds }),
                next_epoch,
                floor_ahead,
            },
        )
}

fn body() -> impl Strategy<Value = EcmBody> {
    (any::<(u16, u8, u8, u16, u16)>(), time(), cw(), criteria()).prop_map(
        |((channel, cci, rating, regions, emm_floor), time, cw, criteria)| EcmBody {
            channel: ChannelId::new(channel),
            time,
            cci: Cci(cci),
            rating: Rating(rating),
            regions: Regions(regions),
            emm_floor,
            cw,
            criteria,
        },
    )
}

fn header() -> impl Strategy<Value = EcmHeader> {
    (suite(), operator(), 0..16_u8, epoch(), any::<u32>()).prop_map(
        |(suite, operator, slot, epoch, cp_number)| EcmHeader {
            kind: EcmKind::Offer,
            suite,
            operator,
            slot: Slot::new(slot),
            epoch,
            cp_number,
        },
    )
}

fn sealed(header: EcmHeader, body: &EcmBody) -> (EcmHeader, Vec<u8>) {
    let header = EcmHeader { kind: body.cw.kind(), ..header };
    let mut out = Vec::new();
    body.seal(&header, &key(header.suite, 1), &mut out).unwrap();
    (header, out)
}

/// The smallest useful ECM: two short control words and one package.
fn small() -> (EcmHeader, EcmBody) {
    let header = EcmHeader {
        kind: EcmKind::Cw64,
        suite: Suite::Cmac128,
        operator: OperatorId::new(0x1201),
        slot: Slot::new(1),
        epoch: Epoch::new(1),
        cp_number: 3,
    };
    let body = EcmBody {
        channel: ChannelId::new(0x0101),
        time: CasTime::new(1000),
        cci: Cci(0),
        rating: Rating(0),
        regions: Regions::ALL,
        emm_floor: 0,
        cw: ControlWords::Cw64 { even: Secret::new([1; 8]), odd: Secret::new([2; 8]) },
        criteria: Criteria { packages: vec![PackageId::new(1)], ..Criteria::default() },
    };
    (header, body)
}

proptest! {
    #[test]
    fn what_is_sealed_opens(header in header(), body in body()) {
        let (header, section) = sealed(header, &body);
        prop_assert!(section.len() <= MAX_ECM);
        let ecm = Ecm::parse(&section).unwrap();
        prop_assert_eq!(ecm.header, header);
        prop_assert_eq!(ecm.aad.as_slice(), &section[..13]);
        prop_assert_eq!(ecm.open(&key(header.suite, 1)), Ok(body));
        prop_assert_eq!(ecm.open(&key(header.suite, 2)), Err(OpenError::Authentication));
    }

    #[test]
    fn plaintexts_are_canonical(body in body()) {
        let mut plain = Vec::new();
        body.emit(&mut plain).unwrap();
        let parsed = EcmBody::parse(body.cw.kind(), &plain).unwrap();
        let mut again = Vec::new();
        parsed.emit(&mut again).unwrap();
        prop_assert_eq!(&parsed, &body);
        prop_assert_eq!(again, plain);
    }

    /// T24: the parser behind the seal sees anything at all.
    #[test]
    fn noise_never_panics(section in octets(0..300), plain in octets(0..200), table in 0x80..=0x88_u8) {
        let _ = Ecm::parse(&section);
        for kind in [EcmKind::Cw64, EcmKind::Cw128, EcmKind::Offer] {
            let _ = EcmBody::parse(kind, &plain);
        }
        let mut framed = section;
        framed.splice(0..0, [table, 0x70, 0, 0x12]);
        if let Ok(ecm) = Ecm::parse(&relabelled(framed)) {
            prop_assert!(ecm.open(&key(ecm.header.suite, 1)).is_err());
        }
    }
}

/// T11: every flipped bit is refused, but for the three bits of octet 1 that differ from system to
/// system and are not looked at.
#[test]
fn every_flipped_bit() {
    for suite in Suite::ALL {
        let (header, body) = small();
        let (header, good) = sealed(EcmHeader { suite, ..header }, &body);
        for bit in 0..good.len() * 8 {
            let mut section = good.clone();
            section[bit / 8] ^= 0x80 >> (bit % 8);
            let opened = Ecm::parse(&section).map(|ecm| ecm.open(&key(header.suite, 1)));
            match bit {
                9..=11 => assert_eq!(opened, Ok(Ok(body.clone())), "bit {bit}"),
                _ => assert!(!matches!(opened, Ok(Ok(_))), "bit {bit} of suite {suite:?}"),
            }
        }
    }
}

/// T11: every truncation and extension is refused, with the old length and with one that fits.
#[test]
fn every_other_length() {
    for suite in Suite::ALL {
        let (header, body) = small();
        let (header, good) = sealed(EcmHeader { suite, ..header }, &body);
        let opens = |section: &[u8]| {
            Ecm::parse(section).is_ok_and(|ecm| ecm.open(&key(header.suite, 1)).is_ok())
        };
        assert!(opens(&good));
        for len in (0..=MAX_ECM + 10).filter(|len| *len != good.len()) {
            let mut section = good.clone();
            section.resize(len, 0);
            assert!(!opens(&section), "{len}");
            assert!(!opens(&relabelled(section)), "{len}, relabelled");
        }
    }
}

/// Source: the sizes in the protocol's first plan.
#[test]
fn sizes() {
    let (header, mut body) = small();
    let size = |body: &EcmBody| sealed(header, body).1.len();
    body.criteria.packages = (1..=4).map(PackageId::new).collect();
    assert_eq!(size(&body), 67);
    let event = cam_types::EventId::new(1);
    let price = cam_types::Fen::new(1200);
    let (start, end) = (CasTime::new(1), CasTime::new(2));
    body.criteria.ppv = Some(Ppv { event, price, tier: 1, start, end, preview_s: 0 });
    assert_eq!(size(&body), 87);
    body.cw = ControlWords::Cw128 { even: Secret::new([1; 16]), odd: Secret::new([2; 16]) };
    assert_eq!(size(&body), 103);
    body.criteria.packages = (1..=16).map(PackageId::new).collect();
    body.criteria.ppt = Some(Ppt { event, price, slice_s: 300 });
    assert_eq!(size(&body), 139);
    body.criteria.packages = (1..=39).map(PackageId::new).collect();
    let too_long = EncodeError::TooLong { message: "ECM", octets: 185, limit: 183 };
    let mut out = vec![0xAA];
    assert_eq!(
        body.seal(&EcmHeader { kind: EcmKind::Cw128, ..header }, &key(header.suite, 1), &mut out),
        Err(too_long)
    );
    assert_eq!(out, [0xAA]);
}

#[test]
fn elements_of_the_criteria() {
    let fixed = hex!("0101 000003E8 00 00 FFFF 0000");
    let parse = |elements: &[u8]| {
        EcmBody::parse(EcmKind::Offer, &[&fixed[..], elements].concat()).map(|body| body.criteria)
    };
    let free = Criteria { free: true, ..Criteria::default() };
    assert_eq!(parse(&[]), Ok(Criteria::default()));
    assert_eq!(parse(&hex!("03 00")), Ok(free.clone()));
    assert_eq!(parse(&hex!("83 00")), Ok(free.clone()));
    // Unknown: passed over, unless it is critical.
    assert_eq!(parse(&hex!("7F 03 010203 03 00")), Ok(free));
    assert_eq!(parse(&hex!("FF 00 03 00")), Err(DecodeError::Unknown { tag: 0xFF }));
    assert_eq!(parse(&hex!("87 00")), Err(DecodeError::Unknown { tag: 0x87 }));
    for refused in [
        &hex!("03 01 00")[..],
        &hex!("03 00 83 00"),
        &hex!("01 00"),
        &hex!("01 03 000100"),
        &hex!("01 02 00"),
        &hex!("01"),
        &hex!("02 11 00000001 00000001 01 00000001 00000002"),
        &hex!("02 12 00000001 00000001 01 00000002 00000002 00"),
        &hex!("04 0A 00000001 00000001 012B"),
        &hex!("05 01 00"),
        &hex!("06 03 000000"),
        &hex!("08 05 0002 000000"),
    ] {
        assert!(parse(refused).is_err(), "{refused:02X?}");
    }
}

#[test]
fn headers_that_contradict_themselves() {
    let (header, body) = small();
    let (_, good) = sealed(header, &body);
    for (octet, value) in [
        (0, 0x80), // even table, odd crypto period
        (0, 0x82),
        (0, 0x88), // offer table, control words
        (1, 0xF0),
        (3, 0x02),
        (3, 0x22),
        (3, 0x11), // the purse's suite
        (3, 0x14),
        (6, 0x12), // offer flag, ECM table
        (6, 0x13),
        (6, 0x14),
    ] {
        let mut section = good.clone();
        section[octet] = value;
        assert!(Ecm::parse(&section).is_err(), "octet {octet} = {value:02X}");
    }
    let mut out = Vec::new();
    let refusal =
        |header: EcmHeader, out: &mut Vec<u8>| body.seal(&header, &key(Suite::Cmac128, 1), out);
    let offer = EcmHeader { kind: EcmKind::Offer, ..header };
    assert_eq!(refusal(offer, &mut out), Err(EncodeError::Invalid("control words")));
    let slot = EcmHeader { slot: Slot::new(16), ..header };
    assert_eq!(refusal(slot, &mut out), Err(EncodeError::Invalid("slot")));
    let suite = EcmHeader { suite: Suite::Hmac, ..header };
    assert_eq!(refusal(suite, &mut out), Err(EncodeError::Invalid("suite")));
    assert!(out.is_empty());
}

/// T21, T23: a key opens nothing of another suite, slot, operator or generation.
#[test]
fn keys_do_not_mix() {
    let (header, body) = small();
    let (_, good) = sealed(header, &body);
    let ecm = Ecm::parse(&good).unwrap();
    assert_eq!(ecm.open(&key(Suite::Cmac256, 1)), Err(OpenError::Suite));
    assert_eq!(ecm.open(&key(Suite::Hmac, 1)), Err(OpenError::Suite));
    for other in [
        EcmHeader { slot: Slot::new(2), ..header },
        EcmHeader { operator: OperatorId::new(0x1202), ..header },
        EcmHeader { epoch: Epoch::new(2), ..header },
    ] {
        let (_, section) = sealed(other, &body);
        let mut spliced = section[..13].to_vec();
        spliced.extend_from_slice(&good[13..]);
        let refused = Ecm::parse(&spliced).unwrap().open(&key(Suite::Cmac128, 1));
        assert_eq!(refused, Err(OpenError::Authentication));
    }
}

#[test]
fn bits_of_the_fields() {
    assert_eq!(Cci(0x0F).copy_control(), 3);
    assert_eq!(Cci(0x0F).analogue_protection(), 3);
    assert!(Cci(0x10).redistribution_barred() && !Cci(0x0F).redistribution_barred());
    let allowed = [0, 1, 2, 3].map(|cci| Cci(cci).recording_allowed());
    assert_eq!(allowed, [true, false, true, false]);
    assert_eq!(
        [0, 1, 15, 16].map(|r| Rating(r).minimum_age()),
        [None, Some(4), Some(18), Some(18)]
    );
    assert!(Regions(0x0001).contains(0) && !Regions(0x0001).contains(1));
    assert!(Regions(0x8000).contains(15) && !Regions::ALL.contains(16));
    assert!(Blackout(0x0002).contains(1) && !Blackout(0x0002).contains(0));
    assert!(Blackout(0).contains(16));
    let cw = ControlWords::Cw64 { even: Secret::new([1; 8]), odd: Secret::new([2; 8]) };
    let (even, odd) = cw.blocks().unwrap();
    assert_eq!(even.expose(), &hex!("0101010101010101 0000000000000000"));
    assert_eq!(odd.expose(), &hex!("0202020202020202 0000000000000000"));
}

// SPDX-License-Identifier: Apache-2.0
//! The card commands' data: round trips, sizes and refusals.

use crate::values::{epoch, event, fen, octets, operator, time};
use cam_types::{BcdDate, BcdTime, Fen, Pseudonym, TerminalId, TerminalSequence};
use ecm_emm::card::{
    AccessState, AccessStatus, CardInfo, EcmAnswer, EmmDetail, EmmOutcome, EmmResult,
    HighestNumber, KeyInfo, Offer, OpenedBy, OperatorInfo, PinAnswer, PinBlock, PinError,
    PurchaseAnswer, PurchaseRequest, PurchaseResult, PurchaseState, Remedy, ReportRequest,
    RightRow, RightsPage, SlotInfo, WalletInfo, WindowInfo, pairing_key_version,
};
use ecm_emm::ecm::{Cci, Rating};
use hex_literal::hex;
use proptest::prelude::*;

fn offer() -> impl Strategy<Value = Offer> {
    (1..=2_u8, event(), fen(), any::<u8>(), time(), time(), any::<u16>()).prop_map(
        |(kind, event, price, preview_s, start, end, slice_s)| Offer {
            kind,
            event,
            price,
            preview_s,
            start,
            end,
            slice_s,
        },
    )
}

fn windows() -> impl Strategy<Value = Vec<WindowInfo>> {
    let window = (any::<(u8, u8)>(), epoch(), any::<u32>())
        .prop_map(|((role, index), epoch, hi)| WindowInfo { role, index, epoch, hi });
    prop::collection::vec(window, 0..5)
}

fn slots() -> impl Strategy<Value = Vec<SlotInfo>> {
    let slot = (0..16_u8, any::<u8>(), epoch(), epoch(), epoch()).prop_map(
        |(slot, suite, active, newest, floor)| SlotInfo {
            slot,
            suite,
            key: KeyInfo { active, newest, floor },
        },
    );
    prop::collection::vec(slot, 0..5)
}

/// What stands behind flag b4, and the flags that nobody has given a meaning.
#[test]
fn an_ecm_answer_with_elements_that_are_not_as_written_is_malformed() {
    for (name, answer) in [
        ("no element follows", &hex!("05 10 00 00")[..]),
        ("a tag alone", &hex!("30 10 00 00 10")[..]),
        ("cut", &hex!("30 10 00 00 10 09 01 00000001 000000")[..]),
        ("too short", &hex!("30 10 00 00 10 08 01 00000001 000000")[..]),
        ("too long", &hex!("30 10 00 00 10 0A 01 00000001 00000002 00")[..]),
        ("twice", &hex!("30 10 00 00 10 09 01 00000001 00000002 10 09 01 00000001 00000002")[..]),
        ("unknown and cut", &hex!("30 10 00 00 7F 02 00")[..]),
        ("without the flag", &hex!("30 00 00 00 10 09 01 00000001 00000002")[..]),
        ("flag b5", &hex!("30 20 00 00")[..]),
        ("flag b6", &hex!("30 40 00 00")[..]),
        ("flag b7", &hex!("30 80 00 00")[..]),
    ] {
        assert!(EcmAnswer::parse(answer).is_err(), "{name}");
    }
}

proptest! {
    #[test]
    fn ecm_answers(
        status in any::<u8>(), flags in 0..32_u8, cci in any::<u8>(), rating in any::<u8>(),
        ecw in any::<([u8; 16], [u8; 16])>(), offer in prop::option::of(offer()),
        opened_by in prop::option::of((any::<u8>(), any::<u32>(), time())), update_by in prop::option::of(time()),
    ) {
        let status = AccessStatus(status);
        let answer = EcmAnswer {
            status, flags: flags & !(EcmAnswer::OFFER | EcmAnswer::ELEMENTS), cci: Cci(cci), rating: Rating(rating),
            ecw: status.has_ecw().then_some(ecw), offer,
            opened_by: opened_by.map(|(kind, id, end)| OpenedBy { kind, id, end }), update_by,
        };
        let mut out = Vec::new();
        answer.emit(&mut out);
        let expected = 4 + answer.ecw.map_or(0, |_| 32) + answer.offer.map_or(0, |_| 20)
            + answer.opened_by.map_or(0, |_| 11) + answer.update_by.map_or(0, |_| 6);
        prop_assert_eq!(out.len(), expected);
        prop_assert_eq!(EcmAnswer::parse(&out), Ok(answer));
        prop_assert!(EcmAnswer::parse(&out[..out.len() - 1]).is_err());
        out.push(0);
        prop_assert!(EcmAnswer::parse(&out).is_err());
    }

    #[test]
    fn purchases(
        sequence in any::<u32>(), terminal in any::<[u8; 6]>(), price in fen(), section in octets(1..=183),
        answer in any::<(u8, u8, u16, [u8; 4], [u8; 3], [u8; 4], [u8; 8])>(), amount in fen(), balance in fen(),
    ) {
        for (flags, section) in [(0, section.as_slice()), (PurchaseRequest::QUERY, &[])] {
            let request = PurchaseRequest {
                terminal_sequence: TerminalSequence::new(sequence), terminal: TerminalId::new(terminal),
                expected_price: price, flags, section,
            };
            let mut out = Vec::new();
            request.emit(&mut out).unwrap();
            prop_assert_eq!(out.len(), 15 + section.len());
            prop_assert_eq!(PurchaseRequest::parse(&out), Ok(request));
        }
        let (result, state, offline_sequence, date, time, tac, receipt) = answer;
        let answer = PurchaseAnswer {
            result: PurchaseResult(result), state: PurchaseState(state), offline_sequence, amount,
            date: BcdDate(date), time: BcdTime(time), balance, tac, receipt,
        };
        let mut out = Vec::new();
        answer.emit(&mut out);
        prop_assert_eq!(out.len(), PurchaseAnswer::LEN);
        prop_assert_eq!(PurchaseAnswer::parse(&out), Ok(answer));
    }

    #[test]
    fn card_information(
        head in any::<(u16, [u8; 8], bool, u8, u8)>(),
        operators in prop::collection::vec((operator(), any::<(u16, u16)>()), 0..=4),
        groups in prop::collection::vec(any::<(u8, u32)>(), 0..=8),
        slots in slots(), windows in windows(), now in time(), sync in time(),
        unknown in (9_u8.., octets(0..20)), report in prop::option::of(any::<([u8; 8], u16)>()),
    ) {
        let (version, pseudonym, blocked, pairing_slots, pin_tries) = head;
        let operators = operators.into_iter().map(|(operator, (suites_allowed, emm_level))| {
            OperatorInfo { operator, suites_allowed, emm_level }
        }).collect();
        let info = CardInfo {
            version, pseudonym: Pseudonym::new(pseudonym), blocked, pairing_slots, pin_tries,
            operators, groups, slots, windows, now, sync,
            report: report.map(|(nonce, from)| ReportRequest { nonce, from }),
        };
        let mut out = Vec::new();
        info.emit(&mut out).unwrap();
        prop_assert!(out.len() <= CardInfo::MAX_LEN);
        let (tag, value) = unknown;
        out.extend([tag, value.len() as u8]);
        out.extend(value);
        prop_assert_eq!(CardInfo::parse(&out), Ok(info));
    }

    #[test]
    fn rights(
        rows in prop::collection::vec((any::<(u8, u8, u32, u8, u8)>(), time(), time()), 0..=14),
        next in prop::option::of(0..0xFF_u8), balance in fen(), sequences in any::<(u16, u16)>(),
        limits in (fen(), fen()),
    ) {
        let rows = rows.into_iter().map(|((kind, slot, id, tier, flags), start, end)| {
            RightRow { kind, slot, id, tier, start, end, flags }
        }).collect();
        let page = RightsPage { next, rows };
        let mut out = Vec::new();
        page.emit(&mut out).unwrap();
        prop_assert!(out.len() <= 239);
        prop_assert_eq!(RightsPage::parse(&out), Ok(page));
        let wallet = WalletInfo {
            balance, offline_sequence: sequences.0, online_sequence: sequences.1,
            pin_free_per_purchase: limits.0, pin_free_per_day: limits.1,
        };
        let mut out = Vec::new();
        wallet.emit(&mut out);
        prop_assert_eq!(out.len(), WalletInfo::LEN);
        prop_assert_eq!(WalletInfo::parse(&out), Ok(wallet));
        for known in [None, Some(TerminalSequence::new(balance.fen()))] {
            let mut out = Vec::new();
            HighestNumber(known).emit(&mut out);
            prop_assert_eq!(out.len(), HighestNumber::LEN);
            prop_assert_eq!(HighestNumber::parse(&out), Ok(HighestNumber(known)));
            out[0] += 2;
            prop_assert!(HighestNumber::parse(&out).is_err());
        }
    }

    /// A newer card says more, before or behind what is known: an older box passes over it.
    #[test]
    fn unknown_elements_of_an_ecm_answer_are_passed_over(
        tag in any::<u8>().prop_filter("known", |tag| !matches!(*tag, 0x10 | 0x15)), value in octets(0..100), first in any::<bool>(),
        id in any::<u32>(), end in time(),
    ) {
        let opened_by = Some(OpenedBy { kind: 1, id, end });
        let plain = EcmAnswer::refusal(AccessStatus::GRANTED_FREE, Cci(0), Rating(0));
        let answer = EcmAnswer { opened_by, ecw: Some(([1; 16], [2; 16])), ..plain };
        let mut out = Vec::new();
        answer.emit(&mut out);
        let known = out.split_off(36);
        let new = [&[tag, value.len() as u8], value.as_slice()].concat();
        let both = if first { [&new[..], &known] } else { [&known[..], &new] };
        for octets in both {
            out.extend(octets);
        }
        prop_assert_eq!(EcmAnswer::parse(&out), Ok(answer));
        prop_assert!(EcmAnswer::parse(&out[..out.len() - 1]).is_err());
    }

    /// A newer card says more behind its two octets, whatever it is: an older box passes over it.
    /// Of a list that ends inside an element nothing is taken.
    #[test]
    fn unknown_elements_of_an_emm_answer_are_passed_over(
        outcome in any::<u8>(), detail in any::<u8>(),
        elements in prop::collection::vec((any::<u8>(), octets(0..60)), 0..4),
    ) {
        let result = EmmResult::new(EmmOutcome(outcome), EmmDetail(detail));
        let mut out = Vec::new();
        result.emit(&mut out);
        let mut whole = vec![out.len()];
        for (tag, value) in elements {
            out.extend([tag, value.len() as u8]);
            out.extend(value);
            whole.push(out.len());
        }
        for len in 0..=out.len() {
            let expected = whole.contains(&len).then_some(result);
            prop_assert_eq!(EmmResult::parse(&out[..len]).ok(), expected, "{} octets", len);
        }
    }

    #[test]
    fn noise_never_panics(noise in octets(0..260)) {
        let _ = EcmAnswer::parse(&noise);
        let _ = EmmResult::parse(&noise);
        let _ = PurchaseRequest::parse(&noise);
        let _ = PurchaseAnswer::parse(&noise);
        let _ = RightsPage::parse(&noise);
        let _ = WalletInfo::parse(&noise);
        let _ = PinAnswer::parse(&noise);
        let _ = PinBlock::from_ascii(&noise);
        if let Some(block) = noise.first_chunk::<8>() {
            let _ = PinBlock::parse(block);
        }
        if let Ok(info) = CardInfo::parse(&noise) {
            prop_assert!(info.operators.len() <= CardInfo::MAX_OPERATORS);
            prop_assert!(info.windows.len() <= CardInfo::MAX_WINDOWS);
        }
    }

    #[test]
    fn pins(digits in "[0-9]{4,12}") {
        let block = PinBlock::from_ascii(digits.as_bytes()).unwrap();
        prop_assert_eq!(PinBlock::parse(block.expose()), Ok(block));
    }
}

/// Source: ISO 9564-1, format 2.
#[test]
fn pin_blocks() {
    for (digits, block) in [
        ("1234", hex!("241234FFFFFFFFFF")),
        ("12345", hex!("2512345FFFFFFFFF")),
        ("12345678", hex!("2812345678FFFFFF")),
        ("123456789012", hex!("2C123456789012FF")),
    ] {
        let pin = PinBlock::from_ascii(digits.as_bytes()).unwrap();
        assert_eq!(pin.expose(), &block, "{digits}");
    }
    for (digits, refused) in [
        ("123", PinError::Length(3)),
        ("", PinError::Length(0)),
        ("1234567890123", PinError::Length(13)),
        ("12a4", PinError::NotADigit),
    ] {
        assert_eq!(PinBlock::from_ascii(digits.as_bytes()), Err(refused));
    }
    for block in [
        hex!("141234FFFFFFFFFF"),
        hex!("231234FFFFFFFFFF"),
        hex!("2D1234FFFFFFFFFF"),
        hex!("24123AFFFFFFFFFF"),
        hex!("241234FFFFFFFFF0"),
    ] {
        assert!(PinBlock::parse(&block).is_err());
    }
    assert_eq!(format!("{:?}", PinBlock::from_ascii(b"1234")), "Ok(PinBlock(Secret { .. }))");
}

#[test]
fn small_answers() {
    let mut out = Vec::new();
    PinAnswer { right: false, tries: 2 }.emit(&mut out);
    assert_eq!(out, [1, 2]);
    assert_eq!(PinAnswer::parse(&out), Ok(PinAnswer { right: false, tries: 2 }));
    assert!(PinAnswer::parse(&[2, 2]).is_err());
    let mut out = Vec::new();
    EmmResult::refused(EmmDetail::PERMISSION).emit(&mut out);
    assert_eq!(out, [4, 1]);
    let refused = EmmResult::new(EmmOutcome::REFUSED, EmmDetail::PERMISSION);
    assert_eq!(EmmResult::parse(&out), Ok(refused));
    assert_eq!(
        (0..=4).map(|n| EmmOutcome(n).to_string()).collect::<Vec<_>>(),
        ["applied", "duplicate", "stale", "later", "refused"]
    );
    let answer = PurchaseAnswer::refusal(PurchaseResult::FUNDS, Fen::new(500));
    let mut out = Vec::new();
    answer.emit(&mut out);
    assert_eq!(out, hex!("19 00 0000 00000000 00000000 000000 000001F4 00000000 0000000000000000"));
    assert!(PurchaseResult::FUNDS.is_refusal() && !PurchaseResult::FUNDS.has_record());
    assert!(PurchaseResult::DONE.has_record() && !PurchaseResult::NONE.is_refusal());
    let versions = [0, 1, 2, 3, 4].map(pairing_key_version);
    assert_eq!(versions, [Some(0x3F), Some(0x3E), Some(0x3D), Some(0x3C), None]);
}

#[test]
fn requests_that_contradict_themselves() {
    let head = hex!("00000001 112233445566 000004B0");
    let parse = |tail: &[u8]| PurchaseRequest::parse(&[&head[..], tail].concat()).is_ok();
    assert!(parse(&hex!("00 80")));
    assert!(parse(&hex!("01")));
    assert!(!parse(&hex!("00")));
    assert!(!parse(&hex!("01 80")));
    assert!(!parse(&hex!("02 80")));
    assert!(!parse(&[0; 185]));
    assert!(!parse(&[]));
}

#[test]
fn statuses() {
    for number in 0..=0xFF {
        let status = AccessStatus(number);
        let named = AccessStatus::ALL.contains(&status);
        assert_eq!(status.name().is_some(), named, "{number:02X}");
        assert_eq!(status.text().is_some(), named, "{number:02X}");
        assert_eq!(status.to_string().starts_with("access status"), !named);
        let [english, chinese] = [None, Some("zh")].map(|language| status.shown(language));
        assert_eq!(english == c"not available", !named, "{number:02X}");
        assert!(chinese.to_str().is_ok_and(|text| !text.is_empty() && !text.is_ascii()));
        let refused = matches!(AccessState::of(status), AccessState::Denied | AccessState::Technical)
                // Of the card's state, never of a session's access.
                && status != AccessStatus::CARD_READY;
        let done = status.remedy() == Remedy::None;
        let open = [AccessStatus::PENDING, AccessStatus::PURCHASABLE].contains(&status);
        assert_eq!(done, !refused && !open, "{number:02X}");
    }
    assert!(AccessStatus::ALL.is_sorted_by_key(|status| status.0));
    assert_eq!(AccessStatus::RATING.to_string(), "parental rating");
    assert_eq!(AccessStatus(0x77).to_string(), "access status 0x77");
    let purchasable = AccessStatus::PURCHASABLE;
    assert_eq!([purchasable.remedy(), purchasable.remedy_with_pin()], [Remedy::Money, Remedy::Pin]);
    assert_eq!(AccessStatus::FUNDS.remedy_with_pin(), Remedy::Money);
}

// SPDX-License-Identifier: Apache-2.0
//! No number stands for "none": what is numbered from 1 on has no 0, on the air or in the factory.

use ecm_emm::card::{AccessStatus, EmmDetail, EmmResult, PurchaseResult};
use system_tests::demo::*;
use vcard::{Card, Personalisation};

/// An ECM of Cinema with this element as its only one, sealed without asking whether it may be.
fn raw_ecm(criteria: &[u8]) -> Vec<u8> {
    let genuine = cinema(EVENT, NOON);
    let parsed = ecm_emm::ecm::Ecm::parse(&genuine).unwrap();
    let mut plain = 0x0101_u16.to_be_bytes().to_vec();
    plain.extend(NOON.to_be_bytes());
    plain.extend([0x0F, 0, 0xFF, 0xFF, 0, 0]);
    plain.extend([0xC5; 16]);
    plain.extend(criteria);
    let mut section = parsed.aad.to_vec();
    section[2] = (parsed.aad.len() - 3 + 16 + plain.len()) as u8;
    let aad = section.clone();
    key(CINEMA).seal(&parsed.header.key_context(), &aad, &plain, &mut section);
    section
}

fn ppv_octets(event: u32) -> Vec<u8> {
    let mut octets = vec![0x02, 18];
    octets.extend(event.to_be_bytes());
    octets.extend(PRICE.to_be_bytes());
    octets.push(1);
    octets.extend(NOON.to_be_bytes());
    octets.extend(NOON.saturating_add(3600).to_be_bytes());
    octets.push(0);
    octets
}

fn ppt_octets(event: u32) -> Vec<u8> {
    let mut octets = vec![0x04, 10];
    octets.extend(event.to_be_bytes());
    octets.extend(PRICE.to_be_bytes());
    octets.extend(600_u16.to_be_bytes());
    octets
}

/// T30: an event without a number is not sold: its purchase could not be asked after, and its
/// record would be a load's.
#[test]
fn event_0_is_not_sold() {
    for element in [ppv_octets, ppt_octets] {
        let mut card = card();
        let mut stb = Stb::open(&mut card);
        let commits = card.status().commits;
        let section = raw_ecm(&element(0));
        assert_eq!(stb.ecm(&mut card, &section).status, AccessStatus::MALFORMED_ECM);
        let refused = stb.buy(&mut card, 1, &section).unwrap();
        assert_eq!(refused.result, PurchaseResult::MALFORMED);
        assert_eq!(card.status().commits, commits + 2, "the PIN's tries, down and up again");
        // The same with a number is sold, and found again.
        let section = raw_ecm(&element(1));
        assert_eq!(stb.ecm(&mut card, &section).status, AccessStatus::PURCHASABLE);
        assert_eq!(stb.buy(&mut card, 2, &section).unwrap().result, PurchaseResult::PAID);
        assert_eq!(stb.query(&mut card, 2).result, PurchaseResult::DONE);
    }
}

/// T9, T22, T31: nor does a message name event, top-up or generation 0.
#[test]
fn messages_name_nothing_by_0() {
    let end = NOON.saturating_add(3600).to_be_bytes();
    let grant = |event: u32| [&[0x12, 9][..], &event.to_be_bytes(), &[1], &end].concat();
    let refund = |event: u32| [&[0x31, 10][..], &event.to_be_bytes(), &[0, 0, 0, 0, 0, 1]].concat();
    let topup = |number: u16| {
        let rest = [0, 0, 1, 0, 0x20, 0x26, 0x11, 0x30, 8, 0, 0, 0xA0, 0, 0, 0, 0, 1];
        [&[0x30, 19][..], &number.to_be_bytes(), &rest].concat()
    };
    let destroy = |epoch: u16| [&[0x22, 3, 0x01][..], &epoch.to_be_bytes()].concat();
    let activate = |epoch: u16| [&[0x21, 5, 0x01][..], &epoch.to_be_bytes(), &[0, 0]].concat();
    let malformed = EmmResult::refused(EmmDetail::MALFORMED);
    for (name, sender, zero, one) in [
        ("PPV_GRANT", TO_CARD, grant(0), grant(1)),
        ("WALLET_REFUND", TO_PURSE, refund(0), refund(1)),
        ("WALLET_TOPUP", TO_PURSE, topup(0), topup(1)),
        ("KEY_DESTROY", TO_CARD, destroy(0), destroy(1)),
        ("KEY_ACTIVATE", TO_CARD, activate(0), activate(1)),
    ] {
        let mut card = card();
        info(&mut card);
        assert_eq!(emm(&mut card, &raw(sender, 1, &zero)), malformed, "{name}");
        assert_eq!((card.status().commits, card.status().balance.fen()), (0, 10_000), "{name}");
        assert_ne!(emm(&mut card, &raw(sender, 1, &one)), malformed, "{name}");
    }
}

/// T31: a load has no event, so no refund finds it.
#[test]
fn a_load_is_not_refunded() {
    let mut card = card();
    info(&mut card);
    let topup = [0x30, 19, 0, 1, 0, 0, 1, 0, 0x20, 0x26, 0x11, 0x30, 8, 0, 0, 0xA0, 0, 0, 0, 0, 1];
    assert_eq!(emm(&mut card, &raw(TO_PURSE, 1, &topup)), EmmResult::APPLIED);
    let balance = card.status().balance;
    for sequence in 0..4_u8 {
        let refund = [0x31, 10, 0, 0, 0, 0, 0, sequence, 0, 0, 0, 1];
        let number = 2 + u32::from(sequence);
        assert_ne!(emm(&mut card, &raw(TO_PURSE, number, &refund)), EmmResult::APPLIED);
        assert_eq!(card.status().balance, balance);
    }
}

/// The factory gives no key the generation 0.
#[test]
fn no_key_is_made_with_generation_0() {
    let text = file("");
    let first = text.find("epoch = 1").unwrap();
    let zero = format!("{}epoch = 0{}", &text[..first], &text[first + "epoch = 1".len()..]);
    let path = std::path::Path::new("card.toml");
    let error = Personalisation::from_text(&zero, path).err().map(|error| error.to_string());
    let error = error.expect("refused");
    assert!(error.contains("epoch") && error.contains("from 1"), "{error}");
    assert!(Card::personalise(&Personalisation::from_text(&text, path).unwrap()).is_ok());
}

// SPDX-License-Identifier: Apache-2.0
//! What the issuer orders under DAMK: files, blocking, unblocking; and what wrong MACs lead to.

use crate::purse::purse;
use cam_types::{Aid, Secret};
use ecm_emm::card::{EmmDetail, EmmResult};
use ecm_emm::emm::EmmCommand;
use hex_literal::hex;
use system_tests::demo::*;
use vcard::{Card, Interface};
use wallet::secure_messaging::{Challenge, ChallengeLength, Order, SecureKey};

pub(crate) fn damk() -> SecureKey {
    SecureKey::Double(Secret::new(hex!("2a2b2c2d2e2f30313233343536373839")))
}

/// A challenge of four octets, and one of eight: both serve.
pub(crate) fn challenge(card: &mut Card, length: ChallengeLength) -> Challenge {
    length.answer(&card.transmit(&length.command()).unwrap()).unwrap()
}

fn order(card: &mut Card, order: Order) -> u16 {
    let challenge = challenge(card, ChallengeLength::Four);
    send(card, &order.command(&damk(), challenge)).1
}

/// An order whose MAC has one bit wrong.
fn forged(card: &mut Card, order: Order) -> u16 {
    let challenge = challenge(card, ChallengeLength::Eight);
    let mut apdu = order.command(&damk(), challenge);
    *apdu.last_mut().unwrap() ^= 1;
    send(card, &apdu).1
}

fn balance(card: &mut Card) -> u16 {
    send(card, &hex!("805C000204")).1
}

#[test]
fn a_file_changes_under_the_maintenance_key() {
    for length in [ChallengeLength::Four, ChallengeLength::Eight] {
        let mut card = purse();
        let iv = challenge(&mut card, length);
        let update = damk().secure(iv, hex!("04D6951C"), &hex!("5555"));
        assert_eq!(send(&mut card, &update).1, 0x9000);
        assert_eq!(send(&mut card, &hex!("00B0951C00")).0, hex!("5555"));
        assert_eq!(send(&mut card, &update).1, 0x6985, "a challenge serves once");
        let iv = challenge(&mut card, length);
        let record = [&hex!("2210")[..], &[7; 16]].concat();
        let update = damk().secure(iv, hex!("04DC02BC"), &record);
        assert_eq!(send(&mut card, &update).1, 0x9000);
        assert_eq!(send(&mut card, &hex!("00B222B800")).0, record);
        card.power_on();
        select(&mut card, Aid::PURSE.octets());
        assert_eq!(send(&mut card, &hex!("00B0951C00")).0, hex!("5555"), "it lasts");
    }
}

/// One row for each refusal of a protected command; none changes anything. The try of a MAC that is
/// compared is in memory before, and given back.
#[test]
fn refusals() {
    let table: &[(&str, [u8; 4], &[u8], u16)] = &[
        ("beyond the file", hex!("04D6951E"), &[0], 0x6B00),
        ("over its end", hex!("04D6951C"), &[0; 3], 0x6A84),
        ("no such file", hex!("04D69900"), &[0], 0x6A82),
        ("the log", hex!("04D69800"), &[0], 0x6981),
        ("a record of the log", hex!("04DC01C4"), &[0; 23], 0x6981),
        ("no such record", hex!("04DC03BC"), &[0; 18], 0x6A83),
        ("a shorter record", hex!("04DC02BC"), &[0; 17], 0x6700),
        ("a longer record", hex!("04DC02BC"), &[0; 19], 0x6A84),
        ("another tag", hex!("04DC02BC"), &hex!("2110 00000000000000000000000000000000"), 0x6A80),
        ("a third way to block", hex!("841E0002"), &[], 0x6A86),
        ("blocking with data", hex!("841E0000"), &[0], 0x6700),
        ("unblocking what is not blocked", hex!("84180000"), &[], 0x6985),
        ("another P2", hex!("84160001"), &[], 0x6A86),
        ("an unknown command", hex!("84200000"), &[], 0x6D00),
    ];
    for (name, header, data, sw) in table {
        let mut card = purse();
        let before = look(&mut card);
        let iv = challenge(&mut card, ChallengeLength::Four);
        assert_eq!(send(&mut card, &damk().secure(iv, *header, data)).1, *sw, "{name}");
        assert_eq!(look(&mut card), before, "{name}");
        // Nor is anything left of its try: it takes three wrong ones to end the purse.
        for expected in [0x6988, 0x6988, 0x9303] {
            assert_eq!(forged(&mut card, Order::Block), expected, "{name}");
        }
    }
    for (name, apdu, sw) in [
        ("a file in clear", &hex!("00D6951C0155")[..], 0x6982),
        ("a record in clear", &hex!("00DC01BC0155"), 0x6982),
        ("no challenge", &hex!("841E000004 00000000"), 0x6985),
        ("no MAC", &hex!("04D6951C03 000000"), 0x6985),
        ("a challenge of another length", &hex!("0084000005"), 0x6700),
        ("a challenge of no length", &hex!("00840000"), 0x6700),
        ("a challenge with parameters", &hex!("0084010008"), 0x6A86),
    ] {
        assert_eq!(send(&mut purse(), apdu).1, sw, "{name}");
    }
    let mut card = purse();
    challenge(&mut card, ChallengeLength::Four);
    assert_eq!(send(&mut card, &hex!("04D6951C03 000000")).1, 0x6700, "no room for a MAC");
}

/// What maintenance could change.
fn look(card: &mut Card) -> [Vec<String>; 2] {
    let inspection = card.inspect().unwrap();
    let file = send(card, &hex!("00B0950000")).0;
    [inspection.records, vec![inspection.purse, format!("{file:02X?}")]]
}

#[test]
fn a_blocked_purse_is_unblocked() {
    let mut card = purse();
    assert_eq!(send(&mut card, &hex!("805001020B 01 00000001 001122334455")).1, 0x9000);
    assert_eq!(order(&mut card, Order::Block), 0x9000);
    for interface in [Interface::Contact, Interface::Contactless] {
        card.power_on_at(interface);
        assert_eq!(select(&mut card, Aid::PURSE.octets()), 0x9000);
        assert_eq!(balance(&mut card), 0x6A81);
        assert_eq!(send(&mut card, &hex!("0020000004 40962718")).1, 0x6A81);
        assert_eq!(send(&mut card, &hex!("00B0950000")).1, 0x6A81);
    }
    // Over the antenna nobody gives orders.
    assert_eq!(order(&mut card, Order::Unblock), 0x6985);
    card.power_on();
    select(&mut card, Aid::PURSE.octets());
    assert_eq!(order(&mut card, Order::Unblock), 0x9000);
    assert_eq!(balance(&mut card), 0x9000);
    assert_eq!(send(&mut card, &hex!("805401000F 00000001 20261201 200000 00000000")).1, 0x6901);
}

/// Message and command block the same purse: the last order stands, but for the last one of all.
#[test]
fn orders_by_message_and_by_command() {
    const BLOCK: EmmCommand = EmmCommand::WalletBlock { blocked: true };
    const UNBLOCK: EmmCommand = EmmCommand::WalletBlock { blocked: false };
    let mut card = card();
    let by_message = |card: &mut Card, n, command| {
        select(card, Aid::CAS.octets());
        let result = emm(card, &TO_PURSE.seal(n, &[command]));
        select(card, Aid::PURSE.octets());
        result
    };
    assert_eq!(by_message(&mut card, 1, BLOCK), EmmResult::APPLIED);
    assert_eq!(balance(&mut card), 0x6A81);
    assert_eq!(order(&mut card, Order::Unblock), 0x9000);
    assert_eq!(order(&mut card, Order::Block), 0x9000);
    assert_eq!(by_message(&mut card, 2, UNBLOCK), EmmResult::APPLIED);
    assert_eq!(balance(&mut card), 0x9000);
    assert_eq!(order(&mut card, Order::Block), 0x9000);
    assert_eq!(order(&mut card, Order::BlockForGood), 0x9000, "also when it is blocked");
    assert_eq!(balance(&mut card), 0x9303);
    assert_eq!(send(&mut card, &hex!("0084000004")).1, 0x9303);
    assert_eq!(by_message(&mut card, 3, UNBLOCK), EmmResult::refused(EmmDetail::PERMISSION));
    assert_eq!(by_message(&mut card, 3, BLOCK), EmmResult::APPLIED);
    assert_eq!(balance(&mut card), 0x9303);
    // The programmes are paid from the same purse.
    let mut stb = Stb::open(&mut card);
    let refused = stb.buy(&mut card, 1, &cinema(EVENT, NOON)).unwrap();
    assert_eq!(refused.result, ecm_emm::card::PurchaseResult::CARD_BLOCKED);
}

#[test]
fn a_blocked_card_has_an_issuer_only() {
    let mut card = purse();
    assert_eq!(order(&mut card, Order::BlockCard), 0x9000);
    assert_eq!(balance(&mut card), 0x6A81);
    for interface in [Interface::Contact, Interface::Contactless] {
        card.power_on_at(interface);
        assert_eq!(select(&mut card, Aid::PURSE.octets()), 0x6A81);
        assert_eq!(select(&mut card, Aid::CAS.octets()), 0x6A81);
        assert_eq!(select(&mut card, Aid::ISSUER.octets()), 0x9000);
    }
}

#[test]
fn three_wrong_macs_in_a_row_end_the_purse() {
    let mut card = purse();
    for _ in 0..2 {
        assert_eq!(forged(&mut card, Order::Block), 0x6988);
        assert_eq!(forged(&mut card, Order::BlockCard), 0x6988);
        // A right one begins the row anew.
        assert_eq!(order(&mut card, Order::Block), 0x9000);
        assert_eq!(order(&mut card, Order::Unblock), 0x9000);
    }
    assert_eq!(forged(&mut card, Order::Block), 0x6988);
    card.power_on();
    select(&mut card, Aid::PURSE.octets());
    assert_eq!(forged(&mut card, Order::Block), 0x6988, "the count outlives the power");
    assert_eq!(send(&mut card, &hex!("805E000008 12345678 00000000")).1, 0x9303, "of any key");
    assert_eq!(order_without_challenge(&mut card), 0x9303);
    assert_eq!(balance(&mut card), 0x9303);
}

fn order_without_challenge(card: &mut Card) -> u16 {
    send(card, &hex!("8418000004 00000000")).1
}

/// Who passes by with a reader neither ends the purse nor learns more than a gate does.
#[test]
fn the_antenna_takes_no_orders() {
    let mut card = card();
    card.power_on_at(Interface::Contactless);
    select(&mut card, Aid::PURSE.octets());
    let writes = card.status().page_writes;
    for _ in 0..4 {
        for forged_order in [Order::Block, Order::BlockForGood, Order::BlockCard] {
            assert_eq!(forged(&mut card, forged_order), 0x6985);
        }
        assert_eq!(order(&mut card, Order::Block), 0x6985);
        for apdu in [
            &hex!("0020000004 40962718")[..],
            &hex!("805E010009 40962718 FF 12345678"),
            &hex!("805E000008 12345678 00000000"),
            &hex!("842400000C 0000000000000000 00000000"),
            &hex!("04D6950005 00 00000000"),
        ] {
            assert_eq!(send(&mut card, apdu).1, 0x6985, "{apdu:02X?}");
        }
    }
    assert_eq!(balance(&mut card), 0x9000);
    assert_eq!(card.status().page_writes, writes);
}

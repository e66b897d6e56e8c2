// SPDX-License-Identifier: Apache-2.0
//! Compound purchase: records and money in one transaction.

use crate::purse::{DATE, GATE, TIME, balance, dtk, psam, purse};
use cam_types::{Aid, Fen};
use hex_literal::hex;
use system_tests::demo::*;
use vcard::{Card, Interface};
use wallet::compound::{CompoundPurchase, Update};
use wallet::formula::tac_purchase;
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::{Debit, Debiting, Receipt};
use wallet::{LogRecord, TransactionType};

/// The gate's record, `21 1E …`, filled with this octet.
fn gate_record(octet: u8) -> Vec<u8> {
    [vec![0x21, 0x1E], vec![octet; 0x1E]].concat()
}

/// The till's record, `22 10 …`.
fn till_record(octet: u8) -> Vec<u8> {
    [vec![0x22, 0x10], vec![octet; 0x10]].concat()
}

fn read(card: &mut Card, p1: u8, p2: u8) -> (Vec<u8>, u16) {
    send(card, &[0x00, 0xB2, p1, p2, 0x00])
}

/// A compound purchase up to its DEBIT, with these records.
fn debiting(card: &mut Card, amount: u32, records: &[Vec<u8>], psam: &mut SoftPsam) -> Debiting {
    let compound = CompoundPurchase::new(1, Fen::new(amount), GATE);
    let response = card.transmit(&compound.command()).unwrap();
    let (first, rest) = records.split_first().unwrap();
    let updating = compound
        .initialized(&response)
        .unwrap()
        .update(Update::by_identifier(0x17, first).unwrap());
    let mut updated = updating_done(card, updating);
    for record in rest {
        let updating = updated.update(Update::by_identifier(0x17, record).unwrap());
        updated = updating_done(card, updating);
    }
    updated.authorise(DATE, TIME, &CardIdentity::default(), psam).unwrap()
}

fn updating_done(
    card: &mut Card,
    updating: wallet::compound::Updating,
) -> wallet::compound::Updated {
    let response = card.transmit(&updating.command()).unwrap();
    updating.updated(&response).unwrap()
}

fn pay(card: &mut Card, amount: u32, records: &[Vec<u8>], psam: &mut SoftPsam) -> Receipt {
    let debiting = debiting(card, amount, records, psam);
    let response = card.transmit(&debiting.command()).unwrap();
    let Debit::Paid(receipt) = debiting.finish(Some(&response), psam) else {
        panic!("not paid: {response:02X?}")
    };
    receipt
}

#[test]
fn money_and_records_move_together() {
    for interface in [Interface::Contact, Interface::Contactless] {
        let mut card = card();
        card.power_on_at(interface);
        select(&mut card, Aid::PURSE.octets());
        let mut psam = psam();
        // In at the gate for nothing, out for 3.00, and both records in one purchase.
        let table = [
            (0, vec![gate_record(0xA1)]),
            (300, vec![gate_record(0xA2)]),
            (500, vec![gate_record(0xA3), till_record(0xB1), gate_record(0xA4)]),
        ];
        for (n, (amount, records)) in (1..).zip(&table) {
            let before = balance(&mut card);
            let commits = card.status().commits;
            let receipt = pay(&mut card, *amount, records, &mut psam);
            assert_eq!(card.status().commits, commits + 1);
            assert_eq!(balance(&mut card), before.checked_sub(Fen::new(*amount)).unwrap());
            assert_eq!(read(&mut card, 0x21, 0xB8), (records.last().unwrap().clone(), 0x9000));
            let (record, _) = send(&mut card, &LogRecord::read_command(1));
            let record = LogRecord::parse(&record).unwrap();
            assert_eq!((record.sequence, record.transaction), (n, receipt.transaction));
            assert_eq!(record.transaction.kind, TransactionType::COMPOUND);
            let tac = tac_purchase(&dtk().fold(), &receipt.transaction, receipt.terminal_sequence);
            assert_eq!(receipt.tac, tac);
        }
        assert_eq!(read(&mut card, 2, 0xBC), (till_record(0xB1), 0x9000));
    }
}

/// A purchase writes the page of money, a page of the log and one of records: seven writes with the
/// journal.
#[test]
fn a_compound_purchase_touches_three_pages() {
    let mut card = purse();
    let mut psam = psam();
    let before = card.status().page_writes;
    pay(&mut card, 300, &[gate_record(1), till_record(1)], &mut psam);
    assert_eq!(card.status().page_writes - before, 2 * 3 + 1);
}

/// Until the DEBIT the card's memory knows nothing of it.
#[test]
fn records_wait_for_the_debit() {
    let mut card = purse();
    let mut psam = psam();
    let writes = card.status().page_writes;
    let debiting = debiting(&mut card, 300, &[gate_record(7)], &mut psam);
    assert_eq!(read(&mut card, 1, 0xBC).0, gate_record(0));
    assert_eq!(card.status().page_writes, writes);
    card.power_on();
    select(&mut card, Aid::PURSE.octets());
    assert_eq!(send(&mut card, &debiting.command()).1, 0x6901);
    assert_eq!(read(&mut card, 1, 0xBC).0, gate_record(0));
    assert_eq!(balance(&mut card), Fen::new(10_000));
}

/// A programme and a gate are both of type 09: the number tells them apart.
#[test]
fn the_proof_is_of_the_purchase_that_was_asked_for() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let programme = stb.buy(&mut card, 1, &cinema(EVENT, NOON)).unwrap();
    select(&mut card, Aid::PURSE.octets());
    let mut psam = psam();
    let debiting = debiting(&mut card, 300, &[gate_record(7)], &mut psam);
    let (answer, _) = send(&mut card, &debiting.command());
    let (tac, mac2) = answer.split_at(4);
    let proof = |card: &mut Card, sequence| {
        send(card, &[0x80, 0x5A, 0x00, 0x09, 0x02, 0x00, sequence, 0x08])
    };
    assert_eq!(proof(&mut card, 1), ([&[0; 4][..], &programme.tac].concat(), 0x9000));
    assert_eq!(proof(&mut card, 2), ([mac2, tac].concat(), 0x9000));
    assert_eq!(proof(&mut card, 3).1, 0x9406);
    assert_eq!(send(&mut card, &hex!("805A000602000208")).1, 0x9406, "of another type");
}

/// One row for each refusal on the way: commands after INITIALIZE FOR CAPP PURCHASE of 3.00.
#[test]
fn refusals() {
    let update = |p1: u8, p2: u8, record: &[u8]| {
        [&[0x80, 0xDC, p1, p2, record.len() as u8], record].concat()
    };
    let debit = hex!("805401000F 00000001 20261201 200000 00000000").to_vec();
    let gate = gate_record(1);
    let table: Vec<(&str, Vec<u8>, u16)> = vec![
        ("a DEBIT without a record", debit.clone(), 0x6901),
        ("no such record", update(0x09, 0xBC, &gate), 0x6A83),
        ("record 0", update(0x00, 0xBC, &gate), 0x6A83),
        ("no such tag", update(0x23, 0xB8, &gate), 0x6A83),
        ("no such file", update(0x21, 0xC8, &gate), 0x6A82),
        ("the reserved file", update(0x21, 0xF8, &gate), 0x6A86),
        ("no current file", update(0x21, 0x00, &gate), 0x6986),
        ("an unknown mode", update(0x21, 0xBD, &gate), 0x6A86),
        ("the log", update(0x01, 0xC4, &gate), 0x6981),
        ("too short", update(0x21, 0xB8, &gate[..31]), 0x6700),
        ("too long", update(0x21, 0xB8, &[&gate[..], &[0]].concat()), 0x6A84),
        ("no record at all", vec![0x80, 0xDC, 0x21, 0xB8], 0x6700),
        ("another tag", update(0x01, 0xBC, &[&[0x22], &gate[1..]].concat()), 0x6A80),
        ("a length that is not so", update(0x21, 0xB8, &[&[0x21, 1], &gate[2..]].concat()), 0x6A80),
    ];
    for (name, apdu, sw) in table {
        let mut card = purse();
        assert_eq!(send(&mut card, &update(0x21, 0xB8, &gate)).1, 0x6901, "before INITIALIZE");
        assert_eq!(send(&mut card, &hex!("805003020B 01 0000012C 001122334455")).1, 0x9000);
        let writes = card.status().page_writes;
        assert_eq!(send(&mut card, &apdu).1, sw, "{name}");
        assert_eq!(card.status().page_writes, writes, "{name}");
        // None of them ends the purchase: the record follows, and then only the MAC is wrong.
        assert_eq!(send(&mut card, &update(0x21, 0xBB, &gate)).1, 0x9000, "{name}");
        assert_eq!(send(&mut card, &debit).1, 0x9302, "{name}");
        assert_eq!(read(&mut card, 1, 0xBC).0, gate_record(0), "{name}");
    }
    let mut card = purse();
    for (name, apdu, sw) in [
        ("no such key", hex!("805003020B 02 7FFFFFFF 001122334455"), 0x9403),
        ("too much", hex!("805003020B 01 00002711 001122334455"), 0x9401),
        ("a plain purchase of nothing", hex!("805001020B 01 00000000 001122334455"), 0x6A80),
        ("the passbook", hex!("805003010B 01 00000001 001122334455"), 0x6A86),
    ] {
        assert_eq!(send(&mut card, &apdu).1, sw, "{name}");
    }
    // A plain purchase has no cache.
    assert_eq!(send(&mut card, &hex!("805001020B 01 00000001 001122334455")).1, 0x9000);
    assert_eq!(send(&mut card, &update(0x21, 0xB8, &gate)).1, 0x6901);
}

#[test]
fn reading_records() {
    let mut card = purse();
    for (name, apdu, sw) in [
        ("by number", hex!("00B201BC00"), 0x9000),
        ("by tag", hex!("00B222B800"), 0x9000),
        ("with its length", hex!("00B222B812"), 0x9000),
        ("with another", hex!("00B222B810"), 0x6C12),
        ("beyond the last", hex!("00B203BC00"), 0x6A83),
        ("an unknown tag", hex!("00B203B800"), 0x6A83),
        ("another file", hex!("00B201C800"), 0x6A82),
        ("the log by tag", hex!("00B201C000"), 0x6981),
    ] {
        assert_eq!(send(&mut card, &apdu).1, sw, "{name}");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The purse at a terminal and a host: the flows of `wallet` against the card.

use cam_types::{
    Aid, BcdDate, BcdTime, Fen, Key, Secret, StatusWord, TerminalId, TerminalSequence,
};
use hex_literal::hex;
use system_tests::demo::*;
use vcard::{Card, Interface};
use wallet::formula::{mac2_load, tac_load, tac_purchase};
use wallet::keys::{LoadKey, PurchaseKey, TacKey};
use wallet::load::{Credit, Load, LoadError};
use wallet::proof::Settlement;
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::{Debit, Purchase, PurchaseError};
use wallet::refusal::Step;
use wallet::{LogRecord, Refusal, TransactionType};

pub(crate) const DATE: BcdDate = BcdDate(hex!("20261201"));
pub(crate) const TIME: BcdTime = BcdTime(hex!("200000"));
pub(crate) const GATE: TerminalId = TerminalId::new(hex!("001122334455"));

pub(crate) fn dpk() -> PurchaseKey {
    PurchaseKey::new(Secret::new(hex!("616387a00bd54711468a910d848aae69")))
}

pub(crate) fn dlk() -> LoadKey {
    LoadKey::new(Secret::new(hex!("0f1e2d3c4b5a69788796a5b4c3d2e1f0")))
}

pub(crate) fn dtk() -> TacKey {
    TacKey::new(Key::new(hex!("13579bdf02468ace1122446688aaccee")))
}

pub(crate) fn purse() -> Card {
    let mut card = card();
    assert_eq!(select(&mut card, Aid::PURSE.octets()), 0x9000);
    card
}

pub(crate) fn balance(card: &mut Card) -> Fen {
    let (data, sw) = send(card, &hex!("805C000204"));
    assert_eq!(sw, 0x9000);
    Fen::from_be_bytes(data.try_into().unwrap())
}

fn purchase(amount: u32) -> Purchase {
    Purchase::new(1, Fen::new(amount), GATE).unwrap()
}

pub(crate) fn psam() -> SoftPsam {
    SoftPsam::new(GATE, TerminalSequence::new(0)).with_key(1, dpk())
}

fn load(amount: u32) -> Load {
    Load::new(1, Fen::new(amount), GATE).unwrap()
}

#[test]
fn a_purchase_is_paid_logged_and_proved() {
    let mut card = purse();
    let mut psam = psam();
    for n in 1..=3_u16 {
        let initialized =
            purchase(350).initialized(&card.transmit(&purchase(350).command()).unwrap()).unwrap();
        assert_eq!(initialized.offline_sequence, (n - 1).to_be_bytes());
        let debiting =
            initialized.authorise(DATE, TIME, &CardIdentity::default(), &mut psam).unwrap();
        let response = card.transmit(&debiting.command()).unwrap();
        let Debit::Paid(receipt) = debiting.finish(Some(&response), &mut psam) else {
            panic!("not paid: {response:02X?}")
        };
        assert_eq!(receipt.balance, balance(&mut card));
        let tac = tac_purchase(&dtk().fold(), &receipt.transaction, receipt.terminal_sequence);
        assert_eq!(receipt.tac, tac);
        // The log shows the number after; the proof goes by what the log shows.
        let (record, sw) = send(&mut card, &LogRecord::read_command(1));
        let record = LogRecord::parse(&record).unwrap();
        assert_eq!((sw, record.sequence), (0x9000, n));
        assert_eq!(record.transaction, receipt.transaction);
        let [high, low] = n.to_be_bytes();
        let (proof, sw) = send(&mut card, &[0x80, 0x5A, 0x00, 0x06, 0x02, high, low, 0x08]);
        assert_eq!((sw, &proof[4..]), (0x9000, &tac.0[..]));
    }
    assert_eq!(send(&mut card, &hex!("00B201C410")).1, 0x6C17);
    assert_eq!(send(&mut card, &LogRecord::read_command(4)).1, 0x6A83);
    assert_eq!(send(&mut card, &LogRecord::read_command(0)).1, 0x6A83);
}

#[test]
fn a_lost_answer_is_settled_by_the_proof() {
    for sent in [true, false] {
        let mut card = purse();
        let mut psam = psam();
        let initialized =
            purchase(350).initialized(&card.transmit(&purchase(350).command()).unwrap()).unwrap();
        let debiting =
            initialized.authorise(DATE, TIME, &CardIdentity::default(), &mut psam).unwrap();
        let mut tac = Vec::new();
        if sent {
            tac = card.transmit(&debiting.command()).unwrap();
        }
        let Debit::Unsettled(unsettled) = debiting.finish(None, &mut psam) else { panic!() };
        card.power_on();
        select(&mut card, Aid::PURSE.octets());
        let is_ours = |proof: &wallet::proof::Proof| proof.tac.0 == tac[..4];
        let mut settlement = Settlement::Ask(unsettled.inquire());
        while let Settlement::Ask(inquiry) = settlement {
            let response = card.transmit(&inquiry.command()).unwrap();
            settlement = inquiry.answer(Some(&response), is_ours);
        }
        assert_eq!(matches!(settlement, Settlement::Made(..)), sent);
        assert_eq!(balance(&mut card), Fen::new(if sent { 9650 } else { 10_000 }));
    }
}

#[test]
fn a_load_wants_the_pin_at_a_contact_reader() {
    for interface in [Interface::Contact, Interface::Contactless] {
        let mut card = card();
        card.power_on_at(interface);
        select(&mut card, Aid::PURSE.octets());
        if interface == Interface::Contact {
            let refused = load(500).initialized(&card.transmit(&load(500).command()).unwrap());
            assert_eq!(
                refused,
                Err(LoadError::Refused(Refusal::new(
                    Step::InitializeLoad,
                    StatusWord::SECURITY_STATUS
                )))
            );
            assert_eq!(send(&mut card, &hex!("0020000004 40962718")).1, 0x9000);
        }
        let answer = card.transmit(&load(500).command()).unwrap();
        let initialized = load(500).initialized(&answer).unwrap();
        assert!(initialized.is_from(&dlk()));
        let session = dlk().session(initialized.random, initialized.online_sequence);
        let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
        let crediting = initialized.credit(DATE, TIME, mac2);
        let response = card.transmit(&crediting.command()).unwrap();
        let Credit::Loaded(receipt) = crediting.finish(Some(&response)) else {
            panic!("{response:02X?}")
        };
        assert_eq!(receipt.balance, balance(&mut card));
        let tac =
            tac_load(&dtk().fold(), receipt.balance, receipt.online_sequence, &receipt.transaction);
        assert_eq!(receipt.tac, tac);
        let (record, _) = send(&mut card, &LogRecord::read_command(1));
        assert_eq!(LogRecord::parse(&record).unwrap().transaction.kind, TransactionType::LOAD);
    }
}

/// One row for each refusal of the purse.
#[test]
fn refusals() {
    let table: &[(&str, &[u8], u16)] = &[
        (
            "commit without an INITIALIZE",
            &hex!("805401000F 00000001 20261201 200000 00000000"),
            0x6901,
        ),
        ("credit without an INITIALIZE", &hex!("805200000B 20261201 200000 00000000"), 0x6901),
        ("no such key", &hex!("805001020B 02 00000001 001122334455"), 0x9403),
        ("too much", &hex!("805001020B 01 00002711 001122334455"), 0x9401),
        ("a load of nothing", &hex!("805000020B 01 00000000 001122334455"), 0x6A80),
        ("the passbook", &hex!("805001010B 01 00000001 001122334455"), 0x6A86),
        ("too short", &hex!("805001020A 01 00000001 0011223344"), 0x6700),
        ("the passbook's balance", &hex!("805C000104"), 0x6A86),
        ("an unknown command", &hex!("80F0000000"), 0x6D00),
        ("an unknown class", &hex!("C05C000204"), 0x6E00),
        ("no such proof", &hex!("805A000602000108"), 0x9406),
        ("another file's record", &hex!("00B201CC17"), 0x6A82),
        ("wrong PIN", &hex!("0020000004 11112222"), 0x63C2),
        ("no PIN", &hex!("0020000004 1AB12222"), 0x6A80),
    ];
    for (name, apdu, sw) in table {
        let mut card = purse();
        assert_eq!(send(&mut card, apdu).1, *sw, "{name}");
        assert_eq!(balance(&mut card), Fen::new(10_000), "{name}");
    }
    let error =
        purchase(10_001).initialized(&purse().transmit(&purchase(10_001).command()).unwrap());
    let funds = Refusal::new(Step::InitializeDebit, StatusWord::INSUFFICIENT_BALANCE);
    assert_eq!(error, Err(PurchaseError::Refused(funds)));
}

/// A wrong MAC ends the INITIALIZE, and costs nothing else.
#[test]
fn a_wrong_mac_moves_no_money() {
    let mut card = purse();
    let writes = card.status().page_writes;
    let initialized =
        purchase(350).initialized(&card.transmit(&purchase(350).command()).unwrap()).unwrap();
    let mut psam = psam();
    let debiting = initialized.authorise(DATE, TIME, &CardIdentity::default(), &mut psam).unwrap();
    let mut forged = debiting.command();
    forged[19] ^= 1;
    assert_eq!(send(&mut card, &forged).1, 0x9302);
    assert_eq!(card.status().page_writes, writes);
    assert_eq!(send(&mut card, &debiting.command()).1, 0x6901);
    let again =
        purchase(350).initialized(&card.transmit(&purchase(350).command()).unwrap()).unwrap();
    let debiting = again.authorise(DATE, TIME, &CardIdentity::default(), &mut psam).unwrap();
    assert_eq!(send(&mut card, &debiting.command()).1, 0x9000);
    assert_eq!(send(&mut card, &debiting.command()).1, 0x6901, "once");
}

/// T30: a programme bought at the box shows in the purse's log and proof.
#[test]
fn a_programme_shows_in_the_purse() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let paid = stb.buy(&mut card, 1, &cinema(EVENT, NOON)).unwrap();
    card.power_on_at(Interface::Contactless);
    select(&mut card, Aid::PURSE.octets());
    let (record, _) = send(&mut card, &LogRecord::read_command(1));
    let record = LogRecord::parse(&record).unwrap();
    assert_eq!(record.transaction.kind, TransactionType::COMPOUND);
    assert_eq!((record.sequence, record.transaction.amount), (paid.offline_sequence, PRICE));
    let (proof, sw) = send(&mut card, &hex!("805A000902000108"));
    assert_eq!((sw, &proof[..4], &proof[4..]), (0x9000, &[0; 4][..], &paid.tac[..]));
}

/// What moves with money lies together: a page of it and a page of the log, each once into the
/// journal and once home, and the commit page. Three records of the log share a page. The try of a
/// load's MAC2 goes before it, in three.
#[test]
fn money_moves_in_five_page_writes() {
    let mut card = purse();
    let mut psam = psam();
    for _ in 0..5 {
        let before = card.status().page_writes;
        let initialized =
            purchase(350).initialized(&card.transmit(&purchase(350).command()).unwrap()).unwrap();
        let debiting =
            initialized.authorise(DATE, TIME, &CardIdentity::default(), &mut psam).unwrap();
        assert_eq!(send(&mut card, &debiting.command()).1, 0x9000);
        assert_eq!(card.status().page_writes - before, 5);
    }
    assert_eq!(send(&mut card, &hex!("0020000004 40962718")).1, 0x9000);
    let before = card.status().page_writes;
    let initialized = load(500).initialized(&card.transmit(&load(500).command()).unwrap()).unwrap();
    let session = dlk().session(initialized.random, initialized.online_sequence);
    let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
    assert_eq!(send(&mut card, &initialized.credit(DATE, TIME, mac2).command()).1, 0x9000);
    assert_eq!(card.status().page_writes - before, 3 + 5);
}

/// Two loads of one second are alike but for their numbers: the first one's record does not settle
/// the second as made.
#[test]
fn a_lost_load_is_not_taken_for_its_twin() {
    let mut card = card();
    let mut lost = None;
    for reaches_the_card in [true, false] {
        card.power_on();
        select(&mut card, Aid::PURSE.octets());
        assert_eq!(send(&mut card, &hex!("0020000004 40962718")).1, 0x9000);
        let response = card.transmit(&load(500).command()).unwrap();
        let agreed = load(500).initialized(&response).unwrap();
        let session = dlk().session(agreed.random, agreed.online_sequence);
        let mac2 = mac2_load(&session, &agreed.transaction(DATE, TIME));
        let crediting = agreed.credit(DATE, TIME, mac2);
        let response = match reaches_the_card {
            true => Some(card.transmit(&crediting.command()).unwrap()),
            false => None,
        };
        match crediting.finish_checked(response.as_deref(), &dtk()) {
            Credit::Loaded(_) => assert!(reaches_the_card),
            Credit::Unsettled(unsettled) => lost = Some(unsettled),
            Credit::Refused(refusal) => panic!("{refusal}"),
        }
    }
    let unsettled = lost.unwrap();
    let (balance, sequence) = (unsettled.balance, unsettled.sequence);
    let tac = tac_load(&dtk().fold(), balance, sequence, &unsettled.transaction);
    card.power_on();
    select(&mut card, Aid::PURSE.octets());
    let mut settlement = Settlement::Ask(unsettled.inquire());
    while let Settlement::Ask(inquiry) = settlement {
        let response = card.transmit(&inquiry.command()).unwrap();
        settlement = inquiry.answer(Some(&response), |proof| proof.tac == tac);
    }
    assert!(!matches!(settlement, Settlement::Made(_)), "{settlement:?}");
    assert_eq!(card.status().balance, Fen::new(10_500));
}

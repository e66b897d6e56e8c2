//! The terminal's flows: what they send, and how they end on every kind of answer.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use cam_types::{BcdDate, BcdTime, DecodeError, Fen, Secret, TerminalId, TerminalSequence};
use hex_literal::hex;
use proptest::prelude::*;
use wallet::formula::{mac2_load, mac2_purchase};
use wallet::keys::{LoadKey, PurchaseKey};
use wallet::load::{Credit, Load, LoadError};
use wallet::proof::{Proof, Settlement, Unsettled};
use wallet::psam::SoftPsam;
use wallet::purchase::{Debit, Debiting, Purchase, PurchaseError};
use wallet::{LogRecord, Mac, PurseStatus, Transaction, TransactionType};

/// Source: vector V3c, a purchase of 0.01 with a real FM1208.
const DPK: [u8; 16] = hex!("00112233445566778899AABBCCDDEEFF");
const DATE: BcdDate = BcdDate(hex!("20161216"));
const TIME: BcdTime = BcdTime(hex!("134600"));

fn purchase() -> Purchase {
    Purchase { key_index: 1, amount: Fen::new(1), terminal: TerminalId::new(hex!("001122334455")) }
}

fn psam() -> SoftPsam {
    // The terminal of V3c was at its first transaction; its PSAM wrapped round to zero.
    SoftPsam::new(PurchaseKey::new(Secret::new(DPK)), TerminalSequence::new(0))
}

fn debiting(psam: &mut SoftPsam) -> Debiting {
    purchase()
        .initialized(&hex!("00002000 0000 000000 01 00 584633C9 9000"))
        .unwrap()
        .authorise(DATE, TIME, psam)
        .unwrap()
}

#[test]
fn a_purchase_is_initialized_authorised_and_paid() {
    assert_eq!(purchase().command(), hex!("80 50 01 02 0B 01 00000001 001122334455 0F"));
    let mut psam = psam();
    let debiting = debiting(&mut psam);
    let command = debiting.command();
    assert_eq!(command[..16], hex!("80 54 01 00 0F 00000001 20161216 134600"));
    let session = PurchaseKey::new(Secret::new(DPK)).session(
        hex!("584633C9"),
        [0, 0],
        TerminalSequence::new(1),
    );
    let mut response = hex!("8AF270DC").to_vec();
    response.extend(mac2_purchase(&session, Fen::new(1)).0);
    response.extend([0x90, 0x00]);
    let Debit::Paid(receipt) = debiting.finish(Some(&response), &mut psam) else {
        panic!("not paid")
    };
    assert_eq!(receipt.balance, Fen::new(0x1FFF));
    assert_eq!(receipt.tac, Mac(hex!("8AF270DC")));
}

#[test]
fn what_is_no_answer_leaves_a_debit_unsettled() {
    for (name, response) in [
        ("silence", None),
        ("nothing", Some(&[][..])),
        ("half a status word", Some(&[0x90][..])),
        ("no TAC", Some(&hex!("9000")[..])),
        ("a wrong MAC2", Some(&hex!("8AF270DC 00000000 9000")[..])),
        ("memory failure", Some(&hex!("6581")[..])),
    ] {
        let mut psam = psam();
        let debit = debiting(&mut psam).finish(response, &mut psam);
        assert!(matches!(debit, Debit::Unsettled(_)), "{name}: {debit:?}");
    }
    let mut psam = psam();
    let debit = debiting(&mut psam).finish(Some(&hex!("9302")), &mut psam);
    assert_eq!(debit, Debit::Refused(PurseStatus::WRONG_MAC));
}

#[test]
fn a_purchase_that_the_card_cannot_start_is_an_error() {
    for (response, error) in [
        (&hex!("9403")[..], PurchaseError::Refused(PurseStatus::NO_KEY)),
        (
            &hex!("00000000 0000 000000 01 00 584633C9 9000")[..],
            PurchaseError::InsufficientBalance { balance: Fen::ZERO, price: Fen::new(1) },
        ),
        (
            &hex!("00000000 9000")[..],
            PurchaseError::Malformed(DecodeError::Missing("offline sequence")),
        ),
        (&hex!("90")[..], PurchaseError::Malformed(DecodeError::Missing("status word"))),
    ] {
        assert_eq!(purchase().initialized(response), Err(error));
    }
    let initialized = purchase().initialized(&hex!("00002000 0000 000000 01 02 584633C9 9000"));
    assert_eq!(
        initialized.unwrap().authorise(DATE, TIME, &mut psam()),
        Err(PurchaseError::NoKey { version: 1, algorithm: 2 })
    );
}

/// Source: vector V3b, a load of 81.92 into a real FM1208.
#[test]
fn a_load_is_checked_authorised_and_credited() {
    let key = LoadKey::new(Secret::new(DPK));
    let load = || Load {
        key_index: 1,
        amount: Fen::new(0x2000),
        terminal: TerminalId::new(hex!("001122334455")),
    };
    assert_eq!(load().command(), hex!("80 50 00 02 0B 01 00002000 001122334455 10"));
    let answer = hex!("00000000 0000 01 00 C903814D 03976C22 9000");
    let (date, time) = (BcdDate(hex!("20161216")), BcdTime(hex!("105800")));
    let credit = |response: Option<&[u8]>| {
        let initialized = load().initialized(&answer).unwrap();
        assert!(initialized.is_from(&key));
        let session = key.session(initialized.random, initialized.online_sequence);
        let mac2 = mac2_load(&session, &initialized.transaction(date, time));
        let crediting = initialized.credit(date, time, mac2).unwrap();
        assert_eq!(crediting.command(), hex!("80 52 00 00 0B 20161216 105800 8AFA5718 04"));
        crediting.finish(response)
    };
    let Credit::Loaded(receipt) = credit(Some(&hex!("FA00066D 9000"))) else { panic!("refused") };
    assert_eq!((receipt.balance, receipt.tac), (Fen::new(0x2000), Mac(hex!("FA00066D"))));
    assert_eq!(credit(Some(&hex!("9302"))), Credit::Refused(PurseStatus::WRONG_MAC));
    assert!(matches!(credit(None), Credit::Unsettled(_)));
    assert!(matches!(credit(Some(&hex!("FA00 9000"))), Credit::Unsettled(_)));

    let mut forged = answer;
    forged[0] = 1;
    assert!(!load().initialized(&forged).unwrap().is_from(&key));
    assert_eq!(
        load().initialized(&hex!("6982")),
        Err(LoadError::Refused(PurseStatus::SECURITY_STATUS))
    );
}

fn unsettled() -> Unsettled {
    Unsettled {
        transaction: Transaction {
            amount: Fen::new(1),
            kind: TransactionType::PURCHASE,
            terminal: TerminalId::new(hex!("001122334455")),
            date: DATE,
            time: TIME,
        },
        sequence: hex!("00FF"),
    }
}

/// A card keeps the proof under the number after (real cards) or before (an applet), or has none.
#[test]
fn a_lost_answer_is_settled_on_either_kind_of_card() {
    let ours = Proof { mac: Mac(hex!("66B54A6B")), tac: Mac(hex!("8AF270DC")) };
    let found = hex!("66B54A6B 8AF270DC 9000");
    let previous = hex!("11111111 22222222 9000");
    let no_proof = hex!("9406");
    let is_ours = |proof: &Proof| *proof == ours;

    let inquiry = unsettled().inquire();
    assert_eq!(inquiry.command(), hex!("80 5A 00 06 02 0100 08"));
    let made = inquiry.answer(Some(&found), is_ours);
    assert_eq!(made, Settlement::Made(unsettled().transaction, ours));

    for (second, expected) in [
        (&found[..], Settlement::Made(unsettled().transaction, ours)),
        (&previous[..], Settlement::NotMade(unsettled().transaction)),
        (&no_proof[..], Settlement::NotMade(unsettled().transaction)),
    ] {
        let Settlement::Ask(inquiry) = unsettled().inquire().answer(Some(&no_proof), is_ours)
        else {
            panic!("gave up after the first question")
        };
        assert_eq!(inquiry.command(), hex!("80 5A 00 06 02 00FF 08"));
        assert_eq!(inquiry.answer(Some(second), is_ours), expected);
    }
    for no_answer in [None, Some(&[0x90][..]), Some(&hex!("1234 9000")[..])] {
        let settlement = unsettled().inquire().answer(no_answer, is_ours);
        assert_eq!(settlement, Settlement::NoAnswer(unsettled()));
    }
}

proptest! {
    #[test]
    fn whatever_the_card_says_no_flow_panics(response: Vec<u8>, sw: [u8; 2]) {
        let mut response = response;
        response.extend(sw);
        let _ = purchase().initialized(&response);
        let mut psam = psam();
        let _ = debiting(&mut psam).finish(Some(&response), &mut psam);
        let _ = unsettled().inquire().answer(Some(&response), |_| true);
    }

    #[test]
    fn what_a_record_parses_it_emits(octets: [u8; LogRecord::LEN]) {
        let mut emitted = Vec::new();
        LogRecord::parse(&octets).unwrap().emit(&mut emitted);
        prop_assert_eq!(emitted, octets);
    }
}

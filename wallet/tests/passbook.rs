// SPDX-License-Identifier: Apache-2.0
//! The passbook's flows, by numbers of OpenSSL (`-provider legacy`).
//!
//! The session key is `openssl enc -des-ede -nopad -K 11223344556677888877665544332211` over
//! 11223344 0007 8000 (over 11223344 0007 0001, under 0011…FF, for money out at a terminal); a MAC
//! is `openssl enc -des-cbc -nopad -iv 0` under it over the fields padded with 80 00…, the left
//! half of the last block; the TAC the same under DTK's halves XORed, or, as the manual has it,
//! under the whole DTK: the last block once more through `-des-ecb -d` with its right half and
//! `-des-ecb` with its left half.

use cam_types::{BcdDate, BcdTime, Fen, Secret, StatusWord, TerminalId, TerminalSequence};
use hex_literal::hex;
use proptest::prelude::*;
use wallet::formula::{mac2_load, mac2_overdraft};
use wallet::keys::{LoadKey, OverdraftKey, PurchaseKey, TacKey, UnloadKey};
use wallet::load::Credit;
use wallet::passbook::overdraft::{OverdraftUpdate, Update, Updating};
use wallet::passbook::unload::{self, Unload, Unloading};
use wallet::passbook::{self, OverdraftLimit, PassbookError};
use wallet::proof::{Settlement, Unsettled};
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::{Debit, PurchaseError};
use wallet::{LogRecord, Mac, Reason, TransactionType};

const KEY: [u8; 16] = hex!("11223344556677888877665544332211");
const DPK: [u8; 16] = hex!("00112233445566778899AABBCCDDEEFF");
const DTK: [u8; 16] = hex!("13579BDF02468ACE1122446688AACCEE");
const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));
const DATE: BcdDate = BcdDate(hex!("20261201"));
const TIME: BcdTime = BcdTime(hex!("200000"));
const AMOUNT: Fen = Fen::new(0x1000);

fn limit(fen: u32) -> OverdraftLimit {
    OverdraftLimit::new(Fen::new(fen)).unwrap()
}

fn dtk() -> TacKey {
    TacKey::new(Secret::new(DTK))
}

/// Source: vector V1, whose type is the passbook's.
#[test]
fn a_load_goes_the_purses_way() {
    let load = passbook::load(1, AMOUNT, TERMINAL).unwrap();
    assert_eq!(load.command(), hex!("80 50 00 01 0B 01 00001000 001122334455 10"));
    let initialized =
        load.initialized(&hex!("00000000 0000 01 00 11223344 2988AE5A 9000")).unwrap();
    let key = LoadKey::new(Secret::new(KEY));
    assert!(initialized.is_from(&key));
    let (date, time) = (BcdDate(hex!("20111221")), BcdTime(hex!("214822")));
    let session = key.session(initialized.random, initialized.online_sequence);
    let mac2 = mac2_load(&session, &initialized.transaction(date, time));
    let crediting = initialized.credit(date, time, mac2);
    assert_eq!(crediting.command(), hex!("80 52 00 00 0B 20111221 214822 3A845BF0 04"));
    let Credit::Loaded(receipt) = crediting.finish(Some(&hex!("01020304 9000"))) else { panic!() };
    assert_eq!(receipt.transaction.kind, TransactionType::LOAD_ED);
}

#[test]
fn purchases_and_cash_go_the_purses_way() {
    for (purchase, command, mac1) in [
        (
            passbook::purchase(1, AMOUNT, TERMINAL),
            hex!("80 50 01 01 0B 01 00001000 001122334455 0F"),
            hex!("042ADD5C"),
        ),
        (
            passbook::cash_withdrawal(1, AMOUNT, TERMINAL),
            hex!("80 50 02 01 0B 01 00001000 001122334455 0F"),
            hex!("63457ACD"),
        ),
    ] {
        let purchase = purchase.unwrap();
        assert_eq!(purchase.command(), command);
        let mut psam = SoftPsam::new(TERMINAL, TerminalSequence::new(0))
            .with_key(1, PurchaseKey::new(Secret::new(DPK)));
        let debiting = purchase
            .initialized(&hex!("00002000 0007 000500 01 00 11223344 9000"))
            .unwrap()
            .authorise(DATE, TIME, &CardIdentity::default(), &mut psam)
            .unwrap();
        let debit = [&hex!("80 54 01 00 0F 00000001 20261201 200000")[..], &mac1, &[0x08]].concat();
        assert_eq!(debiting.command(), debit);
        let debit = debiting.finish(Some(&hex!("01020304 CBC917C1 9000")), &mut psam);
        let Debit::Paid(receipt) = debit else { panic!("{debit:?}") };
        assert_eq!((receipt.balance, receipt.unchecked), (Fen::new(0x1000), None));
    }
    let nothing = passbook::cash_withdrawal(1, Fen::ZERO, TERMINAL);
    assert_eq!(nothing, Err(PurchaseError::AmountZero));
}

fn unload_key() -> UnloadKey {
    UnloadKey::new(Secret::new(KEY))
}

fn unloadable() -> unload::Initialized {
    let answer = hex!("00002000 0007 01 00 11223344 0285E272 9000");
    Unload::new(1, AMOUNT, TERMINAL).unwrap().initialized(&answer).unwrap()
}

fn unloading() -> Unloading {
    let initialized = unloadable();
    assert!(initialized.is_from(&unload_key()));
    let session = unload_key().session(hex!("11223344"), hex!("0007"));
    let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
    initialized.debit(DATE, TIME, mac2)
}

#[test]
fn an_unload_is_checked_authorised_and_proved() {
    let unload = Unload::new(1, AMOUNT, TERMINAL).unwrap();
    assert_eq!(unload.command(), hex!("80 50 05 01 0B 01 00001000 001122334455 10"));
    assert_eq!(unloading().command(), hex!("80 54 03 00 0B 20261201 200000 998B4787 04"));
    let mac3 = unloading().mac3(&unload_key());
    assert_eq!(mac3, Mac(hex!("0CF69415")));
    let unload::Debit::Unloaded(receipt) = unloading().finish(Some(&hex!("0CF69415 9000")), mac3)
    else {
        panic!("not unloaded")
    };
    assert_eq!((receipt.balance, receipt.mac3), (Fen::new(0x1000), mac3));
    for lost in [None, Some(&hex!("0CF69416 9000")[..]), Some(&hex!("9000")), Some(&hex!("6581"))] {
        let debit = unloading().finish(lost, mac3);
        assert!(matches!(debit, unload::Debit::Unsettled(_)), "{debit:?}");
    }
    let refused = unloading().finish(Some(&hex!("9302")), mac3);
    assert!(matches!(refused, unload::Debit::Refused(why) if why.reason == Reason::WrongMac));
    let other = UnloadKey::new(Secret::new(DPK));
    assert!(!unloadable().is_from(&other));
}

#[test]
fn an_unload_that_cannot_be() {
    assert_eq!(Unload::new(1, Fen::ZERO, TERMINAL), Err(PassbookError::AmountZero));
    let answered = |response: &[u8]| {
        Unload::new(1, AMOUNT, TERMINAL).unwrap().initialized(response).unwrap_err().to_string()
    };
    for (response, text) in [
        (
            &hex!("00000FFF 0007 01 00 11223344 0285E272 9000")[..],
            "balance 40.95 does not cover 40.96; no money has moved",
        ),
        (&hex!("9401"), "balance does not cover the amount (SW=9401); no money has moved"),
        (&hex!("6982"), "the PIN is wanted first (SW=6982); no money has moved"),
        (
            &hex!("00000FFF 9000"),
            "the card's answer: online sequence is missing or cut short; no money has moved",
        ),
        (&hex!("90"), "the card's answer: status word is missing or cut short; no money has moved"),
    ] {
        assert_eq!(answered(response), text);
    }
}

fn updating() -> Updating {
    let update = OverdraftUpdate::new(1, limit(0x300), TERMINAL);
    let answer = hex!("00002000 0007 000500 01 00 11223344 0BD8AC97 9000");
    let initialized = update.initialized(&answer).unwrap();
    assert_eq!(initialized.limit, limit(0x500));
    let key = OverdraftKey::new(Secret::new(KEY));
    assert!(initialized.is_from(&key));
    let session = key.session(initialized.random, initialized.online_sequence);
    let mac2 = mac2_overdraft(&session, &initialized.transaction(DATE, TIME));
    initialized.update(DATE, TIME, mac2)
}

/// The TAC is under the folded key or under the whole one, over a balance that counts the limit in
/// or does not.
#[test]
fn a_limit_is_updated_on_every_kind_of_card() {
    let update = OverdraftUpdate::new(1, limit(0x300), TERMINAL);
    assert_eq!(update.command(), hex!("80 50 04 01 07 01 001122334455 13"));
    let command = hex!("80 58 00 00 0E 000300 20261201 200000 F03451BF 04");
    assert_eq!(updating().command(), command);
    for (answer, balance) in [
        (hex!("F68633DE 9000"), 0x1E00),
        (hex!("1FC5D27D 9000"), 0x1E00),
        (hex!("B375FB4B 9000"), 0x2000),
        (hex!("FA247F72 9000"), 0x2000),
    ] {
        let Update::Updated(receipt) = updating().finish_checked(Some(&answer), &dtk()) else {
            panic!("{answer:02X?}")
        };
        assert_eq!(receipt.balance(&dtk()), Some(Fen::new(balance)));
        assert_eq!(receipt.transaction.amount, limit(0x300).fen());
    }
    let wrong = updating().finish_checked(Some(&hex!("00000000 9000")), &dtk());
    assert!(matches!(wrong, Update::Unsettled(_)));
    assert!(matches!(updating().finish(None), Update::Unsettled(_)));
    let in_use = updating().finish(Some(&hex!("9401")));
    assert!(matches!(in_use, Update::Refused(why) if why.reason == Reason::Funds));
}

#[test]
fn a_limit_has_24_bits() {
    assert_eq!(OverdraftLimit::new(Fen::new(0x0100_0000)), None);
    assert_eq!(limit(0xFF_FFFF).to_be_bytes(), [0xFF; 3]);
    assert_eq!(OverdraftLimit::from_be_bytes(hex!("000500")), limit(0x500));
}

/// Lost answers: the proof, and where there is none the card's online sequence.
#[test]
fn a_lost_answer_is_settled() {
    let mac3 = unloading().mac3(&unload_key());
    let unloaded = || match unloading().finish(None, mac3) {
        unload::Debit::Unsettled(unsettled) => unsettled,
        other => panic!("{other:?}"),
    };
    let updated = || match updating().finish(None) {
        Update::Unsettled(unsettled) => unsettled,
        other => panic!("{other:?}"),
    };
    let persisted = unloaded().octets();
    let unsettled = Unsettled::parse(&persisted).unwrap();
    let inquiry = unsettled.inquire();
    assert_eq!(inquiry.command(), hex!("80 5A 00 03 02 0008 08"));
    let proof = hex!("0CF69415 00000000 9000");
    let made = inquiry.answer(Some(&proof), |proof| proof.mac == mac3);
    assert!(matches!(made, Settlement::Made(made) if made.balance == Fen::new(0x1000)));

    let evasive = hex!("6985");
    for (unsettled, question, [same, next]) in [
        (
            unloaded(),
            &hex!("80 50 05 01 0B 01 00000001 001122334455 10")[..],
            [
                &hex!("00002000 0007 01 00 11223344 00000000 9000")[..],
                &hex!("00001000 0008 01 00 11223344 00000000 9000")[..],
            ],
        ),
        (
            updated(),
            &hex!("80 50 04 01 07 01 001122334455 13"),
            [
                &hex!("00002000 0007 000500 01 00 11223344 00000000 9000"),
                &hex!("00001E00 0008 000300 01 00 11223344 00000000 9000"),
            ],
        ),
    ] {
        let octets = unsettled.octets();
        let ask = || {
            let mut settlement = Settlement::Ask(Unsettled::parse(&octets).unwrap().inquire());
            for _ in 0..2 {
                let Settlement::Ask(inquiry) = settlement else { panic!("{settlement:?}") };
                settlement = inquiry.answer(Some(&evasive), |_| false);
            }
            let Settlement::Ask(inquiry) = settlement else { panic!("{settlement:?}") };
            assert_eq!(inquiry.command(), question);
            inquiry
        };
        assert!(matches!(ask().answer(Some(same), |_| false), Settlement::NotMade(_)));
        let ask_log = || {
            let Settlement::Ask(inquiry) = ask().answer(Some(next), |_| false) else { panic!() };
            assert_eq!(inquiry.command(), LogRecord::read_command(1));
            inquiry
        };
        let transaction = Unsettled::parse(&octets).unwrap().transaction;
        let mut record = Vec::new();
        LogRecord { sequence: 8, overdraft: [0, 5, 0], transaction }.emit(&mut record);
        record.extend([0x90, 0x00]);
        assert!(matches!(ask_log().answer(Some(&record), |_| false), Settlement::Made(_)));
        let missing = ask_log().answer(Some(&hex!("6A83")), |_| false);
        assert!(matches!(missing, Settlement::NotShown(_)));
        let wanted = ask().answer(Some(&hex!("6982")), |_| false);
        assert!(
            matches!(&wanted, Settlement::Refused(_, why)
            if why.status == StatusWord::SECURITY_STATUS),
            "{wanted:?}"
        );
    }
}

proptest! {
    #[test]
    fn whatever_the_card_says_nothing_panics(response: Vec<u8>, sw: bool, new in 0..1_u32 << 24) {
        let mut response = response;
        if sw {
            response.extend([0x90, 0x00]);
        }
        if let Ok(unload) = Unload::new(1, AMOUNT, TERMINAL).unwrap().initialized(&response) {
            let _ = unload.debit(DATE, TIME, Mac([0; 4])).finish(Some(&response), Mac([0; 4]));
        }
        let update = OverdraftUpdate::new(1, limit(new), TERMINAL);
        if let Ok(update) = update.initialized(&response) {
            let _ = update.update(DATE, TIME, Mac([0; 4])).finish_checked(Some(&response), &dtk());
        }
    }

    #[test]
    fn any_balance_and_limit(balance: [u8; 4], old: [u8; 3], new: [u8; 3]) {
        let answer = [&balance[..], &[0, 7], &old, &[1, 0], &[0; 8], &[0x90, 0x00]].concat();
        let update = OverdraftUpdate::new(1, OverdraftLimit::from_be_bytes(new), TERMINAL);
        let updating = update.initialized(&answer).unwrap().update(DATE, TIME, Mac([0; 4]));
        prop_assert!(matches!(updating.finish(None), Update::Unsettled(_)));
    }
}

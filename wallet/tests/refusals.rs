// SPDX-License-Identifier: Apache-2.0
//! Status words of all kinds of cards, and that each error says what happened to the money.

use cam_types::{Aid, Fen, StatusWord, TerminalId};
use hex_literal::hex;
use wallet::compound::CompoundPurchase;
use wallet::load::{Load, LoadError};
use wallet::psam::SamError;
use wallet::purchase::{Purchase, PurchaseError};
use wallet::refusal::Step;
use wallet::select::{Select, SelectError};
use wallet::{Profile, Reason, Refusal};

const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));

/// Both sides of each disagreement.
#[test]
fn statuses_of_both_sides() {
    for (step, statuses, reason) in [
        (Step::Commit, &[0x6901, 0x6985][..], Reason::NotInitialized),
        (Step::Commit, &[0x9302, 0x6982, 0x6988], Reason::WrongMac),
        (Step::Secured, &[0x9302, 0x6982, 0x6988], Reason::WrongMac),
        (Step::InitializeDebit, &[0x9401, 0x6A80], Reason::Funds),
        (Step::Commit, &[0x9401], Reason::Funds),
        (Step::InitializeLoad, &[0x9401], Reason::Overflow),
        (Step::InitializeDebit, &[0x9402], Reason::Exhausted),
        (Step::InitializeLoad, &[0x9402], Reason::Exhausted),
        (Step::InitializeDebit, &[0x9403], Reason::NoKey),
        (Step::InitializeLoad, &[0x9403], Reason::NoKey),
        (Step::InitializeDebit, &[0x6581], Reason::NoKeyOrMemory),
        (Step::InitializeLoad, &[0x6581], Reason::NoKeyOrMemory),
        (Step::InitializeLoad, &[0x6982], Reason::PinWanted),
        (Step::InitializeLoad, &[0x6985], Reason::BlockedOrFull),
        (Step::InitializeLoad, &[0x6A81, 0x6283], Reason::Blocked),
        (Step::InitializeDebit, &[0x6A86, 0x6B00, 0x6D00, 0x6E00], Reason::Unknown),
        (Step::InitializeDebit, &[0x6A81, 0x6985, 0x6283], Reason::Blocked),
        (Step::InitializeDebit, &[0x9408, 0x9407], Reason::Locked),
        (Step::Read, &[0x6A81, 0x6985], Reason::Blocked),
        (Step::Select, &[0x6A81, 0x6283], Reason::Blocked),
        (Step::Select, &[0x6A82], Reason::NoApplication),
        (Step::Pin, &[0x6983, 0x6A83], Reason::PinBlocked),
        (Step::Secured, &[0x9303], Reason::BlockedForGood),
        (Step::Prove, &[0x9406, 0x6985], Reason::NoProof),
        (Step::Read, &[0x6A83, 0x6A82], Reason::NoRecord),
        (Step::Commit, &[0x6581], Reason::Memory),
        (Step::Update, &[0x6A84, 0x6700, 0x6981], Reason::Data),
        (Step::Update, &[0x6982], Reason::PinWanted),
        (Step::Update, &[0x6985], Reason::Conditions),
        (Step::Read, &[0x6F00, 0x6C17], Reason::Other),
    ] {
        for status in statuses {
            let refusal = Refusal::new(step, StatusWord(*status));
            assert_eq!(refusal.reason, reason, "{step:?} {status:04X}");
            assert_eq!(refusal.to_string(), format!("{reason} (SW={status:04X})"));
        }
    }
}

/// Memory failure, warnings and status words nobody knows leave a commit open.
#[test]
fn statuses_that_refuse_a_commit() {
    let refused = (0..=0xFFFF).filter(|status| Refusal::of_commit(StatusWord(*status)).is_some());
    let expected = [
        0x6700, 0x6901, 0x6981, 0x6982, 0x6983, 0x6985, 0x6988, 0x6A80, 0x6A81, 0x6A82, 0x6A83,
        0x6A84, 0x6A86, 0x6B00, 0x6D00, 0x6E00, 0x9302, 0x9303, 0x9401, 0x9402, 0x9403, 0x9407,
        0x9408,
    ];
    assert_eq!(refused.collect::<Vec<u16>>(), expected);
}

#[test]
fn amounts_that_cannot_be() {
    let (zero, limit, over) = (Fen::ZERO, Fen::new(10_000), Fen::new(10_001));
    let profile = Profile { limit, maximum: limit, ..Profile::PBOC };
    let purchase = |amount| profile.purchase(1, amount, TERMINAL).map(drop);
    let load = |amount| profile.load(1, amount, TERMINAL).map(drop);
    let compound = |amount| profile.compound(1, amount, TERMINAL).map(drop);
    assert_eq!(purchase(limit), Ok(()));
    assert_eq!(purchase(zero), Err(PurchaseError::AmountZero));
    assert_eq!(purchase(over), Err(PurchaseError::OverLimit { amount: over, limit }));
    assert_eq!(compound(zero), Ok(()));
    assert_eq!(compound(over), Err(PurchaseError::OverLimit { amount: over, limit }));
    assert_eq!(load(limit), Ok(()));
    assert_eq!(load(zero), Err(LoadError::AmountZero));
    let balance = Fen::ZERO;
    assert_eq!(load(over), Err(LoadError::OverMaximum { balance, amount: over, maximum: limit }));

    // The card tells its balance, and the purse would be over.
    let initialized = |load: Load| {
        load.initialized(&hex!("00000001 0000 01 00 C903814D 03976C22 9000")).map(drop)
    };
    assert_eq!(initialized(profile.load(1, Fen::new(9_999), TERMINAL).unwrap()), Ok(()));
    let (balance, amount, maximum) = (Fen::new(1), limit, limit);
    assert_eq!(
        initialized(profile.load(1, limit, TERMINAL).unwrap()),
        Err(LoadError::OverMaximum { balance, amount, maximum })
    );
    let (amount, maximum) = (Fen::new(u32::MAX), Fen::new(u32::MAX));
    assert_eq!(
        initialized(Load::new(1, amount, TERMINAL).unwrap()),
        Err(LoadError::OverMaximum { balance, amount, maximum })
    );
}

/// One row for each way that it ends before a commit.
#[test]
fn errors_say_what_happened_to_the_money() {
    let debit = |status| {
        let compound = CompoundPurchase::new(1, Fen::new(350), TERMINAL);
        compound.initialized(&u16::to_be_bytes(status)).map(drop).unwrap_err()
    };
    let load = |status| {
        let load = Load::new(1, Fen::new(350), TERMINAL).unwrap();
        load.initialized(&u16::to_be_bytes(status)).map(drop).unwrap_err()
    };
    let select = |response: &[u8]| Select::new(Aid::PURSE.octets()).answer(response).unwrap_err();
    let zero = Purchase::new(1, Fen::ZERO, TERMINAL).unwrap_err();
    let limit = Purchase::new(1, Fen::new(350), TERMINAL).unwrap().within(Fen::new(300));
    let maximum = Load::new(1, Fen::new(350), TERMINAL).unwrap().within(Fen::new(300));
    let (balance, price) = (Fen::new(120), Fen::new(350));
    let mut table: Vec<(Box<dyn core::error::Error>, &str)> = vec![
        (Box::new(zero), "amount 0.00: only a compound purchase may be of nothing"),
        (Box::new(limit.unwrap_err()), "amount 3.50 is over the limit of 3.00"),
        (
            Box::new(maximum.unwrap_err()),
            "balance 0.00 and 3.50 more are over the purse's maximum of 3.00",
        ),
        (
            Box::new(PurchaseError::InsufficientBalance { balance, price }),
            "balance 1.20 does not cover price 3.50",
        ),
        (Box::new(PurchaseError::NoAnswer), "card did not answer"),
        (Box::new(LoadError::NoAnswer), "card did not answer"),
        (Box::new(SelectError::NoAnswer), "card did not answer"),
        (
            Box::new(PurchaseError::Sam(SamError::Refused(StatusWord(0x6985)))),
            "secure module refused the command (SW=6985)",
        ),
        (Box::new(select(&hex!("6A82"))), "not our card: it has no such application (SW=6A82)"),
        (
            Box::new(select(&hex!("6F04 8402A000 9000"))),
            "not our card: it selected the application A000",
        ),
        (Box::new(select(&hex!("6A81"))), "purse is blocked (SW=6A81)"),
        (
            Box::new(select(&hex!("7000 9000"))),
            "the card's answer to SELECT: FCI template is missing or cut short",
        ),
    ];
    for (status, text) in [
        (0x9401, "balance does not cover the amount (SW=9401)"),
        (0x9402, "the card's transaction counter is used up (SW=9402)"),
        (0x9403, "card has no key of this index (SW=9403)"),
        (0x6982, "the PIN is wanted first (SW=6982)"),
        (0x6A81, "purse is blocked (SW=6A81)"),
        (0x9303, "purse is blocked for good (SW=9303)"),
        (0x9408, "purse is locked by a transaction that has not ended (SW=9408)"),
        (0x6A86, "card does not know such a command (SW=6A86)"),
        (0x6F00, "card refused (SW=6F00)"),
    ] {
        table.push((Box::new(debit(status)), text));
    }
    table.push((Box::new(load(0x9401)), "purse cannot hold so much (SW=9401)"));
    let key = "card has no key of this index, or its memory failed (SW=6581)";
    table.push((Box::new(load(0x6581)), key));
    let full = "purse is blocked or cannot hold so much (SW=6985)";
    table.push((Box::new(load(0x6985)), full));
    table.push((Box::new(load(0x6982)), "the PIN is wanted first (SW=6982)"));
    for (error, text) in table {
        assert_eq!(error.to_string(), format!("{text}; no money has moved"));
    }
}

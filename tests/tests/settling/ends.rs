// SPDX-License-Identifier: Apache-2.0
//! Paid, refused, or being settled until the card has said which.

use crate::{PAID_ONCE, UNPAID, at_the_cinema, next_event, paid};
use cam_core::{Outcome, TxnState};
use cam_types::Fen;
use ecm_emm::card::PurchaseResult;
use std::path::Path;
use system_tests::demo::{self, PIN, PRICE};
use system_tests::stb::{Fate, LIVING_ROOM, Stb, Store};
use vcard::nvm::RamStore;
use vcard::{Card, Cut, Personalisation};

/// What happens to PURCHASE on its way, and whether the card has paid.
const FATES: &[(Fate, bool)] = &[
    (Fate::CommandLost, false),
    (Fate::AnswerLost, true),
    (Fate::Bare(0x6985), true),
    (Fate::Bare(0x6F00), true),
    (Fate::Bare(0x9000), true),
];

#[test]
fn a_lost_answer_is_settled_by_the_card() {
    for (fate, pays) in FATES {
        let (mut stb, offer) = at_the_cinema();
        let (_, txn) = stb.wish(&offer, PRICE);
        stb.fate = Some(*fate);
        stb.confirm(txn);
        let outcomes = stb.outcomes();
        assert_eq!(outcomes.first(), Some(&Outcome::Settling), "{fate:?}");
        if !pays {
            assert_eq!(outcomes[1..], [Outcome::NotPaid], "{fate:?}");
            assert_eq!((stb.money(), stb.state(txn)), (UNPAID, TxnState::Open));
            stb.confirm(txn);
        }
        let receipt = paid(&if *pays { outcomes } else { stb.outcomes() });
        assert_eq!((receipt.amount, receipt.balance_after), (PRICE, Fen::new(8800)));
        assert_eq!(stb.money(), PAID_ONCE, "{fate:?}");
    }
}

/// The same with the question, and the one after it: it is asked until the card has said.
#[test]
fn a_lost_question_is_asked_again() {
    for lost in [Fate::CommandLost, Fate::AnswerLost, Fate::Bare(0x6F00)] {
        let (mut stb, offer) = at_the_cinema();
        let (_, txn) = stb.wish(&offer, PRICE);
        stb.fate = Some(Fate::AnswerLost);
        stb.engine_confirm(txn, PIN);
        while stb.fate.is_some() {
            stb.run(10);
        }
        stb.fate = Some(lost);
        stb.run(20_000);
        assert_eq!(stb.fate, None, "the question was on the line");
        paid(&stb.outcomes());
        assert_eq!(stb.money(), PAID_ONCE);
    }
}

/// T13: the card loses its power at its two worst moments.
#[test]
fn a_cut_card_is_settled_by_asking() {
    for (cut, pays) in [(Cut::BeforeCommit, false), (Cut::AfterCommit, true)] {
        let (mut stb, offer) = at_the_cinema();
        let (_, txn) = stb.wish(&offer, PRICE);
        stb.slot.as_mut().unwrap().arm_cut(cut);
        stb.confirm(txn);
        let outcomes = stb.outcomes();
        assert_eq!(outcomes.first(), Some(&Outcome::Settling));
        if pays {
            paid(&outcomes);
        } else {
            assert_eq!((outcomes.last(), stb.money()), (Some(&Outcome::NotPaid), UNPAID));
            stb.confirm(txn);
            paid(&stb.outcomes());
        }
        assert_eq!(stb.money(), PAID_ONCE);
    }
}

/// The card is pulled with the question open. Another card is not asked, and can pay for something
/// else meanwhile; nobody guesses.
#[test]
fn only_the_card_that_was_asked_can_settle() {
    let (mut stb, offer) = at_the_cinema();
    let (_, txn) = stb.wish(&offer, PRICE);
    stb.fate = Some(Fate::Pulled);
    stb.confirm(txn);
    assert_eq!(stb.outcomes(), [Outcome::Settling]);
    let own = stb.pulled.take().unwrap();
    let text = demo::file("").replace("a1b2c3d4e5f60718", "a1b2c3d4e5f60799");
    stb.insert(made(&text.replace("slot = 0\n        stb_id", "slot = 2\n        stb_id")));
    stb.run(60_000);
    assert_eq!((stb.state(txn), stb.outcomes().len()), (TxnState::Settling, 0));
    assert_eq!(stb.money(), UNPAID, "the other card");
    let next = next_event(&mut stb, 2002);
    let (_, other) = stb.wish(&next, PRICE);
    stb.confirm(other);
    paid(&stb.outcomes());
    assert_eq!((stb.money(), stb.state(txn)), (PAID_ONCE, TxnState::Settling));
    stb.pull();
    stb.insert(own);
    stb.run(10_000);
    paid(&stb.outcomes());
    assert_eq!(stb.money(), PAID_ONCE);
}

/// The box loses its power around PURCHASE: its row settles it, unasked.
#[test]
fn a_box_without_power_settles_when_it_is_back() {
    for (fate, pays) in [(Fate::BoxDiesBefore, false), (Fate::BoxDiesAfter, true)] {
        let (mut stb, offer) = at_the_cinema();
        let (request, txn) = stb.wish(&offer, PRICE);
        stb.fate = Some(fate);
        stb.confirm(txn);
        assert!(stb.dead && stb.outcomes().is_empty());
        let mut stb = stb.restart();
        stb.run(5000);
        let outcomes = stb.outcomes();
        if pays {
            assert_eq!(paid(&outcomes).request, request);
            assert_eq!(stb.money(), PAID_ONCE);
        } else {
            let balance = Some(Fen::new(10_000));
            let refused = Outcome::Refused { result: PurchaseResult::NONE.0, balance };
            assert_eq!((outcomes, stb.money()), (vec![refused], UNPAID));
        }
        // Confirming it again pays nothing in either case; a new wish for the same event pays once.
        let txn = stb.again(&offer, request, PRICE);
        stb.confirm(txn);
        assert_eq!(stb.money(), if pays { PAID_ONCE } else { UNPAID });
        if !pays {
            let offer = next_event(&mut stb, 2001);
            let (_, txn) = stb.wish(&offer, PRICE);
            stb.confirm(txn);
            paid(&stb.outcomes());
        }
        assert_eq!(stb.money(), PAID_ONCE);
    }
}

/// Before the row is durable nothing is sent, whether the storage is slow, broken, or the power
/// goes.
#[test]
fn nothing_is_sent_before_its_row_is_durable() {
    let (mut stb, offer) = at_the_cinema();
    let (request, txn) = stb.wish(&offer, PRICE);
    stb.store = Store::Hangs;
    stb.confirm(txn);
    assert_eq!((stb.money(), stb.state(txn)), (UNPAID, TxnState::Sent));
    let mut stb = stb.restart();
    stb.run(5000);
    assert_eq!((stb.outcomes().len(), stb.money()), (0, UNPAID));
    let offer = next_event(&mut stb, 2001);
    let txn = stb.again(&offer, request, PRICE);
    stb.run(2000);
    assert_eq!((stb.outcomes(), stb.state(txn)), (vec![Outcome::Forgotten], TxnState::Forgotten));
    stb.confirm(txn);
    assert_eq!(stb.money(), UNPAID, "a request of another run is never paid");

    let (_, txn) = stb.wish(&offer, PRICE);
    stb.outcomes();
    stb.store = Store::Fails;
    stb.confirm(txn);
    assert_eq!((stb.outcomes(), stb.money()), (vec![Outcome::NotStored], UNPAID));
    stb.store = Store::Works;
    stb.confirm(txn);
    paid(&stb.outcomes());
    assert_eq!(stb.money(), PAID_ONCE);
}

/// A purchase that the card's log has no place for any more is not called unpaid.
#[test]
fn what_the_card_cannot_tell_is_not_guessed() {
    let mut stb = Stb::new(LIVING_ROOM, rich());
    let offer = next_event(&mut stb, 2001);
    let (request, txn) = stb.wish(&offer, PRICE);
    stb.fate = Some(Fate::Pulled);
    stb.confirm(txn);
    let mut card = stb.pulled.take().unwrap();
    // Elsewhere the card buys 32 times, and the head-end takes its records.
    assert_eq!(card.power_on().first(), Some(&0x3B));
    crate::requests::fill_the_log(&mut card);
    let before = card.status();
    stb.insert(card);
    stb.run(10_000);
    assert_eq!(stb.outcomes(), [Outcome::Settling, Outcome::Forgotten]);
    assert_eq!(stb.state(txn), TxnState::Forgotten);
    let again = stb.again(&offer, request, PRICE);
    assert_eq!(again, txn);
    stb.run(5000);
    stb.confirm(txn);
    assert_eq!(stb.slot.as_ref().unwrap().status().balance, before.balance);
}

/// The demo's card with 10,000.00 in its purse.
pub(crate) fn rich() -> Card {
    made(&demo::file("").replace("balance = 10000", "balance = 1000000"))
}

/// The card of this file, powered.
pub(crate) fn made(file: &str) -> Card {
    let perso = Personalisation::from_text(file, Path::new("card.toml")).unwrap();
    demo::powered(Box::new(RamStore::new(Card::personalise(&perso).unwrap().octets())))
}

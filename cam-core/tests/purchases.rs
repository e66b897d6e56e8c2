// SPDX-License-Identifier: Apache-2.0
//! Purchases: paid, refused or being settled, never guessed, never twice.

use crate::rig::card::{Cut, ModelCard, PIN};
use crate::rig::{Rig, air};
use cam_core::{
    AccessStatus, CardState, Event, Offer, OfferId, Outcome, PinAnswer, PinError, PinOutcome,
    PurchaseError, Receipt, RequestId, SessionId, TxnId, TxnState,
};
use cam_types::{Fen, Pseudonym};
use ecm_emm::card::{INS_ECM, INS_PURCHASE, INS_RIGHTS, INS_VERIFY, PurchaseResult};

const PRICE: Fen = Fen::new(1200);

fn at_the_cinema() -> (Rig, SessionId, Offer) {
    let mut rig = Rig::ready();
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    let offer = rig.engine.offers(cinema).next().unwrap();
    rig.take_events();
    (rig, cinema, offer)
}

/// A new wish to buy this.
fn begin(rig: &mut Rig, offer: &Offer) -> TxnId {
    let request = rig.engine.request_new().unwrap();
    again(rig, offer, request)
}

/// The same wish.
fn again(rig: &mut Rig, offer: &Offer, request: RequestId) -> TxnId {
    rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap()
}

fn request_of(rig: &Rig, txn: TxnId) -> RequestId {
    rig.engine.purchase(txn).unwrap().request
}

fn confirm(rig: &mut Rig, txn: TxnId, pin: &[u8]) -> Result<(), PurchaseError> {
    rig.engine.purchase_confirm(rig.now, txn, pin)
}

fn outcomes(rig: &mut Rig) -> Vec<Outcome> {
    let of_purchase = |event| match event {
        Event::Purchase { outcome, .. } => Some(outcome),
        _ => None,
    };
    rig.take_events().into_iter().filter_map(of_purchase).collect()
}

fn paid(outcomes: &[Outcome]) -> Receipt {
    match outcomes {
        [.., Outcome::Paid(receipt)] => *receipt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_purchase_brings_receipt_and_picture() {
    let (mut rig, cinema, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Open);
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(400);
    let receipt = paid(&outcomes(&mut rig));
    assert_eq!(receipt.amount, PRICE);
    assert_eq!((receipt.balance_before, receipt.balance_after), (Fen::new(10_000), Fen::new(8800)));
    assert_eq!((receipt.card_sequence, receipt.tac), (1, [1; 4]));
    assert!(rig.has_ecw(cinema), "at once, not with the next crypto period");
    let access = rig.engine.access(cinema).unwrap();
    assert_eq!(access.reason, AccessStatus::GRANTED_EVENT);
    rig.run(1000);
    assert_eq!(rig.engine.wallet().map(|wallet| wallet.balance), Some(Fen::new(8800)));
    assert_eq!(rig.engine.receipts().collect::<Vec<_>>(), [(txn, receipt)]);
    assert_eq!(rig.engine.offers(cinema).next(), None, "what is bought is no offer");
    let request = rig.engine.request_new().unwrap();
    let again = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE);
    assert_eq!(again, Err(PurchaseError::NoOffer));
}

#[test]
fn a_wrong_pin_leaves_the_purchase_open() {
    let (mut rig, _, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    for tries_left in [2, 1] {
        confirm(&mut rig, txn, b"11112222").unwrap();
        rig.run(500);
        assert_eq!(outcomes(&mut rig), [Outcome::PinWrong { tries_left }]);
        assert_eq!(rig.engine.card().pin_tries, Some(tries_left));
    }
    assert_eq!(rig.card.count(INS_PURCHASE), 0);
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(500);
    paid(&outcomes(&mut rig));
}

#[test]
fn a_blocked_pin_is_said_to_be_blocked() {
    let (mut rig, _, offer) = at_the_cinema();
    rig.card.tries = 0;
    let txn = begin(&mut rig, &offer);
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(500);
    assert_eq!(outcomes(&mut rig), [Outcome::PinBlocked]);
    confirm(&mut rig, txn, b"").unwrap();
    rig.run(500);
    assert_eq!(outcomes(&mut rig), [Outcome::PinRequired]);
    assert_eq!(confirm(&mut rig, txn, b"12ab"), Err(PurchaseError::PinFormat));
    assert_eq!(confirm(&mut rig, txn, b"123"), Err(PurchaseError::PinFormat));
    assert_eq!(rig.card.debits, 0);
}

/// T29: only the price that the subscriber saw is paid.
#[test]
fn another_price_than_the_one_seen_is_refused() {
    let (mut rig, cinema, offer) = at_the_cinema();
    let seen = Fen::new(1100);
    let request = rig.engine.request_new().unwrap();
    let refused = rig.engine.purchase_begin(rig.now, offer.id, request, seen);
    assert_eq!(refused, Err(PurchaseError::PriceChanged { price: PRICE, seen }));
    // The price changes between question and answer.
    let txn = begin(&mut rig, &offer);
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(5, 2001, 1500));
    rig.run(500);
    assert_eq!(rig.engine.offers(cinema).next().unwrap().price, Some(Fen::new(1500)));
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(500);
    let [Outcome::Refused { result, balance }] = outcomes(&mut rig)[..] else { panic!() };
    assert_eq!((result, balance), (PurchaseResult::PRICE.0, Some(Fen::new(10_000))));
    assert_eq!(rig.card.debits, 0);
}

#[test]
fn the_same_request_changes_nothing() {
    let (mut rig, _, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    let request = request_of(&rig, txn);
    assert_eq!(again(&mut rig, &offer, request), txn);
    confirm(&mut rig, txn, PIN).unwrap();
    assert_eq!(confirm(&mut rig, txn, PIN), Err(PurchaseError::State(TxnState::Sent)));
    rig.run(500);
    let receipt = paid(&outcomes(&mut rig));
    let verified = rig.card.count(INS_VERIFY);
    for _ in 0..3 {
        assert_eq!(again(&mut rig, &offer, request), txn);
        confirm(&mut rig, txn, PIN).unwrap();
        rig.run(500);
        assert_eq!(paid(&outcomes(&mut rig)), receipt);
    }
    assert_eq!((rig.card.debits, rig.card.count(INS_VERIFY)), (1, verified));
    // Also after a restart, from the storage.
    let mut rig = rig.restart();
    let txn = again(&mut rig, &offer, request);
    assert_eq!(rig.engine.purchase(txn).unwrap().receipt, Some(receipt));
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(500);
    assert_eq!(paid(&outcomes(&mut rig)), receipt);
    assert_eq!(rig.card.debits, 1);
}

/// A request is one wish: another event under it is refused, whatever became of the first, or a
/// host would take one receipt for two purchases. The same offer of another session, or of a later
/// run, is the same wish.
#[test]
fn a_request_is_for_one_offer_only() {
    let (mut rig, _, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    let request = request_of(&rig, txn);
    let second = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(5, 2001, 1200));
    rig.run(500);
    rig.take_events();
    let same = rig.engine.offers(second).next().unwrap();
    let refused = |rig: &mut Rig, step: &str| {
        for (other, what) in [(1 << 32, "another event"), (3, "another kind")] {
            let other = OfferId(offer.id.0 ^ other);
            let begun = rig.engine.purchase_begin(rig.now, other, request, PRICE);
            assert_eq!(begun, Err(PurchaseError::RequestReused), "{step}: {what}");
        }
    };
    refused(&mut rig, "open");
    assert_eq!(again(&mut rig, &same, request), txn);
    confirm(&mut rig, txn, PIN).unwrap();
    refused(&mut rig, "sent");
    rig.run(500);
    paid(&outcomes(&mut rig));
    refused(&mut rig, "paid");
    assert_eq!(again(&mut rig, &same, request), txn);
    let mut rig = rig.restart();
    refused(&mut rig, "of an earlier run");
    again(&mut rig, &offer, request);
    assert_eq!(rig.card.debits, 1);
}

/// T13: the power goes before the card commits: not paid, and confirming again pays once.
#[test]
fn cut_before_the_commit() {
    let (mut rig, cinema, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    rig.card.cut = Some(Cut::BeforeCommit);
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(3000);
    let unknown = |event: &(_, Event)| match event.1 {
        Event::Access { access, .. } => access.reason == AccessStatus::OUTCOME_UNKNOWN,
        _ => false,
    };
    assert!(rig.events.iter().any(unknown), "and the subscriber is told why he must wait");
    assert_eq!(outcomes(&mut rig), [Outcome::Settling, Outcome::NotPaid]);
    assert_eq!(rig.card.balance, Fen::new(10_000));
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Open);
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(1000);
    let receipt = paid(&outcomes(&mut rig));
    assert_eq!((receipt.balance_after, rig.card.debits), (Fen::new(8800), 1));
    assert!(rig.has_ecw(cinema));
    assert_eq!(rig.card.log.len(), 1, "one pair for one request, however often it is tried");
}

/// T13: the power goes after the commit and before the answer: paid, with the receipt.
#[test]
fn cut_after_the_commit() {
    let (mut rig, cinema, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    rig.card.cut = Some(Cut::AfterCommit);
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(3000);
    let outcomes = outcomes(&mut rig);
    assert_eq!(outcomes.first(), Some(&Outcome::Settling));
    let receipt = paid(&outcomes);
    assert_eq!((receipt.amount, receipt.balance_after), (PRICE, Fen::new(8800)));
    assert_eq!(rig.card.debits, 1);
    assert!(rig.has_ecw(cinema));
}

/// The box loses its power together with the card: what was stored before PURCHASE was sent settles
/// it, and the terminal's sequence goes on.
#[test]
fn a_restart_settles_what_was_open() {
    for (cut, debits) in [(Cut::BeforeCommit, 0), (Cut::AfterCommit, 1)] {
        let (mut rig, _, offer) = at_the_cinema();
        let txn = begin(&mut rig, &offer);
        let request = request_of(&rig, txn);
        rig.card.cut = Some(cut);
        confirm(&mut rig, txn, PIN).unwrap();
        rig.run(200);
        let mut rig = rig.restart();
        let outcomes = outcomes(&mut rig);
        assert_eq!(rig.card.debits, debits);
        if debits == 1 {
            assert_eq!(paid(&outcomes).request, request);
            continue;
        }
        let balance = Some(Fen::new(10_000));
        let refused = Outcome::Refused { result: PurchaseResult::NONE.0, balance };
        assert_eq!(outcomes, [refused]);
        let cinema = rig.open(&air::cinema());
        rig.section(air::CINEMA_ECM, &air::cinema_ecm(5, 2001, 1200));
        rig.run(500);
        let offer = rig.engine.offers(cinema).next().unwrap();
        // The old request says the same for ever, the wish has another one from now on.
        let old = again(&mut rig, &offer, request);
        confirm(&mut rig, old, PIN).unwrap();
        rig.run(1000);
        assert_eq!(rig.engine.purchase(old).unwrap().state, TxnState::Refused);
        assert_eq!(rig.card.debits, 0);
        let txn = begin(&mut rig, &offer);
        confirm(&mut rig, txn, PIN).unwrap();
        rig.run(1000);
        assert_eq!(rig.card.debits, 1);
    }
}

/// PURCHASE is sent only when its row is on durable storage.
#[test]
fn nothing_is_sent_before_it_is_stored() {
    let (mut rig, _, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    rig.storage_hangs = true;
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(5000);
    assert_eq!((rig.card.count(INS_VERIFY), rig.card.count(INS_PURCHASE)), (1, 0));
    rig.storage_hangs = false;
    rig.run(500);
    paid(&outcomes(&mut rig));
}

#[test]
fn without_storage_no_money_moves() {
    let (mut rig, _, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    rig.storage_fails = true;
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(1000);
    assert_eq!(outcomes(&mut rig), [Outcome::NotStored]);
    assert_eq!(rig.card.count(INS_PURCHASE), 0);
    rig.storage_fails = false;
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(1000);
    paid(&outcomes(&mut rig));
}

/// Anything but 9000 with a good MAC after PURCHASE was sent is "outcome unknown".
#[test]
fn a_bare_status_word_settles_nothing() {
    for sw in [0x6985, 0x6F00, 0x6982, 0x9000] {
        let (mut rig, _, offer) = at_the_cinema();
        let txn = begin(&mut rig, &offer);
        rig.card.refuse = Some((INS_PURCHASE, sw, 1));
        confirm(&mut rig, txn, PIN).unwrap();
        rig.run(3000);
        assert_eq!(outcomes(&mut rig), [Outcome::Settling, Outcome::NotPaid], "{sw:04X}");
    }
}

/// The card is pulled with the question open: another card is not asked, the own one is.
#[test]
fn only_the_card_that_was_asked_can_settle() {
    let (mut rig, _, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    rig.card.cut = Some(Cut::AfterCommit);
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(200);
    rig.inserted = false;
    rig.run(2000);
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Settling);
    assert_eq!(confirm(&mut rig, txn, PIN), Err(PurchaseError::State(TxnState::Settling)));
    let mut other = ModelCard::new();
    other.pseudonym = Pseudonym::new([9; 8]);
    let own = std::mem::replace(&mut rig.card, other);
    rig.inserted = true;
    rig.run(3000);
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Settling);
    assert_eq!(rig.card.count(INS_PURCHASE), 0);
    rig.inserted = false;
    rig.run(2000);
    rig.card = own;
    rig.inserted = true;
    rig.run(3000);
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Paid);
}

#[test]
fn too_little_money_is_a_refusal() {
    let (mut rig, _, offer) = at_the_cinema();
    rig.card.balance = Fen::new(100);
    let txn = begin(&mut rig, &offer);
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(1000);
    let balance = Some(Fen::new(100));
    let refused = Outcome::Refused { result: PurchaseResult::FUNDS.0, balance };
    assert_eq!(outcomes(&mut rig), [refused]);
}

#[test]
fn a_purchase_can_be_cancelled_until_it_is_confirmed() {
    let (mut rig, _, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    rig.engine.purchase_cancel(rig.now, txn).unwrap();
    rig.drain();
    assert_eq!(outcomes(&mut rig), [Outcome::Cancelled]);
    assert_eq!(confirm(&mut rig, txn, PIN), Err(PurchaseError::State(TxnState::Cancelled)));
    let cancelled = rig.engine.purchase_cancel(rig.now, txn);
    assert_eq!(cancelled, Err(PurchaseError::State(TxnState::Cancelled)));
    assert_eq!(rig.engine.purchase_cancel(rig.now, TxnId(99)), Err(PurchaseError::NoTransaction));
}

/// An offer that has ended is the card's to refuse; its successor is never bought in its place.
#[test]
fn the_event_that_was_seen_is_the_one_that_is_bought() {
    let (mut rig, cinema, offer) = at_the_cinema();
    let txn = begin(&mut rig, &offer);
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(5, 2002, 1200));
    rig.run(500);
    let events = rig.take_events();
    assert!(events.contains(&Event::OfferGone { session: cinema, offer: offer.id }));
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(500);
    let receipt = paid(&outcomes(&mut rig));
    assert_eq!(receipt.event, offer.event);
    assert!(!rig.has_ecw(cinema), "the event on air now is another");
    assert!(rig.card.events.contains(&offer.event.unwrap()));
}

/// A purchase goes before what is read back, and an ECM before the purchase.
#[test]
fn an_ecm_does_not_wait_for_a_purchase() {
    let (mut rig, _, offer) = at_the_cinema();
    let news = rig.open(&air::news());
    let txn = begin(&mut rig, &offer);
    rig.rest();
    confirm(&mut rig, txn, PIN).unwrap();
    rig.drain();
    let before = rig.card.seen.len();
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(1000);
    let after: Vec<u8> = rig.card.seen[before..].to_vec();
    assert_eq!(after[..2], [INS_ECM, INS_PURCHASE]);
    assert!(after.contains(&INS_RIGHTS));
    assert!(rig.has_ecw(news));
    paid(&outcomes(&mut rig));
}

#[test]
fn a_pin_is_changed_by_whoever_knows_the_old_one() {
    let (mut rig, _, _) = at_the_cinema();
    let new = b"271828".as_slice();
    assert_eq!(rig.engine.pin_change(rig.now, PIN, b"27"), Err(PinError::Format));
    for (old, expected) in [
        (new, PinOutcome::Wrong { tries_left: 2 }),
        (PIN, PinOutcome::Right),
        (PIN, PinOutcome::Wrong { tries_left: 2 }),
    ] {
        let ticket = rig.engine.pin_change(rig.now, old, new).unwrap();
        rig.run(500);
        let answer = PinAnswer { ticket, outcome: expected };
        assert!(rig.take_events().contains(&Event::Pin(answer)));
    }
    let ticket = rig.engine.pin_verify(rig.now, new).unwrap();
    rig.run(500);
    let answer = PinAnswer { ticket, outcome: PinOutcome::Right };
    assert!(rig.take_events().contains(&Event::Pin(answer)));
}

#[test]
fn a_pin_is_verified_for_its_own_sake() {
    let (mut rig, _, _) = at_the_cinema();
    for (pin, expected) in
        [(&b"11112222"[..], PinOutcome::Wrong { tries_left: 2 }), (PIN, PinOutcome::Right)]
    {
        let ticket = rig.engine.pin_verify(rig.now, pin).unwrap();
        rig.run(500);
        let answer = PinAnswer { ticket, outcome: expected };
        assert!(rig.take_events().contains(&Event::Pin(answer)));
    }
    rig.inserted = false;
    let ticket = rig.engine.pin_verify(rig.now, PIN).unwrap();
    rig.run(2000);
    let answer = PinAnswer { ticket, outcome: PinOutcome::Failed };
    assert!(rig.take_events().contains(&Event::Pin(answer)));
    assert_eq!(rig.engine.pin_verify(rig.now, PIN), Err(PinError::NoCard));
    assert_eq!(rig.engine.card().state, CardState::Absent);
}

// SPDX-License-Identifier: Apache-2.0
//! What is told of a purchase that was not paid, and what stays of it, is what happened.

use crate::rig::card::{Cut, ModelCard, PIN};
use crate::rig::{Rig, air, config};
use cam_core::{Absence, CardState, Event, Input, Offer, Outcome, RequestId, SessionId, TxnState};
use cam_types::{Fen, Pseudonym};
use ecm_emm::card::{AccessStatus, INS_PURCHASE, PurchaseResult};

const PRICE: Fen = Fen::new(1200);

fn outcomes(events: &[Event]) -> Vec<Outcome> {
    let outcomes = events.iter().filter_map(|event| match event {
        Event::Purchase { outcome, .. } => Some(*outcome),
        _ => None,
    });
    outcomes.collect()
}

fn at_the_cinema() -> (Rig, Offer) {
    let mut rig = Rig::ready();
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    let offer = rig.engine.offers(cinema).next().unwrap();
    rig.take_events();
    (rig, offer)
}

fn confirm(rig: &mut Rig, offer: &Offer, pin: &[u8]) -> RequestId {
    let request = rig.engine.request_new().unwrap();
    let txn = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap();
    rig.engine.purchase_confirm(rig.now, txn, pin).unwrap();
    request
}

/// After a restart there is nothing to settle, and nothing is told of it.
#[test]
fn a_purchase_that_only_lacked_its_pin_is_not_settled() {
    let (mut rig, offer) = at_the_cinema();
    let request = confirm(&mut rig, &offer, b"");
    rig.run(1000);
    assert_eq!(outcomes(&rig.take_events()), [Outcome::PinRequired]);
    let queries = rig.card.count(INS_PURCHASE);
    let mut rig = rig.restart();
    assert_eq!(outcomes(&rig.take_events()), []);
    let txn = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap();
    let purchase = rig.engine.purchase(txn).unwrap();
    let required = PurchaseResult::PIN_REQUIRED.0;
    assert_eq!((purchase.state, purchase.result), (TxnState::Refused, required));
    assert_eq!(rig.card.count(INS_PURCHASE), queries, "nobody is asked");
}

/// The same of one that the card has said not to be paid.
#[test]
fn a_purchase_that_is_settled_stays_settled() {
    let (mut rig, offer) = at_the_cinema();
    rig.card.cut = Some(Cut::BeforeCommit);
    let request = confirm(&mut rig, &offer, PIN);
    rig.run(3000);
    assert_eq!(outcomes(&rig.take_events()), [Outcome::Settling, Outcome::NotPaid]);
    let mut rig = rig.restart();
    assert_eq!(outcomes(&rig.take_events()), []);
    let txn = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap();
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Refused);
}

/// A full disk is not the card's word.
#[test]
fn what_could_not_be_stored_is_told_as_such() {
    let (mut rig, offer) = at_the_cinema();
    rig.storage_fails = true;
    confirm(&mut rig, &offer, PIN);
    rig.run(1000);
    assert_eq!(outcomes(&rig.take_events()), [Outcome::NotStored]);
}

/// The PIN was not wanted by the card: the card has gone.
#[test]
fn a_card_that_left_is_told_as_such() {
    let (mut rig, offer) = at_the_cinema();
    rig.input(Input::CardAbsent(Absence::Removed));
    rig.take_events();
    rig.inserted = true;
    rig.run(1500);
    rig.take_events();
    // Confirmed while something else is on the line.
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(5, 2001, 1200));
    confirm(&mut rig, &offer, PIN);
    rig.input(Input::CardAbsent(Absence::Removed));
    assert_eq!(outcomes(&rig.take_events()), [Outcome::CardGone]);
}

/// Stored for one card, and another one is in when it could be sent.
#[test]
fn another_card_in_the_reader_is_told_as_such() {
    let (mut rig, offer) = at_the_cinema();
    rig.storage_hangs = true;
    confirm(&mut rig, &offer, PIN);
    rig.run(500);
    rig.inserted = false;
    rig.run(1500);
    rig.card = ModelCard::new();
    rig.card.pseudonym = Pseudonym::new([9; 8]);
    rig.inserted = true;
    let pairing = air::box_pair(7, Pseudonym::new([9; 8]), 0);
    rig.tune_emms();
    rig.run(1500);
    rig.section(air::EMM, &pairing);
    rig.run(1500);
    assert_eq!(rig.engine.card().state, CardState::Ready);
    rig.storage_hangs = false;
    rig.run(1500);
    assert_eq!(outcomes(&rig.take_events()), [Outcome::CardGone]);
}

/// The storage is an older copy: it says that the purchase is open, and the card was paid since.
#[test]
fn an_older_copy_is_not_believed() {
    let (mut rig, offer) = at_the_cinema();
    let request = confirm(&mut rig, &offer, b"");
    rig.run(1000);
    let copy = rig.storage.clone();
    let txn = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap();
    rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
    rig.run(1000);
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Paid);
    rig.storage = copy;
    let mut rig = rig.restart();
    assert_eq!(outcomes(&rig.take_events()), []);
    let txn = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap();
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Settling);
    rig.run(1000);
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Paid);
    assert_eq!(rig.card.debits, 1);
}

/// The sessions that were told that they wait for the end of a purchase, each once.
fn told_to_wait(events: &[Event]) -> Vec<SessionId> {
    let unknown = |event: &Event| match event {
        Event::Access { session, access, .. } => {
            (access.reason == AccessStatus::OUTCOME_UNKNOWN).then_some(*session)
        }
        _ => None,
    };
    let mut told: Vec<_> = events.iter().filter_map(unknown).collect();
    told.sort_by_key(|session| session.0);
    told.dedup();
    told
}

/// A purchase that is being settled keeps dark what it was to open, in whatever session.
#[test]
fn every_session_with_the_offer_waits_for_its_end() {
    let (mut rig, offer) = at_the_cinema();
    let other = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    rig.card.cut = Some(Cut::BeforeCommit);
    confirm(&mut rig, &offer, PIN);
    rig.run(3000);
    assert_eq!(told_to_wait(&rig.take_events()), [offer.session, other]);
}

/// Sessions are numbered anew with each run: one of today is not one of a row.
#[test]
fn a_row_keeps_no_other_programme_waiting() {
    let (mut rig, offer) = at_the_cinema();
    rig.card.cut = Some(Cut::BeforeCommit);
    confirm(&mut rig, &offer, PIN);
    while outcomes(&rig.take_events()).is_empty() {
        rig.run(1);
    }
    let mut again = Rig::new(config(rig.storage.clone().into_iter().collect()));
    let news = again.open(&air::news());
    assert_eq!(news, offer.session, "the same number");
    again.run(3000);
    assert_eq!(told_to_wait(&again.take_events()), []);
}

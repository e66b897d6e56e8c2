// SPDX-License-Identifier: Apache-2.0
//! An offer is told when it can be bought, and gone when it cannot.

use crate::rig::card::{PIN, key};
use crate::rig::{Rig, air, config};
use cam_core::{CardState, Event, Offer, OfferKind, TxnState};
use cam_types::Fen;
use ecm_emm::card::PurchaseResult;

const PRICE: Fen = Fen::new(1200);

fn offers(events: &[Event]) -> Vec<Offer> {
    let offers = events.iter().filter_map(|event| match event {
        Event::Offer(offer) => Some(*offer),
        _ => None,
    });
    offers.collect()
}

fn gone(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::OfferGone { .. })).count()
}

/// An offer section that is on air before the card is up is told when the card is.
#[test]
fn an_offer_is_told_when_it_can_be_bought() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::offer(9, 2001, 1200));
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    let mut bought = Vec::new();
    for _ in 0..2000 {
        for offer in offers(&rig.take_events()) {
            assert_eq!(rig.engine.card().state, CardState::Ready, "{offer:?}");
            assert!(rig.engine.offers(cinema).any(|listed| listed == offer));
            let request = rig.engine.request_new().unwrap();
            let txn = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap();
            rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
            bought.push((offer.kind, txn));
        }
        rig.run(1);
    }
    let kinds: Vec<_> = bought.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds[..2], [OfferKind::Event, OfferKind::Sealed]);
    let end = |at: usize| rig.engine.purchase(bought[at].1).unwrap().state;
    assert_eq!((end(0), end(1)), (TxnState::Paid, TxnState::Owned));
}

/// Confirmed before the purse was ever read: it is read first, and the purchase goes on.
#[test]
fn a_purchase_does_not_wait_for_somebody_to_read_the_purse() {
    for pin in [PIN, b""] {
        let mut rig = Rig::new(config(air::stored_pairing()));
        rig.open(&air::cinema());
        rig.section(air::CINEMA_ECM, &air::offer(9, 2001, 1200));
        let offer = (0..1000).find_map(|_| {
            rig.run(1);
            offers(&rig.take_events()).first().copied()
        });
        assert_eq!(rig.engine.wallet(), None);
        let offer = offer.unwrap();
        let request = rig.engine.request_new().unwrap();
        let txn = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap();
        rig.engine.purchase_confirm(rig.now, txn, pin).unwrap();
        rig.run(1000);
        let purchase = rig.engine.purchase(txn).unwrap();
        let end = match pin {
            b"" => (TxnState::Open, PurchaseResult::PIN_REQUIRED.0),
            _ => (TxnState::Paid, PurchaseResult::PAID.0),
        };
        assert_eq!((purchase.state, purchase.result), end);
    }
}

/// Without the card nothing can be bought; with it everything that is on air again.
#[test]
fn offers_go_and_come_with_the_card() {
    let mut rig = Rig::ready();
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::offer(9, 2001, 1200));
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    assert_eq!(offers(&rig.take_events()).len(), 2);
    rig.pull();
    assert_eq!(gone(&rig.take_events()), 2);
    assert_eq!(rig.engine.offers(cinema).count(), 0);
    rig.inserted = true;
    rig.run(1500);
    let events = rig.take_events();
    assert_eq!((offers(&events).len(), gone(&events)), (2, 0));
    assert_eq!(rig.engine.access(cinema).unwrap().offers, 2);
    // A reset on the way is no end of an offer.
    rig.engine.card_reset(rig.now);
    rig.run(1500);
    let events = rig.take_events();
    assert_eq!((offers(&events).len(), gone(&events)), (0, 0));
}

/// The programme changes, and with it the ECM stream that brought the offer.
#[test]
fn an_offer_ends_with_its_stream() {
    let mut rig = Rig::ready();
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    let offer = offers(&rig.take_events())[0];
    let elsewhere = air::pmt(2, air::NEWS_ECM, None, 0x200);
    rig.engine.session_update(rig.now, cinema, &elsewhere).unwrap();
    rig.drain();
    assert!(rig.take_events().contains(&Event::OfferGone { session: cinema, offer: offer.id }));
}

/// Seconds of a preview that run off make no new offer.
#[test]
fn an_offer_is_told_again_when_it_changed() {
    let mut rig = Rig::ready();
    rig.open(&air::cinema());
    for (period, preview_s, price) in [(4, 60, 1200), (5, 50, 1200), (6, 40, 1200), (7, 30, 900)] {
        let mut criteria = air::ppv(2001, price);
        if let Some(ppv) = &mut criteria.ppv {
            ppv.preview_s = preview_s;
        }
        let ecm = air::ecm_with(2, 1, period, &key(0x30), criteria);
        rig.carousel(air::CINEMA_ECM, &ecm, 500);
    }
    let prices: Vec<_> =
        offers(&rig.take_events()).iter().filter_map(|offer| offer.price).collect();
    assert_eq!(prices, [Fen::new(1200), Fen::new(900)]);
}

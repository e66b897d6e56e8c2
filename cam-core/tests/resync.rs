// SPDX-License-Identifier: Apache-2.0
//! A host that has lost events is told everything again.

use crate::rig::card::PIN;
use crate::rig::{Rig, air};
use cam_core::{Access, CardState, Event, Offer, Outcome, PurchaseError};
use cam_types::Fen;
use ecm_emm::card::{AccessStatus, WalletInfo};
use std::collections::BTreeMap;

/// What a host makes of events, in order.
#[derive(Debug, Default, PartialEq)]
struct Host {
    card: Option<(CardState, AccessStatus)>,
    access: BTreeMap<u32, (AccessStatus, bool)>,
    offers: BTreeMap<u64, Offer>,
    wallet: Option<WalletInfo>,
    purchases: BTreeMap<u32, Outcome>,
    report: Option<([u8; 8], usize)>,
}

impl Host {
    fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let mut host = Self::default();
        for event in events {
            match event {
                Event::Card { state, reason } => host.card = Some((state, reason)),
                Event::Access { session, access } => {
                    let Access { reason, crypto_period, .. } = access;
                    host.access.insert(session.0, (reason, crypto_period.is_some()));
                }
                Event::Offer(offer) => drop(host.offers.insert(offer.id.0, offer)),
                Event::OfferGone { offer, .. } => drop(host.offers.remove(&offer.0)),
                Event::Wallet(wallet) => host.wallet = Some(wallet),
                Event::Purchase { txn, outcome } => drop(host.purchases.insert(txn.0, outcome)),
                Event::Report { nonce, pages } => host.report = Some((nonce, pages)),
                _ => {}
            }
        }
        host
    }
}

/// At every step of an evening: who has heard everything and who is told again know the same.
#[test]
fn who_is_told_again_knows_what_everybody_knows() {
    let mut rig = Rig::new(crate::rig::config(air::stored_pairing()));
    let mut steps = 0;
    let mut heard = Vec::new();
    let mut same = |rig: &mut Rig, step: &str| {
        heard.extend(rig.take_events());
        let all = Host::of(heard.iter().cloned());
        assert_eq!(Host::of(rig.engine.present_state()), all, "{step}");
        steps += 1;
    };
    rig.run(3000);
    same(&mut rig, "a card is up");
    let news = rig.open(&air::news());
    let cinema = rig.open(&air::cinema());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(1000);
    assert!(rig.engine.access(news).is_some());
    same(&mut rig, "two programmes, one to be bought");
    let offer = rig.engine.offers(cinema).next().expect("an offer");
    let begin = |rig: &mut Rig| {
        let request = rig.engine.request_new().unwrap();
        rig.engine.purchase_begin(rig.now, offer.id, request, Fen::new(1200)).unwrap()
    };
    let confirm = |rig: &mut Rig, txn, pin: &[u8]| -> Result<(), PurchaseError> {
        rig.engine.purchase_confirm(rig.now, txn, pin)
    };
    let given_up = begin(&mut rig);
    same(&mut rig, "begun");
    rig.engine.purchase_cancel(rig.now, given_up).unwrap();
    rig.drain();
    same(&mut rig, "cancelled");
    let txn = begin(&mut rig);
    confirm(&mut rig, txn, b"99999999").unwrap();
    rig.run(1000);
    same(&mut rig, "a wrong PIN");
    confirm(&mut rig, txn, PIN).unwrap();
    rig.run(2000);
    assert!(rig.engine.receipts().next().is_some(), "paid");
    same(&mut rig, "paid");
    rig.engine.report_request(rig.now, [7; 8], 0).unwrap();
    rig.run(2000);
    assert!(rig.engine.report_page().is_some(), "a report is there");
    same(&mut rig, "a report");
    rig.pull();
    rig.run(2000);
    same(&mut rig, "no card");
    assert_eq!(steps, 8);
}

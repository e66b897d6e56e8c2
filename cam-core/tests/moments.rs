// SPDX-License-Identifier: Apache-2.0
//! What the engine does, and when, does not depend on the moment at which its clock began.

use crate::rig::card::PIN;
use crate::rig::{Rig, air};
use cam_core::CardState;
use cam_types::{Fen, Instant};
use ecm_emm::card::INS_ECM;
use moments::MOMENTS;
use std::fmt::Debug;
use std::time::Duration;

/// Everything that came out of the engine, each with its time since the beginning.
fn story(first: Instant) -> Vec<(Duration, String)> {
    let mut rig = Rig::ready_from(first);
    let news = rig.open(&air::news());
    let cinema = rig.open(&air::cinema());
    for period in 4..10 {
        // The card is out for the third period, and mute in the fourth.
        rig.inserted = period != 6;
        rig.card.refuse = (period == 7).then_some((INS_ECM, 0x0000, 1));
        for _ in 0..20 {
            rig.section(air::NEWS_ECM, &air::news_ecm(period));
            rig.section(air::CINEMA_ECM, &air::cinema_ecm(period, 2001, 1200));
            rig.run(100);
        }
        if period == 4 {
            let offer = rig.engine.offers(cinema).next().unwrap();
            let request = rig.engine.request_new().unwrap();
            let txn =
                rig.engine.purchase_begin(rig.now, offer.id, request, Fen::new(1200)).unwrap();
            rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
        }
    }
    // A minute without a section, over which the card is looked after.
    rig.run(60_000);
    assert_eq!(rig.engine.card().state, CardState::Ready);
    assert!(rig.has_ecw(news));
    fn told<'a, T: Debug + 'a>(
        first: Instant,
        of: &'a [(Instant, T)],
    ) -> impl Iterator<Item = (Duration, String)> + 'a {
        of.iter().map(move |(at, what)| (at.since(first), format!("{what:?}")))
    }
    let mut all: Vec<_> = told(first, &rig.events).chain(told(first, &rig.cleared)).collect();
    all.push((rig.now.since(first), format!("{:02X?}", rig.commands)));
    all.push((rig.now.since(first), format!("{:?} {:?}", rig.ecw, rig.engine.stats())));
    all
}

#[test]
fn the_engine_does_the_same_from_every_first_moment() {
    let told = story(MOMENTS[0]);
    assert!(told.iter().any(|(_, what)| what.contains("Paid")), "{told:#?}");
    for first in &MOMENTS[1..] {
        for (told, again) in told.iter().zip(story(*first)) {
            assert_eq!(*told, again, "from {} us", first.as_micros());
        }
    }
}

//! What the engine does, and when, does not depend on the moment at which its clock began.

use crate::bench::card::PIN;
use crate::bench::{Bench, air};
use cam_core::CardState;
use cam_types::{Fen, Instant};
use ecm_emm::card::INS_ECM;
use moments::MOMENTS;
use std::fmt::Debug;
use std::time::Duration;

/// Everything that came out of the engine, each with its time since the beginning.
fn story(first: Instant) -> Vec<(Duration, String)> {
    let mut bench = Bench::ready_from(first);
    let news = bench.open(&air::news());
    let cinema = bench.open(&air::cinema());
    for period in 4..10 {
        // The card is out for the third period, and mute in the fourth.
        bench.inserted = period != 6;
        bench.card.refuse = (period == 7).then_some((INS_ECM, 0x0000, 1));
        for _ in 0..20 {
            bench.section(air::NEWS_ECM, &air::news_ecm(period));
            bench.section(air::CINEMA_ECM, &air::cinema_ecm(period, 2001, 1200));
            bench.run(100);
        }
        if period == 4 {
            let offer = bench.engine.offers(cinema).next().unwrap();
            let request = bench.engine.request_new().unwrap();
            let txn =
                bench.engine.purchase_begin(bench.now, offer.id, request, Fen::new(1200)).unwrap();
            bench.engine.purchase_confirm(bench.now, txn, PIN).unwrap();
        }
    }
    // A minute without a section, over which the card is looked after.
    bench.run(60_000);
    assert_eq!(bench.engine.card().state, CardState::Ready);
    assert!(bench.has_words(news));
    fn told<'a, T: Debug + 'a>(
        first: Instant,
        of: &'a [(Instant, T)],
    ) -> impl Iterator<Item = (Duration, String)> + 'a {
        of.iter().map(move |(at, what)| (at.since(first), format!("{what:?}")))
    }
    let mut all: Vec<_> = told(first, &bench.events).chain(told(first, &bench.cleared)).collect();
    all.push((bench.now.since(first), format!("{:02X?}", bench.commands)));
    all.push((bench.now.since(first), format!("{:?} {:?}", bench.words, bench.engine.stats())));
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

//! From a section to the descrambler: zapping, crypto periods, refusals, several services.

use crate::bench::card::{OPERATOR, PIN, key};
use crate::bench::{Bench, air, config};
use cam_core::{AccessState, AccessStatus, CardState, Event, Input, Remedy, SessionError};
use cam_types::{CaSystemId, Epoch, Pid, Slot};
use ecm_emm::card::{INS_ECM, PurchaseResult};
use ecm_emm::ecm::Criteria;

fn access(bench: &Bench, session: cam_core::SessionId) -> (AccessState, AccessStatus) {
    let access = bench.engine.access(session).unwrap();
    (access.state, access.reason)
}

#[test]
fn two_services_on_one_card() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    let cinema = bench.open(&air::cinema());
    assert_eq!(access(&bench, news).0, AccessState::Pending);
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    bench.run(500);

    let words = &bench.words[&(news.0, air::NEWS_ECM)];
    assert_eq!((words.even, words.odd, words.period), (air::word(4), air::word(5), 4));
    assert_eq!(words.es_pids, [Pid::from_field(0x100), Pid::from_field(0x101)]);
    assert_eq!(words.mode, 0x10, "CISSA by the scrambling_descriptor");
    let shown = bench.engine.access(news).unwrap();
    assert_eq!(shown.reason, AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(shown.remedy, Remedy::None);
    assert_eq!((shown.sw, shown.crypto_period), (0x9000, Some(4)));
    assert_eq!(shown.expires.map(|end| end.seconds()), Some(9000));

    assert!(!bench.has_words(cinema));
    let shown = bench.engine.access(cinema).unwrap();
    assert_eq!((shown.state, shown.remedy), (AccessState::Purchasable, Remedy::Pin));
    assert_eq!(shown.offers, 1);
    let offer = bench.engine.offers(cinema).next().unwrap();
    assert_eq!(offer.price.map(|price| price.fen()), Some(1200));
    assert!(bench.take_events().contains(&Event::Offer(offer)));
}

#[test]
fn the_next_crypto_period_replaces_the_words() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    for period in 4..8 {
        for _ in 0..20 {
            bench.section(air::NEWS_ECM, &air::news_ecm(period));
            bench.run(100);
        }
        assert_eq!(bench.words[&(news.0, air::NEWS_ECM)].period, period);
    }
    let stats = bench.engine.stats();
    assert_eq!((stats.ecm_in, stats.ecm_dup, stats.ecm_sent), (80, 76, 4));
    assert_eq!(bench.card.count(INS_ECM), 4);
    assert!(bench.cleared.is_empty(), "a crypto period never freezes the picture");
    assert_eq!(stats.ecm_latency_count, 4);
    assert!(stats.ecm_latency_max_us >= 80_000);
}

/// T11: a forged ECM changes nothing, costs one exchange, and is counted.
#[test]
fn a_forged_ecm_changes_nothing() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(300);
    let before = (bench.words.clone(), access(&bench, news));
    let mut other_operator = air::news_ecm(5);
    other_operator[4] ^= 0x40;
    for forgery in [
        air::forged(&air::news_ecm(4)),
        air::forged(&air::news_ecm(5)),
        // An epoch that nobody has.
        air::ecm_with(1, 9, 5, &key(0x66), air::package(1)),
        // An operator that nobody knows: one damaged octet of the header, which is in clear.
        other_operator,
    ] {
        for _ in 0..5 {
            bench.section(air::NEWS_ECM, &forgery);
            bench.run(100);
            bench.section(air::NEWS_ECM, &air::news_ecm(4));
            bench.run(100);
        }
        assert_eq!((bench.words.clone(), access(&bench, news)), before);
    }
    let stats = bench.engine.stats();
    assert_eq!((stats.ecm_sent, stats.ecm_refused), (5, 4));
    assert!(bench.cleared.is_empty());
    // The good one is still the one that is played again.
    bench.engine.card_reset(bench.now);
    bench.run(1000);
    assert_eq!((bench.words.clone(), access(&bench, news)), before);
}

/// When the good ECM is off the air, the reason is shown; when it is back, all is well.
#[test]
fn without_the_good_ecm_the_refusal_is_shown() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(300);
    bench.section(air::NEWS_ECM, &air::ecm_with(1, 2, 5, &key(0x66), air::package(1)));
    bench.run(900);
    assert_eq!(access(&bench, news).0, AccessState::Granted);
    bench.run(300);
    assert_eq!(access(&bench, news), (AccessState::Technical, AccessStatus::NO_KEY));
    assert_eq!(bench.engine.access(news).unwrap().remedy, Remedy::Emm);
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    assert_eq!(access(&bench, news).0, AccessState::Granted);
}

#[test]
fn malformed_sections_are_counted_and_hurt_nobody() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    let good = air::news_ecm(4);
    for len in 0..good.len() {
        bench.section(air::NEWS_ECM, &good[..len]);
    }
    let mut long = good.clone();
    long.extend([0; 200]);
    bench.section(air::NEWS_ECM, &long);
    bench.run(300);
    assert_eq!(bench.card.count(INS_ECM), 0);
    assert_eq!(bench.engine.stats().ecm_malformed, good.len() as u64 + 1);
    bench.section(air::NEWS_ECM, &good);
    bench.run(300);
    assert!(bench.has_words(news));
}

/// A recorded ECM of an earlier period does not take the picture away.
#[test]
fn a_replayed_ecm_is_stale() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    for period in [4, 5] {
        bench.section(air::NEWS_ECM, &air::news_ecm(period));
        bench.run(300);
    }
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(300);
    assert_eq!(bench.words[&(news.0, air::NEWS_ECM)].period, 5);
    assert_eq!(bench.engine.stats().ecm_stale, 1);
}

#[test]
fn a_denial_wipes_the_words() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(300);
    bench.section(air::NEWS_ECM, &air::ecm_with(1, 1, 5, &key(0x20), air::package(7)));
    bench.run(300);
    assert!(!bench.has_words(news));
    assert_eq!(access(&bench, news), (AccessState::Denied, AccessStatus::NO_RIGHT));
    assert_eq!(bench.engine.stats().cw_cleared, 1);
}

#[test]
fn closing_wipes_the_words_and_the_id() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(300);
    bench.engine.session_close(bench.now, news).unwrap();
    bench.drain();
    assert!(!bench.has_words(news));
    assert_eq!(bench.engine.access(news), None);
    assert_eq!(bench.engine.session_close(bench.now, news), Err(SessionError::Unknown));
    let again = bench.open(&air::news());
    assert_ne!(again, news, "an id is not used again");
    assert_eq!(bench.engine.session_close(bench.now, news), Err(SessionError::Unknown));
}

/// The answer to an ECM whose session was closed meanwhile is for nobody.
#[test]
fn a_late_answer_is_dropped() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.engine.session_close(bench.now, news).unwrap();
    let again = bench.open(&air::news());
    bench.run(500);
    assert!(bench.words.is_empty());
    assert_eq!(access(&bench, again).0, AccessState::Pending);
}

#[test]
fn sessions_are_bounded() {
    let mut config = config(air::stored_pairing());
    config.max_sessions = 3;
    let mut bench = Bench::new(config);
    for _ in 0..3 {
        bench.open(&air::news());
    }
    let fourth = bench.engine.session_open(bench.now, 0, &air::news());
    assert_eq!(fourth, Err(SessionError::Full { max: 3 }));
}

#[test]
fn the_reason_is_told_without_asking_the_card() {
    let mut bench = Bench::ready();
    let clear = bench.open(&air::pmt_of(3, &[], None, 0x110));
    assert_eq!(access(&bench, clear), (AccessState::Clear, AccessStatus::CLEAR));
    let other_system = air::ca_descriptors(&[(CaSystemId::new(0x0500), air::NEWS_ECM, 1, 2)]);
    let foreign = bench.open(&air::pmt_of(4, &other_system, None, 0x110));
    assert_eq!(access(&bench, foreign), (AccessState::Denied, AccessStatus::FOREIGN_SYSTEM));
}

/// Old-suite and new-suite cards live side by side on two ECM PIDs.
#[test]
fn operator_and_suite_of_the_card_choose_the_ecm_stream() {
    let other = Pid::from_field(0x0160);
    let operator = OPERATOR.value();
    for first in [(air::SYSTEM, other, operator, 3), (air::SYSTEM, other, 0x7777, 2)] {
        let ca = air::ca_descriptors(&[first, (air::SYSTEM, air::NEWS_ECM, operator, 2)]);
        let mut bench = Bench::ready();
        let session = bench.open(&air::pmt_of(1, &ca, None, 0x100));
        bench.section(air::NEWS_ECM, &air::news_ecm(4));
        bench.run(300);
        assert!(bench.has_words(session));
        // The choice waits for the card when the session is there first.
        let mut early = Bench::new(config(air::stored_pairing()));
        let session = early.open(&air::pmt_of(1, &ca, None, 0x100));
        early.run(1000);
        early.section(air::NEWS_ECM, &air::news_ecm(4));
        early.run(300);
        assert!(early.has_words(session));
    }
}

#[test]
fn a_changed_pmt_keeps_the_words_of_a_stream_that_stays() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(300);
    let moved = air::pmt(1, air::NEWS_ECM, Some(0x10), 0x200);
    bench.engine.session_update(bench.now, news, &moved).unwrap();
    bench.drain();
    assert_eq!(bench.words[&(news.0, air::NEWS_ECM)].es_pids[0], Pid::from_field(0x200));
    assert!(bench.cleared.is_empty());
    let elsewhere = air::pmt(1, air::CINEMA_ECM, Some(0x10), 0x200);
    bench.engine.session_update(bench.now, news, &elsewhere).unwrap();
    bench.drain();
    assert!(!bench.has_words(news));
    assert_eq!(bench.cleared.len(), 1);
}

#[test]
fn filters_follow_sessions_and_the_card() {
    let mut bench = Bench::new(config(air::stored_pairing()));
    bench.input(Input::Cat { source: 0, section: &air::cat() });
    let wanted = |bench: &Bench| {
        bench.engine.filters().iter().map(|f| (f.pid, f.matching[0], f.depth)).collect::<Vec<_>>()
    };
    assert_eq!(wanted(&bench), [(air::EMM, 0x8A, 9)]);
    bench.run(1000);
    assert_eq!(
        wanted(&bench),
        [(air::EMM, 0x8A, 9), (air::EMM, 0x82, 9), (air::EMM, 0x84, 5), (air::EMM, 0x86, 1)]
    );
    bench.take_events();
    let news = bench.open(&air::news());
    assert_eq!(wanted(&bench)[..2], [(air::NEWS_ECM, 0x80, 1), (air::NEWS_ECM, 0x88, 1)]);
    assert!(bench.take_events().contains(&Event::Filters));
    assert!(bench.engine.filters().iter().any(|f| f.passes(&air::news_ecm(4))));
    bench.engine.session_close(bench.now, news).unwrap();
    assert_eq!(wanted(&bench).len(), 4);
}

/// The same ECM PID on another tuner is another stream.
#[test]
fn sources_are_told_apart() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    bench.input(Input::Section { source: 1, pid: air::NEWS_ECM, octets: &air::news_ecm(4) });
    bench.run(300);
    assert!(!bench.has_words(news));
}

#[test]
fn a_key_rotation_loses_no_period() {
    let mut bench = Bench::ready();
    bench.input(Input::Cat { source: 0, section: &air::cat() });
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(300);
    bench.section(air::EMM, &air::deliver(1, 2, 0xA0));
    bench.run(1000);
    let newest = |bench: &Bench| {
        let versions = bench.engine.key_versions();
        versions.iter().find(|version| version.slot == 1).map(|version| version.key).unwrap()
    };
    assert_eq!((newest(&bench).active, newest(&bench).newest), (Epoch::new(1), Epoch::new(2)));
    bench.take_events();
    bench.section(air::NEWS_ECM, &air::ecm_with(1, 2, 5, &key(0xA0), air::package(1)));
    bench.run(300); // the card may be busy with a sign of life
    assert_eq!(bench.words[&(news.0, air::NEWS_ECM)].period, 5);
    let rotated = Event::KeyRotated { slot: Slot::new(1), epoch: Epoch::new(2) };
    assert!(bench.take_events().contains(&rotated));
    assert_eq!(newest(&bench).active, Epoch::new(2));
    bench.section(air::EMM, &air::activate(2, 2));
    bench.run(1000);
    assert!(bench.cleared.is_empty());
    assert!(!bench.take_events().contains(&rotated), "told once");
}

#[test]
fn a_free_programme_needs_no_right() {
    let mut bench = Bench::ready();
    bench.card.packages.clear();
    let news = bench.open(&air::news());
    let free = Criteria { free: true, ..Criteria::default() };
    bench.section(air::NEWS_ECM, &air::ecm_with(1, 1, 4, &key(0x20), free));
    bench.run(300);
    assert_eq!(access(&bench, news), (AccessState::Granted, AccessStatus::GRANTED_FREE));
}

/// An offer section is never sent as an ECM; it can be bought from.
#[test]
fn an_offer_section_is_for_a_purchase_only() {
    let mut bench = Bench::ready();
    let cinema = bench.open(&air::cinema());
    bench.section(air::CINEMA_ECM, &air::offer(77, 2002, 850));
    bench.section(air::CINEMA_ECM, &air::offer(77, 2002, 850));
    bench.run(300);
    assert_eq!(bench.card.count(INS_ECM), 0);
    let offers: Vec<_> = bench.engine.offers(cinema).collect();
    assert_eq!(offers.len(), 1);
    let price = cam_types::Fen::new(850);
    let request = bench.engine.request_new().unwrap();
    let txn = bench.engine.purchase_begin(bench.now, offers[0].id, request, price).unwrap();
    bench.engine.purchase_confirm(bench.now, txn, PIN).unwrap();
    bench.run(1000);
    let transaction = bench.engine.purchase(txn).unwrap();
    assert_eq!(transaction.result, PurchaseResult::PAID.0);
}

#[test]
fn an_event_queue_that_nobody_empties_is_bounded() {
    let mut config = config(air::stored_pairing());
    config.event_queue = 4;
    let mut bench = Bench::new(config);
    bench.run(1000);
    assert_eq!(bench.engine.card().state, CardState::Ready);
    let now = bench.now;
    for _ in 0..100 {
        let id = bench.engine.session_open(now, 0, &air::news()).unwrap();
        bench.engine.session_close(now, id).unwrap();
    }
    bench.events.clear();
    bench.drain();
    assert!(bench.events.len() <= 5);
    assert!(matches!(bench.events.last(), Some((_, Event::Overflow { lost })) if *lost > 90));
}

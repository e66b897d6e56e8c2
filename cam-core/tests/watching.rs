// SPDX-License-Identifier: Apache-2.0
//! From a section to the descrambler: zapping, crypto periods, refusals, several services.

use crate::rig::card::{OPERATOR, PIN, key};
use crate::rig::{Rig, air, config};
use cam_core::{AccessState, AccessStatus, CardState, Event, Input, Remedy, SessionError};
use cam_types::{CaSystemId, Epoch, Pid, Slot};
use ecm_emm::card::{INS_ECM, PurchaseResult};
use ecm_emm::ecm::Criteria;

fn access(rig: &Rig, session: cam_core::SessionId) -> (AccessState, AccessStatus) {
    let access = rig.engine.access(session).unwrap();
    (access.state, access.reason)
}

#[test]
fn two_services_on_one_card() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    let cinema = rig.open(&air::cinema());
    assert_eq!(access(&rig, news).0, AccessState::Pending);
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);

    let ecw = &rig.ecw[&(news.0, air::NEWS_ECM)];
    assert_eq!((ecw.even, ecw.odd, ecw.period), (air::cw(4), air::cw(5), 4));
    assert_eq!(ecw.es_pids, [Pid::from_field(0x100), Pid::from_field(0x101)]);
    assert_eq!(ecw.mode, 0x10, "CISSA by the scrambling_descriptor");
    let shown = rig.engine.access(news).unwrap();
    assert_eq!(shown.reason, AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(shown.remedy, Remedy::None);
    assert_eq!((shown.sw.0, shown.crypto_period), (0x9000, Some(4)));
    assert_eq!(shown.expires.map(|end| end.seconds()), Some(9000));

    assert!(!rig.has_ecw(cinema));
    let shown = rig.engine.access(cinema).unwrap();
    assert_eq!((shown.state, shown.remedy), (AccessState::Purchasable, Remedy::Pin));
    assert_eq!(shown.offers, 1);
    let offer = rig.engine.offers(cinema).next().unwrap();
    assert_eq!(offer.price.map(|price| price.fen()), Some(1200));
    assert!(rig.take_events().contains(&Event::Offer(offer)));
}

#[test]
fn the_next_crypto_period_replaces_the_ecws() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    for period in 4..8 {
        for _ in 0..20 {
            rig.section(air::NEWS_ECM, &air::news_ecm(period));
            rig.run(100);
        }
        assert_eq!(rig.ecw[&(news.0, air::NEWS_ECM)].period, period);
    }
    let stats = rig.engine.stats();
    assert_eq!((stats.ecm_in, stats.ecm_dup, stats.ecm_sent), (80, 76, 4));
    assert_eq!(rig.card.count(INS_ECM), 4);
    assert!(rig.cleared.is_empty(), "a crypto period never freezes the picture");
    assert_eq!(stats.ecm_latency_count, 4);
    assert!(stats.ecm_latency_max_us >= 80_000);
}

/// T11: a forged ECM changes nothing, costs one exchange, and is counted.
#[test]
fn a_forged_ecm_changes_nothing() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    let before = (rig.ecw.clone(), access(&rig, news));
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
            rig.section(air::NEWS_ECM, &forgery);
            rig.run(100);
            rig.section(air::NEWS_ECM, &air::news_ecm(4));
            rig.run(100);
        }
        assert_eq!((rig.ecw.clone(), access(&rig, news)), before);
    }
    let stats = rig.engine.stats();
    assert_eq!((stats.ecm_sent, stats.ecm_refused), (5, 4));
    assert!(rig.cleared.is_empty());
    // The good one is still the one that is played again.
    rig.engine.card_reset(rig.now);
    rig.run(1000);
    assert_eq!((rig.ecw.clone(), access(&rig, news)), before);
}

/// When the good ECM is off the air, the reason is shown; when it is back, all is well.
#[test]
fn without_the_good_ecm_the_refusal_is_shown() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    rig.section(air::NEWS_ECM, &air::ecm_with(1, 2, 5, &key(0x66), air::package(1)));
    rig.run(900);
    assert_eq!(access(&rig, news).0, AccessState::Granted);
    rig.run(300);
    assert_eq!(access(&rig, news), (AccessState::Technical, AccessStatus::NO_KEY));
    assert_eq!(rig.engine.access(news).unwrap().remedy, Remedy::Emm);
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    assert_eq!(access(&rig, news).0, AccessState::Granted);
}

#[test]
fn malformed_sections_are_counted_and_hurt_nobody() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    let good = air::news_ecm(4);
    for len in 0..good.len() {
        rig.section(air::NEWS_ECM, &good[..len]);
    }
    let mut long = good.clone();
    long.extend([0; 200]);
    rig.section(air::NEWS_ECM, &long);
    rig.run(300);
    assert_eq!(rig.card.count(INS_ECM), 0);
    assert_eq!(rig.engine.stats().ecm_malformed, good.len() as u64 + 1);
    rig.section(air::NEWS_ECM, &good);
    rig.run(300);
    assert!(rig.has_ecw(news));
}

/// A recorded ECM of an earlier period does not take the picture away.
#[test]
fn a_replayed_ecm_is_stale() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    for period in [4, 5] {
        rig.section(air::NEWS_ECM, &air::news_ecm(period));
        rig.run(300);
    }
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    assert_eq!(rig.ecw[&(news.0, air::NEWS_ECM)].period, 5);
    assert_eq!(rig.engine.stats().ecm_stale, 1);
}

#[test]
fn a_denial_wipes_the_ecws() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    rig.section(air::NEWS_ECM, &air::ecm_with(1, 1, 5, &key(0x20), air::package(7)));
    rig.run(300);
    assert!(!rig.has_ecw(news));
    assert_eq!(access(&rig, news), (AccessState::Denied, AccessStatus::NO_RIGHT));
    assert_eq!(rig.engine.stats().cw_cleared, 1);
}

#[test]
fn closing_wipes_the_ecws_and_the_id() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    rig.engine.session_close(rig.now, news).unwrap();
    rig.drain();
    assert!(!rig.has_ecw(news));
    assert_eq!(rig.engine.access(news), None);
    assert_eq!(rig.engine.session_close(rig.now, news), Err(SessionError::Unknown));
    let again = rig.open(&air::news());
    assert_ne!(again, news, "an id is not used again");
    assert_eq!(rig.engine.session_close(rig.now, news), Err(SessionError::Unknown));
}

/// The answer to an ECM whose session was closed meanwhile is for nobody.
#[test]
fn a_late_answer_is_dropped() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.engine.session_close(rig.now, news).unwrap();
    let again = rig.open(&air::news());
    rig.run(500);
    assert!(rig.ecw.is_empty());
    assert_eq!(access(&rig, again).0, AccessState::Pending);
}

#[test]
fn sessions_are_bounded() {
    let mut config = config(air::stored_pairing());
    config.max_sessions = 3;
    let mut rig = Rig::new(config);
    for _ in 0..3 {
        rig.open(&air::news());
    }
    let fourth = rig.engine.session_open(rig.now, 0, &air::news());
    assert_eq!(fourth, Err(SessionError::Full { max: 3 }));
}

#[test]
fn the_reason_is_told_without_asking_the_card() {
    let mut rig = Rig::ready();
    let clear = rig.open(&air::pmt_of(3, &[], None, 0x110));
    assert_eq!(access(&rig, clear), (AccessState::Clear, AccessStatus::CLEAR));
    let other_system = air::ca_descriptors(&[(CaSystemId::new(0x0500), air::NEWS_ECM, 1, 2)]);
    let foreign = rig.open(&air::pmt_of(4, &other_system, None, 0x110));
    assert_eq!(access(&rig, foreign), (AccessState::Denied, AccessStatus::FOREIGN_SYSTEM));
}

/// Old-suite and new-suite cards live side by side on two ECM PIDs.
#[test]
fn operator_and_suite_of_the_card_choose_the_ecm_stream() {
    let other = Pid::from_field(0x0160);
    let operator = OPERATOR.value();
    for first in [(air::SYSTEM, other, operator, 3), (air::SYSTEM, other, 0x7777, 2)] {
        let ca = air::ca_descriptors(&[first, (air::SYSTEM, air::NEWS_ECM, operator, 2)]);
        let mut rig = Rig::ready();
        let session = rig.open(&air::pmt_of(1, &ca, None, 0x100));
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        rig.run(300);
        assert!(rig.has_ecw(session));
        // The choice waits for the card when the session is there first.
        let mut early = Rig::new(config(air::stored_pairing()));
        let session = early.open(&air::pmt_of(1, &ca, None, 0x100));
        early.run(1000);
        early.section(air::NEWS_ECM, &air::news_ecm(4));
        early.run(300);
        assert!(early.has_ecw(session));
    }
}

#[test]
fn a_changed_pmt_keeps_the_ecws_of_a_stream_that_stays() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    let moved = air::pmt(1, air::NEWS_ECM, Some(0x10), 0x200);
    rig.engine.session_update(rig.now, news, &moved).unwrap();
    rig.drain();
    assert_eq!(rig.ecw[&(news.0, air::NEWS_ECM)].es_pids[0], Pid::from_field(0x200));
    assert!(rig.cleared.is_empty());
    let elsewhere = air::pmt(1, air::CINEMA_ECM, Some(0x10), 0x200);
    rig.engine.session_update(rig.now, news, &elsewhere).unwrap();
    rig.drain();
    assert!(!rig.has_ecw(news));
    assert_eq!(rig.cleared.len(), 1);
}

#[test]
fn filters_follow_sessions_and_the_card() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    let wanted = |rig: &Rig| {
        rig.engine.filters().iter().map(|f| (f.pid, f.matching[0], f.depth)).collect::<Vec<_>>()
    };
    assert_eq!(wanted(&rig), [(air::EMM, 0x8A, 9)]);
    rig.run(1000);
    assert_eq!(
        wanted(&rig),
        [(air::EMM, 0x82, 9), (air::EMM, 0x8A, 9), (air::EMM, 0x84, 5), (air::EMM, 0x86, 1)]
    );
    rig.take_events();
    let news = rig.open(&air::news());
    let [first, .., last] = wanted(&rig)[..] else { panic!("too few") };
    assert_eq!([first, last], [(air::NEWS_ECM, 0x80, 1), (air::NEWS_ECM, 0x88, 1)]);
    assert!(rig.take_events().contains(&Event::Filters));
    assert!(rig.engine.filters().iter().any(|f| f.passes(&air::news_ecm(4))));
    rig.engine.session_close(rig.now, news).unwrap();
    assert_eq!(wanted(&rig).len(), 4);
}

/// The same ECM PID on another tuner is another stream.
#[test]
fn sources_are_told_apart() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.input(Input::Section { source: 1, pid: air::NEWS_ECM, octets: &air::news_ecm(4) });
    rig.run(300);
    assert!(!rig.has_ecw(news));
}

#[test]
fn a_key_rotation_loses_no_period() {
    let mut rig = Rig::ready();
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    rig.section(air::EMM, &air::deliver(1, 2, 0xA0));
    rig.run(1000);
    let newest = |rig: &Rig| {
        let versions = rig.engine.key_versions();
        versions.iter().find(|version| version.slot == 1).map(|version| version.key).unwrap()
    };
    assert_eq!((newest(&rig).active, newest(&rig).newest), (Epoch::new(1), Epoch::new(2)));
    rig.take_events();
    rig.section(air::NEWS_ECM, &air::ecm_with(1, 2, 5, &key(0xA0), air::package(1)));
    rig.run(300); // the card may be busy with a sign of life
    assert_eq!(rig.ecw[&(news.0, air::NEWS_ECM)].period, 5);
    let rotated = Event::KeyRotated { slot: Slot::new(1), epoch: Epoch::new(2) };
    assert!(rig.take_events().contains(&rotated));
    assert_eq!(newest(&rig).active, Epoch::new(2));
    rig.section(air::EMM, &air::activate(2, 2));
    rig.run(1000);
    assert!(rig.cleared.is_empty());
    assert!(!rig.take_events().contains(&rotated), "told once");
}

#[test]
fn a_free_programme_needs_no_right() {
    let mut rig = Rig::ready();
    rig.card.packages.clear();
    let news = rig.open(&air::news());
    let free = Criteria { free: true, ..Criteria::default() };
    rig.section(air::NEWS_ECM, &air::ecm_with(1, 1, 4, &key(0x20), free));
    rig.run(300);
    assert_eq!(access(&rig, news), (AccessState::Granted, AccessStatus::GRANTED_FREE));
}

/// An offer section is never sent as an ECM; it can be bought from.
#[test]
fn an_offer_section_is_for_a_purchase_only() {
    let mut rig = Rig::ready();
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::offer(77, 2002, 850));
    rig.section(air::CINEMA_ECM, &air::offer(77, 2002, 850));
    rig.run(300);
    assert_eq!(rig.card.count(INS_ECM), 0);
    let offers: Vec<_> = rig.engine.offers(cinema).collect();
    assert_eq!(offers.len(), 1);
    let price = cam_types::Fen::new(850);
    let request = rig.engine.request_new().unwrap();
    let txn = rig.engine.purchase_begin(rig.now, offers[0].id, request, price).unwrap();
    rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
    rig.run(1000);
    let transaction = rig.engine.purchase(txn).unwrap();
    assert_eq!(transaction.result, PurchaseResult::PAID.0);
}

#[test]
fn an_event_queue_that_nobody_empties_is_bounded() {
    let mut config = config(air::stored_pairing());
    config.event_queue = 4;
    let mut rig = Rig::new(config);
    rig.run(1000);
    assert_eq!(rig.engine.card().state, CardState::Ready);
    let now = rig.now;
    for _ in 0..100 {
        let id = rig.engine.session_open(now, 0, &air::news()).unwrap();
        rig.engine.session_close(now, id).unwrap();
    }
    rig.events.clear();
    rig.drain();
    assert!(rig.events.len() <= 5);
    assert!(matches!(rig.events.last(), Some((_, Event::Overflow { lost })) if *lost > 90));
}

/// T2: a card that serves as many channels as it may is asked again every two seconds, and the
/// subscriber sees why; nothing goes to it between.
#[test]
fn a_card_without_room_for_a_channel_is_asked_again() {
    let mut rig = Rig::ready();
    rig.card.no_room = 2;
    let news = rig.open(&air::news());
    let start = rig.now;
    let mut asked = Vec::new();
    for _ in 0..60 {
        let before = rig.card.count(INS_ECM);
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        rig.run(100);
        if rig.card.count(INS_ECM) > before {
            asked.push(rig.now.since(start).as_millis());
        }
        if rig.card.no_room > 0 {
            let shown = rig.engine.access(news).unwrap();
            assert_eq!((shown.state, shown.reason), (AccessState::Denied, AccessStatus::CHANNELS));
            assert_eq!((shown.remedy, shown.crypto_period), (Remedy::Wait, None));
        }
    }
    assert_eq!(asked, [100, 2100, 4200]);
    assert_eq!(access(&rig, news), (AccessState::Granted, AccessStatus::GRANTED_SUBSCRIPTION));
    assert!(rig.has_ecw(news));
    let mut told = rig.take_events().into_iter().filter_map(|event| match event {
        Event::Access { session, access, .. } if session == news => Some(access.reason),
        _ => None,
    });
    assert_eq!(told.next_back(), Some(AccessStatus::GRANTED_SUBSCRIPTION));
}

/// T2: the ECM of the next crypto period is asked at once: a token may have come with its time.
#[test]
fn the_next_period_is_asked_at_once_where_the_card_had_no_room() {
    let mut rig = Rig::ready();
    rig.card.no_room = 1;
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(500);
    assert_eq!(access(&rig, news).1, AccessStatus::CHANNELS);
    rig.section(air::NEWS_ECM, &air::news_ecm(5));
    rig.run(200);
    assert_eq!(access(&rig, news).1, AccessStatus::GRANTED_SUBSCRIPTION);
    let sent = rig.card.count(INS_ECM);
    rig.run(5000);
    assert_eq!(rig.card.count(INS_ECM), sent, "what is answered is asked no more");
}

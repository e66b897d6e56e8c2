// SPDX-License-Identifier: Apache-2.0
//! ECMs that are not on air are told, and heal by themselves.

use crate::rig::card::OPERATOR;
use crate::rig::{Rig, air, config};
use cam_core::{AccessState, AccessStatus, Event, Input, Remedy, SessionId};
use cam_types::Pid;

const OTHER_ECM: Pid = Pid::from_field(0x0160);

fn reason(rig: &Rig, session: SessionId) -> AccessStatus {
    rig.engine.access(session).unwrap().reason
}

/// The milliseconds since `since` at which the session's access was told with this reason.
fn told(rig: &Rig, session: SessionId, reason: AccessStatus, since: u64) -> Vec<u64> {
    let at = |(at, event): &(cam_types::Instant, Event)| match event {
        Event::Access { session: of, access } if *of == session && access.reason == reason => {
            Some(at.as_micros() / 1000 - since)
        }
        _ => None,
    };
    rig.events.iter().filter_map(at).collect()
}

fn ms(rig: &Rig) -> u64 {
    rig.now.as_micros() / 1000
}

#[test]
fn none_from_the_start() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    let opened = ms(&rig);
    rig.run(2900);
    assert_eq!(reason(&rig, news), AccessStatus::PENDING);
    rig.run(60_000);
    assert_eq!(told(&rig, news, AccessStatus::NO_ECM, opened), [3000], "once, by itself");
    let access = rig.engine.access(news).unwrap();
    assert_eq!((access.state, access.remedy), (AccessState::Technical, Remedy::Wait));
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    assert_eq!(reason(&rig, news), AccessStatus::PENDING, "healed before the card has answered");
    rig.run(300);
    assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION);
}

/// The picture may still run: the keys stay where they are.
#[test]
fn none_any_more() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
    let last = ms(&rig) - 100;
    rig.run(2800);
    assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION);
    rig.run(1000);
    assert_eq!(told(&rig, news, AccessStatus::NO_ECM, last), [3000]);
    let access = rig.engine.access(news).unwrap();
    assert_eq!((access.state, access.crypto_period), (AccessState::Technical, Some(4)));
    assert!(rig.has_ecw(news) && rig.cleared.is_empty());
    // The same ECM again heals it without the card.
    let before = rig.commands.len();
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(rig.commands.len(), before);
}

/// Three repetition times, where those are longer; one outage does not make them so.
#[test]
fn a_slow_carousel_has_more_time() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    for _ in 0..4 {
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        rig.run(2500);
    }
    let last = ms(&rig) - 2500;
    rig.run(10_000);
    assert_eq!(told(&rig, news, AccessStatus::NO_ECM, last), [7500]);
    for _ in 0..2 {
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        rig.run(2500);
    }
    let last = ms(&rig) - 2500;
    rig.events.clear();
    rig.run(20_000);
    assert_eq!(told(&rig, news, AccessStatus::NO_ECM, last), [7500], "as before the outage");
}

#[test]
fn a_period_that_changes_is_no_silence() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    let opened = ms(&rig);
    for period in 4..10 {
        rig.carousel(air::NEWS_ECM, &air::news_ecm(period), 10_000);
    }
    assert!(told(&rig, news, AccessStatus::NO_ECM, opened).is_empty());
}

#[test]
fn an_offer_is_no_ecm() {
    let mut rig = Rig::ready();
    let cinema = rig.open(&air::cinema());
    rig.carousel(air::CINEMA_ECM, &air::offer(77, 2002, 850), 4000);
    assert_eq!(reason(&rig, cinema), AccessStatus::NO_ECM);
    assert_eq!(rig.engine.offers(cinema).count(), 1);
}

/// What is forged is on air: it is told as what it is.
#[test]
fn a_forgery_is_not_told_as_silence() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::forged(&air::news_ecm(4)), 6000);
    assert_eq!(reason(&rig, news), AccessStatus::REFUSED_ECM);
    rig.run(4000);
    assert_eq!(reason(&rig, news), AccessStatus::NO_ECM);
}

/// The worst of several ECM streams is what the programme shows.
#[test]
fn one_of_two_streams_is_silent() {
    let mut rig = Rig::ready();
    let of = |pid| air::ca_descriptors(&[(air::SYSTEM, pid, OPERATOR.value(), 2)]);
    let pmt = air::pmt_by_component(9, &[of(air::NEWS_ECM), of(OTHER_ECM)], 0x120);
    let session = rig.open(&pmt);
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 4000);
    assert_eq!(reason(&rig, session), AccessStatus::NO_ECM);
    assert!(rig.has_ecw(session));
    rig.section(OTHER_ECM, &air::news_ecm(4));
    rig.run(100);
    assert_eq!(reason(&rig, session), AccessStatus::GRANTED_SUBSCRIPTION);
}

/// What is wrong with the card is told first; ECMs are counted meanwhile.
#[test]
fn the_card_comes_first() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.inserted = false;
    let (news, cinema) = (rig.open(&air::news()), rig.open(&air::cinema()));
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 10_000);
    for session in [news, cinema] {
        assert_eq!(reason(&rig, session), AccessStatus::NO_CARD);
    }
    rig.inserted = true;
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
    assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(reason(&rig, cinema), AccessStatus::NO_ECM, "at once: it is silent for long");
    rig.pull();
    assert_eq!(reason(&rig, cinema), AccessStatus::NO_CARD);
}

/// A programme that is not scrambled, or not for this box, has no ECMs to miss; a stream that the
/// PMT brings later is waited for from then on.
#[test]
fn only_streams_that_are_used_are_missed() {
    let mut rig = Rig::ready();
    let clear = rig.open(&air::pmt_of(3, &[], None, 0x110));
    rig.run(5000);
    assert_eq!(reason(&rig, clear), AccessStatus::CLEAR);
    let scrambled = air::pmt(3, air::NEWS_ECM, None, 0x110);
    rig.engine.session_update(rig.now, clear, &scrambled).unwrap();
    rig.drain();
    let since = ms(&rig);
    rig.run(5000);
    assert_eq!(told(&rig, clear, AccessStatus::NO_ECM, since), [3000]);
}

/// The engine does not ask to be woken for a silence that was told.
#[test]
fn a_silence_that_was_told_wakes_nobody() {
    let mut config = config(air::stored_pairing());
    config.idle_poll = None;
    let mut rig = Rig::new(config);
    rig.input(Input::CardPresent);
    rig.run(1000);
    rig.open(&air::news());
    rig.run(10_000);
    assert_eq!(rig.wait(), None);
}

/// What else is on air behind each genuine ECM does not make the carousel faster than it is.
#[test]
fn what_comes_behind_each_ecm_is_no_repetition() {
    type Behind = fn(u32) -> Vec<u8>;
    let again: Behind = |_| air::news_ecm(4);
    let forged: Behind = |n| air::forgery(&air::news_ecm(4), n);
    let damaged: Behind = |_| damaged(&air::news_ecm(4));
    for (name, behind) in [("twice", again), ("forged", forged), ("damaged", damaged)] {
        for after in [0, 10, 100] {
            let mut rig = Rig::ready();
            let news = rig.open(&air::news());
            for _ in 0..3 {
                rig.section(air::NEWS_ECM, &air::news_ecm(4));
                rig.run(4000);
            }
            rig.take_events();
            for n in 0..10 {
                rig.section(air::NEWS_ECM, &air::news_ecm(4));
                rig.run(after);
                rig.section(air::NEWS_ECM, &behind(n));
                rig.run(4000 - after);
                assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION, "{name}");
            }
            let events = rig.take_events();
            let told = events.iter().any(|event| matches!(event, Event::Access { .. }));
            assert!(!told, "{name}, {after} ms behind: {events:?}");
        }
    }
}

/// Cut short: no ECM can be read from it.
fn damaged(section: &[u8]) -> Vec<u8> {
    section.iter().copied().take(section.len() - 3).collect()
}

/// What cannot be read is on air all the same, and told as what it is where nothing better is.
#[test]
fn malformed_ecms_are_not_told_as_silence() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.take_events();
    let since = ms(&rig);
    rig.carousel(air::NEWS_ECM, &damaged(&air::news_ecm(4)), 6000);
    let access = rig.engine.access(news).unwrap();
    assert_eq!(access.reason, AccessStatus::MALFORMED_ECM);
    assert_eq!(access.state, AccessState::Technical);
    assert_eq!(told(&rig, news, AccessStatus::MALFORMED_ECM, since).len(), 1);
    assert!(told(&rig, news, AccessStatus::NO_ECM, since).is_empty());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION);
    // The good ones go, the damaged ones stay; then these go too.
    rig.carousel(air::NEWS_ECM, &damaged(&air::news_ecm(4)), 6000);
    assert_eq!(reason(&rig, news), AccessStatus::MALFORMED_ECM);
    assert!(rig.has_ecw(news), "the picture may still run");
    rig.run(6000);
    assert_eq!(reason(&rig, news), AccessStatus::NO_ECM);
}

/// One damaged section changes nothing, before the first good one or among good ones.
#[test]
fn a_damaged_ecm_among_good_ones_changes_nothing() {
    for repetition in [100, 2000] {
        let mut rig = Rig::ready();
        let news = rig.open(&air::news());
        let since = ms(&rig);
        rig.section(air::NEWS_ECM, &damaged(&air::news_ecm(4)));
        rig.run(50);
        for n in 0..30 {
            rig.section(air::NEWS_ECM, &air::news_ecm(4));
            rig.run(repetition / 2);
            if n % 10 == 5 {
                rig.section(air::NEWS_ECM, &damaged(&air::news_ecm(4)));
            }
            rig.run(repetition / 2);
        }
        assert_eq!(rig.engine.stats().ecm_malformed, 4);
        for reason in [AccessStatus::MALFORMED_ECM, AccessStatus::NO_ECM] {
            assert!(told(&rig, news, reason, since).is_empty(), "{repetition}: {reason}");
        }
    }
}

/// The card's verdict on what is forged says more than what cannot be read.
#[test]
fn what_is_malformed_hides_no_forgery() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    let since = ms(&rig);
    for _ in 0..40 {
        rig.section(air::NEWS_ECM, &air::forged(&air::news_ecm(4)));
        rig.run(50);
        rig.section(air::NEWS_ECM, &damaged(&air::news_ecm(4)));
        rig.run(50);
    }
    assert_eq!(told(&rig, news, AccessStatus::REFUSED_ECM, since).len(), 1);
    assert!(told(&rig, news, AccessStatus::MALFORMED_ECM, since).is_empty());
}

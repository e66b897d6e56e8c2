// SPDX-License-Identifier: Apache-2.0
//! A card that takes its time, in a reader that cannot tell it from one that was pulled.

use crate::rig::{Rig, air, config};
use cam_core::{AccessState, AccessStatus, SessionId};
use core::time::Duration;
use ecm_emm::card::INS_ECM;

fn watching() -> (Rig, SessionId) {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(500);
    assert!(rig.has_ecw(news));
    (rig, news)
}

fn reason(rig: &Rig, session: SessionId) -> AccessStatus {
    rig.engine.access(session).unwrap().reason
}

/// Lets time pass until the card has been given a command.
fn asked(rig: &mut Rig) {
    let before = rig.commands.len();
    while rig.commands.len() == before {
        rig.run(1);
    }
}

#[test]
fn a_card_that_takes_25_s_comes_up_and_is_never_reset_for_it() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.exchange = Duration::from_secs(25);
    let news = rig.open(&air::news());
    for _ in 0..10 {
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        rig.run(25_000);
    }
    assert!(rig.has_ecw(news), "{}", reason(&rig, news));
    assert_eq!(rig.activations, 1);
    assert_eq!(rig.engine.stats().apdu_failed, 0);
}

#[test]
fn keys_go_after_a_second_of_silence_and_come_back_with_the_answer() {
    let (mut rig, news) = watching();
    rig.rest();
    rig.exchange = Duration::from_secs(25);
    asked(&mut rig);
    rig.run(990);
    assert!(rig.has_ecw(news), "too early");
    rig.run(20);
    assert!(!rig.has_ecw(news), "too late");
    let access = rig.engine.access(news).unwrap();
    assert_eq!((access.state, access.reason), (AccessState::Technical, AccessStatus::CARD_BUSY));
    assert_eq!(access.crypto_period, None);
    // What comes meanwhile hands nothing out.
    rig.run(10_000);
    let other = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(100);
    assert!(!rig.has_ecw(news) && !rig.has_ecw(other));
    rig.exchange = Duration::from_millis(20);
    rig.run(14_000);
    assert!(rig.has_ecw(news), "with the answer");
    assert_eq!(rig.period(news), Some(4));
    assert_eq!(reason(&rig, news), AccessStatus::NO_ECM, "none came meanwhile");
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(rig.activations, 1);
}

#[test]
fn a_slow_card_has_twice_its_slowest_answer() {
    let (mut rig, news) = watching();
    for (exchange, allowed) in [(1_500, 1_000), (2_900, 3_000), (4_000, 5_800)] {
        rig.rest();
        rig.exchange = Duration::from_millis(exchange);
        asked(&mut rig);
        rig.run(exchange.min(allowed) - 10);
        assert!(rig.has_ecw(news), "{exchange}");
        if exchange > allowed {
            rig.run(20);
            assert!(!rig.has_ecw(news), "{exchange}");
        }
        rig.run(exchange);
        assert!(rig.has_ecw(news), "{exchange}");
    }
    // A reset forgets it.
    rig.exchange = Duration::from_millis(20);
    rig.rest();
    rig.engine.card_reset(rig.now);
    rig.drain();
    rig.run(2_000);
    assert!(rig.has_ecw(news));
    rig.exchange = Duration::from_secs(5);
    asked(&mut rig);
    rig.run(1_010);
    assert!(!rig.has_ecw(news));
}

/// Where the card was pulled, and another one is in, nothing comes back.
#[test]
fn keys_that_went_in_silence_do_not_outlive_a_reset() {
    let (mut rig, news) = watching();
    rig.rest();
    rig.exchange = Duration::from_secs(30);
    asked(&mut rig);
    rig.run(2_000);
    assert!(!rig.has_ecw(news));
    rig.exchange = Duration::from_millis(20);
    rig.engine.card_reset(rig.now);
    rig.drain();
    while rig.commands.last().is_none_or(|apdu| apdu[1] != INS_ECM) {
        assert!(!rig.has_ecw(news), "only an ECM brings keys");
        rig.run(1);
    }
    rig.run(500);
    assert!(rig.has_ecw(news));
}

/// A detect line tells of a card that was pulled: silence costs nothing.
#[test]
fn a_detect_line_keeps_the_keys() {
    let mut config = config(air::stored_pairing());
    config.idle_poll = None;
    let mut rig = Rig::new(config);
    rig.input(cam_core::Input::CardPresent);
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(1_000);
    assert!(rig.has_ecw(news));
    rig.exchange = Duration::from_secs(5);
    rig.section(air::NEWS_ECM, &air::news_ecm(5));
    rig.run(4_000);
    assert!(rig.has_ecw(news));
}

// SPDX-License-Identifier: Apache-2.0
//! An idle card in a reader without a detect line: asked for a sign of life, on the line where the
//! line has a question of its own, by a command otherwise.

use crate::rig::{BWT, Rig, air, config};
use cam_core::{AccessStatus, CardState, Input, Probed, SessionId, SignOfLife};
use ecm_emm::card::{INS_ECM, INS_INFO, INS_RIGHTS};
use std::time::Duration;

/// The News are watched, and the line can ask by itself.
fn watching() -> (Rig, SessionId) {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.sign_of_life = SignOfLife::Probe;
    rig.run(1_000);
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(500);
    assert!(rig.has_ecw(news));
    rig.rest();
    (rig, news)
}

/// The instructions of the commands since then.
fn commands(rig: &Rig, since: usize) -> Vec<u8> {
    rig.commands[since..].iter().map(|apdu| apdu[1]).collect()
}

/// Lets time pass until the card is asked on the line.
fn probed(rig: &mut Rig) {
    let before = rig.probes;
    while rig.probes == before {
        rig.run(1);
    }
}

#[test]
fn an_idle_card_costs_no_command() {
    for sign in [SignOfLife::Command, SignOfLife::Probe] {
        let mut rig = Rig::new(config(air::stored_pairing()));
        rig.sign_of_life = sign;
        rig.run(2_000);
        assert_eq!(rig.engine.card().state, CardState::Ready);
        let (asked, before) = (rig.engine.stats().apdu, rig.probes);
        rig.run(38_000);
        let asked = rig.engine.stats().apdu - asked;
        // 300 ms of rest and 80 ms of exchange each.
        match sign {
            SignOfLife::Command => assert_eq!((asked, rig.probes), (100, 0)),
            SignOfLife::Probe => assert_eq!((asked, rig.probes - before), (0, 100)),
        }
        assert_eq!(rig.engine.stats().channels, 1);
    }
}

#[test]
fn an_unpaired_card_is_probed_as_well() {
    let mut rig = Rig::new(config(Vec::new()));
    rig.sign_of_life = SignOfLife::Probe;
    rig.run(1_000);
    assert_eq!(rig.engine.card().state, CardState::Unpaired);
    let since = rig.commands.len();
    rig.run(3_800);
    assert_eq!((commands(&rig, since), rig.probes > 8), (Vec::new(), true));
    rig.sign = Probed::Doubtful;
    probed(&mut rig);
    rig.rest();
    rig.run(1);
    assert_eq!(commands(&rig, since), [INS_INFO], "who is it?");
}

/// Another card may be in: it is asked what only the card of the session can answer, at once.
#[test]
fn a_doubtful_sign_is_followed_by_a_command() {
    let (mut rig, news) = watching();
    let since = rig.commands.len();
    rig.sign = Probed::Doubtful;
    probed(&mut rig);
    assert!(commands(&rig, since).is_empty());
    rig.run(u64::try_from(rig.exchange.as_millis()).unwrap());
    assert_eq!(commands(&rig, since), [INS_RIGHTS]);
    rig.sign = Probed::Alive;
    rig.run(3_000);
    assert_eq!(commands(&rig, since), [INS_RIGHTS], "once");
    assert!(rig.has_ecw(news));
    assert_eq!(rig.activations, 1);
}

/// Another card that answers the line does not keep the keys of the first.
#[test]
fn another_card_does_not_keep_the_keys() {
    let (mut rig, news) = watching();
    rig.sign = Probed::Doubtful;
    rig.card.reset(); // no session, as a card has none that was put in
    let since = rig.commands.len();
    probed(&mut rig);
    rig.run(1_000);
    assert!(rig.engine.stats().channels > 1, "the session is opened anew");
    let seen: Vec<u8> = commands(&rig, since);
    let first = seen.iter().position(|ins| *ins == INS_ECM).expect("an ECM goes to the card");
    assert_eq!(seen[0], INS_RIGHTS, "{seen:02X?}");
    assert!(first > 4, "behind the new session: {seen:02X?}");
    assert!(rig.has_ecw(news));
}

#[test]
fn keys_that_went_in_silence_come_back_with_a_sign_beyond_doubt() {
    for sign in [Probed::Alive, Probed::Doubtful] {
        let (mut rig, news) = watching();
        rig.exchange = Duration::from_secs(3);
        rig.sign = sign;
        probed(&mut rig);
        rig.run(990);
        assert!(rig.has_ecw(news), "too early");
        rig.run(20);
        assert!(!rig.has_ecw(news), "too late");
        rig.run(1_980);
        assert!(!rig.has_ecw(news));
        let since = rig.commands.len();
        rig.run(20);
        assert_eq!(rig.has_ecw(news), sign == Probed::Alive);
        if sign == Probed::Doubtful {
            assert_eq!(commands(&rig, since), [INS_RIGHTS]);
            rig.run(2_980);
            assert!(!rig.has_ecw(news));
            rig.run(20);
            assert!(rig.has_ecw(news), "with the answer");
        }
        assert_eq!((rig.period(news), rig.activations), (Some(4), 1));
    }
}

#[test]
fn a_card_that_gives_no_sign_is_reset() {
    let (mut rig, news) = watching();
    rig.inserted = false;
    let failed = rig.engine.stats().apdu_failed;
    probed(&mut rig);
    rig.run(u64::try_from(BWT.as_millis()).unwrap());
    assert_eq!(rig.activations, 2);
    rig.run(200);
    assert!(!rig.has_ecw(news));
    assert_eq!(rig.engine.access(news).unwrap().reason, AccessStatus::NO_CARD);
    assert_eq!(rig.engine.stats().apdu_failed, failed, "no command was out");
}

/// A session that ends while a sign of life is awaited begins anew behind it.
#[test]
fn a_sign_of_life_belongs_to_no_session() {
    let (mut rig, _) = watching();
    probed(&mut rig);
    let since = rig.commands.len();
    rig.engine.card_reset(rig.now);
    rig.drain();
    rig.run(1_000);
    assert_eq!(rig.engine.card().state, CardState::Ready);
    assert!(commands(&rig, since).len() >= 4);
    // And one that nobody asked for changes nothing.
    rig.rest();
    for sign in [Probed::Alive, Probed::Doubtful] {
        let since = rig.commands.len();
        rig.input(Input::Probed(sign));
        assert_eq!(rig.commands.len(), since);
    }
}

/// What has to go to the card goes before.
#[test]
fn an_ecm_does_not_wait_for_the_next_sign() {
    let (mut rig, news) = watching();
    probed(&mut rig);
    rig.section(air::NEWS_ECM, &air::news_ecm(5));
    rig.run(u64::try_from(rig.exchange.as_millis()).unwrap());
    assert_eq!(rig.commands.last().unwrap()[1], INS_ECM);
    rig.run(100);
    assert_eq!(rig.period(news), Some(5));
}

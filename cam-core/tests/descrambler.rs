// SPDX-License-Identifier: Apache-2.0
//! What the descrambler refuses is told, and heals by itself.

use crate::rig::{Rig, air, config};
use cam_core::{AccessState, AccessStatus, Event, Handover, Input, Remedy, SessionId};

const LIT: AccessStatus = AccessStatus::GRANTED_SUBSCRIPTION;
/// Nobody has answered yet.
const WAITS: (AccessStatus, bool) = (AccessStatus::PENDING, false);

fn reason(rig: &Rig, session: SessionId) -> AccessStatus {
    rig.engine.access(session).unwrap().reason
}

/// The reasons that were told since the last time.
fn told(rig: &mut Rig, session: SessionId) -> Vec<AccessStatus> {
    let reason = |event| match event {
        Event::Access { session: of, access } if of == session => Some(access.reason),
        _ => None,
    };
    rig.take_events().into_iter().filter_map(reason).collect()
}

/// What the middleware was told of a session since the last time: reason, and whether there are
/// keys.
fn shown(rig: &mut Rig, session: SessionId) -> Vec<(AccessStatus, bool)> {
    let of = |event| match event {
        Event::Access { session: of, access } if of == session => {
            Some((access.reason, access.crypto_period.is_some()))
        }
        _ => None,
    };
    rig.take_events().into_iter().filter_map(of).collect()
}

/// No event claims what the next one takes back, and none comes twice: with ECWs that are refused
/// from the start, and again each time that they were wiped.
#[test]
fn nothing_is_granted_before_the_descrambler_has_taken_it() {
    let mut rig = Rig::ready();
    rig.descrambler = Some(Handover::Refused);
    let news = rig.open(&air::news());
    let dark = (AccessStatus::DESCRAMBLER, false);
    for period in 4..6 {
        rig.carousel(air::NEWS_ECM, &air::news_ecm(period), 2500);
    }
    assert_eq!(shown(&mut rig, news), [WAITS, dark]);
    for _ in 0..3 {
        rig.pull();
        rig.inserted = true;
        rig.carousel(air::NEWS_ECM, &air::news_ecm(6), 2500);
        let shown = shown(&mut rig, news);
        assert_eq!(shown.first(), Some(&(AccessStatus::NO_CARD, false)), "{shown:?}");
        assert_eq!(shown.iter().filter(|told| **told == dark).count(), 1, "{shown:?}");
        assert!(shown.iter().all(|(reason, keys)| !keys && *reason != LIT), "{shown:?}");
    }
    // Refused while others are in use.
    rig.descrambler = Some(Handover::Taken);
    rig.carousel(air::NEWS_ECM, &air::news_ecm(7), 500);
    rig.descrambler = Some(Handover::Refused);
    rig.carousel(air::NEWS_ECM, &air::news_ecm(8), 2500);
    assert_eq!(shown(&mut rig, news), [(LIT, true), dark]);
}

/// It is known that the ladder is refused before the first ECWs are there.
#[test]
fn nothing_is_granted_under_a_refused_ladder() {
    // ECWs that are taken all the same open nothing.
    for cw in [Handover::Refused, Handover::Taken] {
        let mut rig = Rig::new(config(air::stored_pairing()));
        (rig.ladder, rig.descrambler) = (Some(Handover::Refused), Some(cw));
        rig.run(1000);
        let sessions = [(); 2].map(|()| rig.open(&air::news()));
        rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2500);
        let events = rig.take_events();
        for session in sessions {
            let reason = |event: &Event| match event {
                Event::Access { session: of, access } if *of == session => Some(access.reason),
                _ => None,
            };
            let told: Vec<_> = events.iter().filter_map(reason).collect();
            assert_eq!(told, [AccessStatus::PENDING, AccessStatus::DESCRAMBLER], "{cw:?}");
        }
    }
}

/// While the descrambler has not answered, what was told stands.
#[test]
fn an_answer_that_is_due_is_waited_for() {
    let mut rig = Rig::ready();
    rig.descrambler = None;
    let news = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2500);
    assert_eq!(shown(&mut rig, news), [WAITS]);
    let taken = |ecm_pid| Input::Cw { session: news, ecm_pid, handover: Handover::Taken };
    rig.input(taken(air::CINEMA_ECM));
    assert_eq!(shown(&mut rig, news), []);
    rig.input(taken(air::NEWS_ECM));
    assert_eq!(shown(&mut rig, news), [(LIT, true)]);
}

/// One refusal costs a second, not a crypto period: the ECM on air brings its ECWs again.
#[test]
fn refused_ecws_are_handed_over_again_while_their_ecm_is_on_air() {
    let mut rig = Rig::ready();
    rig.descrambler = Some(Handover::Refused);
    let news = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 10_000);
    assert!((9..=11).contains(&rig.handovers), "{} times in 10 s", rig.handovers);
    assert_eq!(rig.card.count(ecm_emm::card::INS_ECM), 1, "the card has no part in it");
    rig.descrambler = Some(Handover::Taken);
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 1100);
    assert_eq!(shown(&mut rig, news), [WAITS, (AccessStatus::DESCRAMBLER, false), (LIT, true)]);
    assert_eq!(rig.period(news), Some(4));
    let before = rig.handovers;
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 5000);
    assert_eq!(rig.handovers, before, "what was taken is not handed over again");
}

/// The ladder likewise, once for all sessions.
#[test]
fn a_refused_ladder_is_loaded_again_while_ecms_are_on_air() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    (rig.ladder, rig.descrambler) = (Some(Handover::Refused), Some(Handover::Refused));
    rig.run(1000);
    let sessions = [(); 4].map(|()| rig.open(&air::news()));
    let before = rig.ladders.len();
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 10_000);
    let loaded = rig.ladders.len() - before;
    assert!((9..=11).contains(&loaded), "loaded {loaded} times in 10 s");
    (rig.ladder, rig.descrambler) = (Some(Handover::Taken), Some(Handover::Taken));
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 1100);
    for session in sessions {
        assert_eq!(reason(&rig, session), LIT);
    }
}

#[test]
fn refused_ecws_are_told_until_some_are_taken() {
    let mut rig = Rig::ready();
    rig.descrambler = Some(Handover::Refused);
    let (news, cinema) = (rig.open(&air::news()), rig.open(&air::cinema()));
    for period in 4..7 {
        rig.section(air::CINEMA_ECM, &air::cinema_ecm(period, 2001, 1200));
        rig.carousel(air::NEWS_ECM, &air::news_ecm(period), 2000);
        let access = rig.engine.access(news).unwrap();
        assert_eq!(access.reason, AccessStatus::DESCRAMBLER);
        assert_eq!((access.state, access.remedy), (AccessState::Technical, Remedy::Technician));
        assert_eq!(access.crypto_period, None, "the descrambler holds none");
        assert_eq!(reason(&rig, cinema), AccessStatus::PURCHASABLE, "its own affair");
    }
    let refused = told(&mut rig, news);
    assert_eq!(refused.last(), Some(&AccessStatus::DESCRAMBLER));
    let count = refused.iter().filter(|reason| **reason == AccessStatus::DESCRAMBLER).count();
    assert_eq!(count, 1, "once, not in every period");
    rig.descrambler = Some(Handover::Taken);
    rig.carousel(air::NEWS_ECM, &air::news_ecm(7), 500);
    let access = rig.engine.access(news).unwrap();
    assert_eq!(access.reason, AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(access.crypto_period, Some(7));
    assert_eq!(told(&mut rig, news), [AccessStatus::GRANTED_SUBSCRIPTION]);
}

/// A ladder that does not take its keys opens nothing for anybody. It gets them again before the
/// next ECWs, and then every session has its own at once.
#[test]
fn a_refused_ladder_darkens_every_session() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.ladder = Some(Handover::Refused);
    rig.descrambler = Some(Handover::Refused);
    rig.run(1000);
    let sessions = [(); 2].map(|()| rig.open(&air::news()));
    for period in 4..6 {
        rig.carousel(air::NEWS_ECM, &air::news_ecm(period), 500);
        for session in sessions {
            assert_eq!(reason(&rig, session), AccessStatus::DESCRAMBLER);
        }
    }
    assert!((3..=5).contains(&rig.ladders.len()), "loaded {} times", rig.ladders.len());
    (rig.ladder, rig.descrambler) = (Some(Handover::Taken), Some(Handover::Taken));
    rig.carousel(air::NEWS_ECM, &air::news_ecm(6), 500);
    for session in sessions {
        assert_eq!(reason(&rig, session), AccessStatus::GRANTED_SUBSCRIPTION);
        assert_eq!(rig.period(session), Some(6));
    }
    let loaded = rig.ladders.len();
    rig.carousel(air::NEWS_ECM, &air::news_ecm(7), 500);
    assert_eq!(rig.ladders.len(), loaded, "once it has its keys it is left alone");
}

/// The ladder loses its keys while ECWs are in use.
#[test]
fn a_ladder_refused_late_is_told_at_once() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    rig.input(Input::Ladder(Handover::Refused));
    assert_eq!(reason(&rig, news), AccessStatus::DESCRAMBLER);
    rig.input(Input::Ladder(Handover::Taken));
    rig.input(Input::Cw { session: news, ecm_pid: air::NEWS_ECM, handover: Handover::Taken });
    assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION);
}

/// What is said of ECWs that were wiped meanwhile, or of a session that is closed, is nobody's.
#[test]
fn a_late_refusal_is_for_nobody() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    let late = |session| Input::Cw { session, ecm_pid: air::NEWS_ECM, handover: Handover::Refused };
    rig.input(late(news));
    assert_eq!(reason(&rig, news), AccessStatus::PENDING);
    rig.descrambler = Some(Handover::Refused);
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    rig.pull();
    assert_eq!(reason(&rig, news), AccessStatus::NO_CARD, "the card comes first");
    rig.descrambler = Some(Handover::Taken);
    rig.inserted = true;
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 1500);
    assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION, "nothing is left of it");
    rig.engine.session_close(rig.now, news).unwrap();
    rig.input(late(news));
    assert_eq!(rig.engine.access(news), None);
}

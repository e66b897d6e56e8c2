//! What the descrambler refuses is told, and heals by itself.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod bench;

use bench::{Bench, air};
use cam_core::{AccessState, AccessStatus, Event, Handover, Input, Remedy, SessionId};

fn reason(bench: &Bench, session: SessionId) -> AccessStatus {
    bench.engine.access(session).unwrap().reason
}

/// The reasons that were told since the last time.
fn told(bench: &mut Bench, session: SessionId) -> Vec<AccessStatus> {
    let reason = |event| match event {
        Event::Access { session: of, access } if of == session => Some(access.reason),
        _ => None,
    };
    bench.take_events().into_iter().filter_map(reason).collect()
}

#[test]
fn refused_words_are_told_until_some_are_taken() {
    let mut bench = Bench::ready();
    bench.descrambler = Some(Handover::Refused);
    let (news, cinema) = (bench.open(&air::news()), bench.open(&air::cinema()));
    for period in 4..7 {
        bench.section(air::CINEMA_ECM, &air::cinema_ecm(period, 2001, 1200));
        bench.carousel(air::NEWS_ECM, &air::news_ecm(period), 2000);
        let access = bench.engine.access(news).unwrap();
        assert_eq!(access.reason, AccessStatus::DESCRAMBLER);
        assert_eq!((access.state, access.remedy), (AccessState::Technical, Remedy::Technician));
        assert_eq!(access.crypto_period, None, "the descrambler holds none");
        assert_eq!(reason(&bench, cinema), AccessStatus::PURCHASABLE, "its own affair");
    }
    let refused = told(&mut bench, news);
    assert_eq!(refused.last(), Some(&AccessStatus::DESCRAMBLER));
    let count = refused.iter().filter(|reason| **reason == AccessStatus::DESCRAMBLER).count();
    assert_eq!(count, 1, "once, not in every period");
    bench.descrambler = Some(Handover::Taken);
    bench.carousel(air::NEWS_ECM, &air::news_ecm(7), 500);
    let access = bench.engine.access(news).unwrap();
    assert_eq!(access.reason, AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(access.crypto_period, Some(7));
    assert_eq!(told(&mut bench, news), [AccessStatus::GRANTED_SUBSCRIPTION]);
}

/// A ladder that does not take its keys opens nothing for anybody. It gets them again before the
/// next words, and then every session has its words at once.
#[test]
fn a_refused_ladder_darkens_every_session() {
    let mut bench = Bench::new(bench::config(air::stored_pairing()));
    bench.ladder = Some(Handover::Refused);
    bench.descrambler = Some(Handover::Refused);
    bench.run(1000);
    let sessions = [(); 2].map(|()| bench.open(&air::news()));
    for period in 4..6 {
        bench.carousel(air::NEWS_ECM, &air::news_ecm(period), 500);
        for session in sessions {
            assert_eq!(reason(&bench, session), AccessStatus::DESCRAMBLER);
        }
    }
    assert!((3..=5).contains(&bench.ladders.len()), "loaded {} times", bench.ladders.len());
    (bench.ladder, bench.descrambler) = (Some(Handover::Taken), Some(Handover::Taken));
    bench.carousel(air::NEWS_ECM, &air::news_ecm(6), 500);
    for session in sessions {
        assert_eq!(reason(&bench, session), AccessStatus::GRANTED_SUBSCRIPTION);
        assert_eq!(bench.period(session), Some(6));
    }
    let loaded = bench.ladders.len();
    bench.carousel(air::NEWS_ECM, &air::news_ecm(7), 500);
    assert_eq!(bench.ladders.len(), loaded, "once it has its keys it is left alone");
}

/// The ladder loses its keys while words are in use.
#[test]
fn a_ladder_refused_late_is_told_at_once() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    bench.input(Input::Ladder(Handover::Refused));
    assert_eq!(reason(&bench, news), AccessStatus::DESCRAMBLER);
    bench.input(Input::Ladder(Handover::Taken));
    bench.input(Input::Words { session: news, ecm_pid: air::NEWS_ECM, handover: Handover::Taken });
    assert_eq!(reason(&bench, news), AccessStatus::GRANTED_SUBSCRIPTION);
}

/// What is said of words that were wiped meanwhile, or of a session that is closed, is nobody's.
#[test]
fn a_late_refusal_is_for_nobody() {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    let late =
        |session| Input::Words { session, ecm_pid: air::NEWS_ECM, handover: Handover::Refused };
    bench.input(late(news));
    assert_eq!(reason(&bench, news), AccessStatus::PENDING);
    bench.descrambler = Some(Handover::Refused);
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    bench.pull();
    assert_eq!(reason(&bench, news), AccessStatus::NO_CARD, "the card comes first");
    bench.descrambler = None;
    bench.inserted = true;
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 1500);
    assert_eq!(reason(&bench, news), AccessStatus::GRANTED_SUBSCRIPTION, "nothing is left of it");
    bench.engine.session_close(bench.now, news).unwrap();
    bench.input(late(news));
    assert_eq!(bench.engine.access(news), None);
}

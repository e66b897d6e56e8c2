//! One ECM that several sessions or streams wait for goes to the card once.

use crate::bench::card::{OPERATOR, PIN, key};
use crate::bench::{Bench, air};
use cam_core::{AccessState, AccessStatus, Event, Input, OfferId, SessionId};
use cam_types::Pid;
use ecm_emm::card::{INS_ECM, PurchaseResult};

const OTHER_ECM: Pid = Pid::from_field(0x0160);

/// A programme with an ECM stream for each of its two components.
fn two_streams() -> Vec<u8> {
    let of = |pid| air::ca_descriptors(&[(air::SYSTEM, pid, OPERATOR.value(), 2)]);
    air::pmt_by_component(9, &[of(air::NEWS_ECM), of(OTHER_ECM)], 0x120)
}

fn states(bench: &Bench, sessions: &[SessionId]) -> Vec<AccessStatus> {
    sessions.iter().map(|id| bench.engine.access(*id).unwrap().reason).collect()
}

/// The commands that carried an ECM since the last time.
fn asked(bench: &mut Bench) -> usize {
    let count = bench.card.count(INS_ECM);
    bench.card.seen.clear();
    count
}

#[test]
fn eight_sessions_of_one_stream() {
    let mut bench = Bench::ready();
    let sessions: Vec<_> = (0..8).map(|_| bench.open(&air::news())).collect();
    for period in 4..8 {
        bench.carousel(air::NEWS_ECM, &air::news_ecm(period), 500);
        assert_eq!(asked(&mut bench), 1, "period {period}");
        for session in &sessions {
            assert_eq!(bench.period(*session), Some(period));
        }
    }
    assert_eq!(states(&bench, &sessions), [AccessStatus::GRANTED_SUBSCRIPTION; 8]);
    assert_eq!(bench.engine.stats().ecm_latency_count, 4, "an exchange is measured once");
}

#[test]
fn two_streams_of_one_programme() {
    let mut bench = Bench::ready();
    let session = bench.open(&two_streams());
    for period in 4..8 {
        bench.section(air::NEWS_ECM, &air::news_ecm(period));
        bench.section(OTHER_ECM, &air::news_ecm(period));
        bench.run(500);
        assert_eq!(asked(&mut bench), 1, "period {period}");
        for pid in [air::NEWS_ECM, OTHER_ECM] {
            assert_eq!(bench.words[&(session.0, pid)].period, period);
        }
    }
}

#[test]
fn one_programme_on_two_sources() {
    let mut bench = Bench::ready();
    let (here, there) = (bench.open_on(0, &air::news()), bench.open_on(1, &air::news()));
    let ecm = air::news_ecm(4);
    bench.section(air::NEWS_ECM, &ecm);
    bench.run(40); // the card is at work for the first one
    bench.input(Input::Section { source: 1, pid: air::NEWS_ECM, octets: &ecm });
    bench.run(500);
    assert_eq!(asked(&mut bench), 1);
    assert_eq!((bench.period(here), bench.period(there)), (Some(4), Some(4)));
}

#[test]
fn a_session_that_comes_later_takes_the_answer_that_is_there() {
    let mut bench = Bench::ready();
    let first = bench.open(&air::news());
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    assert_eq!(asked(&mut bench), 1);
    let later = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    assert_eq!(bench.period(later), Some(4), "at once");
    let access = |session| bench.engine.access(session).unwrap();
    assert_eq!(access(later), access(first), "status word and all");
    assert_eq!(access(later).sw, 0x9000);
    bench.run(500);
    assert_eq!(asked(&mut bench), 0);
    // Closing one leaves the other its words.
    bench.engine.session_close(bench.now, first).unwrap();
    bench.drain();
    assert_eq!((bench.period(first), bench.period(later)), (None, Some(4)));
    bench.carousel(air::NEWS_ECM, &air::news_ecm(5), 300);
    assert_eq!((asked(&mut bench), bench.period(later)), (1, Some(5)));
}

/// The session that asked is closed while the card is at work: the answer is still the others'.
#[test]
fn the_answer_outlives_the_session_that_asked() {
    let mut bench = Bench::ready();
    let sessions = [(); 3].map(|()| bench.open(&air::news()));
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.engine.session_close(bench.now, sessions[0]).unwrap();
    bench.run(500);
    assert_eq!(asked(&mut bench), 1);
    let periods = sessions.map(|session| bench.period(session));
    assert_eq!(periods, [None, Some(4), Some(4)]);
}

#[test]
fn a_refusal_and_a_denial_are_for_all() {
    let mut bench = Bench::ready();
    let sessions: Vec<_> = (0..4).map(|_| bench.open(&air::news())).collect();
    bench.carousel(air::NEWS_ECM, &air::forged(&air::news_ecm(4)), 500);
    assert_eq!(asked(&mut bench), 1);
    assert_eq!(states(&bench, &sessions), [AccessStatus::REFUSED_ECM; 4]);
    assert_eq!(bench.engine.stats().ecm_refused, 1);
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    let denied = air::ecm_with(1, 1, 5, &key(0x20), air::package(7));
    bench.carousel(air::NEWS_ECM, &denied, 500);
    assert_eq!(asked(&mut bench), 2);
    assert_eq!(states(&bench, &sessions), [AccessStatus::NO_RIGHT; 4]);
    assert!(bench.words.is_empty());
}

#[test]
fn a_lost_answer_is_asked_for_once_more() {
    let mut bench = Bench::ready();
    let sessions: Vec<_> = (0..8).map(|_| bench.open(&air::news())).collect();
    bench.lose = 1;
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
    assert_eq!(asked(&mut bench), 2);
    assert!(sessions.iter().all(|session| bench.period(*session) == Some(4)));
}

/// A section that makes the card fall silent does so three times, not three times a session.
#[test]
fn a_section_that_the_card_never_answers_is_bounded_for_all() {
    let mut bench = Bench::ready();
    for _ in 0..8 {
        bench.open(&air::news());
    }
    bench.card.refuse = Some((INS_ECM, 0, usize::MAX));
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 4500);
    assert!(asked(&mut bench) <= 3);
}

#[test]
fn after_a_reset_it_is_played_again_once() {
    let mut bench = Bench::ready();
    let sessions: Vec<_> = (0..8).map(|_| bench.open(&air::news())).collect();
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    asked(&mut bench);
    bench.engine.card_reset(bench.now);
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 1000);
    assert_eq!(asked(&mut bench), 1);
    bench.pull();
    assert!(bench.words.is_empty());
    bench.inserted = true;
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 1500);
    assert_eq!(asked(&mut bench), 1);
    assert!(sessions.iter().all(|session| bench.period(*session) == Some(4)));
}

/// An answer of another card session is nobody's any more.
#[test]
fn the_answer_of_a_card_that_left_is_not_passed_on() {
    let mut bench = Bench::ready();
    bench.open(&air::news());
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    asked(&mut bench);
    bench.card.packages.clear();
    bench.pull();
    let later = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    assert!(!bench.has_words(later));
    bench.inserted = true;
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 1500);
    assert_eq!(asked(&mut bench), 1);
    assert_eq!(states(&bench, &[later]), [AccessStatus::NO_RIGHT]);
}

/// Every session has the offer under its own name, and a purchase opens both.
#[test]
fn offers_name_their_own_session() {
    let mut bench = Bench::ready();
    let sessions = [(); 2].map(|()| bench.open(&air::cinema()));
    let ecm = air::cinema_ecm(4, 2001, 1200);
    bench.carousel(air::CINEMA_ECM, &ecm, 300);
    let later = bench.open(&air::cinema());
    bench.carousel(air::CINEMA_ECM, &ecm, 300);
    assert_eq!(asked(&mut bench), 1);
    let [first, second] = sessions;
    let mut ids: Vec<OfferId> = Vec::new();
    for session in [first, second, later] {
        let offers: Vec<_> = bench.engine.offers(session).collect();
        assert_eq!(offers.len(), 1);
        assert_eq!(offers[0].session, session);
        assert!(!ids.contains(&offers[0].id));
        ids.push(offers[0].id);
        assert!(bench.events.iter().any(|(_, event)| *event == Event::Offer(offers[0])));
    }
    let price = cam_types::Fen::new(1200);
    let request = bench.engine.request_new().unwrap();
    let txn = bench.engine.purchase_begin(bench.now, ids[2], request, price).unwrap();
    bench.engine.purchase_confirm(bench.now, txn, PIN).unwrap();
    bench.run(1000);
    assert_eq!(bench.engine.purchase(txn).unwrap().result, PurchaseResult::PAID.0);
    assert_eq!(asked(&mut bench), 1, "played again once");
    for session in [first, second, later] {
        assert_eq!(bench.period(session), Some(4));
        assert_eq!(bench.engine.access(session).unwrap().state, AccessState::Granted);
    }
}

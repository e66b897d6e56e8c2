// SPDX-License-Identifier: Apache-2.0
//! One ECM that several sessions or streams wait for goes to the card once.

use crate::rig::card::{OPERATOR, PIN, key};
use crate::rig::{Rig, air};
use cam_core::{AccessState, AccessStatus, Event, Input, OfferId, SessionId};
use cam_types::Pid;
use ecm_emm::card::{INS_ECM, PurchaseResult};

const OTHER_ECM: Pid = Pid::from_field(0x0160);

/// A programme with an ECM stream for each of its two components.
fn two_streams() -> Vec<u8> {
    let of = |pid| air::ca_descriptors(&[(air::SYSTEM, pid, OPERATOR.value(), 2)]);
    air::pmt_by_component(9, &[of(air::NEWS_ECM), of(OTHER_ECM)], 0x120)
}

fn states(rig: &Rig, sessions: &[SessionId]) -> Vec<AccessStatus> {
    sessions.iter().map(|id| rig.engine.access(*id).unwrap().reason).collect()
}

/// The commands that carried an ECM since the last time.
fn asked(rig: &mut Rig) -> usize {
    let count = rig.card.count(INS_ECM);
    rig.card.seen.clear();
    count
}

#[test]
fn eight_sessions_of_one_stream() {
    let mut rig = Rig::ready();
    let sessions: Vec<_> = (0..8).map(|_| rig.open(&air::news())).collect();
    for period in 4..8 {
        rig.carousel(air::NEWS_ECM, &air::news_ecm(period), 500);
        assert_eq!(asked(&mut rig), 1, "period {period}");
        for session in &sessions {
            assert_eq!(rig.period(*session), Some(period));
        }
    }
    assert_eq!(states(&rig, &sessions), [AccessStatus::GRANTED_SUBSCRIPTION; 8]);
    assert_eq!(rig.engine.stats().ecm_latency_count, 4, "an exchange is measured once");
}

#[test]
fn two_streams_of_one_programme() {
    let mut rig = Rig::ready();
    let session = rig.open(&two_streams());
    for period in 4..8 {
        rig.section(air::NEWS_ECM, &air::news_ecm(period));
        rig.section(OTHER_ECM, &air::news_ecm(period));
        rig.run(500);
        assert_eq!(asked(&mut rig), 1, "period {period}");
        for pid in [air::NEWS_ECM, OTHER_ECM] {
            assert_eq!(rig.ecw[&(session.0, pid)].period, period);
        }
    }
}

#[test]
fn one_programme_on_two_sources() {
    let mut rig = Rig::ready();
    let (here, there) = (rig.open_on(0, &air::news()), rig.open_on(1, &air::news()));
    let ecm = air::news_ecm(4);
    rig.section(air::NEWS_ECM, &ecm);
    rig.run(40); // the card is at work for the first one
    rig.input(Input::Section { source: 1, pid: air::NEWS_ECM, octets: &ecm });
    rig.run(500);
    assert_eq!(asked(&mut rig), 1);
    assert_eq!((rig.period(here), rig.period(there)), (Some(4), Some(4)));
}

#[test]
fn a_session_that_comes_later_takes_the_answer_that_is_there() {
    let mut rig = Rig::ready();
    let first = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    assert_eq!(asked(&mut rig), 1);
    let later = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    assert_eq!(rig.period(later), Some(4), "at once");
    let access = |session| rig.engine.access(session).unwrap();
    assert_eq!(access(later), access(first), "status word and all");
    assert_eq!(access(later).sw.0, 0x9000);
    rig.run(500);
    assert_eq!(asked(&mut rig), 0);
    // Closing one leaves the other its ECWs.
    rig.engine.session_close(rig.now, first).unwrap();
    rig.drain();
    assert_eq!((rig.period(first), rig.period(later)), (None, Some(4)));
    rig.carousel(air::NEWS_ECM, &air::news_ecm(5), 300);
    assert_eq!((asked(&mut rig), rig.period(later)), (1, Some(5)));
}

/// The session that asked is closed while the card is at work: the answer is still the others'.
#[test]
fn the_answer_outlives_the_session_that_asked() {
    let mut rig = Rig::ready();
    let sessions = [(); 3].map(|()| rig.open(&air::news()));
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.engine.session_close(rig.now, sessions[0]).unwrap();
    rig.run(500);
    assert_eq!(asked(&mut rig), 1);
    let periods = sessions.map(|session| rig.period(session));
    assert_eq!(periods, [None, Some(4), Some(4)]);
}

#[test]
fn a_refusal_and_a_denial_are_for_all() {
    let mut rig = Rig::ready();
    let sessions: Vec<_> = (0..4).map(|_| rig.open(&air::news())).collect();
    rig.carousel(air::NEWS_ECM, &air::forged(&air::news_ecm(4)), 500);
    assert_eq!(asked(&mut rig), 1);
    assert_eq!(states(&rig, &sessions), [AccessStatus::REFUSED_ECM; 4]);
    assert_eq!(rig.engine.stats().ecm_refused, 1);
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    let denied = air::ecm_with(1, 1, 5, &key(0x20), air::package(7));
    rig.carousel(air::NEWS_ECM, &denied, 500);
    assert_eq!(asked(&mut rig), 2);
    assert_eq!(states(&rig, &sessions), [AccessStatus::NO_RIGHT; 4]);
    assert!(rig.ecw.is_empty());
}

#[test]
fn a_lost_answer_is_asked_for_once_more() {
    let mut rig = Rig::ready();
    let sessions: Vec<_> = (0..8).map(|_| rig.open(&air::news())).collect();
    rig.lose = 1;
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
    assert_eq!(asked(&mut rig), 2);
    assert!(sessions.iter().all(|session| rig.period(*session) == Some(4)));
}

/// A section that makes the card fall silent does so three times, not three times a session.
#[test]
fn a_section_that_the_card_never_answers_is_bounded_for_all() {
    let mut rig = Rig::ready();
    for _ in 0..8 {
        rig.open(&air::news());
    }
    rig.card.refuse = Some((INS_ECM, 0, usize::MAX));
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 4500);
    assert!(asked(&mut rig) <= 3);
}

#[test]
fn after_a_reset_it_is_played_again_once() {
    let mut rig = Rig::ready();
    let sessions: Vec<_> = (0..8).map(|_| rig.open(&air::news())).collect();
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    asked(&mut rig);
    rig.engine.card_reset(rig.now);
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 1000);
    assert_eq!(asked(&mut rig), 1);
    rig.pull();
    assert!(rig.ecw.is_empty());
    rig.inserted = true;
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 1500);
    assert_eq!(asked(&mut rig), 1);
    assert!(sessions.iter().all(|session| rig.period(*session) == Some(4)));
}

/// An answer of another card session is nobody's any more.
#[test]
fn the_answer_of_a_card_that_left_is_not_passed_on() {
    let mut rig = Rig::ready();
    rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    asked(&mut rig);
    rig.card.packages.clear();
    rig.pull();
    let later = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    assert!(!rig.has_ecw(later));
    rig.inserted = true;
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 1500);
    assert_eq!(asked(&mut rig), 1);
    assert_eq!(states(&rig, &[later]), [AccessStatus::NO_RIGHT]);
}

/// Every session has the offer under its own name, and a purchase opens both.
#[test]
fn offers_name_their_own_session() {
    let mut rig = Rig::ready();
    let sessions = [(); 2].map(|()| rig.open(&air::cinema()));
    let ecm = air::cinema_ecm(4, 2001, 1200);
    rig.carousel(air::CINEMA_ECM, &ecm, 300);
    let later = rig.open(&air::cinema());
    rig.carousel(air::CINEMA_ECM, &ecm, 300);
    assert_eq!(asked(&mut rig), 1);
    let [first, second] = sessions;
    let mut ids: Vec<OfferId> = Vec::new();
    for session in [first, second, later] {
        let offers: Vec<_> = rig.engine.offers(session).collect();
        assert_eq!(offers.len(), 1);
        assert_eq!(offers[0].session, session);
        assert!(!ids.contains(&offers[0].id));
        ids.push(offers[0].id);
        assert!(rig.events.iter().any(|(_, event)| *event == Event::Offer(offers[0])));
    }
    let price = cam_types::Fen::new(1200);
    let request = rig.engine.request_new().unwrap();
    let txn = rig.engine.purchase_begin(rig.now, ids[2], request, price).unwrap();
    rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
    rig.run(1000);
    assert_eq!(rig.engine.purchase(txn).unwrap().result, PurchaseResult::PAID.0);
    assert_eq!(asked(&mut rig), 1, "played again once");
    for session in [first, second, later] {
        assert_eq!(rig.period(session), Some(4));
        assert_eq!(rig.engine.access(session).unwrap().state, AccessState::Granted);
    }
}

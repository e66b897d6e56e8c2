// SPDX-License-Identifier: Apache-2.0
//! Rights that come, end and are asked about while somebody watches: the card is asked again at
//! once, and not more often than it must.

use crate::rig::card::{PIN, key};
use crate::rig::{EXCHANGE, Rig, air};
use cam_core::{AccessState, AccessStatus, Input, SessionId};
use cam_types::{CasTime, Fen, Instant, PackageId};
use ecm_emm::card::INS_ECM;
use ecm_emm::ecm::{Criteria, Ppv};
use ecm_emm::emm::EmmCommand;

fn ready() -> Rig {
    let mut rig = Rig::ready();
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    rig
}

/// News, with its ECWs.
fn watching(rig: &mut Rig) -> SessionId {
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    assert!(rig.has_ecw(news));
    news
}

fn expires(rig: &Rig, session: SessionId) -> Option<u32> {
    rig.engine.access(session).unwrap().expires.map(CasTime::seconds)
}

fn revoke(package: u16) -> EmmCommand {
    EmmCommand::Revoke { package: PackageId::new(package), version: 2 }
}

fn rated(period: u32) -> Vec<u8> {
    air::rated_ecm(1, 1, period, &key(0x20), air::package(1), 15)
}

fn ms(from: Instant, to: Instant) -> u128 {
    to.since(from).as_millis()
}

/// The ECM on air is the one that the card refused: nobody waits for the next crypto period.
#[test]
fn a_rated_programme_opens_at_once_after_its_pin() {
    let mut rig = ready();
    rig.card.rating_limit = 9;
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &rated(4));
    rig.run(500);
    rig.rest();
    assert_eq!(rig.engine.access(news).unwrap().reason, AccessStatus::RATING);

    rig.engine.pin_verify(rig.now, b"11112222").unwrap();
    rig.drain();
    rig.run(1000);
    rig.rest();
    assert_eq!(rig.card.count(INS_ECM), 1, "a wrong PIN changes nothing");

    rig.engine.pin_verify(rig.now, PIN).unwrap();
    rig.drain();
    rig.run(2 * EXCHANGE.as_millis() as u64);
    assert!(rig.has_ecw(news));
    assert_eq!(rig.engine.access(news).unwrap().state, AccessState::Granted);
    assert_eq!(rig.card.count(INS_ECM), 2);
}

/// T29: the PIN of a purchase lifts no rating, and a PIN for the rating pays no purchase: the card
/// hears what each was typed for.
#[test]
fn the_pin_of_a_purchase_opens_no_rated_programme() {
    let mut rig = ready();
    rig.card.rating_limit = 9;
    let news = rig.open(&air::news());
    let cinema = rig.open(&air::cinema());
    rig.section(air::NEWS_ECM, &rated(4));
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    let offer = rig.engine.offers(cinema).next().unwrap().id;
    let request = rig.engine.request_new().unwrap();
    let txn = rig.engine.purchase_begin(rig.now, offer, request, Fen::new(1200)).unwrap();
    rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
    rig.drain();
    rig.run(500);
    assert!(!rig.has_ecw(news) && rig.has_ecw(cinema));
    rig.engine.pin_verify(rig.now, PIN).unwrap();
    rig.drain();
    rig.run(500);
    assert!(rig.has_ecw(news) && rig.has_ecw(cinema));
}

#[test]
fn what_ends_a_right_takes_the_picture_within_a_second() {
    for (name, command, reason) in [
        ("revoked", revoke(1), AccessStatus::NO_RIGHT),
        ("blocked", EmmCommand::CardState { blocked: true }, AccessStatus::CARD_BLOCKED),
    ] {
        for others in [0, 40] {
            let mut rig = ready();
            let news = watching(&mut rig);
            let since = rig.now;
            rig.section(air::EMM, &air::emm(1, std::slice::from_ref(&command)));
            // A carousel in full swing behind it.
            for seq in 2..2 + others {
                rig.section(air::EMM, &air::emm(seq, &[air::grant(5)]));
            }
            rig.run(1000);
            assert!(!rig.has_ecw(news), "{name}, {others} EMMs wait");
            assert_eq!(rig.engine.access(news).unwrap().reason, reason, "{name}");
            let (at, _) = rig.cleared[0];
            assert!(ms(since, at) <= 700, "{name}: {} ms", ms(since, at));
        }
    }
}

/// However many EMMs change the card: rounds keep their distance, and the picture stays.
#[test]
fn a_carousel_of_emms_asks_the_card_seldom() {
    let mut rig = ready();
    let news = watching(&mut rig);
    let others = [air::pmt(2, air::NEWS_ECM, None, 0x110), air::pmt(3, air::NEWS_ECM, None, 0x120)];
    let others = others.map(|pmt| rig.open(&pmt));
    rig.section(air::NEWS_ECM, &air::news_ecm(5));
    rig.run(500);
    let (since, before) = (rig.now, rig.card.count(INS_ECM));
    for seq in 1..=100 {
        rig.section(air::EMM, &air::emm(seq, &[air::grant(5)]));
        rig.run(100);
    }
    rig.run(10_000);
    let asked = rig.card.count(INS_ECM) - before;
    let rounds = ms(since, rig.now) as usize / 250 + 1;
    assert!(asked >= 6 && asked <= 3 * rounds, "{asked} ECM commands in {rounds} rounds");
    assert!(others.into_iter().chain([news]).all(|session| rig.has_ecw(session)));
    assert!(rig.cleared.is_empty(), "what is granted again never goes dark");
    let quiet = rig.card.count(INS_ECM);
    rig.run(5000);
    assert_eq!(rig.card.count(INS_ECM), quiet, "nothing changed");
}

/// An ECM that is off the air, behind one that the card could not judge, is not played again: a
/// head-end that once sent a wrong date would move the card's clock again, behind the EMM that put
/// it right.
#[test]
fn an_ecm_that_was_followed_is_not_played_again() {
    let mut rig = ready();
    watching(&mut rig);
    let next = air::ecm_with(1, 9, 6, &key(0x66), air::package(1));
    for _ in 0..25 {
        rig.section(air::NEWS_ECM, &next);
        rig.run(100);
    }
    let before = rig.card.count(INS_ECM);
    rig.section(air::EMM, &air::emm(1, &[air::grant(5)]));
    for _ in 0..10 {
        rig.section(air::NEWS_ECM, &next);
        rig.run(100);
    }
    assert_eq!(rig.card.count(INS_ECM) - before, 1, "what is on air, and nothing else");
}

/// An ECM that is new on air goes before those that the card is asked about again.
#[test]
fn a_new_ecm_does_not_wait_for_a_round() {
    let mut rig = ready();
    let pids = (0..8).map(|n| cam_types::Pid::from_field(0x0300 + n)).collect::<Vec<_>>();
    let mut sessions = Vec::new();
    for (n, pid) in (1..).zip(&pids) {
        sessions.push(rig.open(&air::pmt(n, *pid, None, 0x400 + n)));
        // Octets of its own: what is the same may go to the card once.
        rig.section(*pid, &air::news_ecm(10 * u32::from(n)));
        rig.run(200);
    }
    rig.section(air::EMM, &air::emm(1, &[air::grant(5)]));
    // The EMM, and the first exchange of the round.
    rig.run(EXCHANGE.as_millis() as u64 + 10);
    let since = rig.now;
    rig.section(pids[7], &air::news_ecm(81));
    while rig.ecw[&(sessions[7].0, pids[7])].period != 81 {
        rig.run(10);
        assert!(ms(since, rig.now) < 1000);
    }
    // What is on the line, at most one more of its own stream, and itself.
    assert!(rig.now.since(since) <= 3 * EXCHANGE, "{} ms", ms(since, rig.now));
}

/// `expires` is told by the card: a right of the same kind that lasts longer opened nothing.
#[test]
fn it_expires_when_the_right_that_opened_it_ends() {
    let mut rig = ready();
    rig.card.packages.insert(PackageId::new(1), CasTime::new(5000));
    rig.card.packages.insert(PackageId::new(2), CasTime::new(9000));
    rig.engine.card_reset(rig.now);
    rig.run(2000);
    assert_eq!(rig.engine.rights().len(), 2);
    let news = watching(&mut rig);
    assert_eq!(expires(&rig, news), Some(5000));
    // A renewal shows at once.
    rig.section(air::EMM, &air::emm(1, &[air::grant_until(1, 7000)]));
    rig.run(1000);
    assert_eq!(expires(&rig, news), Some(7000));
    // No right, no end.
    let free = Criteria { free: true, ..Criteria::default() };
    rig.section(air::NEWS_ECM, &air::ecm_with(1, 1, 5, &key(0x20), free));
    rig.run(1000);
    assert_eq!(expires(&rig, news), None);
}

/// Who buys during the preview has bought at once, not with the next crypto period.
#[test]
fn what_is_bought_in_its_preview_is_granted_at_once() {
    let mut rig = ready();
    let cinema = rig.open(&air::cinema());
    let ppv = air::ppv(2001, 1200).ppv.map(|ppv| Ppv { preview_s: 60, ..ppv });
    let criteria = Criteria { ppv, ..Criteria::default() };
    rig.section(air::CINEMA_ECM, &air::ecm_with(2, 1, 4, &key(0x30), criteria));
    rig.run(500);
    assert_eq!(rig.engine.access(cinema).unwrap().state, AccessState::Preview);
    let offer = rig.engine.offers(cinema).next().unwrap().id;
    let request = rig.engine.request_new().unwrap();
    let txn = rig.engine.purchase_begin(rig.now, offer, request, Fen::new(1200)).unwrap();
    rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
    rig.drain();
    rig.run(500);
    let access = rig.engine.access(cinema).unwrap();
    assert_eq!(access.reason, AccessStatus::GRANTED_EVENT);
    assert_eq!(access.expires.map(CasTime::seconds), Some(9000));
    assert!(rig.cleared.is_empty());
}

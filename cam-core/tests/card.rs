// SPDX-License-Identifier: Apache-2.0
//! The card comes, goes, hangs, forgets its session, or is not ours.

use crate::rig::card::{CARD, ModelCard};
use crate::rig::{Rig, air, config};
use cam_core::{AccessState, AccessStatus, Card, CardState, Event, Input, Remedy, SessionId};
use cam_types::Pseudonym;
use ecm_emm::card::{INS_ECM, INS_INFO, INS_RIGHTS};

fn watching() -> (Rig, SessionId) {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(500);
    assert!(rig.has_ecw(news));
    rig.take_events();
    (rig, news)
}

fn reason(rig: &Rig, session: SessionId) -> AccessStatus {
    rig.engine.access(session).unwrap().reason
}

#[test]
fn from_reset_to_session() {
    let mut rig = Rig::ready();
    let card = rig.engine.card();
    assert_eq!((card.pseudonym, card.pairing_slot, card.pin_tries), (Some(CARD), Some(0), Some(3)));
    assert_eq!(rig.ladders, [0]);
    assert_eq!(rig.engine.wallet().map(|wallet| wallet.balance.fen()), Some(10_000));
    assert_eq!(rig.engine.rights().len(), 1);
    assert_eq!(rig.engine.key_versions().len(), 2);
    let states: Vec<_> = rig
        .take_events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Card { state, .. } => Some(state),
            _ => None,
        })
        .collect();
    assert_eq!(states, [CardState::Ready], "it is starting from the beginning");
}

/// An idle card is asked for a sign of life, and that costs its session nothing.
#[test]
fn an_idle_card_is_polled() {
    let (mut rig, news) = watching();
    let asked = rig.card.count(INS_RIGHTS);
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 10_000);
    let polls = rig.card.count(INS_RIGHTS) - asked;
    assert!((20..=33).contains(&polls), "{polls} in 10 s");
    assert_eq!(rig.engine.stats().channels, 1);
    assert!(rig.has_ecw(news));
    assert!(rig.take_events().is_empty(), "nothing has happened");
}

/// Pulled at any moment, while idle or busy: the ECWs are gone after the idle poll period and a
/// second of silence; put back, the picture returns by the ECM that was kept.
#[test]
fn a_pulled_card_is_noticed_after_a_second_of_silence() {
    for phase in (0..600).step_by(20) {
        let (mut rig, news) = watching();
        rig.run(phase);
        rig.inserted = false;
        let pulled = rig.now;
        rig.run(1400);
        let (wiped, of) = *rig.cleared.last().unwrap();
        assert_eq!(of, news);
        assert!(wiped.since(pulled).as_millis() <= 1300, "after {:?}", wiped.since(pulled));
        assert!(!rig.has_ecw(news));
        assert_eq!(reason(&rig, news), AccessStatus::NO_CARD);
        assert_eq!(rig.engine.card().state, CardState::Absent);
        rig.run(5000);
        rig.inserted = true;
        rig.run(1500);
        assert!(rig.has_ecw(news), "no section came since, the kept one was played");
        assert_eq!(reason(&rig, news), AccessStatus::NO_ECM);
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        assert_eq!(reason(&rig, news), AccessStatus::GRANTED_SUBSCRIPTION);
    }
}

/// The same while ECMs are on the line.
#[test]
fn a_card_pulled_while_it_works_is_noticed_too() {
    let (mut rig, news) = watching();
    rig.section(air::NEWS_ECM, &air::news_ecm(5));
    rig.inserted = false;
    let pulled = rig.now;
    rig.run(1000);
    let (wiped, _) = *rig.cleared.last().unwrap();
    assert!(wiped.since(pulled).as_millis() < 1000);
    rig.inserted = true;
    rig.run(1500);
    assert_eq!(rig.ecw[&(news.0, air::NEWS_ECM)].period, 5, "the newest was not lost");
}

/// A lost answer costs a reset and nothing else.
#[test]
fn a_glitch_keeps_the_ecws() {
    let (mut rig, news) = watching();
    rig.card.refuse = Some((INS_ECM, 0, 1));
    rig.section(air::NEWS_ECM, &air::news_ecm(5));
    rig.run(2000);
    assert!(rig.cleared.is_empty());
    assert_eq!(rig.ecw[&(news.0, air::NEWS_ECM)].period, 5);
    assert_eq!(rig.engine.stats().resets, 2);
    assert_eq!(rig.engine.stats().apdu_failed, 1);
}

#[test]
fn a_lost_session_is_opened_again() {
    for sw in [0x6982, 0x6988] {
        let (mut rig, news) = watching();
        rig.card.end_session();
        rig.card.refuse = Some((INS_ECM, sw, 1));
        rig.section(air::NEWS_ECM, &air::news_ecm(5));
        rig.run(1000);
        assert!(rig.cleared.is_empty());
        assert_eq!(rig.ecw[&(news.0, air::NEWS_ECM)].period, 5);
        assert_eq!(rig.engine.stats().channels, 2);
        assert_eq!(rig.engine.stats().resets, 1, "no reset for it");
    }
}

/// What keeps failing is left alone for longer and longer, and said so.
#[test]
fn failures_are_bounded() {
    // No answer at all, and one that ends the session: a card that answers is not absent.
    let mute = (0, CardState::Absent, AccessStatus::MUTE_CARD);
    let refuses = (0x6988, CardState::Unusable, AccessStatus::CARD_BUSY);
    for (sw, told, why) in [mute, refuses] {
        let (mut rig, news) = watching();
        // The only thing that the card still does is to open sessions.
        rig.card.refuse = Some((INS_ECM, sw, usize::MAX));
        let channels = rig.engine.stats().channels;
        let mut left_alone = 0;
        for period in 5..200 {
            rig.section(air::NEWS_ECM, &air::news_ecm(period));
            rig.run(300);
            if matches!(rig.engine.card().state, CardState::Absent | CardState::Unusable) {
                let Card { state, reason, .. } = rig.engine.card();
                assert_eq!((*state, *reason), (told, why), "{sw:04X}");
                left_alone += 1;
                assert!(!rig.has_ecw(news));
                assert_eq!(rig.engine.access(news).unwrap().state, AccessState::Technical);
            }
        }
        let tries = rig.engine.stats().channels - channels;
        assert!((3..80).contains(&tries), "{tries} sessions in a minute");
        assert!(left_alone > 10, "{left_alone}");
        rig.card.refuse = None;
        rig.run(25_000);
        rig.section(air::NEWS_ECM, &air::news_ecm(300));
        rig.run(500);
        assert!(rig.has_ecw(news), "and it comes back");
    }
}

#[test]
fn a_card_of_another_system_is_unusable() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.card.foreign = true;
    let news = rig.open(&air::news());
    rig.run(3000);
    assert_eq!(rig.engine.card().state, CardState::Unusable);
    assert_eq!(reason(&rig, news), AccessStatus::UNKNOWN_CARD);
    assert_eq!(rig.engine.access(news).unwrap().sw.0, 0x6A82);
    // It is pulled, and the right one comes.
    rig.inserted = false;
    rig.run(1000);
    assert_eq!(reason(&rig, news), AccessStatus::NO_CARD);
    rig.card = ModelCard::new();
    rig.inserted = true;
    rig.run(1500);
    assert_eq!(rig.engine.card().state, CardState::Ready);
}

#[test]
fn why_a_card_is_not_paired() {
    for (slots, stored, expected) in [
        (0, Vec::new(), AccessStatus::NOT_PAIRED),
        (1, Vec::new(), AccessStatus::PAIRED_ELSEWHERE),
        (2, air::stored_pairing(), AccessStatus::PAIRED_ELSEWHERE),
    ] {
        let mut rig = Rig::new(config(stored));
        rig.card.pairing_slots = slots;
        let news = rig.open(&air::news());
        rig.run(3000);
        assert_eq!(rig.engine.card().state, CardState::Unpaired);
        let access = rig.engine.access(news).unwrap();
        assert_eq!((access.reason, access.remedy), (expected, Remedy::Emm));
        assert!(rig.card.count(INS_INFO) > 3, "it is still asked for signs of life");
    }
}

/// The box has keys, but the card has others: as often as it is tried, no session.
#[test]
fn a_pairing_with_other_keys_opens_nothing() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.card.k_pair = cam_types::Key::new([0x81; 16]);
    rig.run(5000);
    assert_eq!(rig.engine.card().state, CardState::Unpaired);
    assert_eq!(rig.engine.card().reason, AccessStatus::PAIRED_ELSEWHERE);
    assert!(rig.card.count(0x50) < 10);
}

/// BOX_PAIR comes over the air, is kept sealed, and works after a restart; its withdrawal too.
#[test]
fn pairing_over_the_air() {
    let mut rig = Rig::new(config(Vec::new()));
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    rig.run(1000);
    assert_eq!(rig.engine.card().state, CardState::Unpaired);
    for section in
        [air::forged(&air::box_pair(5, CARD, 0)), air::box_pair(5, Pseudonym::new([7; 8]), 0)]
    {
        rig.section(air::EMM, &section);
        rig.run(1000);
        assert_eq!(rig.engine.card().state, CardState::Unpaired);
    }
    let pairing = air::box_pair(5, CARD, 0);
    for _ in 0..3 {
        rig.section(air::EMM, &pairing);
        rig.run(1000);
        assert_eq!(rig.engine.card().state, CardState::Ready);
    }
    assert!(rig.storage.values().any(|row| *row == pairing), "kept as it came");
    assert!(rig.take_events().contains(&Event::Pairing { slot: 0, withdrawn: false }));

    let mut rig = rig.restart();
    assert_eq!(rig.engine.card().state, CardState::Ready);
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    // The withdrawal comes while a command is on the line.
    rig.section(air::NEWS_ECM, &air::news_ecm(5));
    rig.section(air::EMM, &air::box_unpair(6));
    rig.run(2000);
    assert!(!rig.has_ecw(news));
    assert_eq!(rig.engine.card().state, CardState::Unpaired);
    let mut rig = rig.restart();
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    rig.section(air::EMM, &pairing);
    rig.run(1000);
    assert_eq!(rig.engine.card().state, CardState::Unpaired, "an old message pairs no more");
}

/// A card gets its own half by EMM-U while it is not paired: it takes EMMs without a session.
#[test]
fn an_unpaired_card_takes_emms() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.card.pairing_slots = 0;
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    rig.run(1000);
    assert_eq!(rig.engine.card().state, CardState::Unpaired);
    rig.section(air::EMM, &air::emm(1, &[air::grant(5)]));
    // What the EMM is for the model card, PAIR is for a real one.
    rig.card.pairing_slots = 1;
    rig.run(1000);
    assert_eq!(rig.engine.stats().emm_applied[0], 1);
    assert_eq!(rig.engine.card().state, CardState::Ready);
}

#[test]
fn another_card_brings_its_own_rights() {
    let (mut rig, news) = watching();
    rig.inserted = false;
    rig.run(1000);
    rig.card = ModelCard::new();
    rig.card.pseudonym = Pseudonym::new([9; 8]);
    rig.card.packages.clear();
    rig.inserted = true;
    rig.run(2000);
    // This box is not paired with it.
    assert_eq!(reason(&rig, news), AccessStatus::PAIRED_ELSEWHERE);
    assert!(rig.engine.rights().is_empty());
    assert!(rig.engine.wallet().is_none());
}

#[test]
fn a_reset_asked_for_keeps_the_picture() {
    let (mut rig, news) = watching();
    rig.engine.card_reset(rig.now);
    rig.run(1000);
    assert!(rig.cleared.is_empty());
    assert!(rig.has_ecw(news));
    assert_eq!(rig.engine.stats().channels, 2);
    assert_eq!(rig.engine.stats().ecm_replayed, 1);
}

/// With a detect line the driver says when a card is there; the engine does not poll.
#[test]
fn a_reader_with_a_detect_line_is_not_polled() {
    let mut config = config(air::stored_pairing());
    config.idle_poll = None;
    let mut rig = Rig::new(config);
    assert_eq!(rig.activations, 0);
    rig.input(Input::CardPresent);
    rig.run(1000);
    assert_eq!(rig.engine.card().state, CardState::Ready);
    let sent = rig.commands.len();
    rig.run(10_000);
    assert_eq!(rig.commands.len(), sent);
    rig.input(Input::CardAbsent(cam_core::Absence::Removed));
    rig.run(10_000);
    assert_eq!((rig.engine.card().state, rig.activations), (CardState::Absent, 1));
}

/// A mute card in a reader with a detect line is said to be mute, and tried more and more rarely.
#[test]
fn a_mute_card_is_tried_again() {
    let mut config = config(air::stored_pairing());
    config.idle_poll = None;
    let mut rig = Rig::new(config);
    rig.inserted = false;
    rig.input(Input::CardPresent);
    rig.run(60_000);
    assert_eq!(rig.engine.card().reason, AccessStatus::MUTE_CARD);
    assert!((4..20).contains(&rig.activations), "{}", rig.activations);
}

#[test]
fn late_answers_and_timeouts_are_for_nobody() {
    let (mut rig, news) = watching();
    rig.rest();
    rig.input(Input::Response(&[0x90, 0x00]));
    rig.input(Input::Failed { may_have_executed: true, silent: true });
    rig.input(Input::Timeout);
    rig.run(500);
    assert!(rig.has_ecw(news));
    assert_eq!(rig.engine.card().state, CardState::Ready);
}

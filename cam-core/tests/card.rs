//! The card comes, goes, hangs, forgets its session, or is not ours.

use crate::bench::card::{CARD, ModelCard};
use crate::bench::{Bench, air, config};
use cam_core::{AccessState, AccessStatus, CardState, Event, Input, Remedy, SessionId};
use cam_types::Pseudonym;
use ecm_emm::card::{INS_ECM, INS_INFO, INS_RIGHTS};

fn watching() -> (Bench, SessionId) {
    let mut bench = Bench::ready();
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(500);
    assert!(bench.has_words(news));
    bench.take_events();
    (bench, news)
}

fn reason(bench: &Bench, session: SessionId) -> AccessStatus {
    bench.engine.access(session).unwrap().reason
}

#[test]
fn from_reset_to_session() {
    let mut bench = Bench::ready();
    let card = bench.engine.card();
    assert_eq!((card.pseudonym, card.pairing_slot, card.pin_tries), (Some(CARD), Some(0), Some(3)));
    assert_eq!(bench.ladders, [0]);
    assert_eq!(bench.engine.wallet().map(|wallet| wallet.balance.fen()), Some(10_000));
    assert_eq!(bench.engine.rights().len(), 1);
    assert_eq!(bench.engine.key_versions().len(), 2);
    let states: Vec<_> = bench
        .take_events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Card { state, .. } => Some(state),
            _ => None,
        })
        .collect();
    assert_eq!(states, [CardState::Starting, CardState::Ready]);
}

/// An idle card is asked for a sign of life, and that costs its session nothing.
#[test]
fn an_idle_card_is_polled() {
    let (mut bench, news) = watching();
    let asked = bench.card.count(INS_RIGHTS);
    bench.carousel(air::NEWS_ECM, &air::news_ecm(4), 10_000);
    let polls = bench.card.count(INS_RIGHTS) - asked;
    assert!((20..=33).contains(&polls), "{polls} in 10 s");
    assert_eq!(bench.engine.stats().channels, 1);
    assert!(bench.has_words(news));
    assert!(bench.take_events().is_empty(), "nothing has happened");
}

/// Pulled at any moment, while idle or busy: the words are wiped within a second; put back, the
/// picture returns by the ECM that was kept.
#[test]
fn a_pulled_card_is_noticed_within_a_second() {
    for phase in (0..600).step_by(20) {
        let (mut bench, news) = watching();
        bench.run(phase);
        bench.inserted = false;
        let pulled = bench.now;
        bench.run(1000);
        let (wiped, of) = *bench.cleared.last().unwrap();
        assert_eq!(of, news);
        assert!(wiped.since(pulled).as_millis() < 1000, "after {:?}", wiped.since(pulled));
        assert!(!bench.has_words(news));
        assert_eq!(reason(&bench, news), AccessStatus::NO_CARD);
        assert_eq!(bench.engine.card().state, CardState::Absent);
        bench.run(5000);
        bench.inserted = true;
        bench.run(1500);
        assert!(bench.has_words(news), "no section came since, the kept one was played");
        assert_eq!(reason(&bench, news), AccessStatus::NO_ECM);
        bench.section(air::NEWS_ECM, &air::news_ecm(4));
        assert_eq!(reason(&bench, news), AccessStatus::GRANTED_SUBSCRIPTION);
    }
}

/// The same while ECMs are on the line.
#[test]
fn a_card_pulled_while_it_works_is_noticed_too() {
    let (mut bench, news) = watching();
    bench.section(air::NEWS_ECM, &air::news_ecm(5));
    bench.inserted = false;
    let pulled = bench.now;
    bench.run(1000);
    let (wiped, _) = *bench.cleared.last().unwrap();
    assert!(wiped.since(pulled).as_millis() < 1000);
    bench.inserted = true;
    bench.run(1500);
    assert_eq!(bench.words[&(news.0, air::NEWS_ECM)].period, 5, "the newest was not lost");
}

/// A lost answer costs a reset and nothing else.
#[test]
fn a_glitch_keeps_the_words() {
    let (mut bench, news) = watching();
    bench.card.refuse = Some((INS_ECM, 0, 1));
    bench.section(air::NEWS_ECM, &air::news_ecm(5));
    bench.run(2000);
    assert!(bench.cleared.is_empty());
    assert_eq!(bench.words[&(news.0, air::NEWS_ECM)].period, 5);
    assert_eq!(bench.engine.stats().resets, 2);
    assert_eq!(bench.engine.stats().apdu_failed, 1);
}

#[test]
fn a_lost_session_is_opened_again() {
    for sw in [0x6982, 0x6988] {
        let (mut bench, news) = watching();
        bench.card.end_session();
        bench.card.refuse = Some((INS_ECM, sw, 1));
        bench.section(air::NEWS_ECM, &air::news_ecm(5));
        bench.run(1000);
        assert!(bench.cleared.is_empty());
        assert_eq!(bench.words[&(news.0, air::NEWS_ECM)].period, 5);
        assert_eq!(bench.engine.stats().channels, 2);
        assert_eq!(bench.engine.stats().resets, 1, "no reset for it");
    }
}

/// What keeps failing is left alone for longer and longer, and said so.
#[test]
fn failures_are_bounded() {
    for sw in [0, 0x6988] {
        let (mut bench, news) = watching();
        // The only thing that the card still does is to open sessions.
        bench.card.refuse = Some((INS_ECM, sw, usize::MAX));
        let channels = bench.engine.stats().channels;
        for period in 5..200 {
            bench.section(air::NEWS_ECM, &air::news_ecm(period));
            bench.run(300);
            if bench.engine.card().state == CardState::Absent {
                assert!(!bench.has_words(news));
                assert_eq!(bench.engine.access(news).unwrap().state, AccessState::Technical);
            }
        }
        let tries = bench.engine.stats().channels - channels;
        assert!((3..80).contains(&tries), "{tries} sessions in a minute");
        bench.card.refuse = None;
        bench.run(25_000);
        bench.section(air::NEWS_ECM, &air::news_ecm(300));
        bench.run(500);
        assert!(bench.has_words(news), "and it comes back");
    }
}

#[test]
fn a_card_of_another_system_is_unusable() {
    let mut bench = Bench::new(config(air::stored_pairing()));
    bench.card.foreign = true;
    let news = bench.open(&air::news());
    bench.run(3000);
    assert_eq!(bench.engine.card().state, CardState::Unusable);
    assert_eq!(reason(&bench, news), AccessStatus::UNKNOWN_CARD);
    assert_eq!(bench.engine.access(news).unwrap().sw, 0x6A82);
    // It is pulled, and the right one comes.
    bench.inserted = false;
    bench.run(1000);
    assert_eq!(reason(&bench, news), AccessStatus::NO_CARD);
    bench.card = ModelCard::new();
    bench.inserted = true;
    bench.run(1500);
    assert_eq!(bench.engine.card().state, CardState::Ready);
}

#[test]
fn why_a_card_is_not_paired() {
    for (slots, stored, expected) in [
        (0, Vec::new(), AccessStatus::NOT_PAIRED),
        (1, Vec::new(), AccessStatus::PAIRED_ELSEWHERE),
        (2, air::stored_pairing(), AccessStatus::PAIRED_ELSEWHERE),
    ] {
        let mut bench = Bench::new(config(stored));
        bench.card.pairing_slots = slots;
        let news = bench.open(&air::news());
        bench.run(3000);
        assert_eq!(bench.engine.card().state, CardState::Unpaired);
        let access = bench.engine.access(news).unwrap();
        assert_eq!((access.reason, access.remedy), (expected, Remedy::Emm));
        assert!(bench.card.count(INS_INFO) > 3, "it is still asked for signs of life");
    }
}

/// The box has keys, but the card has others: as often as it is tried, no session.
#[test]
fn a_pairing_with_other_keys_opens_nothing() {
    let mut bench = Bench::new(config(air::stored_pairing()));
    bench.card.k_pair = cam_types::Key::new([0x81; 16]);
    bench.run(5000);
    assert_eq!(bench.engine.card().state, CardState::Unpaired);
    assert_eq!(bench.engine.card().reason, AccessStatus::PAIRED_ELSEWHERE);
    assert!(bench.card.count(0x50) < 10);
}

/// BOX_PAIR comes over the air, is kept sealed, and works after a restart; its withdrawal too.
#[test]
fn pairing_over_the_air() {
    let mut bench = Bench::new(config(Vec::new()));
    bench.input(Input::Cat { source: 0, section: &air::cat() });
    bench.run(1000);
    assert_eq!(bench.engine.card().state, CardState::Unpaired);
    for section in
        [air::forged(&air::box_pair(5, CARD, 0)), air::box_pair(5, Pseudonym::new([7; 8]), 0)]
    {
        bench.section(air::EMM, &section);
        bench.run(1000);
        assert_eq!(bench.engine.card().state, CardState::Unpaired);
    }
    let pairing = air::box_pair(5, CARD, 0);
    for _ in 0..3 {
        bench.section(air::EMM, &pairing);
        bench.run(1000);
        assert_eq!(bench.engine.card().state, CardState::Ready);
    }
    assert!(bench.storage.values().any(|row| *row == pairing), "kept as it came");
    assert!(bench.take_events().contains(&Event::Pairing { slot: 0, withdrawn: false }));

    let mut bench = bench.restart();
    assert_eq!(bench.engine.card().state, CardState::Ready);
    bench.input(Input::Cat { source: 0, section: &air::cat() });
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    // The withdrawal comes while a command is on the line.
    bench.section(air::NEWS_ECM, &air::news_ecm(5));
    bench.section(air::EMM, &air::box_unpair(6));
    bench.run(2000);
    assert!(!bench.has_words(news));
    assert_eq!(bench.engine.card().state, CardState::Unpaired);
    let mut bench = bench.restart();
    bench.input(Input::Cat { source: 0, section: &air::cat() });
    bench.section(air::EMM, &pairing);
    bench.run(1000);
    assert_eq!(bench.engine.card().state, CardState::Unpaired, "an old message pairs no more");
}

/// A card gets its own half by EMM-U while it is not paired: it takes EMMs without a session.
#[test]
fn an_unpaired_card_takes_emms() {
    let mut bench = Bench::new(config(air::stored_pairing()));
    bench.card.pairing_slots = 0;
    bench.input(Input::Cat { source: 0, section: &air::cat() });
    bench.run(1000);
    assert_eq!(bench.engine.card().state, CardState::Unpaired);
    bench.section(air::EMM, &air::emm(1, &[air::grant(5)]));
    // What the EMM is for the model card, PAIR is for a real one.
    bench.card.pairing_slots = 1;
    bench.run(1000);
    assert_eq!(bench.engine.stats().emm_applied[0], 1);
    assert_eq!(bench.engine.card().state, CardState::Ready);
}

#[test]
fn another_card_brings_its_own_rights() {
    let (mut bench, news) = watching();
    bench.inserted = false;
    bench.run(1000);
    bench.card = ModelCard::new();
    bench.card.pseudonym = Pseudonym::new([9; 8]);
    bench.card.packages.clear();
    bench.inserted = true;
    bench.run(2000);
    // This box is not paired with it.
    assert_eq!(reason(&bench, news), AccessStatus::PAIRED_ELSEWHERE);
    assert!(bench.engine.rights().is_empty());
    assert!(bench.engine.wallet().is_none());
}

#[test]
fn a_reset_asked_for_keeps_the_picture() {
    let (mut bench, news) = watching();
    bench.engine.card_reset(bench.now);
    bench.run(1000);
    assert!(bench.cleared.is_empty());
    assert!(bench.has_words(news));
    assert_eq!(bench.engine.stats().channels, 2);
    assert_eq!(bench.engine.stats().ecm_replayed, 1);
}

/// With a detect line the driver says when a card is there; the engine does not poll.
#[test]
fn a_reader_with_a_detect_line_is_not_polled() {
    let mut config = config(air::stored_pairing());
    config.probe = None;
    let mut bench = Bench::new(config);
    assert_eq!(bench.activations, 0);
    bench.input(Input::CardPresent);
    bench.run(1000);
    assert_eq!(bench.engine.card().state, CardState::Ready);
    let sent = bench.commands.len();
    bench.run(10_000);
    assert_eq!(bench.commands.len(), sent);
    bench.input(Input::CardAbsent(cam_core::Absence::Removed));
    bench.run(10_000);
    assert_eq!((bench.engine.card().state, bench.activations), (CardState::Absent, 1));
}

/// A mute card in a reader with a detect line is said to be mute, and tried more and more rarely.
#[test]
fn a_mute_card_is_tried_again() {
    let mut config = config(air::stored_pairing());
    config.probe = None;
    let mut bench = Bench::new(config);
    bench.inserted = false;
    bench.input(Input::CardPresent);
    bench.run(60_000);
    assert_eq!(bench.engine.card().reason, AccessStatus::MUTE_CARD);
    assert!((4..20).contains(&bench.activations), "{}", bench.activations);
}

#[test]
fn late_answers_and_timeouts_are_for_nobody() {
    let (mut bench, news) = watching();
    bench.rest();
    bench.input(Input::Response(&[0x90, 0x00]));
    bench.input(Input::Failed { may_have_executed: true, silent: true });
    bench.input(Input::Timeout);
    bench.run(500);
    assert!(bench.has_words(news));
    assert_eq!(bench.engine.card().state, CardState::Ready);
}

// SPDX-License-Identifier: Apache-2.0
//! The card's state and the words for it agree.

use crate::rig::card::CARD;
use crate::rig::{Rig, air, config};
use cam_core::{AccessStatus, CardState, Event, Input, Remedy};
use cam_types::{Key, Pseudonym};
use ecm_emm::emm::EmmCommand;

fn card_words(events: &[Event]) -> Vec<(CardState, AccessStatus)> {
    let words = events.iter().filter_map(|event| match event {
        Event::Card { state, reason } => Some((*state, *reason)),
        _ => None,
    });
    words.collect()
}

/// A box that has just been switched on does not know of a card before it has looked.
#[test]
fn a_card_that_is_in_is_not_asked_for() {
    for idle_poll in [config(Vec::new()).idle_poll, None] {
        let mut config = config(air::stored_pairing());
        config.idle_poll = idle_poll;
        let mut rig = Rig::new(config);
        let news = rig.open(&air::news());
        rig.run(10);
        let shown = rig.engine.access(news).unwrap().reason;
        assert_eq!((rig.engine.card().state, shown), (CardState::Starting, AccessStatus::PENDING));
        rig.input(Input::CardPresent);
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        rig.run(1500);
        let events = rig.take_events();
        assert_eq!(card_words(&events), [(CardState::Ready, AccessStatus::CARD_READY)]);
        let reasons: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Access { access, .. } => Some(access.reason),
                _ => None,
            })
            .collect();
        assert_eq!(reasons, [AccessStatus::PENDING, AccessStatus::GRANTED_SUBSCRIPTION]);
    }
}

#[test]
fn an_empty_slot_asks_for_a_card() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.inserted = false;
    let news = rig.open(&air::news());
    rig.run(5000);
    let events = rig.take_events();
    assert_eq!(card_words(&events), [(CardState::Absent, AccessStatus::NO_CARD)]);
    assert_eq!(rig.engine.access(news).unwrap().reason, AccessStatus::NO_CARD);
}

/// In session, and yet no good for anything: the operator blocks the card, and lets it go again.
#[test]
fn a_blocked_card_says_so() {
    let mut rig = Rig::ready();
    rig.tune_emms();
    rig.take_events();
    let mut words = Vec::new();
    for (seq, blocked) in [(1, true), (2, false)] {
        rig.section(air::EMM, &air::emm(seq, &[EmmCommand::CardState { blocked }]));
        rig.run(1500);
        words.extend(card_words(&rig.take_events()));
    }
    let ready = |reason| (CardState::Ready, reason);
    assert_eq!(words, [ready(AccessStatus::CARD_BLOCKED), ready(AccessStatus::CARD_READY)]);
}

/// A box key that is another's opens no stored pairing: that is not the card's fault, and no EMM
/// mends it.
#[test]
fn a_wrong_box_key_is_told_as_such() {
    let mut config = config(air::stored_pairing());
    config.box_key = Key::new([0x61; 16]);
    let mut rig = Rig::new(config);
    let news = rig.open(&air::news());
    rig.run(1500);
    let unreadable = AccessStatus::PAIRING_UNREADABLE;
    assert_eq!(card_words(&rig.take_events()), [(CardState::Unpaired, unreadable)]);
    let access = rig.engine.access(news).unwrap();
    assert_eq!((access.reason, access.remedy), (unreadable, Remedy::Technician));
}

/// Another box's pairing among the rows, or another card in the reader, is no broken pairing.
#[test]
fn an_unreadable_pairing_is_not_seen_where_there_is_none() {
    let other = air::box_pair(1, Pseudonym::new([7; 8]), 0);
    let stored = vec![("pairing.0".to_owned(), other)];
    let mut rig = Rig::new(config(stored));
    assert_ne!(rig.card.pseudonym, Pseudonym::new([7; 8]));
    rig.run(1500);
    assert_eq!(rig.engine.card().reason, AccessStatus::PAIRED_ELSEWHERE);
    assert_eq!(rig.engine.card().pseudonym, Some(CARD));
}

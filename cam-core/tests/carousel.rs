// SPDX-License-Identifier: Apache-2.0
//! A carousel of many EMMs for one card, and a forger beside it.

use crate::rig::card::GROUP;
use crate::rig::{Rig, air, config};
use cam_core::CardState;
use ecm_emm::card::INS_EMM;
use ecm_emm::emm::{Address, EmmCommand};

const UNIQUE: usize = 0;
const GLOBAL: usize = 2;

/// EMMs for one card that a carousel brings, at most (`docs/spec/emm.md` §11).
const CAROUSEL: u32 = 1024;
/// Milliseconds in which queues of 64 forgeries for each addressing are through, at one in four
/// seconds.
const ALL_LOOKED_AT: u64 = 300_000;

fn to_all(seq: u32) -> Address {
    match seq % 3 {
        0 => Address::Unique(crate::rig::card::CARD),
        1 => Address::Shared(GROUP),
        _ => Address::Global,
    }
}

fn to_the_card(_: u32) -> Address {
    Address::Unique(crate::rig::card::CARD)
}

fn carousel(to: fn(u32) -> Address) -> Vec<Vec<u8>> {
    (1..=CAROUSEL).map(|seq| air::emm_to(to(seq), seq, &[osd()])).collect()
}

fn osd() -> EmmCommand {
    EmmCommand::Osd { id: 1, attributes: 0, text: "hello".into() }
}

/// Each section once, with time for the card behind it.
fn cycle(rig: &mut Rig, sections: &[Vec<u8>]) {
    for section in sections {
        rig.section(air::EMM, section);
        rig.run(250);
    }
}

fn tuned() -> Rig {
    let mut rig = Rig::ready();
    rig.tune_emms();
    rig
}

#[test]
fn the_card_gets_each_of_1024_once() {
    for to in [to_the_card as fn(u32) -> Address, to_all] {
        let mut rig = tuned();
        let sections = carousel(to);
        for number in 1..=4 {
            cycle(&mut rig, &sections);
            assert_eq!(rig.card.count(INS_EMM), sections.len(), "cycle {number}");
        }
    }
}

/// The card says of each that it has it, and is asked no more.
#[test]
fn after_a_restart_the_card_is_asked_once() {
    let mut rig = tuned();
    let sections = carousel(to_all);
    cycle(&mut rig, &sections);
    let mut rig = rig.restart();
    assert_eq!(rig.engine.card().state, CardState::Ready);
    rig.tune_emms();
    let before = rig.card.count(INS_EMM);
    cycle(&mut rig, &sections);
    assert_eq!(rig.card.count(INS_EMM) - before, sections.len());
    cycle(&mut rig, &sections);
    assert_eq!(rig.card.count(INS_EMM) - before, sections.len());
}

/// What carried the number of an EMM that was applied is answered before its seal is looked at:
/// that is no proof of who sent it.
#[test]
fn forgeries_push_out_nothing_that_the_card_has_done() {
    for seq in [CAROUSEL + 1, 5] {
        let mut rig = tuned();
        let sections = carousel(to_all);
        cycle(&mut rig, &sections);
        for address in [to_all(0), to_all(1), to_all(2)] {
            let genuine = air::emm_to(address, seq, &[osd()]);
            let forgeries: Vec<_> = (0..1500).map(|n| air::forgery(&genuine, n)).collect();
            cycle(&mut rig, &forgeries);
        }
        rig.run(ALL_LOOKED_AT);
        let before = rig.card.count(INS_EMM);
        cycle(&mut rig, &sections);
        assert_eq!(rig.card.count(INS_EMM), before, "forged with number {seq}");
    }
}

/// After a restart the card has only said that it has them: what the carousel repeats stays known
/// before what came once.
#[test]
fn forgeries_push_out_nothing_that_is_repeated() {
    for seq in [CAROUSEL + 1, 5] {
        let mut rig = tuned();
        let sections = carousel(to_the_card);
        cycle(&mut rig, &sections);
        let mut rig = rig.restart();
        rig.tune_emms();
        cycle(&mut rig, &sections);
        cycle(&mut rig, &sections);
        let genuine = air::emm(seq, &[osd()]);
        let forgeries: Vec<_> = (0..1500).map(|n| air::forgery(&genuine, n)).collect();
        cycle(&mut rig, &forgeries);
        rig.run(ALL_LOOKED_AT);
        let before = rig.card.count(INS_EMM);
        cycle(&mut rig, &sections);
        assert_eq!(rig.card.count(INS_EMM), before, "forged with number {seq}");
    }
}

/// Ten forgeries to everybody for each answer of the card: its own EMM has room, and its turn.
#[test]
fn forgeries_to_all_keep_out_nothing_of_the_cards_own() {
    let mut rig = tuned();
    let genuine = air::emm_to(Address::Global, 2000, &[osd()]);
    for n in 0..500 {
        rig.section(air::EMM, &air::forgery(&genuine, n));
    }
    assert!(rig.engine.stats().emm_dropped[GLOBAL] > 400, "their room is bounded");
    rig.section(air::EMM, &air::emm(1, &[air::grant(5)]));
    for n in 500..530 {
        rig.section(air::EMM, &air::forgery(&genuine, n));
        rig.run(10);
    }
    let stats = rig.engine.stats();
    assert_eq!((stats.emm_applied[UNIQUE], stats.emm_dropped[UNIQUE]), (1, 0));
}

/// One EMM after another leaves the air, and others come: those that stay are not asked again.
#[test]
fn what_changes_costs_nothing_of_what_stays() {
    let mut rig = tuned();
    let mut sections = carousel(to_the_card);
    for round in 0..3 {
        cycle(&mut rig, &sections);
        let before = rig.card.count(INS_EMM);
        for (n, section) in sections.iter_mut().skip(round).step_by(16).enumerate() {
            *section = air::emm(10_000 * (1 + round as u32) + n as u32, &[osd()]);
        }
        cycle(&mut rig, &sections);
        assert_eq!(rig.card.count(INS_EMM) - before, 64, "round {round}");
    }
}

/// A queue of one place still has one for each addressing.
#[test]
fn the_smallest_queue_has_room_for_each_addressing() {
    let mut small = config(air::stored_pairing());
    small.emm_queue = 1;
    let mut rig = Rig::new(small);
    rig.run(1000);
    rig.tune_emms();
    for seq in 1..=3 {
        rig.section(air::EMM, &air::emm_to(to_all(seq), seq, &[osd()]));
    }
    rig.run(2000);
    assert_eq!(rig.engine.stats().emm_applied, [1, 1, 1, 0]);
}

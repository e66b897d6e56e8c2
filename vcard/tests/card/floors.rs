// SPDX-License-Identifier: Apache-2.0
//! The level that ECMs will ask for: announced while they still open, and asked for then.

use crate::emm::{card_with_signature, signed, signing_key};
use cam_types::CasTime;
use ecm_emm::card::{AccessStatus, EmmDetail, EmmOutcome, EmmResult};
use ecm_emm::ecm::{Criteria, EcmBody};
use ecm_emm::emm::{EmmCommand, ResetNumber, TimeStep};
use system_tests::demo::*;

fn after(seconds: u32) -> CasTime {
    NOON.saturating_add(seconds)
}

/// An ECM that asks for one level now and announces another.
fn ecm(at: CasTime, emm_floor: u16, ahead: Option<(u16, CasTime)>, criteria: Criteria) -> Vec<u8> {
    let criteria = Criteria { floor_ahead: ahead, ..criteria };
    seal_ecm(NEWS, &EcmBody { emm_floor, ..body(at, criteria) })
}

const GRANTED: AccessStatus = AccessStatus::GRANTED_SUBSCRIPTION;

/// T5: a card below the level says until when it opens; one that has reached it says nothing, nor
/// does one that does not open.
#[test]
fn a_floor_is_announced_while_the_picture_runs() {
    let mut card = card_with_signature();
    let mut stb = Stb::open(&mut card);
    let floor = after(7 * DAY);
    let ahead = |level| Some((level, floor));
    let mut told = |card: &mut vcard::Card, section: &[u8]| {
        let answer = stb.ecm(card, section);
        (answer.status, answer.update_by)
    };
    let commits = card.status().commits;
    assert_eq!(told(&mut card, &ecm(NOON, 0, None, subscription())), (GRANTED, None));
    let section = ecm(after(5), 0, ahead(3), subscription());
    assert_eq!(told(&mut card, &section), (GRANTED, Some(floor)));
    let denied = ecm(after(5), 0, ahead(3), Criteria::default());
    assert_eq!(told(&mut card, &denied), (AccessStatus::NO_RIGHT, None));
    // Nothing is kept: the next ECM without it is one without it.
    assert_eq!(told(&mut card, &ecm(after(10), 0, None, subscription())), (GRANTED, None));
    assert!(card.status().commits <= commits + 1, "the clock at most");
    // The floor comes.
    let there = ecm(floor, 3, None, subscription());
    assert_eq!(told(&mut card, &there), (AccessStatus::EMM_NEEDED, None));
    // What announced it, again: it says nothing that a card would believe now.
    let late = ecm(floor.saturating_add(700), 0, None, subscription());
    assert_eq!(told(&mut card, &late).0, GRANTED);
    assert_eq!(told(&mut card, &section), (AccessStatus::CLOCK, None));
    // The message comes.
    let level = [EmmCommand::EmmLevel { level: 3, after: None }];
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &level)), EmmResult::APPLIED);
    let next = floor.saturating_add(705);
    assert_eq!(told(&mut card, &ecm(next, 3, None, subscription())), (GRANTED, None));
    assert_eq!(told(&mut card, &ecm(next, 3, ahead(3), subscription())), (GRANTED, None));
    assert_eq!(told(&mut card, &ecm(next, 3, ahead(4), subscription())), (GRANTED, Some(floor)));
}

/// T5, T35: a level that waits for its RESET is not reached, and is announced until both came.
#[test]
fn a_level_that_waits_for_its_reset_is_announced() {
    let mut card = card_with_signature();
    info(&mut card);
    let number = ResetNumber::new(1).unwrap();
    let level = [EmmCommand::EmmLevel { level: 3, after: Some(number) }];
    let level = signed(1, &level, &signing_key());
    let later = EmmResult::new(EmmOutcome::LATER, EmmDetail::RESET);
    assert_eq!(emm(&mut card, &level), later);
    let mut stb = Stb::open(&mut card);
    let ahead = Some((3, after(DAY)));
    let warned = stb.ecm(&mut card, &ecm(NOON, 0, ahead, subscription()));
    assert_eq!(warned.update_by, Some(after(DAY)));
    let reset = [EmmCommand::TimeSync { time: after(60), step: TimeStep::Reset(number) }];
    assert_eq!(emm(&mut card, &signed(0, &reset, &signing_key())), EmmResult::APPLIED);
    let warned = stb.ecm(&mut card, &ecm(after(60), 0, ahead, subscription()));
    assert_eq!((warned.status, warned.update_by), (GRANTED, Some(after(DAY))));
    assert_eq!(emm(&mut card, &level), EmmResult::APPLIED);
    let quiet = stb.ecm(&mut card, &ecm(after(65), 0, ahead, subscription()));
    assert_eq!((quiet.status, quiet.update_by), (GRANTED, None));
}

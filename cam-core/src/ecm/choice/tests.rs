// SPDX-License-Identifier: Apache-2.0
//! The order of the choice, step by step.
use super::*;
use crate::ecm::memory::Refusal;

const A: &[u8] = &[0x80, 1];
const B: &[u8] = &[0x81, 2];
const FORGED: &[u8] = &[0x81, 9];

fn any(section: &[u8]) -> Question<'_> {
    Question { section, channel: None }
}

/// Nothing was refused before.
fn offer(choice: &mut EcmChoice, now: Instant, section: &[u8], period: u32) -> Arrival {
    choice.offer(now, any(section), period, &EcmMemory::new())
}

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

fn taken(choice: &mut EcmChoice, ms: u64) -> Option<(Vec<u8>, bool)> {
    choice.take(at(ms)).map(|taken| (taken.section.to_vec(), taken.replayed))
}

fn fresh(section: &[u8]) -> Option<(Vec<u8>, bool)> {
    Some((section.to_vec(), false))
}

fn again(section: &[u8]) -> Option<(Vec<u8>, bool)> {
    Some((section.to_vec(), true))
}

/// A stream that keeps the section since the moment 0.
fn keeping(section: &[u8], period: u32) -> EcmChoice {
    let mut choice = EcmChoice::new();
    offer(&mut choice, at(0), section, period);
    choice.take(at(0));
    choice.accepted(at(0), section, period);
    choice
}

#[test]
fn a_repetition_reaches_the_card_once() {
    let mut choice = EcmChoice::new();
    assert_eq!(offer(&mut choice, at(0), A, 0), Arrival::Waits);
    assert_eq!(offer(&mut choice, at(1), A, 0), Arrival::Known);
    assert_eq!(taken(&mut choice, 1), fresh(A));
    assert_eq!(offer(&mut choice, at(2), A, 0), Arrival::Known);
    assert_eq!(choice.accepted(at(3), A, 0), Accepted { since: Some(at(0)), dropped: 0 });
    assert_eq!(offer(&mut choice, at(4), A, 0), Arrival::Kept);
    assert_eq!(taken(&mut choice, 4), None);
}

#[test]
fn of_equals_the_newest_goes_first_and_the_older_period_not_at_all() {
    let mut choice = EcmChoice::new();
    offer(&mut choice, at(0), A, 0);
    offer(&mut choice, at(1), B, 1);
    assert_eq!(taken(&mut choice, 2), fresh(B));
    assert_eq!(choice.accepted(at(3), B, 1), Accepted { since: Some(at(1)), dropped: 1 });
    assert_eq!(taken(&mut choice, 4), None);
}

#[test]
fn what_is_repeated_goes_first_while_it_is_on_air() {
    let mut choice = EcmChoice::new();
    offer(&mut choice, at(0), A, 0);
    offer(&mut choice, at(100), A, 0);
    offer(&mut choice, at(101), FORGED, 1);
    assert_eq!(taken(&mut choice, 102), fresh(A));
    let mut choice = EcmChoice::new();
    offer(&mut choice, at(0), A, 0);
    offer(&mut choice, at(100), A, 0);
    offer(&mut choice, at(6000), B, 1);
    assert_eq!(taken(&mut choice, 6001), fresh(B), "the other one is off the air");
}

#[test]
fn who_was_not_heard_for_long_gives_its_place_away_but_not_under_the_card() {
    let mut choice = EcmChoice::new();
    offer(&mut choice, at(0), FORGED, 0);
    assert_eq!(taken(&mut choice, 0), fresh(FORGED));
    for n in 0..200_u8 {
        let now = at(10 * u64::from(n));
        if n % 10 == 0 {
            offer(&mut choice, now, A, 0);
        }
        // Each is heard as often as it likes, but not any more.
        let replaces = usize::from(n) + 2 >= EcmChoice::CANDIDATES;
        let arrival = if replaces { Arrival::Replaces } else { Arrival::Waits };
        assert_eq!(offer(&mut choice, now, &[0x80, 5, n], 0), arrival);
        assert_eq!(offer(&mut choice, now, &[0x80, 5, n], 0), Arrival::Known);
    }
    assert!(choice.concerns(FORGED) && choice.concerns(A));
    assert!(choice.candidates.iter().all(|place| place.section.capacity() == MAX_ECM));
    choice.refused(FORGED);
    assert_eq!(taken(&mut choice, 2000), fresh(A));
}

#[test]
fn a_forgery_displaces_nothing_and_is_sent_once() {
    let mut memory = EcmMemory::new();
    let mut choice = keeping(A, 4);
    assert_eq!(choice.offer(at(1), any(FORGED), 5, &memory), Arrival::Waits);
    choice.take(at(1));
    choice.refused(FORGED);
    memory.remember(any(FORGED), Refusal::by_card(AccessStatus::REFUSED_ECM));
    let refused = Arrival::Refused(AccessStatus::REFUSED_ECM);
    assert_eq!(choice.offer(at(2), any(FORGED), 5, &memory), refused);
    assert_eq!(choice.kept(), Some(A));
    assert_eq!(taken(&mut choice, 3), None);
}

#[test]
fn the_kept_one_is_played_again_whatever_waits() {
    let mut choice = keeping(A, 4);
    for _ in 0..9 {
        offer(&mut choice, at(100), FORGED, 5);
    }
    choice.replay();
    assert!(!choice.stands(A));
    assert_eq!(taken(&mut choice, 200), again(A));
    assert_eq!(choice.unanswered(A), Tries::Left);
    assert_eq!(taken(&mut choice, 300), again(A), "the answer was lost");
    assert_eq!(choice.accepted(at(400), A, 4).since, None);
    assert!(choice.stands(A));
    assert_eq!(taken(&mut choice, 500), fresh(FORGED));
}

#[test]
fn one_that_is_off_the_air_lets_one_pass_and_no_more() {
    let mut choice = keeping(A, 4);
    offer(&mut choice, at(3000), FORGED, 5);
    offer(&mut choice, at(3000), B, 5);
    offer(&mut choice, at(3100), B, 5);
    choice.replay();
    assert_eq!(taken(&mut choice, 3200), fresh(B));
    choice.refused(B);
    assert_eq!(taken(&mut choice, 3300), again(A));
    assert_eq!(choice.unanswered(A), Tries::Left);
    assert_eq!(taken(&mut choice, 3500), again(A));
    // Nothing on air: it does not wait either.
    let mut choice = keeping(A, 4);
    choice.replay();
    assert_eq!(taken(&mut choice, 9000), again(A));
}

#[test]
fn an_older_period_is_stale_while_the_newer_is_on_air() {
    let mut choice = keeping(B, 5);
    assert_eq!(offer(&mut choice, at(500), A, 4), Arrival::Stale);
    assert_eq!(offer(&mut choice, at(1500), A, 4), Arrival::Waits);
}

#[test]
fn one_that_got_no_answer_is_set_aside_for_a_while() {
    let mut memory = EcmMemory::new();
    let mut choice = EcmChoice::new();
    choice.offer(at(0), any(A), 0, &memory);
    for tries in [Tries::Left, Tries::Left, Tries::Spent] {
        assert_eq!(taken(&mut choice, 1), fresh(A));
        assert_eq!(choice.unanswered(A), tries);
    }
    let status = AccessStatus::CARD_BUSY;
    memory.remember(any(A), Refusal { status, until: Until::Then(at(5000)) });
    assert_eq!(choice.offer(at(4999), any(A), 0, &memory), Arrival::Refused(status));
    assert_eq!(taken(&mut choice, 4999), None);
    assert_eq!(choice.offer(at(5000), any(A), 0, &memory), Arrival::Waits);
    assert_eq!(taken(&mut choice, 5001), fresh(A));
    assert_eq!(choice.unanswered(A), Tries::Spent, "one more try, not three");
}

/// A section that was asked for another stream counts for whom it waits, and for nobody else.
#[test]
fn what_was_asked_for_another_stream_says_nothing_to_one_that_does_not_wait() {
    let mut choice = keeping(A, 4);
    for _ in 0..9 {
        assert_eq!(choice.unanswered(A), Tries::Left);
        assert_eq!(choice.unanswered(B), Tries::Left);
    }
    assert_eq!(choice.kept(), Some(A));
    assert!(choice.concerns(A) && !choice.concerns(B));
}

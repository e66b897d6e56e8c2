// SPDX-License-Identifier: Apache-2.0
//! The dialogue alone: when it goes on, when it waits, and when it gives up.

use super::*;
use crate::Absence;
use ecm_emm::card::INS_INFO;

const POLL: Duration = Duration::from_millis(300);
const OK: [u8; 2] = [0x90, 0x00];

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

/// A card that was reset at 0, selected and has introduced itself.
fn introduced(poll: Option<Duration>) -> CardDialogue {
    let mut dialogue = CardDialogue::new(poll);
    dialogue.activating();
    dialogue.answered_to_reset(at(0), SignOfLife::Command);
    assert_eq!(dialogue.next(at(0)), Next::Select);
    dialogue.select();
    assert_eq!(dialogue.next(at(0)), Next::Nothing, "one command at a time");
    let (exchange, answer) = dialogue.answered(at(0), &OK).unwrap();
    let Exchange::Step(step) = exchange else { panic!("{exchange:?}") };
    assert!(matches!(dialogue.proceed(step, answer), Progress::On));
    assert_eq!(dialogue.next(at(0)), Next::Introduction);
    dialogue.introduced(Pseudonym::default());
    dialogue
}

#[test]
fn an_unpaired_card_is_polled_when_idle() {
    for (poll, due) in [(Some(POLL), Some(at(300))), (None, None)] {
        let mut dialogue = introduced(poll);
        assert_eq!(dialogue.next(at(0)), Next::Channel);
        dialogue.unpaired();
        assert_eq!((dialogue.next(at(0)), dialogue.deadline()), (Next::Unpaired, due));
        assert_eq!(dialogue.sign_of_life(at(300)), poll.map(|_| SignOfLife::Command));
        assert_eq!(dialogue.sign_of_life(at(299)), None);
    }
}

#[test]
fn a_card_of_another_system_is_looked_at_again() {
    for (poll, again) in [(Some(POLL), 300), (None, 20_000)] {
        let mut dialogue = introduced(poll);
        dialogue.unusable();
        assert_eq!(dialogue.next(at(again - 1)), Next::Nothing);
        assert_eq!(dialogue.next(at(again)), Next::Select);
        assert_eq!(dialogue.deadline(), Some(at(again)));
    }
}

#[test]
fn an_answer_of_a_session_that_has_ended_is_for_nobody() {
    let mut dialogue = introduced(None);
    dialogue.ask(Exchange::Info, INS_INFO, [0; 2], &[]);
    assert_eq!(dialogue.start_over(at(1)), Some(Exchange::Info));
    assert_eq!(dialogue.next(at(1)), Next::Nothing, "the line is taken until the card answers");
    assert_eq!(dialogue.answered(at(2), &OK), None);
    assert_eq!(dialogue.next(at(2)), Next::Select);
    assert_eq!(dialogue.answered(at(3), &OK), None, "nothing was asked");
}

/// Three failures in a row are forgiven at once; then the card is left alone, for longer each time.
#[test]
fn what_keeps_failing_is_left_alone() {
    let mut dialogue = introduced(None);
    for retry in [None, None, None, Some(600), Some(1200), Some(2400)] {
        assert_eq!(dialogue.failed(at(0)), retry.map(at));
    }
    for _ in 0..100 {
        dialogue.failed(at(0));
    }
    assert_eq!(dialogue.failed(at(0)), Some(at(20_000)), "but not for ever");
    dialogue.leave(Some(at(20_000)));
    assert!(dialogue.card_came(), "another card may do better");
    assert_eq!(dialogue.failed(at(0)), None);
}

#[test]
fn when_the_reader_is_tried_again() {
    for (why, polling, detecting) in [
        (Absence::Removed, Some(at(300)), None),
        (Absence::Mute, Some(at(300)), Some(at(300))),
        (Absence::Unknown, Some(at(300)), Some(at(300))),
        (Absence::ReaderLost, Some(at(1000)), Some(at(1000))),
    ] {
        for (poll, retry) in [(Some(POLL), polling), (None, detecting)] {
            let mut dialogue = CardDialogue::new(poll);
            assert_eq!(dialogue.absent(at(0), why), retry, "{why:?}, {poll:?}");
        }
    }
}

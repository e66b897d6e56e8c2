// SPDX-License-Identifier: Apache-2.0
//! What the card says of a PIN.

use crate::Ticket;
use crate::card::exchange::Answer;
use cam_types::StatusWord;
use ecm_emm::card;
use gp::scp03::ScpError;

/// How a PIN verification ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PinAnswer {
    /// Which one.
    pub ticket: Ticket,
    /// How.
    pub outcome: PinOutcome,
}

/// What the card says of a PIN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PinOutcome {
    /// The card takes it.
    Right,
    /// It is wrong; so many tries are left, one at least.
    Wrong {
        /// Before the card blocks it.
        tries_left: u8,
    },
    /// No tries are left.
    Blocked,
    /// The card refused the command itself, with this status word.
    Refused(StatusWord),
    /// The card's answer cannot be read.
    Unreadable,
    /// The card could not be asked.
    Failed,
}

impl PinOutcome {
    /// What the answer to VERIFY or CHANGE PIN says, and the tries that are left if it tells them.
    pub(crate) fn of(answer: Answer, data: &[u8]) -> (Self, Option<u8>) {
        match answer {
            Ok(StatusWord::OK) => match card::PinAnswer::parse(data) {
                Ok(card::PinAnswer { right: true, tries }) => (Self::Right, Some(tries)),
                Ok(card::PinAnswer { tries: 0, .. }) => (Self::Blocked, Some(0)),
                Ok(card::PinAnswer { tries, .. }) => {
                    (Self::Wrong { tries_left: tries }, Some(tries))
                }
                Err(_) => (Self::Unreadable, None),
            },
            // Shown, and not kept: nobody vouches for it.
            Err(ScpError::Refused(StatusWord::PIN_BLOCKED)) => (Self::Blocked, None),
            Ok(sw) | Err(ScpError::Refused(sw)) => (Self::Refused(sw), None),
            Err(_) => (Self::Failed, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_told_apart() {
        let refused = StatusWord(0x6985);
        for (answer, data, outcome) in [
            (Ok(StatusWord::OK), &[0, 3][..], PinOutcome::Right),
            (Ok(StatusWord::OK), &[1, 2], PinOutcome::Wrong { tries_left: 2 }),
            // The last try was this one.
            (Ok(StatusWord::OK), &[1, 0], PinOutcome::Blocked),
            (Ok(StatusWord::OK), &[0], PinOutcome::Unreadable),
            (Ok(StatusWord::OK), &[9, 9, 9], PinOutcome::Unreadable),
            (Ok(refused), &[], PinOutcome::Refused(refused)),
            (Err(ScpError::Refused(refused)), &[], PinOutcome::Refused(refused)),
            (Err(ScpError::Refused(StatusWord::PIN_BLOCKED)), &[], PinOutcome::Blocked),
        ] {
            assert_eq!(PinOutcome::of(answer, data).0, outcome, "{answer:?}, {data:02X?}");
        }
    }
}

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
    /// It is wrong; so many tries are left.
    Wrong {
        /// Before the card blocks it.
        tries_left: u8,
    },
    /// No tries are left.
    Blocked,
    /// The card could not be asked.
    Failed,
}

impl PinOutcome {
    /// What the answer to VERIFY or CHANGE PIN says, and the tries that are left if it tells them.
    pub(crate) fn of(answer: Answer, data: &[u8]) -> (Self, Option<u8>) {
        match answer {
            Ok(StatusWord::OK) => match card::PinAnswer::parse(data) {
                Ok(card::PinAnswer { right: true, tries }) => (Self::Right, Some(tries)),
                Ok(card::PinAnswer { tries, .. }) => {
                    (Self::Wrong { tries_left: tries }, Some(tries))
                }
                Err(_) => (Self::Failed, None),
            },
            Err(ScpError::Refused(StatusWord::PIN_BLOCKED)) => (Self::Blocked, Some(0)),
            _ => (Self::Failed, None),
        }
    }
}

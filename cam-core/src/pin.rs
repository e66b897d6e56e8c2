// SPDX-License-Identifier: Apache-2.0
//! PINs as the subscriber gives them, and the card's word on one.

use crate::Ticket;
use ecm_emm::card::PinBlock;

/// How a PIN verification ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PinAnswer {
    /// Which one.
    pub ticket: Ticket,
    /// How.
    pub outcome: PinOutcome,
}

/// The card's word on a PIN.
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

/// What the subscriber wants of the card's PIN.
pub(crate) enum PinRequest {
    Verify(PinBlock),
    Change { old: PinBlock, new: PinBlock },
}

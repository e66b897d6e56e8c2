// SPDX-License-Identifier: Apache-2.0
//! What is known of the purse, and what is wanted of the PIN.

use ecm_emm::card::PinBlock;

/// Whether the purse's counters were read in this session with the card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purse {
    NotRead,
    Read,
    /// The card would not tell.
    Refused,
}

/// What the subscriber wants of the card's PIN.
pub(crate) enum PinRequest {
    Verify(PinBlock),
    Change { old: PinBlock, new: PinBlock },
}

// SPDX-License-Identifier: Apache-2.0
//! PINs as the subscriber gives them, to be verified for their own sake or changed.
//!
//! A PIN waits until its command goes to the card, and is wiped then. That of a purchase waits with
//! the purchase.

pub(crate) mod error;
pub(crate) mod outcome;

use crate::outbox::Outbox;
use crate::{Event, PinAnswer, PinError, PinOutcome, Ticket};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use ecm_emm::card::{INS_CHANGE_PIN, INS_VERIFY, PinBlock, VERIFY_RATING};
use zeroize::Zeroizing;

/// What the subscriber wants of the card's PIN.
pub(crate) enum PinRequest {
    Verify(PinBlock),
    Change { old: PinBlock, new: PinBlock },
}

impl PinRequest {
    /// ASCII digits.
    pub(crate) fn verify(pin: &[u8]) -> Result<Self, PinError> {
        Ok(Self::Verify(block(pin)?))
    }

    /// ASCII digits both.
    pub(crate) fn change(old: &[u8], new: &[u8]) -> Result<Self, PinError> {
        Ok(Self::Change { old: block(old)?, new: block(new)? })
    }

    pub(crate) const fn ins(&self) -> u8 {
        match self {
            Self::Verify(_) => INS_VERIFY,
            Self::Change { .. } => INS_CHANGE_PIN,
        }
    }

    /// P2 of the command. The PIN of a purchase goes out with the purchase; this one pays nothing.
    pub(crate) const fn p2(&self) -> u8 {
        match self {
            Self::Verify(_) => VERIFY_RATING,
            Self::Change { .. } => 0,
        }
    }

    /// The command's data.
    pub(crate) fn data(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Verify(pin) => pin.expose().to_vec(),
            Self::Change { old, new } => [old.expose().as_slice(), new.expose()].concat(),
        })
    }
}

fn block(digits: &[u8]) -> Result<PinBlock, PinError> {
    PinBlock::from_ascii(digits).map_err(|_| PinError::Format)
}

/// The PINs that wait, in the order in which they came.
#[derive(Default)]
pub(crate) struct Pins {
    waiting: VecDeque<(Ticket, PinRequest)>,
    tickets: u32,
}

impl Pins {
    /// PINs that wait, at most.
    const MAX: usize = 4;

    pub(crate) fn take(&mut self, request: PinRequest) -> Result<Ticket, PinError> {
        if self.waiting.len() >= Self::MAX {
            return Err(PinError::Full { max: Self::MAX });
        }
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = Ticket(self.tickets);
        self.waiting.push_back((ticket, request));
        Ok(ticket)
    }

    /// The one whose turn it is. It waits no longer.
    pub(crate) fn next(&mut self) -> Option<(Ticket, PinRequest)> {
        self.waiting.pop_front()
    }

    /// The card is gone: PINs are not kept for another one.
    pub(crate) fn forget(&mut self, out: &mut Outbox) {
        for (ticket, _) in self.waiting.drain(..) {
            out.event(Event::Pin(PinAnswer { ticket, outcome: PinOutcome::Failed }));
        }
    }
}

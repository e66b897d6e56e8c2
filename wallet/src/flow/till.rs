// SPDX-License-Identifier: Apache-2.0
//! Retail: small amounts without a PIN, larger ones with it and at contacts only.

use super::{FlowError, Order, Purse};
use crate::pin::Pin;
use crate::psam::Psam;
use crate::purchase::Debiting;
use cam_types::Fen;
use core::fmt;

/// Which side of a card a reader is at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The contacts, where a PIN can be verified.
    Contact,
    /// The antenna, where none can.
    Contactless,
}

impl Side {
    /// By the answer to reset: what readers make up for a contactless card begins with its
    /// historical octets 80 01 (PC/SC part 3), behind TD1 80 and TD2 01.
    pub const fn by_atr(atr: &[u8]) -> Self {
        match atr {
            [0x3B, 0x80..=0x8F, 0x80, 0x01, ..] => Self::Contactless,
            _ => Self::Contact,
        }
    }
}

/// What a till may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Till {
    /// Up to this amount without a PIN.
    pub pin_free: Fen,
    /// Where the card is.
    pub side: Side,
}

/// Why a till does not take a card so. No money has moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TillError {
    /// The amount wants the PIN, and nobody has entered it.
    PinWanted {
        /// What is to be paid.
        amount: Fen,
        /// Up to this it would do without.
        pin_free: Fen,
    },
    /// The amount wants the PIN, which is verified at contacts only.
    Insert {
        /// What is to be paid.
        amount: Fen,
        /// Up to this it would do without.
        pin_free: Fen,
    },
}

impl fmt::Display for TillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PinWanted { amount, pin_free } => {
                write!(f, "amount {amount} is over {pin_free}: the PIN is wanted first")
            }
            Self::Insert { amount, pin_free } => {
                write!(f, "amount {amount} is over {pin_free}: insert the card, the PIN is wanted")
            }
        }
    }
}

impl core::error::Error for TillError {}

impl Till {
    /// A sale, up to its DEBIT.
    pub fn sell(
        &self,
        purse: &mut Purse<'_>,
        order: &Order,
        pin: Option<&Pin>,
        psam: &mut dyn Psam,
    ) -> Result<Debiting, FlowError> {
        let Self { pin_free, side } = *self;
        let amount = order.amount;
        match (side, pin) {
            _ if amount <= pin_free => {}
            (Side::Contactless, _) => return Err(TillError::Insert { amount, pin_free }.into()),
            (Side::Contact, None) => return Err(TillError::PinWanted { amount, pin_free }.into()),
            (Side::Contact, Some(pin)) => purse.verify(pin)?,
        }
        purse.purchase(order, psam)
    }
}

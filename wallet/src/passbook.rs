// SPDX-License-Identifier: Apache-2.0
//! The passbook (ED): an account beside the purse, with an overdraft, whose every command wants the
//! PIN first.
//!
//! Load, purchase and cash withdrawal go the ways of the purse under types of their own. Unload and
//! the update of the overdraft limit exist here alone. The balance counts the limit in, as the
//! cards of the manual do: it is what can be drawn.
//!
//! P1 and P2 are the manual's. Another reading (unload 50 03, withdrawal 50 05 and 54 05, update 50
//! 07 and 58 07 01) stands in a reader's source, was not met on a card, and is not followed.

pub mod overdraft;
pub mod unload;

pub use crate::overdraft_limit::OverdraftLimit;

use crate::load::{Load, LoadError};
use crate::purchase::{Purchase, PurchaseError};
use crate::refusal::Refusal;
use crate::transaction::TransactionType;
use cam_types::{DecodeError, Fen, TerminalId};
use core::fmt;

/// A load of the passbook under the key `key_index`.
pub fn load(key_index: u8, amount: Fen, terminal: TerminalId) -> Result<Load, LoadError> {
    Load::of(TransactionType::LOAD_ED, key_index, amount, terminal)
}

/// A purchase from the passbook under the key `key_index`.
pub fn purchase(
    key_index: u8,
    amount: Fen,
    terminal: TerminalId,
) -> Result<Purchase, PurchaseError> {
    Purchase::of(TransactionType::PURCHASE_ED, key_index, amount, terminal)
}

/// Cash from the passbook: a purchase whose ware is money.
pub fn cash_withdrawal(
    key_index: u8,
    amount: Fen,
    terminal: TerminalId,
) -> Result<Purchase, PurchaseError> {
    Purchase::of(TransactionType::CASH, key_index, amount, terminal)
}

/// Why an unload or an update came to nothing. No money has moved.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PassbookError {
    /// The passbook holds `balance`, less than the `amount`.
    InsufficientBalance {
        /// What can be drawn.
        balance: Fen,
        /// What was asked for.
        amount: Fen,
    },
    /// There is nothing to unload.
    AmountZero,
    /// The card refused the command.
    Refused(Refusal),
    /// The card did not answer.
    NoAnswer,
    /// The card's answer is not an answer to this command.
    Malformed(DecodeError),
}

impl fmt::Display for PassbookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsufficientBalance { balance, amount } => {
                write!(f, "balance {balance} does not cover {amount}")
            }
            Self::AmountZero => f.write_str("amount 0.00: there is nothing to unload"),
            Self::Refused(why) => write!(f, "{why}"),
            Self::NoAnswer => f.write_str("card did not answer"),
            Self::Malformed(error) => write!(f, "the card's answer: {error}"),
        }?;
        f.write_str("; no money has moved")
    }
}

impl core::error::Error for PassbookError {}

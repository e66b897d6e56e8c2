// SPDX-License-Identifier: Apache-2.0
//! What comes of an order to move money: it is booked, or why it is not.

use crate::stop::Stop;
use cam_types::Fen;
use iso7816::apdu::StatusWord;
use wallet::{LogRecord, Mac};

/// Money that has moved, once the transaction around it holds.
#[derive(Clone, Copy, Debug)]
pub struct Booked {
    /// What the log says of it.
    pub record: LogRecord,
    /// What is left.
    pub balance: Fen,
    /// The transaction code.
    pub tac: Mac,
}

/// Why money does not move.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotBooked {
    /// The balance is too low, or there is no such account.
    Funds,
    /// The purse would hold more than it may.
    Full,
    /// The sequence is used up.
    Exhausted,
    /// There is no key for the transaction code.
    NoKey,
}

impl From<NotBooked> for Stop {
    fn from(error: NotBooked) -> Self {
        match error {
            NotBooked::Funds => StatusWord::INSUFFICIENT_BALANCE.into(),
            NotBooked::Full => StatusWord::CONDITIONS.into(),
            NotBooked::Exhausted => StatusWord::COUNTER_EXHAUSTED.into(),
            NotBooked::NoKey => StatusWord::NO_KEY.into(),
        }
    }
}

/// A proof without a MAC, as no terminal's key took part, or without a code.
pub(super) const NO_MAC: Mac = Mac([0; 4]);

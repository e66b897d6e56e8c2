// SPDX-License-Identifier: Apache-2.0
//! What a terminal reads without moving money: balance and log.

use crate::balance::{BalanceError, Part};
use crate::record::LogRecord;
use crate::refusal::{Reason, Refusal, Step};
use crate::response::split;
use crate::transaction::Account;
use cam_types::{DecodeError, Fen, StatusWord};
use core::fmt;

/// GET BALANCE: what can be drawn.
pub const fn balance_command(account: Account) -> [u8; 5] {
    Part::Drawable.command(account)
}

/// Reads the answer to GET BALANCE, as the card has sent it.
/// [`BalanceCoding`](crate::BalanceCoding) says what of it is money.
pub fn balance(response: &[u8]) -> Result<Fen, ReadError> {
    match *answer(response)? {
        [a, b, c, d] => Ok(Fen::from_be_bytes([a, b, c, d])),
        [_, _, _, _, ref rest @ ..] => Err(ReadError::Malformed(DecodeError::Trailing {
            message: "balance",
            octets: rest.len(),
        })),
        _ => Err(ReadError::Malformed(DecodeError::Missing("balance"))),
    }
}

/// The log, read from its newest record on: one READ RECORD at a time.
#[derive(Debug, Eq, PartialEq)]
pub struct LogReading {
    sfi: u8,
    number: u8,
}

impl LogReading {
    /// The file that cards log in.
    pub const LOG: u8 = 0x18;
    /// The file that some cards log their loads in, and in no other (city cards).
    pub const LOADS: u8 = 0x1A;

    /// The newest record first.
    pub const fn new() -> Self {
        Self::of(Self::LOG)
    }

    /// The same of another file, by its short identifier.
    pub const fn of(sfi: u8) -> Self {
        Self { sfi, number: 1 }
    }

    /// The short identifier of the file.
    pub(crate) const fn sfi(&self) -> u8 {
        self.sfi
    }

    /// READ RECORD.
    pub const fn command(&self) -> [u8; 5] {
        LogRecord::read_command_of(self.sfi, self.number)
    }

    /// Reads the card's answer: a record, and how to go on unless it was the last that the card can
    /// have; or `None` behind the oldest.
    pub fn answer(self, response: &[u8]) -> Result<Option<(LogRecord, Option<Self>)>, ReadError> {
        let octets = match answer(response) {
            Err(ReadError::Refused(Refusal { reason: Reason::NoRecord, .. })) => return Ok(None),
            octets => octets?,
        };
        // Some cards make all records at once and fill them with 00 or FF.
        if [[0x00; LogRecord::LEN], [0xFF; LogRecord::LEN]].iter().any(|blank| octets == blank) {
            return Ok(None);
        }
        let record = LogRecord::parse(octets).map_err(ReadError::Malformed)?;
        Ok(Some((record, self.number.checked_add(1).map(|number| Self { number, ..self }))))
    }
}

impl Default for LogReading {
    fn default() -> Self {
        Self::new()
    }
}

/// Why there was nothing to read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReadError {
    /// The card refused the command.
    Refused(Refusal),
    /// The card did not answer.
    NoAnswer,
    /// The card's answer is not an answer to this command.
    Malformed(DecodeError),
    /// The card's balance cannot be told.
    Balance(BalanceError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "{why}"),
            Self::NoAnswer => f.write_str("card did not answer"),
            Self::Malformed(error) => write!(f, "the card's answer: {error}"),
            Self::Balance(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for ReadError {}

impl From<BalanceError> for ReadError {
    fn from(error: BalanceError) -> Self {
        Self::Balance(error)
    }
}

/// The data of an answer to a command that only reads.
pub(crate) fn answer(response: &[u8]) -> Result<&[u8], ReadError> {
    match split(response).map_err(ReadError::Malformed)? {
        (data, StatusWord::OK) => Ok(data),
        (_, sw) => Err(ReadError::Refused(Refusal::new(Step::Read, sw))),
    }
}

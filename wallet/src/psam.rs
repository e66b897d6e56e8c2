// SPDX-License-Identifier: Apache-2.0
//! The seam to the terminal's secure module (PSAM): who holds the purchase key on the terminal's
//! side.

mod card;
mod soft;

pub use card::{CardPsam, SamApplication};
pub use soft::SoftPsam;

use crate::cipher::Block;
use crate::mac::Mac;
use crate::transaction::Transaction;
use alloc::vec::Vec;
use cam_types::{DecodeError, StatusWord, TerminalId, TerminalSequence};
use core::fmt;

/// Diversification factors that INIT_SAM_FOR_PURCHASE carries, at most.
const MAX_FACTORS: usize = (255 - 0x14) / size_of::<Block>();

/// A terminal's secure module: makes MAC1, checks MAC2, and never shows a key.
pub trait Psam {
    /// The terminal id of the module (EF 0016). MAC1 is made over it, so INITIALIZE must carry it.
    fn terminal(&mut self) -> Result<TerminalId, SamError>;

    /// Counts the terminal sequence up and makes MAC1. Whatever it ends in, no money has moved.
    fn start(&mut self, purchase: &SamPurchase<'_>) -> Result<(TerminalSequence, Mac), SamError>;

    /// Checks the MAC2 of the purchase last started. After a wrong one the right one is still
    /// taken, for GET TRANSACTION PROVE may bring it; but modules count wrong ones and lock
    /// themselves.
    fn credit(&mut self, mac2: Mac) -> Result<(), SamError>;
}

/// What a PSAM is told in INIT_SAM_FOR_PURCHASE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SamPurchase<'a> {
    /// The card's random number.
    pub random: [u8; 4],
    /// The card's offline sequence.
    pub offline_sequence: [u8; 2],
    /// Amount, type, terminal, date and time.
    pub transaction: Transaction,
    /// The version of the card's purchase key.
    pub key_version: u8,
    /// The algorithm of the card's purchase key.
    pub algorithm: u8,
    /// How the module comes to the card's key.
    pub card: &'a CardIdentity,
}

/// What a PSAM must know of a card besides the answer to INITIALIZE.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CardIdentity {
    /// Diversification factors, master key first. A module in software that holds the card's own
    /// key takes none.
    pub factors: Vec<Block>,
    /// The authentication code that cards of the MOHURD profile give (GET DATA 80 CA 00 00); it
    /// ends the input of MAC1.
    pub authentication_code: Option<[u8; 9]>,
}

impl CardIdentity {
    /// A card of one level: the right eight octets of its application serial number (EF 0015).
    pub fn of_serial(serial: [u8; 10]) -> Self {
        let [_, _, factor @ ..] = serial;
        Self { factors: [factor].into(), authentication_code: None }
    }
}

/// Why a secure module did not do its part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SamError {
    /// It holds no purchase key of this version and algorithm.
    NoKey {
        /// The version that the card asked for.
        version: u8,
        /// The algorithm that the card asked for.
        algorithm: u8,
    },
    /// INITIALIZE carried another terminal than the module's: the card would refuse its MAC1.
    OtherTerminal {
        /// What INITIALIZE carried.
        got: TerminalId,
        /// What it must carry.
        expected: TerminalId,
    },
    /// The card's key is more levels below the master key than the module's command carries.
    Factors {
        /// Diversification factors of the card.
        got: usize,
    },
    /// Its terminal sequence is at its end.
    Exhausted,
    /// It refused the command.
    Refused(StatusWord),
    /// It did not answer.
    NoAnswer,
    /// Its answer is not an answer to this command.
    Malformed(DecodeError),
    /// MAC2 does not come from the card that was to pay.
    WrongMac2,
}

impl fmt::Display for SamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey { version, algorithm } => write!(
                f,
                "secure module has no purchase key {version:02X}, algorithm {algorithm:02X}"
            ),
            Self::OtherTerminal { got, expected } => {
                write!(f, "secure module is terminal {expected}, the purchase names {got}")
            }
            Self::Factors { got } => write!(
                f,
                "secure module takes up to {MAX_FACTORS} diversification factors, the card has {got}"
            ),
            Self::Exhausted => f.write_str("secure module has used up its terminal sequence"),
            Self::Refused(sw) => write!(f, "secure module refused the command ({sw})"),
            Self::NoAnswer => f.write_str("secure module did not answer"),
            Self::Malformed(error) => write!(f, "answer of the secure module: {error}"),
            Self::WrongMac2 => f.write_str("secure module finds MAC2 wrong"),
        }
    }
}

impl core::error::Error for SamError {}

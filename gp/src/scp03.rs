// SPDX-License-Identifier: Apache-2.0
//! SCP03: mutual authentication and secure messaging between a terminal and a card.
//!
//! Before changing it read Amendment D §4 (cryptography) and §6 (commands): the MAC chain is shared
//! by commands and responses, the counter moves with every command, and error status words carry
//! no MAC.

pub mod card;
mod channel;
mod terminal;

pub use terminal::{Initialize, Open, Session};

use cam_types::{Key, StatusWord};
use core::fmt;

/// C-MAC, C-ENC, R-MAC and R-ENC: the level of the pairing channel.
pub const LEVEL_33: u8 = 0x33;

/// INS of INITIALIZE UPDATE.
pub const INS_INITIALIZE_UPDATE: u8 = 0x50;
/// INS of EXTERNAL AUTHENTICATE.
pub const INS_EXTERNAL_AUTHENTICATE: u8 = 0x82;

/// A static key set, three AES-128 keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StaticKeys {
    /// K-ENC: session encryption and the pseudo-random card challenge.
    pub enc: Key,
    /// K-MAC: session MAC keys and cryptograms.
    pub mac: Key,
    /// K-DEK: protects keys inside commands.
    pub dek: Key,
}

/// Length of challenges, cryptograms and MACs. The length of the host challenge chooses it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// 8 octets.
    S8,
    /// 16 octets.
    S16,
}

impl Mode {
    /// The mode that a host challenge of so many octets chooses.
    pub const fn of_challenge(len: usize) -> Option<Self> {
        match len {
            8 => Some(Self::S8),
            16 => Some(Self::S16),
            _ => None,
        }
    }

    /// Octets of a challenge, cryptogram or MAC.
    pub const fn octets(self) -> usize {
        match self {
            Self::S8 => 8,
            Self::S16 => 16,
        }
    }
}

/// What a session protects (Amendment D, table of security levels).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Level(u8);

impl Level {
    /// Commands and responses authenticated and encrypted.
    pub const FULL: Self = Self(LEVEL_33);

    /// One of 01, 03, 11, 13, 33.
    pub const fn new(level: u8) -> Option<Self> {
        match level {
            0x01 | 0x03 | 0x11 | 0x13 | 0x33 => Some(Self(level)),
            _ => None,
        }
    }

    /// As EXTERNAL AUTHENTICATE carries it in P1.
    pub const fn value(self) -> u8 {
        self.0
    }

    const fn command_encryption(self) -> bool {
        self.0 & 0x02 != 0
    }

    const fn response_mac(self) -> bool {
        self.0 & 0x10 != 0
    }

    const fn response_encryption(self) -> bool {
        self.0 & 0x20 != 0
    }
}

/// The response to this status word carries a MAC: success and warnings.
const fn status_is_protected(sw: StatusWord) -> bool {
    matches!(sw, StatusWord::OK) || sw.is_warning()
}

/// Why a session was not opened or is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ScpError {
    /// The card answered with this status word, which no MAC covers.
    Refused(StatusWord),
    /// A message has the wrong length or form.
    Malformed(&'static str),
    /// The card speaks another protocol: its SCP number. The answers of the others have no `i`.
    OtherProtocol(u8),
    /// The card speaks SCP03 with another option: `i`.
    Option(u8),
    /// The card answered for another key version.
    KeyVersion {
        /// What it answered.
        got: u8,
        /// What was asked for.
        expected: u8,
    },
    /// The other side does not hold the keys, or a message was altered.
    Authentication,
    /// The data does not fit a short APDU once it is protected.
    TooLong(usize),
    /// The session ended with an earlier error.
    Over,
}

impl fmt::Display for ScpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(sw) => write!(f, "card refused the command ({sw})"),
            Self::Malformed(what) => write!(f, "malformed {what}"),
            Self::OtherProtocol(scp) => {
                write!(f, "card speaks SCP{scp:02X}, expected SCP03 i=60 or i=70")
            }
            Self::Option(i) => write!(f, "card speaks SCP03 i={i:02X}, expected i=60 or i=70"),
            Self::KeyVersion { got, expected } => {
                write!(f, "card answered for key version {got:02X}, expected {expected:02X}")
            }
            Self::Authentication => f.write_str("secure messaging: authentication failed"),
            Self::TooLong(len) => write!(f, "{len} octets do not fit one protected command"),
            Self::Over => f.write_str("the session is over"),
        }
    }
}

impl core::error::Error for ScpError {}

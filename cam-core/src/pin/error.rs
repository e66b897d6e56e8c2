// SPDX-License-Identifier: Apache-2.0
//! Why the card is not asked about a PIN.

use core::fmt;

/// Why the card is not asked about a PIN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PinError {
    /// It is not 4 to 12 digits.
    Format,
    /// No card in session.
    NoCard,
    /// Too many others wait for the card.
    Full {
        /// The most that may wait.
        max: usize,
    },
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("expected a PIN of 4 to 12 ASCII digits"),
            Self::NoCard => f.write_str("no card in session"),
            Self::Full { max } => {
                write!(f, "{max} PINs wait for the card already; wait for the answer to one")
            }
        }
    }
}

impl core::error::Error for PinError {}

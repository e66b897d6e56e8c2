// SPDX-License-Identifier: Apache-2.0
//! What can go wrong in an exchange by T=1.
use core::fmt;

/// Why an exchange failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum T1Error {
    /// The card has stopped answering. It needs a reset.
    Silent,
    /// Blocks could not be exchanged without error. The card needs a reset.
    Blocks,
    /// It took RESYNCH to bring the card back. The next command may follow.
    Resynchronised,
    /// The card aborted. The next command may follow.
    Aborted,
    /// The response is longer than the limit. The next command may follow.
    TooLong,
    /// A sign of life did not come at once and alone: another card may be in. The next command may
    /// follow.
    Doubtful,
}

impl T1Error {
    /// The next command may follow without a reset.
    pub const fn usable(self) -> bool {
        matches!(self, Self::Resynchronised | Self::Aborted | Self::TooLong | Self::Doubtful)
    }
}

impl fmt::Display for T1Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "no block from the card",
            Self::Blocks => "blocks could not be exchanged without error",
            Self::Resynchronised => "exchange lost to a resynchronisation",
            Self::Aborted => "card aborted the exchange",
            Self::TooLong => "response is longer than the limit",
            Self::Doubtful => "sign of life is not beyond doubt",
        })
    }
}

impl core::error::Error for T1Error {}

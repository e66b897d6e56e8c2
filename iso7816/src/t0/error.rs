// SPDX-License-Identifier: Apache-2.0
//! What can go wrong in an exchange by T=0.
use crate::apdu::ApduError;
use core::fmt;

/// Why an exchange failed. Unless the command was refused or its answer was too long, the card
/// needs a reset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum T0Error {
    /// The card stopped answering.
    Silent,
    /// A character with a parity error.
    Damaged,
    /// This octet is no procedure byte, or not one that fits.
    ProcedureByte(u8),
    /// Octets came behind the status word, or out of nowhere.
    Leftover,
    /// The card keeps announcing data and sends none.
    Withheld,
    /// The response is longer than the limit. The next command may follow.
    TooLong,
    /// The command was not sent: T=0 cannot carry it.
    Command(ApduError),
}

impl fmt::Display for T0Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("card stopped answering"),
            Self::Damaged => f.write_str("character with a parity error"),
            Self::ProcedureByte(octet) => write!(f, "procedure byte {octet:02X} is not valid"),
            Self::Leftover => f.write_str("octets behind the status word"),
            Self::Withheld => f.write_str("card announces data and sends none"),
            Self::TooLong => f.write_str("response is longer than the limit"),
            Self::Command(why) => write!(f, "{why}"),
        }
    }
}

impl core::error::Error for T0Error {}

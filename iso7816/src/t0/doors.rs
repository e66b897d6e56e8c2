// SPDX-License-Identifier: Apache-2.0
//! What goes into a T=0 machine and what comes out.
use crate::apdu::ApduError;
use crate::emv::Profile;
use cam_types::Instant;
use core::fmt;

/// What T=0 leaves to taste.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct T0Policy {
    /// Ask for the answer of a case 4 command that ended with 9000 instead of 61xx.
    pub get_response_after_ok: bool,
    /// Take INS+1 and its complement for INS and its complement: old cards ask for Vpp with them.
    pub vpp_procedure_bytes: bool,
    /// Whose turnaround time holds.
    pub profile: Profile,
}

/// What the machine is told.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Send this command APDU. Ignored while another exchange is going on.
    Command(&'a [u8]),
    /// The card sent these octets, in any split.
    Received(&'a [u8]),
    /// The answer to a TPDU that went out whole: data and status word.
    Message(&'a [u8]),
    /// One of the octets that follow has a parity error.
    Damaged,
    /// The instant in the last [`Output::Wait`] has passed.
    Timeout,
}

/// What the machine wants done.
#[derive(Clone, Copy)]
#[must_use]
pub enum Output<'a> {
    /// Send these octets.
    Transmit(&'a [u8]),
    /// The exchange is over. The machine is ready for the next command.
    Response(&'a [u8]),
    /// The exchange has failed, or the card spoke when it should not. Unless the command was
    /// refused or its answer was too long, the card needs a reset.
    Failed(T0Error),
    /// Nothing to do before this instant, or before more input.
    Wait(Option<Instant>),
}

/// Why an exchange failed.
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
            Self::TooLong => f.write_str("response is longer than the limit"),
            Self::Command(why) => write!(f, "{why}"),
        }
    }
}

impl core::error::Error for T0Error {}

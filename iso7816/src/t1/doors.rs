// SPDX-License-Identifier: Apache-2.0
//! What goes into a T=1 machine and what comes out.
use cam_types::Instant;
use core::fmt;

/// What the machine is told.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Offer our IFSD now. Ends with [`Output::Announced`].
    Announce,
    /// Send this command APDU. Ignored while another exchange is going on.
    Command(&'a [u8]),
    /// The card sent these octets, in any split.
    Received(&'a [u8]),
    /// One of the octets that follow has a parity error.
    Damaged,
    /// The instant in the last [`Output::Wait`] has passed.
    Timeout,
}

/// What the machine wants done.
#[derive(Clone, Copy)]
#[must_use]
pub enum Output<'a> {
    /// Send this block.
    Transmit(&'a [u8]),
    /// The offer of an IFSD is over; the card takes blocks of this size from us, and sends such.
    Announced {
        /// Agreed IFSD, 32 when the card did not go along.
        ifsd: u8,
    },
    /// The exchange is over. The machine is ready for the next command.
    Response(&'a [u8]),
    /// The exchange has failed.
    Failed(T1Error),
    /// Nothing to do before this instant, or before more input.
    Wait(Option<Instant>),
}

/// Why an exchange failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum T1Error {
    /// Not one character came. The card needs a reset.
    Silent,
    /// Blocks could not be exchanged without error. The card needs a reset.
    Blocks,
    /// It took RESYNCH to bring the card back. The next command may follow.
    Resynchronised,
    /// The card aborted. The next command may follow.
    Aborted,
    /// The response is longer than the limit. The next command may follow.
    TooLong,
}

impl T1Error {
    /// The next command may follow without a reset.
    pub const fn usable(self) -> bool {
        matches!(self, Self::Resynchronised | Self::Aborted | Self::TooLong)
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
        })
    }
}

impl core::error::Error for T1Error {}

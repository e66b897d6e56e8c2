// SPDX-License-Identifier: Apache-2.0
//! REPORT and ACK: which purchases the operator asks for, and what the card says of an
//! acknowledgement.
//!
//! Normative references:
//!  - `docs/spec/report.md`, 1

use alloc::vec::Vec;
use cam_types::{DecodeError, Reader};
use core::fmt;

/// The data of REPORT, and what REPORT_REQUEST asks for: 10 octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReportRequest {
    /// Goes into the report's seal, so that an old report does not answer a new request.
    pub nonce: [u8; 8],
    /// From the purchase with this offline sequence; 0 from what was not acknowledged.
    pub from: u16,
}

impl ReportRequest {
    /// Octets on the wire.
    pub const LEN: usize = 10;

    /// Takes the data field.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let request = Self::read(&mut r)?;
        r.finish("report request")?;
        Ok(request)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { nonce: *r.array("nonce")?, from: r.u16("first record")? })
    }

    /// Appends the data field.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.nonce);
        out.extend(self.from.to_be_bytes());
    }
}

/// What the card says to ACK, 1 octet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AckResult(pub u8);

impl AckResult {
    /// The records up to the receipt are acknowledged.
    pub const FREED: Self = Self(0x01);
    /// They were before.
    pub const KNOWN: Self = Self(0x02);
    /// Not authentic.
    pub const AUTHENTICATION: Self = Self(0x10);
    /// No kept record has this receipt.
    pub const UNKNOWN: Self = Self(0x11);
    /// For another card.
    pub const ADDRESS: Self = Self(0x12);
    /// The card has no such key.
    pub const NO_KEY: Self = Self(0x13);
    /// It cannot be read.
    pub const MALFORMED: Self = Self(0x1D);

    /// Takes the whole answer without its status word.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let result = Self(r.u8("ACK result")?);
        r.finish("ACK answer")?;
        Ok(result)
    }

    /// What it says holds now, whether it is new or not.
    pub const fn is_taken(self) -> bool {
        matches!(self, Self::FREED | Self::KNOWN)
    }
}

impl fmt::Display for AckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FREED => f.write_str("records acknowledged"),
            Self::KNOWN => f.write_str("acknowledged before"),
            Self::AUTHENTICATION => f.write_str("acknowledgement not authentic"),
            Self::UNKNOWN => f.write_str("no record has this receipt"),
            Self::ADDRESS => f.write_str("acknowledgement for another card"),
            Self::NO_KEY => f.write_str("no key"),
            Self::MALFORMED => f.write_str("malformed"),
            Self(other) => write!(f, "ACK result 0x{other:02X}"),
        }
    }
}

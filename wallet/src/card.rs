// SPDX-License-Identifier: Apache-2.0
//! What a terminal has to know of a card before it trades: its application data, its authentication
//! code, and the factors by which its keys come from master keys.

use crate::cipher::Block;
use crate::read::{ReadError, answer};
use cam_types::interindustry::{INS_GET_DATA, INS_READ_BINARY};
use cam_types::{BcdDate, DecodeError, Reader};
use core::fmt;

/// The public application data: EF 0015, or tag 9F0C in SELECT's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ApplicationData {
    /// Who gave the card out.
    pub issuer: [u8; 8],
    /// Application type.
    pub kind: u8,
    /// Application version.
    pub version: u8,
    /// Application serial number (ASN).
    pub serial: [u8; 10],
    /// The first day on which it is valid.
    pub start: BcdDate,
    /// The last day on which it is valid.
    pub expiry: BcdDate,
    /// The issuer's own.
    pub own: [u8; 2],
}

impl ApplicationData {
    /// Octets of it.
    pub const LEN: usize = 30;
    /// READ BINARY of EF 0015.
    pub const COMMAND: [u8; 5] = [0x00, INS_READ_BINARY, 0x95, 0x00, Self::LEN as u8];

    /// Reads the answer to READ BINARY.
    pub fn answer(response: &[u8]) -> Result<Self, ReadError> {
        Self::parse(answer(response)?).map_err(ReadError::Malformed)
    }

    /// Reads the data.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let application = Self {
            issuer: *r.array("issuer")?,
            kind: r.u8("application type")?,
            version: r.u8("application version")?,
            serial: *r.array("application serial number")?,
            start: BcdDate(*r.array("first day")?),
            expiry: BcdDate(*r.array("last day")?),
            own: *r.array("issuer's data")?,
        };
        r.finish("application data")?;
        Ok(application)
    }
}

/// What cards of the MOHURD profile give a terminal for its PSAM: it ends the input of MAC1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuthenticationCode(pub [u8; 9]);

impl AuthenticationCode {
    /// GET DATA.
    pub const COMMAND: [u8; 5] = [0x80, INS_GET_DATA, 0x00, 0x00, 0x09];

    /// Reads the card's answer.
    pub fn answer(response: &[u8]) -> Result<Self, ReadError> {
        let mut r = Reader::new(answer(response)?);
        let code = r.array("authentication code").map_err(ReadError::Malformed)?;
        r.finish("authentication code").map_err(ReadError::Malformed)?;
        Ok(Self(*code))
    }
}

/// How a card's key comes from the key above it: one level of diversification.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// The right eight octets of the application serial number.
    Serial,
    /// The number that the contactless chip answers to, then 80000000.
    Uid,
    /// The left four octets of the issuer, twice: cards of an area.
    IssuerTwice,
    /// The left four octets of the issuer, then FFFFFFFF.
    IssuerPadded,
}

impl Level {
    /// The factor for this card. `uid` is what the reader of a contactless card knows.
    pub fn factor(
        self,
        application: &ApplicationData,
        uid: Option<[u8; 4]>,
    ) -> Result<Block, IdentityError> {
        let [a, b, c, d, ..] = application.issuer;
        Ok(match self {
            Self::Serial => {
                let [_, _, factor @ ..] = application.serial;
                factor
            }
            Self::Uid => {
                let [a, b, c, d] = uid.ok_or(IdentityError::NoUid)?;
                [a, b, c, d, 0x80, 0x00, 0x00, 0x00]
            }
            Self::IssuerTwice => [a, b, c, d, a, b, c, d],
            Self::IssuerPadded => [a, b, c, d, 0xFF, 0xFF, 0xFF, 0xFF],
        })
    }
}

/// Why a PSAM cannot be told whose card it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IdentityError {
    /// The card's keys come by its UID, and the reader has not told it.
    NoUid,
    /// The scheme wants the card's authentication code, and nobody has read it.
    NoCode,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoUid => "the card's keys come by its UID, which the reader does not tell",
            Self::NoCode => "the card's authentication code is wanted and was not read",
        })?;
        f.write_str("; no money has moved")
    }
}

impl core::error::Error for IdentityError {}

// SPDX-License-Identifier: Apache-2.0
//! SELECT, and the file control information by which a terminal knows whose card it has.

use crate::card::ApplicationData;
use crate::refusal::{Reason, Refusal, Step};
use crate::response::split;
use alloc::vec::Vec;
use cam_types::{DecodeError, Reader, StatusWord, interindustry};
use core::fmt;

/// What a terminal asks for: an application by its AID.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Select {
    aid: Vec<u8>,
}

/// An application that was selected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Selected {
    /// Its full name.
    pub aid: Vec<u8>,
    /// What the card says of it in SELECT already (tag 9F0C); otherwise EF 0015 does.
    pub application: Option<ApplicationData>,
}

/// Why there is no purse to deal with. No money has moved.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SelectError {
    /// The card has no such application.
    NotOurs(StatusWord),
    /// The card selected another application.
    OtherName(Vec<u8>),
    /// The card refused the command.
    Refused(Refusal),
    /// The card did not answer.
    NoAnswer,
    /// The card's answer is no file control information.
    Malformed(DecodeError),
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs(status) => {
                write!(f, "not our card: it has no such application ({status})")
            }
            Self::OtherName(name) => {
                f.write_str("not our card: it selected the application ")?;
                name.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
            }
            Self::Refused(why) => write!(f, "{why}"),
            Self::NoAnswer => f.write_str("card did not answer"),
            Self::Malformed(error) => write!(f, "the card's answer to SELECT: {error}"),
        }?;
        f.write_str("; no money has moved")
    }
}

impl core::error::Error for SelectError {}

impl Select {
    /// The application of this name, or the first whose name begins so.
    pub fn new(aid: &[u8]) -> Self {
        // A name has 5 to 16 octets (ISO/IEC 7816-4 clause 8.2.1.2).
        Self { aid: aid.iter().copied().take(16).collect() }
    }

    /// SELECT, with Le.
    pub fn command(&self) -> Vec<u8> {
        let mut apdu = self.command_without_le();
        apdu.push(0x00);
        apdu
    }

    /// SELECT, without Le: some cards of T=CL refuse it otherwise.
    pub fn command_without_le(&self) -> Vec<u8> {
        interindustry::select(&self.aid).collect()
    }

    /// Reads the card's answer.
    pub fn answer(self, response: &[u8]) -> Result<Selected, SelectError> {
        let (data, sw) = split(response).map_err(SelectError::Malformed)?;
        if sw != StatusWord::OK {
            return Err(match Refusal::new(Step::Select, sw) {
                Refusal { reason: Reason::NoApplication, status } => SelectError::NotOurs(status),
                refusal => SelectError::Refused(refusal),
            });
        }
        // Some cards select and say no more. Its name is taken to be the one that was asked for.
        if data.is_empty() {
            return Ok(Selected { aid: self.aid, application: None });
        }
        let selected = Selected::parse(data).map_err(SelectError::Malformed)?;
        if selected.aid.starts_with(&self.aid) {
            Ok(selected)
        } else {
            Err(SelectError::OtherName(selected.aid))
        }
    }
}

impl Selected {
    /// Reads file control information (6F): the name (84) and, in the proprietary part (A5),
    /// issuer's data (9F0C).
    fn parse(fci: &[u8]) -> Result<Self, DecodeError> {
        let template = find(fci, 0x6F)?.ok_or(DecodeError::Missing("FCI template"))?;
        let aid = find(template, 0x84)?.ok_or(DecodeError::Missing("application name"))?.to_vec();
        // Only the name says whose card it is. What follows is not always well-formed, and issuers
        // put other things into 9F0C as well.
        let application = find(template, 0xA5)
            .and_then(|proprietary| find(proprietary.unwrap_or(&[]), 0x9F0C))
            .ok()
            .flatten()
            .and_then(|data| ApplicationData::parse(data).ok());
        Ok(Self { aid, application })
    }
}

/// The value of the first object of this tag (BER-TLV; tags of one or two octets).
fn find(objects: &[u8], wanted: u16) -> Result<Option<&[u8]>, DecodeError> {
    let mut r = Reader::new(objects);
    while !r.is_empty() {
        let first = r.u8("tag")?;
        let tag = match first & 0x1F {
            0x1F => u16::from_be_bytes([first, r.u8("tag")?]),
            _ => first.into(),
        };
        let length = match r.u8("length")? {
            0x81 => r.u8("length")?.into(),
            short @ 0..=0x7F => short.into(),
            _ => return Err(DecodeError::Missing("length of one octet")),
        };
        let value = r.bytes(length, "value")?;
        if tag == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

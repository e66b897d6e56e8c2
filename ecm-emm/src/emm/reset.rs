// SPDX-License-Identifier: Apache-2.0
//! The RESET of a card's clock: numbered, so that one that was held back is known for old.

use super::field::{Emit, Read};
use alloc::vec::Vec;
use cam_types::{DecodeError, Reader};
use core::fmt;
use core::num::NonZeroU16;

/// The number of a RESET, from the operator's one series for all of them; the first is 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ResetNumber(NonZeroU16);

impl ResetNumber {
    /// `None` for 0, which is never a number.
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn value(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for ResetNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a TIME_SYNC does to the clock.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TimeStep {
    /// Only forward.
    Forward,
    /// To its time, whatever that is; also what the card has seen of ECMs. Once.
    Reset(ResetNumber),
}

impl TimeStep {
    /// Bit 0 of the flags: a number follows.
    const RESET: u8 = 0x01;
}

impl Read for ResetNumber {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Self::new(r.u16(name)?).ok_or(DecodeError::Invalid { field: name, got: 0 })
    }
}

impl Emit for ResetNumber {
    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.value().to_be_bytes());
    }
}

/// A number that may be left out, at the end of a value.
impl Read for Option<ResetNumber> {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        if r.is_empty() { Ok(None) } else { ResetNumber::read(r, name).map(Some) }
    }
}

impl Emit for Option<ResetNumber> {
    fn emit(&self, out: &mut Vec<u8>) {
        if let Some(number) = self {
            number.emit(out);
        }
    }
}

impl Read for TimeStep {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        match r.u8(name)? {
            0 => Ok(Self::Forward),
            Self::RESET => ResetNumber::read(r, "reset number").map(Self::Reset),
            other => Err(DecodeError::Invalid { field: name, got: other.into() }),
        }
    }
}

impl Emit for TimeStep {
    fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Forward => out.push(0),
            Self::Reset(number) => {
                out.push(Self::RESET);
                number.emit(out);
            }
        }
    }
}

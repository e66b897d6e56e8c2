// SPDX-License-Identifier: Apache-2.0
//! VERIFY and CHANGE PIN: the PIN block and what the card says of it.
//!
//! Normative references:
//!  - ISO 9564-1 (format 2), `docs/spec/card.md`, 3.4

use alloc::boxed::Box;
use alloc::vec::Vec;
use cam_types::{DecodeError, Reader, Secret};
use core::fmt;
use zeroize::Zeroize;

/// A PIN as VERIFY carries it: ISO 9564-1 format 2, `2n`, n digits, filled with F.
///
/// Never printed, compared in constant time, wiped when dropped. It stays where it was made: what
/// waits in a queue or moves is a handle, which leaves no digit behind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PinBlock(Box<Secret<8>>);

impl PinBlock {
    /// The shortest PIN.
    pub const MIN_DIGITS: usize = 4;
    /// The longest PIN.
    pub const MAX_DIGITS: usize = 12;

    /// The block of 4 to 12 ASCII digits.
    pub fn from_ascii(digits: &[u8]) -> Result<Self, PinError> {
        if !(Self::MIN_DIGITS..=Self::MAX_DIGITS).contains(&digits.len()) {
            return Err(PinError::Length(digits.len()));
        }
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(PinError::NotADigit);
        }
        let mut block = [0xFF; 8];
        block[0] = 0x20 | digits.len() as u8;
        let (octets, _) = digits.as_chunks::<2>();
        for (slot, [high, low]) in block.iter_mut().skip(1).zip(octets) {
            *slot = (high & 0x0F) << 4 | low & 0x0F;
        }
        if let ([.., last], true) = (digits, digits.len() % 2 == 1)
            && let Some(slot) = block.get_mut(1 + digits.len() / 2)
        {
            *slot = (last & 0x0F) << 4 | 0x0F;
        }
        let pin = Self(Box::new(Secret::new(block)));
        block.zeroize();
        Ok(pin)
    }

    /// From a command's data field, if it is a block of this format.
    pub fn parse(octets: &[u8; 8]) -> Result<Self, PinError> {
        let nibble = |index: usize| {
            let octet = octets.get(index / 2).copied().unwrap_or(0xFF);
            if index.is_multiple_of(2) { octet >> 4 } else { octet & 0x0F }
        };
        let len = usize::from(nibble(1));
        if nibble(0) != 2 || !(Self::MIN_DIGITS..=Self::MAX_DIGITS).contains(&len) {
            return Err(PinError::Length(len));
        }
        let digits = (2..2 + len).all(|index| nibble(index) <= 9);
        let filler = (2 + len..16).all(|index| nibble(index) == 0x0F);
        if digits && filler {
            Ok(Self(Box::new(Secret::new(*octets))))
        } else {
            Err(PinError::NotADigit)
        }
    }

    /// The block, for a protected command or the card's own memory.
    pub fn expose(&self) -> &[u8; 8] {
        self.0.expose()
    }
}

/// Why a text or block is not a PIN. Says nothing of the digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PinError {
    /// A PIN has 4 to 12 digits, not so many.
    Length(usize),
    /// Something in it is not a digit.
    NotADigit,
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "a PIN has 4 to 12 digits, got {len}"),
            Self::NotADigit => f.write_str("a PIN is made of digits"),
        }
    }
}

impl core::error::Error for PinError {}

/// What the card says to VERIFY and CHANGE PIN, 2 octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PinAnswer {
    /// The PIN was right.
    pub right: bool,
    /// How many wrong ones are left before the card blocks it.
    pub tries: u8,
}

impl PinAnswer {
    /// Takes the whole answer without its status word.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let right = match r.u8("PIN result")? {
            0 => true,
            1 => false,
            other => return Err(DecodeError::Invalid { field: "PIN result", got: other.into() }),
        };
        let tries = r.u8("PIN tries")?;
        r.finish("PIN answer")?;
        Ok(Self { right, tries })
    }

    /// Appends the answer.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([u8::from(!self.right), self.tries]);
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Reading received octets without running past their end, and what can be wrong with them.

use core::fmt;

/// A cursor over received octets that cannot run past their end.
///
/// Every step names the field that it reads, so that an error says which field was missing.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first octet.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// The next octet.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    /// The next two octets as a number, most significant first.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(*self.array(field)?))
    }

    /// The next four octets as a number, most significant first.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(*self.array(field)?))
    }

    /// The next `N` octets.
    pub fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<&'a [u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Missing(field))?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `len` octets.
    pub fn bytes(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let got = self.rest.len();
        let short = DecodeError::Short { field, expected: len, got };
        let (head, rest) = self.rest.split_at_checked(len).ok_or(short)?;
        self.rest = rest;
        Ok(head)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// How many octets are left.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses octets behind the last field of `message`.
    pub const fn finish(self, message: &'static str) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing { message, octets: self.rest.len() })
        }
    }
}

/// Why octets are not the message that they should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The octets end before or inside this field.
    Missing(&'static str),
    /// The octets end inside this field, whose length is known.
    Short {
        /// Which field it is.
        field: &'static str,
        /// How many octets it has.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// Octets are left over behind the last field.
    Trailing {
        /// The message that had ended.
        message: &'static str,
        /// How many octets were left.
        octets: usize,
    },
    /// A field holds a value that its definition does not allow.
    Invalid {
        /// Which field it is.
        field: &'static str,
        /// What it held.
        got: u32,
    },
    /// As [`DecodeError::Invalid`], of a field of which it can be said what is right.
    Wrong {
        /// Which field it is.
        field: &'static str,
        /// What it held.
        got: u32,
        /// What is right, as text.
        expected: &'static str,
    },
    /// The checksum does not match.
    Checksum(&'static str),
    /// A critical element that this version does not know.
    Unknown {
        /// The element's tag.
        tag: u8,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(field) => write!(f, "{field} is missing or cut short"),
            Self::Short { field, expected, got } => {
                write!(f, "{field} is cut short: {expected} octets expected, {got} there")
            }
            Self::Trailing { message, octets } => {
                write!(f, "{octets} octets left over behind the {message}")
            }
            Self::Invalid { field, got } => write!(f, "{field} cannot be 0x{got:X}"),
            Self::Wrong { field, got, expected } => {
                write!(f, "{field} is 0x{got:02X}, expected {expected}")
            }
            Self::Checksum(message) => write!(
                f,
                "checksum of the {message} does not match: it is damaged, a fresh copy is needed"
            ),
            Self::Unknown { tag } => write!(f, "unknown critical element 0x{tag:02X}"),
        }
    }
}

impl core::error::Error for DecodeError {}

// SPDX-License-Identifier: Apache-2.0
//! Why a message cannot be written, and why a sealed one cannot be opened.

use cam_types::DecodeError;
use core::fmt;

/// Why a message cannot be put on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The message would be longer than its carrier allows.
    TooLong {
        /// Which message it is.
        message: &'static str,
        /// How long it would be.
        octets: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A field holds a value that its definition does not allow, or that contradicts another.
    Invalid(&'static str),
}

impl EncodeError {
    pub(crate) const fn check(
        message: &'static str,
        octets: usize,
        limit: usize,
    ) -> Result<(), Self> {
        if octets <= limit { Ok(()) } else { Err(Self::TooLong { message, octets, limit }) }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { message, octets, limit } => {
                write!(f, "{message} would have {octets} octets, at most {limit} are allowed")
            }
            Self::Invalid(field) => write!(f, "{field} is not allowed here"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Why a sealed message was not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// This role may not send this message. Found before anything is decrypted.
    Permission,
    /// The message names another suite than the key belongs to.
    Suite,
    /// The message was not sealed with this key, or it was altered.
    Authentication,
    /// Authentic, but not a message of this version.
    Body(DecodeError),
}

impl From<DecodeError> for OpenError {
    fn from(error: DecodeError) -> Self {
        Self::Body(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission => f.write_str("the key's role does not permit this message"),
            Self::Suite => f.write_str("the message names another suite than the key's"),
            Self::Authentication => f.write_str("the message is not authentic"),
            Self::Body(error) => write!(f, "authentic, but {error}"),
        }
    }
}

impl core::error::Error for OpenError {}

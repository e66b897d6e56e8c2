// SPDX-License-Identifier: Apache-2.0
//! The octets of a key, of either length.

use cam_types::{Key, Secret};
use core::fmt;

/// A symmetric key of either length. Never printed, wiped when dropped.
#[derive(Clone, Eq, PartialEq)]
pub enum KeyMaterial {
    /// 16 octets.
    Bits128(Key),
    /// 32 octets.
    Bits256(Secret<32>),
}

impl KeyMaterial {
    /// A key of 16 or 32 octets; `None` for any other length.
    pub fn from_slice(octets: &[u8]) -> Option<Self> {
        if let Ok(octets) = octets.try_into() {
            Some(Self::Bits128(Secret::new(octets)))
        } else {
            octets.try_into().ok().map(|octets| Self::Bits256(Secret::new(octets)))
        }
    }

    /// The octets, for a cipher to use.
    pub const fn expose(&self) -> &[u8] {
        match self {
            Self::Bits128(key) => key.expose(),
            Self::Bits256(key) => key.expose(),
        }
    }

    /// A key of 128 bits, if it is one.
    pub const fn bits128(&self) -> Option<&Key> {
        match self {
            Self::Bits128(key) => Some(key),
            Self::Bits256(_) => None,
        }
    }
}

impl From<Key> for KeyMaterial {
    fn from(key: Key) -> Self {
        Self::Bits128(key)
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial { .. }")
    }
}

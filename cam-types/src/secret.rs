// SPDX-License-Identifier: Apache-2.0
//! Octets that nobody may see: keys, control words, PINs.

use core::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` octets that nobody may see: a key, a control word, a PIN block.
///
/// It never prints itself, compares in constant time and wipes itself when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

/// A key of 128 bits.
pub type Key = Secret<16>;

/// A control word for DVB-CISSA (128 bits); CSA takes the first 64 of them.
pub type ControlWord = Secret<16>;

impl<const N: usize> Secret<N> {
    /// Takes the octets over; the caller wipes its own copy.
    pub const fn new(octets: [u8; N]) -> Self {
        Self(octets)
    }

    /// The octets, for a cipher to use.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret { .. }")
    }
}

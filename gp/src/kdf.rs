// SPDX-License-Identifier: Apache-2.0
//! Key derivation in counter mode, in the layout of SCP03.
//!
//! Normative references:
//!  - NIST SP 800-108 (KDF in counter mode), Amendment D 4.1.5 (the layout), RFC 4493 (AES-CMAC)

use crate::cipher::{Aes128, Aes192, Aes256};
use cmac::{Cmac, KeyInit, Mac};
use core::fmt;

/// The fixed input of the KDF up to its context, in SCP03's layout: eleven zero octets, the
/// derivation constant, a zero octet, the length of the output in bits and the block counter.
///
/// `None` when the output is longer than the layout can say (8,191 octets).
pub fn kdf_input(constant: u8, output_len: usize, block: u8) -> Option<[u8; 16]> {
    let [high, low] = u16::try_from(output_len.checked_mul(8)?).ok()?.to_be_bytes();
    Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, constant, 0, high, low, block])
}

/// SP 800-108 counter mode with PRF AES-CMAC in SCP03's layout.
///
/// The length of `key` (16, 24 or 32 octets) chooses AES-128, -192 or -256; the length of `out`
/// is the length that the derivation names.
pub fn kdf_cmac(key: &[u8], constant: u8, context: &[u8], out: &mut [u8]) -> Result<(), KdfError> {
    let invalid = KdfError::KeyLength(key.len());
    match key.len() {
        16 => {
            let mac = Cmac::<Aes128>::new_from_slice(key).map_err(|_| invalid)?;
            counter_mode(mac, constant, context, out)
        }
        24 => {
            let mac = Cmac::<Aes192>::new_from_slice(key).map_err(|_| invalid)?;
            counter_mode(mac, constant, context, out)
        }
        32 => {
            let mac = Cmac::<Aes256>::new_from_slice(key).map_err(|_| invalid)?;
            counter_mode(mac, constant, context, out)
        }
        _ => Err(invalid),
    }
}

fn counter_mode<M: Mac + Clone>(
    prf: M,
    constant: u8,
    context: &[u8],
    out: &mut [u8],
) -> Result<(), KdfError> {
    let len = out.len();
    let too_long = KdfError::OutputLength(len);
    for (index, chunk) in out.chunks_mut(16).enumerate() {
        let block = u8::try_from(index + 1).map_err(|_| too_long)?;
        let input = kdf_input(constant, len, block).ok_or(too_long)?;
        let mac = prf.clone().chain_update(input).chain_update(context).finalize().into_bytes();
        for (octet, derived) in chunk.iter_mut().zip(mac.iter()) {
            *octet = *derived;
        }
    }
    Ok(())
}

/// Why a key could not be derived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KdfError {
    /// AES has no key of this many octets.
    KeyLength(usize),
    /// The layout cannot name an output of this many octets.
    OutputLength(usize),
}

impl fmt::Display for KdfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyLength(len) => write!(f, "an AES key has 16, 24 or 32 octets, not {len}"),
            Self::OutputLength(len) => write!(f, "cannot derive {len} octets, at most 4080"),
        }
    }
}

impl core::error::Error for KdfError {}

// SPDX-License-Identifier: Apache-2.0
//! The operator's signature on EMM-G, and on the keys that come by EMM-S.
//!
//! Normative references:
//!  - FIPS 186-5 (ECDSA with P-256 and SHA-256)
//!  - `docs/spec/emm.md`, section on signed messages

use super::address::Address;
use cam_types::DecodeError;
use core::fmt;
use p256::ecdsa::VerifyingKey;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::{Digest, Sha256};

/// What every signed text begins with, so that it can be nothing else: what is signed for a group
/// is not signed for all, nor the other way round.
pub const fn signature_domain(address: Address) -> &'static [u8] {
    match address {
        Address::Shared(_) => b"STBCAM-S1",
        Address::Unique(_) | Address::Global => b"STBCAM-G1",
    }
}

/// A signature with the digest of what it signs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature {
    /// r ‖ s.
    pub octets: [u8; 64],
    /// SHA-256 of domain, header and the commands in front of the signature.
    pub digest: [u8; 32],
}

impl Signature {
    /// Its tag in the body; the last one.
    pub const TAG: u8 = 0x7E;
    /// Octets of the whole element.
    pub(super) const EMITTED_LEN: usize = 66;

    pub(super) fn parse(
        address: Address,
        aad: &[u8],
        signed: &[u8],
        value: &[u8],
    ) -> Result<Self, DecodeError> {
        let invalid = DecodeError::Invalid { field: "signature length", got: value.len() as u32 };
        let octets = value.try_into().map_err(|_| invalid)?;
        Ok(Self { octets, digest: Self::digest(address, aad, signed) })
    }

    /// What ECDSA signs.
    pub(super) fn digest(address: Address, aad: &[u8], signed: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(signature_domain(address))
            .chain_update(aad)
            .chain_update(signed)
            .finalize()
            .into()
    }

    pub(super) fn verify(&self, key: &PublicKey) -> bool {
        p256::ecdsa::Signature::from_slice(&self.octets)
            .is_ok_and(|signature| key.0.verify_prehash(&self.digest, &signature).is_ok())
    }
}

/// An operator's public key, K_sig.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From x ‖ y, if that is a point of P-256.
    pub fn from_octets(octets: &[u8; 64]) -> Result<Self, SignatureError> {
        let mut sec1 = [0x04; 65];
        sec1[1..].copy_from_slice(octets);
        VerifyingKey::from_sec1_bytes(&sec1).map(Self).map_err(|_| SignatureError::NotAPoint)
    }

    /// x ‖ y.
    pub fn octets(&self) -> [u8; 64] {
        let point = self.0.to_sec1_point(false);
        let mut octets = [0; 64];
        for (slot, octet) in octets.iter_mut().zip(point.as_bytes().iter().skip(1)) {
            *slot = *octet;
        }
        octets
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey { .. }")
    }
}

/// Why a signature or its key is no good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SignatureError {
    /// The octets are not a point of P-256.
    NotAPoint,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the public key is not a point of P-256")
    }
}

impl core::error::Error for SignatureError {}

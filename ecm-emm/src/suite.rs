// SPDX-License-Identifier: Apache-2.0
//! Suites: which algorithms seal a message, derive its keys and wrap the keys inside it.
//!
//! Normative references:
//!  - RFC 5297 (AES-SIV), RFC 4493 (AES-CMAC), RFC 2104 (HMAC), RFC 5649 (AES-KWP)
//!  - `docs/spec/ecm.md`, section on suites

mod siv;

use crate::error::OpenError;
use crate::keys::constant;
use crate::keys::context::KeyContext;
use crate::keys::material::KeyMaterial;
use aes::cipher::BlockCipherEncrypt;
use aes_kw::AesKwp;
use aes_siv::siv::CmacSiv;
use alloc::vec::Vec;
use cam_types::{DecodeError, Judge, Key};
use cmac::{Cmac, KeyInit, Mac};
use core::fmt;
use gp::cipher::{Aes128, Aes256};
use hmac::Hmac;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A suite of algorithms, 4 bits on the wire. A key belongs to exactly one.
///
/// Suite 1 is the purse's and never seals; suite 4 is a number kept free.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Suite {
    /// AES-CMAC derivation, AEAD_AES_SIV_CMAC_256; keys of 16 octets.
    Cmac128 = 2,
    /// AES-256-CMAC derivation, AEAD_AES_SIV_CMAC_512; keys of 32 octets.
    Cmac256 = 3,
    /// HMAC-SHA-256 derivation and tag, AES-128-CTR; keys of 16 octets.
    Hmac = 5,
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cmac128, Self::Cmac256, Self::Hmac];

    /// Octets of the tag in front of a sealed body.
    pub const TAG_LEN: usize = 16;

    /// As messages carry it.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Octets of a key of this suite.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Cmac128 | Self::Hmac => 16,
            Self::Cmac256 => 32,
        }
    }
}

impl TryFrom<u8> for Suite {
    type Error = DecodeError;

    fn try_from(number: u8) -> Result<Self, DecodeError> {
        let found = Self::ALL.into_iter().find(|suite| suite.number() == number);
        found.ok_or(DecodeError::Invalid { field: "suite", got: number.into() })
    }
}

/// A key with the suite it belongs to. Messages and wrapped keys are protected by keys derived
/// from it, never by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealKey {
    suite: Suite,
    material: KeyMaterial,
    judge: Judge,
}

impl SealKey {
    /// Fails when the key has another length than the suite's keys.
    pub fn new(suite: Suite, material: KeyMaterial) -> Result<Self, KeyLengthError> {
        let got = material.expose().len();
        if got == suite.key_len() {
            Ok(Self { suite, material, judge: Judge::ONCE })
        } else {
            Err(KeyLengthError { suite, got })
        }
    }

    /// The same key, whose tags this judge compares.
    #[must_use]
    pub fn judged_by(self, judge: Judge) -> Self {
        Self { judge, ..self }
    }

    /// The suite that this key belongs to.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The key itself, to be stored or wrapped.
    pub const fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// Appends tag and ciphertext of `plain` to `out`.
    ///
    /// Deterministic: the same message under the same key gives the same octets.
    pub fn seal(&self, context: &KeyContext, aad: &[u8], plain: &[u8], out: &mut Vec<u8>) {
        self.seal_for(constant::SEAL, context, aad, plain, out);
    }

    /// The same under a key for a purpose of its own (report, acknowledgement).
    pub(crate) fn seal_for(
        &self,
        purpose: u8,
        context: &KeyContext,
        aad: &[u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend([0; Suite::TAG_LEN]);
        out.extend_from_slice(plain);
        let (tag_slot, body) =
            out.get_mut(start..).unwrap_or_default().split_at_mut(Suite::TAG_LEN);
        let tag = match self.suite {
            Suite::Cmac128 => {
                let key = self.derive::<32>(purpose, &context.octets());
                let mut siv = CmacSiv::<Aes128>::new((&*key).into());
                siv.encrypt_inout_detached([aad], body.into()).expect("one header is allowed")
            }
            Suite::Cmac256 => {
                let key = self.derive::<64>(purpose, &context.octets());
                let mut siv = CmacSiv::<Aes256>::new((&*key).into());
                siv.encrypt_inout_detached([aad], body.into()).expect("one header is allowed")
            }
            Suite::Hmac => {
                let keys = self.derive::<48>(purpose, &context.octets());
                let tag = hmac_tag(&keys, aad, body);
                siv::keystream::<Aes128>(keys.split_at(32).1, tag, body);
                tag.into()
            }
        };
        tag_slot.copy_from_slice(&tag);
    }

    /// Replaces `plain` by the body of `sealed` (tag and ciphertext), if it is authentic.
    ///
    /// On a failure `plain` is empty. Reusing `plain` saves the allocation.
    pub fn open(
        &self,
        context: &KeyContext,
        aad: &[u8],
        sealed: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        self.open_for(constant::SEAL, context, aad, sealed, plain)
    }

    /// The same under a key for a purpose of its own (report, acknowledgement).
    pub(crate) fn open_for(
        &self,
        purpose: u8,
        context: &KeyContext,
        aad: &[u8],
        sealed: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        plain.zeroize();
        let (tag, body) =
            sealed.split_first_chunk::<16>().ok_or(DecodeError::Missing("authentication tag"))?;
        plain.extend_from_slice(body);
        let expected = match self.suite {
            Suite::Cmac128 => {
                let key = self.derive::<32>(purpose, &context.octets());
                let (mac, cipher) = key.split_at(16);
                siv::keystream::<Aes128>(cipher, *tag, plain);
                siv::s2v::<Cmac<Aes128>>(mac, aad, plain)
            }
            Suite::Cmac256 => {
                let key = self.derive::<64>(purpose, &context.octets());
                let (mac, cipher) = key.split_at(32);
                siv::keystream::<Aes256>(cipher, *tag, plain);
                siv::s2v::<Cmac<Aes256>>(mac, aad, plain)
            }
            Suite::Hmac => {
                let keys = self.derive::<48>(purpose, &context.octets());
                siv::keystream::<Aes128>(keys.split_at(32).1, *tag, plain);
                hmac_tag(&keys, aad, plain)
            }
        };
        if self.judge.finds(|| expected.ct_eq(tag).into()) {
            Ok(())
        } else {
            plain.zeroize();
            Err(OpenError::Authentication)
        }
    }

    /// Wraps a key to be delivered in a message that this key seals.
    pub fn wrap(&self, context: &KeyContext, key: &KeyMaterial) -> WrappedKey {
        let mut wrapped = match key {
            KeyMaterial::Bits128(_) => WrappedKey::Short([0; 24]),
            KeyMaterial::Bits256(_) => WrappedKey::Long([0; 40]),
        };
        let buffer = match &mut wrapped {
            WrappedKey::Short(octets) => octets.as_mut_slice(),
            WrappedKey::Long(octets) => octets.as_mut_slice(),
        };
        match self.suite {
            Suite::Cmac128 | Suite::Hmac => {
                let kek = self.derive::<16>(constant::WRAP, &context.octets());
                AesKwp::<Aes128>::new((&*kek).into()).wrap_key(key.expose(), buffer)
            }
            Suite::Cmac256 => {
                let kek = self.derive::<32>(constant::WRAP, &context.octets());
                AesKwp::<Aes256>::new((&*kek).into()).wrap_key(key.expose(), buffer)
            }
        }
        .expect("the buffer has the length of the wrapped key");
        wrapped
    }

    /// The key inside a wrapped key, if this key wrapped it.
    pub fn unwrap(
        &self,
        context: &KeyContext,
        wrapped: &WrappedKey,
    ) -> Result<KeyMaterial, OpenError> {
        let mut buffer = Zeroizing::new([0; 32]);
        let key = match self.suite {
            Suite::Cmac128 | Suite::Hmac => {
                let kek = self.derive::<16>(constant::WRAP, &context.octets());
                AesKwp::<Aes128>::new((&*kek).into()).unwrap_key(wrapped.octets(), &mut *buffer)
            }
            Suite::Cmac256 => {
                let kek = self.derive::<32>(constant::WRAP, &context.octets());
                AesKwp::<Aes256>::new((&*kek).into()).unwrap_key(wrapped.octets(), &mut *buffer)
            }
        }
        .map_err(|_| OpenError::Authentication)?;
        let material = KeyMaterial::from_slice(key).ok_or(OpenError::Authentication)?;
        let expected = wrapped.octets().len() - 8;
        if key.len() == expected { Ok(material) } else { Err(OpenError::Authentication) }
    }

    /// The key check value: tells that the right key arrived, and nothing about the key.
    pub fn kcv(&self) -> [u8; 3] {
        let block = [0x01; 16];
        let [a, b, c, ..] = match self.suite {
            Suite::Cmac128 | Suite::Cmac256 => {
                let mut block = block.into();
                match &self.material {
                    KeyMaterial::Bits128(key) => {
                        Aes128::new(key.expose().into()).encrypt_block(&mut block);
                    }
                    KeyMaterial::Bits256(key) => {
                        Aes256::new(key.expose().into()).encrypt_block(&mut block);
                    }
                }
                block.into()
            }
            Suite::Hmac => {
                let mac = hmac_sha256(self.material.expose()).chain_update(block).finalize();
                let [left, _] = split_mac(mac.into_bytes().into());
                left
            }
        };
        [a, b, c]
    }

    /// A 128-bit key for a purpose of its own (TAC, receipt).
    pub fn derived_key(&self, constant: u8, context: &KeyContext) -> Key {
        Key::new(*self.derive::<16>(constant, &context.octets()))
    }

    /// A key of the same suite.
    pub(crate) fn derived(&self, constant: u8, context: &[u8]) -> Self {
        let material = match self.suite {
            Suite::Cmac128 | Suite::Hmac => {
                KeyMaterial::from_slice(&*self.derive::<16>(constant, context))
            }
            Suite::Cmac256 => KeyMaterial::from_slice(&*self.derive::<32>(constant, context)),
        };
        let material = material.expect("16 or 32 octets were derived");
        Self { suite: self.suite, material, judge: self.judge }
    }

    fn derive<const N: usize>(&self, constant: u8, context: &[u8]) -> Zeroizing<[u8; N]> {
        let mut out = Zeroizing::new([0; N]);
        match self.suite {
            Suite::Cmac128 | Suite::Cmac256 => {
                gp::kdf_cmac(self.material.expose(), constant, context, &mut *out)
                    .expect("key and output have lengths that the derivation knows");
            }
            Suite::Hmac => kdf_hmac(self.material.expose(), constant, context, &mut *out),
        }
        out
    }
}

/// A key wrapped with AES-KWP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WrappedKey {
    /// A key of 16 octets.
    Short([u8; 24]),
    /// A key of 32 octets.
    Long([u8; 40]),
}

impl WrappedKey {
    /// A wrapped key of 24 or 40 octets; `None` for any other length.
    pub fn from_slice(octets: &[u8]) -> Option<Self> {
        if let Ok(octets) = octets.try_into() {
            Some(Self::Short(octets))
        } else {
            octets.try_into().ok().map(Self::Long)
        }
    }

    /// As a message carries it.
    pub const fn octets(&self) -> &[u8] {
        match self {
            Self::Short(octets) => octets,
            Self::Long(octets) => octets,
        }
    }
}

/// A key of a length that its suite does not use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyLengthError {
    /// The suite that was to have it.
    pub suite: Suite,
    /// Octets of the key.
    pub got: usize,
}

impl fmt::Display for KeyLengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (suite, expected) = (self.suite.number(), self.suite.key_len());
        write!(f, "a key of suite {suite} has {expected} octets, got {}", self.got)
    }
}

impl core::error::Error for KeyLengthError {}

fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// The derivation of suite 5: SCP03's layout with HMAC-SHA-256 as PRF.
fn kdf_hmac(key: &[u8], constant: u8, context: &[u8], out: &mut [u8]) {
    let len = out.len();
    for (block, chunk) in (1..).zip(out.chunks_mut(32)) {
        let input = gp::kdf_input(constant, len, block).expect("at most 48 octets are derived");
        let mac = hmac_sha256(key).chain_update(input).chain_update(context).finalize();
        for (octet, derived) in chunk.iter_mut().zip(mac.into_bytes()) {
            *octet = derived;
        }
    }
}

/// HMAC over the length of the header, header and plaintext, cut to 16 octets.
fn hmac_tag(keys: &[u8; 48], aad: &[u8], plain: &[u8]) -> [u8; 16] {
    let (mac_key, _) = keys.split_at(32);
    let aad_len = u16::try_from(aad.len()).expect("the header of a section is short");
    let mac = hmac_sha256(mac_key)
        .chain_update(aad_len.to_be_bytes())
        .chain_update(aad)
        .chain_update(plain)
        .finalize();
    let [tag, _] = split_mac(mac.into_bytes().into());
    tag
}

fn split_mac(mac: [u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    for (half, octets) in halves.iter_mut().zip(mac.as_chunks::<16>().0) {
        *half = *octets;
    }
    halves
}

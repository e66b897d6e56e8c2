// SPDX-License-Identifier: Apache-2.0
//! A key that INIT_FOR_DESCRYPT has brought, and what DES CRYPT calculates with it.

use super::store::KeyUse;
use crate::decide::decide;
use crate::stop::Stop;
use cam_types::{Key, Secret};
use iso7816::apdu::StatusWord;
use wallet::cipher::{Block, des_decrypt, des_encrypt, triple_des_encrypt};

/// A card's key, until the calculation with it is over.
#[derive(Clone)]
pub(super) struct Delivered {
    purpose: KeyUse,
    key: Key,
    /// A MAC that has begun: the last block of its chain.
    chained: Option<Block>,
}

/// A MAC, not encryption.
pub(super) const MAC: u8 = 0x01;
/// More blocks follow in another command.
pub(super) const MORE: u8 = 0x02;
/// The first block is the initial vector.
pub(super) const VECTOR: u8 = 0x04;

impl Delivered {
    /// A key that has calculated nothing yet.
    pub(super) const fn new(purpose: KeyUse, key: Key) -> Self {
        Self { purpose, key, chained: None }
    }

    /// Two-key triple DES, each block for itself.
    pub(super) fn encrypt(self, blocks: &[Block]) -> Result<(Self, Vec<u8>), Stop> {
        if !decide(|| self.purpose.encrypts() && self.chained.is_none()) {
            return Err(StatusWord::CONDITIONS.into());
        }
        let cipher =
            blocks.iter().flat_map(|block| triple_des_encrypt(&self.key, *block)).collect();
        Ok((self, cipher))
    }

    /// ISO/IEC 9797-1 algorithm 3: DES-CBC under the left half, the last block through the right
    /// one.
    pub(super) fn mac(mut self, mode: u8, blocks: &[Block]) -> Result<(Self, Vec<u8>), Stop> {
        let is_late = mode & VECTOR != 0 && self.chained.is_some();
        if !decide(|| self.purpose.makes_macs() && !is_late) {
            return Err(StatusWord::CONDITIONS.into());
        }
        let (vector, blocks) = match (blocks, mode & VECTOR) {
            ([_], VECTOR) => return Err(StatusWord::WRONG_LENGTH.into()),
            ([vector, blocks @ ..], VECTOR) => (*vector, blocks),
            (blocks, _) => (self.chained.unwrap_or_default(), blocks),
        };
        let ([left, right], _) = self.key.expose().as_chunks::<8>() else {
            return Err(StatusWord::CONDITIONS.into());
        };
        let (left, right) = (Secret::new(*left), Secret::new(*right));
        let last = blocks.iter().fold(vector, |mut chained, block| {
            chained.iter_mut().zip(block).for_each(|(to, from)| *to ^= from);
            des_encrypt(&left, chained)
        });
        if mode & MORE != 0 {
            self.chained = Some(last);
            return Ok((self, Vec::new()));
        }
        let [a, b, c, d, ..] = des_encrypt(&left, des_decrypt(&right, last));
        Ok((self, [a, b, c, d].into()))
    }
}

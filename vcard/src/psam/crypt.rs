//! DES under keys that cards share with the module: INIT_FOR_DESCRYPT brings a key, DES CRYPT uses it.

use super::store::KeyUse;
use super::{Psam, factors, store};
use crate::stop::Stop;
use cam_types::{Key, Secret};
use iso7816::apdu::{Command, StatusWord};
use wallet::PurseStatus;
use wallet::cipher::{Block, des_decrypt, des_encrypt, triple_des_encrypt};
use wallet::keys::diversify;

/// A card's key, until the calculation with it is over.
pub(super) struct Delivered {
    purpose: KeyUse,
    key: Key,
    /// A MAC that has begun: the last block of its chain.
    chained: Option<Block>,
}

/// A MAC, not encryption.
const MAC: u8 = 0x01;
/// More blocks follow in another command.
const MORE: u8 = 0x02;
/// The first block is the initial vector.
const VECTOR: u8 = 0x04;

impl Psam<'_> {
    /// INIT_FOR_DESCRYPT: P1 is levels and use, P2 the version.
    pub(super) fn deliver(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.ram.delivered = None;
        let (levels, purpose) = (usize::from(command.p1 >> 5), KeyUse(command.p1 & 0x1F));
        let factors = factors(command.data)?;
        if factors.len() != levels {
            return Err(StatusWord::WRONG_LENGTH.into());
        }
        if !purpose.encrypts() && !purpose.makes_macs() {
            return Err(StatusWord::CONDITIONS.into());
        }
        let master = store(self.vault)?.key(purpose, command.p2);
        let master = master.ok_or(PurseStatus::NO_KEY)?.clone();
        let key = factors.iter().fold(master, |key, factor| diversify(&key, *factor));
        self.ram.delivered = Some(Delivered { purpose, key, chained: None });
        Ok(Vec::new())
    }

    /// DES CRYPT: whole blocks, padded by whoever asks.
    pub(super) fn des_crypt(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        // The key is gone unless more blocks are to follow, and when anything is wrong.
        let delivered = self.ram.delivered.take().ok_or(PurseStatus::NOT_INITIALIZED)?;
        let (blocks, rest) = command.data.as_chunks::<8>();
        if blocks.is_empty() || !rest.is_empty() {
            return Err(StatusWord::WRONG_LENGTH.into());
        }
        let mode = command.p1;
        if command.p2 != 0 || mode & !(MAC | MORE | VECTOR) != 0 || mode & (MAC | VECTOR) == VECTOR
        {
            return Err(StatusWord::WRONG_P1P2.into());
        }
        let (delivered, answer) = if mode & MAC == 0 {
            delivered.encrypt(blocks)?
        } else {
            delivered.mac(mode, blocks)?
        };
        self.ram.delivered = (mode & MORE != 0).then_some(delivered);
        Ok(answer)
    }
}

impl Delivered {
    fn encrypt(self, blocks: &[Block]) -> Result<(Self, Vec<u8>), Stop> {
        if !self.purpose.encrypts() || self.chained.is_some() {
            return Err(StatusWord::CONDITIONS.into());
        }
        let cipher =
            blocks.iter().flat_map(|block| triple_des_encrypt(&self.key, *block)).collect();
        Ok((self, cipher))
    }

    /// ISO/IEC 9797-1 algorithm 3: DES-CBC under the left half, the last block through the right one.
    fn mac(mut self, mode: u8, blocks: &[Block]) -> Result<(Self, Vec<u8>), Stop> {
        if !self.purpose.makes_macs() || (mode & VECTOR != 0 && self.chained.is_some()) {
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

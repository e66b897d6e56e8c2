// SPDX-License-Identifier: Apache-2.0
//! DES under keys that cards share with the module: INIT_FOR_DESCRYPT brings a key, DES CRYPT uses
//! it.

use super::delivered::{Delivered, MAC, MORE, VECTOR};
use super::store::KeyUse;
use super::{Psam, factors, store};
use crate::stop::Stop;
use iso7816::apdu::{Command, StatusWord};
use wallet::keys::diversify;

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
        let master = master.ok_or(StatusWord::NO_KEY)?.clone();
        let key = factors.iter().fold(master, |key, factor| diversify(&key, *factor));
        self.ram.delivered = Some(Delivered::new(purpose, key));
        Ok(Vec::new())
    }

    /// DES CRYPT: whole blocks, padded by whoever asks.
    pub(super) fn des_crypt(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        // The key is gone unless more blocks are to follow, and when anything is wrong.
        let delivered = self.ram.delivered.take().ok_or(StatusWord::NOT_INITIALIZED)?;
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

// SPDX-License-Identifier: Apache-2.0
//! What gates of some schemes ask a card for before they trade. A card has it where its
//! personalisation file says so.

use super::Purse;
use super::data::expect;
use super::key::des_key;
use super::store::FixedKey;
use crate::context::Context;
use crate::decide::decide;
use crate::stop::Stop;
use cam_types::Secret;
use iso7816::apdu::{Command, StatusWord};
use wallet::cipher::triple_des_encrypt;

impl Purse<'_> {
    /// GET DATA: the authentication code, which ends the input of MAC1 (MOHURD).
    pub(super) fn authentication_code(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let code = purse.code.ok_or(StatusWord::UNKNOWN_INS)?;
        expect(command, 0x00, 0x00, 0)?;
        match command.le {
            None | Some(9 | 256) => Ok(code.to_vec()),
            Some(_) => Err(StatusWord::with_right_length(code.len()).into()),
        }
    }

    /// EXTERNAL AUTHENTICATE: the challenge under DACK. It opens nothing: what a terminal may take
    /// or write is under MAC1.
    ///
    /// Wrong ones are not counted. A challenge serves one, and who passes by with a reader must not
    /// end a card at gates.
    pub(super) fn external_authenticate(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let Some(key) = purse.fixed(FixedKey::External) else {
            return Err(StatusWord::UNKNOWN_INS.into());
        };
        let (key, _) = des_key(Some(key))?;
        expect(command, 0x00, command.p2, 8)?;
        let answer = <[u8; 8]>::try_from(command.data).map_err(|_| StatusWord::WRONG_LENGTH)?;
        let challenge = self.ram.challenge.take().ok_or(StatusWord::CONDITIONS)?;
        // Secrets compare in constant time.
        let (expected, answer) =
            (Secret::new(triple_des_encrypt(&key, challenge)), Secret::new(answer));
        if decide(|| expected == answer) {
            Ok(Vec::new())
        } else {
            Err(StatusWord::AUTHENTICATION_FAILED.into())
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The PIN at the purse: VERIFY, PIN CHANGE, PIN RELOAD, PIN UNBLOCK. At the contacts only.

use super::Purse;
use super::data::expect;
use super::key::des_key;
use super::store::FixedKey;
use crate::context::Context;
use crate::decide::decide;
use crate::pin::{self, Verdict};
use crate::stop::Stop;
use ecm_emm::card::PinBlock;
use iso7816::apdu::{Command, StatusWord};
use std::ops::RangeInclusive;
use wallet::Mac;
use wallet::pin::ReloadKey;
use zeroize::Zeroizing;

/// Octets of a PIN, two digits in each.
const PIN_LEN: RangeInclusive<usize> = 2..=6;

impl Purse<'_> {
    pub(super) fn verify(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.ram.pin_verified.set(false);
        self.at_contacts()?;
        expect(command, 0x00, 0x00, command.data.len())?;
        let block = pin_block(command.data)?;
        let verdict = pin::verify(self.vault, Context::PURSE, &block)?;
        self.judged(verdict)
    }

    /// PIN CHANGE, by who knows the old one, and PIN RELOAD, by the issuer.
    pub(super) fn change_pin(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.at_contacts()?;
        match (command.p1, command.p2) {
            (0x01, 0x00) => self.change(command.data),
            (0x00, 0x00) => self.reload(command.data),
            _ => Err(StatusWord::WRONG_P1P2.into()),
        }
    }

    /// Old PIN, FF, new PIN.
    fn change(&mut self, data: &[u8]) -> Result<Vec<u8>, Stop> {
        self.ram.pin_verified.set(false);
        let mut pins = data.splitn(2, |octet| *octet == 0xFF);
        let (Some(old), Some(new)) = (pins.next(), pins.next()) else {
            return Err(StatusWord::WRONG_DATA.into());
        };
        let (old, new) = (pin_block(old)?, pin_block(new)?);
        let verdict = pin::change(self.vault, Context::PURSE, &old, &new)?;
        self.judged(verdict)
    }

    /// New PIN and its MAC under the folded DRPK, without a challenge: PBOC has none here. It gives
    /// back the tries that are left of a PIN, but not a PIN that is blocked.
    fn reload(&mut self, data: &[u8]) -> Result<Vec<u8>, Stop> {
        let (new, mac) = data.split_last_chunk::<4>().ok_or(StatusWord::WRONG_LENGTH)?;
        let block = pin_block(new)?;
        let tries = pin::tries(self.vault, Context::PURSE)?;
        if !decide(|| tries > 0) {
            return Err(StatusWord::PIN_BLOCKED.into());
        }
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (key, _) = des_key(purse.fixed(FixedKey::Reload))?;
        let before = self.try_mac()?;
        let expected = ReloadKey::new(&key).mac(new);
        if !decide(|| expected == Mac(*mac)) {
            let answer = StatusWord::WRONG_MAC;
            return Err(self.wrong_mac(answer)?.into());
        }
        // It may be a recorded one: it gives back its own try and no more.
        self.set_cost(before)?;
        self.set_pin(&block)
    }

    /// PIN UNBLOCK: an enciphered PIN, which becomes the PIN with all its tries. P1 would tell one
    /// of several PINs; there is one.
    pub(super) fn unblock_pin(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, command.p1, 0x00, 8 + 4)?;
        let enciphered = self.protected(command, FixedKey::Unblock)?;
        let new = self.secure_key(FixedKey::Unblock)?.decipher(enciphered);
        let block = pin_block(&new.ok_or(StatusWord::WRONG_DATA)?)?;
        self.set_pin(&block)
    }

    fn set_pin(&mut self, new: &PinBlock) -> Result<Vec<u8>, Stop> {
        self.ram.pin_verified.set(false);
        self.carry_out(|objects| Ok(pin::replace(objects, Context::PURSE, new)?))
    }

    fn judged(&mut self, verdict: Verdict) -> Result<Vec<u8>, Stop> {
        match verdict {
            Verdict::Right if decide(|| verdict == Verdict::Right) => {
                self.ram.pin_verified.set(true);
                Ok(Vec::new())
            }
            Verdict::Wrong(tries) => Err(StatusWord::with_counter(tries).into()),
            Verdict::Right | Verdict::Blocked => Err(StatusWord::PIN_BLOCKED.into()),
        }
    }
}

/// A PIN as PBOC writes it: two digits in an octet, F after an odd number of them.
fn pin_block(octets: &[u8]) -> Result<PinBlock, StatusWord> {
    if !PIN_LEN.contains(&octets.len()) {
        return Err(StatusWord::WRONG_LENGTH);
    }
    // Room for all at once: a vector that grows leaves copies behind.
    let mut digits = Zeroizing::new(Vec::with_capacity(2 * octets.len()));
    digits.extend(octets.iter().flat_map(|octet| [octet >> 4, octet & 0x0F]));
    digits.pop_if(|last| *last == 0x0F);
    digits.iter_mut().for_each(|digit| *digit += b'0');
    PinBlock::from_ascii(&digits).map_err(|_| StatusWord::WRONG_DATA)
}

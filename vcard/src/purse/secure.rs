// SPDX-License-Identifier: Apache-2.0
//! Secure messaging of PBOC: commands that end with a MAC over themselves and the card's challenge.
//!
//! Not over the antenna: three wrong MACs in a row end the purse, and whoever passes by in a crowd
//! could do that to anybody.

use super::Purse;
use super::data::expect;
use super::key::des_key;
use super::store::{FixedKey, PurseStore, State};
use crate::context::Context;
use crate::decide::decide;
use crate::firewall::Objects;
use crate::interface::Interface;
use crate::stop::Stop;
use iso7816::apdu::{Command, StatusWord};
use wallet::Mac;
use wallet::secure_messaging::{Challenge, SecureKey};

/// What a try costs before its MAC is compared; and one that is cut there, in the end.
const TRY: u8 = 1;
/// What a wrong one costs in all.
const WRONG: u8 = 5;
/// At this the purse ends: three wrong ones in a row, or fifteen cut ones.
const END: u8 = 15;

impl Purse<'_> {
    /// GET CHALLENGE: 4 or 8 octets, for the next protected command.
    pub(super) fn challenge(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x00, 0)?;
        let mut challenge = [0; 8];
        let wanted = match command.le {
            Some(4) => challenge.first_chunk_mut::<4>().map(|half| &mut half[..]),
            Some(8 | 256) => Some(&mut challenge[..]),
            _ => None,
        };
        let wanted = wanted.ok_or(StatusWord::WRONG_LENGTH)?;
        self.random.fill(wanted);
        let answer = wanted.to_vec();
        self.ram.challenge = Some(challenge);
        Ok(answer)
    }

    /// The data of a protected command, its MAC checked and taken off.
    ///
    /// The challenge is used up, whatever comes of it.
    pub(super) fn protected<'c>(
        &mut self,
        command: &Command<'c>,
        key: FixedKey,
    ) -> Result<&'c [u8], Stop> {
        self.at_contacts()?;
        let key = self.secure_key(key)?;
        let challenge = self.ram.challenge.take().ok_or(StatusWord::CONDITIONS)?;
        let (data, mac) = command.data.split_last_chunk::<4>().ok_or(StatusWord::WRONG_LENGTH)?;
        let mut covered = vec![command.cla, command.ins, command.p1, command.p2];
        covered.push(command.data.len() as u8);
        covered.extend_from_slice(data);
        self.try_mac()?;
        let expected = key.mac(Challenge::new(challenge), &covered);
        if !decide(|| expected == Mac(*mac)) {
            return Err(self.wrong_mac(StatusWord::SECURE_MESSAGING)?.into());
        }
        self.set_cost(0)?;
        Ok(data)
    }

    /// One of the keys that stay, for secure messaging.
    pub(super) fn secure_key(&self, key: FixedKey) -> Result<SecureKey, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        Ok(SecureKey::Double(des_key(purse.fixed(key))?.0))
    }

    /// Only at a contact reader.
    pub(super) fn at_contacts(&self) -> Result<(), Stop> {
        match decide(|| self.interface.get() == Interface::Contact) {
            true => Ok(()),
            false => Err(StatusWord::CONDITIONS.into()),
        }
    }

    /// What a protected command orders.
    pub(super) fn carry_out(
        &mut self,
        change: impl FnOnce(&mut Objects) -> Result<(), Stop>,
    ) -> Result<Vec<u8>, Stop> {
        self.vault.change(change)?;
        Ok(Vec::new())
    }

    /// The same, of the purse alone.
    pub(super) fn carry_out_at_home(
        &mut self,
        change: impl FnOnce(&mut PurseStore) -> Result<(), Stop>,
    ) -> Result<Vec<u8>, Stop> {
        self.carry_out(|objects| change(objects.purse.get_mut(Context::PURSE)?))
    }

    /// A MAC is to be compared: the try is in memory before. What was there before it.
    ///
    /// A try that is cut costs less than a wrong one, so that a bad contact ends no honest purse.
    pub(super) fn try_mac(&mut self) -> Result<u8, Stop> {
        let before = self.vault.objects().purse.get(Context::PURSE)?.money.failures.0;
        if !decide(|| before < END) {
            return Err(self.end()?.into());
        }
        self.set_cost(before.saturating_add(TRY))?;
        Ok(before)
    }

    /// It was wrong: the answer to it.
    pub(super) fn wrong_mac(&mut self, answer: StatusWord) -> Result<StatusWord, Stop> {
        let tried = self.vault.objects().purse.get(Context::PURSE)?.money.failures.0;
        let cost = tried.saturating_add(WRONG - TRY);
        if !decide(|| cost < END) {
            return self.end();
        }
        self.set_cost(cost)?;
        Ok(answer)
    }

    /// What tries have cost so far.
    pub(super) fn set_cost(&mut self, cost: u8) -> Result<(), Stop> {
        self.vault.change(|objects| {
            objects.purse.get_mut(Context::PURSE)?.money.failures.0 = cost;
            Ok(())
        })
    }

    fn end(&mut self) -> Result<StatusWord, Stop> {
        self.vault.change(|objects| {
            objects.purse.get_mut(Context::PURSE)?.money.state = State::Ended;
            Ok(StatusWord::BLOCKED_FOR_GOOD)
        })
    }
}

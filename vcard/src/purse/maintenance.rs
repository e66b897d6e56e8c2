// SPDX-License-Identifier: Apache-2.0
//! What the issuer orders under DAMK: content of files, blocking and unblocking.

use super::Purse;
use super::data::expect;
use super::file::{binary_name, record_name};
use super::guesses::Guesses;
use super::store::{FixedKey, State};
use crate::context::Context;
use crate::decide::decide;
use crate::isd;
use crate::stop::Stop;
use cam_types::interindustry::INS_GET_CHALLENGE;
use iso7816::apdu::{Command, StatusWord};
use wallet::command::{INS_BLOCK, INS_BLOCK_CARD, INS_UNBLOCK};

impl Purse<'_> {
    /// Whether the purse takes this command as it stands.
    pub(super) fn admit(&self, command: &Command<'_>) -> Result<(), Stop> {
        let state = self.vault.objects().purse.get(Context::PURSE)?.money.state;
        match (state, command.cla, command.ins) {
            (State::Active, ..) if decide(|| state == State::Active) => Ok(()),
            // What it takes to unblock it, or to end it.
            (State::Blocked, 0x00, INS_GET_CHALLENGE)
            | (State::Blocked, 0x84, INS_BLOCK_CARD | INS_UNBLOCK | INS_BLOCK) => Ok(()),
            (State::Active | State::Blocked, ..) => Err(StatusWord::APPLICATION_BLOCKED.into()),
            (State::Ended, ..) => Err(StatusWord::BLOCKED_FOR_GOOD.into()),
        }
    }

    pub(super) fn update_binary(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (file, offset) = binary_name(command.p1, command.p2, self.ram.current, purse)?;
        let data = self.protected(command, FixedKey::Maintenance)?;
        self.carry_out_at_home(|purse| {
            let rest = file.octets_mut(purse).get_mut(offset..).filter(|rest| !rest.is_empty());
            let place = rest
                .ok_or(StatusWord::OUT_OF_FILE)?
                .get_mut(..data.len())
                .ok_or(StatusWord::NO_ROOM)?;
            place.copy_from_slice(data);
            Ok(())
        })
    }

    /// UPDATE RECORD of a record file.
    pub(super) fn update_record(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (file, name) = record_name(command.p1, command.p2, self.ram.current, purse)?;
        let data = self.protected(command, FixedKey::Maintenance)?;
        self.carry_out_at_home(|purse| {
            file.replacement(purse, name, data)?.carry_out(&mut purse.records);
            Ok(())
        })
    }

    /// APPLICATION BLOCK: until it is unblocked, or for good.
    pub(super) fn block(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let state = match command.p2 {
            0x00 => State::Blocked,
            0x01 => State::Ended,
            _ => return Err(StatusWord::WRONG_P1P2.into()),
        };
        expect(command, 0x00, command.p2, 4)?;
        self.protected(command, FixedKey::Maintenance)?;
        self.enter(state)
    }

    /// APPLICATION UNBLOCK.
    pub(super) fn unblock(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x00, 4)?;
        let money = &self.vault.objects().purse.get(Context::PURSE)?.money;
        if money.state == State::Active && !money.guesses.end_at_contacts() {
            return Err(StatusWord::CONDITIONS.into());
        }
        self.protected(command, FixedKey::Maintenance)?;
        self.ram.initialized = None;
        self.carry_out_at_home(|purse| {
            purse.money.state = State::Active;
            purse.money.guesses = Guesses::default();
            Ok(())
        })
    }

    /// CARD BLOCK: nothing but the issuer's domain is left of the card.
    pub(super) fn block_card(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x00, 4)?;
        self.protected(command, FixedKey::Maintenance)?;
        self.carry_out(|objects| Ok(isd::lock(objects, Context::PURSE)?))
    }

    fn enter(&mut self, state: State) -> Result<Vec<u8>, Stop> {
        self.ram.initialized = None;
        self.carry_out_at_home(|purse| {
            purse.money.state = state;
            Ok(())
        })
    }
}

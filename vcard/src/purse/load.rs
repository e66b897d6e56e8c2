// SPDX-License-Identifier: Apache-2.0
//! Load: money comes in by the order of a host.

use super::account::Account;
use super::data::{date_time, expect, mac};
use super::key::{TRIPLE_DES, des_key};
use super::ledger::next;
use super::order::{Initialized, Order};
use super::{Purse, PurseRam};
use crate::context::Context;
use crate::decide::decide;
use crate::interface::Interface;
use crate::stop::Stop;
use cam_types::{Fen, Reader};
use iso7816::apdu::{Command, StatusWord};
use wallet::TransactionType;
use wallet::formula::{mac1_load, mac2_load};
use wallet::keys::{LoadKey, SessionKey};

impl Purse<'_> {
    pub(super) fn initialize_load(&mut self, order: Order) -> Result<Vec<u8>, Stop> {
        if order.amount == Fen::ZERO {
            return Err(StatusWord::WRONG_DATA.into());
        }
        // The host's MAC2 authorises a load; at a contact reader the holder agrees with the PIN.
        let by_contact = || self.interface.get() == Interface::Contact;
        if !decide(|| !by_contact() || self.ram.pin_verified.get()) {
            return Err(StatusWord::SECURITY_STATUS.into());
        }
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let which = order.kind.account();
        let account = purse.money.account(which)?;
        let sequence = account.online_sequence;
        next(sequence)?;
        if purse.balance_with(which, order.amount).is_none() {
            return Err(StatusWord::CONDITIONS.into());
        }
        self.admit_host()?;
        let (key, version) = des_key(purse.load.oldest())?;
        let session = LoadKey::new(key).session(order.random, sequence.0.to_be_bytes());
        let answer = host_challenge(account, &session, version, &order);
        self.ram.initialized = Some(Initialized::Host { session, order });
        Ok(answer)
    }

    pub(super) fn credit_for_load(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x00, 11)?;
        let kinds = [TransactionType::LOAD, TransactionType::LOAD_ED];
        let mut r = Reader::new(command.data);
        let ((date, time), mac2) = (date_time(&mut r)?, mac(&mut r)?);
        let (session, order) = self.try_host(&kinds)?;
        let load = order.at(date, time);
        let expected = mac2_load(&session, &load);
        if !decide(|| expected == mac2) {
            return Err(StatusWord::WRONG_MAC.into());
        }
        let side = self.interface.get();
        let loaded = self.vault.change(|objects| {
            let purse = objects.purse.get_mut(Context::PURSE)?;
            purse.money.guesses.give_back(side);
            Ok::<_, Stop>(purse.receive(load)?)
        })?;
        Ok(loaded.tac.0.to_vec())
    }

    /// Goes on only while this side has a try for a host.
    pub(super) fn admit_host(&self) -> Result<(), Stop> {
        let guesses = self.vault.objects().purse.get(Context::PURSE)?.money.guesses;
        if !decide(|| !guesses.are_spent(self.interface.get())) {
            return Err(StatusWord::CONDITIONS.into());
        }
        Ok(())
    }

    /// The INITIALIZE in force, if it was for one of these and a host is to authorise it. It ends
    /// here, and the try is in memory before anything is compared.
    pub(super) fn try_host(
        &mut self,
        kinds: &[TransactionType],
    ) -> Result<(SessionKey, Order), Stop> {
        let taken = self.ram.take_for_host(kinds).ok_or(StatusWord::NOT_INITIALIZED)?;
        let side = self.interface.get();
        self.vault.change(|objects| {
            objects.purse.get_mut(Context::PURSE)?.money.guesses.count(side);
            Ok::<_, Stop>(())
        })?;
        Ok(taken)
    }
}

impl PurseRam {
    /// The INITIALIZE in force, if it was for one of these and a host is to authorise it. It is in
    /// force no longer.
    pub(super) fn take_for_host(
        &mut self,
        kinds: &[TransactionType],
    ) -> Option<(SessionKey, Order)> {
        let fits = |it: &mut Initialized| matches!(it, Initialized::Host { order, .. } if kinds.contains(&order.kind));
        match self.initialized.take_if(fits) {
            Some(Initialized::Host { session, order }) => Some((session, order)),
            _ => None,
        }
    }
}

/// What a host learns of a load or an unload: balance, online sequence, key version, algorithm,
/// random number, MAC1.
pub(super) fn host_challenge(
    account: &Account,
    session: &SessionKey,
    version: u8,
    order: &Order,
) -> Vec<u8> {
    let balance = account.balance.0;
    let mac1 = mac1_load(session, balance, order.amount, order.kind, order.terminal);
    let mut out = Vec::with_capacity(16);
    out.extend(balance.to_be_bytes());
    out.extend(account.online_sequence.0.to_be_bytes());
    out.extend([version, TRIPLE_DES]);
    out.extend(order.random);
    out.extend(mac1.0);
    out
}

// SPDX-License-Identifier: Apache-2.0
//! Load: money comes in by the order of a host.

use super::account::Account;
use super::data::{date_time, expect, mac};
use super::key::{TRIPLE_DES, des_key};
use super::ledger::next;
use super::order::{Initialized, Order};
use super::{Purse, PurseRam};
use crate::context::Context;
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
        if self.interface == Interface::Contact && !self.ram.pin_verified {
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
        let (key, version) = des_key(purse.load.oldest())?;
        let session = LoadKey::new(key).session(order.random, sequence.0.to_be_bytes());
        let answer = host_challenge(account, &session, version, &order);
        self.ram.initialized = Some(Initialized::Host { session, order });
        Ok(answer)
    }

    pub(super) fn credit_for_load(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x00, 11)?;
        let kinds = [TransactionType::LOAD, TransactionType::LOAD_ED];
        let (session, order) = self.ram.authorised_by_host(&kinds)?;
        let mut r = Reader::new(command.data);
        let (date, time) = date_time(&mut r)?;
        let load = order.at(date, time);
        if mac2_load(session, &load) != mac(&mut r)? {
            return Err(StatusWord::WRONG_MAC.into());
        }
        let loaded = self.vault.change(|objects| {
            Ok::<_, Stop>(objects.purse.get_mut(Context::PURSE)?.receive(load)?)
        })?;
        self.ram.initialized = None;
        Ok(loaded.tac.0.to_vec())
    }
}

impl PurseRam {
    /// The INITIALIZE in force, if it was for one of these and a host is to authorise it.
    pub(super) fn authorised_by_host(
        &self,
        kinds: &[TransactionType],
    ) -> Result<(&SessionKey, &Order), Stop> {
        match &self.initialized {
            Some(Initialized::Host { session, order }) if kinds.contains(&order.kind) => {
                Ok((session, order))
            }
            _ => Err(StatusWord::NOT_INITIALIZED.into()),
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

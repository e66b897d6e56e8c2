// SPDX-License-Identifier: Apache-2.0
//! The passbook (ED): an account beside the purse. Every command wants the PIN, which the antenna
//! does not take.
//!
//! Load, purchase and cash withdrawal are the purse's commands on the other account; unload and the
//! update of the overdraft limit are here.

use super::Purse;
use super::data::{date_time, expect, mac};
use super::key::{TRIPLE_DES, des_key};
use super::ledger::next;
use super::load::host_challenge;
use super::order::{Initialized, Order};
use super::store::FixedKey;
use crate::context::Context;
use crate::decide::decide;
use crate::stop::Stop;
use cam_types::{Fen, Reader};
use iso7816::apdu::{Command, StatusWord};
use wallet::formula::{mac1_overdraft, mac2_load, mac2_overdraft};
use wallet::keys::{OverdraftKey, UnloadKey};
use wallet::passbook::OverdraftLimit;
use wallet::{Account, Transaction, TransactionType};

impl Purse<'_> {
    /// Goes on only if the card has this account, and whoever asks may use it.
    pub(super) fn admit_to(&self, account: Account) -> Result<(), Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        match account {
            Account::Purse => Ok(()),
            Account::Passbook if purse.money.passbook.is_none() => {
                Err(StatusWord::WRONG_P1P2.into())
            }
            Account::Passbook if decide(|| self.ram.pin_verified.get()) => Ok(()),
            Account::Passbook => Err(StatusWord::SECURITY_STATUS.into()),
        }
    }

    pub(super) fn initialize_unload(&mut self, order: Order) -> Result<Vec<u8>, Stop> {
        if order.amount == Fen::ZERO {
            return Err(StatusWord::WRONG_DATA.into());
        }
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let account = purse.money.account(Account::Passbook)?;
        if account.own() < order.amount {
            return Err(StatusWord::INSUFFICIENT_BALANCE.into());
        }
        let sequence = account.online_sequence;
        next(sequence)?;
        self.admit_host()?;
        let (key, version) = des_key(purse.fixed(FixedKey::Unload))?;
        let session = UnloadKey::new(key).session(order.random, sequence.0.to_be_bytes());
        let answer = host_challenge(account, &session, version, &order);
        self.ram.initialized = Some(Initialized::Host { session, order });
        Ok(answer)
    }

    pub(super) fn debit_for_unload(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x03, 0x00, 11)?;
        let mut r = Reader::new(command.data);
        let ((date, time), mac2) = (date_time(&mut r)?, mac(&mut r)?);
        let (session, order) = self.try_host(&[TransactionType::UNLOAD])?;
        let unload = order.at(date, time);
        let expected = mac2_load(&session, &unload);
        if !decide(|| expected == mac2) {
            return Err(StatusWord::WRONG_MAC.into());
        }
        let side = self.interface.get();
        let mac3 = self.vault.purchase(|objects| {
            let purse = objects.purse.get_mut(Context::PURSE)?;
            purse.money.guesses.give_back(side);
            Ok::<_, Stop>(purse.unload(unload, &session)?)
        })?;
        Ok(mac3.0.to_vec())
    }

    pub(super) fn initialize_update(&mut self, order: Order) -> Result<Vec<u8>, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let account = purse.money.account(Account::Passbook)?;
        let sequence = account.online_sequence;
        next(sequence)?;
        self.admit_host()?;
        let (key, version) = des_key(purse.fixed(FixedKey::Overdraft))?;
        let session = OverdraftKey::new(key).session(order.random, sequence.0.to_be_bytes());
        let (balance, limit) = (account.balance.0, account.overdraft());
        let mac1 = mac1_overdraft(&session, balance, limit, order.terminal);
        let mut out = Vec::with_capacity(19);
        out.extend(balance.to_be_bytes());
        out.extend(sequence.0.to_be_bytes());
        out.extend(limit.to_be_bytes());
        out.extend([version, TRIPLE_DES]);
        out.extend(order.random);
        out.extend(mac1.0);
        self.ram.initialized = Some(Initialized::Host { session, order });
        Ok(out)
    }

    /// UPDATE OVERDRAW LIMIT.
    pub(super) fn update_overdraft_limit(
        &mut self,
        command: &Command<'_>,
    ) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x00, 14)?;
        let mut r = Reader::new(command.data);
        let limit = r.array("overdraft limit").map_err(|_| StatusWord::WRONG_LENGTH)?;
        let ((date, time), mac2) = (date_time(&mut r)?, mac(&mut r)?);
        let (session, order) = self.try_host(&[TransactionType::OVERDRAFT])?;
        let amount = OverdraftLimit::from_be_bytes(*limit).fen();
        let update = Transaction { amount, ..order.at(date, time) };
        let expected = mac2_overdraft(&session, &update);
        if !decide(|| expected == mac2) {
            return Err(StatusWord::WRONG_MAC.into());
        }
        let side = self.interface.get();
        let updated = self.vault.change(|objects| {
            let purse = objects.purse.get_mut(Context::PURSE)?;
            purse.money.guesses.give_back(side);
            Ok::<_, Stop>(purse.limit_overdraft(update)?)
        })?;
        Ok(updated.tac.0.to_vec())
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Purchase, plain and compound: money goes out by the order of a terminal.

use super::Purse;
use super::data::{date_time, expect, mac};
use super::file::record_name;
use super::key::{TRIPLE_DES, des_key};
use super::order::{Initialized, Order};
use super::record::Cache;
use crate::context::Context;
use crate::decide::decide;
use crate::stop::Stop;
use cam_types::{Fen, Reader, TerminalSequence};
use iso7816::apdu::{Command, StatusWord};
use wallet::TransactionType;
use wallet::formula::{mac1_purchase_input, mac2_purchase};
use wallet::keys::PurchaseKey;

impl Purse<'_> {
    /// INITIALIZE FOR PURCHASE, FOR CAPP PURCHASE and FOR CASH WITHDRAW.
    pub(super) fn initialize_purchase(&mut self, order: Order) -> Result<Vec<u8>, Stop> {
        // Nothing for nothing: only a compound purchase has something else to write.
        if order.amount == Fen::ZERO && order.kind != TransactionType::COMPOUND {
            return Err(StatusWord::WRONG_DATA.into());
        }
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let account = purse.money.account(order.kind.account())?;
        let (balance, sequence) = (account.balance.0, account.offline_sequence.0);
        let (_, version) = des_key(purse.purchase.oldest())?;
        if !decide(|| balance >= order.amount) {
            return Err(StatusWord::INSUFFICIENT_BALANCE.into());
        }
        if !decide(|| sequence < u16::MAX) {
            return Err(StatusWord::COUNTER_EXHAUSTED.into());
        }
        let with_pin = self.ram.pin_verified;
        if !decide(|| with_pin.get() || purse.is_small(order.amount)) {
            return Err(StatusWord::SECURITY_STATUS.into());
        }
        let mut out = Vec::with_capacity(15);
        out.extend(balance.to_be_bytes());
        out.extend(sequence.to_be_bytes());
        out.extend(account.overdraft().to_be_bytes());
        out.extend([version, TRIPLE_DES]);
        out.extend(order.random);
        self.ram.initialized =
            Some(Initialized::Purchase { order, records: Cache::default(), with_pin });
        Ok(out)
    }

    /// UPDATE CAPP DATA CACHE: one record for the DEBIT to write. Nothing is written yet.
    pub(super) fn update_capp_cache(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let current = self.ram.current;
        let Some(Initialized::Purchase { order, records, .. }) = &mut self.ram.initialized else {
            return Err(StatusWord::NOT_INITIALIZED.into());
        };
        if order.kind != TransactionType::COMPOUND {
            return Err(StatusWord::NOT_INITIALIZED.into());
        }
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (file, name) = record_name(command.p1, command.p2, current, purse)?;
        let write = file.replacement(purse, name, command.data)?;
        records.add(write, &purse.records)?;
        Ok(Vec::new())
    }

    /// DEBIT FOR PURCHASE, of any of them: money, number, log, code and records change together, or
    /// nothing does.
    pub(super) fn debit_for_purchase(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x01, 0x00, 15)?;
        let fits = |it: &mut Initialized| match it {
            Initialized::Purchase { order, records, .. } => {
                order.kind != TransactionType::COMPOUND || !records.is_empty()
            }
            Initialized::Host { .. } => false,
        };
        // Whatever comes of it, it is in force no longer: each MAC1 is at another session key.
        let Some(Initialized::Purchase { order, records, with_pin }) =
            self.ram.initialized.take_if(fits)
        else {
            return Err(StatusWord::NOT_INITIALIZED.into());
        };
        let mut r = Reader::new(command.data);
        let terminal_sequence = r.array("terminal sequence");
        let terminal_sequence = TerminalSequence::from_be_bytes(
            *terminal_sequence.map_err(|_| StatusWord::WRONG_LENGTH)?,
        );
        let (date, time) = date_time(&mut r)?;
        let Order { amount, random, .. } = order;
        let purchase = order.at(date, time);
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (key, _) = des_key(purse.purchase.oldest())?;
        let sequence = purse.money.account(order.kind.account())?.offline_sequence.0.to_be_bytes();
        let session = PurchaseKey::new(key).session(random, sequence, terminal_sequence);
        let mut input = mac1_purchase_input(&purchase);
        input.extend(purse.code.iter().flatten());
        let (expected, mac1) = (session.mac(&input), mac(&mut r)?);
        if !decide(|| expected == mac1) {
            return Err(StatusWord::WRONG_MAC.into());
        }
        let mac2 = mac2_purchase(&session, amount);
        let paid = self.vault.purchase(|objects| {
            let purse = objects.purse.get_mut(Context::PURSE)?;
            if !records.is_empty() {
                records.write(&mut purse.records);
            }
            if !decide(|| with_pin.get()) {
                let sum = &mut purse.money.unverified.0;
                *sum = sum.checked_add(amount).unwrap_or(Fen::new(u32::MAX));
            }
            Ok::<_, Stop>(purse.pay(purchase, terminal_sequence, mac2)?)
        })?;
        Ok([paid.tac.0, mac2.0].concat())
    }
}

//! Purchase: money goes out by the order of a terminal.

use super::data::{date_time, expect, mac};
use super::initialize::{Initialized, Order};
use super::key::{TRIPLE_DES, des_key};
use super::{Purse, status, tac};
use crate::firewall::Context;
use crate::persist::Guarded;
use crate::vault::Stop;
use cam_types::{Reader, TerminalSequence};
use iso7816::apdu::{Command, StatusWord};
use wallet::formula::{mac1_purchase, mac2_purchase, tac_purchase_input};
use wallet::keys::PurchaseKey;
use wallet::{LogRecord, PurseStatus, Transaction, TransactionType};

impl Purse<'_> {
    /// INITIALIZE FOR PURCHASE.
    pub(super) fn initialize_purchase(&mut self, order: Order) -> Result<Vec<u8>, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (balance, sequence) = (purse.balance.0, purse.offline_sequence.0);
        let (_, version) = des_key(purse.purchase.oldest())?;
        if balance < order.amount {
            return Err(status(PurseStatus::INSUFFICIENT_BALANCE));
        }
        if sequence == u16::MAX {
            return Err(status(PurseStatus::COUNTER_EXHAUSTED));
        }
        let mut out = Vec::with_capacity(15);
        out.extend(balance.to_be_bytes());
        out.extend(sequence.to_be_bytes());
        out.extend([0; 3]);
        out.extend([version, TRIPLE_DES]);
        out.extend(order.random);
        self.ram.initialized = Some(Initialized::Purchase(order));
        Ok(out)
    }

    /// DEBIT FOR PURCHASE.
    pub(super) fn debit_for_purchase(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x01, 0x00, 15)?;
        let Some(Initialized::Purchase(Order { amount, terminal, random })) = self.ram.initialized
        else {
            return Err(status(PurseStatus::NOT_INITIALIZED));
        };
        let mut r = Reader::new(command.data);
        let terminal_sequence = r.array("terminal sequence");
        let terminal_sequence = TerminalSequence::from_be_bytes(
            *terminal_sequence.map_err(|_| StatusWord::WRONG_LENGTH)?,
        );
        let (date, time) = date_time(&mut r)?;
        let purchase =
            Transaction { amount, kind: TransactionType::PURCHASE, terminal, date, time };
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (key, _) = des_key(purse.purchase.oldest())?;
        let before = purse.offline_sequence.0;
        let session =
            PurchaseKey::new(key).session(random, before.to_be_bytes(), terminal_sequence);
        if mac1_purchase(&session, &purchase) != mac(&mut r)? {
            return Err(status(PurseStatus::WRONG_MAC));
        }
        let mac2 = mac2_purchase(&session, amount);
        let tac = self.vault.change(|objects| {
            let purse = objects.purse.get_mut(Context::PURSE)?;
            let balance = purse.balance.0.checked_sub(amount);
            let balance = balance.ok_or(status(PurseStatus::INSUFFICIENT_BALANCE))?;
            let sequence = before.checked_add(1).ok_or(status(PurseStatus::COUNTER_EXHAUSTED))?;
            let tac = tac::code(purse, &tac_purchase_input(&purchase, terminal_sequence))
                .ok_or(status(PurseStatus::NO_KEY))?;
            purse.balance = Guarded(balance);
            purse.offline_sequence = Guarded(sequence);
            purse.log(&LogRecord { sequence, overdraft: [0; 3], transaction: purchase }, mac2, tac);
            Ok::<_, Stop>(tac)
        })?;
        self.ram.initialized = None;
        Ok([tac.0, mac2.0].concat())
    }
}

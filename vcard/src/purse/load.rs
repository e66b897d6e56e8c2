//! Load: money comes in by the order of a host.

use super::data::{date_time, expect, mac};
use super::initialize::{Initialized, Order};
use super::key::{TRIPLE_DES, des_key};
use super::{Purse, status, tac};
use crate::cos::Interface;
use crate::firewall::Context;
use crate::persist::Guarded;
use crate::vault::Stop;
use cam_types::Reader;
use iso7816::apdu::{Command, StatusWord};
use wallet::formula::{mac1_load, mac2_load, tac_load_input};
use wallet::keys::LoadKey;
use wallet::{LogRecord, Mac, PurseStatus, Transaction, TransactionType};

impl Purse<'_> {
    /// INITIALIZE FOR LOAD.
    pub(super) fn initialize_load(&mut self, order: Order) -> Result<Vec<u8>, Stop> {
        // The host's MAC2 authorises a load; at a contact reader the holder agrees with the PIN.
        if self.interface == Interface::Contact && !self.ram.pin_verified {
            return Err(StatusWord::SECURITY_STATUS.into());
        }
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (balance, sequence) = (purse.balance.0, purse.online_sequence.0);
        if sequence == u16::MAX {
            return Err(status(PurseStatus::COUNTER_EXHAUSTED));
        }
        if purse.balance_with(order.amount).is_none() {
            return Err(StatusWord::CONDITIONS.into());
        }
        let (key, version) = des_key(purse.load.oldest())?;
        let session = LoadKey::new(key).session(order.random, sequence.to_be_bytes());
        let kind = TransactionType::LOAD;
        let mac1 = mac1_load(&session, balance, order.amount, kind, order.terminal);
        let mut out = Vec::with_capacity(16);
        out.extend(balance.to_be_bytes());
        out.extend(sequence.to_be_bytes());
        out.extend([version, TRIPLE_DES]);
        out.extend(order.random);
        out.extend(mac1.0);
        self.ram.initialized = Some(Initialized::Load { session, order });
        Ok(out)
    }

    /// CREDIT FOR LOAD.
    pub(super) fn credit_for_load(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x00, 11)?;
        let Some(Initialized::Load { session, order }) = &self.ram.initialized else {
            return Err(status(PurseStatus::NOT_INITIALIZED));
        };
        let mut r = Reader::new(command.data);
        let (date, time) = date_time(&mut r)?;
        let load = Transaction {
            amount: order.amount,
            kind: TransactionType::LOAD,
            terminal: order.terminal,
            date,
            time,
        };
        if mac2_load(session, &load) != mac(&mut r)? {
            return Err(status(PurseStatus::WRONG_MAC));
        }
        let tac = self.vault.change(|objects| {
            let purse = objects.purse.get_mut(Context::PURSE)?;
            let before = purse.online_sequence.0;
            let balance = purse.balance_with(load.amount).ok_or(StatusWord::CONDITIONS)?;
            let sequence = before.checked_add(1).ok_or(status(PurseStatus::COUNTER_EXHAUSTED))?;
            let fields = tac_load_input(balance, before.to_be_bytes(), &load);
            let tac = tac::code(purse, &fields).ok_or(status(PurseStatus::NO_KEY))?;
            purse.balance = Guarded(balance);
            purse.online_sequence = Guarded(sequence);
            purse.log(&LogRecord { sequence, overdraft: [0; 3], transaction: load }, NO_MAC, tac);
            Ok::<_, Stop>(tac)
        })?;
        self.ram.initialized = None;
        Ok(tac.0.to_vec())
    }
}

/// No terminal key takes part in a load: its proof has no MAC.
const NO_MAC: Mac = Mac([0; 4]);

//! Load: money comes in by the order of a host.

use super::data::{date_time, expect, mac};
use super::initialize::{Initialized, Order};
use super::key::{TRIPLE_DES, des_key};
use super::{Purse, status};
use crate::cos::Interface;
use crate::firewall::Context;
use crate::vault::Stop;
use cam_types::{Fen, Reader};
use iso7816::apdu::{Command, StatusWord};
use wallet::PurseStatus;
use wallet::formula::{mac1_load, mac2_load};
use wallet::keys::LoadKey;

impl Purse<'_> {
    /// INITIALIZE FOR LOAD.
    pub(super) fn initialize_load(&mut self, order: Order) -> Result<Vec<u8>, Stop> {
        if order.amount == Fen::ZERO {
            return Err(StatusWord::WRONG_DATA.into());
        }
        // The host's MAC2 authorises a load; at a contact reader the holder agrees with the PIN.
        if self.interface == Interface::Contact && !self.ram.pin_verified {
            return Err(StatusWord::SECURITY_STATUS.into());
        }
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (balance, sequence) =
            (purse.money.purse.balance.0, purse.money.purse.online_sequence.0);
        if sequence == u16::MAX {
            return Err(status(PurseStatus::COUNTER_EXHAUSTED));
        }
        if purse.balance_with(order.amount).is_none() {
            return Err(StatusWord::CONDITIONS.into());
        }
        let (key, version) = des_key(purse.load.oldest())?;
        let session = LoadKey::new(key).session(order.random, sequence.to_be_bytes());
        let mac1 = mac1_load(&session, balance, order.amount, order.kind, order.terminal);
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
        let load = order.at(date, time);
        if mac2_load(session, &load) != mac(&mut r)? {
            return Err(status(PurseStatus::WRONG_MAC));
        }
        let loaded = self.vault.change(|objects| {
            Ok::<_, Stop>(objects.purse.get_mut(Context::PURSE)?.receive(load)?)
        })?;
        self.ram.initialized = None;
        Ok(loaded.tac.0.to_vec())
    }
}

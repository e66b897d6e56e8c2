// SPDX-License-Identifier: Apache-2.0
//! INITIALIZE: what every transaction of the purse begins with.

use super::Purse;
use super::data::expect;
use super::order::{Order, kind_of};
use crate::stop::Stop;
use cam_types::{Fen, Reader, TerminalId};
use iso7816::apdu::{Command, StatusWord};
use wallet::TransactionType;

/// The only key index of each role.
const KEY_INDEX: u8 = 1;

impl Purse<'_> {
    /// INITIALIZE FOR …, by P1 and P2.
    pub(super) fn initialize(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.ram.initialized = None;
        let [p1, p2] = [command.p1, command.p2];
        let kind = kind_of([p1, p2]).ok_or(StatusWord::WRONG_P1P2)?;
        self.admit_to(kind.account())?;
        let order = self.order(kind, command)?;
        match kind {
            TransactionType::LOAD | TransactionType::LOAD_ED => self.initialize_load(order),
            TransactionType::UNLOAD => self.initialize_unload(order),
            TransactionType::OVERDRAFT => self.initialize_update(order),
            _ => self.initialize_purchase(order),
        }
    }

    /// The data field of INITIALIZE: key index, terminal, and but for an overdraft limit the amount
    /// between them.
    fn order(&mut self, kind: TransactionType, command: &Command<'_>) -> Result<Order, Stop> {
        let has_amount = kind != TransactionType::OVERDRAFT;
        expect(command, command.p1, command.p2, if has_amount { 11 } else { 7 })?;
        let mut r = Reader::new(command.data);
        let wrong = |_| Stop::Status(StatusWord::WRONG_LENGTH);
        let index = r.u8("key index").map_err(wrong)?;
        let amount = match has_amount {
            true => Fen::from_be_bytes(*r.array("amount").map_err(wrong)?),
            false => Fen::ZERO,
        };
        let terminal = TerminalId::new(*r.array("terminal").map_err(wrong)?);
        if index != KEY_INDEX {
            return Err(StatusWord::NO_KEY.into());
        }
        let mut random = [0; 4];
        self.random.fill(&mut random);
        Ok(Order { kind, amount, terminal, random })
    }
}

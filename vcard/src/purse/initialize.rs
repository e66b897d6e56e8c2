//! INITIALIZE: what every transaction of the purse begins with.

use super::data::expect;
use super::record::Record;
use super::{Purse, status};
use crate::vault::Stop;
use cam_types::{BcdDate, BcdTime, Fen, Reader, TerminalId};
use iso7816::apdu::{Command, StatusWord};
use std::collections::BTreeMap;
use wallet::keys::SessionKey;
use wallet::{PurseStatus, Transaction, TransactionType};

/// The only key index of each role.
const KEY_INDEX: u8 = 1;

/// What an INITIALIZE asks for, and the card's random number for it.
#[derive(Clone, Copy)]
pub(super) struct Order {
    /// What for.
    pub kind: TransactionType,
    /// How much.
    pub amount: Fen,
    /// The terminal or host.
    pub terminal: TerminalId,
    /// New for every INITIALIZE.
    pub random: [u8; 4],
}

impl Order {
    /// The transaction that it comes to.
    pub(super) const fn at(&self, date: BcdDate, time: BcdTime) -> Transaction {
        let Self { kind, amount, terminal, .. } = *self;
        Transaction { amount, kind, terminal, date, time }
    }
}

/// An INITIALIZE in force.
pub(super) enum Initialized {
    /// FOR LOAD.
    Load { session: SessionKey, order: Order },
    /// FOR PURCHASE or FOR CAPP PURCHASE.
    Purchase {
        order: Order,
        /// The records that the DEBIT will write, by number, if it is to write any. There are never more than the
        /// file has places.
        records: BTreeMap<u8, Record>,
        /// The PIN had been verified.
        with_pin: bool,
    },
}

impl Purse<'_> {
    /// INITIALIZE FOR …, by P1 and P2.
    pub(super) fn initialize(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.ram.initialized = None;
        match (command.p1, command.p2) {
            (0x00, 0x02) => {
                let order = self.order(TransactionType::LOAD, command)?;
                self.initialize_load(order)
            }
            (0x01, 0x02) => {
                let order = self.order(TransactionType::PURCHASE, command)?;
                self.initialize_purchase(order)
            }
            (0x03, 0x02) => {
                let order = self.order(TransactionType::COMPOUND, command)?;
                self.initialize_purchase(order)
            }
            _ => Err(StatusWord::WRONG_P1P2.into()),
        }
    }

    /// The data field of INITIALIZE: key index, amount, terminal.
    fn order(&mut self, kind: TransactionType, command: &Command<'_>) -> Result<Order, Stop> {
        expect(command, command.p1, command.p2, 11)?;
        let mut r = Reader::new(command.data);
        let wrong = |_| Stop::Status(StatusWord::WRONG_LENGTH);
        let index = r.u8("key index").map_err(wrong)?;
        let amount = Fen::from_be_bytes(*r.array("amount").map_err(wrong)?);
        let terminal = TerminalId::new(*r.array("terminal").map_err(wrong)?);
        if index != KEY_INDEX {
            return Err(status(PurseStatus::NO_KEY));
        }
        let mut random = [0; 4];
        self.random.fill(&mut random);
        Ok(Order { kind, amount, terminal, random })
    }
}

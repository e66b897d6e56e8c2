// SPDX-License-Identifier: Apache-2.0
//! An order that an INITIALIZE has brought, and that whoever it is for may authorise now.

use super::record::Cache;
use crate::decide::Twice;
use cam_types::{BcdDate, BcdTime, Fen, TerminalId};
use wallet::keys::SessionKey;
use wallet::{Transaction, TransactionType};

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

/// What there is an INITIALIZE for.
const KINDS: [TransactionType; 8] = [
    TransactionType::LOAD_ED,
    TransactionType::LOAD,
    TransactionType::UNLOAD,
    TransactionType::CASH,
    TransactionType::PURCHASE_ED,
    TransactionType::PURCHASE,
    TransactionType::OVERDRAFT,
    TransactionType::COMPOUND,
];

/// What P1 and P2 of INITIALIZE begin.
pub(super) fn kind_of(p1p2: [u8; 2]) -> Option<TransactionType> {
    KINDS.into_iter().find(|kind| kind.initialize() == p1p2)
}

/// An INITIALIZE in force.
#[derive(Clone)]
pub(super) enum Initialized {
    /// FOR LOAD, FOR UNLOAD or FOR UPDATE: what a host authorises.
    Host { session: SessionKey, order: Order },
    /// FOR PURCHASE, FOR CAPP PURCHASE or FOR CASH WITHDRAW: what a terminal authorises.
    Purchase {
        order: Order,
        /// The records that the DEBIT will write, if it is to write any.
        records: Cache,
        /// The PIN had been verified.
        with_pin: Twice<bool>,
    },
}

// SPDX-License-Identifier: Apache-2.0
//! Update of the overdraft limit (修改透支限额): INITIALIZE FOR UPDATE, the host's MAC2, UPDATE OVERDRAW
//! LIMIT, TAC back.

use super::PassbookError;
use crate::command::{INS_INITIALIZE, INS_UPDATE_OVERDRAFT_LIMIT};
use crate::commit::{self, Commit};
use crate::formula::{mac1_overdraft, tac_overdraft_input};
use crate::keys::{OverdraftKey, TacKey};
use crate::mac::Mac;
use crate::overdraft_limit::OverdraftLimit;
use crate::refusal::{Refusal, Step};
use crate::response::split;
use crate::transaction::{Transaction, TransactionType};
use crate::unsettled::Unsettled;
use alloc::vec::Vec;
use cam_types::{
    BcdDate, BcdTime, DecodeError, Fen, Reader, StatusWord, TerminalId, TerminalSequence,
};

/// An update that the card has not heard of yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OverdraftUpdate {
    key_index: u8,
    limit: OverdraftLimit,
    terminal: TerminalId,
}

/// An update that the card has agreed to; the host's turn.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub struct Initialized {
    update: OverdraftUpdate,
    /// The card's balance.
    pub balance: Fen,
    /// The card's online sequence.
    pub online_sequence: [u8; 2],
    /// The limit as it is.
    pub limit: OverdraftLimit,
    /// The version of the card's update key.
    pub key_version: u8,
    /// The algorithm of the card's update key.
    pub algorithm: u8,
    /// The card's random number.
    pub random: [u8; 4],
    /// What the host checks before it grants anything.
    pub mac1: Mac,
}

/// An update that the host has authorised; UPDATE OVERDRAW LIMIT is its command.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "the host has authorised the limit"]
pub struct Updating {
    transaction: Transaction,
    key_index: u8,
    online_sequence: [u8; 2],
    /// The balance before, and after it on a card that counts the limit in.
    balances: [Fen; 2],
    mac2: Mac,
}

/// How an update ended. There are three ways, and none of them may be overlooked.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Update {
    /// The limit is the new one.
    Updated(OverdraftReceipt),
    /// The card refused before touching the limit.
    Refused(Refusal),
    /// The limit may or may not have changed.
    Unsettled(Unsettled),
}

/// What the host keeps of an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OverdraftReceipt {
    /// New limit (as the amount), type, terminal, date and time.
    pub transaction: Transaction,
    /// The online sequence before the update.
    pub online_sequence: [u8; 2],
    /// The card's transaction code.
    pub tac: Mac,
    /// The balance before, and after the update on a card that counts the limit in.
    balances: [Fen; 2],
}

impl OverdraftUpdate {
    /// An update to this limit under the key `key_index`.
    pub const fn new(key_index: u8, limit: OverdraftLimit, terminal: TerminalId) -> Self {
        Self { key_index, limit, terminal }
    }

    /// INITIALIZE FOR UPDATE.
    pub fn command(&self) -> Vec<u8> {
        let [p1, p2] = TransactionType::OVERDRAFT.initialize();
        let mut apdu = [0x80, INS_INITIALIZE, p1, p2, 0x07, self.key_index].to_vec();
        apdu.extend(self.terminal.octets());
        apdu.push(0x13);
        apdu
    }

    /// Reads the card's answer.
    pub fn initialized(self, response: &[u8]) -> Result<Initialized, PassbookError> {
        match split(response).map_err(PassbookError::Malformed)? {
            (data, StatusWord::OK) => {
                Initialized::parse(self, data).map_err(PassbookError::Malformed)
            }
            (_, sw) => Err(PassbookError::Refused(Refusal::new(Step::InitializeDebit, sw))),
        }
    }
}

impl Initialized {
    fn parse(update: OverdraftUpdate, data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let initialized = Self {
            update,
            balance: Fen::from_be_bytes(*r.array("balance")?),
            online_sequence: *r.array("online sequence")?,
            limit: OverdraftLimit::from_be_bytes(*r.array("overdraft limit")?),
            key_version: r.u8("key version")?,
            algorithm: r.u8("algorithm")?,
            random: *r.array("random number")?,
            mac1: Mac(*r.array("MAC1")?),
        };
        r.finish("answer")?;
        Ok(initialized)
    }

    /// The host's check: does MAC1 come from the card that holds `key`?
    pub fn is_from(&self, key: &OverdraftKey) -> bool {
        let session = key.session(self.random, self.online_sequence);
        self.mac1 == mac1_overdraft(&session, self.balance, self.limit, self.update.terminal)
    }

    /// What the host makes MAC2 over; its amount is the new limit.
    pub const fn transaction(&self, date: BcdDate, time: BcdTime) -> Transaction {
        let OverdraftUpdate { limit, terminal, .. } = self.update;
        let (amount, kind) = (limit.fen(), TransactionType::OVERDRAFT);
        Transaction { amount, kind, terminal, date, time }
    }

    /// Goes on with the host's MAC2. Whether an overdraft in use allows the new limit is for the
    /// card to say.
    pub fn update(self, date: BcdDate, time: BcdTime, mac2: Mac) -> Updating {
        let (old, new) = (self.limit.fen(), self.update.limit.fen());
        let counted_in = self.balance.checked_add(new).and_then(|sum| sum.checked_sub(old));
        Updating {
            transaction: self.transaction(date, time),
            key_index: self.update.key_index,
            online_sequence: self.online_sequence,
            balances: [self.balance, counted_in.unwrap_or(self.balance)],
            mac2,
        }
    }
}

impl Updating {
    /// UPDATE OVERDRAW LIMIT.
    pub fn command(&self) -> Vec<u8> {
        let [_, limit @ ..] = self.transaction.amount.to_be_bytes();
        commit::of_host([INS_UPDATE_OVERDRAFT_LIMIT, 0x00], &limit, &self.transaction, self.mac2)
    }

    /// Reads the card's answer, `None` when none came, and checks the TAC.
    ///
    /// An answer whose TAC is wrong did not come from the card: the update is unsettled.
    pub fn finish_checked(self, response: Option<&[u8]>, key: &TacKey) -> Update {
        let unsettled = self.unsettled();
        match self.finish(response) {
            Update::Updated(receipt) if receipt.balance(key).is_none() => {
                Update::Unsettled(unsettled)
            }
            update => update,
        }
    }

    /// Reads the card's answer, `None` when none came. Who holds the TAC key checks the receipt.
    pub fn finish(self, response: Option<&[u8]>) -> Update {
        match commit::answer(response) {
            Commit::Done(tac) => Update::Updated(OverdraftReceipt {
                transaction: self.transaction,
                online_sequence: self.online_sequence,
                tac: Mac(tac),
                balances: self.balances,
            }),
            Commit::Refused(refusal) => Update::Refused(refusal),
            Commit::Unknown => Update::Unsettled(self.unsettled()),
        }
    }

    fn unsettled(&self) -> Unsettled {
        let [_, balance] = self.balances;
        Unsettled {
            transaction: self.transaction,
            terminal_sequence: TerminalSequence::new(0),
            sequence: self.online_sequence,
            key_index: self.key_index,
            balance,
        }
    }
}

impl OverdraftReceipt {
    /// The balance after, as the card counts it: with the new limit in it, or as it was. `None`
    /// when the TAC does not come from the card that holds `key`.
    pub fn balance(&self, key: &TacKey) -> Option<Fen> {
        self.balances.into_iter().rev().find(|balance| {
            let input = tac_overdraft_input(*balance, self.online_sequence, &self.transaction);
            // The manual has the key whole here, cards have it folded as everywhere.
            self.tac == key.fold().mac(&input) || self.tac == key.whole(&input)
        })
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Unload (圈提): money goes back to the bank account. INITIALIZE FOR UNLOAD, the host's MAC2, DEBIT
//! FOR UNLOAD, MAC3 back. The account is credited when MAC3 has been checked, or GET TRANSACTION
//! PROVE has shown it.

use super::PassbookError;
use crate::balance::BalanceCoding;
use crate::command::INS_DEBIT;
use crate::commit::{self, Commit};
use crate::formula::mac3_unload;
use crate::keys::UnloadKey;
use crate::load::{self, Crediting, Load};
use crate::mac::Mac;
use crate::refusal::{Refusal, Step};
use crate::response::split;
use crate::transaction::{Transaction, TransactionType};
use crate::unsettled::Unsettled;
use alloc::vec::Vec;
use cam_types::{BcdDate, BcdTime, Fen, StatusWord, TerminalId};

/// An unload that the card has not heard of yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unload(Load);

/// An unload that the card can pay; the host's turn.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub struct Initialized(load::Initialized);

/// An unload that the host has authorised; DEBIT FOR UNLOAD is its command.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "the host has authorised the debit"]
pub struct Unloading {
    commit: Crediting,
    random: [u8; 4],
}

/// How an unload ended. There are three ways, and none of them may be overlooked.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Debit {
    /// The card has given the money back: the account is credited.
    Unloaded(UnloadReceipt),
    /// The card refused before touching the balance.
    Refused(Refusal),
    /// The balance may or may not have changed.
    Unsettled(Unsettled),
}

/// What the host keeps of an unload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnloadReceipt {
    /// Amount, type, terminal, date and time.
    pub transaction: Transaction,
    /// The online sequence before the unload.
    pub online_sequence: [u8; 2],
    /// The balance after the unload.
    pub balance: Fen,
    /// The card's proof, for the host.
    pub mac3: Mac,
}

impl Unload {
    /// An unload under the key `key_index`.
    pub fn new(key_index: u8, amount: Fen, terminal: TerminalId) -> Result<Self, PassbookError> {
        if amount == Fen::ZERO {
            return Err(PassbookError::AmountZero);
        }
        Ok(Self::of(key_index, amount, terminal))
    }

    pub(crate) const fn of(key_index: u8, amount: Fen, terminal: TerminalId) -> Self {
        let (kind, maximum) = (TransactionType::UNLOAD, Fen::new(u32::MAX));
        Self(Load { key_index, amount, terminal, kind, maximum, coding: BalanceCoding::Pboc })
    }

    /// INITIALIZE FOR UNLOAD.
    pub fn command(&self) -> Vec<u8> {
        self.0.command()
    }

    /// Reads the card's answer.
    pub fn initialized(self, response: &[u8]) -> Result<Initialized, PassbookError> {
        let amount = self.0.amount;
        let mut card = self.answered(response)?;
        let balance = card.balance;
        card.sum = balance
            .checked_sub(amount)
            .ok_or(PassbookError::InsufficientBalance { balance, amount })?;
        Ok(Initialized(card))
    }

    /// What the card says, whether or not it could pay.
    pub(crate) fn answered(self, response: &[u8]) -> Result<load::Initialized, PassbookError> {
        match split(response).map_err(PassbookError::Malformed)? {
            (data, StatusWord::OK) => {
                load::Initialized::parse(self.0, data).map_err(PassbookError::Malformed)
            }
            (_, sw) => Err(PassbookError::Refused(Refusal::new(Step::InitializeDebit, sw))),
        }
    }
}

impl Initialized {
    /// What the card said.
    pub const fn card(&self) -> &load::Initialized {
        &self.0
    }

    /// The host's check: does MAC1 come from the card that holds `key`?
    pub fn is_from(&self, key: &UnloadKey) -> bool {
        self.0.is_of(&key.session(self.0.random, self.0.online_sequence))
    }

    /// What the host makes MAC2 over.
    pub fn transaction(&self, date: BcdDate, time: BcdTime) -> Transaction {
        self.0.transaction(date, time)
    }

    /// Goes on with the host's MAC2.
    pub fn debit(self, date: BcdDate, time: BcdTime, mac2: Mac) -> Unloading {
        Unloading { random: self.0.random, commit: self.0.credit(date, time, mac2) }
    }
}

impl Unloading {
    /// DEBIT FOR UNLOAD.
    pub fn command(&self) -> Vec<u8> {
        commit::of_host([INS_DEBIT, 0x03], &[], &self.commit.transaction, self.commit.mac2)
    }

    /// What MAC3 has to be, and what GET TRANSACTION PROVE shows in its place: to be persisted with
    /// the command, for nothing else settles an unload whose answer was lost.
    pub fn mac3(&self, key: &UnloadKey) -> Mac {
        let Crediting { balance, online_sequence, transaction, .. } = &self.commit;
        let session = key.session(self.random, *online_sequence);
        mac3_unload(&session, *balance, *online_sequence, transaction)
    }

    /// Reads the card's answer, `None` when none came, and compares MAC3 with what it has to be.
    ///
    /// An answer whose MAC3 is wrong did not come from the card: the unload is unsettled.
    pub fn finish(self, response: Option<&[u8]>, expected: Mac) -> Debit {
        match commit::answer(response) {
            Commit::Done(mac3) if Mac(mac3) == expected => {
                let Crediting { transaction, online_sequence, balance, .. } = self.commit;
                let mac3 = expected;
                Debit::Unloaded(UnloadReceipt { transaction, online_sequence, balance, mac3 })
            }
            Commit::Refused(refusal) => Debit::Refused(refusal),
            Commit::Done(_) | Commit::Unknown => Debit::Unsettled(self.commit.unsettled()),
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Load (圈存): INITIALIZE FOR LOAD, the host's MAC2, CREDIT FOR LOAD.

use crate::balance::{BalanceCoding, BalanceError};
use crate::command::{INS_CREDIT, INS_INITIALIZE};
use crate::commit::{self, Commit};
use crate::formula::{mac1_load, tac_load};
use crate::keys::{LoadKey, SessionKey, TacKey};
use crate::mac::Mac;
use crate::refusal::{Refusal, Step};
use crate::response::split;
use crate::transaction::{Transaction, TransactionType};
use crate::unsettled::Unsettled;
use alloc::vec::Vec;
use cam_types::{
    BcdDate, BcdTime, DecodeError, Fen, Reader, StatusWord, TerminalId, TerminalSequence,
};
use core::fmt;

/// A load that the card has not heard of yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Load {
    pub(crate) key_index: u8,
    pub(crate) amount: Fen,
    pub(crate) terminal: TerminalId,
    pub(crate) kind: TransactionType,
    /// The most that the purse may hold.
    pub(crate) maximum: Fen,
    pub(crate) coding: BalanceCoding,
}

/// A load that the card has agreed to; the host's turn.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub struct Initialized {
    load: Load,
    /// The card's balance.
    pub balance: Fen,
    /// The same as the card has sent it, and made MAC1 over.
    sent: Fen,
    /// The balance after the transaction.
    pub(crate) sum: Fen,
    /// The card's online sequence.
    pub online_sequence: [u8; 2],
    /// The version of the card's load key.
    pub key_version: u8,
    /// The algorithm of the card's load key.
    pub algorithm: u8,
    /// The card's random number.
    pub random: [u8; 4],
    /// What the host checks before it moves money.
    pub mac1: Mac,
}

/// A load that the host has authorised; CREDIT FOR LOAD is its command.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "the host has authorised the money"]
pub struct Crediting {
    pub(crate) transaction: Transaction,
    key_index: u8,
    pub(crate) online_sequence: [u8; 2],
    pub(crate) balance: Fen,
    pub(crate) mac2: Mac,
}

/// How a credit ended. There are three ways, and none of them may be overlooked.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Credit {
    /// The card holds the money.
    Loaded(LoadReceipt),
    /// The card refused before touching the balance.
    Refused(Refusal),
    /// The balance may or may not have changed.
    Unsettled(Unsettled),
}

/// What the host keeps of a load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoadReceipt {
    /// Amount, type, terminal, date and time.
    pub transaction: Transaction,
    /// The online sequence before the load.
    pub online_sequence: [u8; 2],
    /// The balance after the load.
    pub balance: Fen,
    /// The card's transaction code.
    pub tac: Mac,
}

/// Why a load came to nothing. No money has moved.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LoadError {
    /// The card refused the command.
    Refused(Refusal),
    /// The card did not answer.
    NoAnswer,
    /// The card's answer is not an answer to this command.
    Malformed(DecodeError),
    /// The card's balance cannot be told.
    Balance(BalanceError),
    /// There is nothing to load.
    AmountZero,
    /// More than the purse may hold.
    OverMaximum {
        /// What it holds.
        balance: Fen,
        /// What was to be added.
        amount: Fen,
        /// What it may hold.
        maximum: Fen,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "{why}"),
            Self::NoAnswer => f.write_str("card did not answer"),
            Self::Malformed(error) => write!(f, "the card's answer: {error}"),
            Self::Balance(error) => write!(f, "{error}"),
            Self::AmountZero => f.write_str("amount 0.00: there is nothing to load"),
            Self::OverMaximum { balance, amount, maximum } => {
                write!(
                    f,
                    "balance {balance} and {amount} more are over the purse's maximum of {maximum}"
                )
            }
        }?;
        f.write_str("; no money has moved")
    }
}

impl core::error::Error for LoadError {}

impl Load {
    /// A load of the purse under the key `key_index`.
    pub fn new(key_index: u8, amount: Fen, terminal: TerminalId) -> Result<Self, LoadError> {
        Self::of(TransactionType::LOAD, key_index, amount, terminal)
    }

    pub(crate) fn of(
        kind: TransactionType,
        key_index: u8,
        amount: Fen,
        terminal: TerminalId,
    ) -> Result<Self, LoadError> {
        if amount == Fen::ZERO {
            return Err(LoadError::AmountZero);
        }
        let (maximum, coding) = (Fen::new(u32::MAX), BalanceCoding::Pboc);
        Ok(Self { key_index, amount, terminal, kind, maximum, coding })
    }

    /// The same into a card whose balances mean this.
    #[must_use]
    pub fn coded(self, coding: BalanceCoding) -> Self {
        Self { coding, ..self }
    }

    /// The same, into a purse that may hold no more than `maximum`.
    pub fn within(self, maximum: Fen) -> Result<Self, LoadError> {
        if self.amount > maximum {
            let (balance, amount) = (Fen::ZERO, self.amount);
            return Err(LoadError::OverMaximum { balance, amount, maximum });
        }
        Ok(Self { maximum, ..self })
    }

    /// INITIALIZE FOR LOAD.
    pub fn command(&self) -> Vec<u8> {
        let mut apdu = Vec::with_capacity(17);
        let [p1, p2] = self.kind.initialize();
        apdu.extend([0x80, INS_INITIALIZE, p1, p2, 0x0B, self.key_index]);
        apdu.extend(self.amount.to_be_bytes());
        apdu.extend(self.terminal.octets());
        apdu.push(0x10);
        apdu
    }

    /// Reads the card's answer.
    pub fn initialized(self, response: &[u8]) -> Result<Initialized, LoadError> {
        let (data, sw) = split(response).map_err(LoadError::Malformed)?;
        if sw != StatusWord::OK {
            return Err(LoadError::Refused(Refusal::new(Step::InitializeLoad, sw)));
        }
        let mut initialized = Initialized::parse(self, data).map_err(LoadError::Malformed)?;
        let Load { amount, maximum, coding, .. } = initialized.load;
        let balance = coding.money(initialized.sent).map_err(LoadError::Balance)?;
        initialized.balance = balance;
        initialized.sum = balance
            .checked_add(amount)
            .filter(|sum| *sum <= maximum)
            .ok_or(LoadError::OverMaximum { balance, amount, maximum })?;
        Ok(initialized)
    }
}

impl Initialized {
    pub(crate) fn parse(load: Load, data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let sent = Fen::from_be_bytes(*r.array("balance")?);
        let initialized = Self {
            load,
            balance: sent,
            sent,
            sum: Fen::ZERO,
            online_sequence: *r.array("online sequence")?,
            key_version: r.u8("key version")?,
            algorithm: r.u8("algorithm")?,
            random: *r.array("random number")?,
            mac1: Mac(*r.array("MAC1")?),
        };
        r.finish("answer")?;
        Ok(initialized)
    }

    /// The host's check: does MAC1 come from the card that holds `key`?
    pub fn is_from(&self, key: &LoadKey) -> bool {
        self.is_of(&key.session(self.random, self.online_sequence))
    }

    pub(crate) fn is_of(&self, session: &SessionKey) -> bool {
        let Load { amount, kind, terminal, .. } = self.load;
        self.mac1 == mac1_load(session, self.sent, amount, kind, terminal)
    }

    /// What the host makes MAC2 over.
    pub fn transaction(&self, date: BcdDate, time: BcdTime) -> Transaction {
        Transaction {
            amount: self.load.amount,
            kind: self.load.kind,
            terminal: self.load.terminal,
            date,
            time,
        }
    }

    /// Goes on with the host's MAC2.
    pub fn credit(self, date: BcdDate, time: BcdTime, mac2: Mac) -> Crediting {
        Crediting {
            transaction: self.transaction(date, time),
            key_index: self.load.key_index,
            online_sequence: self.online_sequence,
            balance: self.sum,
            mac2,
        }
    }
}

impl LoadReceipt {
    /// Does the TAC come from the card that holds `key`?
    pub fn is_from(&self, key: &TacKey) -> bool {
        let Self { transaction, online_sequence, balance, tac } = self;
        *tac == tac_load(&key.fold(), *balance, *online_sequence, transaction)
    }
}

impl Crediting {
    /// CREDIT FOR LOAD.
    pub fn command(&self) -> Vec<u8> {
        commit::of_host([INS_CREDIT, 0x00], &[], &self.transaction, self.mac2)
    }

    /// Reads the card's answer, `None` when none came, and checks the TAC.
    ///
    /// An answer whose TAC is wrong did not come from the card: the credit is unsettled.
    pub fn finish_checked(self, response: Option<&[u8]>, key: &TacKey) -> Credit {
        let unsettled = self.unsettled();
        match self.finish(response) {
            Credit::Loaded(receipt) if !receipt.is_from(key) => Credit::Unsettled(unsettled),
            credit => credit,
        }
    }

    /// Reads the card's answer, `None` when none came. Who holds the TAC key checks the receipt.
    pub fn finish(self, response: Option<&[u8]>) -> Credit {
        match commit::answer(response) {
            Commit::Done(tac) => Credit::Loaded(LoadReceipt {
                transaction: self.transaction,
                online_sequence: self.online_sequence,
                balance: self.balance,
                tac: Mac(tac),
            }),
            Commit::Refused(refusal) => Credit::Refused(refusal),
            Commit::Unknown => Credit::Unsettled(self.unsettled()),
        }
    }

    /// What is to be persisted before the command goes out; [`Unsettled::parse`] reads it when the
    /// power is back.
    pub fn intent(&self) -> Vec<u8> {
        self.unsettled().octets()
    }

    /// The transaction as the card may carry it out.
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The number that INITIALIZE returned.
    pub const fn card_sequence(&self) -> [u8; 2] {
        self.online_sequence
    }

    /// The balance when it has.
    pub const fn balance(&self) -> Fen {
        self.balance
    }

    pub(crate) const fn unsettled(&self) -> Unsettled {
        Unsettled {
            transaction: self.transaction,
            terminal_sequence: TerminalSequence::new(0),
            sequence: self.online_sequence,
            key_index: self.key_index,
            balance: self.balance,
        }
    }
}

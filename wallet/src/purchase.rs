// SPDX-License-Identifier: Apache-2.0
//! Purchase (消费): INITIALIZE FOR PURCHASE, the PSAM's MAC1, DEBIT FOR PURCHASE, MAC2 back.
//!
//! Whatever else takes money from the card goes the same way under another type: `compound` adds
//! its records in between.

use crate::balance::{BalanceCoding, BalanceError};
use crate::command::{INS_DEBIT, INS_INITIALIZE};
use crate::commit::{self, Commit};
use crate::mac::Mac;
use crate::psam::{CardIdentity, Psam, SamError, SamPurchase};
use crate::refusal::{Refusal, Step};
use crate::response::split;
use crate::transaction::{Transaction, TransactionType};
use crate::unsettled::Unsettled;
use alloc::vec::Vec;
use cam_types::{
    BcdDate, BcdTime, DecodeError, Fen, Reader, StatusWord, TerminalId, TerminalSequence,
};
use core::fmt;

/// A purchase that the card has not heard of yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Purchase {
    pub(crate) key_index: u8,
    pub(crate) amount: Fen,
    pub(crate) terminal: TerminalId,
    pub(crate) kind: TransactionType,
    pub(crate) coding: BalanceCoding,
}

/// A purchase that the card can pay; the PSAM's turn.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub struct Initialized {
    purchase: Purchase,
    /// The card's balance.
    pub balance: Fen,
    /// The card's offline sequence.
    pub offline_sequence: [u8; 2],
    /// The version of the card's purchase key.
    pub key_version: u8,
    /// The algorithm of the card's purchase key.
    pub algorithm: u8,
    /// The card's random number.
    pub random: [u8; 4],
}

/// A purchase that the PSAM has authorised; DEBIT FOR PURCHASE is its command.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "the PSAM has authorised the debit"]
pub struct Debiting {
    transaction: Transaction,
    key_index: u8,
    offline_sequence: [u8; 2],
    terminal_sequence: TerminalSequence,
    balance: Fen,
    mac1: Mac,
}

/// How a debit ended. There are three ways, and none of them may be overlooked.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Debit {
    /// The card has paid and proved it.
    Paid(Receipt),
    /// The card refused before touching the balance.
    Refused(Refusal),
    /// The balance may or may not have changed.
    Unsettled(Unsettled),
}

/// What the terminal keeps of a purchase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// Amount, type, terminal, date and time.
    pub transaction: Transaction,
    /// The offline sequence before the purchase.
    pub offline_sequence: [u8; 2],
    /// The terminal's number of the purchase.
    pub terminal_sequence: TerminalSequence,
    /// The balance after the purchase.
    pub balance: Fen,
    /// The transaction code, for the acquirer.
    pub tac: Mac,
    /// Why the PSAM has not checked MAC2; `None` when it has. The card says that it has paid, and
    /// the receipt goes to the acquirer, whom the TAC tells whether that is true.
    pub unchecked: Option<SamError>,
}

/// Why a purchase was not made. No money has moved.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PurchaseError {
    /// The purse holds `balance`, less than the `price`.
    InsufficientBalance {
        /// What it holds, when the card said so.
        balance: Fen,
        /// What was asked for.
        price: Fen,
    },
    /// The card refused the command.
    Refused(Refusal),
    /// The card did not answer.
    NoAnswer,
    /// The card's answer is not an answer to this command.
    Malformed(DecodeError),
    /// The card's balance cannot be told.
    Balance(BalanceError),
    /// There is nothing to pay.
    AmountZero,
    /// More than the terminal may take.
    OverLimit {
        /// What was asked for.
        amount: Fen,
        /// What the terminal may take.
        limit: Fen,
    },
    /// The terminal's secure module made no MAC1.
    Sam(SamError),
}

impl fmt::Display for PurchaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsufficientBalance { balance, price } => {
                write!(f, "balance {balance} does not cover price {price}")
            }
            Self::Refused(why) => write!(f, "{why}"),
            Self::NoAnswer => f.write_str("card did not answer"),
            Self::Malformed(error) => write!(f, "the card's answer: {error}"),
            Self::Balance(error) => write!(f, "{error}"),
            Self::AmountZero => {
                f.write_str("amount 0.00: only a compound purchase may be of nothing")
            }
            Self::OverLimit { amount, limit } => {
                write!(f, "amount {amount} is over the limit of {limit}")
            }
            Self::Sam(error) => write!(f, "{error}"),
        }?;
        f.write_str("; no money has moved")
    }
}

impl core::error::Error for PurchaseError {}

impl Purchase {
    /// A purchase from the purse under the key `key_index`.
    pub fn new(key_index: u8, amount: Fen, terminal: TerminalId) -> Result<Self, PurchaseError> {
        Self::of(TransactionType::PURCHASE, key_index, amount, terminal)
    }

    pub(crate) fn of(
        kind: TransactionType,
        key_index: u8,
        amount: Fen,
        terminal: TerminalId,
    ) -> Result<Self, PurchaseError> {
        if amount == Fen::ZERO {
            return Err(PurchaseError::AmountZero);
        }
        Ok(Self { key_index, amount, terminal, kind, coding: BalanceCoding::Pboc })
    }

    /// The same with a card whose balances mean this.
    #[must_use]
    pub fn coded(self, coding: BalanceCoding) -> Self {
        Self { coding, ..self }
    }

    /// The same, if it is not over `limit`.
    pub fn within(self, limit: Fen) -> Result<Self, PurchaseError> {
        if self.amount > limit {
            return Err(PurchaseError::OverLimit { amount: self.amount, limit });
        }
        Ok(self)
    }

    /// INITIALIZE FOR PURCHASE.
    pub fn command(&self) -> Vec<u8> {
        let mut apdu = Vec::with_capacity(17);
        let [p1, p2] = self.kind.initialize();
        apdu.extend([0x80, INS_INITIALIZE, p1, p2, 0x0B, self.key_index]);
        apdu.extend(self.amount.to_be_bytes());
        apdu.extend(self.terminal.octets());
        apdu.push(0x0F);
        apdu
    }

    /// Reads the card's answer.
    pub fn initialized(self, response: &[u8]) -> Result<Initialized, PurchaseError> {
        let price = self.amount;
        match self.answered(response)? {
            Initialized { balance, .. } if balance < price => {
                Err(PurchaseError::InsufficientBalance { balance, price })
            }
            initialized => Ok(initialized),
        }
    }

    /// What the card says, whether or not it could pay.
    pub(crate) fn answered(self, response: &[u8]) -> Result<Initialized, PurchaseError> {
        match split(response).map_err(PurchaseError::Malformed)? {
            (data, StatusWord::OK) => {
                let card = Initialized::parse(self, data).map_err(PurchaseError::Malformed)?;
                let balance = card.purchase.coding.money(card.balance);
                Ok(Initialized { balance: balance.map_err(PurchaseError::Balance)?, ..card })
            }
            (_, sw) => Err(PurchaseError::Refused(Refusal::new(Step::InitializeDebit, sw))),
        }
    }
}

impl Initialized {
    fn parse(purchase: Purchase, data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let balance = Fen::from_be_bytes(*r.array("balance")?);
        let offline_sequence = *r.array("offline sequence")?;
        r.array::<3>("overdraft limit")?;
        let initialized = Self {
            purchase,
            balance,
            offline_sequence,
            key_version: r.u8("key version")?,
            algorithm: r.u8("algorithm")?,
            random: *r.array("random number")?,
        };
        r.finish("answer")?;
        Ok(initialized)
    }

    /// Asks the PSAM for MAC1.
    pub fn authorise(
        self,
        date: BcdDate,
        time: BcdTime,
        card: &CardIdentity,
        psam: &mut dyn Psam,
    ) -> Result<Debiting, PurchaseError> {
        let price = self.purchase.amount;
        let transaction = Transaction {
            amount: price,
            kind: self.purchase.kind,
            terminal: self.purchase.terminal,
            date,
            time,
        };
        let (terminal_sequence, mac1) = psam
            .start(&SamPurchase {
                random: self.random,
                offline_sequence: self.offline_sequence,
                transaction,
                key_version: self.key_version,
                algorithm: self.algorithm,
                card,
            })
            .map_err(PurchaseError::Sam)?;
        let balance = self
            .balance
            .checked_sub(price)
            .ok_or(PurchaseError::InsufficientBalance { balance: self.balance, price })?;
        Ok(Debiting {
            transaction,
            key_index: self.purchase.key_index,
            offline_sequence: self.offline_sequence,
            terminal_sequence,
            balance,
            mac1,
        })
    }
}

impl Debiting {
    /// DEBIT FOR PURCHASE.
    pub fn command(&self) -> Vec<u8> {
        let mut apdu = Vec::with_capacity(21);
        apdu.extend([0x80, INS_DEBIT, 0x01, 0x00, 0x0F]);
        apdu.extend(self.terminal_sequence.to_be_bytes());
        apdu.extend(self.transaction.date.0);
        apdu.extend(self.transaction.time.0);
        apdu.extend(self.mac1.0);
        apdu.push(0x08);
        apdu
    }

    /// Reads the card's answer, `None` when none came, and has the PSAM check MAC2.
    ///
    /// An answer whose MAC2 is wrong did not come from the card: the debit is unsettled. A PSAM
    /// that cannot check it undoes no debit: the purchase is paid, and its receipt says that nobody
    /// has checked.
    pub fn finish(self, response: Option<&[u8]>, psam: &mut dyn Psam) -> Debit {
        match commit::answer(response) {
            Commit::Done([a, b, c, d, e, f, g, h]) => match psam.credit(Mac([e, f, g, h])) {
                Err(SamError::WrongMac2) => Debit::Unsettled(self.unsettled()),
                checked => Debit::Paid(self.receipt(Mac([a, b, c, d]), checked.err())),
            },
            Commit::Refused(refusal) => Debit::Refused(refusal),
            Commit::Unknown => Debit::Unsettled(self.unsettled()),
        }
    }

    fn receipt(self, tac: Mac, unchecked: Option<SamError>) -> Receipt {
        Receipt {
            transaction: self.transaction,
            offline_sequence: self.offline_sequence,
            terminal_sequence: self.terminal_sequence,
            balance: self.balance,
            tac,
            unchecked,
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
        self.offline_sequence
    }

    /// The balance when it has.
    pub const fn balance(&self) -> Fen {
        self.balance
    }

    const fn unsettled(&self) -> Unsettled {
        Unsettled {
            transaction: self.transaction,
            terminal_sequence: self.terminal_sequence,
            sequence: self.offline_sequence,
            key_index: self.key_index,
            balance: self.balance,
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Compound purchase (复合消费): a purchase whose DEBIT writes application records in the same
//! transaction.
//!
//! INITIALIZE FOR CAPP PURCHASE, one or more UPDATE CAPP DATA CACHE, then the DEBIT of a purchase,
//! of type 09. The records stay in the card's cache until the DEBIT: balance and records change
//! together, or none does. An amount of zero writes the records alone, as entry gates do.
//!
//! ```
//! # use cam_types::{BcdDate, BcdTime, Fen, TerminalId};
//! # use wallet::{compound::{CompoundPurchase, Update}, psam::{CardIdentity, Psam}, purchase::{Debiting, PurchaseError}};
//! # type Ask<'a> = &'a mut dyn FnMut(&[u8]) -> Vec<u8>;
//! fn enter(gate: TerminalId, card: Ask, psam: &mut dyn Psam, at: (BcdDate, BcdTime)) -> Result<Debiting, PurchaseError> {
//!     let purchase = CompoundPurchase::new(1, Fen::ZERO, gate);
//!     let answer = card(&purchase.command());
//!     let update = Update::by_identifier(0x17, &[0x09, 0x02, 0x00, 0x01]).expect("a short record");
//!     let updating = purchase.initialized(&answer)?.update(update);
//!     let answer = card(&updating.command());
//!     updating.updated(&answer)?.authorise(at.0, at.1, &CardIdentity::default(), psam)
//! }
//! ```
//!
//! Without its record the same does not compile:
//!
//! ```compile_fail,E0599
//! # use cam_types::{BcdDate, BcdTime, Fen, TerminalId};
//! # use wallet::{compound::{CompoundPurchase, Update}, psam::{CardIdentity, Psam}, purchase::{Debiting, PurchaseError}};
//! # type Ask<'a> = &'a mut dyn FnMut(&[u8]) -> Vec<u8>;
//! fn enter(gate: TerminalId, card: Ask, psam: &mut dyn Psam, at: (BcdDate, BcdTime)) -> Result<Debiting, PurchaseError> {
//!     let purchase = CompoundPurchase::new(1, Fen::ZERO, gate);
//!     let answer = card(&purchase.command());
//!     purchase.initialized(&answer)?.authorise(at.0, at.1, &CardIdentity::default(), psam)
//! }
//! ```

use crate::balance::BalanceCoding;
use crate::command::INS_UPDATE_CAPP_CACHE;
use crate::psam::{CardIdentity, Psam};
use crate::purchase::{self, Debiting, Purchase, PurchaseError};
use crate::refusal::{Refusal, Step};
use crate::response::split;
use crate::secure_messaging::{Challenge, SecureKey};
use crate::transaction::TransactionType;
use alloc::vec::Vec;
use cam_types::{BcdDate, BcdTime, Fen, StatusWord, TerminalId};
use core::fmt;

/// A compound purchase that the card has not heard of yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompoundPurchase(Purchase);

/// A compound purchase that the card can pay; its first record is due.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub struct Initialized(purchase::Initialized);

/// A record on its way to the card's cache; UPDATE CAPP DATA CACHE is its command.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub struct Updating {
    initialized: purchase::Initialized,
    update: Update,
}

/// A compound purchase with a record in the card's cache: one more record, or the PSAM's turn.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub struct Updated(purchase::Initialized);

/// One record for the card's cache.
#[derive(Clone, Eq, PartialEq)]
pub struct Update {
    header: [u8; 4],
    data: Vec<u8>,
}

impl CompoundPurchase {
    /// A compound purchase under the key `key_index`; `amount` may be zero.
    pub const fn new(key_index: u8, amount: Fen, terminal: TerminalId) -> Self {
        let (kind, coding) = (TransactionType::COMPOUND, BalanceCoding::Pboc);
        Self(Purchase { key_index, amount, terminal, kind, coding })
    }

    /// The same with a card whose balances mean this.
    #[must_use]
    pub fn coded(self, coding: BalanceCoding) -> Self {
        Self(self.0.coded(coding))
    }

    /// The same, if it is not over `limit`.
    pub fn within(self, limit: Fen) -> Result<Self, PurchaseError> {
        self.0.within(limit).map(Self)
    }

    /// INITIALIZE FOR CAPP PURCHASE.
    pub fn command(&self) -> Vec<u8> {
        self.0.command()
    }

    /// Reads the card's answer.
    pub fn initialized(self, response: &[u8]) -> Result<Initialized, PurchaseError> {
        self.0.initialized(response).map(Initialized)
    }
}

impl Initialized {
    /// What the card said.
    pub const fn card(&self) -> &purchase::Initialized {
        &self.0
    }

    /// Writes the first record.
    pub fn update(self, update: Update) -> Updating {
        Updating { initialized: self.0, update }
    }
}

impl Updating {
    /// UPDATE CAPP DATA CACHE.
    pub fn command(&self) -> Vec<u8> {
        self.update.command()
    }

    /// Reads the card's answer.
    pub fn updated(self, response: &[u8]) -> Result<Updated, PurchaseError> {
        match split(response).map_err(PurchaseError::Malformed)? {
            (_, StatusWord::OK) => Ok(Updated(self.initialized)),
            (_, sw) => Err(PurchaseError::Refused(Refusal::new(Step::Update, sw))),
        }
    }
}

impl Updated {
    /// What the card said.
    pub const fn card(&self) -> &purchase::Initialized {
        &self.0
    }

    /// Writes one more record.
    pub fn update(self, update: Update) -> Updating {
        Updating { initialized: self.0, update }
    }

    /// Asks the PSAM for MAC1.
    pub fn authorise(
        self,
        date: BcdDate,
        time: BcdTime,
        card: &CardIdentity,
        psam: &mut dyn Psam,
    ) -> Result<Debiting, PurchaseError> {
        self.0.authorise(date, time, card, psam)
    }
}

impl Update {
    /// Octets of a record at most.
    pub const MAX: usize = 255;

    /// The record of the file `sfi` whose first octet is that of `record`, its compound application
    /// type identifier.
    pub fn by_identifier(sfi: u8, record: &[u8]) -> Result<Self, RecordError> {
        let identifier = *record.first().ok_or(RecordError { octets: 0 })?;
        Self::with_parameters(identifier, sfi << 3, record)
    }

    /// The record `number` of the file `sfi`.
    pub fn by_number(sfi: u8, number: u8, record: &[u8]) -> Result<Self, RecordError> {
        Self::with_parameters(number, sfi << 3 | 0x04, record)
    }

    /// With P1 and P2 as some cards want them.
    pub fn with_parameters(p1: u8, p2: u8, record: &[u8]) -> Result<Self, RecordError> {
        match record.len() {
            1..=Self::MAX => {
                Ok(Self { header: [0x80, INS_UPDATE_CAPP_CACHE, p1, p2], data: record.to_vec() })
            }
            octets => Err(RecordError { octets }),
        }
    }

    /// The same for a file under line protection: with a MAC under the file's key.
    pub fn protected(self, key: &SecureKey, challenge: Challenge) -> Result<Self, RecordError> {
        let octets = self.data.len();
        if octets > Self::MAX - 4 {
            return Err(RecordError { octets });
        }
        let [_, ins, p1, p2] = self.header;
        let header = [0x84, ins, p1, p2];
        let command = key.secure(challenge, header, &self.data);
        Ok(Self { header, data: command.into_iter().skip(5).collect() })
    }

    /// UPDATE CAPP DATA CACHE.
    pub fn command(&self) -> Vec<u8> {
        let mut apdu = self.header.to_vec();
        // The constructors see to it that the length fits an octet.
        apdu.push(self.data.len() as u8);
        apdu.extend(&self.data);
        apdu
    }
}

/// Without the record: it may tell where somebody travels.
impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update").field("octets", &self.data.len()).finish_non_exhaustive()
    }
}

/// A record that UPDATE CAPP DATA CACHE cannot carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordError {
    octets: usize,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { octets } = self;
        write!(
            f,
            "record of {octets} octets: a record has 1 to {}, under line protection 4 less; no money has moved",
            Update::MAX
        )
    }
}

impl core::error::Error for RecordError {}

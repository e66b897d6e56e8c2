// SPDX-License-Identifier: Apache-2.0
//! What became of a transaction whose answer was lost: GET TRANSACTION PROVE, and the card's own
//! numbers.
//!
//! Cards differ in the number under which they keep the proof, the one before the transaction or
//! the one after; some answer the second with their previous transaction's proof, some show it once
//! only, some without the MAC, and some say "no proof" and "no state for that" by the same status
//! word. So both numbers are asked, and only a MAC or TAC that checks settles anything there. Where
//! none does, a counter that has not moved says that the transaction was not made, and otherwise
//! the log tells whose transaction it was.

mod inquiry;

pub use crate::unsettled::Unsettled;
pub use inquiry::Inquiry;

use crate::balance::BalanceCoding;
use crate::command::INS_PROVE;
use crate::mac::Mac;
use crate::overdraft_limit::OverdraftLimit;
use crate::passbook::PassbookError;
use crate::passbook::overdraft::OverdraftUpdate;
use crate::passbook::unload::Unload;
use crate::purchase::{Purchase, PurchaseError};
use crate::record::LogRecord;
use crate::refusal::Refusal;
use crate::transaction::{Account, Transaction, TransactionType};
use alloc::vec::Vec;
use cam_types::{DecodeError, Fen, TerminalSequence};
use core::fmt;

/// Under which number a card keeps proofs and log records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Numbering {
    /// The number that INITIALIZE returned.
    Before,
    /// The one after it.
    After,
}

impl fmt::Display for Numbering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "the number before the transaction",
            Self::After => "the number after the transaction",
        })
    }
}

/// What the card can show of a past transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proof {
    /// MAC2 of a purchase; zeros for a load, and on some cards always.
    pub mac: Mac,
    /// The transaction code (TAC), for the acquirer.
    pub tac: Mac,
}

/// Whose proof it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Check {
    /// Its MAC or TAC is this transaction's.
    Ours,
    /// It is another transaction's.
    NotOurs,
    /// It has no MAC, and the key for its TAC is not here.
    CannotTell,
}

impl From<bool> for Check {
    fn from(is_ours: bool) -> Self {
        if is_ours { Self::Ours } else { Self::NotOurs }
    }
}

/// A transaction that took place, though the answer to its commit was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Made {
    /// Amount, type, terminal, date and time.
    pub transaction: Transaction,
    /// The terminal's number; zero for a load.
    pub terminal_sequence: TerminalSequence,
    /// The sequence number before.
    pub sequence: [u8; 2],
    /// What the account holds after it.
    pub balance: Fen,
    /// What has shown it.
    pub evidence: Evidence,
}

/// What has shown that a transaction took place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// A proof whose MAC or TAC checks, and under which number it was.
    Proof(Proof, Numbering),
    /// A record in the card's log; and a proof, if the card showed one, whose TAC the acquirer has
    /// to check.
    Log(Option<Proof>),
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proof(_, numbering) => write!(f, "a proof under {numbering}"),
            Self::Log(_) => f.write_str("the card's log"),
        }
    }
}

impl Evidence {
    /// The transaction code, if the card showed one.
    pub const fn tac(&self) -> Option<Mac> {
        match self {
            Self::Proof(Proof { tac, .. }, _) | Self::Log(Some(Proof { tac, .. })) => Some(*tac),
            Self::Log(None) => None,
        }
    }
}

/// Where the inquiry stands.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Settlement {
    /// The transaction took place.
    Made(Made),
    /// It did not: start again from INITIALIZE.
    NotMade(Transaction),
    /// Ask once more.
    Ask(Inquiry),
    /// The card did not answer the question: reset, select and ask again.
    NoAnswer(Unsettled),
    /// The card refused to say.
    Refused(Unsettled, Refusal),
    /// The card has made other transactions since, and its log does not show this one: the acquirer
    /// can tell.
    MovedOn(Unsettled),
    /// Counter and balance stand where this one or one other transaction would have left them, and
    /// the log shows neither: the acquirer can tell.
    NotShown(Unsettled),
}

impl Unsettled {
    /// The first question, to be asked after a reset and a SELECT.
    pub fn inquire(self) -> Inquiry {
        self.inquire_by(Numbering::After)
    }

    /// The same, of a card that is known to keep its proofs under this number; the other is asked
    /// next.
    pub fn inquire_by(self, first: Numbering) -> Inquiry {
        Inquiry::new(self, first)
    }

    /// Whether a record of the log is this transaction's, whichever number it carries. Two of one
    /// second may be alike in all but that.
    fn is_logged_as(&self, record: &LogRecord) -> bool {
        let on = record.sequence.wrapping_sub(u16::from_be_bytes(self.sequence));
        record.transaction == self.transaction && on <= 1
    }

    fn made(self, evidence: Evidence) -> Settlement {
        let Self { transaction, terminal_sequence, sequence, balance, .. } = self;
        Settlement::Made(Made { transaction, terminal_sequence, sequence, balance, evidence })
    }

    /// The number of the transaction, as the card would keep it.
    fn number(&self, numbering: Numbering) -> [u8; 2] {
        match numbering {
            Numbering::Before => self.sequence,
            Numbering::After => u16::from_be_bytes(self.sequence).wrapping_add(1).to_be_bytes(),
        }
    }

    /// The balance, if the transaction did not take place; `None` when that is no other one.
    fn before(&self) -> Option<Fen> {
        let Transaction { amount, kind, .. } = self.transaction;
        match kind {
            TransactionType::OVERDRAFT => None,
            kind if kind.is_load() => self.balance.checked_sub(amount),
            _ => self.balance.checked_add(amount),
        }
        .filter(|before| *before != self.balance)
    }

    /// Whether the balance is to be had without the PIN, and tells something: a passbook shows
    /// nothing without it.
    fn shows_balance(&self) -> bool {
        self.transaction.kind.account() == Account::Purse && self.before().is_some()
    }

    /// Asks for the counter, and moves nothing: INITIALIZE of the smallest amount that the card
    /// takes.
    fn counter_command(&self) -> Vec<u8> {
        match self.transaction.kind {
            TransactionType::UNLOAD => self.unload().command(),
            TransactionType::OVERDRAFT => self.overdraft_update().command(),
            _ => self.purchase().command(),
        }
    }

    /// What the card says to INITIALIZE: its sequence, or why not.
    fn counter(&self, response: &[u8]) -> Result<[u8; 2], Option<Refusal>> {
        match self.transaction.kind {
            TransactionType::UNLOAD => match self.unload().answered(response) {
                Ok(card) => Ok(card.online_sequence),
                Err(PassbookError::Refused(refusal)) => Err(Some(refusal)),
                Err(_) => Err(None),
            },
            TransactionType::OVERDRAFT => match self.overdraft_update().initialized(response) {
                Ok(card) => Ok(card.online_sequence),
                Err(PassbookError::Refused(refusal)) => Err(Some(refusal)),
                Err(_) => Err(None),
            },
            _ => match self.purchase().answered(response) {
                Ok(card) => Ok(card.offline_sequence),
                Err(PurchaseError::Refused(refusal)) => Err(Some(refusal)),
                Err(_) => Err(None),
            },
        }
    }

    fn purchase(&self) -> Purchase {
        let Transaction { amount, kind, terminal, .. } = self.transaction;
        let amount = amount.min(Fen::new(1));
        // What the counter says does not depend on what a balance means.
        let coding = BalanceCoding::Pboc;
        Purchase { key_index: self.key_index, amount, terminal, kind, coding }
    }

    const fn unload(&self) -> Unload {
        Unload::of(self.key_index, Fen::new(1), self.transaction.terminal)
    }

    fn overdraft_update(&self) -> OverdraftUpdate {
        let limit = OverdraftLimit::new(self.transaction.amount).unwrap_or_default();
        OverdraftUpdate::new(self.key_index, limit, self.transaction.terminal)
    }
}

/// GET TRANSACTION PROVE.
pub const fn prove_command(kind: TransactionType, sequence: [u8; 2]) -> [u8; 8] {
    let [high, low] = sequence;
    [0x80, INS_PROVE, 0x00, kind.0, 0x02, high, low, 0x08]
}

impl Proof {
    /// The data of the answer: MAC first, the other way round than DEBIT's.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        match *data {
            [a, b, c, d, e, f, g, h] => Ok(Self { mac: Mac([a, b, c, d]), tac: Mac([e, f, g, h]) }),
            _ => Err(DecodeError::Missing("MAC and TAC")),
        }
    }

    /// Whose it is by its MAC, which some cards leave zero. `is_ours` checks the MAC.
    pub fn check_mac(&self, is_ours: impl FnOnce(Mac) -> bool) -> Check {
        if self.has_mac() { is_ours(self.mac).into() } else { Check::CannotTell }
    }

    /// Whether the card shows a MAC.
    pub fn has_mac(&self) -> bool {
        self.mac != Mac([0; 4])
    }
}

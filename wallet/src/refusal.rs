// SPDX-License-Identifier: Apache-2.0
//! What a status word means: one table for all commands of the purse, and for cards that differ.

use cam_types::StatusWord;
use core::fmt;

/// The command that was refused, as far as status words mean something else after each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// SELECT.
    Select,
    /// GET BALANCE, READ RECORD, READ BINARY.
    Read,
    /// INITIALIZE FOR LOAD.
    InitializeLoad,
    /// INITIALIZE of anything that takes money from the card.
    InitializeDebit,
    /// UPDATE CAPP DATA CACHE.
    Update,
    /// CREDIT or DEBIT.
    Commit,
    /// GET TRANSACTION PROVE.
    Prove,
    /// VERIFY and PIN CHANGE.
    Pin,
    /// A command under secure messaging.
    Secured,
}

/// Why the card refused.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Reason {
    /// No INITIALIZE is in force.
    NotInitialized,
    /// The MAC does not check.
    WrongMac,
    /// The balance does not cover the amount.
    Funds,
    /// The purse cannot hold balance and amount together.
    Overflow,
    /// The transaction counter is at its maximum.
    Exhausted,
    /// There is no key of this index.
    NoKey,
    /// There is no key of this index, or the memory failed: cards say either by the same status
    /// word.
    NoKeyOrMemory,
    /// The PIN is wanted first, or another right.
    PinWanted,
    /// The PIN has no tries left.
    PinBlocked,
    /// The application is blocked.
    Blocked,
    /// The application is blocked, or its purse would be over its maximum: cards say either by the
    /// same status word.
    BlockedOrFull,
    /// The application is blocked and stays so.
    BlockedForGood,
    /// The purse is locked by another transaction that has not ended (grey lock).
    Locked,
    /// There is no such application on the card.
    NoApplication,
    /// There is no such file or record.
    NoRecord,
    /// There is no proof of this transaction.
    NoProof,
    /// The card's memory failed.
    Memory,
    /// The conditions of use are not met.
    Conditions,
    /// The card does not know such a command.
    Unknown,
    /// The card does not take what was sent with it.
    Data,
    /// Nothing that has a name here.
    Other,
}

/// A refusal, with the status word as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// What it means.
    pub reason: Reason,
    /// What the card said.
    pub status: StatusWord,
}

impl Refusal {
    /// What `status` means after `step`. The manual, applets and real cards differ: all their
    /// status words are here.
    pub const fn new(step: Step, status: StatusWord) -> Self {
        Self { reason: Reason::of(step, status), status }
    }

    /// The refusal of a commit; `None` for every status word that leaves open whether money has
    /// moved: memory failure, warnings, and those that no purse is known to refuse with.
    pub fn of_commit(status: StatusWord) -> Option<Self> {
        let refusal = Self::new(Step::Commit, status);
        let open = matches!(refusal.reason, Reason::Memory | Reason::NoProof | Reason::Other);
        (!open).then_some(refusal)
    }
}

impl Reason {
    const fn of(step: Step, status: StatusWord) -> Self {
        use StatusWord as Sw;
        use Step::{Commit, InitializeDebit, InitializeLoad, Pin, Prove, Read, Secured, Select};
        match (status, step) {
            (Sw::WRONG_MAC | Sw::SECURE_MESSAGING, _) | (Sw::SECURITY_STATUS, Commit | Secured) => {
                Self::WrongMac
            }
            (Sw::SECURITY_STATUS, _) => Self::PinWanted,
            (Sw::NOT_INITIALIZED, _) | (Sw::CONDITIONS, Commit) => Self::NotInitialized,
            (Sw::CONDITIONS, Prove) | (Sw::NO_PROOF, _) => Self::NoProof,
            (Sw::CONDITIONS, InitializeLoad) => Self::BlockedOrFull,
            (Sw::APPLICATION_BLOCKED, _)
            | (
                Sw::CONDITIONS | Sw::DEACTIVATED,
                InitializeLoad | InitializeDebit | Read | Select,
            ) => Self::Blocked,
            (Sw::CONDITIONS, _) => Self::Conditions,
            (Sw::INSUFFICIENT_BALANCE, InitializeLoad) => Self::Overflow,
            (Sw::INSUFFICIENT_BALANCE, _) | (Sw::WRONG_DATA, InitializeDebit) => Self::Funds,
            (Sw::COUNTER_EXHAUSTED, _) => Self::Exhausted,
            (Sw::NO_KEY, _) => Self::NoKey,
            (Sw::MEMORY_FAILURE, InitializeLoad | InitializeDebit) => Self::NoKeyOrMemory,
            (Sw::PIN_BLOCKED, _) | (Sw::RECORD_NOT_FOUND, Pin) => Self::PinBlocked,
            (Sw::BLOCKED_FOR_GOOD, _) => Self::BlockedForGood,
            (Sw::GREY_LOCKED | Sw::GREY_LOCKED_TOO, _) => Self::Locked,
            (Sw::NOT_FOUND, Select) => Self::NoApplication,
            (Sw::NOT_FOUND | Sw::RECORD_NOT_FOUND, _) => Self::NoRecord,
            (Sw::MEMORY_FAILURE, _) => Self::Memory,
            (Sw::WRONG_P1P2 | Sw::OUT_OF_FILE | Sw::UNKNOWN_INS | Sw::UNKNOWN_CLA, _) => {
                Self::Unknown
            }
            (Sw::WRONG_LENGTH | Sw::WRONG_FILE | Sw::WRONG_DATA | Sw::NO_ROOM, _) => Self::Data,
            _ => Self::Other,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::NotInitialized => "no INITIALIZE is in force",
            Self::WrongMac => "the MAC is wrong",
            Self::Funds => "balance does not cover the amount",
            Self::Overflow => "purse cannot hold so much",
            Self::Exhausted => "the card's transaction counter is used up",
            Self::NoKey => "card has no key of this index",
            Self::NoKeyOrMemory => "card has no key of this index, or its memory failed",
            Self::PinWanted => "the PIN is wanted first",
            Self::PinBlocked => "the PIN has no tries left",
            Self::Blocked => "purse is blocked",
            Self::BlockedOrFull => "purse is blocked or cannot hold so much",
            Self::BlockedForGood => "purse is blocked for good",
            Self::Locked => "purse is locked by a transaction that has not ended",
            Self::NoApplication => "card has no such application",
            Self::NoRecord => "card has no such file or record",
            Self::NoProof => "card has no proof of this transaction",
            Self::Memory => "the card's memory failed",
            Self::Conditions => "the card does not do this here or now",
            Self::Unknown => "card does not know such a command",
            Self::Data => "card does not take what was sent",
            Self::Other => "card refused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.status)
    }
}

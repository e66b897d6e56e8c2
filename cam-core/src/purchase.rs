// SPDX-License-Identifier: Apache-2.0
//! Purchases: what may be bought at which price, what the card is told and asked of it, and what
//! its answer means.
//!
//! A purchase is begun (`begin.rs`) at the price that the subscriber saw (`price.rs`), confirmed
//! and paid (`pay.rs`), settled by the card's answer (`settle.rs`), and perhaps refunded later
//! (`refund.rs`). Nothing here speaks to the card: the engine asks what is next, sends it, and
//! brings the answer.
//!
//! Normative references:
//!  - `docs/spec/purchase.md`, 4 (the states of a purchase)

mod begin;
pub(crate) mod error;
mod ledger;
pub(crate) mod offer;
pub(crate) mod outcome;
pub(crate) mod pay;
mod price;
mod purse;
mod refund;
pub(crate) mod request;
mod row;
pub(crate) mod settle;

use crate::outbox::Outbox;
use crate::pause::Pause;
use crate::purchase::ledger::{Entry, Ledger};
use crate::purchase::purse::Purse;
use crate::purchase::request::Requests;
use crate::{Offer, Outcome, PurchaseError, Receipt, Transaction, TxnId, TxnState};
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{Instant, Key, Pseudonym, TerminalId};
use ecm_emm::card::{HighestNumber, WalletInfo};

/// The purchases of this box, and the purse that they are paid from.
pub(crate) struct Purchases {
    ledger: Ledger,
    requests: Requests,
    purse: Purse,
    /// The highest number of this terminal in the card's log, as this session has told it.
    highest: Option<HighestNumber>,
    /// Before it ends no purchase is asked after again.
    settling: Pause,
    /// Before it ends nothing that was paid is asked about.
    reviewing: Pause,
}

impl Purchases {
    /// From what the storage has under [`Self::keys`]; `key` and `terminal` are the box's.
    pub(crate) fn load(stored: &[(String, Vec<u8>)], key: Key, terminal: TerminalId) -> Self {
        let mut ledger = Ledger::load(stored);
        let requests = Requests::new(key, terminal);
        ledger.keep(|entry| requests.are_for(&entry.request, entry.card));
        Self {
            requests,
            ledger,
            purse: Purse::default(),
            highest: None,
            settling: Pause::default(),
            reviewing: Pause::default(),
        }
    }

    pub(crate) fn keys() -> impl Iterator<Item = String> {
        Ledger::keys()
    }

    pub(crate) fn transaction(&self, txn: TxnId) -> Result<Transaction, PurchaseError> {
        self.ledger.of_txn(txn).map(Entry::transaction).ok_or(PurchaseError::NoTransaction)
    }

    /// Oldest first; also of those that were refunded.
    pub(crate) fn receipts(&self) -> impl Iterator<Item = (TxnId, Receipt)> + '_ {
        let paid = |entry: &&Entry| matches!(entry.state(), TxnState::Paid | TxnState::Refunded);
        let entries = self.ledger.entries().iter().filter(paid);
        entries.filter_map(|entry| Some((entry.id, entry.receipt?)))
    }

    /// What the host was told last of each purchase; nothing of one that has an answer coming.
    pub(crate) fn standing(&self) -> impl Iterator<Item = (TxnId, Outcome)> + '_ {
        let entries = self.ledger.entries().iter();
        entries.filter_map(|entry| Some((entry.id, entry.standing()?)))
    }

    /// A purchase of what is offered here waits for the answer of this card, or of one that has
    /// not introduced itself yet.
    pub(crate) fn settles(&self, offer: &Offer, card: Option<Pseudonym>) -> bool {
        let of = |entry: &Entry| {
            entry.offer.sells_what(offer.id) && card.is_none_or(|card| entry.card == card)
        };
        let entries = self.ledger.entries();
        entries.iter().any(|entry| of(entry) && entry.state() == TxnState::Settling)
    }

    /// VERIFY serves the one PURCHASE that follows: nothing of another purchase or PIN comes
    /// between.
    pub(crate) fn hold_the_card(&self) -> bool {
        self.ledger.entries().iter().any(Entry::holds_the_card)
    }

    /// The purse, as read after the last change.
    pub(crate) fn wallet(&self) -> Option<WalletInfo> {
        self.purse.wallet()
    }

    /// The answer to the reading of the purse; `None` when there is none that counts.
    pub(crate) fn purse_told(&mut self, now: Instant, told: Option<WalletInfo>, out: &mut Outbox) {
        let before = self.purse.last_counts();
        self.purse.told(told, out);
        let counted = before.zip(self.purse.last_counts());
        if counted.is_some_and(|(before, now)| before.online != now.online) {
            // Each credit has everything asked about: not more often than loads are made.
            self.reviewing.failed(now);
        }
    }

    /// The answer to it is lost.
    pub(crate) fn purse_lost(&mut self, now: Instant) {
        self.settling.failed(now);
    }

    /// The highest number of this terminal in the card's log.
    pub(crate) fn number_told(&mut self, highest: HighestNumber) {
        self.highest = Some(highest);
    }

    /// It is to be read.
    pub(crate) const fn number_is_unread(&self) -> bool {
        self.highest.is_none()
    }

    /// A session with the card begins: what its purse has counted is to be read again.
    pub(crate) fn session_begins(&mut self) {
        self.purse.stale();
        self.highest = None;
    }

    /// It is another card than before.
    pub(crate) fn other_card(&mut self) {
        self.purse.forget();
    }
}

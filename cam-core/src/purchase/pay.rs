// SPDX-License-Identifier: Apache-2.0
//! Paying, step by step: VERIFY, the row on durable storage, PURCHASE. What becomes of it when the
//! answer gets lost is in `settle.rs`; the picture of both is in `docs/spec/purchase.md`, 4.
//!
//! The PIN is wiped when VERIFY is sent. A PURCHASE has the pair that its request names, which is
//! on durable storage before it is sent, and which no other request has.

use crate::outbox::Outbox;
use crate::purchase::Purchases;
use crate::purchase::ledger::{Entry, Step};
use crate::purchase::offer::OnAir;
use crate::{Event, Outcome, PinOutcome, PurchaseError, StoreId, TxnId, TxnState};
use alloc::vec::Vec;
use cam_types::{Instant, Pseudonym};
use ecm_emm::card::{PinBlock, PurchaseRequest};

/// What the card gets next for a purchase. From then on its answer is waited for.
pub(crate) enum Errand {
    /// Read the purse: what it has counted is part of settling.
    ReadPurse,
    Verify(TxnId, PinBlock),
    /// PURCHASE with this data.
    Pay(TxnId, Vec<u8>),
    /// QUERY with this data.
    Query(TxnId, Vec<u8>),
    /// QUERY of what was paid: it may have been refunded.
    Review(TxnId, Vec<u8>),
}

impl Purchases {
    /// Confirms a purchase. `pin` is ASCII digits, empty to try without: whether the PIN is needed
    /// the card says. A purchase that has ended tells its end again.
    ///
    /// `on_air` is what now has its offer's name, `card` the card in session.
    pub(crate) fn confirm(
        &mut self,
        txn: TxnId,
        pin: &[u8],
        on_air: Option<OnAir<'_>>,
        card: Option<Pseudonym>,
        out: &mut Outbox,
    ) -> Result<(), PurchaseError> {
        let entry = self.ledger.of_txn_mut(txn).ok_or(PurchaseError::NoTransaction)?;
        match entry.state() {
            TxnState::Open => {}
            state @ (TxnState::Sent | TxnState::Settling | TxnState::Cancelled) => {
                return Err(PurchaseError::State(state));
            }
            _ => {
                if let Some(outcome) = entry.end() {
                    out.event(Event::Purchase { txn, outcome });
                }
                return Ok(());
            }
        }
        let card = card.filter(|card| *card == entry.card).ok_or(PurchaseError::NoCard)?;
        // What is on air now is better than what was on air when it began: its time is fresh.
        if let Some((_, section)) = on_air {
            entry.take_section(section);
        }
        if pin.is_empty() && self.purse.has_answered() {
            self.store_before_paying(txn, card, out);
            return Ok(());
        }
        let pin = match pin {
            [] => None,
            pin => Some(PinBlock::from_ascii(pin).map_err(|_| PurchaseError::PinFormat)?),
        };
        entry.step = Step::Confirmed(pin);
        Ok(())
    }

    /// Cancels a purchase that is not confirmed, or whose PIN has not gone out.
    pub(crate) fn cancel(&mut self, txn: TxnId, out: &mut Outbox) -> Result<(), PurchaseError> {
        let entry = self.ledger.of_txn_mut(txn).ok_or(PurchaseError::NoTransaction)?;
        if !matches!(entry.step, Step::Open | Step::Confirmed(_)) {
            return Err(PurchaseError::State(entry.state()));
        }
        entry.step = Step::Cancelled;
        out.event(Event::Purchase { txn, outcome: Outcome::Cancelled });
        Ok(())
    }

    /// What this card gets next: what settles money goes first, and VERIFY and PURCHASE of one
    /// purchase are not torn apart by another's.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        card: Pseudonym,
        out: &mut Outbox,
    ) -> Option<Errand> {
        if self.settling.is_over(now)
            && let Some(entry) = self.ledger.find(|entry| entry.must_be_settled_by(card))
        {
            if self.purse.is_unread() {
                return Some(Errand::ReadPurse);
            }
            if entry.counts.is_some() && self.purse.counts().is_none() {
                // Without them NONE proves nothing, and who sits on the line can keep them back.
                self.purse.stale();
                self.settling.failed(now);
                return None;
            }
            entry.step = Step::Settling;
            return Some(Errand::Query(entry.id, query(entry)));
        }
        if let Some(entry) = self.ledger.find(|entry| matches!(entry.step, Step::Pay)) {
            if entry.card != card {
                // Stored for another card, and never sent.
                let txn = entry.id;
                self.reopen(txn, Outcome::CardGone, out);
                return None;
            }
            let txn = entry.id;
            entry.step = Step::Paying;
            return Some(Errand::Pay(txn, command(entry, 0, &entry.section)));
        }
        if self.hold_the_card() {
            return None;
        }
        let confirmed = |entry: &Entry| matches!(entry.step, Step::Confirmed(_));
        let entry = self.ledger.find(|entry| confirmed(entry) && entry.card == card)?;
        // What the purse has counted is part of settling a lost answer.
        if !self.purse.has_answered() {
            return self.settling.is_over(now).then_some(Errand::ReadPurse);
        }
        let txn = entry.id;
        match core::mem::replace(&mut entry.step, Step::Verifying) {
            Step::Confirmed(Some(pin)) => Some(Errand::Verify(txn, pin)),
            _ => {
                self.store_before_paying(txn, card, out);
                None
            }
        }
    }

    /// What the card says of the PIN of a purchase.
    pub(crate) fn pin_answered(
        &mut self,
        txn: TxnId,
        outcome: PinOutcome,
        card: Pseudonym,
        out: &mut Outbox,
    ) {
        let outcome = match outcome {
            PinOutcome::Right => return self.store_before_paying(txn, card, out),
            PinOutcome::Wrong { tries_left } => Outcome::PinWrong { tries_left },
            PinOutcome::Blocked => Outcome::PinBlocked,
            PinOutcome::Refused(_) | PinOutcome::Unreadable | PinOutcome::Failed => {
                Outcome::PinRequired
            }
        };
        self.reopen(txn, outcome, out);
    }

    /// The PIN is right, or none is wanted: the pair (terminal, sequence) goes to durable storage
    /// before the card hears of it.
    fn store_before_paying(&mut self, txn: TxnId, card: Pseudonym, out: &mut Outbox) {
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        if entry.card != card {
            return self.reopen(txn, Outcome::CardGone, out);
        }
        // Read some time ago, the counters are too low if anything: that errs on the safe side.
        entry.counts = self.purse.last_counts();
        entry.result = 0;
        entry.step = Step::Pay;
        let id = out.store(entry.row_key(), entry.row());
        entry.step = Step::Storing(id);
    }

    /// A row is on durable storage.
    pub(crate) fn stored(&mut self, id: StoreId) {
        if let Some(entry) = self.waiting_for(id) {
            entry.step = Step::Pay;
        }
    }

    /// A row could not be stored.
    pub(crate) fn store_failed(&mut self, id: StoreId, out: &mut Outbox) {
        log::warn!("a row could not be stored");
        if let Some(entry) = self.waiting_for(id) {
            let txn = entry.id;
            self.reopen(txn, Outcome::NotStored, out);
        }
    }

    fn waiting_for(&mut self, row: StoreId) -> Option<&mut Entry> {
        self.ledger.find(|entry| matches!(entry.step, Step::Storing(id) if id == row))
    }

    /// No money has moved: the purchase waits to be confirmed again. A row that says that it was
    /// sent would be asked after in the next run: it is put right.
    pub(crate) fn reopen(&mut self, txn: TxnId, outcome: Outcome, out: &mut Outbox) {
        if let Some(entry) = self.ledger.of_txn_mut(txn) {
            let stored = entry.is_stored();
            entry.step = Step::Open;
            entry.reopened = Some(outcome);
            if stored {
                out.store(entry.row_key(), entry.row());
            }
            out.event(Event::Purchase { txn, outcome });
        }
    }

    /// The card is gone: PINs are not kept for another one.
    pub(crate) fn forget_pins(&mut self, out: &mut Outbox) {
        while let Some(entry) = self.ledger.find(|entry| matches!(entry.step, Step::Confirmed(_))) {
            let txn = entry.id;
            self.reopen(txn, Outcome::CardGone, out);
        }
    }
}

/// The data of the question what became of a purchase. It has no section, so that it never debits.
pub(super) fn query(entry: &Entry) -> Vec<u8> {
    command(entry, PurchaseRequest::QUERY, &[])
}

fn command(entry: &Entry, flags: u8, section: &[u8]) -> Vec<u8> {
    let request = PurchaseRequest {
        terminal_sequence: entry.request.sequence(),
        terminal: entry.request.terminal(),
        expected_price: entry.price,
        flags,
        section,
    };
    let mut data = Vec::new();
    if let Err(why) = request.emit(&mut data) {
        // Every section was measured where it came in.
        log::error!("purchase could not be written: {why}");
    }
    data
}

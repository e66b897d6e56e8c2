// SPDX-License-Identifier: Apache-2.0
//! What became of a purchase: the card's answer to PURCHASE, and QUERY when there is none
//! (`docs/spec/purchase.md`, 4).

use crate::outbox::Outbox;
use crate::purchase::Purchases;
use crate::purchase::ledger::{Entry, Step};
use crate::{Event, Outcome, Receipt, TxnId};
use cam_types::{Instant, Pseudonym};
use ecm_emm::card::{PurchaseAnswer, PurchaseResult, PurchaseState};

/// What an answer about a purchase means beyond it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Upshot {
    Nothing,
    /// Balance and rights are to be read again.
    Changed,
    /// That, and the card opens what it refused before.
    Bought,
    /// Nobody vouches that the card said it: the line is not to be trusted.
    Untrusted,
}

impl Purchases {
    /// The answer to PURCHASE; `None` when it is none that counts.
    pub(crate) fn purchase_answered(
        &mut self,
        now: Instant,
        txn: TxnId,
        told: Option<&[u8]>,
        out: &mut Outbox,
    ) -> Upshot {
        match said(told) {
            Some(said) if said.result != PurchaseResult::NONE => {
                self.conclude(now, txn, &said, out)
            }
            // Whatever else comes after PURCHASE was sent: only the card knows.
            _ => {
                self.unsettled(now, txn, out);
                Upshot::Untrusted
            }
        }
    }

    /// The answer to QUERY; `None` when it is none that counts.
    pub(crate) fn query_answered(
        &mut self,
        now: Instant,
        txn: TxnId,
        told: Option<&[u8]>,
        out: &mut Outbox,
    ) -> Upshot {
        let Some(said) = said(told) else {
            self.unsettled(now, txn, out);
            return Upshot::Nothing;
        };
        if said.result == PurchaseResult::NONE {
            self.settling.forget();
            self.not_known(txn, &said, out);
            return Upshot::Nothing;
        }
        self.conclude(now, txn, &said, out)
    }

    /// When a question that got no answer is asked again.
    pub(crate) fn settle_due(&self, card: Pseudonym) -> Option<Instant> {
        let entries = self.ledger.entries();
        let settles = entries.iter().any(|entry| entry.must_be_settled_by(card));
        let reads = !self.purse.has_answered()
            && entries.iter().any(|entry| matches!(entry.step, Step::Confirmed(_)));
        let reviews = self
            .purse
            .counts()
            .is_some_and(|purse| entries.iter().any(|entry| entry.may_be_refunded(card, purse)));
        let settling = (settles || reads).then(|| self.settling.ends());
        settling.into_iter().chain(reviews.then(|| self.reviewing.ends())).min()
    }

    /// The answer to PURCHASE or QUERY is lost, or none that counts: the card is asked, and asked
    /// again, in its own time and never less than that.
    pub(crate) fn unsettled(&mut self, now: Instant, txn: TxnId, out: &mut Outbox) {
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        let first = matches!(entry.step, Step::Paying);
        entry.step = Step::Settle;
        if first {
            out.event(Event::Purchase { txn, outcome: Outcome::Settling });
        } else {
            self.settling.failed(now);
        }
    }

    /// The card has no record of it. That is proof as long as its log reaches back so far.
    fn not_known(&mut self, txn: TxnId, said: &PurchaseAnswer, out: &mut Outbox) {
        let purse = self.purse.counts();
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        let proven =
            purse.zip(entry.counts).is_some_and(|(now, before)| now.log_reaches_back_to(before));
        if !proven {
            self.forgotten(txn, out);
        } else if entry.is_of_this_run() {
            self.reopen(txn, Outcome::NotPaid, out);
        } else {
            entry.step = Step::Refused;
            entry.result = said.result.0;
            let balance = Some(said.balance);
            let outcome = Outcome::Refused { result: said.result.0, balance };
            self.ended(txn, outcome, out);
        }
    }

    fn forgotten(&mut self, txn: TxnId, out: &mut Outbox) {
        if let Some(entry) = self.ledger.of_txn_mut(txn) {
            entry.step = Step::Forgotten;
            self.ended(txn, Outcome::Forgotten, out);
        }
    }

    /// The card has said what became of a purchase.
    fn conclude(
        &mut self,
        now: Instant,
        txn: TxnId,
        said: &PurchaseAnswer,
        out: &mut Outbox,
    ) -> Upshot {
        let receipt = self.receipt(txn, said);
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return Upshot::Nothing };
        entry.result = said.result.0;
        let outcome = match said.result {
            // The card debits only the price that was expected: a record of another amount belongs
            // to another request.
            PurchaseResult::DONE if said.amount != entry.price => {
                self.forgotten(txn, out);
                return Upshot::Nothing;
            }
            PurchaseResult::PAID | PurchaseResult::DONE => {
                entry.step = Step::Paid;
                entry.receipt = receipt;
                entry.counts = self.purse.counts().or(entry.counts);
                match entry.end() {
                    Some(outcome) => outcome,
                    None => return Upshot::Nothing,
                }
            }
            PurchaseResult::OWNED => {
                entry.step = Step::Owned;
                entry.receipt = receipt;
                Outcome::Owned(receipt)
            }
            PurchaseResult::PIN_REQUIRED => {
                self.reopen(txn, Outcome::PinRequired, out);
                return Upshot::Nothing;
            }
            result if result.is_refusal() => {
                entry.step = Step::Refused;
                if result == PurchaseResult::SEQUENCE {
                    self.highest = None;
                }
                Outcome::Refused { result: result.0, balance: Some(said.balance) }
            }
            // A result that this version does not know.
            _ => {
                self.unsettled(now, txn, out);
                return Upshot::Nothing;
            }
        };
        self.settling.forget();
        self.ended(txn, outcome, out);
        match outcome {
            Outcome::Paid(_) | Outcome::Owned(_) => Upshot::Bought,
            _ => Upshot::Changed,
        }
    }

    /// Tells how it ended, now and after a restart. When the row is lost, the card is asked once
    /// more.
    pub(super) fn ended(&mut self, txn: TxnId, outcome: Outcome, out: &mut Outbox) {
        if let Some(entry) = self.ledger.of_txn(txn) {
            out.store(entry.row_key(), entry.row());
        }
        out.event(Event::Purchase { txn, outcome });
    }

    /// What the card said, as a receipt; `None` when it told that the right is there and no more.
    fn receipt(&self, txn: TxnId, said: &PurchaseAnswer) -> Option<Receipt> {
        let entry = self.ledger.of_txn(txn).filter(|_| said.state != PurchaseState::NONE)?;
        let receipt = receipt_of(entry, said);
        if said.result != PurchaseResult::OWNED {
            return Some(receipt);
        }
        // The first one's receipt: with its names, if it was bought here.
        let mut bought = self.ledger.entries().iter().filter_map(|other| other.receipt);
        let first = bought.find(|other| {
            (other.card_sequence, other.chain) == (said.offline_sequence, said.receipt)
        });
        Some(first.unwrap_or(Receipt {
            terminal: Default::default(),
            terminal_sequence: Default::default(),
            ..receipt
        }))
    }
}

/// What the card's answer says of a purchase.
pub(super) fn said(told: Option<&[u8]>) -> Option<PurchaseAnswer> {
    PurchaseAnswer::parse(told?).ok()
}

fn receipt_of(entry: &Entry, said: &PurchaseAnswer) -> Receipt {
    Receipt {
        request: entry.request,
        offer: entry.offer,
        event: entry.event,
        amount: said.amount,
        balance_before: said.balance.checked_add(said.amount).unwrap_or(said.balance),
        balance_after: said.balance,
        date: said.date,
        time: said.time,
        terminal: entry.request.terminal(),
        terminal_sequence: entry.request.sequence(),
        card_sequence: said.offline_sequence,
        tac: said.tac,
        chain: said.receipt,
        refunded: said.state == PurchaseState::REFUNDED,
    }
}

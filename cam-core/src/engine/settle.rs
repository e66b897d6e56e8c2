// SPDX-License-Identifier: Apache-2.0
//! What became of a purchase: the card's word on PURCHASE, and QUERY when there is none
//! (`docs/spec/purchase.md`, 4).

use crate::card::exchange::{Answer, Exchange, Trouble};
use crate::card::link::Purse;
use crate::engine::Engine;
use crate::purchase::ledger::{Counts, Step};
use crate::{Event, Outcome, Receipt, TxnId};
use cam_types::Instant;
use core::time::Duration;
use ecm_emm::card::{PurchaseAnswer, PurchaseResult, PurchaseState};

impl Engine {
    /// A card that does not say what became of a purchase is asked again after so long.
    const ASK_AGAIN: Duration = Duration::from_secs(5);

    pub(crate) fn purchase_answered(&mut self, now: Instant, txn: TxnId, answer: Answer) {
        match self.said(answer) {
            Some(said) if said.result != PurchaseResult::NONE => self.conclude(now, txn, &said),
            // Whatever else comes after PURCHASE was sent: only the card knows.
            _ => {
                self.unsettled(txn);
                self.trouble(now, Trouble::Line);
            }
        }
    }

    pub(crate) fn query_answered(&mut self, now: Instant, txn: TxnId, answer: Answer) {
        match self.said(answer) {
            Some(said) if said.result == PurchaseResult::NONE => self.not_known(txn, &said),
            Some(said) => self.conclude(now, txn, &said),
            None => {
                self.settle_after = now.after(Self::ASK_AGAIN);
                self.unsettled(txn);
            }
        }
    }

    fn said(&self, answer: Answer) -> Option<PurchaseAnswer> {
        answer.ok().filter(|sw| *sw == 0x9000)?;
        PurchaseAnswer::parse(self.dialogue.data()).ok()
    }

    /// The answer to PURCHASE or QUERY is lost.
    pub(crate) fn unsettled(&mut self, txn: TxnId) {
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        let first = matches!(entry.step, Step::Paying);
        entry.step = Step::Settle;
        if first {
            self.out.event(Event::Purchase { txn, outcome: Outcome::Settling });
        }
    }

    /// The card has no record of it. That is proof as long as its log reaches back so far.
    fn not_known(&mut self, txn: TxnId, said: &PurchaseAnswer) {
        let purse = self.counts();
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        let proven =
            purse.zip(entry.counts).is_some_and(|(now, before)| now.log_reaches_back_to(before));
        if !proven {
            self.forgotten(txn);
        } else if entry.is_of_this_run() {
            self.reopen(txn, Outcome::NotPaid);
        } else {
            entry.step = Step::Refused;
            entry.result = said.result.0;
            let balance = Some(said.balance);
            let outcome = Outcome::Refused { result: said.result.0, balance };
            self.ended(txn, outcome);
        }
    }

    fn forgotten(&mut self, txn: TxnId) {
        if let Some(entry) = self.ledger.of_txn_mut(txn) {
            entry.step = Step::Forgotten;
            self.ended(txn, Outcome::Forgotten);
        }
    }

    /// The card has said what became of a purchase.
    fn conclude(&mut self, now: Instant, txn: TxnId, said: &PurchaseAnswer) {
        let (receipt, purse) = (self.receipt(txn, said), self.counts());
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        entry.result = said.result.0;
        let outcome = match said.result {
            // The card debits only the price that was expected: a record of another amount belongs
            // to another request.
            PurchaseResult::DONE if said.amount != entry.price => {
                self.forgotten(txn);
                return;
            }
            PurchaseResult::PAID | PurchaseResult::DONE => {
                entry.step = Step::Paid;
                entry.receipt = receipt;
                entry.counts = purse.or(entry.counts);
                match entry.end() {
                    Some(outcome) => outcome,
                    None => return,
                }
            }
            PurchaseResult::OWNED => {
                entry.step = Step::Owned;
                entry.receipt = receipt;
                Outcome::Owned(receipt)
            }
            PurchaseResult::PIN_REQUIRED => {
                self.reopen(txn, Outcome::PinRequired);
                return;
            }
            result if result.is_refusal() => {
                entry.step = Step::Refused;
                let sequence = entry.request.sequence();
                let purse_is_used_up =
                    self.wallet.is_some_and(|wallet| wallet.offline_sequence == u16::MAX);
                if result == PurchaseResult::SEQUENCE && !purse_is_used_up {
                    self.requests.later_is_known(sequence);
                }
                Outcome::Refused { result: result.0, balance: Some(said.balance) }
            }
            // A result that this version does not know: the card is asked again, in its own time.
            _ => {
                self.settle_after = now.after(Self::ASK_AGAIN);
                self.unsettled(txn);
                return;
            }
        };
        self.ended(txn, outcome);
        self.refresh.state();
        if matches!(outcome, Outcome::Paid(_) | Outcome::Owned(_)) {
            self.ask_again(|_| true);
        }
    }

    /// Tells how it ended, now and after a restart. When the row is lost, the card is asked once
    /// more.
    fn ended(&mut self, txn: TxnId, outcome: Outcome) {
        if let Some(entry) = self.ledger.of_txn(txn) {
            self.out.store(entry.row_key(), entry.row());
        }
        self.out.event(Event::Purchase { txn, outcome });
    }

    /// What the card said, as a receipt; `None` when it told that the right is there and no more.
    fn receipt(&self, txn: TxnId, said: &PurchaseAnswer) -> Option<Receipt> {
        let entry = self.ledger.of_txn(txn).filter(|_| said.state != PurchaseState::NONE)?;
        let balance_before = said.balance.checked_add(said.amount).unwrap_or(said.balance);
        let receipt = Receipt {
            request: entry.request,
            offer: entry.offer,
            event: entry.event,
            amount: said.amount,
            balance_before,
            balance_after: said.balance,
            date: said.date,
            time: said.time,
            terminal: entry.request.terminal(),
            terminal_sequence: entry.request.sequence(),
            card_sequence: said.offline_sequence,
            tac: said.tac,
            chain: said.receipt,
            refunded: said.state == PurchaseState::REFUNDED,
        };
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

    /// What the purse has counted, as read in this session.
    fn counts(&self) -> Option<Counts> {
        self.wallet.as_ref().filter(|_| self.purse == Purse::Read).map(Counts::of)
    }

    /// A refund comes by EMM, which only the card can read: once the purse has counted a credit, it
    /// is asked about what was paid.
    pub(crate) fn send_review(&mut self) -> bool {
        let (Some(card), Some(purse)) = (self.emm.address(), self.counts()) else { return false };
        let Some(entry) = self.ledger.find(|entry| entry.may_be_refunded(card, purse)) else {
            return false;
        };
        let txn = entry.id;
        self.send_purchase(txn, Exchange::Review(txn));
        true
    }

    pub(crate) fn review_answered(&mut self, txn: TxnId, answer: Answer) {
        let (said, purse) = (self.said(answer), self.counts());
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        entry.counts = purse;
        let refunded = said.is_some_and(|said| said.state == PurchaseState::REFUNDED);
        let receipt = entry.receipt.as_mut().filter(|_| refunded);
        if let Some(receipt) = receipt {
            receipt.refunded = true;
            let outcome = Outcome::Refunded(*receipt);
            self.ended(txn, outcome);
            self.refresh.state();
        } else {
            self.out.store(entry.row_key(), entry.row());
        }
    }
}

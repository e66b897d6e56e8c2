// SPDX-License-Identifier: Apache-2.0
//! Refunds of what was paid. They come by EMM, which only the card can read: once the purse has
//! counted a credit, the card is asked about what was paid.

use crate::outbox::Outbox;
use crate::purchase::Purchases;
use crate::purchase::pay::{Errand, query};
use crate::purchase::settle::{Upshot, said};
use crate::{Outcome, TxnId};
use cam_types::{Instant, Pseudonym};
use ecm_emm::card::PurchaseState;

impl Purchases {
    /// The question about a purchase that this card may have refunded, if there is one.
    pub(crate) fn next_review(&mut self, now: Instant, card: Pseudonym) -> Option<Errand> {
        let purse = self.purse.counts().filter(|_| self.reviewing.is_over(now))?;
        let entry = self.ledger.find(|entry| entry.may_be_refunded(card, purse))?;
        Some(Errand::Review(entry.id, query(entry)))
    }

    /// The answer is lost: the question stays.
    pub(crate) fn review_lost(&mut self, now: Instant) {
        self.reviewing.failed(now);
    }

    pub(crate) fn review_answered(
        &mut self,
        now: Instant,
        txn: TxnId,
        told: Option<&[u8]>,
        out: &mut Outbox,
    ) -> Upshot {
        let Some(said) = said(told) else {
            self.review_lost(now);
            return Upshot::Nothing;
        };
        let refunded = said.state == PurchaseState::REFUNDED;
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return Upshot::Nothing };
        entry.counts = self.purse.counts();
        let Some(receipt) = entry.receipt.as_mut().filter(|_| refunded) else {
            out.store(entry.row_key(), entry.row());
            return Upshot::Nothing;
        };
        receipt.refunded = true;
        let outcome = Outcome::Refunded(*receipt);
        self.ended(txn, outcome, out);
        Upshot::Changed
    }
}

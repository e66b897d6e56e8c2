// SPDX-License-Identifier: Apache-2.0
//! Purchases at the engine's doors: the host's calls, what goes to the card for them and what comes
//! back, and what follows for the rest of the engine. The law is in the room `purchase/`.

use crate::card::exchange::{Answer, Exchange, Trouble};
use crate::card::refresh::Part;
use crate::engine::Engine;
use crate::purchase::offer::OnAir;
use crate::purchase::pay::Errand;
use crate::purchase::settle::Upshot;
use crate::session::places::Sessions;
use crate::{CardState, OfferId, PurchaseError, RequestId, TxnId};
use cam_types::{Fen, Instant, Pseudonym};
use ecm_emm::card::{
    INS_PURCHASE, INS_RIGHTS, INS_VERIFY, RIGHTS_WALLET, VERIFY_PURCHASE, WalletInfo,
};

impl Engine {
    /// A name for one wish to buy. Its purchase has one number of this terminal from now on.
    pub fn request_new(&mut self) -> Result<RequestId, PurchaseError> {
        let card = self.card_in_session().ok_or(PurchaseError::NoCard)?;
        let clock = self.card.now.ok_or(PurchaseError::Unread)?;
        let mut random = [0; 2];
        self.config.entropy.fill(&mut random);
        self.purchases.request(card, clock, random)
    }

    /// Begins a purchase. The same request id gives the same purchase back, whatever became of it,
    /// also after a restart. A request of an earlier run that nothing is known of here is asked
    /// after, and never paid.
    pub fn purchase_begin(
        &mut self,
        now: Instant,
        offer: OfferId,
        request: RequestId,
        price_seen: Fen,
    ) -> Result<TxnId, PurchaseError> {
        let (on_air, card) = (on_air(&self.sessions, offer), self.card_in_session());
        let result = self.purchases.begin(request, offer, price_seen, on_air, card);
        self.turn(now);
        result
    }

    /// Confirms a purchase. `pin` is ASCII digits, empty to try without. The answer comes as
    /// [`crate::Event::Purchase`]; a purchase that has ended reports its end again, without a
    /// debit.
    pub fn purchase_confirm(
        &mut self,
        now: Instant,
        txn: TxnId,
        pin: &[u8],
    ) -> Result<(), PurchaseError> {
        let known = self.purchases.transaction(txn).ok();
        let on_air = known.and_then(|known| on_air(&self.sessions, known.offer));
        let card = self.card_in_session();
        let result = self.purchases.confirm(txn, pin, on_air, card, &mut self.out);
        self.turn(now);
        result
    }

    /// Cancels a purchase that is not confirmed.
    pub fn purchase_cancel(&mut self, now: Instant, txn: TxnId) -> Result<(), PurchaseError> {
        self.purchases.cancel(txn, &mut self.out)?;
        self.turn(now);
        Ok(())
    }

    fn card_in_session(&self) -> Option<Pseudonym> {
        self.dialogue.card().filter(|_| self.card.state == CardState::Ready)
    }

    /// What a purchase wants of the card next.
    pub(crate) fn send_purse(&mut self, now: Instant) -> bool {
        let Some(card) = self.dialogue.card() else { return false };
        let errand = self.purchases.next(now, card, &mut self.out);
        self.send_for_purchase(errand)
    }

    /// Whether what was paid has been refunded.
    pub(crate) fn send_review(&mut self, now: Instant) -> bool {
        let Some(card) = self.dialogue.card() else { return false };
        let errand = self.purchases.next_review(now, card);
        self.send_for_purchase(errand)
    }

    fn send_for_purchase(&mut self, errand: Option<Errand>) -> bool {
        match errand {
            None => return false,
            Some(Errand::ReadPurse) => {
                self.refresh.balance_is_read();
                self.send(Exchange::Balance, INS_RIGHTS, RIGHTS_WALLET, &[]);
            }
            Some(Errand::Verify(txn, pin)) => {
                self.send(Exchange::VerifyFor(txn), INS_VERIFY, VERIFY_PURCHASE, pin.expose());
            }
            Some(Errand::Pay(txn, data)) => {
                self.send(Exchange::Purchase(txn), INS_PURCHASE, 0, &data);
            }
            Some(Errand::Query(txn, data)) => {
                self.send(Exchange::Query(txn), INS_PURCHASE, 0, &data);
            }
            Some(Errand::Review(txn, data)) => {
                self.send(Exchange::Review(txn), INS_PURCHASE, 0, &data);
            }
        }
        true
    }

    /// When a question that got no answer is asked again.
    pub(crate) fn settle_due(&self) -> Option<Instant> {
        self.purchases.settle_due(self.dialogue.card()?)
    }

    pub(crate) fn purchase_pin_answered(&mut self, txn: TxnId, answer: Answer) {
        let outcome = self.pin_outcome(answer);
        let Some(card) = self.dialogue.card() else { return };
        self.purchases.pin_answered(txn, outcome, card, &mut self.out);
    }

    pub(crate) fn purchase_answered(&mut self, now: Instant, txn: TxnId, answer: Answer) {
        let told = self.dialogue.told(answer);
        let upshot = self.purchases.purchase_answered(now, txn, told, &mut self.out);
        self.purchase_moved(now, upshot);
    }

    pub(crate) fn query_answered(&mut self, now: Instant, txn: TxnId, answer: Answer) {
        let told = self.dialogue.told(answer);
        let upshot = self.purchases.query_answered(now, txn, told, &mut self.out);
        self.purchase_moved(now, upshot);
    }

    pub(crate) fn review_answered(&mut self, now: Instant, txn: TxnId, answer: Answer) {
        let told = self.dialogue.told(answer);
        let upshot = self.purchases.review_answered(now, txn, told, &mut self.out);
        self.purchase_moved(now, upshot);
    }

    fn purchase_moved(&mut self, now: Instant, upshot: Upshot) {
        if self.purchases.number_is_unread() {
            self.refresh.number();
        }
        match upshot {
            Upshot::Nothing => {}
            Upshot::Changed => self.refresh.state(),
            Upshot::Bought => {
                self.refresh.state();
                self.ask_again(|_| true);
            }
            Upshot::Untrusted => self.trouble(now, Trouble::Line),
        }
    }

    pub(crate) fn balance_answered(&mut self, now: Instant, answer: Answer) {
        let told = self.dialogue.told(answer).and_then(|data| WalletInfo::parse(data).ok());
        match told {
            Some(_) => self.refresh.answered(Part::Balance),
            None => self.refresh.failed(now, Part::Balance),
        }
        self.purchases.purse_told(now, told, &mut self.out);
    }
}

/// What has this name now.
fn on_air(sessions: &Sessions, id: OfferId) -> Option<OnAir<'_>> {
    sessions.find(id.session())?.offers().find(|(offer, _)| offer.id == id)
}

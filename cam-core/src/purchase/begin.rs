// SPDX-License-Identifier: Apache-2.0
//! Beginning a purchase: the request decides which one it is, the offer and the price that the
//! subscriber saw whether there is one.

use crate::purchase::Purchases;
use crate::purchase::ledger::{Entry, Step};
use crate::purchase::offer::OnAir;
use crate::purchase::price;
use crate::{OfferId, PurchaseError, RequestId, TxnId, TxnState};
use cam_types::{CasTime, Fen, Pseudonym};
use ecm_emm::card::HighestNumber;

impl Purchases {
    /// A name for one wish to buy with this card; `clock` is what it has said in this session.
    pub(crate) fn request(
        &mut self,
        card: Pseudonym,
        clock: CasTime,
        random: [u8; 2],
    ) -> Result<RequestId, PurchaseError> {
        let HighestNumber(highest) = self.highest.ok_or(PurchaseError::Unread)?;
        let stored = self.ledger.next_sequence(card);
        let given = self.requests.give(card, stored, clock, highest, random);
        given.ok_or(PurchaseError::NumbersUsedUp)
    }

    /// The same request id gives the same purchase back, whatever became of it, and none for
    /// another offer. A request of an earlier run that nothing is known of here is asked after,
    /// and never paid.
    ///
    /// `on_air` is what now has the offer's name, `card` the card in session.
    pub(crate) fn begin(
        &mut self,
        request: RequestId,
        offer: OfferId,
        price_seen: Fen,
        on_air: Option<OnAir<'_>>,
        card: Option<Pseudonym>,
    ) -> Result<TxnId, PurchaseError> {
        let known = self.ledger.of_request(&request);
        if known.is_none() {
            let card = card.ok_or(PurchaseError::NoCard)?;
            if !self.requests.are_for(&request, card) {
                return Err(PurchaseError::ForeignRequest);
            }
        }
        let known = self.ledger.of_request(&request);
        if known.as_ref().is_some_and(|entry| !entry.offer.sells_what(offer)) {
            return Err(PurchaseError::RequestReused);
        }
        if let Some(entry) = known
            && matches!(entry.step, Step::LeftOpen)
        {
            // A copy of the storage may be older than what became of it.
            if !entry.is_unpaid_by(card, self.purse.counts()) {
                entry.step = Step::Settle;
            }
            return Ok(entry.id);
        }
        match self.ledger.of_request(&request).map(|entry| (entry.id, entry.state())) {
            Some((txn, TxnState::Open)) => self.begin_again(txn, price_seen, on_air),
            Some((txn, TxnState::Forgotten)) => self.ask_after(txn, card),
            Some((txn, _)) => Ok(txn),
            None if self.requests.is_fresh(&request) => {
                self.begin_new(request, card, price_seen, on_air)
            }
            None => self.begin_old(request, offer, price_seen, card),
        }
    }

    fn begin_new(
        &mut self,
        request: RequestId,
        card: Option<Pseudonym>,
        price_seen: Fen,
        on_air: Option<OnAir<'_>>,
    ) -> Result<TxnId, PurchaseError> {
        let card = card.ok_or(PurchaseError::NoCard)?;
        let (offer, section) = on_air.ok_or(PurchaseError::NoOffer)?;
        price::compare(offer.price, price_seen)?;
        let begun = self.ledger.begin(request, card, offer.id, offer.event, price_seen, section);
        let txn = begun.ok_or(PurchaseError::Full)?.id;
        self.requests.used(&request);
        Ok(txn)
    }

    /// The same request, not confirmed yet: the offer may have fresh time by now.
    fn begin_again(
        &mut self,
        txn: TxnId,
        price_seen: Fen,
        on_air: Option<OnAir<'_>>,
    ) -> Result<TxnId, PurchaseError> {
        let entry = self.ledger.of_txn_mut(txn).ok_or(PurchaseError::NoTransaction)?;
        price::compare(Some(entry.price), price_seen)?;
        if let Some((offer, section)) = on_air {
            entry.offer = offer.id;
            entry.take_section(section);
        }
        Ok(txn)
    }

    /// A request that neither this run nor the storage knows: the card is asked by its pair.
    fn begin_old(
        &mut self,
        request: RequestId,
        offer: OfferId,
        price_seen: Fen,
        card: Option<Pseudonym>,
    ) -> Result<TxnId, PurchaseError> {
        let card = card.ok_or(PurchaseError::NoCard)?;
        // The storage was lost between the two: what the card says under this pair is the other's.
        let pair = |entry: &Entry| entry.card == card && entry.request.pair() == request.pair();
        if self.ledger.entries().iter().any(pair) {
            return Err(PurchaseError::Forgotten);
        }
        let begun = self.ledger.begin(request, card, offer, None, price_seen, &[]);
        let txn = begun.ok_or(PurchaseError::Full)?.id;
        self.ask_after(txn, Some(card))
    }

    /// Its own card is asked.
    fn ask_after(&mut self, txn: TxnId, card: Option<Pseudonym>) -> Result<TxnId, PurchaseError> {
        let entry = self.ledger.of_txn_mut(txn).ok_or(PurchaseError::NoTransaction)?;
        if card != Some(entry.card) {
            return Err(PurchaseError::NoCard);
        }
        entry.step = Step::Settle;
        Ok(txn)
    }
}

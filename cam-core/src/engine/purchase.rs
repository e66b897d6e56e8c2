// SPDX-License-Identifier: Apache-2.0
//! Purchases, step by step: VERIFY, the row on durable storage, PURCHASE. What becomes of it when
//! the answer gets lost is in `settle.rs`; the picture of both is in `docs/spec/purchase.md`, 4.
//!
//! The PIN is wiped when VERIFY is sent. A PURCHASE has the pair that its request names, which is
//! on durable storage before it is sent, and which no other request has.

use crate::card::exchange::{Answer, Exchange};
use crate::card::link::{PinRequest, Purse};
use crate::engine::Engine;
use crate::purchase::ledger::{Counts, Entry, Step};
use crate::{
    AccessStatus, CardState, Event, OfferId, OfferKind, Outcome, PinAnswer, PinOutcome,
    PurchaseError, RequestId, StoreId, Ticket, TxnId, TxnState,
};
use alloc::vec::Vec;
use cam_types::{Fen, Instant};
use ecm_emm::card::RIGHTS_WALLET;
use ecm_emm::card::{self, INS_PURCHASE, INS_RIGHTS, INS_VERIFY, PinBlock, PurchaseRequest};
use gp::scp03::ScpError;

impl Engine {
    /// PINs that wait to be verified, at most.
    const MAX_PINS: usize = 4;

    /// A name for one wish to buy. Its purchase has one number of this terminal from now on.
    pub fn request_new(&mut self) -> Result<RequestId, PurchaseError> {
        let clock = self.card.now.filter(|_| self.card.state == CardState::Ready);
        let clock = clock.ok_or(PurchaseError::NoCard)?;
        let mut random = [0; 2];
        self.config.entropy.fill(&mut random);
        self.requests.give(clock, random).ok_or(PurchaseError::NumbersUsedUp)
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
        let result = self.begin(offer, request, price_seen);
        self.turn(now);
        result
    }

    fn begin(
        &mut self,
        offer: OfferId,
        request: RequestId,
        price_seen: Fen,
    ) -> Result<TxnId, PurchaseError> {
        if !self.requests.are_ours(&request) {
            return Err(PurchaseError::ForeignRequest);
        }
        match self.ledger.of_request(&request).map(|entry| (entry.id, entry.state())) {
            Some((txn, TxnState::Open)) => self.begin_again(txn, offer, price_seen),
            Some((txn, TxnState::Forgotten)) => self.ask_after(txn),
            Some((txn, _)) => Ok(txn),
            None if self.requests.is_fresh(&request) => self.begin_new(offer, request, price_seen),
            None => self.begin_old(offer, request, price_seen),
        }
    }

    fn begin_new(
        &mut self,
        id: OfferId,
        request: RequestId,
        price_seen: Fen,
    ) -> Result<TxnId, PurchaseError> {
        let (offer, section) = self
            .sessions
            .find(id.session())
            .and_then(|session| session.offers().find(|(offer, _)| offer.id == id))
            .ok_or(PurchaseError::NoOffer)?;
        offer
            .agrees(price_seen)
            .map_err(|price| PurchaseError::PriceChanged { price, seen: price_seen })?;
        // A further slice of time is bought before the first has ended; an event only once.
        if offer.owned && offer.kind == OfferKind::Event {
            return Err(PurchaseError::AlreadyOwned);
        }
        let begun = self.ledger.begin(request, offer.id, offer.event, price_seen, section);
        let txn = begun.ok_or(PurchaseError::Full)?.id;
        self.requests.used(&request);
        Ok(txn)
    }

    /// The same request, not confirmed yet: the offer may have fresh time by now.
    fn begin_again(
        &mut self,
        txn: TxnId,
        id: OfferId,
        price_seen: Fen,
    ) -> Result<TxnId, PurchaseError> {
        let entry = self.ledger.of_txn_mut(txn).ok_or(PurchaseError::NoTransaction)?;
        if entry.price != price_seen {
            return Err(PurchaseError::PriceChanged { price: entry.price, seen: price_seen });
        }
        let offer = self
            .sessions
            .find(id.session())
            .and_then(|session| session.offers().find(|(offer, _)| offer.id == id));
        if let Some((offer, section)) = offer {
            if offer.event != entry.event {
                return Err(PurchaseError::RequestReused);
            }
            entry.offer = offer.id;
            entry.section.clear();
            entry.section.extend_from_slice(section);
        }
        Ok(txn)
    }

    /// A request that neither this run nor the storage knows: the card is asked by its pair.
    fn begin_old(
        &mut self,
        offer: OfferId,
        request: RequestId,
        price_seen: Fen,
    ) -> Result<TxnId, PurchaseError> {
        if self.card.state != CardState::Ready {
            return Err(PurchaseError::NoCard);
        }
        // The storage was lost between the two: what the card says under this pair is the other's.
        let pair = |entry: &Entry| entry.request.pair() == request.pair();
        if self.ledger.entries().iter().any(pair) {
            return Err(PurchaseError::Forgotten);
        }
        let begun = self.ledger.begin(request, offer, None, price_seen, &[]);
        let txn = begun.ok_or(PurchaseError::Full)?.id;
        self.ask_after(txn)
    }

    fn ask_after(&mut self, txn: TxnId) -> Result<TxnId, PurchaseError> {
        let card = self.emm.address().filter(|_| self.card.state == CardState::Ready);
        let card = card.ok_or(PurchaseError::NoCard)?;
        let entry = self.ledger.of_txn_mut(txn).ok_or(PurchaseError::NoTransaction)?;
        entry.card = card;
        entry.step = Step::Settle;
        Ok(txn)
    }

    /// Confirms a purchase. `pin` is ASCII digits, empty to try without. The answer comes as
    /// [`Event::Purchase`]; a purchase that has ended reports its end again, without a debit.
    pub fn purchase_confirm(
        &mut self,
        now: Instant,
        txn: TxnId,
        pin: &[u8],
    ) -> Result<(), PurchaseError> {
        let result = self.confirm(txn, pin);
        self.turn(now);
        result
    }

    fn confirm(&mut self, txn: TxnId, pin: &[u8]) -> Result<(), PurchaseError> {
        let entry = self.ledger.of_txn_mut(txn).ok_or(PurchaseError::NoTransaction)?;
        match entry.state() {
            TxnState::Open => {}
            state @ (TxnState::Sent | TxnState::Settling | TxnState::Cancelled) => {
                return Err(PurchaseError::State(state));
            }
            _ => {
                if let Some(outcome) = entry.end() {
                    self.out.event(Event::Purchase { txn, outcome });
                }
                return Ok(());
            }
        }
        // What the purse has counted is part of settling a lost answer.
        if self.card.state != CardState::Ready
            || (self.wallet.is_none() && self.purse == Purse::NotRead)
        {
            return Err(PurchaseError::NoCard);
        }
        // What is on air now is better than what was on air when it began: its time is fresh.
        let newest = self.sessions.find(entry.offer.session()).and_then(|session| {
            session.offers().find(|(offer, _)| offer.id == entry.offer).map(|(_, section)| section)
        });
        if let Some(section) = newest {
            entry.section.clear();
            entry.section.extend_from_slice(section);
        }
        if pin.is_empty() {
            self.store_before_paying(txn);
            return Ok(());
        }
        entry.step = Step::Pin(PinBlock::from_ascii(pin).map_err(|_| PurchaseError::PinFormat)?);
        Ok(())
    }

    /// Cancels a purchase that is not confirmed.
    pub fn purchase_cancel(&mut self, now: Instant, txn: TxnId) -> Result<(), PurchaseError> {
        let entry = self.ledger.of_txn_mut(txn).ok_or(PurchaseError::NoTransaction)?;
        if !matches!(entry.step, Step::Open | Step::Pin(_)) {
            return Err(PurchaseError::State(entry.state()));
        }
        entry.step = Step::Cancelled;
        self.out.event(Event::Purchase { txn, outcome: Outcome::Cancelled });
        self.turn(now);
        Ok(())
    }

    /// Asks the card whether this PIN (ASCII digits) is right. The answer comes as [`Event::Pin`].
    pub fn pin_verify(&mut self, now: Instant, pin: &[u8]) -> Result<Ticket, PurchaseError> {
        let pin = PinBlock::from_ascii(pin).map_err(|_| PurchaseError::PinFormat)?;
        self.pin_request(now, PinRequest::Verify(pin))
    }

    /// Gives the card another PIN (ASCII digits both). The answer comes as [`Event::Pin`]: whether
    /// the old one was right, and then the new one is the card's.
    pub fn pin_change(
        &mut self,
        now: Instant,
        old: &[u8],
        new: &[u8],
    ) -> Result<Ticket, PurchaseError> {
        let [old, new] = [old, new].map(PinBlock::from_ascii);
        match (old, new) {
            (Ok(old), Ok(new)) => self.pin_request(now, PinRequest::Change { old, new }),
            _ => Err(PurchaseError::PinFormat),
        }
    }

    fn pin_request(&mut self, now: Instant, request: PinRequest) -> Result<Ticket, PurchaseError> {
        if self.card.state != CardState::Ready {
            return Err(PurchaseError::NoCard);
        }
        if self.pins.len() >= Self::MAX_PINS {
            return Err(PurchaseError::Full);
        }
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = Ticket(self.tickets);
        self.pins.push_back((ticket, request));
        self.turn(now);
        Ok(ticket)
    }

    /// The next command of a purchase: what settles money goes first, and VERIFY and PURCHASE of
    /// one purchase are not torn apart by another's.
    pub(crate) fn send_purse(&mut self, now: Instant) -> bool {
        let Some(card) = self.emm.address() else { return false };
        if now >= self.settle_after
            && let Some(entry) = self.ledger.find(|entry| entry.must_be_settled_by(card))
        {
            if self.purse == Purse::NotRead {
                self.refresh.balance_is_read();
                self.send(Exchange::Balance, INS_RIGHTS, RIGHTS_WALLET, &[]);
                return true;
            }
            entry.step = Step::Settling;
            let txn = entry.id;
            self.send_purchase(txn, Exchange::Query(txn));
            return true;
        }
        if let Some(entry) = self.ledger.find(|entry| matches!(entry.step, Step::Pay)) {
            let txn = entry.id;
            if entry.card != card {
                // Stored for another card, and never sent.
                self.reopen(txn, Outcome::NotPaid);
                return false;
            }
            entry.step = Step::Paying;
            self.send_purchase(txn, Exchange::Purchase(txn));
            return true;
        }
        if self.purchase_holds_the_card() {
            return false;
        }
        let Some(entry) = self.ledger.find(|entry| matches!(entry.step, Step::Pin(_))) else {
            return false;
        };
        let txn = entry.id;
        let Step::Pin(pin) = core::mem::replace(&mut entry.step, Step::Verifying) else {
            return false;
        };
        self.send(Exchange::VerifyFor(txn), INS_VERIFY, 0, pin.expose());
        true
    }

    pub(crate) fn purchase_holds_the_card(&self) -> bool {
        self.ledger.entries().iter().any(Entry::holds_the_card)
    }

    /// When a question that got no answer is asked again.
    pub(crate) fn settle_due(&self) -> Option<Instant> {
        let card = self.emm.address()?;
        let waits = self.ledger.entries().iter().any(|entry| entry.must_be_settled_by(card));
        waits.then_some(self.settle_after)
    }

    pub(crate) fn send_purchase(&mut self, txn: TxnId, exchange: Exchange) {
        let Some(entry) = self.ledger.of_txn(txn) else { return };
        let query = !matches!(exchange, Exchange::Purchase(_));
        let request = PurchaseRequest {
            terminal_sequence: entry.request.sequence(),
            terminal: entry.request.terminal(),
            expected_price: entry.price,
            flags: if query { PurchaseRequest::QUERY } else { 0 },
            section: if query { &[] } else { &entry.section },
        };
        let mut data = Vec::new();
        if let Err(why) = request.emit(&mut data) {
            // Every section was measured at its gate.
            log::error!("purchase could not be written: {why}");
        }
        self.send(exchange, INS_PURCHASE, 0, &data);
    }

    /// The PIN is right, or none is wanted: the pair (terminal, sequence) goes to durable storage
    /// before the card hears of it.
    fn store_before_paying(&mut self, txn: TxnId) {
        let Some(card) = self.emm.address() else { return };
        let counts = self.wallet.as_ref().map(Counts::of);
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        entry.card = card;
        // Read some time ago, the counters are too low if anything: that errs on the safe side.
        entry.counts = counts;
        entry.result = 0;
        entry.step = Step::Pay;
        let id = self.out.store(entry.row_key(), entry.row());
        entry.step = Step::Storing(id);
    }

    /// A row is on durable storage.
    pub(crate) fn stored(&mut self, id: StoreId) {
        if let Some(entry) = self.waiting_for(id) {
            entry.step = Step::Pay;
        }
    }

    /// A row could not be stored.
    pub(crate) fn store_failed(&mut self, id: StoreId) {
        log::warn!("a row could not be stored");
        if let Some(entry) = self.waiting_for(id) {
            let txn = entry.id;
            self.reopen(txn, Outcome::NotPaid);
        }
    }

    fn waiting_for(&mut self, row: StoreId) -> Option<&mut Entry> {
        self.ledger.find(|entry| matches!(entry.step, Step::Storing(id) if id == row))
    }

    pub(crate) fn pin_outcome(&mut self, answer: Answer) -> PinOutcome {
        let outcome = match answer {
            Ok(0x9000) => match card::PinAnswer::parse(self.dialogue.data()) {
                Ok(answer) if answer.right => {
                    self.card.pin_tries = Some(answer.tries);
                    PinOutcome::Right
                }
                Ok(answer) => PinOutcome::Wrong { tries_left: answer.tries },
                Err(_) => PinOutcome::Failed,
            },
            Err(ScpError::Refused(0x6983)) => PinOutcome::Blocked,
            _ => PinOutcome::Failed,
        };
        match outcome {
            PinOutcome::Wrong { tries_left } => self.card.pin_tries = Some(tries_left),
            PinOutcome::Blocked => self.card.pin_tries = Some(0),
            // The card opens rated programmes from now on.
            PinOutcome::Right => self.ask_again(|s| s.word().status == AccessStatus::RATING),
            PinOutcome::Failed => {}
        }
        outcome
    }

    pub(crate) fn pin_answered(&mut self, txn: TxnId, answer: Answer) {
        match self.pin_outcome(answer) {
            PinOutcome::Right => self.store_before_paying(txn),
            PinOutcome::Wrong { tries_left } => {
                self.reopen(txn, Outcome::PinWrong { tries_left });
            }
            PinOutcome::Blocked => self.reopen(txn, Outcome::PinBlocked),
            PinOutcome::Failed => self.reopen(txn, Outcome::PinRequired),
        }
    }

    /// Nothing was sent that moves money: the purchase waits to be confirmed again.
    pub(crate) fn reopen(&mut self, txn: TxnId, outcome: Outcome) {
        if let Some(entry) = self.ledger.of_txn_mut(txn) {
            entry.step = Step::Open;
            self.out.event(Event::Purchase { txn, outcome });
        }
    }

    /// The card is gone: PINs are not kept for another one.
    pub(crate) fn forget_pins(&mut self) {
        while let Some((ticket, _)) = self.pins.pop_front() {
            self.out.event(Event::Pin(PinAnswer { ticket, outcome: PinOutcome::Failed }));
        }
        while let Some(entry) = self.ledger.find(|entry| matches!(entry.step, Step::Pin(_))) {
            let txn = entry.id;
            self.reopen(txn, Outcome::PinRequired);
        }
    }
}

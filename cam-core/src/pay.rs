//! Purchases, step by step: VERIFY, the row on durable storage, PURCHASE; and QUERY when its answer
//! got lost.
//!
//! ```text
//! Open ──confirm──▶ Pin ──VERIFY──▶ Verifying ──right──▶ Storing ──stored──▶ Pay ──PURCHASE──▶ Paying
//!  ▲ ▲                                  │ wrong                                         │
//!  │ └──────────────────────────────────┘                          Paid, Owned, Refused ┤ no answer
//!  └────────────NONE: no money has moved──── Settling ◀──QUERY── Settle ◀───────────────┘
//! ```
//!
//! The PIN is wiped when VERIFY is sent. Every PURCHASE has a terminal sequence of its own that is
//! on durable storage before it is sent, and that is never used again.

use alloc::vec::Vec;
use core::time::Duration;

use cam_types::{Fen, Instant};
use ecm_emm::card::{
    self, INS_PURCHASE, INS_VERIFY, PinBlock, PurchaseAnswer, PurchaseRequest, PurchaseResult,
    PurchaseState,
};
use gp::scp03::ScpError;

use crate::card::{Exchange, Trouble};
use crate::engine::Engine;
use crate::exchange::Answer;
use crate::ledger::{Entry, Step};
use crate::{
    CardState, Event, OfferId, Outcome, PinAnswer, PinOutcome, PurchaseError, Receipt, RequestId,
    StoreId, Ticket, TxnId, TxnState,
};

/// What the subscriber wants of the card's PIN.
pub(crate) enum PinRequest {
    Verify(PinBlock),
    Change { old: PinBlock, new: PinBlock },
}

impl Engine {
    /// So many PINs may wait to be verified.
    const MAX_PINS: usize = 4;
    /// A card that does not say what became of a purchase is asked again after so long.
    const ASK_AGAIN: Duration = Duration::from_secs(5);

    /// Begins a purchase. The same request id gives the same purchase back, whatever became of it,
    /// also after a restart.
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
        id: OfferId,
        request: RequestId,
        price_seen: Fen,
    ) -> Result<TxnId, PurchaseError> {
        let offer = self
            .sessions
            .find(id.session())
            .and_then(|session| session.offers().find(|(offer, _)| offer.id == id));
        if let Some(entry) = self.ledger.of_request(&request) {
            if entry.state() != TxnState::Open {
                return Ok(entry.id);
            }
            if entry.price != price_seen {
                let price = entry.price;
                return Err(PurchaseError::PriceChanged { price, seen: price_seen });
            }
            if let Some((offer, section)) = offer {
                if offer.event != entry.event {
                    return Err(PurchaseError::RequestReused);
                }
                entry.offer = offer.id;
                entry.section.clear();
                entry.section.extend_from_slice(section);
            }
            return Ok(entry.id);
        }
        let (offer, section) = offer.ok_or(PurchaseError::NoOffer)?;
        offer
            .agrees(price_seen)
            .map_err(|price| PurchaseError::PriceChanged { price, seen: price_seen })?;
        // A further slice of time is bought before the first has ended; an event only once.
        if offer.owned && offer.kind == crate::OfferKind::Event {
            return Err(PurchaseError::AlreadyOwned);
        }
        self.ledger.begin(request, offer, price_seen, section).ok_or(PurchaseError::Full)
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
            TxnState::Paid | TxnState::Owned | TxnState::Refused => {
                if let Some(outcome) = entry.end() {
                    self.out.event(Event::Purchase { txn, outcome });
                }
                return Ok(());
            }
            state => return Err(PurchaseError::State(state)),
        }
        if self.card.state != CardState::Ready {
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
        if entry.section.is_empty() {
            return Err(PurchaseError::NoOffer);
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
        let Some(card) = self.address else { return false };
        if now >= self.settle_after
            && let Some(entry) = self.ledger.find(|entry| entry.must_be_settled_by(card))
        {
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
        let card = self.address?;
        let waits = self.ledger.entries().iter().any(|entry| entry.must_be_settled_by(card));
        waits.then_some(self.settle_after)
    }

    fn send_purchase(&mut self, txn: TxnId, exchange: Exchange) {
        let Some(entry) = self.ledger.of_txn(txn) else { return };
        let query = matches!(exchange, Exchange::Query(_));
        let request = PurchaseRequest {
            terminal_sequence: entry.sequence,
            terminal: entry.terminal,
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
        let sequence = self.ledger.next_sequence();
        let Some(card) = self.address else { return };
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        entry.sequence = sequence;
        entry.card = card;
        entry.result = 0;
        entry.step = Step::Pay;
        let id = self.out.store(entry.row_key(), entry.row());
        entry.step = Step::Storing(id);
    }

    /// A row is on durable storage, or could not be stored.
    pub(crate) fn stored(&mut self, id: StoreId, durable: bool) {
        if !durable {
            log::warn!("a row could not be stored");
        }
        let waiting = |entry: &Entry| matches!(entry.step, Step::Storing(of) if of == id);
        let Some(entry) = self.ledger.find(waiting) else { return };
        if durable {
            entry.step = Step::Pay;
        } else {
            let txn = entry.id;
            self.reopen(txn, Outcome::NotPaid);
        }
    }

    pub(crate) fn pin_outcome(&mut self, answer: Answer) -> PinOutcome {
        let outcome = match answer {
            Ok(0x9000) => match card::PinAnswer::parse(&self.plain) {
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
            PinOutcome::Right | PinOutcome::Failed => {}
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

    pub(crate) fn purchase_answered(&mut self, now: Instant, txn: TxnId, answer: Answer) {
        let said = match answer {
            Ok(0x9000) => PurchaseAnswer::parse(&self.plain).ok(),
            _ => None,
        };
        match said {
            Some(said) if said.result != PurchaseResult::NONE => self.conclude(now, txn, &said),
            // Whatever else comes after PURCHASE was sent: only the card knows.
            _ => {
                self.unsettled(txn);
                self.trouble(now, Trouble::Line);
            }
        }
    }

    pub(crate) fn query_answered(&mut self, now: Instant, txn: TxnId, answer: Answer) {
        let said = match answer {
            Ok(0x9000) => PurchaseAnswer::parse(&self.plain).ok(),
            _ => None,
        };
        match said {
            Some(said) if said.result == PurchaseResult::NONE => {
                self.reopen(txn, Outcome::NotPaid);
                self.store_end(txn);
            }
            Some(said) => self.conclude(now, txn, &said),
            None => {
                self.settle_after = now.after(Self::ASK_AGAIN);
                self.unsettled(txn);
            }
        }
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

    /// The card has said what became of a purchase.
    fn conclude(&mut self, now: Instant, txn: TxnId, said: &PurchaseAnswer) {
        let Some(entry) = self.ledger.of_txn_mut(txn) else { return };
        entry.result = said.result.0;
        let receipt = receipt(entry, said);
        let outcome = match said.result {
            // The card debits only the price that was expected: a record of another amount belongs
            // to another purchase, and this one has not taken place.
            PurchaseResult::DONE if said.amount != entry.price => {
                self.reopen(txn, Outcome::NotPaid);
                return;
            }
            PurchaseResult::PAID | PurchaseResult::DONE => {
                entry.step = Step::Paid;
                entry.receipt = Some(receipt);
                Outcome::Paid(receipt)
            }
            PurchaseResult::OWNED => {
                entry.step = Step::Owned;
                entry.receipt = Some(receipt);
                Outcome::Owned(receipt)
            }
            PurchaseResult::PIN_REQUIRED => {
                self.reopen(txn, Outcome::PinRequired);
                self.store_end(txn);
                return;
            }
            result if result.is_refusal() => {
                entry.step = Step::Refused;
                if result == PurchaseResult::SEQUENCE {
                    self.ledger.skip_sequences();
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
        self.store_end(txn);
        self.out.event(Event::Purchase { txn, outcome });
        self.refresh.state();
        if matches!(outcome, Outcome::Paid(_) | Outcome::Owned(_)) {
            self.replay_where_dark();
        }
    }

    /// How it ended, for after a restart. When this row is lost, the card is asked once more.
    fn store_end(&mut self, txn: TxnId) {
        if let Some(entry) = self.ledger.of_txn(txn) {
            self.out.store(entry.row_key(), entry.row());
        }
    }

    /// The card may open now what it has denied.
    pub(crate) fn replay_where_dark(&mut self) {
        for session in self.sessions.iter_mut() {
            for stream in session.streams.iter_mut().filter(|stream| stream.keys.is_none()) {
                stream.gate.replay();
            }
        }
    }
}

fn receipt(entry: &Entry, said: &PurchaseAnswer) -> Receipt {
    Receipt {
        request: entry.request,
        offer: entry.offer,
        event: entry.event,
        amount: said.amount,
        balance_before: said.balance.checked_add(said.amount).unwrap_or(said.balance),
        balance_after: said.balance,
        date: said.date,
        time: said.time,
        terminal: entry.terminal,
        terminal_sequence: entry.sequence,
        card_sequence: said.offline_sequence,
        tac: said.tac,
        chain: said.receipt,
        refunded: said.state == PurchaseState::REFUNDED,
    }
}

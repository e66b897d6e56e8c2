// SPDX-License-Identifier: Apache-2.0
//! PINs at the engine's doors: the host's calls, what goes to the card, and what a right PIN opens.

use crate::card::exchange::{Answer, Exchange};
use crate::engine::Engine;
use crate::pin::PinRequest;
use crate::{AccessStatus, CardState, Event, PinAnswer, PinError, PinOutcome, Ticket};
use cam_types::Instant;

impl Engine {
    /// Asks the card whether this PIN (ASCII digits) is right. The answer comes as [`Event::Pin`].
    pub fn pin_verify(&mut self, now: Instant, pin: &[u8]) -> Result<Ticket, PinError> {
        self.pin_request(now, PinRequest::verify(pin)?)
    }

    /// Gives the card another PIN (ASCII digits both). The answer comes as [`Event::Pin`]: whether
    /// the old one was right, and then the new one is the card's.
    pub fn pin_change(&mut self, now: Instant, old: &[u8], new: &[u8]) -> Result<Ticket, PinError> {
        self.pin_request(now, PinRequest::change(old, new)?)
    }

    fn pin_request(&mut self, now: Instant, request: PinRequest) -> Result<Ticket, PinError> {
        if self.card.state != CardState::Ready {
            return Err(PinError::NoCard);
        }
        let ticket = self.pins.take(request)?;
        self.turn(now);
        Ok(ticket)
    }

    /// VERIFY for its own sake, and CHANGE PIN, wait until no purchase holds the card.
    pub(crate) fn send_pin(&mut self) -> bool {
        if self.purchases.hold_the_card() {
            return false;
        }
        let Some((ticket, request)) = self.pins.next() else { return false };
        self.send(Exchange::Verify(ticket), request.ins(), request.p2(), &request.data());
        true
    }

    pub(crate) fn pin_answered(&mut self, ticket: Ticket, answer: Answer) {
        let outcome = self.pin_outcome(answer);
        self.out.event(Event::Pin(PinAnswer { ticket, outcome }));
        if outcome == PinOutcome::Right {
            // The card opens rated programmes from now on.
            self.ask_again(|stream| stream.verdict().status == AccessStatus::RATING);
        }
    }

    pub(crate) fn pin_lost(&mut self, ticket: Ticket) {
        self.out.event(Event::Pin(PinAnswer { ticket, outcome: PinOutcome::Failed }));
    }

    /// What the card says of a PIN, that of a purchase too.
    pub(crate) fn pin_outcome(&mut self, answer: Answer) -> PinOutcome {
        let (outcome, tries) = PinOutcome::of(answer, self.dialogue.data());
        self.card.pin_tries = tries.or(self.card.pin_tries);
        outcome
    }

    pub(crate) fn forget_pins(&mut self) {
        self.pins.forget(&mut self.out);
        self.purchases.forget_pins(&mut self.out);
    }
}

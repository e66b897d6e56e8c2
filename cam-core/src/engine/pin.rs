// SPDX-License-Identifier: Apache-2.0
//! PINs at the engine's doors: verified for their own sake, or changed.

use crate::card::link::Exchange;
use crate::engine::Engine;
use crate::engine::exchange::Answer;
use crate::pin::PinRequest;
use crate::{AccessStatus, CardState, Event, PinAnswer, PinOutcome, PurchaseError, Ticket};
use cam_types::Instant;
use ecm_emm::card::{self, INS_CHANGE_PIN, INS_VERIFY, PinBlock};
use gp::scp03::ScpError;
use zeroize::Zeroizing;

impl Engine {
    /// PINs that wait to be verified, at most.
    const MAX_PINS: usize = 4;

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

    /// VERIFY for its own sake, and CHANGE PIN, wait until no purchase holds the card.
    pub(crate) fn send_pin(&mut self) -> bool {
        if self.purchases.hold_the_card() {
            return false;
        }
        let Some((ticket, request)) = self.pins.pop_front() else { return false };
        match request {
            PinRequest::Verify(pin) => {
                self.send(Exchange::Verify(ticket), INS_VERIFY, 0, pin.expose());
            }
            PinRequest::Change { old, new } => {
                let mut both = Zeroizing::new([0; 16]);
                both.iter_mut()
                    .zip(old.expose().iter().chain(new.expose()))
                    .for_each(|(to, from)| *to = *from);
                self.send(Exchange::Verify(ticket), INS_CHANGE_PIN, 0, both.as_slice());
            }
        }
        true
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
            // The card opens rated programmes from now on.
            PinOutcome::Right => self.ask_again(|s| s.word.status == AccessStatus::RATING),
            PinOutcome::Failed => {}
        }
        outcome
    }

    /// The card is gone: PINs are not kept for another one.
    pub(crate) fn forget_pins(&mut self) {
        while let Some((ticket, _)) = self.pins.pop_front() {
            self.out.event(Event::Pin(PinAnswer { ticket, outcome: PinOutcome::Failed }));
        }
        self.purchases.forget_pins(&mut self.out);
    }
}

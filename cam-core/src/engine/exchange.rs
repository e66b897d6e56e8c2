// SPDX-License-Identifier: Apache-2.0
//! One command at a time: whose turn it is by the card's state, how a command goes to the card, and
//! where its answer goes.

use crate::card::dialogue::Next;
use crate::card::exchange::{Exchange, Trouble};
use crate::card::refresh::Part;
use crate::engine::Engine;
use crate::outbox::Todo;
use crate::{Outcome, Probed, SignOfLife};
use cam_types::Instant;
use ecm_emm::card::{AccessStatus, INS_EMM, INS_INFO};
use gp::scp03::ScpError;

impl Engine {
    /// Gives the card its next command, if it is free and there is one.
    pub(crate) fn pump(&mut self, now: Instant) {
        match self.dialogue.next(now) {
            Next::Nothing => {}
            Next::Activate => self.activate(),
            Next::Select => {
                self.dialogue.select();
                self.launched();
            }
            Next::Introduction => self.send(Exchange::Info, INS_INFO, 0, &[]),
            Next::Channel => self.pair(now),
            Next::Unpaired => self.pump_unpaired(now),
            Next::Session if self.asks_what_it_is(now) => {}
            Next::Session => self.pump_ready(now),
        }
    }

    fn pump_unpaired(&mut self, now: Instant) {
        if self.refresh.take_info() || now >= self.another_look {
            self.another_look = now.after(Self::LOOK);
            self.send(Exchange::Info, INS_INFO, 0, &[]);
        } else if self.pairing_pause.is_over(now) && self.refresh.take_pair() {
            self.pair(now);
        } else if !self.send_emm(now) && !self.send_ack() {
            self.ask_sign_of_life(now, |engine| engine.send(Exchange::Info, INS_INFO, 0, &[]));
        }
    }

    /// Asks an idle card for a sign of life if it is time, and says whether: on the line itself, or
    /// by this command.
    pub(crate) fn ask_sign_of_life(
        &mut self,
        now: Instant,
        command: impl FnOnce(&mut Self),
    ) -> bool {
        match self.dialogue.sign_of_life(now) {
            None => return false,
            Some(SignOfLife::Command) => command(self),
            Some(SignOfLife::Probe) => {
                self.dialogue.probe();
                self.out.push(Todo::Probe);
            }
        }
        true
    }

    /// Keys that went in silence come back only where it cannot be another card.
    pub(crate) fn probed(&mut self, now: Instant, probed: Probed) {
        if self.dialogue.probed(now, probed) {
            self.give_keys_back();
        }
    }

    pub(crate) fn send_emm(&mut self, now: Instant) -> bool {
        let Some(section) = self.emm.take(now) else { return false };
        self.dialogue.ask(Exchange::Emm, INS_EMM, [0; 2], section);
        self.launched();
        true
    }

    pub(crate) fn send(&mut self, exchange: Exchange, ins: u8, p2: u8, data: &[u8]) {
        self.send_with(exchange, ins, [0, p2], data);
    }

    /// The same with both parameters.
    pub(crate) fn send_with(
        &mut self,
        exchange: Exchange,
        ins: u8,
        parameters: [u8; 2],
        data: &[u8],
    ) {
        self.dialogue.ask(exchange, ins, parameters, data);
        self.launched();
    }

    /// The dialogue's command goes out.
    pub(crate) fn launched(&mut self) {
        self.stats.apdu += 1;
        self.out.push(Todo::Command);
    }

    /// The card's answer to the command on the line.
    pub(crate) fn response(&mut self, now: Instant, response: &[u8]) {
        let Some((exchange, answer)) = self.dialogue.answered(now, response) else { return };
        if let Err(ScpError::Refused(sw)) = answer {
            self.card.sw = sw;
        }
        if self.dialogue.is_lost_by(answer) {
            self.forget_withheld_keys();
            self.lost(now, exchange);
            self.trouble(now, Trouble::Session);
            return;
        }
        self.give_keys_back();
        match exchange {
            Exchange::Step(step) => self.proceed(now, step, answer),
            Exchange::Probe => {}
            Exchange::Info => self.info_answered(now, answer),
            Exchange::Ecm => self.ecm_answered(now, answer),
            Exchange::Emm => self.emm_answered(now, answer),
            Exchange::Rights => self.rights_answered(now, answer),
            Exchange::Number => self.number_answered(now, answer),
            Exchange::Balance => self.balance_answered(now, answer),
            Exchange::Verify(ticket) => self.pin_answered(ticket, answer),
            Exchange::VerifyFor(txn) => self.purchase_pin_answered(txn, answer),
            Exchange::Purchase(txn) => self.purchase_answered(now, txn, answer),
            Exchange::Query(txn) => self.query_answered(now, txn, answer),
            Exchange::Review(txn) => self.review_answered(now, txn, answer),
            Exchange::Report => self.report_answered(now, answer),
            Exchange::Ack => self.ack_answered(answer),
        }
    }

    /// The exchange on the line will get no answer.
    pub(crate) fn drop_flight(&mut self, now: Instant) {
        if let Some(exchange) = self.dialogue.drop_flight(now) {
            self.lost(now, exchange);
        }
    }

    /// What an exchange without an answer means for what it was for.
    pub(crate) fn lost(&mut self, now: Instant, exchange: Exchange) {
        match exchange {
            Exchange::Ecm => self.ecm_unanswered(now, AccessStatus::CARD_BUSY),
            Exchange::Emm => {
                self.emm_lost(now);
            }
            Exchange::Info => self.refresh.failed(now, Part::Info),
            Exchange::Number => self.refresh.failed(now, Part::Number),
            Exchange::Rights => self.refresh.failed(now, Part::Rights),
            Exchange::Balance => {
                self.refresh.failed(now, Part::Balance);
                self.purchases.purse_lost(now);
            }
            Exchange::Report => self.reports.lost(now, &mut self.out),
            Exchange::Ack => self.reports.ack_lost(&mut self.out),
            Exchange::Verify(ticket) => self.pin_lost(ticket),
            Exchange::VerifyFor(txn) => {
                self.purchases.reopen(txn, Outcome::PinRequired, &mut self.out);
            }
            Exchange::Purchase(txn) | Exchange::Query(txn) => {
                self.purchases.unsettled(now, txn, &mut self.out);
            }
            Exchange::Review(_) => self.purchases.review_lost(now),
            Exchange::Step(_) | Exchange::Probe => {}
        }
    }
}

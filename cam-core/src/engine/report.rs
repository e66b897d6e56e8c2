// SPDX-License-Identifier: Apache-2.0
//! Reports at the engine's doors: the host's calls, and what goes to the card between ECMs.

use crate::card::exchange::{Answer, Exchange};
use crate::engine::Engine;
use crate::{CardState, ReportError};
use alloc::vec::Vec;
use cam_types::Instant;
use ecm_emm::card::{AckResult, INS_ACK, INS_REPORT, ReportRequest};

impl Engine {
    /// Reads the card's report. `nonce` is the head-end's and goes into the seal; `from` is the
    /// offline sequence of the first purchase wanted, 0 for all that were not acknowledged.
    ///
    /// [`crate::Event::Report`] says when its pages are there. A later request takes the place of
    /// this one.
    pub fn report_request(
        &mut self,
        now: Instant,
        nonce: [u8; 8],
        from: u16,
    ) -> Result<(), ReportError> {
        if self.card.state != CardState::Ready {
            return Err(ReportError::NoCard);
        }
        self.reports.want(ReportRequest { nonce, from });
        self.turn(now);
        Ok(())
    }

    /// The next page of the last report, for the head-end; [`Engine::report_taken`] moves on.
    pub fn report_page(&self) -> Option<&[u8]> {
        self.reports.page()
    }

    /// The host has the page.
    pub fn report_taken(&mut self) {
        self.reports.page_taken();
    }

    /// Takes the head-end's acknowledgement to the card. [`crate::Event::Acknowledged`] has
    /// the card's answer.
    pub fn report_ack(&mut self, now: Instant, ack: &[u8]) -> Result<(), ReportError> {
        let ack = ack.try_into().map_err(|_| ReportError::NoAck { octets: ack.len() })?;
        if !matches!(self.card.state, CardState::Ready | CardState::Unpaired) {
            return Err(ReportError::NoCard);
        }
        self.reports.acknowledge(ack);
        self.turn(now);
        Ok(())
    }

    /// The acknowledgement, which needs no session.
    pub(crate) fn send_ack(&mut self) -> bool {
        let Some(ack) = self.reports.ack() else { return false };
        self.send(Exchange::Ack, INS_ACK, 0, &ack);
        true
    }

    /// Asks for a page of a report. `false`: none is wanted.
    pub(crate) fn send_report(&mut self, now: Instant) -> bool {
        let Some((page, request)) = self.reports.next(now) else { return false };
        let mut data = Vec::with_capacity(ReportRequest::LEN);
        request.emit(&mut data);
        self.send_with(Exchange::Report, INS_REPORT, [page, 0], &data);
        true
    }

    pub(crate) fn report_answered(&mut self, now: Instant, answer: Answer) {
        self.reports.told(now, self.dialogue.told(answer), &mut self.out);
    }

    pub(crate) fn ack_answered(&mut self, answer: Answer) {
        // Nobody vouches for what is said outside the session.
        let told = self.dialogue.told(answer).filter(|_| self.dialogue.has_session());
        let result = self.reports.ack_told(told, &mut self.out);
        if result.is_some_and(AckResult::is_taken) {
            self.refresh.info();
        }
    }
}

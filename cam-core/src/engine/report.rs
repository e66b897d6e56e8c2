// SPDX-License-Identifier: Apache-2.0
//! What the engine and its host do about reports: asking, reading between ECMs, handing over.

use crate::card::exchange::{Answer, Exchange};
use crate::engine::Engine;
use crate::report::{Reading, Reports, Waiting};
use crate::{CardState, Event, ReportError};
use alloc::vec::Vec;
use cam_types::Instant;
use ecm_emm::card::{AckResult, INS_ACK, INS_REPORT, ReportRequest};
use ecm_emm::report::{Ack, Report};

impl Engine {
    /// Reads the card's report. `nonce` is the head-end's and goes into the seal; `from` is the
    /// offline sequence of the first purchase wanted, 0 for all that were not acknowledged.
    ///
    /// [`Event::Report`] says when its pages are there. A later request takes the place of this
    /// one.
    pub fn report_request(
        &mut self,
        now: Instant,
        nonce: [u8; 8],
        from: u16,
    ) -> Result<(), ReportError> {
        if self.card.state != CardState::Ready {
            return Err(ReportError::NoCard);
        }
        self.reports.wanted = Some(ReportRequest { nonce, from });
        self.turn(now);
        Ok(())
    }

    /// The next page of the last report, for the head-end; [`Engine::report_taken`] moves on.
    pub fn report_page(&self) -> Option<&[u8]> {
        self.reports.pages.last().map(Vec::as_slice)
    }

    /// The host has the page.
    pub fn report_taken(&mut self) {
        self.reports.pages.pop();
    }

    /// Takes the head-end's acknowledgement to the card. [`Event::Acknowledged`] has the card's
    /// word.
    pub fn report_ack(&mut self, now: Instant, ack: &[u8]) -> Result<(), ReportError> {
        if ack.len() != Ack::LEN {
            return Err(ReportError::NoAck { octets: ack.len() });
        }
        if !matches!(self.card.state, CardState::Ready | CardState::Unpaired) {
            return Err(ReportError::NoCard);
        }
        self.reports.ack = Some(Waiting { ack: ack.to_vec(), tries: 0 });
        self.turn(now);
        Ok(())
    }

    /// The acknowledgement, which needs no session.
    pub(crate) fn send_ack(&mut self) -> bool {
        let Some(Waiting { ack, .. }) = &self.reports.ack else { return false };
        let ack = ack.clone();
        self.send(Exchange::Ack, INS_ACK, 0, &ack);
        true
    }

    /// Asks for the report's next page, or for the first of one that is wanted. `false`: none is.
    pub(crate) fn send_report(&mut self) -> bool {
        if let Some(request) = self.reports.wanted.take() {
            self.reports.reading = Some(Reading { request, pages: Vec::new(), tries: 0 });
        }
        let Some(reading) = &self.reports.reading else { return false };
        let page = u8::try_from(reading.pages.len()).unwrap_or(u8::MAX);
        let mut data = Vec::with_capacity(ReportRequest::LEN);
        reading.request.emit(&mut data);
        self.send_with(Exchange::Report, INS_REPORT, [page, 0], &data);
        true
    }

    pub(crate) fn report_answered(&mut self, answer: Answer) {
        let Some(mut reading) = self.reports.reading.take() else { return };
        let count = match answer {
            Ok(0x9000) => Report::count_sealed(self.dialogue.data()),
            _ => None,
        };
        let nonce = reading.request.nonce;
        match count {
            Some(count) if reading.pages.len() < Reports::MAX_PAGES => {
                reading.pages.push(self.dialogue.data().to_vec());
                if count == Report::MAX_RECORDS {
                    self.reports.reading = Some(reading);
                    return;
                }
                let pages = reading.pages.len();
                reading.pages.reverse();
                self.reports.pages = reading.pages;
                self.out.event(Event::Report { nonce, pages });
            }
            _ => {
                log::warn!("the card does not report");
                self.out.event(Event::Report { nonce, pages: 0 });
            }
        }
    }

    /// Begins again with the first page: what was bought meanwhile belongs to the report.
    pub(crate) fn report_lost(&mut self) {
        let Some(mut reading) = self.reports.reading.take() else { return };
        reading.tries += 1;
        reading.pages.clear();
        if reading.tries < Reports::MAX_TRIES {
            self.reports.reading = Some(reading);
        } else {
            self.out.event(Event::Report { nonce: reading.request.nonce, pages: 0 });
        }
    }

    pub(crate) fn ack_answered(&mut self, answer: Answer) {
        self.reports.ack = None;
        let result = match answer {
            Ok(0x9000) => AckResult::parse(self.dialogue.data()).ok(),
            _ => None,
        };
        self.out.event(Event::Acknowledged { result });
        if result.is_some_and(AckResult::is_taken) {
            self.refresh.info();
        }
    }

    /// The same acknowledgement again is harmless.
    pub(crate) fn ack_lost(&mut self) {
        let Some(waiting) = &mut self.reports.ack else { return };
        waiting.tries += 1;
        if waiting.tries == Reports::MAX_TRIES {
            self.reports.ack = None;
            self.out.event(Event::Acknowledged { result: None });
        }
    }
}

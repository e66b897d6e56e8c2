// SPDX-License-Identifier: Apache-2.0
//! Reports of purchases: read page by page, handed to the host as they are; the head-end's
//! acknowledgement on its way back (`docs/spec/report.md`, 3).
//!
//! Nothing in them is for the box: it cannot open them, and need not be trusted with them.

use crate::Event;
use crate::outbox::Outbox;
use crate::pause::Pause;
use alloc::vec::Vec;
use cam_types::Instant;
use core::fmt;
use ecm_emm::card::{AckResult, ReportRequest};
use ecm_emm::report::{Ack, Report};

/// The report that is being read, the one that waits for the host, and the acknowledgement.
#[derive(Default)]
pub(crate) struct Reports {
    wanted: Option<ReportRequest>,
    reading: Option<Reading>,
    /// Pages of the last report that the host has not taken, the newest first.
    pages: Vec<Vec<u8>>,
    /// Of the request that they answer.
    nonce: [u8; 8],
    /// The request over the air that was answered last, or is asked for again.
    answered: Option<ReportRequest>,
    /// The same, when the card has not given it yet.
    again: Option<ReportRequest>,
    pause: Pause,
    ack: Option<Waiting>,
}

struct Reading {
    request: ReportRequest,
    pages: Vec<Vec<u8>>,
    tries: u8,
}

struct Waiting {
    ack: [u8; Ack::LEN],
    tries: u8,
}

impl Reports {
    /// Pages that are read, at most: they hold more records than a card has, and one that never
    /// comes to an end is not followed.
    const MAX_PAGES: usize = 16;
    /// A report or acknowledgement is begun at most this often, when answers get lost.
    const MAX_TRIES: u8 = 3;

    /// Another card, or none: what was read of this one is the host's, what was not is nobody's.
    pub(crate) fn card_gone(&mut self) {
        self.wanted = None;
        self.reading = None;
        self.answered = None;
        self.again = None;
        self.ack = None;
    }

    /// The host asks. A later request takes the place of this one.
    pub(crate) fn want(&mut self, request: ReportRequest) {
        self.wanted = Some(request);
    }

    /// The card's introduction says which report the operator waits for.
    pub(crate) fn asked(&mut self, request: Option<ReportRequest>) {
        let reading = self.reading.as_ref().map(|reading| reading.request);
        if request.is_some() && request != self.answered && request != reading {
            self.wanted = request;
        }
        if request != self.answered {
            self.again = None;
        }
        self.answered = request;
    }

    /// The page to be read next: of the report that is being read, or the first of one that is
    /// wanted.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(u8, ReportRequest)> {
        if self.wanted.is_none() && self.reading.is_none() && self.pause.is_over(now) {
            self.wanted = self.again.take();
        }
        if let Some(request) = self.wanted.take() {
            self.reading = Some(Reading { request, pages: Vec::new(), tries: 0 });
        }
        let reading = self.reading.as_ref()?;
        Some((u8::try_from(reading.pages.len()).unwrap_or(u8::MAX), reading.request))
    }

    /// The page that was asked for; `None` when the card gave none.
    pub(crate) fn told(&mut self, now: Instant, page: Option<&[u8]>, out: &mut Outbox) {
        let Some(mut reading) = self.reading.take() else { return };
        let nonce = reading.request.nonce;
        let counted = page.and_then(|page| Some((page, Report::count_sealed(page)?)));
        match counted {
            Some((page, count)) if reading.pages.len() < Self::MAX_PAGES => {
                reading.pages.push(page.to_vec());
                if count == Report::MAX_RECORDS {
                    self.reading = Some(reading);
                    return;
                }
                let pages = reading.pages.len();
                reading.pages.reverse();
                self.pages = reading.pages;
                self.nonce = nonce;
                self.pause.forget();
                out.event(Event::Report { nonce, pages });
            }
            _ => self.failed(now, reading.request, out),
        }
    }

    /// There is no report: the operator's is asked for again, and told of once.
    fn failed(&mut self, now: Instant, request: ReportRequest, out: &mut Outbox) {
        log::warn!("the card does not report");
        let of_operator = self.answered == Some(request);
        if of_operator {
            self.again = Some(request);
            self.pause.failed(now);
        }
        if !of_operator || self.pause.is_first() {
            out.event(Event::Report { nonce: request.nonce, pages: 0 });
        }
    }

    /// When the operator's report is asked for again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.again.map(|_| self.pause.ends())
    }

    /// Begins again with the first page: what was bought meanwhile belongs to the report.
    pub(crate) fn lost(&mut self, now: Instant, out: &mut Outbox) {
        let Some(mut reading) = self.reading.take() else { return };
        reading.tries += 1;
        reading.pages.clear();
        if reading.tries < Self::MAX_TRIES {
            self.reading = Some(reading);
        } else {
            self.failed(now, reading.request, out);
        }
    }

    /// A report whose pages the host has not all taken: its nonce, and how many are left.
    pub(crate) fn standing(&self) -> Option<([u8; 8], usize)> {
        (!self.pages.is_empty()).then_some((self.nonce, self.pages.len()))
    }

    /// The next page that the host has not taken.
    pub(crate) fn page(&self) -> Option<&[u8]> {
        self.pages.last().map(Vec::as_slice)
    }

    /// The host has the page.
    pub(crate) fn page_taken(&mut self) {
        self.pages.pop();
    }

    /// The head-end's acknowledgement goes to the card.
    pub(crate) fn acknowledge(&mut self, ack: [u8; Ack::LEN]) {
        self.ack = Some(Waiting { ack, tries: 0 });
    }

    /// The acknowledgement that waits.
    pub(crate) fn ack(&self) -> Option<[u8; Ack::LEN]> {
        self.ack.as_ref().map(|waiting| waiting.ack)
    }

    /// What the card says of the acknowledgement; `None` when it is none that counts.
    pub(crate) fn ack_told(&mut self, told: Option<&[u8]>, out: &mut Outbox) -> Option<AckResult> {
        self.ack = None;
        let result = told.and_then(|told| AckResult::parse(told).ok());
        out.event(Event::Acknowledged { result });
        result
    }

    /// The same acknowledgement again is harmless.
    pub(crate) fn ack_lost(&mut self, out: &mut Outbox) {
        let Some(waiting) = &mut self.ack else { return };
        waiting.tries += 1;
        if waiting.tries == Self::MAX_TRIES {
            self.ack = None;
            out.event(Event::Acknowledged { result: None });
        }
    }
}

/// Why a report was not asked for, or an acknowledgement not taken to the card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReportError {
    /// No card in session; for an acknowledgement, no card that has introduced itself.
    NoCard,
    /// Of another length than an acknowledgement.
    NoAck {
        /// How many there were.
        octets: usize,
    },
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCard => f.write_str("no card in session"),
            Self::NoAck { octets } => {
                write!(f, "an acknowledgement has {} octets, got {octets}", Ack::LEN)
            }
        }
    }
}

impl core::error::Error for ReportError {}

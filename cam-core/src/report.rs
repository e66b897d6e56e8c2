// SPDX-License-Identifier: Apache-2.0
//! Reports of purchases: read page by page, handed to the host as they are; the head-end's
//! acknowledgement on its way back (`docs/spec/report.md`, 3).
//!
//! Nothing in them is for the box: it cannot open them, and need not be trusted with them.

use alloc::vec::Vec;
use core::fmt;
use ecm_emm::card::ReportRequest;
use ecm_emm::report::Ack;

/// The report that is being read, the one that waits for the host, and the acknowledgement.
#[derive(Default)]
pub(crate) struct Reports {
    pub(crate) wanted: Option<ReportRequest>,
    pub(crate) reading: Option<Reading>,
    /// Pages of the last report that the host has not taken, the newest first.
    pub(crate) pages: Vec<Vec<u8>>,
    /// The request over the air that was answered last.
    pub(crate) answered: Option<ReportRequest>,
    pub(crate) ack: Option<Waiting>,
}

pub(crate) struct Reading {
    pub(crate) request: ReportRequest,
    pub(crate) pages: Vec<Vec<u8>>,
    pub(crate) tries: u8,
}

pub(crate) struct Waiting {
    pub(crate) ack: Vec<u8>,
    pub(crate) tries: u8,
}

impl Reports {
    /// Pages that are read, at most: they hold more records than a card has, and one that never
    /// comes to an end is not followed.
    pub(crate) const MAX_PAGES: usize = 16;
    /// A report or acknowledgement is begun at most this often, when answers get lost.
    pub(crate) const MAX_TRIES: u8 = 3;

    /// Another card, or none: what was read of this one is the host's, what was not is nobody's.
    pub(crate) fn card_gone(&mut self) {
        self.wanted = None;
        self.reading = None;
        self.answered = None;
        self.ack = None;
    }

    /// The card's introduction says which report the operator waits for.
    pub(crate) fn asked(&mut self, request: Option<ReportRequest>) {
        let reading = self.reading.as_ref().map(|reading| reading.request);
        if request.is_some() && request != self.answered && request != reading {
            self.wanted = request;
        }
        self.answered = request;
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

// SPDX-License-Identifier: Apache-2.0
//! Money that came in: only what the operator gave out, and each of it once.

use super::record::{REFUNDED, is_load};
use super::state::CardState;
use crate::files::fields::Octets;
use crate::files::issued::{Issued, Refund, Topup};
use cam_types::TerminalSequence;
use ecm_emm::report::ReportRecord;
use std::collections::{BTreeMap, BTreeSet};
use wallet::LogRecord;

/// A terminal and its number of a purchase.
type Request = ([u8; 6], TerminalSequence);

/// What was issued to a card, and what of it has come.
pub(super) struct Incoming<'a> {
    topups: Vec<&'a Topup>,
    refunds: Vec<&'a Refund>,
    /// Events and sequences of the report's purchases that were given back.
    given_back: BTreeMap<Request, (u32, u16)>,
    /// Numbers of top-ups that have come.
    pub(super) come: BTreeSet<u16>,
    /// Events and sequences of refunds that have come.
    pub(super) used: BTreeSet<(u32, u16)>,
}

impl<'a> Incoming<'a> {
    pub(super) fn new<'r>(
        card: Octets<8>,
        issued: Option<&'a Issued>,
        known: Option<&CardState>,
        records: impl Iterator<Item = &'r ReportRecord>,
    ) -> Self {
        let purchase = |record: &ReportRecord| {
            let purse = LogRecord::parse(&record.purse).ok()?;
            (!is_load(record) && record.state == REFUNDED)
                .then(|| (request(record, &purse), (record.event.value(), purse.sequence)))
        };
        Self {
            topups: issued
                .iter()
                .flat_map(|issued| &issued.topup)
                .filter(|topup| topup.card == card)
                .collect(),
            refunds: issued
                .iter()
                .flat_map(|issued| &issued.refund)
                .filter(|refund| refund.card == card)
                .collect(),
            given_back: records.filter_map(purchase).collect(),
            come: known.map(|known| known.topups.clone()).unwrap_or_default(),
            used: known.map(|known| known.refunds.clone()).unwrap_or_default(),
        }
    }

    /// A load is a top-up or a refund that was issued, and comes once.
    pub(super) fn load(&mut self, record: &ReportRecord) -> Option<String> {
        let purse = LogRecord::parse(&record.purse).ok()?;
        let (number, transaction) = (record.terminal_sequence.value(), &purse.transaction);
        let topup = self.topups.iter().find(|topup| {
            u32::from(topup.number) == number && topup.agent.0 == *transaction.terminal.octets()
        });
        if let Some(topup) = topup {
            return if topup.amount != transaction.amount {
                Some(format!("top-up {number} was issued with {}", topup.amount))
            } else if !self.come.insert(topup.number) {
                Some(format!("top-up {number} a second time"))
            } else {
                None
            };
        }
        let of = self.given_back.get(&request(record, &purse));
        let refund = self.refunds.iter().find(|refund| {
            let this = (refund.event, refund.sequence);
            refund.amount == transaction.amount
                && !self.used.contains(&this)
                && of.is_none_or(|of| *of == this)
        });
        let Some(refund) = refund else {
            return Some(format!(
                "nobody issued it: no top-up has number {number} of agent {}, and no refund that has \
                 not come yet gives this back",
                Octets(*transaction.terminal.octets())
            ));
        };
        self.used.insert((refund.event, refund.sequence));
        None
    }

    /// A purchase that says that it was given back: somebody issued that.
    pub(super) fn given_back(&self, record: &ReportRecord) -> Option<String> {
        let purse = LogRecord::parse(&record.purse).ok()?;
        let this = (record.event.value(), purse.sequence);
        let issued = self.refunds.iter().any(|refund| (refund.event, refund.sequence) == this);
        (record.state == REFUNDED && !issued)
            .then(|| "it was given back, and nobody issued its refund".to_owned())
    }
}

fn request(record: &ReportRecord, purse: &LogRecord) -> Request {
    (*purse.transaction.terminal.octets(), record.terminal_sequence)
}

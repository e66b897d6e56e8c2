// SPDX-License-Identifier: Apache-2.0
//! One record: who made its code, whether it comes in its turn, and what it should have cost.

use crate::files::card_key::CardKeys;
use crate::files::schedule::Schedule;
use cam_types::{EventId, TerminalId, TerminalSequence};
use ecm_emm::report::{Report, ReportRecord};
use std::collections::BTreeSet;
use wallet::formula::{tac_load_input, tac_purchase_input};
use wallet::{LogRecord, TransactionType};

/// The state of what was paid or loaded.
const PAID: u8 = 1;
/// The state of a purchase that was given back.
pub(super) const REFUNDED: u8 = 2;

/// A record of money that came in.
pub(super) fn is_load(record: &ReportRecord) -> bool {
    record.event == EventId::new(0)
}

/// Checks records, one after another.
pub(super) struct Checker<'a> {
    keys: &'a CardKeys,
    schedule: Option<&'a Schedule>,
    offline: Option<u16>,
    online: Option<u16>,
    requests: BTreeSet<([u8; 6], u32)>,
}

impl<'a> Checker<'a> {
    pub(super) const fn new(keys: &'a CardKeys, schedule: Option<&'a Schedule>) -> Self {
        Self { keys, schedule, offline: None, online: None, requests: BTreeSet::new() }
    }

    /// A record that was checked when it came first: what comes behind it is another.
    pub(super) fn pass(&mut self, record: &ReportRecord) {
        let Ok(purse) = LogRecord::parse(&record.purse) else { return };
        let last = if is_load(record) { &mut self.online } else { &mut self.offline };
        *last = Some(purse.sequence);
        if !is_load(record) {
            let terminal = purse.transaction.terminal;
            self.requests.insert((*terminal.octets(), record.terminal_sequence.value()));
        }
    }

    /// A new record of this page.
    pub(super) fn check(
        &mut self,
        name: &str,
        page: &Report,
        record: &ReportRecord,
        findings: &mut Vec<String>,
    ) {
        let purse = match LogRecord::parse(&record.purse) {
            Ok(purse) => purse,
            Err(why) => {
                findings.push(format!("{name}: the purse's record: {why}"));
                return;
            }
        };
        let name = format!("{name} ({})", told(record, &purse));
        let kind = purse.transaction.kind;
        let event = !is_load(record);
        match (kind, event) {
            (TransactionType::COMPOUND, true) | (TransactionType::LOAD, false) => {}
            _ => {
                findings.push(format!("{name}: type {:02x} does not belong here", kind.0));
                return;
            }
        }
        if record.state != PAID && !(event && record.state == REFUNDED) {
            let expected = if event { "01 or 02" } else { "01" };
            findings.push(format!("{name}: state {:02x}, expected {expected}", record.state));
        }
        let fields = if event {
            tac_purchase_input(&purse.transaction, record.terminal_sequence)
        } else {
            let before = purse.sequence.wrapping_sub(1).to_be_bytes();
            tac_load_input(record.balance, before, &purse.transaction)
        };
        if !self.keys.made_tac(&fields, record.tac) {
            findings.push(format!("{name}: the TAC is not the purse's: the record was altered"));
        }
        let (last, which, counted) = match event {
            true => (&mut self.offline, "offline", page.offline_sequence),
            false => (&mut self.online, "online", page.online_sequence),
        };
        if purse.sequence > counted {
            findings.push(format!(
                "{name}: {which} sequence {}, above what the purse has counted, {counted}",
                purse.sequence
            ));
        }
        match last.replace(purse.sequence) {
            Some(before) if before >= purse.sequence => findings.push(format!(
                "{name}: {which} sequence {} behind {before}: repeated or moved",
                purse.sequence
            )),
            _ => {}
        }
        if event {
            self.request(&name, purse.transaction.terminal, record.terminal_sequence, findings);
            self.price(&name, record, &purse, findings);
        }
    }

    fn request(
        &mut self,
        name: &str,
        terminal: TerminalId,
        sequence: TerminalSequence,
        findings: &mut Vec<String>,
    ) {
        if !self.requests.insert((*terminal.octets(), sequence.value())) {
            findings.push(format!(
                "{name}: number {} of terminal {terminal} a second time: a duplicate",
                sequence.value()
            ));
        }
    }

    fn price(
        &self,
        name: &str,
        record: &ReportRecord,
        purse: &LogRecord,
        findings: &mut Vec<String>,
    ) {
        // What was given back since is done with, whatever it cost.
        let Some(schedule) = self.schedule.filter(|_| record.state != REFUNDED) else { return };
        let events = || {
            let events = schedule.service.iter().flat_map(|service| &service.event);
            events.filter(|event| event.id == record.event.value())
        };
        let paid = purse.transaction.amount;
        match events().find(|event| event.tier == record.tier).map(|event| event.price) {
            None if events().next().is_some() => {
                let tier = record.tier;
                findings.push(format!("{name}: the schedule has no tier {tier} of this event"));
            }
            None => findings.push(format!("{name}: the schedule has no such event")),
            Some(price) if paid < price => findings.push(format!(
                "{name}: underpaid, the schedule says {price}; give it back and end the right: headend emm \
                 with kind = \"refund\", event = {}, sequence = {}, amount = \"{paid}\"",
                record.event.value(),
                purse.sequence
            )),
            Some(price) if paid > price => {
                findings.push(format!("{name}: overpaid, the schedule says {price}"));
            }
            Some(_) => {}
        }
    }
}

/// A record as text.
pub(super) fn told(record: &ReportRecord, purse: &LogRecord) -> String {
    let what = match record.event.value() {
        0 => "load".to_owned(),
        event => format!("event {event}"),
    };
    let state = if record.state == REFUNDED { ", refunded" } else { "" };
    let transaction = &purse.transaction;
    format!(
        "{} {}, {what}, {}{state}, sequence {}",
        transaction.date, transaction.time, transaction.amount, purse.sequence
    )
}

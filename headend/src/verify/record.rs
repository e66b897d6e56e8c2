// SPDX-License-Identifier: Apache-2.0
//! One record: who made its code, whether it comes in its turn, and what it should have cost.

use super::state::CardState;
use crate::files::card_key::CardKeys;
use crate::files::schedule::Schedule;
use cam_types::{EventId, TerminalId, TerminalSequence};
use ecm_emm::report::ReportRecord;
use std::collections::BTreeSet;
use wallet::formula::{tac_load_input, tac_purchase_input};
use wallet::{LogRecord, TransactionType};

/// The state of a purchase that was given back.
const REFUNDED: u8 = 2;

/// Checks records, one after another.
pub(super) struct Checker<'a> {
    keys: &'a CardKeys,
    schedule: Option<&'a Schedule>,
    offline: Option<u16>,
    online: Option<u16>,
    requests: BTreeSet<([u8; 6], u32)>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        keys: &'a CardKeys,
        schedule: Option<&'a Schedule>,
        known: Option<&CardState>,
    ) -> Self {
        let (offline, online) =
            (known.map(|known| known.offline_sequence), known.map(|known| known.online_sequence));
        Self { keys, schedule, offline, online, requests: BTreeSet::new() }
    }

    pub(super) fn check(&mut self, name: &str, record: &ReportRecord, findings: &mut Vec<String>) {
        let purse = match LogRecord::parse(&record.purse) {
            Ok(purse) => purse,
            Err(why) => {
                findings.push(format!("{name}: the purse's record: {why}"));
                return;
            }
        };
        let name = format!("{name} ({})", told(record, &purse));
        let kind = purse.transaction.kind;
        let event = record.event != EventId::new(0);
        match (kind, event) {
            (TransactionType::COMPOUND, true) | (TransactionType::LOAD, false) => {}
            _ => {
                findings.push(format!("{name}: type {:02x} does not belong here", kind.0));
                return;
            }
        }
        if !matches!(record.state, 1 | 2) {
            findings.push(format!("{name}: state {:02x}, expected 01 or 02", record.state));
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
        let (last, which) =
            if event { (&mut self.offline, "offline") } else { (&mut self.online, "online") };
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
        let mut events = schedule.service.iter().flat_map(|service| &service.event);
        let paid = purse.transaction.amount;
        match events.find(|event| event.id == record.event.value()).map(|event| event.price) {
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

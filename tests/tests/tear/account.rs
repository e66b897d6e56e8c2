// SPDX-License-Identifier: Apache-2.0
//! What a card shows of its money, and what must hold of it at every moment.

use cam_types::Aid;
use system_tests::demo::select;
use vcard::Card;
use wallet::{LogRecord, TransactionType};

/// The demo's card has been given so much, in fen.
const OPENING: u64 = 10_000;

/// A card's money and everything that must agree with it.
#[derive(Debug)]
pub(crate) struct Account {
    balance: u64,
    offline_sequence: u16,
    online_sequence: u16,
    /// The purse's log, the oldest first.
    log: Vec<LogRecord>,
    /// Programmes in the conditional access log: bought, and not given back.
    programmes: usize,
    /// Events that the card opens.
    events: usize,
    /// The record of the gate.
    pub record: Vec<u8>,
}

impl Account {
    pub(crate) fn of(card: &mut Card) -> Result<Self, String> {
        let inside = card.inspect().map_err(|error| error.to_string())?;
        let kept = inside.log.iter().filter(|line| !line.contains("refunded"));
        let events = inside.rights.iter().filter(|line| line.starts_with("event "));
        let mut account = Self {
            balance: inside.status.balance.fen().into(),
            offline_sequence: inside.status.offline_sequence,
            online_sequence: inside.status.online_sequence,
            log: Vec::new(),
            programmes: kept.filter(|line| line.contains(": event ")).count(),
            events: events.filter(|line| !line.ends_with("revoked")).count(),
            record: Vec::new(),
        };
        if card.power_on().is_empty() {
            return Err("mute".to_owned());
        }
        select(card, Aid::PURSE.octets());
        for age in 1..=u8::MAX {
            let response =
                card.transmit(&LogRecord::read_command(age)).map_err(|e| e.to_string())?;
            match response.split_last_chunk::<2>() {
                Some((data, [0x90, 0x00])) => account
                    .log
                    .insert(0, LogRecord::parse(data).map_err(|error| error.to_string())?),
                _ => break,
            }
        }
        let read_first_record = [0x00, 0xB2, 0x01, 0x17 << 3 | 0x04, 0x00];
        if let Ok(record) = card.transmit(&read_first_record) {
            account.record = record;
        }
        account.consistent()?;
        Ok(account)
    }

    /// Transactions of this type in the log.
    pub(crate) fn count(&self, kind: TransactionType) -> usize {
        self.log.iter().filter(|record| record.transaction.kind == kind).count()
    }

    /// The invariants of every moment.
    fn consistent(&self) -> Result<(), String> {
        let is_load = |record: &&LogRecord| record.transaction.kind == TransactionType::LOAD;
        let (loads, debits): (Vec<&LogRecord>, Vec<_>) = self.log.iter().partition(is_load);
        let sum = |records: &[&LogRecord]| -> u64 {
            records.iter().map(|record| u64::from(record.transaction.amount.fen())).sum()
        };
        let numbers = |records: &[&LogRecord], last: u16| {
            records.iter().map(|record| record.sequence).eq(1..=last)
        };
        let invariants = [
            ("money is conserved", self.balance + sum(&debits) == OPENING + sum(&loads)),
            ("offline sequence and log agree", numbers(&debits, self.offline_sequence)),
            ("online sequence and log agree", numbers(&loads, self.online_sequence)),
            ("a right for every programme paid, and none without", self.programmes == self.events),
        ];
        match invariants.iter().find(|(_, holds)| !holds) {
            Some((invariant, _)) => Err(format!("not so: {invariant}: {self:?}")),
            None => Ok(()),
        }
    }
}

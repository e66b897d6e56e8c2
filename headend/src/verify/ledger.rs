// SPDX-License-Identifier: Apache-2.0
//! The money of a report: what went out, what came in, and what the purse says is left.

use super::record::{is_load, told};
use super::state::CardState;
use cam_types::Fen;
use ecm_emm::report::{Report, ReportRecord};
use std::fmt;
use wallet::LogRecord;

/// A record's share.
struct Line {
    name: String,
    text: String,
    debit: bool,
    sequence: u16,
    amount: Fen,
    balance: Fen,
}

/// How much of what was before is known.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Ground {
    /// Nothing.
    None,
    /// What the purse had counted; records since may be missing.
    Sequences,
    /// All of it.
    Whole,
}

/// The sums over the new records of a report.
pub(super) struct Ledger {
    balance: Option<Fen>,
    offline: u16,
    online: u16,
    lines: Vec<Line>,
    ground: Ground,
    /// Records that came before.
    pub(super) known: usize,
}

impl Ledger {
    pub(super) fn new(known: Option<&CardState>, ground: Ground) -> Self {
        Self {
            balance: known.and_then(|known| known.balance).map(Fen::new),
            offline: known.map_or(0, |known| known.offline_sequence),
            online: known.map_or(0, |known| known.online_sequence),
            lines: Vec::new(),
            ground,
            known: 0,
        }
    }

    pub(super) fn add(&mut self, name: &str, record: &ReportRecord) {
        let Ok(purse) = LogRecord::parse(&record.purse) else { return };
        self.lines.push(Line {
            name: name.to_owned(),
            text: format!("{}, balance {}", told(record, &purse), record.balance),
            debit: !is_load(record),
            sequence: purse.sequence,
            amount: purse.transaction.amount,
            balance: record.balance,
        });
    }

    /// Compares what can be compared, and tells the rest.
    pub(super) fn end(&mut self, last: &Report, findings: &mut Vec<String>, text: &mut String) {
        for line in &self.lines {
            *text += &format!("  {}: {}\n", line.name, line.text);
        }
        if self.ground == Ground::None {
            *text +=
                "without what was verified before neither beginning nor balances are compared\n";
        } else {
            let debits = self.lines.iter().filter(|line| line.debit).count();
            let counted = usize::from(last.offline_sequence.saturating_sub(self.offline));
            let tills = counted.saturating_sub(debits);
            if tills > 0 {
                *text += &format!("purchases at terminals, in no report: {tills}\n");
            }
            let loads = self.loads_elsewhere(last);
            if !loads.is_empty() {
                *text += &format!(
                    "loads at hosts, by online sequence: {}; balances are not compared\n",
                    loads.join(", ")
                );
            } else if self.ground == Ground::Whole {
                self.compare(last, tills == 0, findings);
            }
        }
        *text += &format!("balance {}\n", last.balance);
    }

    /// Steps of the online sequence without a record.
    fn loads_elsewhere(&self, last: &Report) -> Vec<String> {
        let mut steps = Vec::new();
        let mut from = u32::from(self.online) + 1;
        let end = u32::from(last.online_sequence) + 1;
        let loads = self.lines.iter().filter(|line| !line.debit);
        for sequence in loads.map(|line| u32::from(line.sequence)).chain([end]) {
            match sequence.saturating_sub(from) {
                0 => {}
                1 => steps.push(from.to_string()),
                _ => steps.push(format!("{from} to {}", sequence - 1)),
            }
            from = from.max(sequence + 1);
        }
        steps
    }

    /// Every load is here: no balance is above what the one before leaves, nor below it unless
    /// terminals took something.
    fn compare(&self, last: &Report, whole: bool, findings: &mut Vec<String>) {
        let differs = |balance: Fen, expected: Fen| match whole {
            true => balance != expected,
            false => balance > expected,
        };
        let mut balance = self.balance;
        for line in &self.lines {
            let expected = balance.map(|balance| match line.debit {
                true => balance.checked_sub(line.amount),
                false => balance.checked_add(line.amount),
            });
            if let Some(expected) = expected
                && expected.is_none_or(|expected| differs(line.balance, expected))
            {
                let expected = expected.map_or("none".to_owned(), |fen| fen.to_string());
                findings.push(format!(
                    "{} ({}): the balance should be {expected}",
                    line.name, line.text
                ));
            }
            balance = Some(line.balance);
        }
        if let Some(balance) = balance
            && differs(last.balance, balance)
        {
            findings.push(format!("the purse holds {}, the records leave {balance}", last.balance));
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} new records, {} known", self.lines.len(), self.known)
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The money of a report: what went out, what came in, and what the purse says is left.

use super::record::told;
use super::state::CardState;
use cam_types::{EventId, Fen};
use ecm_emm::report::{Report, ReportRecord};
use std::fmt;
use wallet::LogRecord;

/// A record's share.
struct Line {
    name: String,
    text: String,
    debit: bool,
    amount: Fen,
    balance: Fen,
}

/// The sums over the new records of a report.
pub(super) struct Ledger {
    balance: Option<Fen>,
    offline: u16,
    online: u16,
    lines: Vec<Line>,
    /// From zeros or from a state: what was before is known.
    grounded: bool,
    /// Records that came before.
    pub(super) known: usize,
}

impl Ledger {
    pub(super) fn new(known: Option<&CardState>) -> Self {
        let state = known.cloned().unwrap_or_default();
        Self {
            balance: state.balance.map(Fen::new),
            offline: state.offline_sequence,
            online: state.online_sequence,
            lines: Vec::new(),
            grounded: known.is_some(),
            known: 0,
        }
    }

    pub(super) fn add(&mut self, name: &str, record: &ReportRecord) {
        let Ok(purse) = LogRecord::parse(&record.purse) else { return };
        self.lines.push(Line {
            name: name.to_owned(),
            text: format!("{}, balance {}", told(record, &purse), record.balance),
            debit: record.event != EventId::new(0),
            amount: purse.transaction.amount,
            balance: record.balance,
        });
    }

    /// Compares what can be compared, and tells the rest.
    pub(super) fn end(&mut self, last: &Report, findings: &mut Vec<String>, text: &mut String) {
        for line in &self.lines {
            *text += &format!("  {}: {}\n", line.name, line.text);
        }
        let purchases = self.lines.iter().filter(|line| line.debit).count();
        let loads = self.lines.len() - purchases;
        let counted = |now: u16, before: u16| now.checked_sub(before).map(usize::from);
        let pairs = [
            ("purchases", purchases, counted(last.offline_sequence, self.offline)),
            ("loads", loads, counted(last.online_sequence, self.online)),
        ];
        let mut elsewhere = 0;
        if self.grounded {
            for (what, reported, by_purse) in pairs {
                match by_purse.and_then(|by_purse| by_purse.checked_sub(reported)) {
                    Some(more) => elsewhere += more,
                    None => {
                        findings.push(format!(
                            "{reported} {what} are reported, more than the purse has counted"
                        ));
                        return;
                    }
                }
            }
        }
        if !self.grounded || elsewhere > 0 {
            *text += &if self.grounded {
                format!(
                    "transactions at terminals, in no report: {elsewhere}; balances are not compared\n"
                )
            } else {
                "without --previous neither the beginning nor the balances are compared\n"
                    .to_owned()
            };
        } else {
            self.compare(last, findings);
        }
        *text += &format!("balance {}\n", last.balance);
    }

    /// Every transaction is here: each balance follows from the one before.
    fn compare(&self, last: &Report, findings: &mut Vec<String>) {
        let mut balance = self.balance;
        for line in &self.lines {
            let expected = balance.map(|balance| match line.debit {
                true => balance.checked_sub(line.amount),
                false => balance.checked_add(line.amount),
            });
            if let Some(expected) = expected
                && expected != Some(line.balance)
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
            && balance != last.balance
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

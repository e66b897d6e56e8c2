// SPDX-License-Identifier: Apache-2.0
//! Exchanges on a line: how long they take, in a table.

use serde_json::json;
use std::collections::VecDeque;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;
use system_tests::money::antenna;
use system_tests::money::nominal::Exchange;
use system_tests::paced_line::PacedLine;
use vcard::atr::Profile;

/// Where a card's octets pass.
#[derive(Clone, Copy)]
pub(crate) enum Channel {
    /// ISO/IEC 7816-3, at the rate that TA1 allows.
    Contacts { protocol: u8, ta1: u8 },
    /// ISO/IEC 14443 type A, 106 kbit/s, frames of at most `frame` octets (FSD and FSC).
    Antenna { frame: usize },
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contacts { protocol, ta1: 0x11 } => write!(f, "T={protocol}, 372/1"),
            Self::Contacts { protocol, ta1 } => write!(f, "T={protocol}, TA1 {ta1:02X}"),
            Self::Antenna { frame } => write!(f, "106 kbit/s, FSC {frame}"),
        }
    }
}

impl Channel {
    /// Time on the line and octets, answers included that the protocol adds.
    fn pass(self, exchanges: &[Exchange]) -> (Duration, usize) {
        match self {
            Self::Contacts { protocol, ta1 } => {
                let own = if protocol == 0 { Profile::t0() } else { Profile::t1() };
                let atr = Profile { ta1, ..own }.emit();
                let mut answers: VecDeque<Vec<u8>> =
                    exchanges.iter().map(|exchange| exchange.response.clone()).collect();
                let mut line = PacedLine::new(atr, move |_| answers.pop_front().unwrap());
                line.activate();
                line.recording();
                let time = exchanges
                    .iter()
                    .map(|Exchange { command, response, .. }| {
                        let (got, time) = line.command(command);
                        assert_eq!(got, *response);
                        time
                    })
                    .sum();
                let recording = String::from_utf8(line.recording()).unwrap();
                (time, octets(&recording))
            }
            Self::Antenna { frame } => {
                exchanges.iter().fold((Duration::ZERO, 0), |(time, octets), one| {
                    let (command, response) = (one.command.len(), one.response.len());
                    let (more, passed) =
                        antenna::exchange(command, response, one.thinking(), frame);
                    (time + more, octets + passed)
                })
            }
        }
    }
}

/// How many octets a recording shows: a line has time and party, then octets.
fn octets(recording: &str) -> usize {
    recording
        .lines()
        .map(|line| line.split_whitespace().skip(2).map(|hex| hex.len() / 2).sum::<usize>())
        .sum()
}

/// One line of the table.
pub(crate) struct Row {
    what: String,
    line_name: String,
    commands: usize,
    octets: usize,
    line: Duration,
    pages: u64,
    aes: u64,
    des: u64,
    card: Duration,
    /// What the card still writes after its last answer.
    home: Duration,
    limit: Option<Duration>,
}

impl Row {
    /// What the card writes home after the last answer is no longer waited for.
    pub(crate) fn new(
        what: &str,
        channel: Channel,
        exchanges: &[Exchange],
        limit: Option<u64>,
    ) -> Self {
        let (line, octets) = channel.pass(exchanges);
        let sum = |of: fn(&Exchange) -> u64| exchanges.iter().map(of).sum();
        let (last, before) = exchanges.split_last().unwrap();
        let card = before.iter().map(|one| one.thinking() + one.writing_home()).sum::<Duration>();
        Self {
            what: what.to_owned(),
            line_name: channel.to_string(),
            commands: exchanges.len(),
            octets,
            line,
            pages: sum(|one| one.pages_before + one.pages_after),
            aes: sum(|one| one.aes),
            des: sum(|one| one.des),
            card: card + last.thinking(),
            home: last.writing_home(),
            limit: limit.map(Duration::from_millis),
        }
    }

    /// With a secure module at a second reader: one of the two cards works at a time, and the
    /// module's is the last answer.
    pub(crate) fn and_module(self, channel: Channel, exchanges: &[Exchange]) -> Self {
        let module = Self::new(&self.what, channel, exchanges, None);
        Self {
            what: format!("{}, and its PSAM", self.what),
            line_name: format!("{} + {}", self.line_name, module.line_name),
            commands: self.commands + module.commands,
            octets: self.octets + module.octets,
            line: self.line + module.line,
            pages: self.pages + module.pages,
            aes: self.aes + module.aes,
            des: self.des + module.des,
            card: self.card + module.card,
            home: self.home.max(module.home),
            limit: self.limit,
        }
    }

    fn total(&self) -> Duration {
        self.line + self.card
    }

    fn is_met(&self) -> bool {
        self.limit.is_none_or(|limit| self.total() < limit)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let Self { what, commands, octets, pages, aes, des, .. } = self;
        let (line, card) = (ms(self.line), ms(self.card));
        let (total, home, name) = (ms(self.total()), ms(self.home), &self.line_name);
        write!(
            f,
            "{what:<46} {name:<35} {commands:>4} {octets:>6} {line:>7.1} {pages:>5} {aes:>4} {des:>4} \
             {card:>7.1} {total:>8.1} {home:>7.1}"
        )?;
        match self.limit {
            Some(limit) => {
                let verdict = if self.is_met() { "ok" } else { "MISSED" };
                write!(f, "  < {} {verdict}", limit.as_millis())
            }
            None => Ok(()),
        }
    }
}

/// Prints the table, writes it where the command line says, and fails when a limit is missed.
pub(crate) fn report(rows: &[Row]) -> ExitCode {
    println!(
        "{:<46} {:<35} {:>4} {:>6} {:>7} {:>5} {:>4} {:>4} {:>7} {:>8} {:>7}",
        "operation",
        "line",
        "cmds",
        "octets",
        "line ms",
        "pages",
        "AES",
        "DES",
        "card ms",
        "total ms",
        "home ms"
    );
    rows.iter().for_each(|row| println!("{row}"));
    if let Some(path) = std::env::args().nth(1) {
        let table: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "operation": row.what, "line": row.line_name, "commands": row.commands,
                    "octets": row.octets, "line_us": row.line.as_micros(), "page_writes": row.pages,
                    "aes_blocks": row.aes, "des_blocks": row.des, "card_us": row.card.as_micros(),
                    "total_us": row.total().as_micros(), "home_us": row.home.as_micros(),
                    "limit_us": row.limit.map(|limit| limit.as_micros()), "met": row.is_met(),
                })
            })
            .collect();
        std::fs::write(path, serde_json::to_vec_pretty(&table).unwrap()).unwrap();
    }
    if rows.iter().all(Row::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

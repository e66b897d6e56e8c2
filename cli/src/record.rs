// SPDX-License-Identifier: Apache-2.0
//! What the program says: a line of text, or with `--json` an object.
pub(crate) mod balance;
pub(crate) mod batch;
pub(crate) mod money;
mod port;

pub(crate) use port::{Latency, LatencyOf, Port, Rate};

use crate::explain::Row;
use crate::hex;
use iso7816::atr::Atr;
use iso7816::etu::{Convention, LineParams};
use iso7816::line::{CardLine, Level};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write as _};

/// One thing to say. The names of its fields are documented in `stbcam --help` and do not change.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Record {
    /// An answer to reset, and how the line runs since.
    Atr {
        atr: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<Running>,
        odd: Option<String>,
    },
    /// What some octets of an answer to reset say.
    Octets { at: usize, octets: String, name: String, meaning: String },
    /// A command, as it may be shown, and its answer.
    Response { command: String, data: String, sw: Option<String>, meaning: String, ms: f64 },
    /// Something has become of the card.
    Card { t: f64, state: CardState, atr: Option<String>, why: Option<String> },
    /// Something has become of the reader.
    Reader { t: f64, state: ReaderState, why: Option<String> },
    /// What a port is and has.
    Port(Port),
    /// What a port makes of a bit rate.
    Rate(Rate),
    /// How long something takes.
    Latency(Latency),
    /// What is in the purse.
    Balance(balance::Balance),
    /// A record of the purse's log.
    Logged(money::Logged),
    /// Money taken.
    Paid(money::Paid),
    /// Money given.
    Loaded(money::Loaded),
    /// What an earlier transaction has come to.
    Settled(money::Settlement),
    /// What the card has shown of its conventions.
    Shown(money::Shown),
    /// A proof that the card has shown.
    Proven(money::Proven),
    /// An entry of a batch.
    Entry(batch::Entry),
    /// The sum of a batch.
    Batch(batch::Sums),
    /// A gate that opens.
    Passed(money::Passed),
    /// Why something that could have been said is not.
    Note { note: String },
    /// It did not work; standard error says the same.
    Error { error: String },
}

/// How the line of a card that is up runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Running {
    /// T of the protocol: 0, 1 or 14.
    protocol: u8,
    level: &'static str,
    /// Not told by a reader that takes APDUs.
    #[serde(flatten)]
    rate: Option<Rates>,
}

#[derive(Clone, Debug, Serialize)]
struct Rates {
    f: u16,
    d: u8,
    bit_rate: u32,
    guard_etu: u16,
    convention: &'static str,
    clock: u32,
}

impl Running {
    pub(crate) fn new(line: &CardLine) -> Self {
        let (level, told) = match line.level() {
            Level::Characters => ("characters", true),
            Level::Tpdu => ("tpdu", true),
            Level::Apdu => ("apdu", false),
        };
        let rate = told.then(|| Rates::new(&line.params()));
        Self { protocol: line.protocol(), level, rate }
    }
}

impl Rates {
    fn new(params: &LineParams) -> Self {
        Self {
            f: params.f,
            d: params.d,
            bit_rate: params.baud(),
            guard_etu: params.guard_etu,
            convention: match params.convention {
                Convention::Direct => "direct",
                Convention::Inverse => "inverse",
            },
            clock: params.clock_hz,
        }
    }
}

/// What has become of the card.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CardState {
    Absent,
    Inserted,
    Up,
    Unknown,
    Mute,
    Removed,
}

/// What has become of the reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReaderState {
    Watching,
    Unplugged,
    Replugged,
}

impl Record {
    pub(crate) fn atr(octets: &[u8], line: Option<Running>, odd: Option<String>) -> Self {
        Self::Atr { atr: hex::text(octets), line, odd }
    }

    pub(crate) fn card(t: f64, state: CardState, atr: Option<&Atr>, why: Option<String>) -> Self {
        Self::Card { t, state, atr: atr.map(|atr| hex::text(atr.octets())), why }
    }
}

impl From<&Row<'_>> for Record {
    fn from(row: &Row<'_>) -> Self {
        Self::Octets {
            at: row.at,
            octets: hex::text(row.octets),
            name: row.name.clone(),
            meaning: row.meaning.clone(),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atr { atr, line, odd } => {
                f.write_str(atr)?;
                if let Some(line) = line {
                    write!(f, "\n{line}")?;
                }
                odd.as_ref().map_or(Ok(()), |odd| write!(f, "\nodd: {odd}"))
            }
            Self::Octets { octets, name, meaning, .. } => {
                let name = if octets.len() > 8 {
                    format!("{octets}  {name}")
                } else {
                    format!("{octets:<8}  {name:<11}")
                };
                write!(f, "  {name} {meaning}")
            }
            Self::Response { command, data, sw, meaning, ms } => {
                write!(f, "> {command}\n<")?;
                for part in [Some(data), sw.as_ref()].into_iter().flatten() {
                    if !part.is_empty() {
                        write!(f, " {part}")?;
                    }
                }
                write!(f, "  {meaning} ({ms:.1} ms)")
            }
            Self::Card { t, state, atr, why } => {
                let said = match state {
                    CardState::Absent => "no card",
                    CardState::Inserted => "card inserted",
                    CardState::Up => "card is up",
                    CardState::Unknown => "unknown card",
                    CardState::Mute => "card is mute, or none is in",
                    CardState::Removed => "card removed",
                };
                write!(f, "{t:10.3} {said}")?;
                for part in [atr, why].into_iter().flatten() {
                    write!(f, ": {part}")?;
                }
                Ok(())
            }
            Self::Reader { t, state, why } => {
                let said = match state {
                    ReaderState::Watching => "watching",
                    ReaderState::Unplugged => "reader unplugged",
                    ReaderState::Replugged => "reader plugged in again",
                };
                write!(f, "{t:10.3} {said}")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::Port(port) => write!(f, "{port}"),
            Self::Rate(rate) => write!(f, "{rate}"),
            Self::Latency(latency) => write!(f, "{latency}"),
            Self::Balance(balance) => write!(f, "{balance}"),
            Self::Logged(record) => write!(f, "{record}"),
            Self::Paid(paid) => write!(f, "{paid}"),
            Self::Loaded(loaded) => write!(f, "{loaded}"),
            Self::Settled(settled) => write!(f, "{settled}"),
            Self::Shown(shown) => write!(f, "{shown}"),
            Self::Proven(proven) => write!(f, "{proven}"),
            Self::Entry(entry) => write!(f, "{entry}"),
            Self::Batch(sums) => write!(f, "{sums}"),
            Self::Passed(passed) => write!(f, "{passed}"),
            Self::Note { note } => f.write_str(note),
            Self::Error { error } => f.write_str(error),
        }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol;
        let Some(rate) = &self.rate else {
            return write!(f, "T={protocol}, and the reader sees to the line");
        };
        let Rates { f: fi, d, bit_rate, guard_etu, convention, clock } = rate;
        write!(
            f,
            "T={protocol} at {bit_rate} bit/s ({fi}/{d} at {clock} Hz), {guard_etu} etu for a \
             character to the card, {convention} convention"
        )
    }
}

/// Where records go: standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// As objects, one a line.
    pub json: bool,
}

impl Out {
    /// Says it at once: whoever reads along should not wait for the next.
    pub(crate) fn say(self, record: &Record) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, record)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{record}")?;
        }
        out.flush()
    }
}

// SPDX-License-Identifier: Apache-2.0
//! `stbcam wallet settle`: what is open, and the verdict of who knows what became of it.
use crate::args::Common;
use crate::failure::Failure;
use crate::money::args::{now, octets};
use crate::money::journal::Journal;
use crate::money::state::{Serial, State, serial_text};
use crate::money::verdict::{Verdict, words};
use crate::record::Record;
use crate::record::money::Settlement;
use clap::{ArgGroup, Args};
use std::path::{Path, PathBuf};

#[derive(Args, Clone, Debug)]
#[command(
    group = ArgGroup::new("verdict").args(["made", "not_made"]).requires_all(["by", "why", "which"]),
    group = ArgGroup::new("which").args(["serial", "no_serial", "batch"])
)]
pub(crate) struct SettleArgs {
    /// The card's serial number, 10 octets
    #[arg(long, value_name = "HEX", value_parser = octets::<10>)]
    serial: Option<[u8; 10]>,
    /// The card has no serial number
    #[arg(long)]
    no_serial: bool,
    /// A load of this batch, instead of a transaction in the state directory
    #[arg(long, value_name = "FILE", requires = "reference")]
    batch: Option<PathBuf>,
    /// Which load of the batch
    #[arg(long, value_name = "TEXT", requires = "batch")]
    reference: Option<String>,
    /// The transaction took place: money has moved
    #[arg(long)]
    made: bool,
    /// It did not: no money has moved
    #[arg(long)]
    not_made: bool,
    /// Who says so
    #[arg(long, value_name = "TEXT", requires = "verdict")]
    by: Option<String>,
    /// What it is known by
    #[arg(long, value_name = "TEXT", requires = "verdict")]
    why: Option<String>,
    /// The terminal's keys file, beside which the state directory is; it is not read
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The terminal's state directory, as for the other commands
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl SettleArgs {
    fn verdict(&self) -> Result<Option<Verdict>, Failure> {
        let checked = |name: &str, text: &str| {
            words(text).map_err(|why| Failure::Usage(format!("{name}: {why}; no money has moved")))
        };
        let Some((by, why)) = self.by.as_deref().zip(self.why.as_deref()) else { return Ok(None) };
        let (by, why) = (checked("--by", by)?, checked("--why", why)?);
        Ok(Some(Verdict::new(self.made, &by, &why, now())))
    }
}

pub(super) fn run(args: &SettleArgs, common: &Common) -> Result<(), Failure> {
    let verdict = args.verdict()?;
    match (&args.batch, &args.reference) {
        (Some(batch), Some(reference)) => entry(batch, reference, verdict.as_ref(), common),
        _ => card(args, verdict.as_ref(), common),
    }
}

/// A transaction in the state directory; without a verdict, or without a card, what is there.
fn card(args: &SettleArgs, verdict: Option<&Verdict>, common: &Common) -> Result<(), Failure> {
    let directory = match &args.state {
        Some(directory) => directory.clone(),
        None => State::default_directory(args.keys.as_deref())?,
    };
    let mut state = State::open(&directory)?;
    let mut open = state.open_cards()?;
    if args.serial.is_some() || args.no_serial {
        if !open.contains(&args.serial) {
            let there = list(open.iter().map(|card| serial_text(*card)));
            return Err(Failure::Usage(format!(
                "nothing is open with card {} in {}: {there}; no money has moved",
                serial_text(args.serial),
                directory.display()
            )));
        }
        open.retain(|card| *card == args.serial);
    }
    if open.is_empty() {
        let note = format!("nothing is open in {}; no money has moved", directory.display());
        return Ok(common.out().say(&Record::Note { note })?);
    }
    for card in open {
        settle(&mut state, card, verdict, common)?;
    }
    Ok(())
}

fn settle(
    state: &mut State,
    card: Serial,
    verdict: Option<&Verdict>,
    common: &Common,
) -> Result<(), Failure> {
    let Some(unsettled) = state.unsettled(card)? else { return Ok(()) };
    let settlement = match verdict {
        None => Settlement::open(card, &unsettled),
        Some(verdict) => {
            let record = verdict.record(card, &unsettled)?;
            state.judged(card, &unsettled, verdict.outcome(), &record)?;
            verdict.settlement(card, &unsettled)
        }
    };
    Ok(common.out().say(&Record::Settled(settlement))?)
}

/// A load of a batch, in its journal.
fn entry(
    batch: &Path,
    reference: &str,
    verdict: Option<&Verdict>,
    common: &Common,
) -> Result<(), Failure> {
    if !Journal::is_beside(batch) {
        return Err(Failure::Usage(format!(
            "--batch {}: no run of it has begun, there is no journal beside it; no money has moved",
            batch.display()
        )));
    }
    let mut journal = Journal::open(batch)?;
    let Some((card, unsettled)) = journal.open_entry(reference) else {
        let there = list(journal.open_entries().map(str::to_owned));
        return Err(Failure::Usage(format!(
            "nothing is open under reference '{reference}' in {}: {there}; no money has moved",
            batch.display()
        )));
    };
    let settlement = match verdict {
        None => Settlement::open(card, &unsettled),
        Some(verdict) => {
            journal.judged(reference, verdict)?;
            verdict.settlement(card, &unsettled)
        }
    };
    Ok(common.out().say(&Record::Settled(settlement))?)
}

/// What would have been right.
fn list(open: impl Iterator<Item = String>) -> String {
    match open.collect::<Vec<_>>() {
        none if none.is_empty() => "nothing is open there".into(),
        some => format!("there is {}", some.join(", ")),
    }
}

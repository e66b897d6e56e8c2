// SPDX-License-Identifier: Apache-2.0
//! `stbcam gate`: a transit gate that writes entries and takes fares.
use crate::args::Common;
use crate::failure::Failure;
use crate::money::args::{PurseArgs, TerminalArgs, octet};
use crate::money::fares;
use crate::money::terminal::{Outcome, Terminal};
use crate::record::Record;
use crate::record::money::{Passed, Settlement};
use cam_types::Fen;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use wallet::flow::fare::Station;
use wallet::flow::gate::Gate;

#[derive(Args, Clone, Debug)]
pub(crate) struct GateArgs {
    /// Which way the gate lets cards
    #[arg(value_enum)]
    way: Way,
    /// The gate's station
    #[arg(long, value_name = "N")]
    station: u16,
    /// What journeys cost: a TOML file (see below)
    #[arg(long, value_name = "FILE")]
    fares: PathBuf,
    /// The file of the transit record, its short identifier in hexadecimal
    #[arg(long, value_name = "XX", value_parser = octet, default_value = "17")]
    sfi: u8,
    /// The transit record's first octet
    #[arg(long, value_name = "XX", value_parser = octet, default_value = "21")]
    tag: u8,
    /// One card after the other, until SIGINT or SIGTERM
    #[arg(long = "loop")]
    many: bool,
    #[command(flatten)]
    purse: PurseArgs,
    #[command(flatten)]
    terminal: TerminalArgs,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Way {
    /// Into the network: writes the entry, takes nothing
    Entry,
    /// Out of it: takes the fare, writes the exit
    Exit,
}

pub(super) fn run(args: &GateArgs, common: &Common) -> Result<(), Failure> {
    let fares =
        fares::read(&args.fares).map_err(|error| Failure::Usage(format!("--fares {error}")))?;
    let station = Station(args.station);
    let gate = Gate { station, fares: &fares, sfi: args.sfi, identifier: args.tag };
    let mut terminal = Terminal::open(&args.purse, &args.terminal, common)?;
    terminal.serve(args.many, args.purse.wait.into(), common, |terminal| {
        loop {
            let passed = terminal.pay(Fen::ZERO, |purse, order, psam| {
                let passage = match args.way {
                    Way::Entry => gate.entry(purse, order, psam),
                    Way::Exit => gate.exit(purse, order, psam),
                }?;
                Ok((passage.debiting, passage.record))
            })?;
            match passed {
                Outcome::Done((paid, record)) => {
                    let way = match args.way {
                        Way::Entry => "entry",
                        Way::Exit => "exit",
                    };
                    let from = record.entry.0;
                    let passed =
                        Passed { way, station: args.station, from, fare: record.fare, paid };
                    return Ok(common.out().say(&Record::Passed(passed))?);
                }
                // The record on the card says where the traveller is, whatever had to be settled.
                Outcome::Earlier(settled) => {
                    let serial = terminal.card.ask(|purse| Ok(purse.serial()))?;
                    common.out().say(&Record::Settled(Settlement::new(serial, &settled)))?;
                }
            }
        }
    })
}

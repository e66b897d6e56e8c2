// SPDX-License-Identifier: Apache-2.0
//! The command line.

mod demo;
mod help;
mod said;
mod serve;

use cam_types::CasTime;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use demo::Demo;
use said::{at, print};
use serve::Serve;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use vcard::{Card, Durability, Inspection, Personalisation, PsamInspection};

/// A virtual conditional access card: its memory is a file, its reader a serial port or pcscd.
///
/// A card begins as a personalisation file, becomes a memory file by `personalise`, and is put
/// into a reader by `serve`. To a set-top box the reader looks like a Phoenix or Smartmouse reader
/// on a serial port, except that a pseudo terminal has no modem lines: speed 0 (B0) holds the card
/// in reset, any other speed releases it. Other readers: GemPC Twin, and the vpcd of pcscd.
#[derive(Parser)]
#[command(name = "vcard", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a card that is paired with a box, and the box's half: one command, and something to
    /// talk to
    Demo(Demo),
    /// Makes the memory file of a card, or of a terminal's secure module, from a personalisation
    /// file
    Personalise(Personalise),
    /// Puts a card into a reader, until a signal or the control command `quit`
    Serve(Serve),
    /// Prints what is on a card: balance, rights, key epochs, purchases, a module's terminal
    /// sequence; never keys or PIN
    Inspect(Inspect),
}

#[derive(Args)]
struct Personalise {
    /// The personalisation file (TOML), such as examples/demo/card.toml or psam.toml
    ///
    /// Errors name the field; key[2].value is that of the second [[key]]. The card's file names
    /// numbers, clock, PIN, keys, rights and the [purse]: serial, balance and limits in fen,
    /// [[purse.record]] for what gates and tills write, [purse.holder] for whose it is.
    /// docs/spec/card.md, section 5, has every field.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The memory file to make; its owner alone can read it
    #[arg(long, value_name = "FILE")]
    memory: PathBuf,
}

#[derive(Args)]
struct Inspect {
    /// The memory file of a card that nobody serves at the moment
    #[arg(long, value_name = "FILE")]
    memory: PathBuf,
}

/// Parses the command line and does what it says. 0: done; 1: it failed, and standard error says
/// why; 2: the command line is wrong.
pub(crate) fn run() -> ExitCode {
    let matches = Cli::command().after_long_help(help::help()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    env_logger::init();
    let done = match cli.command {
        Command::Demo(args) => demo::demo(&args),
        Command::Personalise(args) => personalise(&args),
        Command::Serve(args) => serve::serve(&args),
        Command::Inspect(args) => inspect(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the last resort: when it is gone, too, the exit status remains.
            let _ = writeln!(io::stderr(), "vcard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn personalise(args: &Personalise) -> Result<(), String> {
    let perso = Personalisation::from_file(&args.from).map_err(|error| error.to_string())?;
    let image = Card::personalise(&perso).map_err(|error| error.to_string())?;
    image.write_to(&args.memory).map_err(|error| at(&args.memory, &error))
}

fn inspect(args: &Inspect) -> Result<(), String> {
    let mut card = Card::open_file(&args.memory, Durability::Process)
        .map_err(|error| at(&args.memory, &error))?;
    let on = card.inspect().map_err(|error| at(&args.memory, &error))?;
    match &on.psam {
        Some(psam) => print(&module(psam)),
        None => print(&whole(&on)),
    }
}

fn module(psam: &PsamInspection) -> String {
    let serial: String = psam.serial.iter().map(|octet| format!("{octet:02X}")).collect();
    let rows = [
        ("secure module", serial),
        ("terminal", psam.terminal.to_string()),
        ("terminal sequence", psam.sequence.value().to_string()),
        ("MAC2 tries left", psam.tries.to_string()),
    ];
    listing(&rows, &[("keys", &psam.keys)])
}

fn whole(on: &Inspection) -> String {
    let status = &on.status;
    let mut rows = vec![
        ("card", on.card_id.to_string()),
        ("pseudonym", on.pseudonym.to_string()),
        ("operator", format!("0x{:04X}", on.operator.value())),
        ("card time", moment(on.now)),
        ("synchronised", moment(on.sync)),
        ("purse", on.purse.clone()),
        ("balance", status.balance.to_string()),
        ("offline sequence", status.offline_sequence.to_string()),
        ("online sequence", status.online_sequence.to_string()),
        ("PIN tries left", status.pin_tries.to_string()),
    ];
    if let Some((balance, overdraft)) = on.passbook {
        rows.push(("passbook", format!("{balance}, overdraft {overdraft} in it")));
    }
    let lists = [
        ("rights", &on.rights),
        ("keys", &on.keys),
        ("pairings", &on.pairings),
        ("purchases", &on.log),
        ("purse log", &on.transactions),
        ("purse records", &on.records),
    ];
    listing(&rows, &lists)
}

fn listing(rows: &[(&str, String)], lists: &[(&str, &Vec<String>)]) -> String {
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{:<20}{value}", format!("{name}:"));
    }
    for (name, rows) in lists {
        let _ = writeln!(text, "{name}: {}", rows.len());
        for row in *rows {
            let _ = writeln!(text, "  {row}");
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn moment(time: CasTime) -> String {
    let (date, time) = time.purse_date_time();
    format!("{date} {time} (UTC+8)")
}

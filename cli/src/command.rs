// SPDX-License-Identifier: Apache-2.0
//! The command line, and what does what it says.
mod apdu;
mod atr;
mod gate;
mod line;
mod till;
mod wallet;
mod watch;

use crate::args::{Common, ReaderArgs};
use crate::failure::Failure;
use crate::help;
use crate::record::Record;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Smart cards and readers at the bench: resets a card and explains its answer, sends APDUs,
/// watches the reader, says what a port can do.
///
/// It drives readers with the same card line as libstbcam, so that what works here works in the
/// set-top box. A reader is given by its address, as in `stbcam_config_t`.
#[derive(Clone, Debug, Parser)]
#[command(name = "stbcam", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Reset the card and print its answer to reset
    #[command(after_long_help = help::ATR, override_usage = help::ATR_USAGE)]
    Atr(atr::AtrArgs),
    /// Send APDUs and print the answers
    #[command(after_long_help = help::APDU)]
    Apdu(apdu::ApduArgs),
    /// What happens to the card
    #[command(subcommand)]
    Card(Card),
    /// What a port can do
    #[command(subcommand)]
    Line(Line),
    /// Money on a card: what is in it, give some, take some, ask what became of it
    #[command(subcommand, after_long_help = help::WALLET)]
    Wallet(Box<wallet::Wallet>),
    /// A transit gate: lets cards in, and out for the fare
    #[command(after_long_help = help::GATE)]
    Gate(Box<gate::GateArgs>),
    /// A till: takes small amounts without a PIN, larger ones with it at contacts
    #[command(after_long_help = help::TILL)]
    Till(Box<till::TillArgs>),
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Card {
    /// Print what becomes of card and reader, until SIGINT or SIGTERM
    #[command(after_long_help = help::WATCH)]
    Watch(ReaderArgs),
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Line {
    /// Print what the port can do: modem lines, bit rates, parity, latency
    #[command(after_long_help = help::LINE)]
    Test(ReaderArgs),
}

/// Parses the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let matches = Cli::command().after_long_help(help::general()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    env_logger::init();
    let done = match &cli.command {
        Command::Atr(args) => atr::run(args, &cli.common),
        Command::Apdu(args) => apdu::run(args, &cli.common),
        Command::Card(Card::Watch(args)) => watch::run(args, &cli.common),
        Command::Line(Line::Test(args)) => line::run(args, &cli.common),
        Command::Wallet(args) => wallet::run(args, &cli.common),
        Command::Gate(args) => gate::run(args, &cli.common),
        Command::Till(args) => till::run(args, &cli.common),
    };
    let Err(failure) = done else { return ExitCode::SUCCESS };
    let code = ExitCode::from(failure.status());
    if matches!(failure, Failure::Refused) {
        return code;
    }
    let error = failure.text().to_owned();
    // Standard error is the last resort: when it is gone, too, the exit status remains.
    let _ = writeln!(io::stderr(), "stbcam: {error}");
    if cli.common.json {
        let _ = cli.common.out().say(&Record::Error { error });
    }
    code
}

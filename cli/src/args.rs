//! The command line.
use crate::command::gate::GateArgs;
use crate::command::till::TillArgs;
use crate::command::wallet::Wallet;
use crate::help;
use crate::record::{Out, Record};
use crate::trace::Trace;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use stb_shim::reader::ReaderError;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Smart cards and readers at the bench: resets a card and explains its answer, sends APDUs, watches
/// the reader, says what a port can do.
///
/// It drives readers with the same card line as libstbcam, so that what works here works in the
/// set-top box. A reader is given by its address, as in `stbcam_config_t`.
#[derive(Clone, Debug, Parser)]
#[command(name = "stbcam", version)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Say everything as JSON, one object a line (see `stbcam --help`)
    #[arg(long, global = true)]
    pub json: bool,
    /// Write what passes between terminal and card to FILE, `-` for standard output
    ///
    /// One line each: seconds since the start, a letter, hexadecimal. R: reset. A: answer to reset,
    /// whole. P: the line runs so from here on. T: to the card, C: from the card, as a UART sees
    /// them. > and <: command and response APDU. !: failure. O: power off. PINs and keys are not in
    /// it (see `stbcam --help`).
    #[arg(long, global = true, value_name = "FILE")]
    trace: Option<String>,
}

/// A reader.
#[derive(Args, Clone, Debug)]
pub struct ReaderArgs {
    /// The reader's address, as in serial:/dev/ttyUSB0 (see `stbcam --help`)
    #[arg(long, value_name = "URL")]
    pub reader: String,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Reset the card and print its answer to reset
    #[command(after_long_help = help::ATR, override_usage = help::ATR_USAGE)]
    Atr(AtrArgs),
    /// Send APDUs and print the answers
    #[command(after_long_help = help::APDU)]
    Apdu(ApduArgs),
    /// What happens to the card
    #[command(subcommand)]
    Card(Card),
    /// What a port can do
    #[command(subcommand)]
    Line(Line),
    /// Money on a card: what is in it, give some, take some, ask what became of it
    #[command(subcommand, after_long_help = help::WALLET)]
    Wallet(Box<Wallet>),
    /// A transit gate: lets cards in, and out for the fare
    #[command(after_long_help = help::GATE)]
    Gate(Box<GateArgs>),
    /// A till: takes small amounts without a PIN, larger ones with it at contacts
    #[command(after_long_help = help::TILL)]
    Till(Box<TillArgs>),
}

#[derive(Args, Clone, Debug)]
pub struct AtrArgs {
    /// The reader's address, as in serial:/dev/ttyUSB0 (see `stbcam --help`)
    #[arg(long, value_name = "URL", required_unless_present = "hex")]
    pub reader: Option<String>,
    /// Take this answer to reset instead of a card's; implies --explain
    #[arg(long, value_name = "HEX", conflicts_with = "reader")]
    pub hex: Option<String>,
    /// Say what every octet means
    #[arg(long)]
    pub explain: bool,
    /// When no card answers, wait until one does
    #[arg(long, conflicts_with = "hex")]
    pub wait: bool,
    /// The card clock in Hz that --hex is explained for
    #[arg(long, value_name = "HZ", default_value_t = 3_579_545, conflicts_with = "reader",
        value_parser = clap::value_parser!(u32).range(1_000_000..=20_000_000))]
    pub clock: u32,
}

#[derive(Args, Clone, Debug)]
pub struct ApduArgs {
    #[command(flatten)]
    pub reader: ReaderArgs,
    /// When no card answers, wait until one does
    #[arg(long)]
    pub wait: bool,
    /// Command APDUs in hexadecimal, one an argument, or `-` for standard input, one a line
    ///
    /// Cases 1 to 4 with short or extended lengths; blanks may stand between the pairs of digits. Of
    /// an APDU with a PIN or a key in it only standard input leaves no trace in the shell's history.
    #[arg(value_name = "HEX", required = true)]
    pub apdus: Vec<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Card {
    /// Print what becomes of card and reader, until SIGINT or SIGTERM
    #[command(after_long_help = help::WATCH)]
    Watch(ReaderArgs),
}

#[derive(Clone, Debug, Subcommand)]
pub enum Line {
    /// Print what the port can do: modem lines, bit rates, parity, latency
    #[command(after_long_help = help::LINE)]
    Test(ReaderArgs),
}

/// Why a job was not done.
#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// It did not work.
    Failed(String),
    /// The card's last answer was an error, and has been shown.
    Refused,
    /// Card, host or terminal said no. No money has moved.
    Declined(String),
    /// Money may have moved: only the card knows.
    Unsettled(String),
    /// An earlier transaction had to be settled first. No money has moved by this one.
    Earlier(String),
}

impl Failure {
    /// What it says; the exit status is documented in `--help`.
    pub fn text(&self) -> &str {
        match self {
            Self::Refused => "",
            Self::Usage(why)
            | Self::Failed(why)
            | Self::Declined(why)
            | Self::Unsettled(why)
            | Self::Earlier(why) => why,
        }
    }

    const fn status(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused | Self::Declined(_) => 3,
            Self::Unsettled(_) => 4,
            Self::Earlier(_) => 5,
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<ReaderError> for Failure {
    fn from(why: ReaderError) -> Self {
        Self::Failed(why.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(why: io::Error) -> Self {
        Self::Failed(format!("standard output: {why}"))
    }
}

impl Common {
    pub const fn out(&self) -> Out {
        Out { json: self.json }
    }

    /// The trace, if one is wanted.
    pub fn trace(&self) -> Result<Option<Trace>, Failure> {
        let Some(path) = &self.trace else { return Ok(None) };
        let trace =
            Trace::to(path, self.json).map_err(|error| format!("--trace {path}: {error}"))?;
        Ok(Some(trace))
    }
}

/// Parses the command line and does what it says.
pub fn run() -> ExitCode {
    let matches = Cli::command().after_long_help(help::general()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    env_logger::init();
    let done = match &cli.command {
        Command::Atr(args) => crate::command::atr::run(args, &cli.common),
        Command::Apdu(args) => crate::command::apdu::run(args, &cli.common),
        Command::Card(Card::Watch(args)) => crate::command::watch::run(args, &cli.common),
        Command::Line(Line::Test(args)) => crate::command::line::run(args, &cli.common),
        Command::Wallet(args) => crate::command::wallet::run(args, &cli.common),
        Command::Gate(args) => crate::command::gate::run(args, &cli.common),
        Command::Till(args) => crate::command::till::run(args, &cli.common),
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

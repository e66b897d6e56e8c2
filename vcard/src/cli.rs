//! The command line.

use cam_types::CasTime;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vcard::inserted::Inserted;
use vcard::serve::{CLOCK_HZ, Options, Server};
use vcard::{Card, Durability, Fault, Personalisation, atr};

/// A virtual conditional access card: its memory is a file, its reader a serial port.
///
/// A card begins as a personalisation file, becomes a memory file by `personalise`, and is put
/// into a reader by `serve`. To a set-top box the reader looks like a Phoenix or Smartmouse reader
/// on a serial port, except that a pseudo terminal has no modem lines: speed 0 (B0) holds the card
/// in reset, any other speed releases it.
#[derive(Parser)]
#[command(name = "vcard", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a card's memory file from a personalisation file
    Personalise(Personalise),
    /// Puts a card into a serial reader, until a signal or the control command `quit`
    Serve(Serve),
    /// Prints what is on a card: balance, rights, key epochs, purchases; never keys or PIN
    Inspect(Inspect),
}

#[derive(Args)]
struct Personalise {
    /// The personalisation file (TOML). Errors name the field
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

#[derive(Args)]
struct Serve {
    /// The card's memory file, made by `vcard personalise`
    #[arg(long, value_name = "FILE")]
    memory: PathBuf,
    /// Symbolic link to make to the reader's port, and to remove at the end
    ///
    /// An older link of that name is replaced; another kind of file is not. Without it the port is
    /// only printed.
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,
    /// The kind of reader
    #[arg(long, value_enum, default_value = "phoenix")]
    line: Line,
    /// The transmission protocol that the answer to reset offers
    ///
    /// t1: T=1, TA1 18, IFSC 254, BWI 1, CWI 5, LRC. t0: T=0, TA1 18, WI 2. Default: what the card
    /// says.
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// The card clock that the reader would give, in Hz
    ///
    /// It sets the speed at which the card hears: clock/372 bit/s until PPS, 9622 by default.
    /// A terminal that is off by more than 3.5 % is not heard and hears nothing.
    #[arg(long, value_name = "HZ", default_value_t = CLOCK_HZ,
        value_parser = clap::value_parser!(u32).range(1_000_000..=20_000_000))]
    clock: u32,
    /// Take as long as a real line and card would
    ///
    /// Every octet takes its character time at the current speed, every command 1 ms and every
    /// memory page written 3 ms. Without it everything goes as fast as it can.
    #[arg(long)]
    pace: bool,
    /// Write every octet of the line to a text file, at once
    ///
    /// One line each: seconds, a letter, hexadecimal. T: terminal to card. C: card to terminal.
    /// R with octets: answer to reset. R alone: the reset line becomes active.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Unix socket that takes control commands, one a line (see `vcard --help`)
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// Misbehave on purpose (see `vcard --help` for what each one does)
    #[arg(long, value_name = "NAME", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Fault::ALL.iter().map(|fault| fault.name()))
            .try_map(|name| name.parse::<Fault>()))]
    fault: Option<Fault>,
    /// What a memory write must survive
    #[arg(long, value_enum, default_value = "host")]
    durable: Durable,
}

#[derive(Clone, Copy, ValueEnum)]
enum Line {
    /// Serial reader on a pseudo terminal, reset by speed 0
    Phoenix,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    /// Characters, with procedure octets
    T0,
    /// Blocks
    T1,
}

#[derive(Clone, Copy, ValueEnum)]
enum Durable {
    /// A crash of the host: every commit waits for the disk
    Host,
    /// A kill of this process: faster, for tests
    Process,
}

/// Parses the command line and does what it says. 0: done; 1: it failed, and standard error says
/// why; 2: the command line is wrong.
pub fn run() -> ExitCode {
    let matches = Cli::command().after_long_help(help()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    env_logger::init();
    let done = match cli.command {
        Command::Personalise(args) => personalise(&args),
        Command::Serve(args) => serve(&args),
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

fn serve(args: &Serve) -> Result<(), String> {
    let Line::Phoenix = args.line;
    // Before any thread begins, so that every thread leaves the signals to the descriptor.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block().map_err(|error| format!("signals: {error}"))?;
    let stop = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
        .map_err(|error| format!("signals: {error}"))?;
    let durability = match args.durable {
        Durable::Host => Durability::Host,
        Durable::Process => Durability::Process,
    };
    let mut card =
        Card::open_file(&args.memory, durability).map_err(|error| at(&args.memory, &error))?;
    if let Some(fault) = args.fault {
        card.set_fault(fault);
    }
    let options = Options {
        link: args.link.clone(),
        record: args.record.clone(),
        control: args.control.clone(),
        pace: args.pace,
        clock_hz: Some(args.clock),
        atr: args.protocol.map(|protocol| match protocol {
            Protocol::T0 => atr::t0(),
            Protocol::T1 => atr::t1(),
        }),
    };
    let card = Box::new(Inserted::new(card, &args.memory));
    let mut server = Server::new(card, &options).map_err(|error| error.to_string())?;
    let mut line = format!("serving {} on {}", args.memory.display(), server.port().display());
    if let Some(link) = &args.link {
        let _ = write!(line, " as {}", link.display());
    }
    print(&line)?;
    server.run(stop.as_fd()).map_err(|error| error.to_string())
}

fn inspect(args: &Inspect) -> Result<(), String> {
    let mut card = Card::open_file(&args.memory, Durability::Process)
        .map_err(|error| at(&args.memory, &error))?;
    let on = card.inspect().map_err(|error| at(&args.memory, &error))?;
    let status = &on.status;
    let mut text = String::new();
    for (name, value) in [
        ("card", on.card_id.to_string()),
        ("pseudonym", on.pseudonym.to_string()),
        ("operator", on.operator.to_string()),
        ("card time", moment(on.now)),
        ("synchronised", moment(on.sync)),
        ("balance", status.balance.to_string()),
        ("offline sequence", status.offline_sequence.to_string()),
        ("online sequence", status.online_sequence.to_string()),
        ("PIN tries left", status.pin_tries.to_string()),
    ] {
        let _ = writeln!(text, "{:<18}{value}", format!("{name}:"));
    }
    for (name, rows) in [
        ("rights", &on.rights),
        ("keys", &on.keys),
        ("pairings", &on.pairings),
        ("purchases", &on.log),
    ] {
        let _ = writeln!(text, "{name}: {}", rows.len());
        for row in rows {
            let _ = writeln!(text, "  {row}");
        }
    }
    print(text.trim_end())
}

fn moment(time: CasTime) -> String {
    let (date, time) = time.purse_date_time();
    format!("{date} {time} (UTC+8)")
}

fn print(text: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{text}").map_err(|error| format!("standard output: {error}"))
}

fn at(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// What follows the options in `vcard --help`.
fn help() -> String {
    let mut text = String::from(HELP);
    for fault in Fault::ALL {
        let _ = writeln!(text, "  {:<22}{}", fault.name(), fault.about());
    }
    text.push_str(HELP_END);
    text
}

const HELP: &str = "\
Examples:
  Make a card, and put it into a reader that a set-top box opens as /tmp/card0:
    vcard personalise --from examples/demo/card.toml --memory card.nvm
    vcard serve --memory card.nvm --link /tmp/card0
  The same at the speed of a real line, recorded, and with a hand at the card:
    vcard serve --memory card.nvm --link /tmp/card0 --pace --record line.txt --control /tmp/card0.ctl
    echo remove | nc -U -q 1 /tmp/card0.ctl
  What is on the card, when nobody serves it:
    vcard inspect --memory card.nvm

Control commands (serve --control SOCKET), one a line; each is answered by one line of JSON,
{\"ok\":true,...} or {\"ok\":false,\"error\":\"...\"}:
  cut before-commit   The next purchase that debits loses the card's power before it is written:
                      nothing was paid. The card is mute until the next reset.
  cut after-commit    The same after it is written and before the answer: it was paid, and only
                      the card knows.
  remove              Pulls the card: mute at once, and no answer to reset.
  insert              Puts it back: it answers the next reset.
  status              Tells the balance in fen, sequence numbers, debits (\"transactions\"), PIN
                      tries, memory commits and page writes since the start, a digest of the
                      whole memory, and the state of the line.
  quit                Ends the process as a signal would.

Faults (serve --fault NAME), to see that somebody notices:
";

const HELP_END: &str = "
The environment variable RUST_LOG (error, warn, info, debug) says what is logged to standard error.
Exit status: 0 done, also after SIGTERM or SIGINT; 1 failed, standard error names the file; 2 the
command line is wrong.";

// SPDX-License-Identifier: Apache-2.0
//! `vcard serve`: its options, and what they make of the card.

use super::said::{at, print};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use iso7816::etu::{CLOCKS_HZ, Convention};
use iso7816::t1::Edc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::path::PathBuf;
use vcard::atr::{self, Profile};
use vcard::{Card, Durability, Fault};
use vreader::inserted::{Inserted, Side};
use vreader::script::Script;
use vreader::serve::{Options, ReaderKind, Server, VpcdOptions, VpcdServer};

#[derive(Args)]
pub(super) struct Serve {
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
    /// Serve to the virtual reader vpcd of a pcscd that listens here, instead of a serial port
    ///
    /// vpcd passes commands, not characters: what belongs to a line has no effect there and is
    /// refused. Its first reader is on port 35963, its second on 35964.
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["link", "line", "pace", "clock", "chaining"])]
    vpcd: Option<String>,
    /// The side of the card that vpcd's reader is at
    #[arg(long, value_enum, default_value = "contact", requires = "vpcd")]
    slot: Slot,
    /// The card clock that the reader gives, in Hz
    ///
    /// 3579545 for phoenix, 4000000 for gempc-twin. It sets the speed at which the card hears:
    /// clock/372 bit/s until PPS. A terminal that is off by more than 3.5 % is not heard and hears
    /// nothing.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32)
        .range(i64::from(*CLOCKS_HZ.start())..=i64::from(*CLOCKS_HZ.end())))]
    clock: Option<u32>,
    #[command(flatten)]
    reset: Reset,
    /// Send information fields of at most N octets on T=1, so that answers are chained
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=254))]
    chaining: Option<u8>,
    /// Take as long as a real line and card would
    ///
    /// Every octet takes its character time at the current speed, every command 1 ms and every
    /// memory page written 3 ms. Without it everything goes as fast as it can.
    #[arg(long)]
    pace: bool,
    /// Write every octet of the line to a text file, at once
    ///
    /// One line each: seconds, a letter, hexadecimal. T: terminal to card. C: card to terminal.
    /// R with octets: answer to reset. R alone: the reset line becomes active. Octets are noted as
    /// their sender sent them, before a script gets at them. `..` is an octet of a PIN, or of
    /// another command's data that may be one, in clear.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Unix socket that takes control commands, one a line (see `vcard --help`)
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// Faults of line and reader, by octet and command number (see `vcard --help`)
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Misbehave on purpose (see `vcard --help` for what each one does)
    #[arg(long, value_name = "NAME", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Fault::ALL.iter().map(|fault| fault.name()))
            .try_map(|name| name.parse::<Fault>()))]
    fault: Option<Fault>,
    /// What a memory write must survive
    #[arg(long, value_enum, default_value = "host")]
    durable: Durable,
}

/// The answer to reset. Without any of these it is the card's own.
#[derive(Args)]
#[command(next_help_heading = "Answer to reset (without any of these the card's own)")]
struct Reset {
    /// The whole answer to reset, TS to TCK, in hexadecimal; it may be wrong
    #[arg(long, value_name = "HEX", value_parser = octets, conflicts_with_all = ["protocol", "convention",
        "ta1", "specific", "guard", "wi", "ifsc", "bwi", "cwi", "edc", "historical"])]
    atr: Option<Octets>,
    /// The transmission protocol that the answer to reset offers
    ///
    /// t1: T=1, TA1 18, IFSC 254, BWI 2, CWI 5, LRC. t0: T=0, TA1 18, WI 2.
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// TS
    #[arg(long, value_enum)]
    convention: Option<Ts>,
    /// TA1, the fastest rate: FI and DI in hexadecimal
    #[arg(long, value_name = "XX", value_parser = octet)]
    ta1: Option<u8>,
    /// TA2: begin at the rate of TA1 at once, without PPS
    #[arg(long)]
    specific: bool,
    /// TC1, extra guard time; 255 asks for the shortest
    #[arg(long, value_name = "N")]
    guard: Option<u8>,
    /// TC2, the waiting time of T=0
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    wi: Option<u8>,
    /// TA3, the information field size that the card takes on T=1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=254))]
    ifsc: Option<u8>,
    /// TB3, the block waiting time of T=1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=9))]
    bwi: Option<u8>,
    /// TB3, the character waiting time of T=1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=15))]
    cwi: Option<u8>,
    /// TC3, the error detection code of T=1
    #[arg(long, value_enum)]
    edc: Option<Code>,
    /// Historical octets, up to 15, in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = octets)]
    historical: Option<Octets>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Line {
    /// Phoenix or Smartmouse: the port is the card's line, speed 0 is reset
    Phoenix,
    /// GemPC Twin: CCID frames at TPDU level, as libccidtwin speaks them
    GempcTwin,
}

#[derive(Clone, Copy, ValueEnum)]
enum Slot {
    /// The contacts: everything
    Contact,
    /// The antenna: the purse only
    Contactless,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Protocol {
    /// Characters, with procedure octets
    T0,
    /// Blocks
    T1,
}

#[derive(Clone, Copy, ValueEnum)]
enum Ts {
    /// 3B
    Direct,
    /// 3F, odd parity
    Inverse,
}

#[derive(Clone, Copy, ValueEnum)]
enum Code {
    /// One octet
    Lrc,
    /// Two octets
    Crc,
}

#[derive(Clone, Copy, ValueEnum)]
enum Durable {
    /// A crash of the host: every commit waits for the disk
    Host,
    /// A kill of this process: faster, for tests
    Process,
}

/// A parsed run of octets.
#[derive(Clone)]
struct Octets(Vec<u8>);

pub(super) fn serve(args: &Serve) -> Result<(), String> {
    // Before any thread begins, so that every thread leaves the signals to the descriptor.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block().map_err(|error| format!("signals: {error}"))?;
    let stop = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
        .map_err(|error| format!("signals: {error}"))?;
    let atr = args.reset.octets()?;
    let script = match &args.script {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| at(path, &error))?
            .parse::<Script>()
            .map_err(|error| at(path, &error))?,
        None => Script::default(),
    };
    let durability = match args.durable {
        Durable::Host => Durability::Host,
        Durable::Process => Durability::Process,
    };
    let mut card =
        Card::open_file(&args.memory, durability).map_err(|error| at(&args.memory, &error))?;
    if let Some(fault) = args.fault {
        card.set_fault(fault);
    }
    let card = Inserted::new(card, &args.memory);
    if let Some(address) = &args.vpcd {
        let (side, own) = match args.slot {
            Slot::Contact => (Side::Contact, None),
            Slot::Contactless => (Side::Contactless, Some(atr::contactless())),
        };
        let options = VpcdOptions {
            address: address.clone(),
            record: args.record.clone(),
            control: args.control.clone(),
            atr: atr.or(own),
            script,
        };
        let mut server = VpcdServer::new(Box::new(card.at(side)), &options)
            .map_err(|error| error.to_string())?;
        print(&format!("serving {} to vpcd {address}", args.memory.display()))?;
        return server.run(stop.as_fd()).map_err(|error| error.to_string());
    }
    let options = Options {
        kind: match args.line {
            Line::Phoenix => ReaderKind::Phoenix,
            Line::GempcTwin => ReaderKind::GemPcTwin,
        },
        link: args.link.clone(),
        record: args.record.clone(),
        control: args.control.clone(),
        pace: args.pace,
        clock_hz: args.clock,
        atr,
        largest_field: args.chaining,
        script,
    };
    let mut server = Server::new(Box::new(card), &options).map_err(|error| error.to_string())?;
    let mut line = format!("serving {} on {}", args.memory.display(), server.port().display());
    if let Some(link) = &args.link {
        let _ = write!(line, " as {}", link.display());
    }
    print(&line)?;
    server.run(stop.as_fd()).map_err(|error| error.to_string())
}

impl Reset {
    /// The answer to reset that is asked for, if one is.
    fn octets(&self) -> Result<Option<Vec<u8>>, String> {
        if let Some(Octets(atr)) = &self.atr {
            return Ok(Some(atr.clone()));
        }
        let t0 = self.protocol == Some(Protocol::T0);
        for (given, option, belongs) in [
            (self.wi.is_some(), "--wi", t0),
            (self.ifsc.is_some(), "--ifsc", !t0),
            (self.bwi.is_some(), "--bwi", !t0),
            (self.cwi.is_some(), "--cwi", !t0),
            (self.edc.is_some(), "--edc", !t0),
        ] {
            if given && !belongs {
                let protocol = if t0 { "t1" } else { "t0" };
                return Err(format!("{option} is a matter of --protocol {protocol}"));
            }
        }
        let mut profile = if t0 { Profile::t0() } else { Profile::t1() };
        let own = profile.clone();
        if let Some(Octets(historical)) = &self.historical {
            if historical.len() > 15 {
                return Err(format!("--historical has {} octets, at most 15", historical.len()));
            }
            profile.historical = historical.clone();
        }
        profile.convention = match self.convention {
            Some(Ts::Inverse) => Convention::Inverse,
            Some(Ts::Direct) | None => Convention::Direct,
        };
        profile.edc = match self.edc {
            Some(Code::Crc) => Edc::Crc,
            Some(Code::Lrc) | None => Edc::Lrc,
        };
        profile.specific = self.specific;
        for (octet, value) in [
            (&mut profile.ta1, self.ta1),
            (&mut profile.guard, self.guard),
            (&mut profile.wi, self.wi),
            (&mut profile.ifsc, self.ifsc),
            (&mut profile.bwi, self.bwi),
            (&mut profile.cwi, self.cwi),
        ] {
            *octet = value.unwrap_or(*octet);
        }
        let asked = self.protocol.is_some() || profile != own;
        Ok(asked.then(|| profile.emit()))
    }
}

fn octets(text: &str) -> Result<Octets, String> {
    let digits: Vec<u8> = text.bytes().filter(|octet| *octet != b' ').collect();
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        let digits = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        u8::from_str_radix(text, 16).ok().filter(|_| digits)
    };
    let octets: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    octets.map(Octets).ok_or_else(|| "expected pairs of hexadecimal digits".into())
}

fn octet(text: &str) -> Result<u8, String> {
    match octets(text)?.0.as_slice() {
        &[octet] => Ok(octet),
        _ => Err("expected two hexadecimal digits".into()),
    }
}

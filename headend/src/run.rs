// SPDX-License-Identifier: Apache-2.0
//! The jobs of the command line: files in, files out, a line of text for the engineer.

use crate::carousel::entries::CarouselError;
use crate::cli;
use crate::emm::{EmmError, Senders};
use crate::fault::Faults;
use crate::files::FileError;
use crate::files::issued::Issued;
use crate::files::operator::Operator;
use crate::files::schedule::Schedule;
use crate::inspect;
use crate::message::Message;
use crate::message::kind::Occasion;
use crate::package::PackageError;
use crate::pairing;
use crate::psi::PsiError;
use crate::rate;
use crate::report::Report;
use crate::sabotage::{self, SabotageError};
use crate::stream::{ReadError, Stream};
use crate::verify::state::{Alone, State};
use crate::verify::{self, Carried, Ground, VerifyError};
use cam_types::CasTime;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// `headend package`.
pub fn package(args: &cli::Package) -> Result<String, Error> {
    let schedule = Schedule::read(&args.schedule)?;
    let operator = Operator::read(&args.operator)?;
    let mut stream = Stream::read(&args.input)?;
    let added = match args.bit_rate {
        Some(bit_rate) => rate::raise(&mut stream, &schedule, bit_rate)
            .map_err(|error| Error::Package(args.input.clone(), error.into()))?,
        None => 0,
    };
    let mut report = sabotage::package(&mut stream, &schedule, &operator, Faults(&args.faults))
        .map_err(|error| match error {
            SabotageError::Package(PackageError::Emm(error)) => {
                Error::Schedule(args.schedule.clone(), error)
            }
            error => Error::Package(args.input.clone(), error),
        })?;
    report.nulls.added = added;
    write(&args.out, stream.octets())?;
    if let Some(path) = &args.report {
        let mut json = serde_json::to_vec_pretty(&report).map_err(Error::Report)?;
        json.push(b'\n');
        write(path, &json)?;
    }
    warn(&report, &schedule);
    Ok(summary(&report))
}

/// What is not as it should be, and no reason to refuse.
fn warn(report: &Report, schedule: &Schedule) {
    let framing = &report.framing;
    for (octets, end) in [(framing.head, "begins"), (framing.tail, "ends")] {
        if octets > 0 {
            log::warn!("the source {end} within a packet: {octets} octets of it are left out");
        }
    }
    if let Some(first) = framing.repaired.first() {
        let count = framing.repaired.len();
        log::warn!("{count} packets without a sync octet have one again, first packet {first}");
    }
    for lost in &framing.lost {
        log::warn!("{lost}");
    }
    for packet in &report.clock_jumps {
        log::warn!("the clock starts anew at packet {packet}: time goes on with the packets");
    }
    for emm in report.emms.iter().filter(|emm| emm.packets.is_empty()) {
        log::warn!("[[emm]] \"{}\" was never on air", emm.name);
    }
    for service in &report.services {
        if service.ecm.worst_interval_ms > f64::from(schedule.ecm_period_ms) * 2.0 {
            log::warn!(
                "service {}: {} ms between two ECMs; the source has too few null packets",
                service.service,
                service.ecm.worst_interval_ms
            );
        }
    }
}

fn summary(report: &Report) -> String {
    let mut text = format!(
        "{} packets, {} ms; {} null packets used, {} left\n",
        report.packets, report.duration_ms, report.nulls.used, report.nulls.left
    );
    for service in &report.services {
        text += &format!(
            "{} ({}): {} packets scrambled, {} too short; {} crypto periods; {} ECMs, worst \
             interval {} ms\n",
            service.name,
            service.algorithm,
            service.scrambled,
            service.too_short,
            service.crypto_periods.len(),
            service.ecm.count,
            service.ecm.worst_interval_ms
        );
    }
    for emm in &report.emms {
        text += &format!("{} ({}): {} times\n", emm.name, emm.kind, emm.packets.len());
    }
    text
}

/// `headend keys pair`.
pub fn pair(args: &cli::Pair) -> Result<String, Error> {
    let mut operator = Operator::read(&args.operator)?;
    let drawn = match operator.pairing(args.card, args.stb) {
        Some(pairing) if pairing.slot != args.slot => {
            let what = format!("slot {}, but --slot {}", pairing.slot, args.slot);
            return Err(Error::File(FileError::field(&args.operator, "[[pairing]]", "slot", what)));
        }
        Some(_) => None,
        None => {
            let sequence = operator.next_sequence;
            let drawn = pairing::draw(args.card, args.stb, args.slot, sequence);
            let (pairing, table) = drawn.map_err(EmmError::Random)?;
            operator.add(pairing)?;
            Some(table)
        }
    };
    let senders = Senders::new(&operator);
    let card_half = senders.card_half(args.card, args.stb)?;
    let box_half = senders.box_half(args.card, args.stb)?;
    std::fs::create_dir_all(&args.out).map_err(|error| Error::Write(args.out.clone(), error))?;
    let mut text = String::new();
    for (name, section) in [("card-pair.emm", &card_half), ("box-pair.section", &box_half)] {
        let path = args.out.join(name);
        write(&path, section)?;
        text += &format!("{}: {} octets\n", path.display(), section.len());
    }
    if let Some(table) = drawn {
        let path = args.out.join("pairing.toml");
        write_secret(&path, table.as_bytes())?;
        text += &format!(
            "{}: new keys, to be added to the operator file, with next_sequence = {}\n",
            path.display(),
            operator.next_sequence
        );
    }
    Ok(text)
}

/// `headend emm`.
pub fn emm(args: &cli::Emm) -> Result<String, Error> {
    let operator = Operator::read(&args.operator)?;
    let message = Message::read(&args.message)?;
    let sequence = args.sequence.unwrap_or(operator.next_sequence);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let time = i64::try_from(now).ok().and_then(CasTime::from_unix).unwrap_or_default();
    let folder = args.message.parent().unwrap_or(Path::new(""));
    let section = message.section(Senders::new(&operator), Occasion { sequence, time, folder })?;
    write(&args.out, &section)?;
    let number =
        if message.takes_number() { format!(", number {sequence}") } else { String::new() };
    Ok(format!("{}: {}, {} octets{number}\n", args.out.display(), message.kind(), section.len()))
}

/// `headend verify-report`.
pub fn verify_report(args: &cli::VerifyReport) -> Result<String, Error> {
    let operator = Operator::read(&args.operator)?;
    let schedule = args.schedule.as_deref().map(Schedule::read).transpose()?;
    let issued = args.issued.as_deref().map(|path| Issued::read(path, &operator)).transpose()?;
    let _alone = args.previous.as_deref().map(Alone::with).transpose()?;
    let state = args.previous.as_deref().map(State::read).transpose()?;
    let mut reports = Vec::new();
    for path in &args.reports {
        let octets = verify::read(path).map_err(|error| Error::ReadReport(path.clone(), error))?;
        reports.push(Carried { name: path.display().to_string(), octets });
    }
    let ground = Ground {
        operator: &operator,
        nonce: args.nonce.0,
        state: state.as_ref(),
        schedule: schedule.as_ref(),
        issued: issued.as_ref(),
        accept_gap: &args.accept_gap,
    };
    let verdict = verify::verify(&reports, ground)?;
    if !verdict.findings.is_empty() {
        return Err(Error::Findings(verdict.text, verdict.findings));
    }
    let (Some(proven), Some(path), Some(mut state)) = (verdict.proven, &args.previous, state)
    else {
        return Ok(format!("{}the report holds\n", verdict.text));
    };
    let chain = proven.state.chain;
    // First: what the card is told to forget must be known here. Without its acknowledgement the
    // card reports the same records again, and they are known.
    state.keep(verdict.pseudonym, proven.state);
    state.write(path).map_err(|error| Error::Write(path.clone(), error))?;
    if let Some(path) = &args.ack {
        write(path, &proven.ack)?;
    }
    Ok(format!("{}the report holds, up to receipt {chain}\n", verdict.text))
}

/// `headend inspect`.
pub fn inspect(args: &cli::Inspect) -> Result<String, Error> {
    let stream = Stream::read(&args.file)?;
    inspect::inspect(&stream).map_err(|error| Error::Inspect(args.file.clone(), error))
}

fn write(path: &Path, octets: &[u8]) -> Result<(), Error> {
    std::fs::write(path, octets).map_err(|error| Error::Write(path.to_owned(), error))
}

/// A file that only its owner may read.
fn write_secret(path: &Path, octets: &[u8]) -> Result<(), Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(octets))
        .map_err(|error| Error::Write(path.to_owned(), error))
}

/// Why a job was not done.
#[derive(Debug)]
pub enum Error {
    /// A file of the engineer's.
    File(FileError),
    /// The source stream's file.
    Read(ReadError),
    /// The source stream's content.
    Package(PathBuf, SabotageError),
    /// An entry of the schedule's carousel.
    Schedule(PathBuf, CarouselError),
    /// A stream that cannot be shown.
    Inspect(PathBuf, PsiError),
    /// A message.
    Emm(EmmError),
    /// A result that could not be written.
    Write(PathBuf, std::io::Error),
    /// The report of the run could not be made JSON.
    Report(serde_json::Error),
    /// A card's report that cannot be read.
    ReadReport(PathBuf, std::io::Error),
    /// A card's report that cannot be looked at.
    Verify(VerifyError),
    /// A card's report that does not hold: what was read, and what is wrong with it.
    Findings(String, Vec<String>),
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        Self::Verify(error)
    }
}

impl From<EmmError> for Error {
    fn from(error: EmmError) -> Self {
        Self::Emm(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Package(_, SabotageError::Package(PackageError::Ecm(error))) => error.fmt(f),
            Self::Schedule(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Package(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Inspect(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Emm(error) => error.fmt(f),
            Self::Write(path, error) => write!(f, "{}: {error}", path.display()),
            Self::ReadReport(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Verify(error) => error.fmt(f),
            Self::Findings(text, findings) => {
                write!(f, "the report does not hold\n{text}")?;
                findings.iter().try_for_each(|finding| writeln!(f, "FINDING {finding}"))?;
                f.write_str("nothing is acknowledged")
            }
            Self::Report(error) => write!(f, "report: {error}"),
        }
    }
}

impl std::error::Error for Error {}

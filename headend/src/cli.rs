// SPDX-License-Identifier: Apache-2.0
//! The command line: the jobs, what each takes, and the texts of `--help`.

use crate::fault::Fault;
use crate::files::fields::Octets;
use crate::message::Message;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Makes a scrambled broadcast out of a clear transport stream, and the messages around it.
#[derive(Clone, Debug, Parser)]
#[command(name = "headend", version, after_long_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Package the demo's stream by its schedule:
    headend package --schedule examples/demo/schedule.toml --operator examples/demo/operator.toml \\
        --in examples/media/two-services.ts --out scrambled.ts --report report.json
  Pair a card with a box at the factory:
    headend keys pair --operator examples/demo/operator.toml --card 0102030405060708 \\
        --box 5354423030303031 --slot 0 --out pairing
  See what is on air:
    headend inspect scrambled.ts

Operator and schedule file are commented examples in examples/demo/. RUST_LOG=info shows more.
The exit status is 0 when the job was done, 1 when it was not, 2 for a wrong command line.";

/// The jobs.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Package a clear transport stream by a schedule.
    #[command(long_about = PACKAGE, after_long_help = PACKAGE_EXAMPLES)]
    Package(Package),
    /// Make keys for cards and boxes.
    #[command(subcommand)]
    Keys(Keys),
    /// Make one EMM as a file.
    #[command(long_about = EMM, after_long_help = emm_examples())]
    Emm(Emm),
    /// Verify what a card reports of its purchases.
    #[command(long_about = VERIFY, after_long_help = VERIFY_EXAMPLES)]
    VerifyReport(VerifyReport),
    /// Show the tables, ECMs and EMMs of a transport stream. Needs no keys and shows none.
    #[command(after_long_help = "Example:\n  headend inspect scrambled.ts")]
    Inspect(Inspect),
}

const PACKAGE: &str = "\
Package a clear transport stream by a schedule.

The source has packets of 188, 192 or 204 octets and may begin and end within one; the result has 188.
Packet i of the result is packet i of the source: PMTs are rewritten in their own packets (one version
on, with CA_descriptor and scrambling_descriptor), SDT and EIT say free_CA_mode, payloads of the
scheduled services are scrambled, and what PMTs have grown by, ECMs, CAT, offers and EMMs take the
place of null packets, in this order. A CAT of the source is joined. Nothing else changes. An ECM of
each service falls due every ecm_period_ms and takes the first null packet after it; it carries the
current control word and the next one. The first PCR is the schedule's start.

Where null packets are too few for a card to open the broadcast all the time (1 s without an ECM, 2 s
without a CAT, a control word less than 1 s ahead) nothing is written, and the place is named with a
rate that has room. --bit-rate raises the rate to it by null packets, and restamps PCRs.

A component of two services is refused, unless both are under one ECM (`also = [2]` in the table of the
first) or it is left in clear (`shared = \"clear\"`).

A payload shorter than a block of DVB-CSA2 (8 octets) or DVB-CISSA (16) stays in clear by rule; its
packet carries the mark of its crypto period all the same. SCTE 52 and IDSA (`scrambling = \"scte52\"`,
`\"idsa\"`) leave nothing in clear. The initialisation vectors of SCTE 52 are the network's: `scte52_iv`
and, for payloads shorter than a block, `scte52_short_iv` in the schedule; without them they are zero.

Control words come from the operating system's random numbers, or from `seed` in the schedule for
runs that repeat. They are neither printed nor reported. `entropy = \"reduced\"` of a DVB-CSA2 service
makes octets 3 and 7 the sums of the three before them, modulo 256, in ECM and scrambler alike: for
words that come from, or go to, a scrambler that reduces them by itself. Without it, or with
`entropy = \"full\"`, all 64 bits are used.";

const PACKAGE_EXAMPLES: &str = "\
Examples:
  headend package --schedule schedule.toml --operator operator.toml \\
      --in clear.ts --out scrambled.ts --report report.json
  headend package … --bit-rate 5200000
  headend package … --fault lost-key-update --fault no-replay

The report (JSON): packets, framing (what was cut off, repaired and lost), clock_jumps, services (scrambled, too_short, crypto_periods with packets and the lead
of the next control word, ECM places and intervals), emms with their packets, cat, nulls used,
left and added, next_sequence for the operator file.";

const EMM: &str = "\
Make one EMM as a file.

The message file has the fields of an [[emm]] table of the schedule, without name and times. A file,
not flags, so that no PIN ends up in a shell's history.";

/// The kinds of messages, each with its fields.
fn emm_examples() -> String {
    let kinds: String =
        Message::KINDS.iter().map(|(kind, fields)| format!("  {kind:<12}  {fields}\n")).collect();
    let of_schedule: Vec<String> = Message::KINDS_OF_SCHEDULE
        .iter()
        .map(|(kind, field)| format!("{kind} ({field})"))
        .collect();
    format!(
        "\
Kinds and their fields (card, box: 16 hexadecimal digits; group: 8; times: 2026-12-01T12:00:00Z):
{kinds}In a schedule also: {}.

Example:
  printf 'kind = \"pin_reset\"\\ncard = \"0102030405060708\"\\npin = \"40962718\"\\n' > new-pin.toml
  headend emm --operator operator.toml --message new-pin.toml --sequence 31 --out new-pin.emm",
        of_schedule.join(", ")
    )
}

/// Arguments of `package`.
#[derive(Args, Clone, Debug)]
pub struct Package {
    /// What goes on air, and when.
    #[arg(long, value_name = "TOML")]
    pub schedule: PathBuf,
    /// The operator and its keys.
    #[arg(long, value_name = "TOML")]
    pub operator: PathBuf,
    /// The clear transport stream.
    #[arg(long = "in", value_name = "TS")]
    pub input: PathBuf,
    /// The broadcast.
    #[arg(long, value_name = "TS")]
    pub out: PathBuf,
    /// What was done, in numbers.
    #[arg(long, value_name = "JSON")]
    pub report: Option<PathBuf>,
    /// Raise the rate to so many bits a second by null packets; without it the source's stays.
    #[arg(long, value_name = "BITS")]
    pub bit_rate: Option<u64>,
    /// Break one promise of the broadcast, for tests; may be given several times.
    #[arg(long = "fault", value_name = "NAME")]
    pub faults: Vec<Fault>,
}

/// Kinds of keys.
#[derive(Clone, Debug, Subcommand)]
pub enum Keys {
    /// Make both halves of a pairing as files.
    #[command(long_about = PAIR, after_long_help = PAIR_EXAMPLE)]
    Pair(Pair),
}

const PAIR: &str = "\
Make both halves of a pairing as files: the same two sections as on air.

  DIR/card-pair.emm     EMM-U with PAIR, for the card (INS 36, or factory_emm at personalisation)
  DIR/box-pair.section  table 8A with BOX_PAIR, for the box

The keys come from the operator file's [[pairing]] of this card and box. Without one they are drawn
at random, numbered next_sequence, and DIR/pairing.toml holds the table to add to the operator file,
whose next_sequence then goes up by one; it holds keys, and only its owner may read it.";

const PAIR_EXAMPLE: &str = "\
Example:
  headend keys pair --operator operator.toml --card 0102030405060708 --box 5354423030303031 \\
      --slot 0 --out pairing";

/// Arguments of `keys pair`.
#[derive(Args, Clone, Debug)]
pub struct Pair {
    /// The operator and its keys.
    #[arg(long, value_name = "TOML")]
    pub operator: PathBuf,
    /// The card's number, 16 hexadecimal digits.
    #[arg(long, value_name = "ID")]
    pub card: Octets<8>,
    /// The box's number, 16 hexadecimal digits.
    #[arg(long = "box", value_name = "ID")]
    pub stb: Octets<8>,
    /// The card's pairing slot.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub slot: u8,
    /// Where the files go; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Arguments of `emm`.
#[derive(Args, Clone, Debug)]
pub struct Emm {
    /// The operator and its keys.
    #[arg(long, value_name = "TOML")]
    pub operator: PathBuf,
    /// What it says.
    #[arg(long, value_name = "TOML")]
    pub message: PathBuf,
    /// Its number; by default next_sequence of the operator file.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sequence: Option<u32>,
    /// The section.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

const VERIFY: &str = "\
Verify what a card reports of its purchases.

Every page must be authentic and answer the request with this nonce; the pages must follow one another,
and their records must lead from receipt to receipt. Each record's transaction code must be the
purse's, sequences must rise, no request may appear twice, balances must add up where the purse's
sequences show that nothing is missing, and every event must have cost what the schedule says. Money
that came in must have been given out: top-ups and refunds stand in --issued. Loads at hosts leave no
record; their numbers are listed, for comparison with the hosts' records.

The card's keys are derived from the operator file's master key, or stand in [[card.key]] tables.
With --previous the file remembers what was verified of each card, and moves on only when there is
no finding. A report has to go on from there. One that begins earlier and leads past it is a fork: the
card's memory was put back, or two cards have it; it is never acknowledged. One that begins at records
that nobody knows here is a gap, as after a backup of the file: --accept-gap takes it, once its
reason is known. Without --previous the beginning is not checked, and nothing is acknowledged.

The exit status is 0 when the report holds; else 1, and every finding names its record.";

const VERIFY_EXAMPLES: &str = "\
Example:
  headend verify-report --operator operator.toml --schedule schedule.toml --issued issued.toml \\
      --previous cards.json --nonce 00112233445566aa --ack ack.bin report-1.bin report-2.bin
What was issued, in yuan; a refund names the purchase by event and offline sequence:
  [[topup]]
  card = \"0102030405060708\"
  number = 1
  amount = \"50.00\"
  agent = \"a00000000001\"
  [[refund]]
  card = \"0102030405060708\"
  event = 2001
  sequence = 3
  amount = \"12.00\"
The box takes ack.bin to the card; over the air the same is:
  printf 'kind = \"report_ack\"\ncard = \"0102030405060708\"\nreceipt = \"…\"\n' > ack.toml
  headend emm --operator operator.toml --message ack.toml --out ack.emm";

/// Arguments of `verify-report`.
#[derive(Args, Clone, Debug)]
pub struct VerifyReport {
    /// The operator and its keys.
    #[arg(long, value_name = "TOML")]
    pub operator: PathBuf,
    /// Events and their prices.
    #[arg(long, value_name = "TOML")]
    pub schedule: Option<PathBuf>,
    /// The nonce of the request, 16 hexadecimal digits.
    #[arg(long, value_name = "HEX", default_value = "0000000000000000")]
    pub nonce: Octets<8>,
    /// What was verified of each card; written when the report holds, made if it is not there.
    #[arg(long, value_name = "JSON")]
    pub previous: Option<PathBuf>,
    /// Top-ups and refunds that were given out; without it there were none.
    #[arg(long, value_name = "TOML")]
    pub issued: Option<PathBuf>,
    /// A card's number: records of it may be missing in front of the report; may be given several
    /// times.
    #[arg(long, value_name = "CARD", requires = "previous")]
    pub accept_gap: Vec<Octets<8>>,
    /// The acknowledgement, written when the report holds.
    #[arg(long, value_name = "FILE", requires = "previous")]
    pub ack: Option<PathBuf>,
    /// The report's pages, in their order.
    #[arg(required = true, value_name = "REPORT")]
    pub reports: Vec<PathBuf>,
}

/// Arguments of `inspect`.
#[derive(Args, Clone, Debug)]
pub struct Inspect {
    /// The transport stream.
    #[arg(value_name = "TS")]
    pub file: PathBuf,
}

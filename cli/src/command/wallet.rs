// SPDX-License-Identifier: Apache-2.0
//! `stbcam wallet`: balance and log, load, purchase, compound purchase, proof and PIN change.
mod settle;

use crate::args::Common;
use crate::failure::Failure;
use crate::money::args::{Octets, PinArgs, PurseArgs, TerminalArgs, amount, octet, octets};
use crate::money::batch::Kiosk;
use crate::money::card::{Card, CardKeys};
use crate::money::pin;
use crate::money::terminal::{Outcome, Terminal, open};
use crate::money::verdict::WayOut;
use crate::record::Record;
use crate::record::balance::Balance;
use crate::record::money::{Logged, Proven, Settlement, Shown, mac};
use crate::{help, hex};
use cam_types::Fen;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use wallet::compound::{RecordError, Update};
use wallet::flow::settle::Upshot;
use wallet::flow::{FlowError, Purse};
use wallet::read::LogReading;
use wallet::{Met, TransactionType};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Wallet {
    /// Print what is in the purse
    #[command(after_long_help = help::WALLET)]
    Balance(PurseArgs),
    /// Print the purse's log, newest first, and loads that a card logs apart
    Log(PurseArgs),
    /// Give money to a card, or with --batch to many
    #[command(after_long_help = help::LOAD)]
    Load(LoadArgs),
    /// Take money from the card
    #[command(after_long_help = help::PURCHASE)]
    Purchase(PurchaseArgs),
    /// Take money and write records in one transaction (compound purchase)
    #[command(after_long_help = help::CAPP)]
    Capp(CappArgs),
    /// Ask the card what became of a transaction whose answer was lost
    #[command(after_long_help = help::PROVE)]
    Prove(ProveArgs),
    /// Enter what the acquirer says of a transaction of which the card can tell no more
    #[command(after_long_help = help::SETTLE)]
    Settle(settle::SettleArgs),
    /// Give the card a new PIN
    PinChange(PinChangeArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    purse: PurseArgs,
    /// How much, as in 12.34
    #[arg(long, value_name = "YUAN", value_parser = amount, allow_hyphen_values = true, required_unless_present = "batch")]
    amount: Option<Fen>,
    /// Load many: a file of serial,amount,reference (CSV, or TOML with [[load]])
    ///
    /// Each reference is loaded once, also when the process, the power or the card's answer is
    /// lost: what is done stands in FILE.journal. With --wait one card after the other, without it
    /// the card that is in.
    #[arg(long, value_name = "FILE", conflicts_with = "amount")]
    batch: Option<PathBuf>,
    /// The most that a purse may hold
    #[arg(long, value_name = "YUAN", value_parser = amount)]
    maximum: Option<Fen>,
    #[command(flatten)]
    pin: PinArgs,
    #[command(flatten)]
    terminal: TerminalArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PurchaseArgs {
    #[command(flatten)]
    purse: PurseArgs,
    /// How much, as in 12.34
    #[arg(long, value_name = "YUAN", value_parser = amount, allow_hyphen_values = true)]
    amount: Fen,
    /// The most that the terminal may take
    #[arg(long, value_name = "YUAN", value_parser = amount)]
    limit: Option<Fen>,
    #[command(flatten)]
    pin: PinArgs,
    #[command(flatten)]
    terminal: TerminalArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CappArgs {
    #[command(flatten)]
    purse: PurchaseArgs,
    /// The records' file, its short identifier in hexadecimal
    #[arg(long, value_name = "XX", value_parser = octet, default_value = "17")]
    sfi: u8,
    /// A record, whole; may be given several times
    #[arg(long = "record", value_name = "HEX", value_parser = octets_of_record, required = true)]
    records: Vec<Octets>,
    /// The records' numbers, instead of their first octets, in the order of --record
    #[arg(long = "number", value_name = "N")]
    numbers: Vec<u8>,
    /// P1 and P2 of UPDATE CAPP DATA CACHE, for cards that want others, in the order of --record
    #[arg(long = "p1p2", value_name = "HEX", value_parser = octets::<2>, conflicts_with = "numbers")]
    parameters: Vec<[u8; 2]>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ProveArgs {
    #[command(flatten)]
    purse: PurseArgs,
    /// Ask for the proof under this number instead of settling
    #[arg(long, value_name = "N", requires = "kind")]
    sequence: Option<u16>,
    /// The transaction's type in hexadecimal, for --sequence: 02 load, 06 purchase, 09 compound
    /// purchase
    #[arg(long = "type", value_name = "XX", value_parser = octet, requires = "sequence")]
    kind: Option<u8>,
    #[command(flatten)]
    terminal: TerminalArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PinChangeArgs {
    #[command(flatten)]
    purse: PurseArgs,
    /// The old PIN; `-`: asked for without echo, or read from standard input, one a line
    #[arg(long, value_name = "DIGITS|-", allow_hyphen_values = true)]
    pin: String,
    /// The new one, in the same ways
    #[arg(long, value_name = "DIGITS|-", allow_hyphen_values = true)]
    new_pin: String,
}

pub(super) fn run(wallet: &Wallet, common: &Common) -> Result<(), Failure> {
    match wallet {
        Wallet::Balance(purse) => {
            let mut card = Card::open(purse, common, CardKeys::AtHand)?;
            card.bring_up(purse.wait.into())?;
            let balance = card.ask(|purse| {
                let (serial, coding) = (purse.serial(), purse.coding());
                Ok(Balance::new(serial, purse.holding()?, coding))
            })?;
            Ok(common.out().say(&Record::Balance(balance))?)
        }
        Wallet::Log(purse) => {
            let mut card = Card::open(purse, common, CardKeys::AtHand)?;
            card.bring_up(purse.wait.into())?;
            let (log, loads) = card.ask(|purse| Ok((purse.log()?, purse.loads()?)))?;
            for (file, records) in [(LogReading::LOG, log), (LogReading::LOADS, loads)] {
                for (number, record) in (1..).zip(&records) {
                    common.out().say(&Record::Logged(Logged::new(file, number, record)))?;
                }
            }
            Ok(())
        }
        Wallet::Load(args) => load(args, common),
        Wallet::Purchase(args) => purchase(args, common),
        Wallet::Capp(args) => compound(args, common),
        Wallet::Prove(args) => prove(args, common),
        Wallet::Settle(args) => settle::run(args, common),
        Wallet::PinChange(args) => pin_change(args, common),
    }
}

fn load(args: &LoadArgs, common: &Common) -> Result<(), Failure> {
    let mut terminal = Terminal::open(&args.purse, &args.terminal, common)?;
    terminal.card.limits(None, args.maximum);
    if let Some(batch) = &args.batch {
        return Kiosk::open(&mut terminal, common, &args.pin, batch)?.run(args.purse.wait.into());
    }
    let pin = args.pin.read()?;
    terminal.card.bring_up(args.purse.wait.into())?;
    match terminal.load(args.amount.unwrap_or_default(), pin.as_ref(), None)? {
        Outcome::Done(loaded) => {
            common.out().say(&Record::Loaded(loaded))?;
            shown(&mut terminal, common)
        }
        Outcome::Earlier(settled) => Err(earlier(&mut terminal, &settled, common)?),
    }
}

fn purchase(args: &PurchaseArgs, common: &Common) -> Result<(), Failure> {
    pay(args, common, |purse, order, psam| purse.purchase(order, psam))
}

fn compound(args: &CappArgs, common: &Common) -> Result<(), Failure> {
    let updates = updates(args).map_err(|error| Failure::Usage(format!("--record: {error}")))?;
    let mut updates = updates.into_iter();
    let first = updates
        .next()
        .ok_or_else(|| Failure::Usage("--record is wanted; no money has moved".into()))?;
    let more = updates.collect();
    pay(&args.purse, common, |purse, order, psam| purse.compound(order, first, more, psam))
}

fn updates(args: &CappArgs) -> Result<Vec<Update>, RecordError> {
    let named = args.records.iter().enumerate().map(|(place, Octets(record))| {
        match (args.parameters.get(place), args.numbers.get(place)) {
            (Some([p1, p2]), _) => Update::with_parameters(*p1, *p2, record),
            (None, Some(number)) => Update::by_number(args.sfi, *number, record),
            (None, None) => Update::by_identifier(args.sfi, record),
        }
    });
    named.collect()
}

fn pay(
    args: &PurchaseArgs,
    common: &Common,
    prepare: impl FnOnce(
        &mut Purse<'_>,
        &wallet::flow::Order,
        &mut dyn wallet::psam::Psam,
    ) -> Result<wallet::purchase::Debiting, FlowError>,
) -> Result<(), Failure> {
    let mut terminal = Terminal::open(&args.purse, &args.terminal, common)?;
    terminal.card.limits(args.limit, None);
    let pin = args.pin.read()?;
    terminal.card.bring_up(args.purse.wait.into())?;
    let paid = terminal.pay(args.amount, |purse, order, psam| {
        if let Some(pin) = &pin {
            purse.verify(pin)?;
        }
        Ok((prepare(purse, order, psam)?, ()))
    })?;
    match paid {
        Outcome::Done((paid, ())) => {
            common.out().say(&Record::Paid(paid))?;
            shown(&mut terminal, common)
        }
        Outcome::Earlier(settled) => Err(earlier(&mut terminal, &settled, common)?),
    }
}

/// What the card shows of its conventions by its newest record. A card that does not let its log be
/// read shows none.
fn shown(terminal: &mut Terminal<'_>, common: &Common) -> Result<(), Failure> {
    let Some((sequence, transaction)) = terminal.last else { return Ok(()) };
    let Ok(log) = terminal.card.ask(|purse| purse.log()) else { return Ok(()) };
    let mut met = Met::default();
    for record in log.iter().rev() {
        met.logged(sequence, &transaction, record);
    }
    say_met(&met, common)
}

fn say_met(met: &Met, common: &Common) -> Result<(), Failure> {
    if *met == Met::default() {
        return Ok(());
    }
    let shown = met.to_string();
    Ok(common.out().say(&Record::Shown(Shown { shown }))?)
}

fn earlier(
    terminal: &mut Terminal<'_>,
    settled: &Upshot,
    common: &Common,
) -> Result<Failure, Failure> {
    let serial = terminal.card.ask(|purse| Ok(purse.serial())).unwrap_or_default();
    common.out().say(&Record::Settled(Settlement::new(serial, settled)))?;
    Ok(Failure::Earlier(
        "an earlier transaction with this card had to be settled first; this one has not begun, and no money has moved by it"
            .into(),
    ))
}

fn prove(args: &ProveArgs, common: &Common) -> Result<(), Failure> {
    let mut terminal = Terminal::open(&args.purse, &args.terminal, common)?;
    terminal.card.bring_up(args.purse.wait.into())?;
    if let (Some(sequence), Some(kind)) = (args.sequence, args.kind) {
        let proof = terminal
            .card
            .ask(|purse| purse.prove(TransactionType(kind), sequence.to_be_bytes()))?;
        let code = hex::text(&[kind]);
        let (mac, tac) = (mac(proof.mac), mac(proof.tac));
        return Ok(common.out().say(&Record::Proven(Proven { sequence, code, mac, tac }))?);
    }
    let serial = terminal.card.ask(|purse| Ok(purse.serial()))?;
    let Some(settled) = terminal.settle()? else {
        let note = "nothing to settle with this card; no money has moved".into();
        return Ok(common.out().say(&Record::Note { note })?);
    };
    common.out().say(&Record::Settled(Settlement::new(serial, &settled)))?;
    match settled {
        Upshot::Open(unsettled, why) => Err(open(&unsettled, &why, &WayOut::of_card(serial))),
        Upshot::Made(made) => {
            let mut met = Met::default();
            met.proved(&made);
            say_met(&met, common)
        }
        _ => Ok(()),
    }
}

fn pin_change(args: &PinChangeArgs, common: &Common) -> Result<(), Failure> {
    let mut card = Card::open(&args.purse, common, CardKeys::AtHand)?;
    let old = pin::read(&args.pin, "old PIN")?;
    let new = pin::read(&args.new_pin, "new PIN")?;
    card.bring_up(args.purse.wait.into())?;
    card.ask(|purse| purse.change_pin(&old, &new))?;
    Ok(common.out().say(&Record::Note { note: "the PIN has changed".into() })?)
}

fn octets_of_record(text: &str) -> Result<Octets, String> {
    crate::money::args::octets_of_any_number(text)
}

// SPDX-License-Identifier: Apache-2.0
//! A kiosk's batch: who gets how much, each exactly once.
use super::journal::{Journal, Standing};
use super::state::serial_text;
use super::table::{Fields, Problem, text};
use super::terminal::{Outcome, Terminal};
use crate::args::Common;
use crate::bench::Wait;
use crate::failure::Failure;
use crate::money::args::{PinArgs, amount, octets};
use crate::money::pin;
use crate::record::Record;
use crate::record::batch::{Entry, Sums};
use crate::record::money::Settlement;
use cam_types::Fen;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use wallet::flow::settle::Upshot;
use wallet::pin::Pin;

/// One line of the batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Order {
    serial: [u8; 10],
    amount: Fen,
    /// What makes it the same entry in the next run.
    reference: String,
}

/// What has come of an entry in this run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Came {
    /// The card holds the money, since this run or an earlier one.
    Loaded { earlier: bool },
    /// Somebody said no. No money has moved; another run may try again.
    Refused,
    /// Money may have moved.
    Unsettled,
}

/// Reads a batch: CSV, or TOML when the file's name says so.
pub(crate) fn read(path: &Path) -> Result<Vec<Order>, String> {
    let orders = match path.extension().is_some_and(|extension| extension == "toml") {
        true => toml(path).map_err(|problem| problem.to_string())?,
        false => csv(path)?,
    };
    let mut references = BTreeSet::new();
    for order in &orders {
        if !references.insert(&order.reference) {
            return Err(format!(
                "{}: reference '{}' stands there twice, and makes an entry what it is; no money has moved",
                path.display(),
                order.reference
            ));
        }
    }
    Ok(orders)
}

fn csv(path: &Path) -> Result<Vec<Order>, String> {
    let text = text(path).map_err(|problem| problem.to_string())?;
    let mut orders = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let header = orders.is_empty() && line == "serial,amount,reference";
        if line.is_empty() || line.starts_with('#') || header {
            continue;
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let order = match fields[..] {
            [serial, amount, reference] => order(serial, amount, reference),
            _ => Err("expected serial,amount,reference".into()),
        };
        let order = order.map_err(|why| {
            let why = why.strip_suffix(NOTHING).unwrap_or(&why);
            format!("{}: line {number}: {why}{NOTHING}", path.display())
        })?;
        orders.push(order);
    }
    Ok(orders)
}

const NOTHING: &str = "; no money has moved";

fn toml(path: &Path) -> Result<Vec<Order>, Problem> {
    let mut file = Fields::read(path)?;
    let orders = file.tables("load", |load| {
        let mut field = |name| {
            let value = load.text(name)?;
            load.wanted(name, value)
        };
        let (serial, amount, reference) = (field("serial")?, field("amount")?, field("reference")?);
        order(&serial, &amount, &reference)
            .map_err(|why| load.wrong("", why.strip_suffix(NOTHING).unwrap_or(&why)))
    })?;
    file.finish()?;
    Ok(orders)
}

fn order(serial: &str, text: &str, reference: &str) -> Result<Order, String> {
    let serial = octets::<10>(serial).map_err(|why| format!("serial: {why}"))?;
    let amount = amount(text).map_err(|why| format!("amount: {why}"))?;
    if amount == Fen::ZERO {
        return Err("amount: 0.00: there is nothing to load".into());
    }
    if reference.is_empty() || reference.len() > 64 {
        return Err("reference: expected 1 to 64 characters".into());
    }
    Ok(Order { serial, amount, reference: reference.into() })
}

/// The kiosk at work.
pub(crate) struct Kiosk<'a, 't> {
    pub terminal: &'t mut Terminal<'a>,
    pub common: &'t Common,
    pub pin: &'t PinArgs,
    orders: Vec<Order>,
    journal: Journal,
    came: BTreeMap<String, Came>,
}

impl<'a, 't> Kiosk<'a, 't> {
    /// Opens the journal, and sees to it that it is of this batch.
    pub(crate) fn open(
        terminal: &'t mut Terminal<'a>,
        common: &'t Common,
        pin: &'t PinArgs,
        batch: &Path,
    ) -> Result<Self, Failure> {
        let orders = read(batch).map_err(|why| Failure::Usage(format!("--batch {why}")))?;
        let journal = Journal::open(batch)?;
        let mut came = BTreeMap::new();
        for order in &orders {
            let Some(standing) = journal.standing(&order.reference) else { continue };
            let (Standing::Intended { serial, amount, .. } | Standing::Loaded { serial, amount }) =
                standing;
            if *serial != serial_text(Some(order.serial)) || *amount != order.amount.to_string() {
                return Err(Failure::Usage(format!(
                    "--batch {}: reference '{}' was begun as {amount} for card {serial}, and the batch says otherwise; no money has moved",
                    batch.display(),
                    order.reference
                )));
            }
            if matches!(standing, Standing::Loaded { .. }) {
                came.insert(order.reference.clone(), Came::Loaded { earlier: true });
            }
        }
        Ok(Self { terminal, common, pin, orders, journal, came })
    }

    /// Takes cards until every entry is done; without waiting, the one that is in.
    pub(crate) fn run(mut self, wait: Wait) -> Result<(), Failure> {
        let mut ended = Ok(());
        while self.orders.iter().any(|order| !self.came.contains_key(&order.reference)) {
            ended = match self.terminal.card.next(wait) {
                Ok(true) => self.card(),
                Ok(false) => break,
                Err(failure) => Err(failure),
            };
            match &ended {
                Err(failure @ Failure::Failed(_)) if wait == Wait::ForCard => {
                    let note = failure.text().to_owned();
                    self.common.out().say(&Record::Note { note })?;
                }
                Ok(()) if wait == Wait::ForCard => {}
                _ => break,
            }
            self.terminal.card.bench.wait_gone();
        }
        let sums = self.sums();
        self.common.out().say(&Record::Batch(sums))?;
        ended?;
        match sums {
            Sums { unsettled: 1.., .. } => Err(Failure::Unsettled(
                "entries are not settled: run the batch again with their cards".into(),
            )),
            Sums { refused: 1.., .. } => {
                Err(Failure::Declined("entries were refused; no money has moved for these".into()))
            }
            Sums { waiting: 1.., .. } => Err(Failure::Failed(
                "entries wait for their cards; no money has moved for these".into(),
            )),
            _ => Ok(()),
        }
    }

    /// All entries of the card that is up.
    fn card(&mut self) -> Result<(), Failure> {
        let serial = self.terminal.card.ask(|purse| Ok(purse.serial()))?;
        let due: Vec<Order> = self
            .orders
            .iter()
            .filter(|order| Some(order.serial) == serial)
            .filter(|order| !self.came.contains_key(&order.reference))
            .cloned()
            .collect();
        if due.is_empty() {
            let note = format!("card {}: nothing to load", serial_text(serial));
            self.common.out().say(&Record::Note { note })?;
            return Ok(());
        }
        // What is not settled comes first: a load in between would hide it.
        let (open, fresh): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|order| self.journal.unsettled(&order.reference).is_some());
        let mut again = Vec::new();
        for order in open {
            if self.settle(&order)? {
                again.push(order);
            }
        }
        let any_open = self.came.values().any(|came| *came == Came::Unsettled);
        if any_open {
            return Ok(());
        }
        let pin = match &self.pin.pin {
            Some(argument) => {
                Some(pin::read(argument, &format!("PIN of card {}", serial_text(serial)))?)
            }
            None => None,
        };
        for order in again.into_iter().chain(fresh) {
            if !self.load(&order, pin.as_ref())? {
                break;
            }
        }
        Ok(())
    }

    /// An entry whose outcome is not known. Whether it is to be loaded after all.
    fn settle(&mut self, order: &Order) -> Result<bool, Failure> {
        let Some(unsettled) = self.journal.unsettled(&order.reference) else { return Ok(true) };
        let settled = self.terminal.settle_this(Some(order.serial), unsettled)?;
        let settlement = Settlement::new(Some(order.serial), &settled);
        self.common.out().say(&Record::Settled(settlement))?;
        match settled {
            Upshot::Made(made) => {
                let tac = made.evidence.tac().map(crate::record::money::mac);
                let after = Some(made.balance.to_string());
                self.journal.loaded(&order.reference, after, tac.clone())?;
                self.came.insert(order.reference.clone(), Came::Loaded { earlier: false });
                self.say(order, "loaded", Some(made.balance), tac, None)?;
                Ok(false)
            }
            Upshot::NotMade(_) => self.journal.not_loaded(&order.reference).map(|()| true),
            Upshot::Open(_, why) => {
                self.came.insert(order.reference.clone(), Came::Unsettled);
                let way_out = self.journal.way_out(&order.reference);
                let why = format!("{why}; {}", way_out.next(&why));
                self.say(order, "unsettled", None, None, Some(why))?;
                Ok(false)
            }
        }
    }

    /// Whether the card goes on with its next entry.
    fn load(&mut self, order: &Order, pin: Option<&Pin>) -> Result<bool, Failure> {
        let amount = order.amount.to_string();
        loop {
            let mut ledger = self.journal.entry(&order.reference, &amount);
            let loaded = self.terminal.load(order.amount, pin, Some(&mut ledger));
            let (came, outcome, why) = match loaded {
                Ok(Outcome::Done(loaded)) => {
                    let came = Came::Loaded { earlier: false };
                    self.came.insert(order.reference.clone(), came);
                    let why = loaded.remark();
                    self.say(order, "loaded", Some(loaded.after), loaded.tac, why)?;
                    return Ok(true);
                }
                Ok(Outcome::Earlier(settled)) => {
                    let settlement = Settlement::new(Some(order.serial), &settled);
                    self.common.out().say(&Record::Settled(settlement))?;
                    self.terminal.card.bring_up(Wait::Never)?;
                    continue;
                }
                Err(Failure::Declined(why)) => (Came::Refused, "refused", why),
                Err(Failure::Unsettled(why)) => (Came::Unsettled, "unsettled", why),
                Err(other) => return Err(other),
            };
            self.came.insert(order.reference.clone(), came);
            self.say(order, outcome, None, None, Some(why))?;
            return Ok(came == Came::Refused);
        }
    }

    fn say(
        &self,
        order: &Order,
        outcome: &'static str,
        after: Option<Fen>,
        tac: Option<String>,
        why: Option<String>,
    ) -> Result<(), Failure> {
        let entry = Entry {
            reference: order.reference.clone(),
            serial: serial_text(Some(order.serial)),
            amount: order.amount,
            outcome,
            after,
            tac,
            why,
        };
        Ok(self.common.out().say(&Record::Entry(entry))?)
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums { entries: self.orders.len(), ..Sums::default() };
        for order in &self.orders {
            let fen = u64::from(order.amount.fen());
            match self.came.get(&order.reference) {
                Some(Came::Loaded { earlier }) => {
                    sums.loaded += 1;
                    sums.loaded_sum.0 += fen;
                    sums.earlier += usize::from(*earlier);
                }
                Some(Came::Refused) => sums.refused += 1,
                Some(Came::Unsettled) => {
                    sums.unsettled += 1;
                    sums.unsettled_sum.0 += fen;
                }
                None if self.journal.unsettled(&order.reference).is_some() => {
                    sums.unsettled += 1;
                    sums.unsettled_sum.0 += fen;
                }
                None => sums.waiting += 1,
            }
        }
        sums
    }
}

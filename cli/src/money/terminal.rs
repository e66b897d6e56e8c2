// SPDX-License-Identifier: Apache-2.0
//! A terminal at the bench: a card in its reader, keys or a PSAM, and what it must not forget.
use super::args::{PurseArgs, TerminalArgs};
use super::card::{Card, CardKeys, failure};
use super::keys::Keys;
use super::port::{OwnPort, Port};
use super::state::{Serial, State, serial_text};
use super::verdict::WayOut;
use crate::args::Common;
use crate::bench::{Bench, Wait};
use crate::failure::Failure;
use crate::record::Record;
use crate::record::money::{Checked, Loaded, Paid};
use cam_types::{Fen, Instant, TerminalId, TerminalSequence};
use stb_shim::clock;
use stb_shim::slot::SlotError;
use stb_shim::sys::Waker;
use wallet::flow::settle::{Unknown, Upshot};
use wallet::flow::{FlowError, Held, Order, Purse, Scheme};
use wallet::keys::TacKey;
use wallet::load::Credit;
use wallet::pin::Pin;
use wallet::proof::Unsettled;
use wallet::psam::{CardIdentity, CardPsam, Psam, SamApplication, SamError, SamPurchase, SoftPsam};
use wallet::purchase::{Debit, Debiting};
use wallet::{Mac, Transaction};

/// Everything that trades with a card.
pub(crate) struct Terminal<'a> {
    pub card: Card<'a>,
    args: &'a TerminalArgs,
    keys: Keys,
    state: State,
    module: Option<CardPsam<OwnPort>>,
    /// The transaction last made, and the card's number before it.
    pub last: Option<([u8; 2], Transaction)>,
}

/// Where an intent is written down before money may move.
pub(crate) trait Ledger {
    /// Durable when it returns.
    fn intend(&mut self, card: Serial, intent: &[u8]) -> Result<(), Failure>;
    /// What to do when it stays open.
    fn way_out(&self, card: Serial) -> WayOut;
    /// No money has moved, or it has and `outcome` says so.
    fn done(&mut self, card: Serial, outcome: Option<&Loaded>) -> Result<(), Failure>;
}

impl Ledger for State {
    fn intend(&mut self, card: Serial, intent: &[u8]) -> Result<(), Failure> {
        Self::intend(self, card, intent)
    }

    fn way_out(&self, card: Serial) -> WayOut {
        WayOut::of_card(card)
    }

    fn done(&mut self, card: Serial, _: Option<&Loaded>) -> Result<(), Failure> {
        self.settled(card)
    }
}

/// What came of bringing a card and a transaction together.
pub(crate) enum Outcome<T> {
    /// It has been made.
    Done(T),
    /// An earlier one with this card had to be settled, and this one has not begun.
    Earlier(Upshot),
}

/// How often a card is asked what became of a commit whose answer was lost.
const QUESTIONS: usize = 5;

impl<'a> Terminal<'a> {
    /// Reads the keys, opens the state and the readers. Nothing is sent to the purse.
    pub(crate) fn open(
        purse: &'a PurseArgs,
        args: &'a TerminalArgs,
        common: &Common,
    ) -> Result<Self, Failure> {
        let keys = match &args.keys {
            Some(path) => {
                Keys::read(path).map_err(|error| Failure::Usage(format!("--keys {error}")))?
            }
            None => Keys::default(),
        };
        let directory = match &args.state {
            Some(directory) => directory.clone(),
            None => State::default_directory(args.keys.as_deref())?,
        };
        let state = State::open(&directory)?;
        let card_keys = match keys.any_master || args.psam.is_some() {
            true => CardKeys::FromMasters,
            false => CardKeys::AtHand,
        };
        let card = Card::open(purse, common, card_keys)?;
        let module =
            args.psam.as_deref().map(|url| open_psam(url, args, &card.bench)).transpose()?;
        Ok(Self { card, args, keys, state, module, last: None })
    }

    fn order(&self, amount: Fen) -> Order {
        let (date, time) = self.args.date_time();
        Order { key_index: self.args.key_index, amount, date, time }
    }

    /// Takes money from a card that is up. `prepare` is the flow up to its DEBIT.
    pub(crate) fn pay<T>(
        &mut self,
        amount: Fen,
        prepare: impl FnOnce(&mut Purse<'_>, &Order, &mut dyn Psam) -> Result<(Debiting, T), FlowError>,
    ) -> Result<Outcome<(Paid, T)>, Failure> {
        let (scheme, order) = (self.card.scheme(), self.order(amount));
        let start = clock::now();
        let mut port = Port::new(&mut self.card.bench, &self.card.never);
        let opened = Purse::open(&mut port, &scheme);
        let mut purse = opened.map_err(|error| failure(&error, None))?;
        let card = purse.serial();
        let key = self.keys.host.tac_key(purse.identity());
        if let Some(unsettled) = self.state.unsettled(card)? {
            let settled = purse.settle(unsettled, None, key.as_ref());
            return earlier(&mut self.state, card, settled);
        }
        let mut soft;
        let psam: &mut dyn Psam = match &mut self.module {
            Some(module) => module,
            None => {
                soft = module_in_software(self.args, &self.keys, &mut self.state)?;
                &mut soft
            }
        };
        let (debiting, extra) = match prepare(&mut purse, &order, psam) {
            Ok(prepared) => prepared,
            Err(error) => return Err(failure(&error, port.failure)),
        };
        self.state.intend(card, &debiting.intent())?;
        let before = debiting.balance().checked_add(debiting.transaction().amount);
        self.last = Some((debiting.card_sequence(), *debiting.transaction()));
        let (paid, ms) = match purse.debit(debiting, psam) {
            Debit::Paid(receipt) => {
                let ms = since(start);
                let (balance_check, held) = Checked::balance(purse.holds(receipt.balance));
                let paid = Paid::receipt(&receipt, key.as_ref());
                (Paid { balance_check, held, ..paid }, ms)
            }
            Debit::Refused(refusal) => {
                self.state.settled(card)?;
                return Err(Failure::Declined(format!("{refusal}; no money has moved")));
            }
            Debit::Unsettled(unsettled) => {
                let seams = Seams { bench: &mut self.card.bench, never: &self.card.never, scheme };
                let (upshot, held) = seams.settle(card, unsettled, Some(psam), key.as_ref());
                match upshot {
                    Upshot::Made(made) => {
                        let (balance_check, held) = Checked::balance(held);
                        let paid = Paid::made(&made, key.as_ref());
                        (Paid { balance_check, held, ..paid }, since(start))
                    }
                    Upshot::NotMade(_) => {
                        self.state.settled(card)?;
                        return Err(Failure::Failed(
                            "the answer to the debit was lost, and the card has not paid; no money has moved"
                                .into(),
                        ));
                    }
                    Upshot::Open(unsettled, why) => {
                        return Err(open(&unsettled, &why, &WayOut::of_card(card)));
                    }
                }
            }
        };
        self.state.settled(card)?;
        let serial = card.map(|card| serial_text(Some(card)));
        Ok(Outcome::Done((Paid { serial, before, ms, ..paid }, extra)))
    }

    /// Gives money to a card that is up. `ledger` is where its intent is written down, the state if
    /// there is none.
    pub(crate) fn load(
        &mut self,
        amount: Fen,
        pin: Option<&Pin>,
        ledger: Option<&mut dyn Ledger>,
    ) -> Result<Outcome<Loaded>, Failure> {
        let (scheme, order) = (self.card.scheme(), self.order(amount));
        let start = clock::now();
        let terminal = self.args.terminal.ok_or_else(no_terminal)?;
        let mut port = Port::new(&mut self.card.bench, &self.card.never);
        let opened = Purse::open(&mut port, &scheme);
        let mut purse = opened.map_err(|error| failure(&error, None))?;
        let card = purse.serial();
        let host = &self.keys.host;
        let key = host.tac_key(purse.identity());
        if let Some(unsettled) = self.state.unsettled(card)? {
            let settled = purse.settle(unsettled, None, key.as_ref());
            return earlier(&mut self.state, card, settled);
        }
        let prepared = pin
            .map_or(Ok(()), |pin| purse.verify(pin))
            .and_then(|()| purse.load(&order, terminal, host));
        let crediting = match prepared {
            Ok(crediting) => crediting,
            Err(error) => return Err(failure(&error, port.failure)),
        };
        let ledger = match ledger {
            Some(ledger) => ledger,
            None => &mut self.state,
        };
        ledger.intend(card, &crediting.intent())?;
        let before = crediting.balance().checked_sub(amount);
        self.last = Some((crediting.card_sequence(), *crediting.transaction()));
        let (loaded, ms) = match purse.credit(crediting, host) {
            Credit::Loaded(receipt) => {
                let ms = since(start);
                let (balance_check, held) = Checked::balance(purse.holds(receipt.balance));
                let loaded = Loaded::receipt(&receipt, key.as_ref());
                (Loaded { balance_check, held, ..loaded }, ms)
            }
            Credit::Refused(refusal) => {
                ledger.done(card, None)?;
                return Err(Failure::Declined(format!("{refusal}; no money has moved")));
            }
            Credit::Unsettled(unsettled) => {
                let seams = Seams { bench: &mut self.card.bench, never: &self.card.never, scheme };
                let (upshot, held) = seams.settle(card, unsettled, None, key.as_ref());
                match upshot {
                    Upshot::Made(made) => {
                        let (balance_check, held) = Checked::balance(held);
                        let loaded = Loaded::made(&made, key.as_ref());
                        (Loaded { balance_check, held, ..loaded }, since(start))
                    }
                    Upshot::NotMade(_) => {
                        ledger.done(card, None)?;
                        return Err(Failure::Failed(
                            "the answer to the credit was lost, and the card has not been loaded; no money has moved"
                                .into(),
                        ));
                    }
                    Upshot::Open(unsettled, why) => {
                        return Err(open(&unsettled, &why, &ledger.way_out(card)));
                    }
                }
            }
        };
        let serial = card.map(|card| serial_text(Some(card)));
        let loaded = Loaded { serial, before, ms, ..loaded };
        ledger.done(card, Some(&loaded))?;
        Ok(Outcome::Done(loaded))
    }

    /// Serves the card that is in, or with `many` one after the other until a signal comes.
    pub(crate) fn serve(
        &mut self,
        many: bool,
        wait: Wait,
        common: &Common,
        mut one: impl FnMut(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if !many {
            self.card.bring_up(wait)?;
            return one(self);
        }
        while self.card.next(Wait::ForCard)? {
            match one(self) {
                Ok(()) => {}
                Err(failure @ Failure::Usage(_)) => return Err(failure),
                Err(failure) => {
                    common.out().say(&Record::Error { error: failure.text().to_owned() })?;
                }
            }
            self.card.bench.wait_gone();
        }
        Ok(())
    }

    /// Settles what is not settled with the card that is up; `None` when there is nothing.
    pub(crate) fn settle(&mut self) -> Result<Option<Upshot>, Failure> {
        let card = self.card.ask(|purse| Ok(purse.serial()))?;
        match self.state.unsettled(card)? {
            None => Ok(None),
            Some(unsettled) => {
                let settled = self.settle_this(card, unsettled)?;
                if !matches!(settled, Upshot::Open(..)) {
                    self.state.settled(card)?;
                }
                Ok(Some(settled))
            }
        }
    }

    /// Settles a transaction of the card that is up.
    pub(crate) fn settle_this(
        &mut self,
        card: Serial,
        unsettled: Unsettled,
    ) -> Result<Upshot, Failure> {
        let scheme = self.card.scheme();
        let identity = self.card.ask(|purse| Ok(purse.identity().clone()))?;
        let key = self.keys.host.tac_key(&identity);
        let seams = Seams { bench: &mut self.card.bench, never: &self.card.never, scheme };
        // Since then it may have been at other terminals: its balance proves nothing.
        Ok(seams.settle(card, unsettled, None, key.as_ref()).0)
    }
}

/// What it takes to reset a card and ask again.
struct Seams<'a> {
    bench: &'a mut Bench,
    never: &'a Waker,
    scheme: Scheme<'a>,
}

impl Seams<'_> {
    /// Resets the card and asks it, some times. Only the same card can tell, and what it holds when
    /// it has.
    fn settle(
        self,
        card: Serial,
        mut unsettled: Unsettled,
        mut psam: Option<&mut dyn Psam>,
        key: Option<&TacKey>,
    ) -> (Upshot, Held) {
        let mut why = Unknown::NoAnswer;
        for _ in 0..QUESTIONS {
            match self.bench.activate() {
                Ok(_) => {}
                Err(SlotError::Stopped) => break,
                Err(_) => continue,
            }
            let mut port = Port::new(self.bench, self.never);
            let Ok(mut purse) = Purse::open(&mut port, &self.scheme) else { continue };
            if purse.serial() != card {
                break;
            }
            match purse.settle(
                unsettled,
                psam.as_mut().map(|psam| &mut **psam as &mut dyn Psam),
                key,
            ) {
                Upshot::Open(still, because) => {
                    (unsettled, why) = (still, because);
                    // Another reset may bring what noise has taken.
                    if !matches!(why, Unknown::NoAnswer | Unknown::Malformed) {
                        break;
                    }
                }
                Upshot::Made(made) => {
                    let held = purse.holds(made.balance);
                    return (Upshot::Made(made), held);
                }
                not_made => return (not_made, Held::NotShown),
            }
        }
        (Upshot::Open(unsettled, why), Held::NotShown)
    }
}

/// What an earlier transaction has come to. Only what is known is forgotten.
fn earlier<T>(state: &mut State, card: Serial, settled: Upshot) -> Result<Outcome<T>, Failure> {
    match settled {
        Upshot::Open(unsettled, why) => Err(open(&unsettled, &why, &WayOut::of_card(card))),
        settled => {
            state.settled(card)?;
            Ok(Outcome::Earlier(settled))
        }
    }
}

/// The outcome is not known.
pub(crate) fn open(unsettled: &Unsettled, why: &Unknown, way_out: &WayOut) -> Failure {
    let transaction = &unsettled.transaction;
    Failure::Unsettled(format!(
        "{} of {} at {} {} is not settled, money may have moved: {why}; {}",
        crate::record::money::kind(transaction.kind),
        transaction.amount,
        transaction.date,
        transaction.time,
        way_out.next(why)
    ))
}

/// Milliseconds.
fn since(start: Instant) -> f64 {
    clock::now().since(start).as_micros() as f64 / 1000.0
}

fn no_terminal() -> Failure {
    Failure::Usage("--terminal is wanted: the terminal's id, 6 octets; no money has moved".into())
}

fn open_psam(url: &str, args: &TerminalArgs, beside: &Bench) -> Result<CardPsam<OwnPort>, Failure> {
    let application = match args.psam_application.as_ref().map(|octets| octets.0.as_slice()) {
        None => SamApplication::default(),
        Some(&[high, low]) => SamApplication::file([high, low]),
        Some(name) => SamApplication::name(name).ok_or_else(|| {
            Failure::Usage("--psam-application: a file has 2 octets, a name 5 to 16".into())
        })?,
    };
    let mut bench = beside.beside(url)?;
    if let Err(error) = bench.activate() {
        let why = bench.not_up(&error);
        return Err(Failure::Failed(format!("--psam {url}: {why}; no money has moved")));
    }
    let never = Waker::new().map_err(|error| format!("signals: {error}"))?;
    let mut module = CardPsam::open(OwnPort::new(bench, never), &application)
        .map_err(|error| Failure::Failed(format!("--psam {url}: {error}; no money has moved")))?;
    let own = module.terminal().map_err(|error| error.to_string())?;
    match args.terminal {
        Some(wanted) if wanted != own => Err(Failure::Usage(format!(
            "--terminal {wanted}: the PSAM is terminal {own}; no money has moved"
        ))),
        _ => Ok(module),
    }
}

fn module_in_software(
    args: &TerminalArgs,
    keys: &Keys,
    state: &mut State,
) -> Result<BenchPsam, Failure> {
    let terminal = args.terminal.ok_or_else(no_terminal)?;
    if keys.purchase.is_empty() {
        return Err(Failure::Usage(
            "no purchase key: give --keys FILE with one of role purchase, or --psam URL; no money has moved"
                .into(),
        ));
    }
    let before: TerminalSequence = state.reserve(terminal, args.term_seq)?;
    let soft =
        keys.purchase.iter().fold(SoftPsam::new(terminal, before), |psam, (version, key)| {
            psam.with_key(*version, key.clone())
        });
    Ok(BenchPsam { soft, master: keys.purchase_is_master })
}

/// The module in software, with masters or with one card's own keys.
struct BenchPsam {
    soft: SoftPsam,
    master: bool,
}

impl Psam for BenchPsam {
    fn terminal(&mut self) -> Result<TerminalId, SamError> {
        self.soft.terminal()
    }

    fn start(&mut self, purchase: &SamPurchase<'_>) -> Result<(TerminalSequence, Mac), SamError> {
        if self.master {
            return self.soft.start(purchase);
        }
        let card = CardIdentity { factors: Vec::new(), ..purchase.card.clone() };
        self.soft.start(&SamPurchase { card: &card, ..*purchase })
    }

    fn credit(&mut self, mac2: Mac) -> Result<(), SamError> {
        self.soft.credit(mac2)
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What a terminal does with a purse, from SELECT to the end: at the kiosk, at the gate, at the
//! till.
//!
//! A flow owns no reader, no clock and no disk. Its caller opens the purse at a port, writes down
//! what the flow shows before money may move, and gives the port again after a reset when an answer
//! was lost:
//!
//! 1. [`Purse::open`], and what the flow asks of the card; until here every failure is a
//!    [`FlowError`], and no money has moved.
//! 2. `intent()` of the `Debiting` or `Crediting` that this ends in is made durable.
//! 3. [`Purse::debit`] or [`Purse::credit`]: done, refused, or `Unsettled`.
//! 4. `Unsettled`: the card is reset, opened again, and asked by [`Purse::settle`].

pub mod fare;
pub mod gate;
pub mod host;
pub mod settle;
pub mod till;

use crate::balance::{Balance, BalanceCoding, Part};
use crate::card::{ApplicationData, AuthenticationCode, IdentityError};
use crate::compound::{RecordError, Update};
use crate::load::LoadError;
use crate::pin::{Change, Pin, PinAnswer, Verify};
use crate::port::CardPort;
use crate::profile::Profile;
use crate::proof::{Proof, prove_command};
use crate::psam::{CardIdentity, Psam, SamError};
use crate::purchase::{Debit, Debiting, PurchaseError};
use crate::read::{self, LogReading, ReadError};
use crate::record::LogRecord;
use crate::refusal::{Reason, Refusal, Step};
use crate::response::split;
use crate::select::{Select, SelectError};
use crate::transaction::{Account, TransactionType};
use alloc::vec::Vec;
use cam_types::interindustry::INS_READ_RECORD;
use cam_types::{BcdDate, BcdTime, Fen, StatusWord};
use core::fmt;
use gate::PassageError;
use host::HostError;
use till::TillError;

/// Which purse, of which scheme.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scheme<'a> {
    /// The AID by which the purse is selected.
    pub aid: &'a [u8],
    /// What its cards are like.
    pub profile: Profile,
    /// The number that the contactless chip answers to, where the scheme's keys come by it.
    pub uid: Option<[u8; 4]>,
}

/// A purse that has been selected, at its reader.
pub struct Purse<'p> {
    port: &'p mut dyn CardPort,
    profile: Profile,
    /// Whose it is; `None` when the card does not say.
    pub application: Option<ApplicationData>,
    identity: CardIdentity,
}

/// One transaction: under which key, of how much, when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Order {
    /// The index of the card's key.
    pub key_index: u8,
    /// How much.
    pub amount: Fen,
    /// The terminal's date.
    pub date: BcdDate,
    /// The terminal's time.
    pub time: BcdTime,
}

/// What a card holds after a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Held {
    /// What it must.
    AsExpected,
    /// Something else: it has not taken or given what it was told to.
    Other(Fen),
    /// It does not show, or has left.
    NotShown,
}

/// Why a flow ended before its commit. No money has moved.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FlowError {
    /// There is no purse to deal with.
    Select(SelectError),
    /// The card did not let itself be read.
    Read(ReadError),
    /// The card's keys cannot be told.
    Identity(IdentityError),
    /// The card's keys come by its serial number, and it has none.
    NoSerial,
    /// The card is not valid on the day of the transaction.
    NotValid {
        /// Its first day.
        start: BcdDate,
        /// Its last day.
        expiry: BcdDate,
        /// The day of the transaction.
        date: BcdDate,
    },
    /// The PIN was not taken.
    Pin(PinAnswer),
    /// The purchase did not come to its DEBIT.
    Purchase(PurchaseError),
    /// The load did not come to its CREDIT.
    Load(LoadError),
    /// The host does not load this card.
    Host(HostError),
    /// The record for a compound purchase is none.
    Record(RecordError),
    /// The gate stays shut.
    Passage(PassageError),
    /// The till does not take the card so.
    Till(TillError),
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // These say of the money by themselves.
            Self::Select(error) => return write!(f, "{error}"),
            Self::Identity(error) => return write!(f, "{error}"),
            Self::Purchase(error) => return write!(f, "{error}"),
            Self::Load(error) => return write!(f, "{error}"),
            Self::Record(error) => return write!(f, "{error}"),
            Self::Read(error) => write!(f, "{error}"),
            Self::NoSerial => {
                f.write_str("card has no serial number, and its keys come from a master key by it")
            }
            Self::NotValid { start, expiry, date } => {
                write!(f, "card is valid from {start} until {expiry}, not on {date}")
            }
            Self::Pin(answer) => write!(f, "{answer}"),
            Self::Host(error) => write!(f, "{error}"),
            Self::Passage(error) => write!(f, "{error}"),
            Self::Till(error) => write!(f, "{error}"),
        }?;
        f.write_str("; no money has moved")
    }
}

impl core::error::Error for FlowError {}

macro_rules! ends_in {
    ($($kind:ident($error:ty)),+) => {$(
        impl From<$error> for FlowError {
            fn from(error: $error) -> Self {
                Self::$kind(error)
            }
        }
    )+};
}

ends_in!(
    Select(SelectError),
    Read(ReadError),
    Identity(IdentityError),
    Purchase(PurchaseError),
    Load(LoadError),
    Host(HostError),
    Record(RecordError),
    Passage(PassageError),
    Till(TillError)
);

impl FlowError {
    /// The card's refusal, if that is what ended the flow.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Select(SelectError::Refused(refusal))
            | Self::Read(ReadError::Refused(refusal))
            | Self::Pin(PinAnswer::Refused(refusal))
            | Self::Purchase(PurchaseError::Refused(refusal))
            | Self::Load(LoadError::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }

    /// Whether somebody said no, the card, the host or the rules of the terminal, rather than
    /// failed to say anything.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Select(SelectError::NoAnswer | SelectError::Malformed(_))
            | Self::Read(ReadError::NoAnswer | ReadError::Malformed(_) | ReadError::Balance(_))
            | Self::Pin(PinAnswer::Lost)
            | Self::Load(LoadError::NoAnswer | LoadError::Malformed(_) | LoadError::Balance(_)) => {
                false
            }
            Self::Purchase(error) => !matches!(
                error,
                PurchaseError::NoAnswer
                    | PurchaseError::Malformed(_)
                    | PurchaseError::Balance(_)
                    | PurchaseError::Sam(SamError::NoAnswer | SamError::Malformed(_))
            ),
            _ => true,
        }
    }
}

impl<'p> Purse<'p> {
    /// Selects the purse of a card that has just been reset, and reads what its keys come by.
    pub fn open(port: &'p mut dyn CardPort, scheme: &Scheme<'_>) -> Result<Self, FlowError> {
        let select = Select::new(scheme.aid);
        let mut answer = port.transmit(&select.command());
        if answer.as_deref() == Some(&StatusWord::WRONG_LENGTH.to_be_bytes()) {
            answer = port.transmit(&select.command_without_le());
        }
        let answer = answer.ok_or(SelectError::NoAnswer)?;
        let selected = select.answer(&answer)?;
        let application = match selected.application {
            Some(application) => Some(application),
            None => Self::application(port)?,
        };
        let coding = BalanceCoding::of(&selected.aid);
        let profile =
            Profile { balance: scheme.profile.balance.or(Some(coding)), ..scheme.profile };
        let code = match profile.authentication_code {
            true => Some(Self::code(port)?),
            false => None,
        };
        let identity = match &application {
            Some(application) => profile.identity(application, scheme.uid, code),
            None if profile.levels.is_empty() => Ok(CardIdentity {
                factors: Vec::new(),
                authentication_code: code.map(|AuthenticationCode(code)| code),
            }),
            None => return Err(FlowError::NoSerial),
        };
        let identity = identity?;
        Ok(Self { port, profile, application, identity })
    }

    /// EF 0015, which some cards do without.
    fn application(port: &mut dyn CardPort) -> Result<Option<ApplicationData>, FlowError> {
        let answer = port.transmit(&ApplicationData::COMMAND);
        let answer = answer.ok_or(ReadError::NoAnswer)?;
        match ApplicationData::answer(&answer) {
            Ok(application) => Ok(Some(application)),
            Err(ReadError::Refused(Refusal {
                reason: Reason::NoRecord | Reason::Unknown, ..
            })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn code(port: &mut dyn CardPort) -> Result<AuthenticationCode, FlowError> {
        let answer = port.transmit(&AuthenticationCode::COMMAND);
        let answer = answer.ok_or(ReadError::NoAnswer)?;
        Ok(AuthenticationCode::answer(&answer)?)
    }

    /// The card's serial number, if it has one.
    pub fn serial(&self) -> Option<[u8; 10]> {
        self.application.map(|application| application.serial)
    }

    /// How the card's keys come from master keys.
    pub const fn identity(&self) -> &CardIdentity {
        &self.identity
    }

    /// Cards leave their dates to terminals; some have none.
    pub(crate) fn is_valid(&self, order: &Order) -> Result<(), FlowError> {
        match self.application {
            Some(ApplicationData { start, expiry, .. })
                if expiry != BcdDate::default()
                    && !(start <= order.date && order.date <= expiry) =>
            {
                Err(FlowError::NotValid { start, expiry, date: order.date })
            }
            _ => Ok(()),
        }
    }

    fn read(&mut self, command: &[u8]) -> Result<Vec<u8>, FlowError> {
        Ok(self.port.transmit(command).ok_or(ReadError::NoAnswer)?)
    }

    /// What the card means by a balance.
    pub fn coding(&self) -> BalanceCoding {
        self.profile.coding()
    }

    /// What can be drawn, by one GET BALANCE.
    pub fn balance(&mut self) -> Result<Fen, FlowError> {
        self.part(Part::Drawable)
    }

    /// What the purse holds: as many GET BALANCE as the scheme's cards want.
    pub fn holding(&mut self) -> Result<Balance, FlowError> {
        let drawable = self.balance()?;
        if self.coding() != BalanceCoding::Overdraft {
            return Ok(Balance::without_overdraft(drawable));
        }
        let limit = self.part_if_told(Part::Limit)?;
        let own = self.part_if_told(Part::Own)?;
        let overdrawn = match limit {
            Some(_) => None,
            None => self.part_if_told(Part::Overdrawn)?,
        };
        let balance = Balance::with_overdraft(drawable, limit, overdrawn, own);
        Ok(balance.map_err(ReadError::Balance)?)
    }

    /// Whether the card holds what it must after a transaction. Codes prove what it was told to
    /// move, not that it has reckoned right.
    pub fn holds(&mut self, expected: Fen) -> Held {
        let mut held = Held::NotShown;
        // Whether INITIALIZE counts an overdraft limit in differs between cards.
        let parts: &[Part] = match self.coding() {
            BalanceCoding::Overdraft => &[Part::Drawable, Part::Own],
            _ => &[Part::Drawable],
        };
        for part in parts {
            match self.part(*part) {
                Ok(amount) if amount == expected => return Held::AsExpected,
                Ok(amount) if held == Held::NotShown => held = Held::Other(amount),
                _ => {}
            }
        }
        held
    }

    fn part(&mut self, part: Part) -> Result<Fen, FlowError> {
        let answer = self.read(&part.command(Account::Purse))?;
        let sent = read::balance(&answer)?;
        Ok(self.coding().money(sent).map_err(ReadError::Balance)?)
    }

    /// A part of the balance that not every card of the scheme tells.
    fn part_if_told(&mut self, part: Part) -> Result<Option<Fen>, FlowError> {
        match self.part(part) {
            Ok(amount) => Ok(Some(amount)),
            Err(FlowError::Read(ReadError::Refused(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The log, newest record first.
    pub fn log(&mut self) -> Result<Vec<LogRecord>, FlowError> {
        self.logged(LogReading::LOG)
    }

    /// The loads that some cards log in a file of their own; none where it cannot be read, or is
    /// for something else.
    pub fn loads(&mut self) -> Result<Vec<LogRecord>, FlowError> {
        match self.logged(LogReading::LOADS) {
            Ok(records) => Ok(records),
            Err(FlowError::Read(ReadError::Refused(_) | ReadError::Malformed(_))) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn logged(&mut self, sfi: u8) -> Result<Vec<LogRecord>, FlowError> {
        let mut records = Vec::new();
        let mut reading = Some(LogReading::of(sfi));
        while let Some(next) = reading {
            let answer = self.read(&next.command())?;
            let Some((record, rest)) = next.answer(&answer)? else { break };
            records.push(record);
            reading = rest;
        }
        Ok(records)
    }

    /// The record of this identifier in the file `sfi`, identifier included.
    pub fn record(&mut self, sfi: u8, identifier: u8) -> Result<Vec<u8>, FlowError> {
        let answer = self.read(&[0x00, INS_READ_RECORD, identifier, sfi << 3, 0x00])?;
        let record = read::answer(&answer)?;
        Ok(record.to_vec())
    }

    /// VERIFY, once.
    pub fn verify(&mut self, pin: &Pin) -> Result<(), FlowError> {
        let verify = Verify::new(0, pin);
        let answer = self.port.transmit(verify.command());
        match verify.answer(answer.as_deref()) {
            PinAnswer::Right => Ok(()),
            answer => Err(FlowError::Pin(answer)),
        }
    }

    /// PIN CHANGE, once.
    pub fn change_pin(&mut self, old: &Pin, new: &Pin) -> Result<(), FlowError> {
        let change = Change::new(0, old, new);
        let answer = self.port.transmit(change.command());
        match change.answer(answer.as_deref()) {
            PinAnswer::Right => Ok(()),
            answer => Err(FlowError::Pin(answer)),
        }
    }

    /// GET TRANSACTION PROVE of whatever transaction has this number.
    pub fn prove(&mut self, kind: TransactionType, sequence: [u8; 2]) -> Result<Proof, FlowError> {
        let answer = self.read(&prove_command(kind, sequence))?;
        let (data, sw) = split(&answer).map_err(ReadError::Malformed)?;
        if sw != StatusWord::OK {
            return Err(ReadError::Refused(Refusal::new(Step::Prove, sw)).into());
        }
        Ok(Proof::parse(data).map_err(ReadError::Malformed)?)
    }

    /// A purchase, up to its DEBIT.
    pub fn purchase(&mut self, order: &Order, psam: &mut dyn Psam) -> Result<Debiting, FlowError> {
        self.is_valid(order)?;
        let terminal = psam.terminal().map_err(PurchaseError::Sam)?;
        let purchase = self.profile.purchase(order.key_index, order.amount, terminal)?;
        let answer = self.answer(&purchase.command())?;
        let initialized = purchase.initialized(&answer)?;
        Ok(initialized.authorise(order.date, order.time, &self.identity, psam)?)
    }

    /// A compound purchase with these records, up to its DEBIT.
    pub fn compound(
        &mut self,
        order: &Order,
        first: Update,
        more: Vec<Update>,
        psam: &mut dyn Psam,
    ) -> Result<Debiting, FlowError> {
        self.is_valid(order)?;
        let terminal = psam.terminal().map_err(PurchaseError::Sam)?;
        let purchase = self.profile.compound(order.key_index, order.amount, terminal)?;
        let answer = self.answer(&purchase.command())?;
        let updating = purchase.initialized(&answer)?.update(first);
        let answer = self.answer(&updating.command())?;
        let mut updated = updating.updated(&answer)?;
        for update in more {
            let updating = updated.update(update);
            let answer = self.answer(&updating.command())?;
            updated = updating.updated(&answer)?;
        }
        Ok(updated.authorise(order.date, order.time, &self.identity, psam)?)
    }

    fn answer(&mut self, command: &[u8]) -> Result<Vec<u8>, PurchaseError> {
        self.port.transmit(command).ok_or(PurchaseError::NoAnswer)
    }

    /// DEBIT. Its intent has been made durable.
    pub fn debit(&mut self, debiting: Debiting, psam: &mut dyn Psam) -> Debit {
        let answer = self.port.transmit(&debiting.command());
        debiting.finish(answer.as_deref(), psam)
    }
}

/// The debug form of a purse is its card, not its port.
impl fmt::Debug for Purse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purse").field("application", &self.application).finish_non_exhaustive()
    }
}

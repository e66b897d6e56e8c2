// SPDX-License-Identifier: Apache-2.0
//! Transit: a compound purchase of nothing writes the entry, one of the fare writes the exit.
//!
//! Money and record change together, so that a lost answer leaves either a passage or none, and
//! PROVE tells which.

use super::fare::{FareTable, Station};
use super::{FlowError, Order, Purse};
use crate::compound::Update;
use crate::psam::Psam;
use crate::purchase::{Debiting, PurchaseError};
use alloc::vec::Vec;
use cam_types::{BcdDate, BcdTime, DecodeError, Fen, Reader, TerminalId};
use core::fmt;

/// A gate, and where on the card it writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gate<'a> {
    /// Where it stands.
    pub station: Station,
    /// What journeys cost.
    pub fares: &'a FareTable,
    /// The file of the transit record.
    pub sfi: u8,
    /// The transit record's identifier.
    pub identifier: u8,
}

/// What the card keeps of a journey: `docs/spec/terminal.md`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TransitRecord {
    /// Whether the journey has ended.
    pub state: State,
    /// Where it began.
    pub entry: Station,
    /// The terminal at which the record was written.
    pub terminal: TerminalId,
    /// When.
    pub date: BcdDate,
    /// When.
    pub time: BcdTime,
    /// Where it ended; zero before.
    pub exit: Station,
    /// What it cost; zero before.
    pub fare: Fen,
}

/// Where the traveller is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum State {
    /// Outside: the journey of the record has ended.
    Outside = 0,
    /// Inside: the journey has begun.
    Inside = 1,
}

/// A passage up to its DEBIT.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub struct Passage {
    /// The record that the DEBIT writes.
    pub record: TransitRecord,
    /// What the gate debits, up to its DEBIT.
    pub debiting: Debiting,
}

/// Why a gate stays shut. No money has moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PassageError {
    /// The card came in and has not gone out.
    Inside {
        /// Where it came in.
        entry: Station,
        /// When.
        date: BcdDate,
        /// When.
        time: BcdTime,
    },
    /// The card wants out and has not come in.
    Outside,
    /// The purse does not cover the fare.
    Fare {
        /// What it holds.
        balance: Fen,
        /// What the way costs, or at entry the least that any way costs.
        fare: Fen,
    },
    /// The fare table does not say what this way costs.
    NoFare {
        /// Where the card came in.
        entry: Station,
        /// Where it wants out.
        exit: Station,
    },
    /// The card's record is not one of this kind.
    Record(DecodeError),
}

impl fmt::Display for PassageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inside { entry, date, time } => {
                write!(f, "card is inside since {entry}, {date} {time}: exit first")
            }
            Self::Outside => f.write_str("card has not come in: exit without entry"),
            Self::Fare { balance, fare } => {
                write!(f, "balance {balance} does not cover the fare of {fare}")
            }
            Self::NoFare { entry, exit } => {
                write!(f, "the fare table has no fare from {entry} to {exit}")
            }
            Self::Record(error) => write!(f, "the card's transit record: {error}"),
        }
    }
}

impl core::error::Error for PassageError {}

impl Gate<'_> {
    /// Lets a card in, up to its DEBIT of nothing.
    pub fn entry(
        &self,
        purse: &mut Purse<'_>,
        order: &Order,
        psam: &mut dyn Psam,
    ) -> Result<Passage, FlowError> {
        let (last, octets) = self.read(purse)?;
        if let Some(TransitRecord { state: State::Inside, entry, date, time, .. }) = last {
            return Err(PassageError::Inside { entry, date, time }.into());
        }
        let (balance, fare) = (purse.balance()?, self.fares.least());
        if balance < fare {
            return Err(PassageError::Fare { balance, fare }.into());
        }
        let record = TransitRecord {
            state: State::Inside,
            entry: self.station,
            terminal: psam.terminal().map_err(PurchaseError::Sam)?,
            date: order.date,
            time: order.time,
            exit: Station(0),
            fare: Fen::ZERO,
        };
        self.pass(purse, &Order { amount: Fen::ZERO, ..*order }, record, octets, psam)
    }

    /// Lets a card out, up to its DEBIT of the fare.
    pub fn exit(
        &self,
        purse: &mut Purse<'_>,
        order: &Order,
        psam: &mut dyn Psam,
    ) -> Result<Passage, FlowError> {
        let (last, octets) = self.read(purse)?;
        let Some(last @ TransitRecord { state: State::Inside, entry, .. }) = last else {
            return Err(PassageError::Outside.into());
        };
        let exit = self.station;
        let fare = self.fares.fare(entry, exit).ok_or(PassageError::NoFare { entry, exit })?;
        let record = TransitRecord {
            state: State::Outside,
            terminal: psam.terminal().map_err(PurchaseError::Sam)?,
            date: order.date,
            time: order.time,
            exit,
            fare,
            ..last
        };
        self.pass(purse, &Order { amount: fare, ..*order }, record, octets, psam)
    }

    /// The last journey, and the record as it is on the card.
    fn read(&self, purse: &mut Purse<'_>) -> Result<(Option<TransitRecord>, Vec<u8>), FlowError> {
        let octets = purse.record(self.sfi, self.identifier)?;
        let last = TransitRecord::parse(self.identifier, &octets).map_err(PassageError::Record)?;
        Ok((last, octets))
    }

    fn pass(
        &self,
        purse: &mut Purse<'_>,
        order: &Order,
        record: TransitRecord,
        mut octets: Vec<u8>,
        psam: &mut dyn Psam,
    ) -> Result<Passage, FlowError> {
        record.overwrite(&mut octets);
        let update = Update::by_identifier(self.sfi, &octets)?;
        let debiting =
            purse.compound(order, update, Vec::new(), psam).map_err(|error| match error {
                FlowError::Purchase(PurchaseError::InsufficientBalance { balance, price }) => {
                    FlowError::Passage(PassageError::Fare { balance, fare: price })
                }
                error => error,
            })?;
        Ok(Passage { record, debiting })
    }
}

impl TransitRecord {
    /// Octets of the value that mean something; a card's record may be longer.
    pub const LEN: usize = 23;
    const VERSION: u8 = 1;

    /// Reads a record, identifier and length first; `None` of one that no gate has written yet.
    pub fn parse(identifier: u8, octets: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut r = Reader::new(octets);
        let got = r.u8("identifier")?;
        if got != identifier {
            return Err(DecodeError::Invalid { field: "identifier", got: got.into() });
        }
        let length = usize::from(r.u8("length")?);
        let value = r.bytes(length, "value")?;
        r.finish("transit record")?;
        if value.len() >= Self::LEN && value.iter().all(|octet| *octet == 0) {
            return Ok(None);
        }
        let mut r = Reader::new(value);
        let version = r.u8("version")?;
        if version != Self::VERSION {
            return Err(DecodeError::Invalid { field: "version", got: version.into() });
        }
        let state = match r.u8("state")? {
            0 => State::Outside,
            1 => State::Inside,
            other => return Err(DecodeError::Invalid { field: "state", got: other.into() }),
        };
        Ok(Some(Self {
            state,
            entry: Station(r.u16("entry station")?),
            terminal: TerminalId::new(*r.array("terminal")?),
            date: BcdDate(*r.array("date")?),
            time: BcdTime(*r.array("time")?),
            exit: Station(r.u16("exit station")?),
            fare: Fen::from_be_bytes(*r.array("fare")?),
        }))
    }

    /// Appends the value.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([Self::VERSION, self.state as u8]);
        out.extend(self.entry.0.to_be_bytes());
        out.extend(self.terminal.octets());
        out.extend(self.date.0);
        out.extend(self.time.0);
        out.extend(self.exit.0.to_be_bytes());
        out.extend(self.fare.to_be_bytes());
    }

    /// Into a record of the same length as it is on the card; what lies behind is left alone.
    fn overwrite(&self, octets: &mut [u8]) {
        let mut value = Vec::with_capacity(Self::LEN);
        self.emit(&mut value);
        octets.iter_mut().skip(2).zip(value).for_each(|(to, from)| *to = from);
    }
}

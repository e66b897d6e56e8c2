// SPDX-License-Identifier: Apache-2.0
//! The ECMs of a service: one for each crypto period, with its control word and the next one.
//!
//! An ECM says what is on air in its own crypto period. As it carries the next control word too,
//! the first crypto period of an event is open to whoever could watch the last one of the event
//! before: the price of having the key in time.

use super::{EcmInput, by_parity, compose};
use crate::cw_source::{CwSource, RandomError};
use crate::files::FileError;
use crate::files::operator::Operator;
use crate::files::schedule::{Event, NextFloor, Schedule, Service};
use crate::period::Periods;
use crate::scrambler::Algorithm;
use cam_types::{CasTime, ChannelId, ControlWord, Epoch, EventId, OperatorId, PackageId, Slot};
use ecm_emm::EncodeError;
use ecm_emm::ecm::{Cci, ControlWords, Criteria, EcmBody, Ppv, Rating, Regions};
use ecm_emm::suite::{SealKey, Suite};
use std::fmt;

/// Makes the ECMs of one service.
pub struct EcmMaker<'a> {
    schedule: &'a Schedule,
    service: &'a Service,
    operator: &'a Operator,
    periods: &'a Periods,
    /// One for each crypto period and one for the time after the last.
    cws: Vec<ControlWord>,
}

impl<'a> EcmMaker<'a> {
    /// Draws the control words of all crypto periods. It is reduced here or not at all: what is
    /// sealed and what scrambles are one.
    pub fn new(
        schedule: &'a Schedule,
        service: &'a Service,
        operator: &'a Operator,
        periods: &'a Periods,
    ) -> Result<Self, EcmError> {
        let source = match &schedule.seed {
            Some(seed) => CwSource::Seed(seed.0.clone()),
            None => CwSource::System,
        };
        let algorithm = service.scrambling;
        let cws = (0..=periods.count())
            .map(|period| source.draw(service.service, periods.number(period), algorithm))
            .map(|cw| Ok(service.entropy().of(&cw?)))
            .collect::<Result<_, RandomError>>()?;
        Ok(Self { schedule, service, operator, periods, cws })
    }

    /// The algorithm of the service.
    pub const fn algorithm(&self) -> Algorithm {
        self.service.scrambling
    }

    /// The control word that scrambles a crypto period.
    pub fn cw(&self, period: usize) -> Option<&ControlWord> {
        self.cws.get(period)
    }

    /// The service key's generation in a crypto period.
    pub fn epoch(&self, period: usize) -> u16 {
        let now = self.periods.start_s(period);
        let rotations = self.service.rotation.iter();
        rotations.rev().find(|r| r.from_s <= now).map_or(self.service.epoch, |r| r.epoch)
    }

    /// The event on air in a crypto period.
    pub fn event(&self, period: usize) -> Option<&'a Event> {
        let now = self.periods.start_s(period);
        self.service
            .event
            .iter()
            .find(|event| event.from_s <= now && event.until_s.is_none_or(|until| now < until))
    }

    /// The ECM of a crypto period.
    pub fn ecm(&self, period: usize) -> Result<Vec<u8>, EcmError> {
        let cw = |period| self.cw(period).ok_or(EcmError::NoPeriod);
        let (current, next) = (cw(period)?, cw(period + 1)?);
        let cw = by_parity(self.algorithm(), self.periods.number(period), current, next);
        let criteria = self.criteria(period, self.event(period));
        self.encoded(compose(&self.input(period, cw, criteria)?))
    }

    /// The offer to buy an event ahead, fresh at the start of a crypto period.
    pub fn offer(&self, period: usize, event: &Event) -> Result<Vec<u8>, EcmError> {
        let criteria = Criteria { ppv: Some(self.ppv(event)), ..Criteria::default() };
        self.encoded(compose(&self.input(period, ControlWords::None, criteria)?))
    }

    fn input(
        &self,
        period: usize,
        cw: ControlWords,
        criteria: Criteria,
    ) -> Result<EcmInput, EcmError> {
        let service = self.service;
        Ok(EcmInput {
            operator: OperatorId::new(self.operator.operator),
            slot: Slot::new(service.slot),
            epoch: Epoch::new(self.epoch(period)),
            key: self.key(period)?,
            cp_number: self.periods.number(period),
            body: EcmBody {
                channel: ChannelId::new(service.channel),
                time: self.moment(self.periods.start_s(period)),
                cci: Cci(service.cci),
                rating: Rating(service.rating),
                regions: Regions(service.region),
                emm_floor: self.emm_floor(period),
                cw,
                criteria,
            },
        })
    }

    fn encoded(&self, made: Result<Vec<u8>, EncodeError>) -> Result<Vec<u8>, EcmError> {
        made.map_err(|error| EcmError::Encode(self.service.name.clone(), error))
    }

    fn moment(&self, seconds: u32) -> CasTime {
        self.schedule.start.0.saturating_add(seconds)
    }

    fn criteria(&self, period: usize, event: Option<&Event>) -> Criteria {
        let now = self.periods.start_s(period);
        let next = self.service.rotation.iter().find(|rotation| now < rotation.from_s);
        Criteria {
            packages: self.service.packages.iter().copied().map(PackageId::new).collect(),
            ppv: event.map(|event| self.ppv(event)),
            free: self.service.free,
            next_epoch: next.map(|r| (Epoch::new(r.epoch), self.moment(r.from_s))),
            floor_ahead: self.floor_ahead(period).map(|floor| (floor.level, floor.from.0)),
            ..Criteria::default()
        }
    }

    /// The floor that comes after a crypto period.
    fn floor_ahead(&self, period: usize) -> Option<&'a NextFloor> {
        let now = self.moment(self.periods.start_s(period));
        self.service.next_floor.as_ref().filter(|floor| now < floor.from.0)
    }

    fn emm_floor(&self, period: usize) -> u16 {
        match &self.service.next_floor {
            Some(floor) if self.floor_ahead(period).is_none() => floor.level,
            _ => self.service.emm_floor,
        }
    }

    fn ppv(&self, event: &Event) -> Ppv {
        Ppv {
            event: EventId::new(event.id),
            price: event.price,
            tier: event.tier,
            start: self.moment(event.from_s),
            end: self.moment(event.until_s.unwrap_or_else(|| self.periods.end_s())),
            preview_s: event.preview_s,
        }
    }

    /// The service key in use in a crypto period.
    fn key(&self, period: usize) -> Result<SealKey, EcmError> {
        let (slot, epoch) = (self.service.slot, self.epoch(period));
        let Some(key) = self.operator.service_key(slot, epoch) else {
            let table = format!("[[service]] \"{}\"", self.service.name);
            let what =
                format!("no [[service_key]] of slot {slot}, epoch {epoch} in the operator file");
            return Err(EcmError::File(self.schedule.error(&table, "epoch", what)));
        };
        Ok(self.operator.seal_key("[[service_key]]", key.suite, &key.key)?)
    }

    /// The suite of the service's ECMs, for its CA_descriptor.
    pub fn suite(&self) -> Result<Suite, EcmError> {
        let suite = self.key(0)?.suite();
        for period in 1..self.periods.count() {
            if self.key(period)?.suite() != suite {
                let table = format!("[[service]] \"{}\"", self.service.name);
                let what = "a rotation to another suite needs another ECM PID";
                return Err(EcmError::File(self.schedule.error(&table, "rotation", what)));
            }
        }
        Ok(suite)
    }
}

/// Why an ECM was not made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EcmError {
    /// The schedule and the operator file do not agree.
    File(FileError),
    /// The ECM of this service does not fit its packet.
    Encode(String, EncodeError),
    /// No random numbers.
    Random(RandomError),
    /// There is no such crypto period.
    NoPeriod,
}

impl From<FileError> for EcmError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<RandomError> for EcmError {
    fn from(error: RandomError) -> Self {
        Self::Random(error)
    }
}

impl fmt::Display for EcmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Encode(service, error) => write!(f, "ECM of service \"{service}\": {error}"),
            Self::Random(error) => error.fmt(f),
            Self::NoPeriod => f.write_str("the stream has no such crypto period"),
        }
    }
}

impl std::error::Error for EcmError {}

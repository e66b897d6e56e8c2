// SPDX-License-Identifier: Apache-2.0
//! The ECMs of a service: one for each crypto period, with its control word and the next one.
//!
//! Normative references:
//!  - ETSI ETR 289 (table_id 80 and 81 change with the message)
//!  - `docs/spec/ecm.md`
//!
//! An ECM says what is on air in its own crypto period. As it carries the next control word too,
//! the first crypto period of an event is open to whoever could watch the last one of the event
//! before: the price of having the key in time.

use crate::control_word::{ControlWords as Source, RandomError, random};
use crate::fault::{Fault, Faults};
use crate::files::FileError;
use crate::files::operator::Operator;
use crate::files::schedule::{Event, Schedule, Service};
use crate::period::Periods;
use crate::scrambler::Algorithm;
use cam_types::{
    CasTime, ChannelId, ControlWord, Epoch, EventId, Fen, OperatorId, PackageId, Parity, Secret,
    Slot,
};
use ecm_emm::EncodeError;
use ecm_emm::ecm::{
    Cci, ControlWords, Criteria, EcmBody, EcmHeader, EcmKind, Ppv, Rating, Regions,
};
use ecm_emm::suite::{SealKey, Suite};
use std::fmt;
use zeroize::Zeroizing;

/// Makes the ECMs of one service.
pub struct EcmMaker<'a> {
    schedule: &'a Schedule,
    service: &'a Service,
    operator: &'a Operator,
    periods: &'a Periods,
    /// What ECMs say: one for each crypto period and one for the time after the last.
    announced: Vec<ControlWord>,
    /// What the scrambler uses.
    used: Vec<ControlWord>,
    overpriced: bool,
}

impl<'a> EcmMaker<'a> {
    /// Draws the control words of all crypto periods. A word is reduced here or not at all: what is
    /// sealed and what scrambles are one.
    pub fn new(
        schedule: &'a Schedule,
        service: &'a Service,
        operator: &'a Operator,
        periods: &'a Periods,
        faults: Faults<'_>,
    ) -> Result<Self, EcmError> {
        let source = match &schedule.seed {
            Some(seed) => Source::Seed(seed.0.clone()),
            None => Source::System,
        };
        let algorithm = service.scrambling;
        let used = (0..=periods.count())
            .map(|period| source.draw(service.service, periods.number(period), algorithm))
            .map(|word| Ok(service.entropy().of(&word?)))
            .collect::<Result<Vec<_>, RandomError>>()?;
        let mut announced = used.clone();
        let is = |other: Option<&Service>| other.is_some_and(|o| o.service == service.service);
        let cissa = |s: &&Service| s.scrambling == Algorithm::Cissa;
        if faults.has(Fault::WrongControlWord)
            && is(schedule.service.iter().find(cissa))
            && let Some(word) = announced.get_mut(2)
        {
            *word = Source::System.draw(service.service, 0, algorithm)?;
        }
        let first_event = schedule.service.iter().find(|s| !s.event.is_empty());
        let overpriced = faults.has(Fault::WrongPrice) && is(first_event);
        Ok(Self { schedule, service, operator, periods, announced, used, overpriced })
    }

    /// The algorithm of the service.
    pub const fn algorithm(&self) -> Algorithm {
        self.service.scrambling
    }

    /// The control word that scrambles a crypto period.
    pub fn control_word(&self, period: usize) -> Option<&ControlWord> {
        self.used.get(period)
    }

    /// The ECM of a crypto period carries the word that scrambles crypto period `other`.
    pub fn announces(&self, period: usize, other: usize) -> bool {
        (other == period || other == period + 1)
            && self.announced.get(other) == self.used.get(other)
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
        let words = self.words(period).ok_or(EcmError::NoPeriod)?;
        let criteria = self.criteria(period, self.event(period));
        self.seal(period, self.moment(self.periods.start_s(period)), words, criteria)
    }

    /// The offer to buy an event ahead, fresh at the start of a crypto period.
    pub fn offer(&self, period: usize, event: &Event) -> Result<Vec<u8>, EcmError> {
        let criteria = Criteria { ppv: Some(self.ppv(event)), ..Criteria::default() };
        let time = self.moment(self.periods.start_s(period));
        self.seal(period, time, ControlWords::None, criteria)
    }

    /// What an attacker without the key can make: the ECM of the next crypto period as far as it
    /// is in clear, random octets where the seal should be.
    pub fn forged(&self, period: usize) -> Result<Vec<u8>, EcmError> {
        let mut section = self.ecm(period)?;
        let real = self.header(period, EcmKind::Words64)?.0;
        let forged = EcmHeader { cp_number: real.cp_number.wrapping_add(1), ..real };
        if let Some(table_id) = section.first_mut() {
            *table_id = forged.table_id();
        }
        if let Some(cp_number) = section.get_mut(EcmHeader::LEN - 4..EcmHeader::LEN) {
            cp_number.copy_from_slice(&forged.cp_number.to_be_bytes());
        }
        let sealed = section.get_mut(EcmHeader::LEN..).unwrap_or_default();
        sealed.copy_from_slice(random::<256>()?.get(..sealed.len()).unwrap_or_default());
        Ok(section)
    }

    fn moment(&self, seconds: u32) -> CasTime {
        self.schedule.start.0.saturating_add(seconds)
    }

    fn words(&self, period: usize) -> Option<ControlWords> {
        let (current, next) = (self.announced.get(period)?, self.announced.get(period + 1)?);
        let (even, odd) = match self.periods.parity(period) {
            Parity::Even => (current, next),
            Parity::Odd => (next, current),
        };
        Some(match self.algorithm() {
            Algorithm::Csa2 => ControlWords::Words64 { even: half(even), odd: half(odd) },
            Algorithm::Cissa => ControlWords::Words128 { even: even.clone(), odd: odd.clone() },
        })
    }

    fn criteria(&self, period: usize, event: Option<&Event>) -> Criteria {
        let now = self.periods.start_s(period);
        let next = self.service.rotation.iter().find(|rotation| now < rotation.from_s);
        Criteria {
            packages: self.service.packages.iter().copied().map(PackageId::new).collect(),
            ppv: event.map(|event| self.ppv(event)),
            free: self.service.free,
            next_epoch: next.map(|r| (Epoch::new(r.epoch), self.moment(r.from_s))),
            ..Criteria::default()
        }
    }

    fn ppv(&self, event: &Event) -> Ppv {
        let first = self.service.event.first().is_some_and(|first| first.id == event.id);
        let price = if self.overpriced && first {
            event.price.checked_add(Fen::new(100)).unwrap_or(event.price)
        } else {
            event.price
        };
        Ppv {
            event: EventId::new(event.id),
            price,
            tier: event.tier,
            start: self.moment(event.from_s),
            end: self.moment(event.until_s.unwrap_or_else(|| self.periods.end_s())),
            preview_s: event.preview_s,
        }
    }

    fn header(&self, period: usize, kind: EcmKind) -> Result<(EcmHeader, SealKey), EcmError> {
        let (slot, epoch) = (self.service.slot, self.epoch(period));
        let Some(key) = self.operator.service_key(slot, epoch) else {
            let table = format!("[[service]] \"{}\"", self.service.name);
            let what =
                format!("no [[service_key]] of slot {slot}, epoch {epoch} in the operator file");
            return Err(EcmError::File(self.schedule.error(&table, "epoch", what)));
        };
        let key = self.operator.seal_key("[[service_key]]", key.suite, &key.key)?;
        let header = EcmHeader {
            kind,
            suite: key.suite(),
            operator: OperatorId::new(self.operator.operator),
            slot: Slot::new(slot),
            epoch: Epoch::new(epoch),
            cp_number: self.periods.number(period),
        };
        Ok((header, key))
    }

    fn seal(
        &self,
        period: usize,
        time: CasTime,
        words: ControlWords,
        criteria: Criteria,
    ) -> Result<Vec<u8>, EcmError> {
        let (header, key) = self.header(period, words.kind())?;
        let body = EcmBody {
            channel: ChannelId::new(self.service.channel),
            time,
            cci: Cci(self.service.cci),
            rating: Rating(self.service.rating),
            regions: Regions(self.service.region),
            emm_floor: self.service.emm_floor,
            words,
            criteria,
        };
        let mut section = Vec::new();
        body.seal(&header, &key, &mut section)
            .map_err(|error| EcmError::Encode(self.service.name.clone(), error))?;
        Ok(section)
    }

    /// The suite of the service's ECMs, for its CA_descriptor.
    pub fn suite(&self) -> Result<Suite, EcmError> {
        let suite = self.header(0, EcmKind::Offer)?.0.suite;
        for period in 1..self.periods.count() {
            if self.header(period, EcmKind::Offer)?.0.suite != suite {
                let table = format!("[[service]] \"{}\"", self.service.name);
                let what = "a rotation to another suite needs another ECM PID";
                return Err(EcmError::File(self.schedule.error(&table, "rotation", what)));
            }
        }
        Ok(suite)
    }
}

/// The 64 bits of a control word that CSA2 uses.
fn half(word: &ControlWord) -> Secret<8> {
    let mut octets = Zeroizing::new([0; 8]);
    octets.copy_from_slice(&word.expose()[..8]);
    Secret::new(*octets)
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

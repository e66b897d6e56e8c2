// SPDX-License-Identifier: Apache-2.0
//! The carousel of a schedule: its entries numbered, their sections made.

use crate::attack;
use crate::carousel::{Item, Lane};
use crate::due::Due;
use crate::ecm::{EcmError, EcmMaker};
use crate::emm::{EmmError, Senders};
use crate::files::schedule::{Entry, Schedule};
use crate::message::Message;
use crate::message::kind::Occasion;
use crate::period::Periods;
use crate::timebase::TICKS_PER_MS;
use std::fmt;
use std::path::Path;

/// What the entries of a carousel are made with.
#[derive(Clone, Copy)]
pub struct Works<'a> {
    /// Whose keys its messages are sealed under.
    pub senders: Senders<'a>,
    /// Makes the ECMs that an attacker records: one for each service, in the schedule's order.
    pub ecms: &'a [&'a EcmMaker<'a>],
    /// The crypto periods.
    pub periods: &'a Periods,
    /// Start, folder and services.
    pub schedule: &'a Schedule,
}

impl Works<'_> {
    /// These entries, numbered from `next` on, and the number behind the last.
    pub fn carousel(
        &self,
        entries: &[Entry],
        mut next: u32,
    ) -> Result<(Vec<Item>, u32), CarouselError> {
        let mut items: Vec<Item> = Vec::new();
        for entry in entries {
            let sequence = entry.message.takes_number().then_some(next);
            if sequence.is_some() {
                next = next.checked_add(1).ok_or(CarouselError::Exhausted)?;
            }
            let made = self.section(entry, sequence.unwrap_or(0), &items);
            let (section, lane) =
                made.map_err(|what| CarouselError::Entry(entry.name.clone(), Box::new(what)))?;
            let ms = |ms: u32| i64::from(ms) * TICKS_PER_MS;
            items.push(Item {
                name: entry.name.clone(),
                kind: entry.message.kind(),
                sequence,
                section,
                lane,
                due: Due::new(ms(entry.from_ms), entry.period_ms.map(ms), entry.until_ms.map(ms)),
                packets: Vec::new(),
            });
        }
        Ok((items, next))
    }

    fn section(
        &self,
        entry: &Entry,
        sequence: u32,
        earlier: &[Item],
    ) -> Result<(Vec<u8>, Lane), EntryError> {
        let schedule = self.schedule;
        match &entry.message {
            Message::Replay(replay) => {
                attack::replay(&replay.of, earlier).ok_or(EntryError::Emm(EmmError::Attack))
            }
            Message::ForgeEmm(forged) => {
                Ok((attack::forged_emm(&self.senders.card(forged.card)?, sequence)?, Lane::Emm))
            }
            Message::ForgeEcm(forged) => {
                let place = schedule.service.iter().position(|s| s.service == forged.service);
                let service = place.and_then(|place| Some((place, self.ecms.get(place)?)));
                let (place, maker) = service.ok_or(EntryError::Emm(EmmError::Attack))?;
                let period = self.periods.during(entry.from_ms / 1000);
                let forged = attack::forged_ecm(maker.ecm(period)?);
                Ok((forged.map_err(EcmError::Random)?, Lane::Ecm(place)))
            }
            message => {
                let time = schedule.start.0.saturating_add(entry.from_ms / 1000);
                let folder = schedule.path.parent().unwrap_or(Path::new(""));
                let occasion = Occasion { sequence, time, folder };
                Ok((message.section(self.senders, occasion)?, Lane::Emm))
            }
        }
    }
}

/// Why a carousel was not made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CarouselError {
    /// The entry with this name.
    Entry(String, Box<EntryError>),
    /// 2^32 messages were numbered.
    Exhausted,
}

/// Why an entry was not made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EntryError {
    /// Its EMM.
    Emm(EmmError),
    /// An attacker's ECM needs an ECM.
    Ecm(EcmError),
}

impl From<EmmError> for EntryError {
    fn from(error: EmmError) -> Self {
        Self::Emm(error)
    }
}

impl From<EcmError> for EntryError {
    fn from(error: EcmError) -> Self {
        Self::Ecm(error)
    }
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emm(error) => error.fmt(f),
            Self::Ecm(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EntryError {}

impl fmt::Display for CarouselError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(name, what) => write!(f, "table [[emm]] \"{name}\": {what}"),
            Self::Exhausted => f.write_str("all EMM numbers are used up"),
        }
    }
}

impl std::error::Error for CarouselError {}

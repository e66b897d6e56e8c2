// SPDX-License-Identifier: Apache-2.0
//! Whether the broadcast can be opened all the time: by a box that was there before, and by one
//! that is switched on at any moment.
//!
//! What a source has too few null packets for does not go on air. A little late is told; what would
//! leave boxes in the dark is refused.

use crate::files::schedule::Schedule;
use crate::report::Report;
use crate::stream::Packetizer;
use cam_types::transport::PACKET;
use std::fmt;

/// A box that is switched on has its first ECM within this time, or within two of its periods.
const LONGEST_SILENCE_MS: i64 = 1000;
/// A box that is switched on knows within this time where EMMs are.
const LONGEST_WITHOUT_CAT_MS: i64 = 2000;
/// A card on a slow line has answered within this time.
const LEAST_LEAD_MS: i64 = 1000;

/// What is not on air when it has to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Gap {
    /// ECMs of a service.
    Ecm {
        /// Its number.
        service: u16,
        /// From here.
        from_ms: i64,
        /// To here.
        to_ms: i64,
    },
    /// The CAT.
    Cat {
        /// From here.
        from_ms: i64,
        /// To here.
        to_ms: i64,
    },
    /// The next control word.
    Lead {
        /// Of this service.
        service: u16,
        /// The start of its crypto period.
        at_ms: i64,
        /// How long before it was on air, if ever.
        lead_ms: Option<i64>,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |ms: &i64| *ms as f64 / 1000.0;
        match self {
            Self::Ecm { service, from_ms, to_ms } => write!(
                f,
                "service {service}: no ECM on air from {:.3} to {:.3} s",
                s(from_ms),
                s(to_ms)
            ),
            Self::Cat { from_ms, to_ms } => {
                write!(f, "no CAT on air from {:.3} to {:.3} s", s(from_ms), s(to_ms))
            }
            Self::Lead { service, at_ms, lead_ms: None } => write!(
                f,
                "service {service}: no ECM has the control word of the crypto period at {:.3} s",
                s(at_ms)
            ),
            Self::Lead { service, at_ms, lead_ms: Some(lead) } => write!(
                f,
                "service {service}: the control word of the crypto period at {:.3} s is on air \
                 {lead} ms before it, {LEAST_LEAD_MS} ms are needed",
                s(at_ms)
            ),
        }
    }
}

/// A broadcast that leaves boxes in the dark.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dark {
    /// What is missing first.
    pub gap: Gap,
    /// A rate at which it would not be.
    pub bit_rate: u64,
}

impl fmt::Display for Dark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gap, bit_rate } = self;
        write!(f, "{gap}: too few null packets there. --bit-rate {bit_rate} makes room")
    }
}

impl std::error::Error for Dark {}

/// Refuses a broadcast that leaves boxes in the dark.
pub fn check(report: &Report, schedule: &Schedule) -> Result<(), Dark> {
    let found = gap(report, schedule);
    found.map_or(Ok(()), |gap| Err(Dark { gap, bit_rate: enough(report, schedule) }))
}

fn gap(report: &Report, schedule: &Schedule) -> Option<Gap> {
    let first = report.services.first()?;
    let from = first.crypto_periods.first()?.from_ms;
    let to = first.crypto_periods.last()?.to_ms;
    for service in &report.services {
        let number = service.service;
        let limit = LONGEST_SILENCE_MS.max(2 * i64::from(schedule.ecm_period_ms));
        if let Some((from_ms, to_ms)) = silence(&service.ecm.at_ms, from, to, limit) {
            return Some(Gap::Ecm { service: number, from_ms, to_ms });
        }
        for period in service.crypto_periods.iter().skip(1) {
            if period.next_lead_ms.is_none_or(|lead| lead < LEAST_LEAD_MS) {
                let (at_ms, lead_ms) = (period.from_ms, period.next_lead_ms);
                return Some(Gap::Lead { service: number, at_ms, lead_ms });
            }
        }
    }
    let (from_ms, to_ms) = silence(&report.cat.at_ms, from, to, LONGEST_WITHOUT_CAT_MS)?;
    Some(Gap::Cat { from_ms, to_ms })
}

/// The first time between two neighbours, or one of them and an end, that is too long; all of it
/// where there is nothing.
fn silence(at: &[i64], from: i64, to: i64, limit: i64) -> Option<(i64, i64)> {
    if at.is_empty() {
        return Some((from, to));
    }
    let starts = std::iter::once(&from).chain(at);
    let ends = at.iter().chain(std::iter::once(&to));
    starts.zip(ends).map(|(a, b)| (*a, *b)).find(|(a, b)| b - a > limit)
}

/// A rate with room for what the schedule wants and the PMTs' descriptors, and a quarter more.
fn enough(report: &Report, schedule: &Schedule) -> u64 {
    let services = schedule.service.len() as u64;
    let ecms = services * 1000 / u64::from(schedule.ecm_period_ms.max(1));
    let cats = 2 * 1000 / u64::from(schedule.cat_period_ms.max(1));
    let emms: u64 = schedule
        .emm
        .iter()
        .zip(&report.emms)
        .filter_map(|(entry, emm)| {
            let packets = Packetizer::packets(emm.octets) as u64;
            Some(packets * 1000 / u64::from(entry.period_ms?.max(1)) + 1)
        })
        .sum();
    let packets = (ecms + cats + emms + 10 * services) * 5 / 4;
    let bits = report.bits_per_second + packets * PACKET as u64 * 8;
    bits.div_ceil(1000) * 1000
}

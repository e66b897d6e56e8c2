// SPDX-License-Identifier: Apache-2.0
//! What a fault does to an ECM stream. It stands in the stream, as what takes the place of a
//! missing ECM on air is for the multiplex to say.

use crate::fault::{Fault, Faults};
use crate::files::schedule::{Schedule, Service};
use crate::period::Periods;
use crate::timebase::TICKS_PER_SECOND;

/// What is done, and in which crypto period.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Disturbance {
    /// None: its ECMs are on air as they should be.
    #[default]
    None,
    /// No ECM at all.
    Silent(usize),
    /// The ECM of the crypto period before, until half a second before the end.
    Late(usize),
}

impl Disturbance {
    /// What these faults do to the ECMs of a service.
    pub fn of(schedule: &Schedule, service: &Service, faults: Faults<'_>) -> Self {
        let is = |other: Option<&Service>| other.is_some_and(|o| o.service == service.service);
        let last_by_view = schedule.service.iter().rfind(|s| !s.event.is_empty());
        if faults.has(Fault::LostEcm) && is(last_by_view) {
            return Self::Silent(4);
        }
        if faults.has(Fault::LateNext) && is(schedule.service.first()) {
            return Self::Late(4);
        }
        Self::None
    }

    /// The crypto period whose ECM is on air `now`, in `period`.
    pub fn on_air(self, period: usize, now: i64, periods: &Periods) -> Option<usize> {
        match self {
            Self::Silent(silent) if silent == period => None,
            Self::Late(late) if late == period => {
                let end = i64::from(periods.start_s(period + 1)) * TICKS_PER_SECOND;
                let early = now < end - TICKS_PER_SECOND / 2;
                Some(if early { period.saturating_sub(1) } else { period })
            }
            _ => Some(period),
        }
    }
}

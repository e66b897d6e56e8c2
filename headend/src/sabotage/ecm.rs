// SPDX-License-Identifier: Apache-2.0
//! What a fault does to an ECM stream: which crypto period's ECM is on air. What takes the place of
//! a missing one is for the multiplex to say.

use crate::fault::{Fault, Faults};
use crate::files::schedule::{Schedule, Service};
use crate::multiplex::Moment;
use crate::timebase::TICKS_PER_SECOND;

/// The crypto period, counted from 0, that a disturbance is in.
const FIFTH: usize = 4;

/// The services, by number, whose ECMs are not on air as they should be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Disturbance {
    /// It has no ECM at all.
    silent: Option<u16>,
    /// It has the ECM of the crypto period before, until half a second before the end.
    late: Option<u16>,
}

impl Disturbance {
    /// What these faults do to the ECMs of a schedule.
    pub(super) fn of(schedule: &Schedule, faults: Faults<'_>) -> Self {
        let number = |service: &Service| service.service;
        let last_by_view = schedule.service.iter().rfind(|s| !s.event.is_empty()).map(number);
        let first = schedule.service.first().map(number);
        Self {
            silent: last_by_view.filter(|_| faults.has(Fault::LostEcm)),
            late: first.filter(|_| faults.has(Fault::LateNext)),
        }
    }

    /// The crypto period whose ECM is on air.
    pub(super) fn on_air(self, moment: Moment<'_>) -> Option<usize> {
        let Moment { service, period, now, periods } = moment;
        let service = Some(service.service);
        if period != FIFTH {
            return Some(period);
        }
        if service == self.silent {
            return None;
        }
        if service == self.late {
            let end = i64::from(periods.start_s(period + 1)) * TICKS_PER_SECOND;
            let early = now < end - TICKS_PER_SECOND / 2;
            return Some(if early { period.saturating_sub(1) } else { period });
        }
        Some(period)
    }
}

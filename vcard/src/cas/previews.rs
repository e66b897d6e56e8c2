// SPDX-License-Identifier: Apache-2.0
//! Previews: what may be watched of an event before it is bought.
//!
//! They are counted in ECM time alone: the ECM that begins one opens the ECMs of the seconds behind
//! it, and no others, wherever the card's clock stands. So neither a reset nor a recording gives
//! more, and the clock of another multiplex takes nothing away.

use super::overrun::horizon;
use crate::decide::decide;
use crate::persist::{Table, persist};
use cam_types::{CasTime, EventId};
use ecm_emm::ecm::Ppv;

/// A preview that has begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Begun {
    event: EventId,
    /// The time of the ECM that began it.
    from: CasTime,
    /// Until then the event may come again.
    until: CasTime,
}

persist!(Begun { event: EventId, from: CasTime, until: CasTime });

/// How much of an event's preview an ECM opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Preview {
    /// Seconds from this ECM on; 0: it does not open.
    pub left: u8,
    /// This ECM would begin it.
    pub begins: bool,
    /// It was begun before.
    pub used: bool,
}

impl Preview {
    /// There is none.
    pub(super) const NONE: Self = Self { left: 0, begins: false, used: false };
}

/// The previews that have begun, one of an event.
#[derive(Clone)]
pub struct Previews {
    rows: Table<Option<Begun>, { Self::ROWS }>,
}

persist!(Previews { rows: Table<Option<Begun>, { Previews::ROWS }> });

impl Previews {
    const ROWS: usize = 32;
    /// Seconds that a preview is remembered of an event that lasts longer.
    const KEPT: u32 = 7 * 86_400;

    /// No preview has begun.
    pub fn empty() -> Self {
        Self { rows: Table::filled(|| None) }
    }

    /// What the ECM of `time` opens; `at` is the later of it and the card's clock.
    pub(super) fn of(&self, ppv: &Ppv, time: CasTime, at: CasTime) -> Preview {
        if ppv.preview_s == 0 {
            return Preview::NONE;
        }
        if let Some(begun) = self.rows.iter().flatten().find(|row| row.event == ppv.event) {
            let passed = time.seconds().checked_sub(begun.from.seconds());
            let left = passed.and_then(|passed| ppv.preview_s.checked_sub(passed.try_into().ok()?));
            let left = left.filter(|left| decide(|| *left > 0)).unwrap_or(0);
            return Preview { left, begins: false, used: left == 0 };
        }
        // An event that is over may have been forgotten.
        let free = || self.rows.iter().any(|row| Self::is_free(row.as_ref(), at));
        if decide(|| at < ppv.end && free()) {
            Preview { left: ppv.preview_s, begins: true, used: false }
        } else {
            Preview::NONE
        }
    }

    /// The preview of this event begins with the ECM of `time`. The clock is stored at `at` in the
    /// same transaction: what is forgotten here is over for good.
    pub(super) fn begin(&mut self, ppv: &Ppv, time: CasTime, at: CasTime) {
        // It may last longer than it says, here or on another service.
        let until = horizon(ppv.end).min(time.saturating_add(Self::KEPT));
        if let Some(row) = self.rows.iter_mut().find(|row| Self::is_free(row.as_ref(), at)) {
            *row = Some(Begun { event: ppv.event, from: time, until });
        }
    }

    fn is_free(row: Option<&Begun>, at: CasTime) -> bool {
        row.is_none_or(|row| row.until <= at)
    }
}

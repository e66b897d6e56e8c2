// SPDX-License-Identifier: Apache-2.0
//! Boxes that the operator has listed out, each with the number of the decision.

use crate::decide::decide;
use crate::message::{Effect, Outcome, refused};
use crate::persist::{Checked, Guarded, Table, persist};
use cam_types::StbId;
use ecm_emm::card::EmmDetail;

/// Boxes that a card has decisions about.
const ROWS: usize = 32;

/// The last decision about a box. A lift is kept like a bar: one that is older is known for old.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Decision {
    stb: StbId,
    number: Guarded<u32>,
    barred: bool,
}

persist!(Decision { stb: StbId, number: Guarded<u32>, barred: bool });

/// All decisions that the card remembers.
#[derive(Clone)]
pub struct Barred {
    rows: Table<Option<Checked<Decision>>, ROWS>,
}

persist!(Barred { rows: Table<Option<Checked<Decision>>, ROWS> });

impl Barred {
    /// No box is listed out.
    pub fn none() -> Self {
        Self { rows: Table::filled(|| None) }
    }

    /// The box is listed out.
    pub fn has(&self, stb: StbId) -> bool {
        self.rows.iter().flatten().any(|row| row.0.stb == stb && row.0.barred)
    }

    /// A decision about a box: stale when a later one is known, or a bar of the same number.
    pub(crate) fn decide(&mut self, stb: StbId, number: u32, barred: bool) -> Outcome {
        let decision = Decision { stb, number: Guarded(number), barred };
        let held = self.rows.iter().position(|row| row.is_some_and(|row| row.0.stb == stb));
        let place = held.or_else(|| self.vacant());
        let Some(row) = place.and_then(|place| self.rows.get_mut(place)) else {
            return refused(EmmDetail::FULL);
        };
        let last = row.filter(|last| last.0.stb == stb).map(|Checked(last)| last);
        let new = (decision.number, barred);
        if !decide(|| last.is_none_or(|last| (last.number, last.barred) <= new)) {
            return Ok(Effect::Stale(EmmDetail::NONE));
        }
        *row = Some(Checked(decision));
        Ok(Effect::Applied)
    }

    /// A free row, else that of the oldest lift: no bar is ever dropped.
    fn vacant(&self) -> Option<usize> {
        let rows = || self.rows.iter().enumerate();
        let free = rows().find(|(_, row)| row.is_none()).map(|(n, _)| n);
        free.or_else(|| {
            let rows = rows().filter_map(|(n, row)| Some((n, (*row)?.0)));
            let lifted = rows.filter(|(_, decision)| !decision.barred);
            lifted.min_by_key(|(_, decision)| decision.number).map(|(n, _)| n)
        })
    }
}

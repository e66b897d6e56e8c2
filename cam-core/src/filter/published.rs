// SPDX-License-Identifier: Apache-2.0
//! The filters that the engine has a use for, and those of them that the box is asked for.

use crate::Filter;
use crate::filter::Place;
use crate::filter::fit::fit;
use crate::filter::turns::Turns;
use alloc::vec::Vec;
use cam_types::Instant;

/// How the filters that are wanted and those that the box has fit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FilterUse {
    /// Filters that are wanted, each as narrow as can be.
    pub wanted: usize,
    /// PIDs that they are on: so many are enough for all of them.
    pub pids: usize,
    /// Filters that the box is asked for now.
    pub set: usize,
    /// The PIDs are more than the box has filters, and take turns.
    pub in_turns: bool,
}

/// See the module.
pub(crate) struct Filters {
    limit: usize,
    wanted: Vec<Filter>,
    version: u64,
    published: Vec<Filter>,
    pids: usize,
    turns: Turns,
    /// Sessions, tables or addresses have changed since.
    outdated: bool,
}

/// What has become of the filters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Change {
    /// The box is asked for others.
    pub(crate) others: bool,
    /// A turn has begun.
    pub(crate) turn: bool,
    /// From now on PIDs take turns.
    pub(crate) short: bool,
}

impl Filters {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            wanted: Vec::new(),
            version: 0,
            published: Vec::new(),
            pids: 0,
            turns: Turns::default(),
            outdated: false,
        }
    }

    /// As many as the box has.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn published(&self) -> &[Filter] {
        &self.published
    }

    pub(crate) fn wanted(&self) -> &[Filter] {
        &self.wanted
    }

    /// How often those wanted have become others.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn in_use(&self) -> FilterUse {
        FilterUse {
            wanted: self.wanted.len(),
            pids: self.pids,
            set: self.published.len(),
            in_turns: self.deadline().is_some(),
        }
    }

    /// The box has a filter at this place now.
    pub(crate) fn reaches(&self, place: Place) -> bool {
        self.deadline().is_none() || self.published.iter().any(|filter| filter.place() == place)
    }

    /// When other PIDs have their turn.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.turns.until()
    }

    /// What they are made of has changed.
    pub(crate) fn outdated(&mut self) {
        self.outdated = true;
    }

    pub(crate) fn take_outdated(&mut self) -> bool {
        core::mem::take(&mut self.outdated)
    }

    /// Others may be wanted now.
    pub(crate) fn want(&mut self, now: Instant, mut wanted: Vec<Filter>) -> Change {
        wanted.sort_by_key(Filter::rank);
        if wanted == self.wanted {
            return self.keep_turns(now);
        }
        self.wanted = wanted;
        self.version += 1;
        self.publish(now)
    }

    /// A turn may be over.
    pub(crate) fn keep_turns(&mut self, now: Instant) -> Change {
        match self.deadline() {
            Some(until) if until <= now => self.publish(now),
            _ => Change::default(),
        }
    }

    fn publish(&mut self, now: Instant) -> Change {
        let mut places = fit(&self.wanted, self.limit);
        self.pids = places.len();
        let before = self.deadline().is_some();
        if places.len() > self.limit {
            let chosen = self.turns.next(now, &places, self.limit);
            places.retain(|of| chosen.contains(&of.place));
        } else {
            self.turns.end();
        }
        let turn = self.deadline().is_some();
        let mut ranked: Vec<_> = places.into_iter().flat_map(|of| of.filters).collect();
        ranked.sort_by_key(|one| one.rank);
        let filters: Vec<_> = ranked.into_iter().map(|one| one.filter).collect();
        let others = filters != self.published;
        self.published = filters;
        Change { others, turn, short: turn && !before }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! How long a card that says nothing keeps its keys.
//!
//! Waiting times are the card's, and may be half a minute; but without a detect line a silent card
//! may have been pulled. So the keys go before the card is given up, and come back with its answer.

use cam_types::Instant;
use core::time::Duration;

/// See the module.
#[derive(Default)]
pub(crate) struct Silence {
    /// Since when a command is out.
    since: Option<Instant>,
    /// The slowest answer since the card's reset.
    slowest: Duration,
    /// The keys are gone, and come back with the answer.
    withheld: bool,
}

impl Silence {
    /// A card without a slow answer keeps its keys so long.
    const LEAST: Duration = Duration::from_secs(1);

    /// Another card, or the same one anew.
    pub(super) fn card_reset(&mut self) {
        *self = Self::default();
    }

    /// Another command is out, or none.
    pub(super) fn begin(&mut self) {
        self.since = None;
    }

    /// The command was answered.
    pub(super) fn answered(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.slowest = self.slowest.max(now.since(since));
        }
    }

    /// Looks at the time while a command is out. `true` when the keys are to go now.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        self.since.get_or_insert(now);
        let over = self.ends().is_some_and(|at| now >= at);
        self.withheld |= over;
        over
    }

    /// When the keys go, if nothing happens before.
    pub(super) fn ends(&self) -> Option<Instant> {
        let allowed = self.slowest.saturating_mul(2).max(Self::LEAST);
        self.since.filter(|_| !self.withheld).map(|since| since.after(allowed))
    }

    /// The keys are gone.
    pub(super) const fn withholds(&self) -> bool {
        self.withheld
    }

    /// They are given back, or are forgotten.
    pub(super) fn settled(&mut self) {
        self.withheld = false;
    }
}

// SPDX-License-Identifier: Apache-2.0
//! When the card is asked again about what is on air: EMMs may give a right, end it, or move its
//! end.
//!
//! A round asks for every ECM stream once more, with the ECM that is kept. It comes as soon as no
//! EMM waits, so that a message of several sections costs one; a carousel in full swing does not
//! hold it up for longer than [`Rounds::DISTANCE`], and rounds keep this distance from one another,
//! so that EMMs cannot fill the line with ECM commands.

use crate::emm::queue::Backlog;
use cam_types::Instant;
use core::time::Duration;

/// See the module.
#[derive(Default)]
pub(crate) struct Rounds {
    /// The first change that no round has followed.
    changed: Option<Instant>,
    last: Option<Instant>,
}

impl Rounds {
    /// On the slowest line (T=0 at 9,600 bit/s) an EMM takes up to 360 ms and an ECM 200, the
    /// longest 340 (`docs/benchmarks.md`): a right that ends takes the picture of one stream within
    /// a second even when the next EMM has begun, that of each further one with an ECM of its own
    /// an exchange later.
    const DISTANCE: Duration = Duration::from_millis(250);

    /// The card has applied an EMM.
    pub(crate) fn card_changed(&mut self, now: Instant) {
        self.changed.get_or_insert(now);
    }

    /// When the next round is due.
    pub(crate) fn due(&self, emms: Backlog) -> Option<Instant> {
        let changed = self.changed?;
        let latest = changed.after(Self::DISTANCE);
        let rested = self.last.map_or(changed, |last| last.after(Self::DISTANCE));
        Some(match emms {
            Backlog::Waiting => latest,
            Backlog::Through => rested.clamp(changed, latest),
        })
    }

    /// Begins a round, if one is due.
    pub(crate) fn begin(&mut self, now: Instant, emms: Backlog) -> bool {
        let due = self.due(emms).is_some_and(|at| now >= at);
        if due {
            *self = Self { changed: None, last: Some(now) };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn a_round_is_due_when_the_emms_are_through_but_keeps_its_distance() {
        let mut rounds = Rounds::default();
        assert_eq!(rounds.due(Backlog::Through), None);
        rounds.card_changed(at(1000));
        rounds.card_changed(at(1100));
        for (emms, due) in [(Backlog::Through, 1000), (Backlog::Waiting, 1250)] {
            assert_eq!(rounds.due(emms), Some(at(due)));
        }
        assert!(!rounds.begin(at(1200), Backlog::Waiting));
        assert!(rounds.begin(at(1200), Backlog::Through));
        assert!(!rounds.begin(at(9000), Backlog::Through), "nothing has changed since");
        for (changed, emms, due) in [
            (1300, Backlog::Through, 1450),
            (1300, Backlog::Waiting, 1550),
            (2000, Backlog::Through, 2000),
            (2000, Backlog::Waiting, 2250),
        ] {
            let mut rounds = Rounds { changed: None, last: Some(at(1200)) };
            rounds.card_changed(at(changed));
            assert_eq!(rounds.due(emms), Some(at(due)), "{changed} {emms:?}");
        }
    }
}

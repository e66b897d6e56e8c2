// SPDX-License-Identifier: Apache-2.0
//! What waits for the gap between ECMs, and how long at most.
//!
//! Where many streams are watched by one card there may be no gap: then one exchange starts all
//! the same each time when it has been closed for so long.

use cam_types::Instant;
use core::time::Duration;

/// See the module.
#[derive(Default)]
pub(crate) struct Hold {
    /// Since when nothing may start.
    since: Option<Instant>,
    /// When it is worth another look.
    look: Option<Instant>,
}

impl Hold {
    /// The longest EMM and an ECM take 0.6 s of the slowest line: four streams whose ECMs follow
    /// one another have theirs in time.
    const MOST: Duration = Duration::from_secs(3);

    /// Whether something may start: the ECM that is in its way will have come by then, if any is.
    pub(crate) fn opens(&mut self, now: Instant, due: Option<Instant>) -> bool {
        let Some(due) = due else {
            *self = Self::default();
            return true;
        };
        let latest = self.since.get_or_insert(now).after(Self::MOST);
        self.look = Some(due.min(latest)).filter(|look| now < *look);
        now >= latest
    }

    /// Something has started.
    pub(crate) fn started(&mut self) {
        *self = Self::default();
    }

    /// When it may be open again.
    pub(crate) fn look(&self) -> Option<Instant> {
        self.look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn one_starts_after_three_seconds_without_a_gap() {
        let mut hold = Hold::default();
        assert!(hold.opens(at(0), None));
        for (now, due, opens, look) in [
            (1000, 1500, false, Some(1500)),
            (1500, 3900, false, Some(3900)),
            (3900, 9000, false, Some(4000)),
            (4000, 9000, true, None),
        ] {
            assert_eq!(hold.opens(at(now), Some(at(due))), opens, "{now}");
            assert_eq!(hold.look(), look.map(at), "{now}");
        }
        hold.started();
        assert!(!hold.opens(at(4100), Some(at(9000))));
        assert_eq!(hold.look(), Some(at(7100)));
        assert!(hold.opens(at(5000), None));
        assert_eq!(hold.look(), None);
    }
}

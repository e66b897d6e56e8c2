// SPDX-License-Identifier: Apache-2.0
//! What keeps failing is given up for a while that doubles each time; and what fails, works and
//! fails again is given up too, when it has done so too often.

use crate::Absence;
use cam_types::Instant;
use core::time::Duration;

/// Exchanges and channels lost in a row, and in all.
#[derive(Default)]
pub(super) struct Setbacks {
    in_a_row: u32,
    /// Of [`Setbacks::BUDGET`].
    spent: u32,
    /// Since when none was given back.
    since: Instant,
}

impl Setbacks {
    /// As many as may be lost in a row.
    const MAX: u32 = 3;
    /// As many as may be lost at once, whatever works in between: a session opens, one answer is
    /// good and the next is not, for ever.
    const BUDGET: u32 = 32;
    /// One more may be lost after so long.
    const GIVEN_BACK: Duration = Duration::from_secs(20);
    /// The first wait, which is also that of an empty slot without a detect line.
    const RETRY: Duration = Duration::from_millis(300);
    /// A reader that was lost is tried again after so long.
    const READER_RETRY: Duration = Duration::from_secs(1);
    /// The longest wait.
    pub(super) const MAX_RETRY: Duration = Duration::from_secs(20);

    /// Another one. `true` if it was one too many.
    pub(super) fn met(&mut self, now: Instant) -> bool {
        let rest = now.since(self.since).as_secs() / Self::GIVEN_BACK.as_secs();
        let back = u32::try_from(rest).unwrap_or(u32::MAX);
        if back > 0 {
            self.spent = self.spent.saturating_sub(back);
            self.since = now;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.is_spent() || self.in_a_row > Self::MAX {
            return true;
        }
        self.spent += 1;
        false
    }

    const fn is_spent(&self) -> bool {
        self.spent >= Self::BUDGET
    }

    /// It works again, or begins afresh.
    pub(super) fn forget(&mut self) {
        self.in_a_row = 0;
    }

    /// There is no card. How long until the reader is tried again, if it is; where nothing detects
    /// the card, it is polled.
    pub(super) fn absent(&mut self, now: Instant, why: Absence, polled: bool) -> Option<Duration> {
        match why {
            Absence::Removed => {
                self.forget();
                polled.then_some(Self::RETRY)
            }
            // Without a detect line a mute card and an empty slot look the same.
            Absence::Mute if polled => {
                self.forget();
                Some(Self::RETRY)
            }
            Absence::Mute | Absence::Unknown => {
                self.met(now);
                Some(self.wait())
            }
            Absence::ReaderLost => Some(Self::READER_RETRY),
        }
    }

    /// How long the card is left alone.
    pub(super) fn wait(&self) -> Duration {
        if self.is_spent() {
            return Self::MAX_RETRY;
        }
        let doublings = self.in_a_row.saturating_sub(Self::MAX).min(8);
        (Self::RETRY * (1 << doublings)).min(Self::MAX_RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much works in between.
    #[test]
    fn what_fails_now_and_then_is_bounded_in_an_hour() {
        let mut setbacks = Setbacks::default();
        let mut now = Instant::from_micros(3_000_000);
        let end = now.after(Duration::from_secs(3600));
        let mut met = 0;
        while now < end {
            setbacks.forget();
            met += 1;
            now = match setbacks.met(now) {
                true => now.after(setbacks.wait()),
                false => now.after(Duration::from_millis(1)),
            };
        }
        assert!((100..=32 + 2 * 180).contains(&met), "{met}");
    }
}

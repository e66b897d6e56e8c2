// SPDX-License-Identifier: Apache-2.0
//! What keeps failing is given up for a while that doubles each time.

use crate::Absence;
use core::time::Duration;

/// Exchanges and channels lost in a row.
#[derive(Default)]
pub(super) struct Setbacks(u32);

impl Setbacks {
    /// As many as may be lost in a row.
    const MAX: u32 = 3;
    /// The first wait, which is also that of an empty slot without a detect line.
    const RETRY: Duration = Duration::from_millis(300);
    /// A reader that was lost is tried again after so long.
    const READER_RETRY: Duration = Duration::from_secs(1);
    /// The longest wait.
    pub(super) const MAX_RETRY: Duration = Duration::from_secs(20);

    /// Another one. `true` if it was one too many.
    pub(super) fn met(&mut self) -> bool {
        self.0 += 1;
        self.0 > Self::MAX
    }

    /// It works again, or begins afresh.
    pub(super) fn forget(&mut self) {
        self.0 = 0;
    }

    /// There is no card. How long until the reader is tried again, if it is; where nothing detects
    /// the card, it is polled.
    pub(super) fn absent(&mut self, why: Absence, polled: bool) -> Option<Duration> {
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
                self.met();
                Some(self.wait())
            }
            Absence::ReaderLost => Some(Self::READER_RETRY),
        }
    }

    /// How long the card is left alone.
    pub(super) fn wait(&self) -> Duration {
        let doublings = self.0.saturating_sub(Self::MAX).min(8);
        (Self::RETRY * (1 << doublings)).min(Self::MAX_RETRY)
    }
}

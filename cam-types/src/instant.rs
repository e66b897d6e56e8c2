// SPDX-License-Identifier: Apache-2.0
//! Moments on a clock that somebody else reads.

use core::time::Duration;

/// A moment of the driver's monotonic clock, in microseconds since any fixed point.
///
/// No machine of ours reads a clock: the driver says what time it is with every input.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(u64);

impl Instant {
    /// The moment so many microseconds after the clock's fixed point.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock's fixed point.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The moment `duration` later; the end of time when it would not fit.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero when it is in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

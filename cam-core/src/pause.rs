// SPDX-License-Identifier: Apache-2.0
//! A question that got no answer that counts is asked again, never given up, and more and more
//! seldom: a card or a line that fails on purpose costs neither line nor picture.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 2.2

use cam_types::Instant;
use core::time::Duration;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pause {
    failures: u32,
    until: Instant,
}

impl Pause {
    /// A damaged line costs no pause.
    const FREE: u32 = 3;
    const FIRST: Duration = Duration::from_secs(5);
    const DOUBLINGS: u32 = 6;
    /// What went well for so long begins afresh.
    const CALM: Duration = Duration::from_secs(600);

    /// It got no answer that counts.
    pub(crate) fn failed(&mut self, now: Instant) {
        if now.since(self.until) > Self::CALM {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let pause = match self.failures.checked_sub(Self::FREE + 1) {
            None => Duration::ZERO,
            Some(n) => Self::FIRST * (1 << n.min(Self::DOUBLINGS)),
        };
        self.until = now.after(pause);
    }

    /// It was answered.
    pub(crate) fn forget(&mut self) {
        self.failures = 0;
    }

    /// It has failed once since it was answered, and not more.
    pub(crate) const fn is_first(&self) -> bool {
        self.failures == 1
    }

    /// It may be asked again.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.ends()
    }

    /// When.
    pub(crate) fn ends(&self) -> Instant {
        if self.failures == 0 { Instant::default() } else { self.until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn it_doubles_and_ends_growing() {
        let mut pause = Pause::default();
        let mut now = Instant::from_micros(7_000_000);
        let mut seconds = Vec::new();
        for _ in 0..12 {
            assert!(pause.is_over(now));
            pause.failed(now);
            seconds.push(pause.ends().since(now).as_secs());
            now = pause.ends();
        }
        assert_eq!(seconds, [0, 0, 0, 5, 10, 20, 40, 80, 160, 320, 320, 320]);
        pause.failed(now.after(Pause::CALM * 2));
        assert!(pause.is_first() && pause.is_over(now.after(Pause::CALM * 2)));
        pause.forget();
        assert!(pause.is_over(Instant::default()));
    }
}

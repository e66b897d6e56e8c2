// SPDX-License-Identifier: Apache-2.0
//! When a section falls due on air.

/// A section that falls due at a moment, and perhaps again and again. Times are ticks of 27 MHz
/// from the schedule's start.
///
/// The due moments lie on a grid: a section that had to wait for a null packet does not push the
/// ones after it. Moments that passed while it waited are not caught up.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    next: Option<i64>,
    period: Option<i64>,
    until: Option<i64>,
}

impl Due {
    /// Due at `from`, then every `period`, as long as that is before `until`.
    pub const fn new(from: i64, period: Option<i64>, until: Option<i64>) -> Self {
        Self { next: Some(from), period, until }
    }

    /// Due from the start of the stream to its end.
    pub const fn always(period: i64) -> Self {
        Self::new(0, Some(period), None)
    }

    /// Since when it has been due, if it is.
    pub fn since(&self, now: i64) -> Option<i64> {
        self.next.filter(|&next| next <= now && self.until.is_none_or(|until| now < until))
    }

    /// It went on air.
    pub fn sent(&mut self, now: i64) {
        self.next = match (self.next, self.period) {
            (Some(next), Some(period)) if period > 0 => {
                Some(next + ((now - next).max(0) / period + 1) * period)
            }
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_moments_lie_on_a_grid() {
        let mut due = Due::new(100, Some(50), Some(300));
        let mut sent = Vec::new();
        for now in [0, 99, 100, 120, 149, 151, 199, 200, 280, 299, 300, 350] {
            if due.since(now).is_some() {
                due.sent(now);
                sent.push(now);
            }
        }
        assert_eq!(sent, [100, 151, 200, 280]);
    }

    #[test]
    fn without_a_period_it_goes_out_once() {
        let mut due = Due::new(100, None, None);
        assert_eq!(due.since(99), None);
        assert_eq!(due.since(1000), Some(100));
        due.sent(1000);
        assert_eq!(due.since(2000), None);
    }
}

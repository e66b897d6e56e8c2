// SPDX-License-Identifier: Apache-2.0
//! How long exchanges take: line and card together, as the last ones did.

use crate::card::exchange::Exchange;
use cam_types::Instant;
use core::time::Duration;

/// See the module.
#[derive(Default)]
pub(crate) struct Pace {
    /// When the command on the line went out.
    since: Option<Instant>,
    /// The last ECMs, from command to answer.
    ecms: [Duration; Self::LAST],
    /// What one octet of the last exchanges took.
    octets: [Duration; Self::LAST],
}

impl Pace {
    const LAST: usize = 8;

    /// Another card, or the same one at another rate.
    pub(super) fn card_reset(&mut self) {
        *self = Self::default();
    }

    /// A command is out now, if none was before.
    pub(super) fn out(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// None is any more.
    pub(super) fn over(&mut self) {
        self.since = None;
    }

    /// It was answered: so many octets went to and fro. What writes for long, or waits for
    /// somebody, says nothing of the others.
    pub(super) fn answered(&mut self, now: Instant, exchange: &Exchange, octets: usize) {
        let Some(since) = self.since.take() else { return };
        let took = now.since(since);
        match exchange {
            Exchange::Ecm => newest(&mut self.ecms, took),
            Exchange::Emm | Exchange::Rights | Exchange::Balance | Exchange::Report => {}
            _ => return,
        }
        newest(&mut self.octets, took / u32::try_from(octets).unwrap_or(u32::MAX).max(1));
    }

    /// What an exchange of so many octets, and an ECM behind it, will take at most; 0 before there
    /// was one.
    pub(crate) fn with_ecm(&self, octets: usize) -> Duration {
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let longest = |last: &[Duration]| last.iter().max().copied().unwrap_or_default();
        longest(&self.octets).saturating_mul(octets).saturating_add(longest(&self.ecms))
    }
}

fn newest(last: &mut [Duration; Pace::LAST], took: Duration) {
    last.rotate_right(1);
    let [newest, ..] = last;
    *newest = took;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn the_slowest_of_the_last_eight_counts() {
        let mut pace = Pace::default();
        assert_eq!(pace.with_ecm(100), Duration::ZERO);
        let mut took = |exchange: Exchange, ms, octets| {
            pace.out(at(0));
            pace.answered(at(ms), &exchange, octets);
            pace.with_ecm(100).as_millis()
        };
        assert_eq!(took(Exchange::Ecm, 200, 200), 100 + 200);
        assert_eq!(took(Exchange::Emm, 400, 200), 200 + 200);
        assert_eq!(took(Exchange::Info, 9000, 1), 200 + 200, "nor are others like it");
        for _ in 0..7 {
            assert_eq!(took(Exchange::Ecm, 100, 100), 200 + 200);
        }
        assert_eq!(took(Exchange::Ecm, 100, 100), 100 + 100);
    }
}

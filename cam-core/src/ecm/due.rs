// SPDX-License-Identifier: Apache-2.0
//! When the next ECM of a stream is due: the length and the phase of its crypto periods, as they
//! were on air.
//!
//! Only ECMs that the card took for authentic teach, by the moment in which they were heard first:
//! a forger moves nothing. Until two changes of the period were seen, and where periods are
//! of no steady length, nothing is said to be due.

use cam_types::Instant;
use core::time::Duration;

/// See the module.
#[derive(Default)]
pub(crate) struct Due {
    last: Option<Period>,
    /// How long the last periods were; those that are not known are behind.
    lengths: [Option<Duration>; 4],
}

#[derive(Clone, Copy)]
struct Period {
    number: u32,
    heard: Instant,
    /// Its beginning was heard, not only some repetition.
    begun: bool,
}

impl Due {
    /// A number further ahead is a head-end that started again.
    const AHEAD: u32 = 64;
    /// So many ECMs in a row may be missed before nothing is known any more.
    const MISSED: u32 = 3;
    /// A stream whose repetition time is not known.
    const LATE: Duration = Duration::from_millis(100);

    /// An authentic ECM of this crypto period, first heard then.
    pub(crate) fn came(&mut self, number: u32, heard: Instant) {
        let Some(last) = self.last else {
            self.last = Some(Period { number, heard, begun: false });
            return;
        };
        let ahead = number.wrapping_sub(last.number);
        if ahead == 0 {
            return;
        }
        let next = (1..=Self::AHEAD).contains(&ahead);
        self.last = Some(Period { number, heard, begun: next });
        if !next {
            self.lengths = Default::default();
        } else if last.begun {
            self.lengths.rotate_right(1);
            let [newest, ..] = &mut self.lengths;
            *newest = Some(heard.since(last.heard) / ahead);
        }
    }

    /// The end of the time in which the next ECM may come, if something that begins now and takes
    /// so long is not over before.
    pub(crate) fn meets(
        &self,
        now: Instant,
        takes: Duration,
        repetition: Duration,
    ) -> Option<Instant> {
        let last = self.last?;
        let [shortest, longest] = self.bounds()?;
        let late = repetition.max(Self::LATE);
        (1..=Self::MISSED).find_map(|n| {
            let from = last.heard.after(shortest.saturating_mul(n));
            let until = last.heard.after(longest.saturating_mul(n).saturating_add(late));
            (now < until).then(|| (now.after(takes) > from).then_some(until))
        })?
    }

    /// The shortest of the last periods and the longest, where they are much alike.
    fn bounds(&self) -> Option<[Duration; 2]> {
        let known = self.lengths.iter().flatten();
        let (shortest, longest) = (known.clone().min()?, known.max()?);
        (*longest - *shortest <= *shortest / 4).then_some([*shortest, *longest])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Moments in which periods began, as they were heard.
    fn heard(periods: &[(u32, u64)]) -> Due {
        let mut due = Due::default();
        periods.iter().for_each(|(number, ms)| due.came(*number, at(*ms)));
        due
    }

    #[test]
    fn what_is_known_of_the_next() {
        for (name, periods, now, takes, until) in [
            ("nothing", &[][..], 0, 9999, None),
            ("some repetition", &[(1, 700)][..], 700, 9999, None),
            ("one change", &[(1, 700), (2, 3000)][..], 3000, 99_999, None),
            ("it fits", &[(1, 700), (2, 3000), (3, 13_000)][..], 22_400, 600, None),
            ("it does not", &[(1, 700), (2, 3000), (3, 13_000)][..], 22_401, 600, Some(23_100)),
            ("it is late", &[(1, 700), (2, 3000), (3, 13_000)][..], 23_099, 1, Some(23_100)),
            ("it does not come", &[(1, 700), (2, 3000), (3, 13_000)][..], 23_100, 600, None),
            ("nor the next", &[(1, 700), (2, 3000), (3, 13_000)][..], 32_500, 600, Some(33_100)),
            ("it is over", &[(1, 700), (2, 3000), (3, 13_000)][..], 43_100, 60_000, None),
            ("one was missed", &[(1, 700), (2, 3000), (4, 23_000)][..], 32_500, 600, Some(33_100)),
            (
                "another section",
                &[(1, 0), (2, 100), (2, 5000), (3, 10_100)][..],
                20_000,
                200,
                Some(20_200),
            ),
            ("it goes back", &[(7, 0), (8, 100), (9, 10_100), (3, 20_100)][..], 30_000, 200, None),
            (
                "jitter",
                &[(1, 0), (2, 100), (3, 10_000), (4, 20_100)][..],
                29_000,
                1001,
                Some(30_300),
            ),
            (
                "no steady length",
                &[(1, 0), (2, 100), (3, 5100), (4, 15_100)][..],
                20_000,
                9000,
                None,
            ),
        ] {
            let meets = heard(periods).meets(at(now), ms(takes), ms(100));
            assert_eq!(meets, until.map(at), "{name}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Whether ECMs are on air: how often they come, and when their absence is a silence.

use cam_types::Instant;
use core::time::Duration;

/// The ECMs of one stream as they come, whatever is in them.
#[derive(Default)]
pub(crate) struct Air {
    last: Last,
    /// The last gaps between ECMs: the longest but one is the repetition time, so that neither one
    /// outage teaches a long one nor what comes behind each ECM a short one.
    gaps: [Duration; 4],
    /// Since when no filter reaches the stream: what nobody listens to is not silent.
    out_of_reach: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
enum Last {
    /// Nobody has listened yet.
    #[default]
    Unknown,
    /// Nothing was heard since the stream was opened then.
    Opened(Instant),
    Heard(Instant),
}

impl Air {
    const LEAST: Duration = Duration::from_secs(3);
    /// What comes closer than this belongs to the section before it: a head-end that sends each
    /// twice, a forger who answers each.
    const BURST: Duration = Duration::from_millis(50);
    /// So many repetitions must be missing.
    const REPETITIONS: u32 = 3;

    /// From now on ECMs are expected, if they were not before.
    pub(crate) fn listen(&mut self, now: Instant) {
        if let Last::Unknown = self.last {
            self.last = Last::Opened(now);
        }
    }

    /// From now on nothing can be heard.
    pub(crate) fn out_of_reach(&mut self, now: Instant) {
        self.out_of_reach.get_or_insert(now);
    }

    /// A filter reaches the stream. The time without one does not count.
    pub(crate) fn reached(&mut self, now: Instant) {
        let Some(left) = self.out_of_reach.take() else { return };
        if let Last::Opened(since) | Last::Heard(since) = &mut self.last {
            *since = since.after(now.since(left.max(*since)));
        }
    }

    /// An ECM came.
    pub(crate) fn heard(&mut self, now: Instant) {
        if let Last::Heard(before) = self.last {
            let gap = now.since(before);
            if gap >= Self::BURST {
                self.gaps.rotate_left(1);
                let [.., newest] = &mut self.gaps;
                *newest = gap;
            }
        }
        self.last = Last::Heard(now);
    }

    /// When it is a silence, if nothing comes: after three seconds or three repetition times that
    /// somebody listened.
    pub(crate) fn silent_at(&self) -> Option<Instant> {
        let since = match self.last {
            Last::Unknown => return None,
            Last::Opened(since) | Last::Heard(since) => since,
        };
        let silence = self.repetition().saturating_mul(Self::REPETITIONS);
        let at = since.after(Self::LEAST.max(silence));
        self.out_of_reach.is_none_or(|left| at <= left).then_some(at)
    }

    /// The repetition time; 0 before it is known.
    pub(crate) fn repetition(&self) -> Duration {
        let mut gaps = self.gaps;
        gaps.sort_unstable();
        let [.., longest_but_one, _] = gaps;
        longest_but_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn silences() {
        for (name, heard, silent) in [
            ("never any", &[][..], 3000),
            ("one", &[2000][..], 5000),
            ("every 100 ms", &[0, 100, 200][..], 3200),
            ("every 2 s", &[0, 2000, 4000][..], 10_000),
            ("one outage of an hour", &[0, 100, 200, 3_600_200][..], 3_603_200),
            ("and then goes on", &[0, 100, 3_600_100, 3_600_200][..], 3_603_200),
            ("two right behind each other", &[0, 5000, 5000, 10_000, 10_000][..], 25_000),
            ("and 10 ms behind", &[0, 10, 4000, 4010, 8000, 8010][..], 19_980),
            ("and 100 ms behind", &[0, 100, 4000, 4100, 8000, 8100][..], 19_800),
            ("five at a time", &[0, 1, 2, 3, 4, 4000, 4001, 4002, 4003, 8000][..], 19_988),
        ] {
            let mut air = Air::default();
            assert_eq!(air.silent_at(), None);
            air.listen(at(0));
            heard.iter().for_each(|ms| air.heard(at(*ms)));
            air.listen(at(99_999_999));
            assert_eq!(air.silent_at(), Some(at(silent)), "{name}");
        }
    }

    /// A filter that is there for one second in five hears no silence but in its own time.
    #[test]
    fn what_nobody_listens_to_is_not_silent() {
        let mut air = Air::default();
        air.listen(at(0));
        for turn in 0..2 {
            air.reached(at(5000 * turn));
            air.heard(at(5000 * turn + 500));
            air.out_of_reach(at(5000 * turn + 1000));
            assert_eq!(air.silent_at(), None);
        }
        air.reached(at(10_000));
        assert_eq!(air.silent_at(), Some(at(12_500)), "half a second was listened");
        air.out_of_reach(at(11_000));
        air.reached(at(15_000));
        air.out_of_reach(at(17_000));
        assert_eq!(air.silent_at(), Some(at(16_500)), "it stays silent");
    }
}

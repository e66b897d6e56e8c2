//! Whether ECMs are on air: how often they come, and when their absence is a silence.

use core::time::Duration;

use cam_types::Instant;

/// The ECMs of one stream as they come, whatever is in them.
#[derive(Default)]
pub(crate) struct Air {
    last: Last,
    /// The last two gaps between ECMs: the shorter one is the repetition time, so that one outage
    /// does not teach a long one.
    gaps: [Duration; 2],
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
    /// So many repetitions must be missing.
    const REPETITIONS: u32 = 3;

    /// From now on ECMs are expected, if they were not before.
    pub(crate) fn listen(&mut self, now: Instant) {
        if let Last::Unknown = self.last {
            self.last = Last::Opened(now);
        }
    }

    /// An ECM came.
    pub(crate) fn heard(&mut self, now: Instant) {
        if let Last::Heard(before) = self.last {
            let [_, newer] = self.gaps;
            self.gaps = [newer, now.since(before)];
        }
        self.last = Last::Heard(now);
    }

    /// When it is a silence, if nothing comes: after three seconds or three repetition times.
    pub(crate) fn silent_at(&self) -> Option<Instant> {
        let since = match self.last {
            Last::Unknown => return None,
            Last::Opened(since) | Last::Heard(since) => since,
        };
        let [older, newer] = self.gaps;
        let repetition = older.min(newer);
        Some(since.after(Self::LEAST.max(repetition.saturating_mul(Self::REPETITIONS))))
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
            ("two right behind each other", &[0, 5000, 5000, 10_000, 10_000][..], 13_000),
        ] {
            let mut air = Air::default();
            assert_eq!(air.silent_at(), None);
            air.listen(at(0));
            heard.iter().for_each(|ms| air.heard(at(*ms)));
            air.listen(at(99_999_999));
            assert_eq!(air.silent_at(), Some(at(silent)), "{name}");
        }
    }
}

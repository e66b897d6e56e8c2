// SPDX-License-Identifier: Apache-2.0
//! How long a crypto period lasts, learnt from the control words as they come.
//!
//! They may come late, and the next ones in time: one interval alone would then be far too short.
//! The longer of the last two is taken.

use cam_core::SessionId;
use cam_types::{Instant, Pid};

/// Measures the crypto periods of every ECM stream.
#[derive(Default)]
pub(crate) struct PeriodMeter {
    streams: Vec<Stream>,
}

struct Stream {
    session: SessionId,
    ecm_pid: Pid,
    number: u32,
    since: Option<Instant>,
    /// The last two whole periods, 0 where there was none yet.
    lengths_ms: [u32; 2],
}

impl PeriodMeter {
    /// Control words of this crypto period have come: the length of a period in milliseconds as
    /// far as it is known, 0 before a whole one was seen.
    pub(crate) fn see(
        &mut self,
        session: SessionId,
        ecm_pid: Pid,
        number: u32,
        now: Instant,
    ) -> u32 {
        let known = |stream: &&mut Stream| stream.session == session && stream.ecm_pid == ecm_pid;
        let Some(stream) = self.streams.iter_mut().find(known) else {
            // The session may have begun in the middle of a period.
            let lengths_ms = [0; 2];
            self.streams.push(Stream { session, ecm_pid, number, since: None, lengths_ms });
            return 0;
        };
        if stream.number != number {
            let next = stream.number.wrapping_add(1) == number;
            if let (true, Some(since)) = (next, stream.since) {
                let length = u32::try_from(now.since(since).as_millis()).unwrap_or(u32::MAX);
                let [_, newer] = stream.lengths_ms;
                stream.lengths_ms = [newer, length];
            }
            stream.number = number;
            stream.since = Some(now);
        }
        let [older, newer] = stream.lengths_ms;
        older.max(newer)
    }

    /// The session has lost its keys; what comes later is measured afresh.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.streams.retain(|stream| stream.session != session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_known_once_a_whole_one_was_seen() {
        let mut meter = PeriodMeter::default();
        let mut see = |number, ms: u64| {
            meter.see(SessionId(1), Pid::from_field(0x140), number, Instant::from_micros(ms * 1000))
        };
        assert_eq!(see(7, 3_000), 0);
        assert_eq!(see(8, 4_000), 0, "the first one had begun before");
        assert_eq!(see(8, 8_900), 0);
        assert_eq!(see(9, 9_100), 5_100);
        assert_eq!(see(12, 20_000), 5_100, "a gap is no period");
        assert_eq!(see(13, 25_000), 5_100);
        assert_eq!(see(14, 33_000), 8_000, "late");
        assert_eq!(see(15, 35_000), 8_000, "and the next in time");
        assert_eq!(see(16, 40_000), 5_000);
        meter.forget(SessionId(1));
        assert_eq!(meter.see(SessionId(1), Pid::from_field(0x140), 13, Instant::default()), 0);
    }
}

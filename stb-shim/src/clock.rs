// SPDX-License-Identifier: Apache-2.0
//! The clock that every machine in the box is driven by.
use cam_types::Instant;
use nix::sys::prctl::set_timerslack;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Microseconds of `CLOCK_MONOTONIC`.
pub fn now() -> Instant {
    // CLOCK_MONOTONIC exists on every Linux; were it to fail, time would stand still.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Instant::default(), moment)
}

/// By way of Duration, which counts in 64 bits: where time_t has 32, its seconds in microseconds do
/// not fit it from 35 minutes after boot.
fn moment(time: TimeSpec) -> Instant {
    Instant::default().after(time.into())
}

/// A wait as `ppoll` takes it; 68 years at most, which a time_t of 32 bits can say.
pub fn timeout(left: Duration) -> TimeSpec {
    const LONGEST: Duration = Duration::from_secs(0x7FFF_FFFF);
    TimeSpec::from(left.min(LONGEST))
}

/// The waits of this thread end when they should. Otherwise Linux lets each run up to 50 us over:
/// six etu of a usual card, behind every block.
pub fn wait_exactly() {
    if let Err(why) = set_timerslack(1) {
        log::debug!("waits end late: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_exact_where_asked() {
        std::thread::spawn(|| {
            wait_exactly();
            assert_eq!(nix::sys::prctl::get_timerslack(), Ok(1));
        })
        .join()
        .expect("the kernel knows the slack of a thread");
    }

    /// Where microseconds and milliseconds outgrow 31 and 32 bits, and the last second that a
    /// time_t of 32 bits can say.
    #[test]
    fn every_second_since_boot_has_its_moment() {
        for second in [0, 2147, 2148, 4294, 4295, 2_147_483, 2_147_484, 4_294_967, i32::MAX] {
            let time = TimeSpec::new(second.into(), 999_999_999);
            let micros = u64::try_from(second).unwrap() * 1_000_000 + 999_999;
            assert_eq!(moment(time), Instant::from_micros(micros), "second {second}");
        }
    }

    /// nix keeps the low bits of the seconds; where time_t has 32, that is a wait of the past or of
    /// no time.
    #[test]
    fn the_longest_wait_is_one_that_every_box_can_say() {
        let ever = Instant::from_micros(u64::MAX).since(Instant::default());
        let table = [
            (Duration::ZERO, 0, 0),
            (Duration::from_micros(2_147_483_648), 2147, 483_648_000),
            (Duration::new(0x7FFF_FFFF, 0), 0x7FFF_FFFF, 0),
            (Duration::new(0x8000_0000, 0), 0x7FFF_FFFF, 0),
            (Duration::new(0x1_0000_0000, 5), 0x7FFF_FFFF, 0),
            (ever, 0x7FFF_FFFF, 0),
            (Duration::MAX, 0x7FFF_FFFF, 0),
        ];
        for (left, seconds, nanos) in table {
            assert_eq!(timeout(left), TimeSpec::new(seconds, nanos), "{left:?}");
        }
    }

    #[test]
    fn goes_forward() {
        let first = now();
        assert!(first.as_micros() > 0);
        assert!(now() >= first);
    }
}

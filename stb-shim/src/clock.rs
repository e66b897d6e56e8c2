//! The clock that every machine in the box is driven by.
use cam_types::Instant;
use nix::sys::prctl::set_timerslack;
use nix::time::{ClockId, clock_gettime};

/// Microseconds of `CLOCK_MONOTONIC`.
pub fn now() -> Instant {
    // CLOCK_MONOTONIC exists on every Linux; were it to fail, time would stand still.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Instant::default(), |time| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_nsec() / 1_000;
        Instant::from_micros(u64::try_from(micros).unwrap_or(0))
    })
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
    #[test]
    fn waits_are_exact_where_asked() {
        std::thread::spawn(|| {
            super::wait_exactly();
            assert_eq!(nix::sys::prctl::get_timerslack(), Ok(1));
        })
        .join()
        .expect("the kernel knows the slack of a thread");
    }

    #[test]
    fn goes_forward() {
        let first = super::now();
        assert!(first.as_micros() > 0);
        assert!(super::now() >= first);
    }
}

//! The clock that every machine in the box is driven by.
use cam_types::Instant;
use nix::time::{ClockId, clock_gettime};

/// Microseconds of `CLOCK_MONOTONIC`.
pub fn now() -> Instant {
    // CLOCK_MONOTONIC exists on every Linux; were it to fail, time would stand still.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Instant::default(), |time| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_nsec() / 1_000;
        Instant::from_micros(u64::try_from(micros).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn goes_forward() {
        let first = super::now();
        assert!(first.as_micros() > 0);
        assert!(super::now() >= first);
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The first moment of a rig's clock: the machines must do the same from whichever they begin at.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use cam_types::Instant;

/// Just begun; and one second before a count of microseconds or milliseconds leaves 31 or 32 bits.
pub const MOMENTS: [Instant; 5] = [
    Instant::from_micros(0),
    before(1 << 31),
    before(1 << 32),
    before(1000 << 31),
    before(1000 << 32),
];

const fn before(micros: u64) -> Instant {
    Instant::from_micros(micros - 1_000_000)
}

/// The one that the rigs of this run begin at: STBCAM_FIRST_MOMENT_US, by which `make test-targets`
/// runs the tests of the machines from all of them; otherwise a clock that has just begun.
pub fn first() -> Instant {
    let given = std::env::var("STBCAM_FIRST_MOMENT_US").ok();
    given.map_or(MOMENTS[0], |micros| {
        Instant::from_micros(micros.parse().expect("STBCAM_FIRST_MOMENT_US is a number"))
    })
}

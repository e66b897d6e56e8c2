// SPDX-License-Identifier: Apache-2.0
//! Welch's test over the time of refusals, as dudect does it.
//!
//! Two classes, wrong at the first place and wrong at the last, drawn at random before each
//! presentation. The statistic t is computed over all times and over those below each of a hundred
//! thresholds, which close up towards the longest: what the machine did in between makes long
//! tails and hides small differences. The largest |t| counts.
//!
//! Normative reference: Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?",
//! DATE 2017.

use crate::attempts::{Place, presented};
use crate::kinds::{KINDS, Kind, PLANTED};
use std::process::ExitCode;

/// From here on dudect takes a difference for shown.
const LIMIT: f64 = 10.0;
/// Thresholds beside none.
const CROPS: i32 = 100;
/// A statistic of less than this is none.
const LEAST: f64 = 100.0;

/// Mean and variance as they grow (Welford).
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn push(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    fn variance_of_mean(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Welch's t of two classes; nothing of a class that is too small, or of one that does not vary.
fn welch([first, last]: [Moments; 2]) -> Option<f64> {
    let spread = first.variance_of_mean() + last.variance_of_mean();
    let enough = first.count >= LEAST && last.count >= LEAST;
    (enough && spread > 0.0).then(|| (first.mean - last.mean) / spread.sqrt())
}

/// The largest |t| over all thresholds.
fn largest(times: &[(bool, u64)]) -> f64 {
    let mut sorted: Vec<u64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_unstable();
    let thresholds = (1..=CROPS).map(|n| {
        let share = 1.0 - 0.5_f64.powf(10.0 * f64::from(n) / f64::from(CROPS));
        sorted[(share * sorted.len() as f64) as usize]
    });
    let t_below = |threshold: u64| {
        let mut classes = [Moments::default(); 2];
        for (last, time) in times.iter().filter(|(_, time)| *time < threshold) {
            classes[usize::from(*last)].push(*time as f64);
        }
        welch(classes)
    };
    thresholds.chain([u64::MAX]).filter_map(t_below).map(f64::abs).fold(0.0, f64::max)
}

/// Cycles of the time stamp counter, fenced; nanoseconds where there is none.
fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has both instructions, and they touch no memory.
    unsafe {
        use core::arch::x86_64::{_mm_lfence, _rdtsc};
        _mm_lfence();
        let cycles = _rdtsc();
        _mm_lfence();
        cycles
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        use std::sync::LazyLock;
        use std::time::Instant;
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_nanos() as u64
    }
}

fn timed(kind: &Kind, times: usize) -> Vec<(bool, u64)> {
    // Which class is next must not follow from the time: xorshift, seeded by the kind.
    let mut state = kind.name.bytes().fold(0x9E37_79B9_7F4A_7C15, |state: u64, octet| {
        (state ^ u64::from(octet)).wrapping_mul(0x0100_0000_01B3)
    });
    let mut measured = Vec::with_capacity(times);
    for _ in 0..times {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let last = state >> 63 == 1;
        let place = if last { kind.places - 1 } else { 0 };
        let mut attempt = (kind.attempt)(Place::At(place));
        let start = now();
        let answer = presented(&mut attempt);
        let time = now().wrapping_sub(start);
        drop(answer);
        measured.push((last, time));
    }
    // The first ones warm the machine up.
    measured.split_off(times / 20)
}

/// Prints the table; fails when one kind shows, or the planted one does not.
pub(crate) fn measure(times: usize) -> ExitCode {
    println!("{times} of each; |t| below {LIMIT} is asked for, and above it of what was planted\n");
    println!("| wrong at the first place, or at the last | median, cycles | largest \\|t\\| | |");
    println!("|---|---|---|---|");
    let mut sound = true;
    for kind in KINDS {
        let times = timed(kind, times);
        let mut sorted: Vec<u64> = times.iter().map(|(_, time)| *time).collect();
        sorted.sort_unstable();
        let t = largest(&times);
        let verdict = match (kind.name == PLANTED, t < LIMIT) {
            (true, true) => "NOT FOUND",
            (true, false) => "found",
            (false, true) => "",
            (false, false) if kind.name.starts_with("planted") => "found",
            (false, false) => "SHOWS",
        };
        sound &= !matches!(verdict, "NOT FOUND" | "SHOWS");
        println!("| {} | {} | {t:.1} | {verdict} |", kind.name, sorted[sorted.len() / 2]);
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

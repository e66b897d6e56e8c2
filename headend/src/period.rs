// SPDX-License-Identifier: Apache-2.0
//! Crypto periods: which control word is in use at which packet.
//!
//! All services change their control words at the same packet: the first one on air at or after the
//! boundary. Crypto periods are counted from 2000, so that their numbers never run back however
//! often a head-end starts; bit 0 is the parity.

use crate::timebase::{TICKS_PER_SECOND, Timebase};
use cam_types::{CasTime, Parity};
use std::ops::Range;

/// The crypto periods of a stream.
#[derive(Clone, Debug)]
pub struct Periods {
    first_number: u32,
    seconds: u32,
    /// The first packet of each; the first starts at packet 0.
    starts: Vec<usize>,
    packets: usize,
}

impl Periods {
    /// Cuts a stream of this many `packets` that starts at `start`, a multiple of `seconds`.
    pub fn new(time: &Timebase, packets: usize, start: CasTime, seconds: u32) -> Self {
        let mut starts = vec![0];
        loop {
            let boundary = starts.len() as i64 * i64::from(seconds) * TICKS_PER_SECOND;
            let first = time.first_at(boundary, packets);
            if first >= packets {
                break;
            }
            starts.push(first);
        }
        Self { first_number: start.seconds() / seconds.max(1), seconds, starts, packets }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The crypto period, counted from 0, that a packet belongs to.
    pub fn at(&self, packet: usize) -> usize {
        self.starts.partition_point(|&start| start <= packet).saturating_sub(1)
    }

    /// The one that is on `seconds` after the start; the last one after the end.
    pub fn during(&self, seconds: u32) -> usize {
        let period = seconds / self.seconds.max(1);
        usize::try_from(period).unwrap_or(usize::MAX).min(self.count().saturating_sub(1))
    }

    /// Its number on air: cp_number.
    pub fn number(&self, period: usize) -> u32 {
        // A period lasts 2 s at least and a file has fewer than 2^31 of them.
        self.first_number.wrapping_add(period as u32)
    }

    /// Which of the two control words scrambles it: even or odd, as its number on air.
    pub fn parity(&self, period: usize) -> Parity {
        Parity::of_crypto_period(self.number(period))
    }

    /// The packets that it scrambles, counted from 0 in the stream.
    pub fn packets(&self, period: usize) -> Range<usize> {
        let start = |period: usize| self.starts.get(period).copied().unwrap_or(self.packets);
        start(period)..start(period + 1)
    }

    /// Seconds from the start of the stream to the start of a crypto period.
    pub fn start_s(&self, period: usize) -> u32 {
        self.seconds.saturating_mul(period as u32)
    }

    /// Seconds from the start of the stream to the end of the last crypto period.
    pub fn end_s(&self) -> u32 {
        self.start_s(self.count())
    }
}

/// When packets are on air.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// By the clock.
    pub time: &'a Timebase,
    /// By the control word.
    pub periods: &'a Periods,
}

// SPDX-License-Identifier: Apache-2.0
//! ECM latency: how long ECMs take from air to descrambler.

use crate::Stats;
use alloc::boxed::Box;
use core::time::Duration;

/// The latencies of the last 1024 ECMs, and the longest of all.
pub(crate) struct Latencies {
    last: Box<[u32; Self::LAST]>,
    count: u64,
    max: u32,
}

impl Latencies {
    const LAST: usize = 1024;

    pub(crate) fn new() -> Self {
        Self { last: Box::new([0; Self::LAST]), count: 0, max: 0 }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        let place = (self.count % Self::LAST as u64) as usize;
        if let Some(slot) = self.last.get_mut(place) {
            *slot = micros;
        }
        self.count += 1;
        self.max = self.max.max(micros);
    }

    pub(crate) fn report(&self, stats: &mut Stats) {
        let held = usize::try_from(self.count).unwrap_or(Self::LAST).min(Self::LAST);
        let mut sorted = self.last.clone();
        let sorted = sorted.get_mut(..held).unwrap_or_default();
        sorted.sort_unstable();
        // The smallest value that so many hundredths of all do not exceed.
        let quantile = |hundredths: usize| {
            let rank = (held * hundredths).div_ceil(100);
            rank.checked_sub(1).and_then(|at| sorted.get(at)).copied().unwrap_or(0)
        };
        stats.ecm_latency_count = self.count;
        stats.ecm_latency_p50_us = quantile(50);
        stats.ecm_latency_p99_us = quantile(99);
        stats.ecm_latency_max_us = self.max;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_last_1024_and_the_maximum_of_all() {
        let mut latencies = Latencies::new();
        let mut stats = Stats::default();
        latencies.report(&mut stats);
        assert_eq!((stats.ecm_latency_p50_us, stats.ecm_latency_max_us), (0, 0));
        latencies.record(Duration::from_secs(9));
        for micros in 1..=1024 {
            latencies.record(Duration::from_micros(micros));
        }
        latencies.report(&mut stats);
        assert_eq!(stats.ecm_latency_count, 1025);
        assert_eq!(stats.ecm_latency_p50_us, 512);
        assert_eq!(stats.ecm_latency_p99_us, 1014);
        assert_eq!(stats.ecm_latency_max_us, 9_000_000);
    }
}

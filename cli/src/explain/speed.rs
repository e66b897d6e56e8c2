// SPDX-License-Identifier: Apache-2.0
//! Clocks and bit rates as text.
use iso7816::etu::LineParams;

/// F, D and the bit rate that they make.
pub(crate) fn rate(params: &LineParams) -> String {
    format!("{} bit/s ({}/{} at {})", params.baud(), params.f, params.d, mhz(params.clock_hz))
}

pub(super) fn mhz(hz: u32) -> String {
    let (whole, rest) = (hz / 1_000_000, hz % 1_000_000);
    let text = format!("{whole}.{rest:06}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} MHz")
}

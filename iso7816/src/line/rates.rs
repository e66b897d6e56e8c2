// SPDX-License-Identifier: Apache-2.0
//! Which F and D a card is asked for.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clause 9.3 (any F from Fd to Fi, any D from Dd to Di)
use super::{CardLine, Policy};
use crate::etu::{LineParams, clock_rate_conversion, rate_adjustment};

/// F and D after reset, Fd and Dd.
pub(super) const DEFAULT: (u16, u8) = (372, 1);

/// Which rates are still worth trying with this card.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    /// Only rates below this (F, D).
    below: Option<(u16, u8)>,
    /// How often PPS has failed.
    refusals: u8,
}

impl Rates {
    /// What ran as `params` failed: next time slower.
    pub(super) fn slower(&mut self, params: LineParams) {
        if (params.f, params.d) != DEFAULT {
            self.below = Some((params.f, params.d));
        }
    }

    /// PPS for `params` was not successful. The first time may have been a mishap: it is asked for
    /// again. The second is slower.
    pub(super) fn refuse(&mut self, params: LineParams) {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals > 1 {
            self.slower(params);
        }
    }

    /// PPS has failed so often that it is left out.
    pub(super) const fn refused(&self) -> bool {
        self.refusals >= Self::REFUSALS
    }

    /// The same rate twice, and a slower one.
    const REFUSALS: u8 = 3;
}

/// Compares D/F without dividing.
fn slower(a: (u16, u8), b: (u16, u8)) -> bool {
    u32::from(a.1) * u32::from(b.0) < u32::from(b.1) * u32::from(a.0)
}

impl Policy {
    /// Whether the reader can run this bit rate, 2 % off at most.
    pub fn runs(&self, baud: u32) -> bool {
        let off = self.baud_base.map_or(0, |base| {
            let divisor = base.saturating_add(baud / 2).checked_div(baud).unwrap_or(1).max(1);
            (base / divisor).abs_diff(baud)
        });
        baud <= self.max_baud && u64::from(off) * 50 <= u64::from(baud)
    }
}

impl CardLine {
    /// Whether the reader can run this rate.
    pub(super) fn fits(&self, f: u16, d: u8) -> bool {
        self.policy.runs(LineParams { f, d, ..self.params }.baud())
    }

    /// The fastest rate up to Fi and Di that fits and has not failed.
    pub(super) fn best_rate(&self, fi: u16, di: u8) -> (u16, u8) {
        if self.rates.refused() {
            return DEFAULT;
        }
        let mut best = DEFAULT;
        let mut consider = |f, d| {
            let allowed = !slower((fi, di), (f, d))
                && self.rates.below.is_none_or(|below| slower((f, d), below));
            if allowed && slower(best, (f, d)) && self.fits(f, d) {
                best = (f, d);
            }
        };
        // TA1 as it is comes first among equals.
        consider(fi, di);
        for d in (1..=9).filter_map(rate_adjustment).filter(|d| *d <= di) {
            for (f, _) in (1..=13).filter_map(clock_rate_conversion).filter(|(f, _)| *f <= fi) {
                consider(f, d);
            }
        }
        best
    }
}

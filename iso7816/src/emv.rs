// SPDX-License-Identifier: Apache-2.0
//! EMV contact level 1: the same line under stricter rules.
//!
//! Normative references:
//!  - EMV Contact Interface Specification 1.0, clauses 8 (answer to reset) and 9 (protocols)
//!
//! Heads up: no pay-TV card is bound by this, and many would be refused. It is a profile to choose,
//! never the default.
use crate::atr::Atr;
use crate::etu::LineParams;
use crate::t1::Edc;
use core::fmt;
use core::time::Duration;

/// Whose rules hold where they differ.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Profile {
    /// ISO/IEC 7816-3, with the freedom that pay-TV cards need.
    #[default]
    Iso,
    /// EMV contact level 1: no PPS, no RESYNCH, no ABORT; whatever fails ends in deactivation.
    EmvLevel1,
}

impl Profile {
    /// From the end of the card's last character to our first on T=0, so that leading edges are 12
    /// etu apart, or 16 with EMV.
    pub const fn turnaround_etu(self) -> u64 {
        match self {
            Self::Iso => 2,
            Self::EmvLevel1 => 6,
        }
    }

    /// The longest gap between two characters of an answer to reset, in etu.
    pub const fn atr_gap_etu(self) -> u64 {
        match self {
            Self::Iso => 9600,
            Self::EmvLevel1 => 10_080,
        }
    }

    /// What a terminal adds to the waiting time of T=0.
    pub fn wt_tolerance(self, line: &LineParams) -> Duration {
        match self {
            Self::Iso => Duration::ZERO,
            Self::EmvLevel1 => line.etus(480 * u64::from(line.d)),
        }
    }

    /// What a terminal adds to the character waiting time of T=1.
    pub fn cwt_tolerance(self, line: &LineParams) -> Duration {
        match self {
            Self::Iso => Duration::ZERO,
            Self::EmvLevel1 => line.etus(4),
        }
    }

    /// What a terminal adds to the block waiting time of T=1.
    pub fn bwt_tolerance(self, line: &LineParams) -> Duration {
        match self {
            Self::Iso => Duration::ZERO,
            Self::EmvLevel1 => line.etus(960 * u64::from(line.d)),
        }
    }
}

/// F and D that a basic answer to reset leads to: those of TA1 in specific mode, else the default.
///
/// TB1 has to be 00 after a cold reset and may be anything after a warm one.
pub fn basic(atr: &Atr, cold: bool) -> Result<(u16, u8), NotBasic> {
    let refuse = |octet, got| Err(NotBasic { octet, got });
    if !atr.warnings().is_empty() {
        return refuse("structure", None);
    }
    if cold && atr.interface_octet(1, 'B') != Some(0) {
        return refuse("TB1", atr.interface_octet(1, 'B'));
    }
    if atr.first_protocol() > 1 {
        return refuse("TD1", atr.interface_octet(1, 'D'));
    }
    if let Some(tb2) = atr.interface_octet(2, 'B') {
        return refuse("TB2", Some(tb2));
    }
    if atr.interface_octet(2, 'C').is_some_and(|wi| wi != 10) {
        return refuse("TC2", atr.interface_octet(2, 'C'));
    }
    let rate = match (atr.specific_mode(), atr.ta1().unwrap_or(0x11)) {
        (None, _) => (372, 1),
        (Some(mode), 0x11..=0x13) if !mode.implicit && mode.protocol == atr.first_protocol() => {
            (atr.rate().0, atr.rate().1)
        }
        (Some(mode), _) if mode.implicit || mode.protocol != atr.first_protocol() => {
            return refuse("TA2", atr.interface_octet(2, 'A'));
        }
        (Some(_), ta1) => return refuse("TA1", Some(ta1)),
    };
    if atr.first_protocol() == 1 {
        let t1 = atr.t1();
        if atr.interface_octet(3, 'A').is_some_and(|ifsc| ifsc < 0x10) {
            return refuse("TA3", atr.interface_octet(3, 'A'));
        }
        let n = atr.extra_guard();
        let gap = if n == 255 { 0 } else { u32::from(n) + 1 };
        let tb3 = atr.interface_octet(3, 'B');
        if tb3.is_none() || t1.bwi > 4 || t1.cwi > 5 || (1 << t1.cwi) <= gap {
            return refuse("TB3", tb3);
        }
        if t1.edc != Edc::Lrc {
            return refuse("TC3", atr.interface_octet(3, 'C'));
        }
    }
    Ok(rate)
}

/// An answer to reset outside what EMV calls basic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotBasic {
    /// The octet that is outside, or `structure`.
    pub octet: &'static str,
    /// What it is; `None` when it is missing.
    pub got: Option<u8>,
}

impl fmt::Display for NotBasic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.got {
            Some(got) => write!(f, "EMV does not allow {} to be {got:02X}", self.octet),
            None => write!(f, "EMV does not allow this answer to reset: {}", self.octet),
        }
    }
}

impl core::error::Error for NotBasic {}

// SPDX-License-Identifier: Apache-2.0
//! Answer to reset.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clause 8.2 (structure), 8.3 (global interface octets), 10.2 and 11.4
//!    (octets of T=0 and T=1)
//!
//! Heads up: cards in the field break the standard in well-known ways. What is merely odd is
//! accepted under [`AtrPolicy`] and remembered in [`AtrWarnings`]; what leaves the meaning open is
//! an [`AtrError`].
mod warnings;

pub use warnings::AtrWarnings;

use crate::etu::{Convention, LineParams, clock_rate_conversion, rate_adjustment};
use crate::t1::{Edc, INITIAL_IFS, T1Params};
use core::fmt;
use core::time::Duration;

/// What an answer to reset says, checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Atr {
    octets: [u8; Self::MAX_LEN],
    len: usize,
    historical: (usize, usize),
    ta1: Option<u8>,
    tc1: Option<u8>,
    ta2: Option<u8>,
    wi: u8,
    t1: T1Params,
    t15: Option<u8>,
    spu: Option<u8>,
    first: u8,
    offered: u16,
    warnings: AtrWarnings,
}

/// How much of an answer to reset is still to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// At least so many octets more.
    More(usize),
    /// It has so many octets; whatever follows is not part of it.
    Complete(usize),
    /// It would have more than 33 octets.
    Overlong,
}

/// Specific mode: the card starts with these parameters at once, without PPS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SpecificMode {
    /// T.
    pub protocol: u8,
    /// A warm reset may bring the card to negotiable mode.
    pub may_change: bool,
    /// F and D are known by some other way than TA1.
    pub implicit: bool,
}

/// The structure: where the octets are, and what an octet position means.
struct Layout {
    historical: (usize, usize),
    /// Length without TCK.
    body: usize,
    tck: bool,
}

impl Atr {
    /// Octets of the longest answer to reset: TS and 32 more.
    pub const MAX_LEN: usize = 33;

    /// Walks the interface octets that have come and says where the end is.
    pub fn expect(octets: &[u8]) -> Expect {
        match Self::layout(octets, |_, _, _, _| ()) {
            Ok(layout) => {
                let len = layout.body + usize::from(layout.tck);
                if len > Self::MAX_LEN {
                    Expect::Overlong
                } else if octets.len() < len {
                    Expect::More(len - octets.len())
                } else {
                    Expect::Complete(len)
                }
            }
            Err(at) if at >= Self::MAX_LEN => Expect::Overlong,
            Err(at) => Expect::More(at + 1 - octets.len().min(at)),
        }
    }

    /// Visits every interface octet as (level, letter, T, value), TD octets included, and says
    /// where things are; `Err` is the position of the first octet that is missing.
    fn layout(
        octets: &[u8],
        mut visit: impl FnMut(usize, char, Option<u8>, u8),
    ) -> Result<Layout, usize> {
        let octet = |at: usize| octets.get(at).copied().ok_or(at);
        octet(0)?;
        let t0 = octet(1)?;
        let (mut indicator, mut at, mut level, mut t, mut tck) = (t0, 2, 1, None, false);
        loop {
            let mut td = None;
            for (bit, letter) in [(0x10, 'A'), (0x20, 'B'), (0x40, 'C'), (0x80, 'D')] {
                if indicator & bit != 0 {
                    let value = octet(at)?;
                    visit(level, letter, t, value);
                    at += 1;
                    if letter == 'D' {
                        td = Some(value);
                    }
                }
            }
            let Some(value) = td else { break };
            indicator = value;
            t = Some(value & 0x0F);
            tck |= value & 0x0F != 0;
            level += 1;
        }
        let historical = (at, at + usize::from(t0 & 0x0F));
        Ok(Layout { historical, body: historical.1, tck })
    }

    /// Visits every interface octet that has come, TD octets included, as (level, letter, T,
    /// value): TC2 is `(2, 'C', _, _)`, T that of the TD octet which announced it. They stand
    /// without a gap from index 2 on.
    pub fn visit(octets: &[u8], visit: impl FnMut(usize, char, Option<u8>, u8)) {
        // What is missing at the end is `expect`'s to say.
        let _ = Self::layout(octets, visit);
    }

    /// Reads a whole answer to reset in logical octets (TS is 3B or 3F).
    pub fn parse(octets: &[u8], policy: AtrPolicy) -> Result<Self, AtrError> {
        match octets.first() {
            Some(0x3B | 0x3F) => {}
            Some(ts) => return Err(AtrError::Ts(*ts)),
            None => return Err(AtrError::Short),
        }
        let mut atr = Self {
            octets: [0; Self::MAX_LEN],
            len: 0,
            historical: (0, 0),
            ta1: None,
            tc1: None,
            ta2: None,
            wi: 10,
            t1: T1Params::default(),
            t15: None,
            spu: None,
            first: 0,
            offered: 0,
            warnings: AtrWarnings::NONE,
        };
        let mut seen = Seen::default();
        let layout = Self::layout(octets, |level, letter, t, value| {
            atr.interface(&mut seen, level, letter, t, value);
        })
        .map_err(|at| if at >= Self::MAX_LEN { AtrError::Overlong } else { AtrError::Short })?;
        if atr.offered == 0 {
            atr.offered = 1;
        }
        atr.historical = layout.historical;
        let len = layout.body + usize::from(layout.tck);
        if len > Self::MAX_LEN {
            return Err(AtrError::Overlong);
        }
        if octets.len() < layout.body {
            return Err(AtrError::Short);
        }
        match octets.split_at_checked(len) {
            // TCK although T=0 needs none, and it is right.
            Some((_, [_])) if !layout.tck && sum(octets) == 0 => {
                atr.warnings |= AtrWarnings::SPARE_TCK;
            }
            Some((_, [_, ..])) => atr.warnings |= AtrWarnings::TRAILING,
            _ => {}
        }
        let octets = octets.get(..len).unwrap_or(octets);
        if layout.tck {
            if octets.len() < len {
                atr.warnings |= AtrWarnings::NO_TCK;
            } else if sum(octets) != 0 {
                atr.warnings |= AtrWarnings::WRONG_TCK;
            }
        }
        for (place, octet) in atr.octets.iter_mut().zip(octets) {
            *place = *octet;
        }
        atr.len = octets.len();
        if let Some(ta1) = atr.ta1
            && (clock_rate_conversion(ta1 >> 4).is_none() || rate_adjustment(ta1 & 0x0F).is_none())
        {
            atr.warnings |= AtrWarnings::RESERVED_RATE;
            atr.ta1 = None;
        }
        if atr.warnings.contains(AtrWarnings::RESERVED_IFSC) {
            atr.t1.ifsc = policy.reserved_ifsc;
        }
        let refused = atr.warnings.without(policy.tolerate);
        if refused.is_empty() { Ok(atr) } else { Err(AtrError::Refused(refused)) }
    }

    fn interface(&mut self, seen: &mut Seen, level: usize, letter: char, t: Option<u8>, value: u8) {
        let first_for = |seen: &mut u16, t: u8| {
            let bit = 1 << (t & 0x0F);
            let first = *seen & bit == 0;
            *seen |= bit;
            first
        };
        match (level, letter, t) {
            (1, 'A', _) => self.ta1 = Some(value),
            (1, 'C', _) => self.tc1 = Some(value),
            (2, 'A', _) => self.ta2 = Some(value),
            (2, 'C', _) if value == 0 => self.warnings |= AtrWarnings::RESERVED_WI,
            (2, 'C', _) => self.wi = value,
            (_, 'D', _) => {
                let t = value & 0x0F;
                if (level == 1 && t == 15) || t < seen.last_t {
                    self.warnings |= AtrWarnings::ORDER;
                }
                seen.last_t = t;
                if t != 15 {
                    if self.offered == 0 {
                        self.first = t;
                    }
                    self.offered |= 1 << t;
                }
            }
            // TB1 and TB2 spoke of Vpp, which no card has any more.
            (..=2, _, _) => {}
            (_, 'A', Some(1)) if first_for(&mut seen.ta, 1) => match value {
                0 | 0xFF => self.warnings |= AtrWarnings::RESERVED_IFSC,
                ifsc => self.t1.ifsc = ifsc,
            },
            (_, 'B', Some(1)) if first_for(&mut seen.tb, 1) => {
                if value >> 4 > 9 {
                    self.warnings |= AtrWarnings::RESERVED_BWI;
                }
                self.t1.bwi = (value >> 4).min(9);
                self.t1.cwi = value & 0x0F;
            }
            (_, 'C', Some(1)) if first_for(&mut seen.tc, 1) => {
                self.t1.edc = if value & 1 == 1 { Edc::Crc } else { Edc::Lrc };
            }
            (_, 'A', Some(15)) if first_for(&mut seen.ta, 15) => self.t15 = Some(value),
            (_, 'B', Some(15)) if first_for(&mut seen.tb, 15) => self.spu = Some(value),
            _ => {}
        }
    }

    /// The octets as they came, TS first, without what trailed behind.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&[])
    }

    /// T1 to TK, as many as T0 says; what they mean is the issuer's.
    pub fn historical(&self) -> &[u8] {
        self.octets.get(self.historical.0..self.historical.1).unwrap_or(&[])
    }

    /// What TS says.
    pub const fn convention(&self) -> Convention {
        if self.octets[0] == 0x3F { Convention::Inverse } else { Convention::Direct }
    }

    /// TA1, unless it is absent or holds a reserved code.
    pub const fn ta1(&self) -> Option<u8> {
        self.ta1
    }

    /// Fi, Di and the highest clock frequency in Hz, by TA1 or by default.
    pub fn rate(&self) -> (u16, u8, u32) {
        let ta1 = self.ta1.unwrap_or(0x11);
        match (clock_rate_conversion(ta1 >> 4), rate_adjustment(ta1 & 0x0F)) {
            (Some((f, fmax)), Some(d)) => (f, d, fmax),
            _ => (372, 1, 5_000_000),
        }
    }

    /// N of TC1; 255 asks for the shortest guard time of the protocol.
    pub fn extra_guard(&self) -> u8 {
        self.tc1.unwrap_or(0)
    }

    /// The guard time of characters to the card at F and D, in etu.
    pub fn guard_etu(&self, protocol: u8, f: u16, d: u8) -> u16 {
        match (self.extra_guard(), self.t15) {
            (255, _) if protocol == 1 => 11,
            (255, _) => 12,
            (n, None) => 12 + u16::from(n),
            // With T=15, N counts in units of Fi/Di, not of the F/D in use.
            (n, Some(_)) => {
                let (fi, di, _) = self.rate();
                let etus = (u32::from(n) * u32::from(fi) * u32::from(d))
                    .div_ceil((u32::from(di) * u32::from(f)).max(1));
                u16::try_from(etus).unwrap_or(u16::MAX).saturating_add(12)
            }
        }
    }

    /// TA2: the card is in specific mode; `None` when it takes PPS.
    pub fn specific_mode(&self) -> Option<SpecificMode> {
        self.ta2.map(|ta2| SpecificMode {
            protocol: ta2 & 0x0F,
            may_change: ta2 & 0x80 == 0,
            implicit: ta2 & 0x10 != 0,
        })
    }

    /// T of the protocol that the card offers first.
    pub const fn first_protocol(&self) -> u8 {
        self.first
    }

    /// Whether the card offers this T.
    pub const fn offers(&self, protocol: u8) -> bool {
        protocol < 15 && self.offered & (1 << protocol) != 0
    }

    /// WI of TC2, 10 by default.
    pub const fn wi(&self) -> u8 {
        self.wi
    }

    /// How long this T lets the card be silent on this line: BWT of T=1, WT of every other one.
    pub fn waiting_time(&self, protocol: u8, line: &LineParams) -> Duration {
        match protocol {
            1 => line.bwt(self.t1.bwi),
            _ => line.wt(self.wi, self.rate().0),
        }
    }

    /// What the card says about T=1.
    pub const fn t1(&self) -> T1Params {
        self.t1
    }

    /// The first TA for T=15: clock stop and classes of operating conditions.
    pub const fn t15(&self) -> Option<u8> {
        self.t15
    }

    /// The first TB for T=15: use of SPU, the contact C6.
    pub const fn spu(&self) -> Option<u8> {
        self.spu
    }

    /// An interface octet as it came: `(1, 'A')` is TA1.
    pub fn interface_octet(&self, level: usize, letter: char) -> Option<u8> {
        let mut found = None;
        let _ = Self::layout(self.octets(), |at_level, at_letter, _, value| {
            if (at_level, at_letter) == (level, letter) {
                found = Some(value);
            }
        });
        found
    }

    /// What was odd and let pass.
    pub const fn warnings(&self) -> AtrWarnings {
        self.warnings
    }

    /// Odd in a way that a lost, doubled or damaged octet looks like.
    pub(crate) fn doubtful(&self) -> bool {
        let doubts = AtrWarnings::WRONG_TCK
            | AtrWarnings::NO_TCK
            | AtrWarnings::TRAILING
            | AtrWarnings::PARITY
            | AtrWarnings::NOISE;
        self.warnings.without(doubts) != self.warnings
    }

    /// Adds a warning that only the line can see.
    pub(crate) fn warn(&mut self, warning: AtrWarnings) {
        self.warnings |= warning;
    }
}

/// The exclusive-or of T0 to TCK.
fn sum(octets: &[u8]) -> u8 {
    octets.iter().skip(1).fold(0, |sum, octet| sum ^ octet)
}

/// Which octets were met before: only the first of a kind counts.
#[derive(Default)]
struct Seen {
    last_t: u8,
    ta: u16,
    tb: u16,
    tc: u16,
}

/// Which oddities are let pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AtrPolicy {
    /// These become warnings, all others errors.
    pub tolerate: AtrWarnings,
    /// IFSC of a card that says 00 or FF. Three pay-TV cards say FF and take 254.
    pub reserved_ifsc: u8,
}

impl AtrPolicy {
    /// By the letter of the standard.
    pub const STRICT: Self = Self { tolerate: AtrWarnings::NONE, reserved_ifsc: INITIAL_IFS };
    /// Everything that real pay-TV cards do.
    pub const TOLERANT: Self = Self { tolerate: AtrWarnings::ALL, reserved_ifsc: INITIAL_IFS };
}

impl Default for AtrPolicy {
    fn default() -> Self {
        Self::TOLERANT
    }
}

/// Why octets are not an answer to reset that we can work with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AtrError {
    /// TS is neither 3B nor 3F.
    Ts(u8),
    /// It stopped before its end.
    Short,
    /// It announces more than 33 octets.
    Overlong,
    /// Parity errors.
    Damaged,
    /// Odd in a way that the policy does not let pass.
    Refused(AtrWarnings),
}

impl fmt::Display for AtrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ts(ts) => write!(f, "TS is {ts:02X}, expected 3B or 3F"),
            Self::Short => f.write_str("answer to reset stopped before its end"),
            Self::Overlong => f.write_str("answer to reset announces more than 33 octets"),
            Self::Damaged => f.write_str("answer to reset with parity errors"),
            Self::Refused(why) => write!(f, "answer to reset with {why}"),
        }
    }
}

impl core::error::Error for AtrError {}

// SPDX-License-Identifier: Apache-2.0
//! The elementary time unit and every waiting time that is counted in it.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clauses 7 and 8.3 (tables 7 and 8), 10.2 (WT), 11.4.3 (CWT, BWT, BGT)
use core::ops::RangeInclusive;
use core::time::Duration;

/// The clock in Hz that readers usually give a card: the crystal of the NTSC colour carrier, 9622
/// bit/s at F 372. It is taken where a reader does not say.
pub const USUAL_CLOCK_HZ: u32 = 3_579_545;

/// The clock in Hz that a GemPC Twin gives its card.
pub const GEMPC_CLOCK_HZ: u32 = 4_000_000;

/// The clocks in Hz that a reader may be said to have; beyond them somebody has mistaken the unit.
pub const CLOCKS_HZ: RangeInclusive<u32> = 1_000_000..=20_000_000;

/// The highest bit rate of a reader that does not say.
pub const USUAL_MAX_BAUD: u32 = 1_000_000;

/// The clock rate conversion integer F and the highest clock frequency in Hz for FI; `None` for a
/// reserved code.
pub const fn clock_rate_conversion(fi: u8) -> Option<(u16, u32)> {
    Some(match fi {
        0x0 => (372, 4_000_000),
        0x1 => (372, 5_000_000),
        0x2 => (558, 6_000_000),
        0x3 => (744, 8_000_000),
        0x4 => (1116, 12_000_000),
        0x5 => (1488, 16_000_000),
        0x6 => (1860, 20_000_000),
        0x9 => (512, 5_000_000),
        0xA => (768, 7_500_000),
        0xB => (1024, 10_000_000),
        0xC => (1536, 15_000_000),
        0xD => (2048, 20_000_000),
        _ => return None,
    })
}

/// The baud rate adjustment integer D for DI; `None` for a reserved code.
pub const fn rate_adjustment(di: u8) -> Option<u8> {
    Some(match di {
        0x1 => 1,
        0x2 => 2,
        0x3 => 4,
        0x4 => 8,
        0x5 => 16,
        0x6 => 32,
        0x7 => 64,
        0x8 => 12,
        0x9 => 20,
        _ => return None,
    })
}

/// FI and DI of a rate; FI as TA1 has it where two codes mean the same.
pub fn rate_codes(f: u16, d: u8, ta1: Option<u8>) -> u8 {
    let same = |fi: &u8| clock_rate_conversion(*fi).is_some_and(|(value, _)| value == f);
    let fi = ta1.map(|ta1| ta1 >> 4).filter(same).or_else(|| (1..=15).find(same)).unwrap_or(1);
    let di = (1..=9).find(|di| rate_adjustment(*di) == Some(d)).unwrap_or(1);
    fi << 4 | di
}

/// How logical octets are put on the line.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Convention {
    /// Least significant bit first, high is one (TS = 3B). A UART uses even parity.
    #[default]
    Direct,
    /// Most significant bit first, low is one (TS = 3F, raw 03). A UART uses odd parity.
    Inverse,
}

impl Convention {
    /// From the logical octet to what a UART sends, and back: the mapping is its own inverse.
    pub const fn map(self, octet: u8) -> u8 {
        match self {
            Self::Direct => octet,
            Self::Inverse => (!octet).reverse_bits(),
        }
    }
}

/// How the line runs: what a reader needs to know to send and receive characters.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LineParams {
    /// Clock rate conversion integer F.
    pub f: u16,
    /// Baud rate adjustment integer D.
    pub d: u8,
    /// From one leading edge to the next, of characters to the card: 11, 12 or more etu.
    pub guard_etu: u16,
    /// How octets are put on the line; a UART takes its parity from it.
    pub convention: Convention,
    /// The card's clock in Hz.
    pub clock_hz: u32,
    /// T of the protocol that runs, 0 before one does: for a reader that keeps times or repeats
    /// characters by itself.
    pub protocol: u8,
}

impl LineParams {
    /// F and D from reset until something else is agreed: 372 and 1, 12 etu.
    pub const fn initial(clock_hz: u32) -> Self {
        let convention = Convention::Direct;
        Self { f: 372, d: 1, guard_etu: 12, convention, clock_hz, protocol: 0 }
    }

    /// Bits per second, rounded.
    pub const fn baud(&self) -> u32 {
        let f = if self.f == 0 { 1 } else { self.f as u64 };
        ((self.clock_hz as u64 * self.d as u64 + f / 2) / f) as u32
    }

    /// So many elementary time units, rounded up to the next microsecond.
    pub const fn etus(&self, count: u64) -> Duration {
        let divisor = self.d as u128 * self.clock_hz as u128;
        if divisor == 0 {
            return Duration::MAX;
        }
        let micros = (count as u128 * self.f as u128 * 1_000_000).div_ceil(divisor);
        Duration::from_micros(if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 })
    }

    /// How long it takes to send so many characters to the card.
    pub const fn sending(&self, characters: usize) -> Duration {
        self.etus((characters as u64).saturating_mul(self.guard_etu as u64))
    }

    /// So many card clock cycles.
    pub const fn clocks(&self, count: u64) -> Duration {
        if self.clock_hz == 0 {
            return Duration::MAX;
        }
        let micros = (count as u128 * 1_000_000).div_ceil(self.clock_hz as u128);
        Duration::from_micros(if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 })
    }

    /// The waiting time of T=0, WI × 960 × Fi / f. `fi` is the F of TA1, whatever PPS agreed on.
    pub const fn wt(&self, wi: u8, fi: u16) -> Duration {
        self.clocks(wi as u64 * 960 * fi as u64)
    }

    /// The character waiting time of T=1, (11 + 2^CWI) etu.
    pub const fn cwt(&self, cwi: u8) -> Duration {
        self.etus(11 + (1 << (cwi & 0x0F)))
    }

    /// The block waiting time of T=1, 11 etu + 2^BWI × 960 × 372 / f. BWI above 9 is reserved and
    /// counts as 9.
    pub fn bwt(&self, bwi: u8) -> Duration {
        self.etus(11).saturating_add(self.clocks((960 * 372) << bwi.min(9)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(f: u16, d: u8, clock_hz: u32) -> LineParams {
        LineParams { f, d, ..LineParams::initial(clock_hz) }
    }

    /// Bit rates and times of the usual cards, in bit/s and whole milliseconds.
    #[test]
    fn rates_and_times() {
        let table = [
            // F, D, clock, bit/s, WT (WI 10), BWT (BWI 4), CWT (CWI 13)
            (372, 1, 3_579_545, 9_622, 998, 1_597, 852),
            (372, 4, 3_579_545, 38_490, 998, 1_597, 213),
            (372, 12, 3_579_545, 115_469, 998, 1_596, 71),
            (512, 16, 3_579_545, 111_861, 1_373, 1_596, 73),
            (512, 32, 5_000_000, 312_500, 983, 1_143, 26),
            (372, 1, 6_000_000, 16_129, 595, 953, 509),
        ];
        for (f, d, clock, baud, wt, bwt, cwt) in table {
            let line = line(f, d, clock);
            assert_eq!(line.baud(), baud);
            let ms = |d: Duration| (d.as_micros() + 500) / 1000;
            assert_eq!(ms(line.wt(10, f)), wt, "WT at {baud}");
            assert!(ms(line.bwt(4)).abs_diff(bwt) <= 1, "BWT at {baud}");
            assert!(ms(line.cwt(13)).abs_diff(cwt) <= 1, "CWT at {baud}");
        }
    }

    /// ISO/IEC 7816-3:2006 tables 7 and 8.
    #[test]
    fn fi_and_di() {
        let table = [372, 372, 558, 744, 1116, 1488, 1860, 0, 0, 512, 768, 1024, 1536, 2048, 0, 0];
        let clocks = [40, 50, 60, 80, 120, 160, 200, 0, 0, 50, 75, 100, 150, 200, 0, 0];
        for (fi, (f, clock)) in (0..).zip(table.into_iter().zip(clocks)) {
            let expected = (f > 0).then_some((f, clock * 100_000));
            assert_eq!(clock_rate_conversion(fi), expected, "FI {fi:X}");
        }
        let table = [0, 1, 2, 4, 8, 16, 32, 64, 12, 20, 0, 0, 0, 0, 0, 0];
        for (di, d) in (0..).zip(table) {
            assert_eq!(rate_adjustment(di), (d > 0).then_some(d), "DI {di:X}");
        }
    }

    #[test]
    fn codes_of_more_than_four_bits_are_none() {
        assert!((16..=255).all(|code| clock_rate_conversion(code).is_none()));
        assert!((16..=255).all(|code| rate_adjustment(code).is_none()));
    }

    #[test]
    fn conventions() {
        assert_eq!(Convention::Inverse.map(0x03), 0x3F);
        for octet in 0..=255 {
            assert_eq!(Convention::Inverse.map(Convention::Inverse.map(octet)), octet);
            assert_eq!(Convention::Direct.map(octet), octet);
        }
    }

    #[test]
    fn nonsense_does_not_panic() {
        let line = line(0, 0, 0);
        assert_eq!(line.baud(), 0);
        assert_eq!(line.etus(u64::MAX), Duration::MAX);
        assert_eq!(line.clocks(u64::MAX), Duration::MAX);
        let _ = (line.wt(255, u16::MAX), line.bwt(255), line.cwt(255), line.sending(usize::MAX));
    }
}

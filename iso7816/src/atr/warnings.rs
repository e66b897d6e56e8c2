// SPDX-License-Identifier: Apache-2.0
//! What can be odd about an answer to reset.
use core::fmt;
use core::ops::{BitOr, BitOrAssign};

/// Oddities of an answer to reset, as a set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AtrWarnings(u16);

impl AtrWarnings {
    /// Every oddity there is or will be.
    pub const ALL: Self = Self(u16::MAX);
    /// Nothing odd.
    pub const NONE: Self = Self(0);
    /// TCK does not match.
    pub const WRONG_TCK: Self = Self(1);
    /// TCK never came.
    pub const NO_TCK: Self = Self(1 << 1);
    /// T=15 first, or protocols in falling order.
    pub const ORDER: Self = Self(1 << 2);
    /// TA1 holds a reserved code; 372 and 1 hold instead.
    pub const RESERVED_RATE: Self = Self(1 << 3);
    /// WI is 00; 10 holds instead.
    pub const RESERVED_WI: Self = Self(1 << 4);
    /// IFSC is 00 or FF; [`AtrPolicy::reserved_ifsc`](super::AtrPolicy::reserved_ifsc) holds
    /// instead.
    pub const RESERVED_IFSC: Self = Self(1 << 5);
    /// BWI is above 9; 9 holds instead.
    pub const RESERVED_BWI: Self = Self(1 << 6);
    /// Octets behind the end, thrown away.
    pub const TRAILING: Self = Self(1 << 7);
    /// Parity errors, let pass because the reader had yet to learn the convention.
    pub const PARITY: Self = Self(1 << 8);
    /// The reader's clock is faster than Fi of TA1 allows.
    pub const OVERCLOCKED: Self = Self(1 << 9);
    /// TCK though only T=0 is offered.
    pub const SPARE_TCK: Self = Self(1 << 10);

    /// Octets in front of TS, passed over.
    pub const NOISE: Self = Self(1 << 11);

    const NAMES: [(Self, &str); 12] = [
        (Self::WRONG_TCK, "wrong TCK"),
        (Self::NO_TCK, "no TCK"),
        (Self::ORDER, "protocols out of order"),
        (Self::RESERVED_RATE, "reserved TA1"),
        (Self::RESERVED_WI, "WI 00"),
        (Self::RESERVED_IFSC, "reserved IFSC"),
        (Self::RESERVED_BWI, "reserved BWI"),
        (Self::TRAILING, "trailing octets"),
        (Self::PARITY, "parity errors"),
        (Self::OVERCLOCKED, "clock above the card's limit"),
        (Self::SPARE_TCK, "TCK with T=0 only"),
        (Self::NOISE, "octets in front of TS"),
    ];

    /// Whether all of `other` are in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The set without all of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for AtrWarnings {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for AtrWarnings {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for AtrWarnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (warning, name) in Self::NAMES {
            if self.contains(warning) {
                write!(f, "{between}{name}")?;
                between = ", ";
            }
        }
        Ok(())
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Money: an amount in fen, which prints as yuan and never overflows unseen.

use core::fmt;
use core::str::FromStr;

/// An amount of money in fen, the minor unit of the renminbi (1 yuan = 100 fen).
///
/// PBOC commands carry amounts as unsigned 32-bit big-endian fen. `Add` and `Sub` are deliberately
/// not implemented: an overflow is a rejected transaction, so every sum is checked where it is
/// formed. Prints as `12.05` and is read from the same form.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fen(u32);

impl Fen {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount of so many fen.
    pub const fn new(fen: u32) -> Self {
        Self(fen)
    }

    /// The amount that these four octets carry.
    pub const fn from_be_bytes(octets: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(octets))
    }

    /// The amount as a command carries it.
    pub const fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// The number of fen.
    pub const fn fen(self) -> u32 {
        self.0
    }

    /// The sum, or `None` when it does not fit the purse's 32 bits.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` when `other` is the larger.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }
}

impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParseFenError {
    /// Not decimal digits with at most one point.
    NotANumber,
    /// More than two digits after the point: there is nothing smaller than a fen.
    TooManyDecimals,
    /// More than 42,949,672.95 yuan.
    TooLarge,
}

impl fmt::Display for ParseFenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "not an amount: write it like 12.05",
            Self::TooManyDecimals => "an amount has at most two decimals",
            Self::TooLarge => "amount over 42949672.95",
        })
    }
}

impl core::error::Error for ParseFenError {}

impl FromStr for Fen {
    type Err = ParseFenError;

    fn from_str(text: &str) -> Result<Self, ParseFenError> {
        let (yuan, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if yuan.is_empty() || !digits(yuan) || !digits(decimals) || text.ends_with('.') {
            return Err(ParseFenError::NotANumber);
        }
        if decimals.len() > 2 {
            return Err(ParseFenError::TooManyDecimals);
        }
        let padding = "00".get(decimals.len()..).unwrap_or("");
        let mut fen: u32 = 0;
        for digit in yuan.bytes().chain(decimals.bytes()).chain(padding.bytes()) {
            fen = fen
                .checked_mul(10)
                .and_then(|n| n.checked_add(u32::from(digit - b'0')))
                .ok_or(ParseFenError::TooLarge)?;
        }
        Ok(Self(fen))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn amounts_are_written_and_read_in_yuan() {
        for (text, fen) in [("0.00", 0), ("0.05", 5), ("12.05", 1205), ("42949672.95", u32::MAX)] {
            assert_eq!(Fen::new(fen).to_string(), text);
            assert_eq!(text.parse(), Ok(Fen::new(fen)));
        }
        assert_eq!("12".parse(), Ok(Fen::new(1200)));
        assert_eq!("12.5".parse(), Ok(Fen::new(1250)));
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for (text, why) in [
            ("", ParseFenError::NotANumber),
            ("-1", ParseFenError::NotANumber),
            ("1.", ParseFenError::NotANumber),
            ("1.2.3", ParseFenError::NotANumber),
            ("1.234", ParseFenError::TooManyDecimals),
            ("42949672.96", ParseFenError::TooLarge),
        ] {
            assert_eq!(text.parse::<Fen>(), Err(why), "{text}");
        }
    }

    #[test]
    fn sums_are_checked() {
        assert_eq!(Fen::new(u32::MAX).checked_add(Fen::new(1)), None);
        assert_eq!(Fen::new(1).checked_sub(Fen::new(2)), None);
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Octets as an engineer types and reads them.
use std::fmt;

/// Reads pairs of hexadecimal digits; blanks may stand between them. The error does not repeat the
/// digits: they may be a PIN.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut digits = Vec::new();
    for (at, character) in text.chars().enumerate().filter(|(_, c)| !c.is_whitespace()) {
        let digit = character.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digits.push(digit.ok_or(HexError::Digit { place: at + 1 })?);
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    match rest {
        _ if digits.is_empty() => Err(HexError::Empty),
        [] => Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect()),
        _ => Err(HexError::Odd { digits: digits.len() }),
    }
}

/// In pairs, with blanks between.
pub(crate) fn text(octets: &[u8]) -> String {
    let pairs: Vec<String> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    pairs.join(" ")
}

/// Why text is not octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HexError {
    Empty,
    Odd { digits: usize },
    Digit { place: usize },
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing there, expected pairs of hexadecimal digits"),
            Self::Odd { digits } => {
                write!(f, "{digits} hexadecimal digits, expected pairs: one is missing")
            }
            Self::Digit { place } => {
                write!(f, "character {place} is no hexadecimal digit, expected pairs of 0 to F")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_and_text() {
        assert_eq!(parse("80 32\t0a0B"), Ok(vec![0x80, 0x32, 0x0A, 0x0B]));
        assert_eq!(parse("8 0"), Ok(vec![0x80]));
        assert_eq!(text(&[0x00, 0xAB]), "00 AB");
        assert_eq!(text(&[]), "");
        assert_eq!(parse("803"), Err(HexError::Odd { digits: 3 }));
        assert_eq!(parse(" "), Err(HexError::Empty));
        assert_eq!(parse("80:32"), Err(HexError::Digit { place: 3 }));
        assert_eq!(parse("0x80"), Err(HexError::Digit { place: 2 }));
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Fields of the files: octets in hexadecimal, PIDs, times, amounts, secrets.

use super::FileError;
use cam_types::{CasTime, Fen, Pid, Secret};
use ecm_emm::card::PinBlock;
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::{SealKey, Suite};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::path::Path;
use toml::value::{Datetime, Offset};
use zeroize::{Zeroize, Zeroizing};

/// `N` octets, written as 2×`N` hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Octets<const N: usize>(pub [u8; N]);

impl<const N: usize> std::str::FromStr for Octets<N> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut octets = [0; N];
        hex(text, &mut octets)?;
        Ok(Self(octets))
    }
}

impl<const N: usize> Default for Octets<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> fmt::Display for Octets<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl<const N: usize> Serialize for Octets<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Fills `octets` from hexadecimal digits. The error does not repeat the text.
fn hex(text: &str, octets: &mut [u8]) -> Result<(), String> {
    let (got, expected) = (text.len(), octets.len() * 2);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return Err(format!("{got} characters, expected {expected} hexadecimal digits"));
    };
    if got != expected {
        return Err(format!("{got} characters, expected {expected} hexadecimal digits"));
    }
    for (octet, pair) in octets.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (high, low) else {
            return Err(format!("not hexadecimal, expected {expected} digits 0-9 a-f"));
        };
        *octet = u8::try_from(high << 4 | low).unwrap_or_default();
    }
    Ok(())
}

impl<'de, const N: usize> Deserialize<'de> for Octets<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The text of a secret. An error of the reader's own would show a value that is no text.
fn secret_text<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    let no_text = |_| D::Error::custom("expected text in quotes");
    String::deserialize(from).map(Zeroizing::new).map_err(no_text)
}

/// `N` octets that nobody may see, written in hexadecimal.
#[derive(Clone, Debug)]
pub struct SecretOctets<const N: usize>(pub Secret<N>);

impl<'de, const N: usize> Deserialize<'de> for SecretOctets<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = secret_text(from)?;
        let mut octets = [0; N];
        hex(&text, &mut octets).map_err(D::Error::custom)?;
        let secret = Self(Secret::new(octets));
        octets.zeroize();
        Ok(secret)
    }
}

/// A key of 16 or 32 octets, written in hexadecimal.
#[derive(Clone, Debug)]
pub struct KeyField(pub KeyMaterial);

impl<'de> Deserialize<'de> for KeyField {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = secret_text(from)?;
        let mut octets = Zeroizing::new([0; 32]);
        let key = match octets.get_mut(..text.len() / 2) {
            Some(octets) if matches!(octets.len(), 16 | 32) => {
                hex(&text, octets).map_err(D::Error::custom)?;
                KeyMaterial::from_slice(octets)
            }
            _ => None,
        };
        key.map(Self).ok_or_else(|| {
            let got = text.len();
            D::Error::custom(format!("{got} characters, expected 32 or 64 hexadecimal digits"))
        })
    }
}

impl KeyField {
    /// The key, ready to seal; `path` and `table` are for the error.
    pub fn seal_key(&self, suite: u8, path: &Path, table: &str) -> Result<SealKey, FileError> {
        let Ok(suite) = Suite::try_from(suite) else {
            let what = format!("got {suite}, expected 2, 3 or 5");
            return Err(FileError::field(path, table, "suite", what));
        };
        SealKey::new(suite, self.0.clone()).map_err(|error| {
            let field = match table {
                "" => "master_key",
                table if table.starts_with("[[box]]") => "box_key",
                _ => "key",
            };
            FileError::field(path, table, field, error)
        })
    }
}

/// A PIN of 4 to 12 digits, as its ISO 9564-1 block. Never shown, wiped when dropped.
#[derive(Clone)]
pub struct Pin(pub PinBlock);

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin { .. }")
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = secret_text(from)?;
        let no_pin = |_| D::Error::custom("not a PIN, expected 4 to 12 digits");
        PinBlock::from_ascii(text.as_bytes()).map(Self).map_err(no_pin)
    }
}

/// A PID that a section stream may have: neither reserved by a standard nor that of null packets.
pub fn section_pid<'de, D: Deserializer<'de>>(from: D) -> Result<Pid, D::Error> {
    let number = u16::deserialize(from)?;
    match Pid::new(number) {
        Some(pid) if (0x0020..0x1FFF).contains(&number) => Ok(pid),
        _ => Err(D::Error::custom(format!("{number:#06x} is no PID between 0x0020 and 0x1ffe"))),
    }
}

/// A moment, written as an RFC 3339 time in UTC: `2026-12-01T12:00:00Z`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Utc(pub CasTime);

impl std::str::FromStr for Utc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected a time in UTC like 2026-12-01T12:00:00Z";
        let time: Datetime = text.parse().map_err(|_| FORM.to_owned())?;
        let (Some(date), Some(time), Some(offset)) = (time.date, time.time, time.offset) else {
            return Err(FORM.to_owned());
        };
        let utc = matches!(offset, Offset::Z | Offset::Custom { minutes: 0 });
        if !utc || time.nanosecond.unwrap_or(0) != 0 {
            return Err(format!("{FORM}, in whole seconds"));
        }
        let days = days_from_2000(i64::from(date.year), i64::from(date.month), i64::from(date.day));
        let of_day = i64::from(time.hour) * 3600
            + i64::from(time.minute) * 60
            + i64::from(time.second.unwrap_or(0).min(59));
        u32::try_from(days * 86_400 + of_day)
            .map(|seconds| Self(CasTime::new(seconds)))
            .map_err(|_| "expected a time between 2000 and 2136".to_owned())
    }
}

impl<'de> Deserialize<'de> for Utc {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Datetime::deserialize(from)?.to_string().parse().map_err(D::Error::custom)
    }
}

/// Days from 2000-01-01 to a date of the Gregorian calendar.
const fn days_from_2000(year: i64, month: i64, day: i64) -> i64 {
    // The year starts in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 730_425
}

/// An amount of money, written as text: `"12.00"`.
pub fn amount<'de, D: Deserializer<'de>>(from: D) -> Result<Fen, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// A number that names something: there is no 0.
pub fn from_1<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default + PartialEq,
    D: Deserializer<'de>,
{
    match T::deserialize(from)? {
        number if number == T::default() => Err(D::Error::custom("numbers start at 1, got 0")),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_since_2000() {
        for (text, unix) in [
            ("2000-01-01T00:00:00Z", 946_684_800),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2024-02-29T00:00:00Z", 1_709_164_800),
            ("2026-12-01T12:00:00Z", 1_796_126_400),
            ("2100-03-01T00:00:00+00:00", 4_107_542_400),
        ] {
            assert_eq!(text.parse::<Utc>().unwrap().0.to_unix(), unix, "{text}");
        }
        for text in [
            "2026-12-01",
            "2026-12-01T12:00:00",
            "2026-12-01T12:00:00+08:00",
            "noon",
            "1999-12-31T23:59:59Z",
            "2026-12-01T12:00:00.5Z",
        ] {
            assert!(text.parse::<Utc>().is_err(), "{text}");
        }
    }

    #[test]
    fn octets_have_their_length() {
        assert_eq!("00fF".parse(), Ok(Octets([0x00, 0xFF])));
        for text in ["", "00", "00ff0", "00ff00", "00fg", "0éf"] {
            assert!(text.parse::<Octets<2>>().is_err(), "{text}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Dates and times: the CAS counts seconds, the purse has BCD digits in China Standard Time.

use core::fmt;

/// Seconds since 2000-01-01 00:00:00 UTC, 32 bits: the time of ECMs, EMMs and the card's clock.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CasTime(u32);

impl CasTime {
    /// 2000-01-01 as seconds of the Unix epoch.
    const UNIX_EPOCH_OFFSET: i64 = 946_684_800;
    /// The purse keeps China Standard Time, UTC+8.
    const PURSE_OFFSET: u64 = 8 * 3600;

    /// So many seconds since the start of 2000.
    pub const fn new(seconds: u32) -> Self {
        Self(seconds)
    }

    /// From seconds of the Unix epoch; `None` before 2000 and after 2136.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        u32::try_from(seconds.checked_sub(Self::UNIX_EPOCH_OFFSET)?).ok().map(Self)
    }

    /// As seconds of the Unix epoch.
    pub const fn to_unix(self) -> i64 {
        self.0 as i64 + Self::UNIX_EPOCH_OFFSET
    }

    /// From the wire.
    pub const fn from_be_bytes(octets: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(octets))
    }

    /// To the wire.
    pub const fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// The number of seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// So many seconds later, at most the end of the range.
    #[must_use]
    pub const fn saturating_add(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// So many seconds earlier, at least the start of the range.
    #[must_use]
    pub const fn saturating_sub(self, seconds: u32) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// The purse's date and time of this moment (UTC+8, BCD).
    pub fn purse_date_time(self) -> (BcdDate, BcdTime) {
        let local = u64::from(self.0) + Self::PURSE_OFFSET;
        let (year, month, day) = civil_from_days(local / 86_400);
        let of_day = local % 86_400;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        (
            BcdDate([bcd(year / 100), bcd(year % 100), bcd(month), bcd(day)]),
            BcdTime([bcd(hour), bcd(minute), bcd(second)]),
        )
    }
}

/// Two decimal digits in one octet.
const fn bcd(number: u64) -> u8 {
    (number / 10 % 10 * 16 + number % 10) as u8
}

/// Year, month and day of the day so many days after 2000-01-01, in the Gregorian calendar.
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // Counted from 1600-03-01 the leap day is the last of its year; 1600 opens a 400-year cycle.
    let days = days + 146_037;
    let cycle = days / 146_097;
    let of_cycle = days % 146_097;
    let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let civil_month = if month < 10 { month + 3 } else { month - 9 };
    let civil_year = 1600 + cycle * 400 + year + if civil_month <= 2 { 1 } else { 0 };
    (civil_year, civil_month, day)
}

/// A date as the purse carries it: BCD YYYYMMDD, 4 octets.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct BcdDate(pub [u8; 4]);

impl fmt::Display for BcdDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [century, year, month, day] = self.0;
        write!(f, "{century:02x}{year:02x}-{month:02x}-{day:02x}")
    }
}

/// A time of day as the purse carries it: BCD HHMMSS, 3 octets.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct BcdTime(pub [u8; 3]);

impl fmt::Display for BcdTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hour, minute, second] = self.0;
        write!(f, "{hour:02x}:{minute:02x}:{second:02x}")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    /// Source: `date -u -d @UNIX` and `TZ=Asia/Shanghai date -d @UNIX`.
    #[test]
    fn purse_dates_are_china_standard_time() {
        for (unix, date, time) in [
            (946_684_800, "2000-01-01", "08:00:00"),
            (951_753_599, "2000-02-28", "23:59:59"),
            (951_782_400, "2000-02-29", "08:00:00"),
            (1_709_222_399, "2024-02-29", "23:59:59"),
            (1_798_732_800, "2027-01-01", "00:00:00"),
            (4_107_542_400, "2100-03-01", "08:00:00"),
        ] {
            let moment = CasTime::from_unix(unix).unwrap();
            let (d, t) = moment.purse_date_time();
            assert_eq!((d.to_string().as_str(), t.to_string().as_str()), (date, time), "{unix}");
            assert_eq!(moment.to_unix(), unix);
        }
    }

    #[test]
    fn the_range_is_2000_to_2136() {
        assert_eq!(CasTime::from_unix(946_684_799), None);
        assert_eq!(CasTime::from_unix(946_684_800 + (1 << 32)), None);
    }
}

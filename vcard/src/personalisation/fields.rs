// SPDX-License-Identifier: Apache-2.0
//! Reading a table field by field: every field is taken once, and none may be left over.

use cam_types::{BcdDate, CasTime, Fen};
use ecm_emm::card::PinBlock;
use std::fmt;
use std::path::Path;
use toml::{Table, Value};

/// What is wrong in a file, and where. Never shows a value.
#[derive(Debug)]
pub(super) struct Problem {
    field: String,
    why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.why)
    }
}

impl Problem {
    /// With the file as a whole.
    pub(super) fn whole(why: String) -> Self {
        Self { field: String::new(), why }
    }

    /// With the field of this path.
    pub(super) fn field(field: &str, why: String) -> Self {
        Self { field: field.to_owned(), why }
    }
}

/// A table that is being read.
pub(super) struct Fields {
    /// Where it is in the file.
    at: String,
    table: Table,
}

impl Fields {
    /// The file's outermost table.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let table = text.parse::<Table>().map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.get(..at).unwrap_or_default().lines().count().max(1);
            Problem::whole(format!("line {line}: {}", error.message()))
        })?;
        Ok(Self { at: String::new(), table })
    }

    /// Refuses a field that nobody has asked for.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.wrong(name, "unknown field")),
        }
    }

    /// A problem with this field, named by its whole path.
    pub(super) fn wrong(&self, name: &str, why: impl Into<String>) -> Problem {
        Problem { field: self.path(name), why: why.into() }
    }

    /// A field that may be missing.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        if self.table.contains_key(name) { read(self, name).map(Some) } else { Ok(None) }
    }

    /// `N` octets in hexadecimal.
    pub(super) fn octets<const N: usize>(&mut self, name: &str) -> Result<[u8; N], Problem> {
        let octets = zeroize::Zeroizing::new(self.hexadecimal(name)?);
        octets
            .as_slice()
            .try_into()
            .map_err(|_| self.wrong(name, format!("has {} octets, expected {N}", octets.len())))
    }

    /// Octets in hexadecimal.
    pub(super) fn hexadecimal(&mut self, name: &str) -> Result<Vec<u8>, Problem> {
        let text = zeroize::Zeroizing::new(self.text(name)?);
        let digit = |octet: &u8| char::from(*octet).to_digit(16).map(|digit| digit as u8);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let octets: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
        match octets {
            Some(octets) if rest.is_empty() => Ok(octets),
            _ => Err(self.wrong(name, "is not hexadecimal, two digits for each octet")),
        }
    }

    /// A number of a type's range.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, name: &str) -> Result<T, Problem> {
        match self.take(name)? {
            Value::Integer(number) => {
                T::try_from(number).map_err(|_| self.wrong(name, "number out of range"))
            }
            _ => Err(self.wrong(name, "expected a number")),
        }
    }

    /// A number that names something: there is no 0.
    pub(super) fn counted<T: TryFrom<i64> + Default + PartialEq>(
        &mut self,
        name: &str,
    ) -> Result<T, Problem> {
        match self.number(name)? {
            number if number == T::default() => Err(self.wrong(name, "is 0, counted from 1")),
            number => Ok(number),
        }
    }

    /// A number from 0 to `limit`.
    pub(super) fn at_most(&mut self, name: &str, limit: u8) -> Result<u8, Problem> {
        match self.number(name)? {
            number if number <= limit => Ok(number),
            number => Err(self.wrong(name, format!("is {number}, at most {limit} is allowed"))),
        }
    }

    /// An amount in fen.
    pub(super) fn money(&mut self, name: &str) -> Result<Fen, Problem> {
        self.number(name).map(Fen::new)
    }

    /// A moment in UTC.
    pub(super) fn time(&mut self, name: &str) -> Result<CasTime, Problem> {
        let Value::Datetime(moment) = self.take(name)? else {
            return Err(self.wrong(name, "expected a time like 2026-12-01T12:00:00Z"));
        };
        seconds(&moment).and_then(CasTime::from_unix).ok_or_else(|| {
            self.wrong(name, "expected a time in UTC from 2000 on, like 2026-12-01T12:00:00Z")
        })
    }

    /// A day.
    pub(super) fn date(&mut self, name: &str) -> Result<BcdDate, Problem> {
        let bcd = |number: u8| (number / 10) * 16 + number % 10;
        match self.take(name)? {
            Value::Datetime(toml::value::Datetime { date: Some(date), time: None, .. }) => {
                let (century, year) = ((date.year / 100) as u8, (date.year % 100) as u8);
                Ok(BcdDate([bcd(century), bcd(year), bcd(date.month), bcd(date.day)]))
            }
            _ => Err(self.wrong(name, "expected a day like 2026-12-01")),
        }
    }

    /// Text of at most `len` octets.
    pub(super) fn text_of(&mut self, name: &str, len: usize) -> Result<String, Problem> {
        match self.text(name)? {
            text if text.len() <= len => Ok(text),
            text => {
                let why = format!("has {} octets, at most {len} are allowed", text.len());
                Err(self.wrong(name, why))
            }
        }
    }

    /// One of these; its index.
    pub(super) fn one_of(&mut self, name: &str, choices: &[&str]) -> Result<usize, Problem> {
        let text = self.text(name)?;
        choices
            .iter()
            .position(|choice| *choice == text)
            .ok_or_else(|| self.wrong(name, format!("expected one of: {}", choices.join(", "))))
    }

    /// 4 to 12 digits; the text is wiped.
    pub(super) fn pin(&mut self, name: &str) -> Result<PinBlock, Problem> {
        let digits = zeroize::Zeroizing::new(self.text(name)?);
        PinBlock::from_ascii(digits.as_bytes()).map_err(|error| self.wrong(name, error.to_string()))
    }

    /// A table that must be there.
    pub(super) fn table<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let value = self.take(name)?;
        Self::within(value, self.path(name), read)
    }

    /// A table that may be missing.
    pub(super) fn optional_table<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        self.optional(name, |fields, name| fields.table(name, read))
    }

    /// Any number of tables of this name.
    pub(super) fn tables<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&mut Self) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        let path = self.path(name);
        match self.table.remove(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(tables)) => (1..)
                .zip(tables)
                .map(|(n, value)| Self::within(value, format!("{path}[{n}]"), &mut read))
                .collect(),
            Some(_) => Err(self.wrong(name, format!("expected tables: [[{path}]]"))),
        }
    }

    /// Files by name, beside `beside` unless the name is absolute.
    pub(super) fn files(
        &mut self,
        name: &str,
        beside: &Path,
    ) -> Result<Vec<(String, Vec<u8>)>, Problem> {
        let names = match self.table.remove(name) {
            None => Vec::new(),
            Some(Value::Array(names)) => names,
            Some(_) => return Err(self.wrong(name, "expected a list of file names")),
        };
        let directory = beside.parent().unwrap_or(Path::new(""));
        names
            .into_iter()
            .map(|file| match file {
                Value::String(file) => std::fs::read(directory.join(&file))
                    .map_err(|error| self.wrong(name, format!("{file}: {error}")))
                    .map(|octets| (file, octets)),
                _ => Err(self.wrong(name, "expected a list of file names")),
            })
            .collect()
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Result<String, Problem> {
        match self.take(name)? {
            Value::String(text) => Ok(text),
            _ => Err(self.wrong(name, "expected text in quotes")),
        }
    }

    fn take(&mut self, name: &str) -> Result<Value, Problem> {
        self.table.remove(name).ok_or_else(|| self.wrong(name, "is missing"))
    }

    fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    fn within<T>(
        value: Value,
        at: String,
        read: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let Value::Table(table) = value else {
            return Err(Problem { field: at, why: "expected a table".to_owned() });
        };
        let mut fields = Self { at, table };
        let result = read(&mut fields)?;
        fields.finish()?;
        Ok(result)
    }
}

/// Each value stands in one of the tables; the second one that has it is named.
pub(super) fn once<T: PartialEq>(
    values: impl Iterator<Item = T>,
    table: &str,
    field: &str,
    why: &str,
) -> Result<(), Problem> {
    let mut seen = Vec::new();
    for value in values {
        if seen.contains(&value) {
            let path = format!("{table}[{}].{field}", seen.len() + 1);
            return Err(Problem::field(&path, why.to_owned()));
        }
        seen.push(value);
    }
    Ok(())
}

/// Seconds of the Unix epoch; `None` when it is not a whole moment in UTC.
fn seconds(moment: &toml::value::Datetime) -> Option<i64> {
    let (date, time) = (moment.date?, moment.time?);
    if moment.offset? != toml::value::Offset::Z {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, a year beginning in March.
    let (year, month) = (i64::from(date.year), i64::from(date.month));
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(date.day) - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let second = i64::from(time.second.unwrap_or(0));
    Some(days * 86_400 + i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + second)
}

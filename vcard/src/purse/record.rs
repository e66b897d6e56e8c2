// SPDX-License-Identifier: Apache-2.0
//! The record file of compound purchases: records of tag, length and value, each in a place of its
//! own.

use crate::persist::{Persist, Table};
use cam_types::{DecodeError, Reader};

/// One record, tag and length included.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record(Vec<u8>);

/// Why some octets are not a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotARecord {
    /// Less than a tag and a length.
    TooShort,
    /// More than a place holds.
    TooLong,
    /// The length octet does not count what follows it.
    Length,
}

impl Record {
    /// Octets of a record at most: with its presence and its length it fills half a page.
    pub const MAX: usize = 62;

    /// Takes the octets `tag1 len1 value`.
    pub fn parse(octets: &[u8]) -> Result<Self, NotARecord> {
        match octets {
            [] | [_] => Err(NotARecord::TooShort),
            _ if octets.len() > Self::MAX => Err(NotARecord::TooLong),
            [_, len, value @ ..] if usize::from(*len) == value.len() => Ok(Self(octets.to_vec())),
            _ => Err(NotARecord::Length),
        }
    }

    /// The identifier of the application that the record belongs to.
    pub fn tag(&self) -> u8 {
        self.0.first().copied().unwrap_or_default()
    }

    /// All of it.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl Persist for Record {
    const LEN: usize = 1 + Self::MAX;

    fn store(&self, out: &mut Vec<u8>) {
        let end = out.len() + Self::LEN;
        out.push(self.0.len() as u8);
        out.extend_from_slice(&self.0);
        out.resize(end, 0);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = r.u8("record length")?;
        let place = r.array::<{ Self::MAX }>("record")?;
        place
            .get(..usize::from(len))
            .and_then(|octets| Self::parse(octets).ok())
            .ok_or(DecodeError::Invalid { field: "record length", got: len.into() })
    }
}

/// The records, by number from 1 or by tag. Their number and lengths are personalised and stay.
#[derive(Clone)]
pub struct RecordFile(Table<Option<Record>, { Self::RECORDS }>);

impl RecordFile {
    /// Places for records.
    pub const RECORDS: usize = 8;

    /// Without records.
    pub fn empty() -> Self {
        Self(Table::filled(|| None))
    }

    /// Records count from 1; none when the place is empty.
    pub fn get(&self, number: u8) -> Option<&Record> {
        self.0.get(usize::from(number).checked_sub(1)?)?.as_ref()
    }

    /// The number of the record with this tag; of a tag there is one.
    pub fn number_of(&self, tag: u8) -> Option<u8> {
        (1..=Self::RECORDS as u8).find(|n| self.get(*n).is_some_and(|record| record.tag() == tag))
    }

    /// Puts a record in the place of this number; `false` when there is no such place.
    pub fn put(&mut self, number: u8, record: Record) -> bool {
        let place = usize::from(number).checked_sub(1).and_then(|n| self.0.get_mut(n));
        place.map(|place| *place = Some(record)).is_some()
    }
}

impl Persist for RecordFile {
    const LEN: usize = <Table<Option<Record>, { Self::RECORDS }>>::LEN;

    fn store(&self, out: &mut Vec<u8>) {
        self.0.store(out);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Table::load(r).map(Self)
    }
}

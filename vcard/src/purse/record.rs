// SPDX-License-Identifier: Apache-2.0
//! The record files of compound purchases: places for records, each of one of the files.

use crate::persist::{Persist, Table};
use cam_types::{DecodeError, Reader};
use iso7816::apdu::StatusWord;

/// One record, as it is read and written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record(Vec<u8>);

/// What the records of a file look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// `tag1 len1 value`; of a tag there is one.
    Tlv,
    /// Octets that only terminals understand, all of one length. A new one takes the place of the
    /// oldest, and record 1 is the newest.
    Ring,
}

/// A file of records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordFileId {
    /// Its short identifier.
    pub sfi: u8,
    /// What is in it.
    pub form: Form,
}

/// Why some octets are not a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotARecord {
    /// Less than a tag and a length, or nothing.
    TooShort,
    /// More than a place holds.
    TooLong,
    /// The length octet does not count what follows it.
    Length,
}

impl Record {
    /// Octets of a record at most: with its presence and its length it fills half a page.
    pub const MAX: usize = 62;

    /// Takes the octets of a record of a file of this form.
    pub fn parse(form: Form, octets: &[u8]) -> Result<Self, NotARecord> {
        let least = if form == Form::Tlv { 2 } else { 1 };
        match octets {
            _ if octets.len() < least => Err(NotARecord::TooShort),
            _ if octets.len() > Self::MAX => Err(NotARecord::TooLong),
            [_, len, value @ ..] if form == Form::Tlv && usize::from(*len) != value.len() => {
                Err(NotARecord::Length)
            }
            _ => Ok(Self(octets.to_vec())),
        }
    }

    /// The identifier of the application that a record of tag, length and value belongs to.
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
            .and_then(|octets| Self::parse(Form::Ring, octets).ok())
            .ok_or(DecodeError::Invalid { field: "record length", got: len.into() })
    }
}

/// The records of all files. Their number, files and lengths are personalised and stay.
#[derive(Clone)]
pub struct Records {
    table: Table<Option<Record>, { Self::PLACES }>,
    /// The file of each place: its short identifier, with [`Records::RING`] of a ring.
    files: [u8; Self::PLACES],
}

impl Records {
    /// Places for records.
    pub const PLACES: usize = 16;
    /// The file that there is in any case.
    pub const FIRST: RecordFileId = RecordFileId { sfi: 0x17, form: Form::Tlv };
    const RING: u8 = 0x80;

    /// Without records.
    pub fn empty() -> Self {
        Self { table: Table::filled(|| None), files: [0; Self::PLACES] }
    }

    /// The file of this short identifier.
    pub fn file(&self, sfi: u8) -> Option<RecordFileId> {
        let of = |file: &u8| match *file & Self::RING {
            0 => RecordFileId { sfi, form: Form::Tlv },
            _ => RecordFileId { sfi, form: Form::Ring },
        };
        let found = self.files.iter().find(|file| **file != 0 && **file & !Self::RING == sfi);
        found.map(of).or_else(|| (sfi == Self::FIRST.sfi).then_some(Self::FIRST))
    }

    /// The records of a file in their order, each with its place.
    pub fn of(&self, sfi: u8) -> impl Iterator<Item = (usize, &Record)> {
        let places = self.files.iter().zip(self.table.iter()).enumerate();
        places.filter_map(move |(place, (file, record))| match record {
            Some(record) if *file & !Self::RING == sfi => Some((place, record)),
            _ => None,
        })
    }

    /// All of them, with the short identifier of their files.
    pub fn all(&self) -> impl Iterator<Item = (u8, &Record)> {
        let places = self.files.iter().zip(self.table.iter());
        places.filter_map(|(file, record)| Some((*file & !Self::RING, record.as_ref()?)))
    }

    /// One record more, at the factory; `false` when there is no place left.
    pub fn add(&mut self, file: RecordFileId, record: Record) -> bool {
        let ring = if file.form == Form::Ring { Self::RING } else { 0 };
        let free = self.files.iter().position(|file| *file == 0);
        match free.and_then(|n| Some((self.files.get_mut(n)?, self.table.get_mut(n)?))) {
            Some((held, place)) => {
                *held = file.sfi | ring;
                *place = Some(record);
                true
            }
            None => false,
        }
    }

    /// Puts a record in the place of another.
    pub fn put(&mut self, place: usize, record: Record) {
        if let Some(held) = self.table.get_mut(place) {
            *held = Some(record);
        }
    }

    /// Puts a record in front of a ring; the oldest goes.
    pub fn push(&mut self, sfi: u8, record: Record) {
        let places: Vec<usize> = self.of(sfi).map(|(place, _)| place).collect();
        let mut next = record;
        for place in places {
            if let Some(Some(held)) = self.table.get_mut(place) {
                next = std::mem::replace(held, next);
            }
        }
    }
}

impl Persist for Records {
    const LEN: usize = <Table<Option<Record>, { Self::PLACES }>>::LEN + Self::PLACES;

    fn store(&self, out: &mut Vec<u8>) {
        self.table.store(out);
        self.files.store(out);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { table: Table::load(r)?, files: Persist::load(r)? })
    }
}

/// What a record's octets do to its file.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// They take the place of this one.
    Replace(usize, Record),
    /// They go in front of the ring of this short identifier.
    Push(u8, Record),
}

/// Records that wait for their DEBIT. Of two for one place the later counts, and a ring takes no
/// more than it has places: there are never more than the files hold.
#[derive(Clone, Default)]
pub(crate) struct Cache(Vec<Write>);

impl Cache {
    /// Nothing waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more.
    pub(crate) fn add(&mut self, write: Write, records: &Records) -> Result<(), StatusWord> {
        match &write {
            Write::Replace(place, _) => {
                self.0.retain(|held| !matches!(held, Write::Replace(other, _) if other == place));
            }
            Write::Push(sfi, _) => {
                let same = |held: &&Write| matches!(held, Write::Push(other, _) if other == sfi);
                if self.0.iter().filter(same).count() >= records.of(*sfi).count() {
                    return Err(StatusWord::NO_ROOM);
                }
            }
        }
        self.0.push(write);
        Ok(())
    }

    /// Writes them all.
    pub(crate) fn write(&self, records: &mut Records) {
        self.0.iter().for_each(|write| write.clone().carry_out(records));
    }
}

impl Write {
    /// Writes it.
    pub(crate) fn carry_out(self, records: &mut Records) {
        match self {
            Self::Replace(place, record) => records.put(place, record),
            Self::Push(sfi, record) => records.push(sfi, record),
        }
    }
}

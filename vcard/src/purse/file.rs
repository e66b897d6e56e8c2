// SPDX-License-Identifier: Apache-2.0
//! The purse's files, and how commands name them and their records (ISO/IEC 7816-4).

use super::record::{Form, Record, RecordFileId, Write};
use super::store::{LOG, PurseStore};
use iso7816::apdu::StatusWord;
use std::cmp::Ordering;
use wallet::LogRecord;

/// An elementary file. Its file identifier is 00 and its short one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum File {
    /// Public application data; free to read.
    Application,
    /// The holder's name and document; wants the PIN.
    Holder,
    /// What compound purchases write.
    Records(RecordFileId),
    /// The log of transactions; record 1 is the newest.
    Log,
}

/// Short identifiers that are no record file's.
pub(crate) const APPLICATION: u8 = 0x15;
pub(crate) const HOLDER: u8 = 0x16;
pub(crate) const TRANSACTIONS: u8 = 0x18;

impl File {
    /// The file that commands without SELECT name by these five bits; 0 is the selected one.
    pub(super) fn by_sfi(
        sfi: u8,
        current: Option<Self>,
        purse: &PurseStore,
    ) -> Result<Self, StatusWord> {
        match sfi {
            0x00 => current.ok_or(StatusWord::NO_CURRENT_FILE),
            0x1F => Err(StatusWord::WRONG_P1P2),
            APPLICATION => Ok(Self::Application),
            HOLDER => Ok(Self::Holder),
            TRANSACTIONS => Ok(Self::Log),
            _ => purse.records.file(sfi).map(Self::Records).ok_or(StatusWord::NOT_FOUND),
        }
    }

    const fn sfi(self) -> u8 {
        match self {
            Self::Application => APPLICATION,
            Self::Holder => HOLDER,
            Self::Records(file) => file.sfi,
            Self::Log => TRANSACTIONS,
        }
    }

    /// File control information: size, kind, identifier, short identifier.
    pub(super) fn fci(self, purse: &PurseStore) -> Vec<u8> {
        let (kind, size) = match self {
            Self::Application | Self::Holder => (TRANSPARENT, self.octets(purse).len()),
            Self::Records(RecordFileId { sfi, form }) => {
                let size = purse.records.of(sfi).map(|(_, record)| record.octets().len()).sum();
                (if form == Form::Tlv { LINEAR_TLV } else { CYCLIC }, size)
            }
            Self::Log => (CYCLIC, LOG * LogRecord::LEN),
        };
        let [high, low] = (size as u16).to_be_bytes();
        let sfi = self.sfi();
        vec![0x6F, 14, 0x80, 2, high, low, 0x82, 1, kind, 0x83, 2, 0x00, sfi, 0x88, 1, sfi << 3]
    }

    /// What `data` makes of the record of this name: it has the tag and the length of the one that
    /// it replaces, or in a ring the length of all.
    pub(super) fn replacement(
        self,
        purse: &PurseStore,
        name: RecordName,
        data: &[u8],
    ) -> Result<Write, StatusWord> {
        let Self::Records(RecordFileId { sfi, form }) = self else {
            return Err(StatusWord::WRONG_FILE);
        };
        let mut of = purse.records.of(sfi);
        let found = match (name, form) {
            // Without a name a record says itself which it is, and in a ring it is a new one.
            (RecordName::Any(Occurrence::First), Form::Tlv) => {
                of.find(|(_, held)| data.first() == Some(&held.tag()))
            }
            (RecordName::Any(Occurrence::First), Form::Ring) => of.next(),
            (RecordName::Tag(tag), Form::Tlv) => of.find(|(_, held)| held.tag() == tag),
            (RecordName::Number(number), _) => {
                usize::from(number).checked_sub(1).and_then(|n| of.nth(n))
            }
            (RecordName::Tag(_), Form::Ring) => return Err(StatusWord::WRONG_FILE),
            // One command writes one record, and which one does not depend on what was read.
            _ => return Err(StatusWord::WRONG_P1P2),
        };
        let (place, held) = found.ok_or(StatusWord::RECORD_NOT_FOUND)?;
        match data.len().cmp(&held.octets().len()) {
            Ordering::Less => return Err(StatusWord::WRONG_LENGTH),
            Ordering::Greater => return Err(StatusWord::NO_ROOM),
            Ordering::Equal => {}
        }
        let record = Record::parse(form, data).map_err(|_| StatusWord::WRONG_DATA)?;
        match (form, name) {
            (Form::Tlv, _) if record.tag() != held.tag() => Err(StatusWord::WRONG_DATA),
            (Form::Ring, RecordName::Any(_)) => Ok(Write::Push(sfi, record)),
            _ => Ok(Write::Replace(place, record)),
        }
    }

    /// The records of a file that has some, in their order.
    pub(super) fn records(self, purse: &PurseStore) -> Result<Vec<Vec<u8>>, StatusWord> {
        match self {
            Self::Records(file) => {
                let of = purse.records.of(file.sfi);
                Ok(of.map(|(_, record)| record.octets().to_vec()).collect())
            }
            Self::Log => Ok(purse.newest_first().map(|entry| entry.octets().to_vec()).collect()),
            Self::Application | Self::Holder => Err(StatusWord::WRONG_FILE),
        }
    }

    /// Whether its records begin with a tag.
    pub(super) fn has_tags(self) -> bool {
        matches!(self, Self::Records(RecordFileId { form: Form::Tlv, .. }))
    }

    /// The content of a transparent file, to change it.
    pub(super) fn octets_mut(self, purse: &mut PurseStore) -> &mut [u8] {
        match self {
            Self::Application => &mut purse.application,
            Self::Holder => purse.holder.octets_mut(),
            Self::Records(_) | Self::Log => &mut [],
        }
    }

    /// The content of a transparent file; nothing of one with records.
    pub(super) fn octets(self, purse: &PurseStore) -> &[u8] {
        match self {
            Self::Application => &purse.application,
            Self::Holder => purse.holder.octets(),
            Self::Records(_) | Self::Log => &[],
        }
    }
}

/// File descriptor octets.
const TRANSPARENT: u8 = 0x01;
const LINEAR_TLV: u8 = 0x05;
const CYCLIC: u8 = 0x06;

/// A transparent file and an offset in it, as P1 and P2 name them.
pub(super) fn binary_name(
    p1: u8,
    p2: u8,
    current: Option<File>,
    purse: &PurseStore,
) -> Result<(File, usize), StatusWord> {
    let (file, offset) = match p1 {
        0x80..=0x9F => (File::by_sfi(p1 & 0x1F, current, purse)?, p2.into()),
        0xA0.. => return Err(StatusWord::WRONG_P1P2),
        _ => (File::by_sfi(0, current, purse)?, u16::from_be_bytes([p1, p2]).into()),
    };
    match file {
        File::Application | File::Holder => Ok((file, offset)),
        File::Records(_) | File::Log => Err(StatusWord::WRONG_FILE),
    }
}

/// How P1 and P2 name a record, or several.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RecordName {
    /// The record of this number, from 1 on; 0 is the current one.
    Number(u8),
    /// All from the record of this number to the last.
    From(u8),
    /// All from the last to the record of this number.
    BackTo(u8),
    /// The record of this tag. There is one, so it is the first, last, next and previous at once.
    Tag(u8),
    /// Whatever its tag is.
    Any(Occurrence),
}

/// Which of all records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Occurrence {
    First,
    Last,
    Next,
    Previous,
}

/// The file and the record that P1 and P2 name: P2 is SFI and mode, P1 number or tag.
pub(super) fn record_name(
    p1: u8,
    p2: u8,
    current: Option<File>,
    purse: &PurseStore,
) -> Result<(File, RecordName), StatusWord> {
    let name = match (p2 & 0x07, p1) {
        (0, 0) => RecordName::Any(Occurrence::First),
        (1, 0) => RecordName::Any(Occurrence::Last),
        (2, 0) => RecordName::Any(Occurrence::Next),
        (3, 0) => RecordName::Any(Occurrence::Previous),
        (0..=3, tag) => RecordName::Tag(tag),
        (4, number) => RecordName::Number(number),
        (5, number) => RecordName::From(number),
        (6, number) => RecordName::BackTo(number),
        _ => return Err(StatusWord::WRONG_P1P2),
    };
    Ok((File::by_sfi(p2 >> 3, current, purse)?, name))
}

/// The application's file control information, its public data in it: a terminal need not read EF
/// 0015.
pub(crate) fn application_fci(purse: &PurseStore) -> Vec<u8> {
    let mut proprietary = b"\x50\x05PURSE\x9F\x0C".to_vec();
    proprietary.push(purse.application.len() as u8);
    proprietary.extend(purse.application);
    proprietary
}

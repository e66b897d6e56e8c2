// SPDX-License-Identifier: Apache-2.0
//! The purse's files, and how commands name them and their records (ISO/IEC 7816-4).

use super::record::{Record, RecordFile};
use super::store::{LOG, PurseStore};
use iso7816::apdu::StatusWord;
use std::cmp::Ordering;
use wallet::LogRecord;

/// An elementary file, by its short identifier; the file identifier is 00 and the same octet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum File {
    /// Public application data; free to read.
    Application = 0x15,
    /// The holder's name and document; wants the PIN.
    Holder = 0x16,
    /// What compound purchases write.
    Records = 0x17,
    /// The log of transactions; record 1 is the newest.
    Log = 0x18,
}

impl File {
    const ALL: [Self; 4] = [Self::Application, Self::Holder, Self::Records, Self::Log];

    /// The file that commands without SELECT name by these five bits; 0 is the selected one.
    pub(super) fn by_sfi(sfi: u8, current: Option<Self>) -> Result<Self, StatusWord> {
        match sfi {
            0x00 => current.ok_or(StatusWord::NO_CURRENT_FILE),
            0x1F => Err(StatusWord::WRONG_P1P2),
            _ => Self::ALL.into_iter().find(|file| *file as u8 == sfi).ok_or(StatusWord::NOT_FOUND),
        }
    }

    /// File control information: size, kind, identifier, short identifier.
    pub(super) fn fci(self, purse: &PurseStore) -> Vec<u8> {
        let (kind, size) = match self {
            Self::Application | Self::Holder => (TRANSPARENT, self.octets(purse).len()),
            Self::Records => (LINEAR_TLV, RecordFile::RECORDS * Record::MAX),
            Self::Log => (CYCLIC, LOG * LogRecord::LEN),
        };
        let [high, low] = (size as u16).to_be_bytes();
        let sfi = self as u8;
        vec![0x6F, 14, 0x80, 2, high, low, 0x82, 1, kind, 0x83, 2, 0x00, sfi, 0x88, 1, sfi << 3]
    }

    /// The number of the record of this name and what `data` makes of it: of the same tag and
    /// length.
    pub(super) fn replacement(
        self,
        purse: &PurseStore,
        name: RecordName,
        data: &[u8],
    ) -> Result<(u8, Record), StatusWord> {
        if self != Self::Records {
            return Err(StatusWord::WRONG_FILE);
        }
        let number = purse.records.find(name)?;
        let held = purse.records.get(number).ok_or(StatusWord::RECORD_NOT_FOUND)?;
        match data.len().cmp(&held.octets().len()) {
            Ordering::Less => return Err(StatusWord::WRONG_LENGTH),
            Ordering::Greater => return Err(StatusWord::NO_ROOM),
            Ordering::Equal => {}
        }
        let record = Record::parse(data).map_err(|_| StatusWord::WRONG_DATA)?;
        if record.tag() == held.tag() { Ok((number, record)) } else { Err(StatusWord::WRONG_DATA) }
    }

    /// The content of a transparent file, to change it.
    pub(super) fn octets_mut(self, purse: &mut PurseStore) -> &mut [u8] {
        match self {
            Self::Application => &mut purse.application,
            Self::Holder => &mut purse.holder,
            Self::Records | Self::Log => &mut [],
        }
    }

    /// The content of a transparent file; nothing of one with records.
    pub(super) fn octets(self, purse: &PurseStore) -> &[u8] {
        match self {
            Self::Application => &purse.application,
            Self::Holder => &purse.holder,
            Self::Records | Self::Log => &[],
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
) -> Result<(File, usize), StatusWord> {
    let (file, offset) = match p1 {
        0x80..=0x9F => (File::by_sfi(p1 & 0x1F, current)?, p2.into()),
        0xA0.. => return Err(StatusWord::WRONG_P1P2),
        _ => (File::by_sfi(0, current)?, u16::from_be_bytes([p1, p2]).into()),
    };
    match file {
        File::Application | File::Holder => Ok((file, offset)),
        File::Records | File::Log => Err(StatusWord::WRONG_FILE),
    }
}

/// How P1 and P2 name a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RecordName {
    /// The record of this number, from 1 on.
    Number(u8),
    /// The record of this tag. There is one, so it is the first, last, next and previous at once.
    Tag(u8),
}

/// The file and the record that P1 and P2 name: P2 is SFI and mode, P1 number or tag.
pub(super) fn record_name(
    p1: u8,
    p2: u8,
    current: Option<File>,
) -> Result<(File, RecordName), StatusWord> {
    let name = match p2 & 0x07 {
        0..=3 => RecordName::Tag(p1),
        4 => RecordName::Number(p1),
        _ => return Err(StatusWord::WRONG_P1P2),
    };
    Ok((File::by_sfi(p2 >> 3, current)?, name))
}

impl RecordFile {
    /// The number of the record of this name.
    pub(super) fn find(&self, name: RecordName) -> Result<u8, StatusWord> {
        match name {
            RecordName::Number(number) => self.get(number).map(|_| number),
            RecordName::Tag(tag) => self.number_of(tag),
        }
        .ok_or(StatusWord::RECORD_NOT_FOUND)
    }
}

/// The application's file control information, its public data in it: a terminal need not read EF
/// 0015.
pub(crate) fn application_fci(purse: &PurseStore) -> Vec<u8> {
    let mut proprietary = b"\x50\x05PURSE\x9F\x0C".to_vec();
    proprietary.push(purse.application.len() as u8);
    proprietary.extend(purse.application);
    proprietary
}

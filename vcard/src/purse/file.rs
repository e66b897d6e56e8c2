//! The purse's files, and how commands name them and their records (ISO/IEC 7816-4).

use super::Purse;
use super::record::RecordFile;
use super::store::PurseStore;
use crate::firewall::Context;
use crate::vault::Stop;
use iso7816::apdu::{Command, StatusWord};

/// An elementary file, by its short identifier; the file identifier is 00 and the same octet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum File {
    /// What compound purchases write.
    Records = 0x17,
    /// The log of transactions; record 1 is the newest.
    Log = 0x18,
}

/// The file has no such record.
pub(super) const RECORD_NOT_FOUND: StatusWord = StatusWord(0x6A83);
/// The record has no room for so much.
pub(super) const NO_ROOM: StatusWord = StatusWord(0x6A84);
/// The file is not of the kind that the command wants.
pub(super) const WRONG_FILE: StatusWord = StatusWord(0x6981);

/// No file is selected.
const NO_CURRENT_FILE: StatusWord = StatusWord(0x6986);

impl File {
    /// The file of this short identifier.
    pub(super) fn by_sfi(sfi: u8) -> Result<Self, StatusWord> {
        match sfi {
            0 => Err(NO_CURRENT_FILE),
            0x17 => Ok(Self::Records),
            0x18 => Ok(Self::Log),
            0x1F => Err(StatusWord::WRONG_P1P2),
            _ => Err(StatusWord::NOT_FOUND),
        }
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
pub(super) fn record_name(p1: u8, p2: u8) -> Result<(File, RecordName), StatusWord> {
    let name = match p2 & 0x07 {
        0..=3 => RecordName::Tag(p1),
        4 => RecordName::Number(p1),
        _ => return Err(StatusWord::WRONG_P1P2),
    };
    Ok((File::by_sfi(p2 >> 3)?, name))
}

impl RecordFile {
    /// The number of the record of this name.
    pub(super) fn find(&self, name: RecordName) -> Result<u8, StatusWord> {
        match name {
            RecordName::Number(number) => self.get(number).map(|_| number),
            RecordName::Tag(tag) => self.number_of(tag),
        }
        .ok_or(RECORD_NOT_FOUND)
    }
}

impl Purse<'_> {
    /// READ RECORD of the log or of the record file.
    pub(super) fn read_record(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let record = match record_name(command.p1, command.p2)? {
            (File::Log, RecordName::Number(age)) => logged(purse, age),
            (File::Log, RecordName::Tag(_)) => return Err(WRONG_FILE.into()),
            (File::Records, name) => {
                let number = purse.records.find(name)?;
                purse.records.get(number).map(|record| record.octets().to_vec())
            }
        };
        let record = record.ok_or(RECORD_NOT_FOUND)?;
        match command.le {
            None | Some(256) => Ok(record),
            Some(le) if usize::from(le) == record.len() => Ok(record),
            Some(_) => Err(StatusWord(0x6C00 | record.len() as u16).into()),
        }
    }
}

fn logged(purse: &PurseStore, age: u8) -> Option<Vec<u8>> {
    let age = usize::from(age).checked_sub(1)?;
    purse.newest_first().nth(age).map(|entry| entry.octets().to_vec())
}

// SPDX-License-Identifier: Apache-2.0
//! SELECT and READ of the purse's files.

use super::Purse;
use super::file::{File, Occurrence, RecordName, binary_name, record_name};
use super::store::PurseStore;
use crate::binary;
use crate::context::Context;
use crate::decide::decide;
use crate::stop::Stop;
use iso7816::apdu::{Command, StatusWord};

/// SELECT, P2: no control information is wanted.
pub(crate) const NO_FCI: u8 = 0x0C;

impl Purse<'_> {
    fn store(&self) -> Result<&PurseStore, Stop> {
        Ok(self.vault.objects().purse.get(Context::PURSE)?)
    }

    /// SELECT of a file by its identifier. An INITIALIZE in force stays so.
    pub(super) fn select_file(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        if !matches!((command.p1, command.p2), (0x00, 0x00 | NO_FCI)) {
            return Err(StatusWord::WRONG_P1P2.into());
        }
        let file = match command.data {
            [0x00, sfi] => File::by_sfi(*sfi, None, self.store()?),
            [_, _] => Err(StatusWord::NOT_FOUND),
            _ => return Err(StatusWord::WRONG_LENGTH.into()),
        };
        let file = file.map_err(|_| StatusWord::NOT_FOUND)?;
        self.ram.current = Some(file);
        self.ram.record = None;
        match command.p2 {
            NO_FCI => Ok(Vec::new()),
            _ => Ok(file.fci(self.store()?)),
        }
    }

    pub(super) fn read_binary(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let purse = self.store()?;
        let (file, offset) = binary_name(command.p1, command.p2, self.ram.current, purse)?;
        // Who stands near with a reader does not learn whose purse it is.
        if !decide(|| file != File::Holder || self.ram.pin_verified.get()) {
            return Err(StatusWord::SECURITY_STATUS.into());
        }
        Ok(binary::read(file.octets(purse), offset, command.le)?)
    }

    /// READ RECORD: one, or all from one on (ISO/IEC 7816-4). A record that was named by its tag,
    /// or as the first, last, next or previous, is the current one afterwards; a number moves
    /// nothing.
    pub(super) fn read_record(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let purse = self.store()?;
        let (file, name) = record_name(command.p1, command.p2, self.ram.current, purse)?;
        let records = file.records(purse)?;
        let current = self.ram.record.filter(|_| self.ram.current == Some(file));
        let (places, moves) = named(&records, name, file.has_tags(), current)?;
        let Some(first) = places.first().copied() else {
            return Err(StatusWord::RECORD_NOT_FOUND.into());
        };
        let mut data = Vec::new();
        for record in places.iter().filter_map(|place| records.get(*place)) {
            // A short answer ends before the record that it has no room for.
            if data.len() + record.len() > LONGEST {
                break;
            }
            data.extend(record);
        }
        match command.le {
            None | Some(256) => {}
            Some(le) if usize::from(le) == data.len() => {}
            Some(_) => return Err(StatusWord::with_right_length(data.len()).into()),
        }
        // The file is the current one from now on, as its short identifier says.
        self.ram.record = if moves { Some(first) } else { current };
        self.ram.current = Some(file);
        Ok(data)
    }
}

/// Octets of a short answer at most.
const LONGEST: usize = 256;

/// The places of the records of this name, and whether the current record moves there.
fn named(
    records: &[Vec<u8>],
    name: RecordName,
    has_tags: bool,
    current: Option<usize>,
) -> Result<(Vec<usize>, bool), StatusWord> {
    let number = |number: u8| match number {
        0 => current,
        number => Some(usize::from(number) - 1),
    };
    let there = |place: Option<usize>| place.filter(|place| *place < records.len());
    let (place, moves) = match name {
        RecordName::Number(n) => (there(number(n)), false),
        RecordName::From(n) => {
            let first = there(number(n)).ok_or(StatusWord::RECORD_NOT_FOUND)?;
            return Ok(((first..records.len()).collect(), false));
        }
        RecordName::BackTo(n) => {
            let first = there(number(n)).ok_or(StatusWord::RECORD_NOT_FOUND)?;
            return Ok(((first..records.len()).rev().collect(), false));
        }
        RecordName::Tag(_) if !has_tags => return Err(StatusWord::WRONG_FILE),
        RecordName::Tag(tag) => {
            (records.iter().position(|record| record.first() == Some(&tag)), true)
        }
        RecordName::Any(Occurrence::First) => (there(Some(0)), true),
        RecordName::Any(Occurrence::Last) => (records.len().checked_sub(1), true),
        RecordName::Any(Occurrence::Next) => {
            (there(Some(current.map_or(0, |place| place + 1))), true)
        }
        RecordName::Any(Occurrence::Previous) => {
            (current.map_or(records.len(), |place| place).checked_sub(1), true)
        }
    };
    Ok((place.into_iter().collect(), moves))
}

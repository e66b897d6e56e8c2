// SPDX-License-Identifier: Apache-2.0
//! SELECT and READ of the purse's files.

use super::Purse;
use super::data::expect;
use super::file::{File, RecordName, binary_name, record_name};
use super::store::PurseStore;
use crate::binary;
use crate::context::Context;
use crate::stop::Stop;
use iso7816::apdu::{Command, StatusWord};

impl Purse<'_> {
    /// SELECT of a file by its identifier. An INITIALIZE in force stays so.
    pub(super) fn select_file(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x00, 2)?;
        let file = match command.data {
            [0x00, sfi] => File::by_sfi(*sfi, None).map_err(|_| StatusWord::NOT_FOUND)?,
            _ => return Err(StatusWord::NOT_FOUND.into()),
        };
        self.ram.current = Some(file);
        Ok(file.fci(self.vault.objects().purse.get(Context::PURSE)?))
    }

    pub(super) fn read_binary(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let (file, offset) = binary_name(command.p1, command.p2, self.ram.current)?;
        // Who stands near with a reader does not learn whose purse it is.
        if file == File::Holder && !self.ram.pin_verified {
            return Err(StatusWord::SECURITY_STATUS.into());
        }
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        Ok(binary::read(file.octets(purse), offset, command.le)?)
    }

    /// READ RECORD of the log or of the record file.
    pub(super) fn read_record(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let record = match record_name(command.p1, command.p2, self.ram.current)? {
            (File::Log, RecordName::Number(age)) => logged(purse, age),
            (File::Log, RecordName::Tag(_)) | (File::Application | File::Holder, _) => {
                return Err(StatusWord::WRONG_FILE.into());
            }
            (File::Records, name) => {
                let number = purse.records.find(name)?;
                purse.records.get(number).map(|record| record.octets().to_vec())
            }
        };
        let record = record.ok_or(StatusWord::RECORD_NOT_FOUND)?;
        match command.le {
            None | Some(256) => Ok(record),
            Some(le) if usize::from(le) == record.len() => Ok(record),
            Some(_) => Err(StatusWord::with_right_length(record.len()).into()),
        }
    }
}

fn logged(purse: &PurseStore, age: u8) -> Option<Vec<u8>> {
    let age = usize::from(age).checked_sub(1)?;
    purse.newest_first().nth(age).map(|entry| entry.octets().to_vec())
}

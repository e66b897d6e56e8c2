// SPDX-License-Identifier: Apache-2.0
//! The purse's transaction log.

use crate::transaction::Transaction;
use alloc::vec::Vec;
use cam_types::interindustry::INS_READ_RECORD;
use cam_types::{DecodeError, Reader};

/// One record of the log, 23 octets.
///
/// Which sequence number it carries, the one before the transaction or the one after, differs
/// between cards: never match a record by its sequence alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogRecord {
    /// Online sequence for a load, offline sequence for a purchase. Ours is the one after.
    pub sequence: u16,
    /// The overdraft limit; zeros for a purse.
    pub overdraft: [u8; 3],
    /// Amount, type, terminal, date and time.
    pub transaction: Transaction,
}

impl LogRecord {
    /// Octets of a record.
    pub const LEN: usize = 23;

    /// Reads a record.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let record = Self {
            sequence: r.u16("sequence")?,
            overdraft: *r.array("overdraft limit")?,
            transaction: Transaction::read(&mut r)?,
        };
        r.finish("log record")?;
        Ok(record)
    }

    /// Appends the record.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.overdraft);
        out.extend_from_slice(&self.transaction.octets());
    }

    /// READ RECORD for the record `number` of the log, 1 being the newest.
    pub const fn read_command(number: u8) -> [u8; 5] {
        Self::read_command_of(0x18, number)
    }

    /// The same of the file `sfi`.
    pub const fn read_command_of(sfi: u8, number: u8) -> [u8; 5] {
        [0x00, INS_READ_RECORD, number, sfi << 3 | 0x04, Self::LEN as u8]
    }
}

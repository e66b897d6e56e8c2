// SPDX-License-Identifier: Apache-2.0
//! Program association table.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4.3

use crate::error::EncodeError;
use crate::section::LongSection;
use alloc::vec::Vec;
use cam_types::{DecodeError, Pid, Reader};

/// One section of the PAT.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pat {
    /// transport_stream_id: the multiplex, by the network's number.
    pub transport_stream_id: u16,
    /// version_number.
    pub version: u8,
    /// current_next_indicator.
    pub current: bool,
    /// section_number and last_section_number.
    pub number: (u8, u8),
    /// The programmes of this section, in their order.
    pub programs: Vec<Program>,
}

/// Where a programme's PMT is; programme 0 names the network PID instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Program {
    /// program_number.
    pub number: u16,
    /// program_map_PID or network_PID.
    pub pid: Pid,
}

impl Pat {
    /// The first octet of its sections.
    pub const TABLE_ID: u8 = 0x00;

    /// Takes one whole section.
    pub fn parse(section: &[u8]) -> Result<Self, DecodeError> {
        let section = LongSection::parse_table(section, Self::TABLE_ID, "0x00 (PAT)")?;
        let mut programs = Vec::new();
        let mut r = Reader::new(section.data);
        while !r.is_empty() {
            let number = r.u16("program_number")?;
            programs.push(Program { number, pid: Pid::from_field(r.u16("program_map_PID")?) });
        }
        Ok(Self {
            transport_stream_id: section.extension,
            version: section.version,
            current: section.current,
            number: (section.number, section.last_number),
            programs,
        })
    }

    /// Appends the whole section.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut data = Vec::with_capacity(self.programs.len() * 4);
        for program in &self.programs {
            data.extend(program.number.to_be_bytes());
            data.extend((0xE000 | program.pid.value()).to_be_bytes());
        }
        let section = LongSection {
            table_id: Self::TABLE_ID,
            extension: self.transport_stream_id,
            version: self.version,
            current: self.current,
            number: self.number.0,
            last_number: self.number.1,
            data: &data,
        };
        section.emit(out)
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Conditional access table: one CA_descriptor for each EMM stream.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4.6

use crate::descriptor::Descriptors;
use crate::error::EncodeError;
use crate::section::LongSection;
use alloc::vec::Vec;
use cam_types::DecodeError;

/// One section of the CAT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cat<'a> {
    /// version_number.
    pub version: u8,
    /// current_next_indicator.
    pub current: bool,
    /// section_number and last_section_number.
    pub number: (u8, u8),
    /// Its only loop.
    pub descriptors: Descriptors<'a>,
}

impl<'a> Cat<'a> {
    /// The first octet of its sections.
    pub const TABLE_ID: u8 = 0x01;

    /// Takes one whole section.
    pub fn parse(section: &'a [u8]) -> Result<Self, DecodeError> {
        let section = LongSection::parse_table(section, Self::TABLE_ID, "0x01 (CAT)")?;
        Ok(Self {
            version: section.version,
            current: section.current,
            number: (section.number, section.last_number),
            descriptors: Descriptors::parse(section.data)?,
        })
    }

    /// Appends the whole section.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let section = LongSection {
            table_id: Self::TABLE_ID,
            extension: 0xFFFF,
            version: self.version,
            current: self.current,
            number: self.number.0,
            last_number: self.number.1,
            data: self.descriptors.octets(),
        };
        section.emit(out)
    }
}

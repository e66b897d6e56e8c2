// SPDX-License-Identifier: Apache-2.0
//! Sections: the short form that carries ECM and EMM, and the long form of PAT, CAT and PMT.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4 (sections, CRC-32 in its Annex A)
//!  - ETSI ETR 289 §7 (CA message section)

use crate::error::EncodeError;
use alloc::vec::Vec;
use cam_types::{DecodeError, Reader};
use crc::{CRC_32_MPEG_2, Crc};

/// The longest private section, and so the longest that there is: three octets of header and a
/// section_length of 4093 (ISO/IEC 13818-1 §2.4.4.11).
pub const MAX_SECTION: usize = 4096;
/// The longest section of PAT, CAT and PMT: section_length 1021.
pub const MAX_PSI_SECTION: usize = 1024;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_MPEG_2);

/// A CA message section: short form, no CRC. What is inside has its own integrity check.
///
/// Bits 6 to 4 of octet 1 differ from system to system and are not looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaSection<'a> {
    /// 80 to 8F.
    pub table_id: u8,
    /// CA_data_bytes.
    pub data: &'a [u8],
}

impl<'a> CaSection<'a> {
    /// Octets in front of the data.
    pub const HEADER_LEN: usize = 3;

    /// Takes exactly one section.
    pub fn parse(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let table_id = r.u8("table_id")?;
        if table_id >> 4 != 0x8 {
            let (field, expected) = ("table_id", "0x80 to 0x8F");
            return Err(DecodeError::Wrong { field, got: table_id.into(), expected });
        }
        let field = r.u16("section_length")?;
        if field & 0x8000 != 0 {
            let (field, expected) = ("section_syntax_indicator", "0x00");
            return Err(DecodeError::Wrong { field, got: 1, expected });
        }
        let data = r.bytes(usize::from(field & 0x0FFF), "CA_data_byte")?;
        r.finish("CA message section")?;
        if octets.len() > MAX_SECTION {
            let got = u32::from(field & 0x0FFF);
            let (field, expected) = ("section_length", "at most 0xFFD");
            return Err(DecodeError::Wrong { field, got, expected });
        }
        Ok(Self { table_id, data })
    }

    /// Appends the section, octet 1 as `7n`.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend(Self::header(self.table_id, self.data.len())?);
        out.extend_from_slice(self.data);
        Ok(())
    }

    /// table_id and length as they are sent, and as every authentication tag sees them.
    pub(crate) fn header(table_id: u8, data_len: usize) -> Result<[u8; 3], EncodeError> {
        let octets = data_len + Self::HEADER_LEN;
        EncodeError::check("CA message section", octets, MAX_SECTION)?;
        let [high, low] = (data_len as u16).to_be_bytes();
        Ok([table_id, 0x70 | high, low])
    }
}

/// A section of the long form: numbered, versioned, with a CRC-32.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LongSection<'a> {
    /// Which table.
    pub table_id: u8,
    /// transport_stream_id, program_number or reserved, as the table says.
    pub extension: u16,
    /// version_number, 5 bits.
    pub version: u8,
    /// current_next_indicator: the table is valid now.
    pub current: bool,
    /// section_number.
    pub number: u8,
    /// last_section_number.
    pub last_number: u8,
    /// What lies between the header and the CRC.
    pub data: &'a [u8],
}

impl<'a> LongSection<'a> {
    /// Octets around the data: header and CRC.
    pub const OVERHEAD: usize = 12;

    /// As [`Self::parse`], of one table: another one is refused as such before anything else is
    /// looked at. `expected` names its table_id.
    pub(crate) fn parse_table(
        octets: &'a [u8],
        table_id: u8,
        expected: &'static str,
    ) -> Result<Self, DecodeError> {
        match octets.first() {
            Some(got) if *got != table_id => {
                Err(DecodeError::Wrong { field: "table_id", got: u32::from(*got), expected })
            }
            _ => Self::parse(octets),
        }
    }

    /// Takes exactly one section and checks its CRC.
    pub fn parse(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let table_id = r.u8("table_id")?;
        let field = r.u16("section_length")?;
        if field & 0x8000 == 0 {
            let (field, expected) = ("section_syntax_indicator", "0x01");
            return Err(DecodeError::Wrong { field, got: 0, expected });
        }
        let body = r.bytes(usize::from(field & 0x0FFF), "section body")?;
        r.finish("section")?;
        let (limit, expected) = match table_id {
            0..0x40 => (MAX_PSI_SECTION, "at most 0x3FD"),
            _ => (MAX_SECTION, "at most 0xFFD"),
        };
        if octets.len() > limit {
            let got = u32::from(field & 0x0FFF);
            return Err(DecodeError::Wrong { field: "section_length", got, expected });
        }
        let (body, _crc) = body.split_last_chunk::<4>().ok_or(DecodeError::Missing("CRC_32"))?;
        if CRC.checksum(octets) != 0 {
            return Err(DecodeError::Checksum("section"));
        }
        let mut r = Reader::new(body);
        let extension = r.u16("table_id_extension")?;
        let version = r.u8("version_number")?;
        Ok(Self {
            table_id,
            extension,
            version: version >> 1 & 0x1F,
            current: version & 1 != 0,
            number: r.u8("section_number")?,
            last_number: r.u8("last_section_number")?,
            data: r.rest(),
        })
    }

    /// Appends the section, reserved bits set, CRC computed.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let psi = self.table_id < 0x40;
        let limit = if psi { MAX_PSI_SECTION } else { MAX_SECTION };
        let octets = self.data.len() + Self::OVERHEAD;
        EncodeError::check("section", octets, limit)?;
        if self.version > 0x1F {
            return Err(EncodeError::Invalid("version_number"));
        }
        let start = out.len();
        let [high, low] = (octets as u16 - 3).to_be_bytes();
        let [e1, e2] = self.extension.to_be_bytes();
        let flags = if psi { 0xB0 } else { 0xF0 };
        let version = 0xC0 | self.version << 1 | u8::from(self.current);
        out.extend([self.table_id, flags | high, low, e1, e2, version]);
        out.extend([self.number, self.last_number]);
        out.extend_from_slice(self.data);
        let crc = CRC.checksum(out.get(start..).unwrap_or_default());
        out.extend(crc.to_be_bytes());
        Ok(())
    }
}

/// The sections that stand one behind the other in `octets`, up to stuffing or a cut-off one.
pub fn sections(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    core::iter::from_fn(move || {
        let [table_id, high, low, ..] = *rest else { return None };
        if table_id == 0xFF {
            return None;
        }
        let len = 3 + usize::from(u16::from_be_bytes([high & 0x0F, low]));
        let (section, behind) = rest.split_at_checked(len)?;
        rest = behind;
        Some(section)
    })
}

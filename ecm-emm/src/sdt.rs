// SPDX-License-Identifier: Apache-2.0
//! Service description table: the names of services where DVB rules. It is read only: a head-end
//! passes it on as it came.
//!
//! Normative references:
//!  - ETSI EN 300 468 §5.2.3 (SDT), §6.2.33 (service_descriptor), Annex A (text)

use crate::descriptor::{Descriptor, Descriptors};
use crate::section::LongSection;
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{DecodeError, Pid, Reader};

/// One section of the SDT of the multiplex that carries it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sdt<'a> {
    /// transport_stream_id.
    pub transport_stream_id: u16,
    /// version_number.
    pub version: u8,
    /// current_next_indicator.
    pub current: bool,
    /// section_number and last_section_number.
    pub number: (u8, u8),
    /// The services of this section, in their order.
    pub services: Vec<Service<'a>>,
}

/// A service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Service<'a> {
    /// service_id: program_number in the PAT.
    pub service_id: u16,
    /// Its loop.
    pub descriptors: Descriptors<'a>,
}

impl<'a> Sdt<'a> {
    /// The first octet of its sections; another multiplex's have 46.
    pub const TABLE_ID: u8 = 0x42;
    /// Where it is.
    pub const PID: Pid = Pid::from_field(0x0011);

    /// Takes one whole section.
    pub fn parse(section: &'a [u8]) -> Result<Self, DecodeError> {
        let section = LongSection::parse_table(section, Self::TABLE_ID, "0x42 (SDT)")?;
        let mut r = Reader::new(section.data);
        r.u16("original_network_id")?;
        r.u8("reserved_future_use")?;
        let mut services = Vec::new();
        while !r.is_empty() {
            let service_id = r.u16("service_id")?;
            r.u8("EIT flags")?;
            let descriptors = Descriptors::parse_counted(&mut r, "descriptors_loop_length")?;
            services.push(Service { service_id, descriptors });
        }
        Ok(Self {
            transport_stream_id: section.extension,
            version: section.version,
            current: section.current,
            number: (section.number, section.last_number),
            services,
        })
    }
}

impl Service<'_> {
    /// service_name of its service_descriptor; `None` without one, and where it is empty.
    pub fn name(&self) -> Option<String> {
        let mut r = Reader::new(self.descriptors.find(Descriptor::SERVICE)?);
        r.u8("service_type").ok()?;
        let provider = r.u8("service_provider_name_length").ok()?;
        r.bytes(provider.into(), "service_provider_name").ok()?;
        let name = r.u8("service_name_length").ok()?;
        let name = text(r.bytes(name.into(), "service_name").ok()?);
        (!name.is_empty()).then_some(name)
    }
}

/// A text of EN 300 468: in UTF-8 or UTF-16 where it says so; of the tables for other scripts only
/// the half that all share, ASCII. What is not known is U+FFFD; control codes are left out.
fn text(octets: &[u8]) -> String {
    let text: String = match octets {
        [0x15, utf8 @ ..] => String::from_utf8_lossy(utf8).into_owned(),
        [0x11, utf16 @ ..] => {
            let units = utf16.as_chunks::<2>().0.iter().map(|unit| u16::from_be_bytes(*unit));
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        [0x10, _, _, table @ ..] | [0x01..=0x0F | 0x12..=0x1F, table @ ..] | table => {
            let known = |octet: &u8| match octet {
                0x20..=0x7E => char::from(*octet),
                // Control codes, among them emphasis.
                0x00..=0x1F | 0x7F..=0x9F => '\0',
                _ => char::REPLACEMENT_CHARACTER,
            };
            table.iter().map(known).collect()
        }
    };
    text.chars().filter(|c| !c.is_control()).collect()
}

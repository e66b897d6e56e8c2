// SPDX-License-Identifier: Apache-2.0
//! Virtual channel table: the names of services where ATSC and SCTE rule. It is read only: a
//! head-end passes it on as it came.
//!
//! Normative references:
//!  - ATSC A/65 §6.3 (TVCT, CVCT), ANSI/SCTE 65 (the same in band)
//!  - `docs/spec/scrambling.md` §5

use crate::descriptor::Descriptors;
use crate::section::LongSection;
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{DecodeError, Pid, Reader};
use core::fmt;

/// One section of a TVCT or CVCT.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vct<'a> {
    /// transport_stream_id: the multiplex that carries it.
    pub transport_stream_id: u16,
    /// version_number.
    pub version: u8,
    /// current_next_indicator.
    pub current: bool,
    /// section_number and last_section_number.
    pub number: (u8, u8),
    /// The channels of this section, in their order.
    pub channels: Vec<Channel<'a>>,
}

/// A virtual channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Channel<'a> {
    /// short_name, up to its first 0. What is no UTF-16 is U+FFFD.
    pub short_name: String,
    /// What the viewer chooses it by.
    pub number: ChannelNumber,
    /// channel_TSID: the multiplex that the service is in.
    pub transport_stream_id: u16,
    /// program_number: the service, as that multiplex's PAT has it; FFFF for an analogue channel.
    pub program_number: u16,
    /// Its own loop.
    pub descriptors: Descriptors<'a>,
}

/// major_channel_number and minor_channel_number, 10 bits each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChannelNumber {
    /// The part in front.
    pub major: u16,
    /// The part behind.
    pub minor: u16,
}

impl<'a> Vct<'a> {
    /// The first octet of the sections of a terrestrial one.
    pub const TERRESTRIAL: u8 = 0xC8;
    /// The first octet of the sections of a cable one.
    pub const CABLE: u8 = 0xC9;
    /// base_PID: where MGT and VCT are.
    pub const PID: Pid = Pid::from_field(0x1FFB);

    /// Takes one whole section.
    pub fn parse(section: &'a [u8]) -> Result<Self, DecodeError> {
        let section = LongSection::parse(section)?;
        if !matches!(section.table_id, Self::TERRESTRIAL | Self::CABLE) {
            let (field, expected) = ("table_id", "0xC8 (TVCT) or 0xC9 (CVCT)");
            return Err(DecodeError::Wrong { field, got: section.table_id.into(), expected });
        }
        let mut r = Reader::new(section.data);
        let protocol = r.u8("protocol_version")?;
        if protocol != 0 {
            let (field, expected) = ("protocol_version", "0x00");
            return Err(DecodeError::Wrong { field, got: protocol.into(), expected });
        }
        let count = r.u8("num_channels_in_section")?;
        let channels = (0..count).map(|_| Channel::read(&mut r)).collect::<Result<_, _>>()?;
        counted(&mut r, "additional_descriptors_length")?;
        r.finish("VCT")?;
        Ok(Self {
            transport_stream_id: section.extension,
            version: section.version,
            current: section.current,
            number: (section.number, section.last_number),
            channels,
        })
    }
}

impl<'a> Channel<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let name: &[u8; 14] = r.array("short_name")?;
        let [a, b, c] = *r.array("channel number")?;
        let numbers = u32::from_be_bytes([0, a, b, c]);
        r.u8("modulation_mode")?;
        r.u32("carrier_frequency")?;
        let transport_stream_id = r.u16("channel_TSID")?;
        let program_number = r.u16("program_number")?;
        r.u16("service_type")?;
        r.u16("source_id")?;
        let descriptors = counted(r, "descriptors_length")?;
        let units = name.as_chunks::<2>().0.iter().map(|unit| u16::from_be_bytes(*unit));
        Ok(Self {
            short_name: char::decode_utf16(units.take_while(|unit| *unit != 0))
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
            number: ChannelNumber {
                major: (numbers >> 10 & 0x3FF) as u16,
                minor: (numbers & 0x3FF) as u16,
            },
            transport_stream_id,
            program_number,
            descriptors,
        })
    }
}

/// A loop of descriptors behind its length, of 10 bits here.
fn counted<'a>(r: &mut Reader<'a>, field: &'static str) -> Result<Descriptors<'a>, DecodeError> {
    let len = r.u16(field)? & 0x03FF;
    Descriptors::parse(r.bytes(len.into(), field)?)
}

/// "7-1"; a cable network may have numbers of one part, told by the six ones in front (ATSC A/65
/// §6.3.2).
impl fmt::Display for ChannelNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.major >> 4 == 0x3F {
            write!(f, "{}", (self.major & 0x0F) << 10 | self.minor)
        } else {
            write!(f, "{}-{}", self.major, self.minor)
        }
    }
}

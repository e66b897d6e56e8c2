// SPDX-License-Identifier: Apache-2.0
//! Program map table.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4.8

use crate::descriptor::Descriptors;
use crate::error::EncodeError;
use crate::scrambling::ScramblingMode;
use crate::section::LongSection;
use alloc::vec::Vec;
use cam_types::{DecodeError, Pid, Reader};

/// A PMT section; a programme has exactly one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pmt<'a> {
    /// program_number: the service, as the PAT has it.
    pub program_number: u16,
    /// version_number.
    pub version: u8,
    /// current_next_indicator.
    pub current: bool,
    /// PCR_PID: where the service's clock is; [`Pid::NULL`] for none.
    pub pcr_pid: Pid,
    /// The loop that is valid for the whole programme.
    pub descriptors: Descriptors<'a>,
    /// The programme's components.
    pub streams: Streams<'a>,
}

impl<'a> Pmt<'a> {
    /// The first octet of its sections.
    pub const TABLE_ID: u8 = 0x02;

    /// Takes one whole section. Both section numbers are 0: a part would not be the programme.
    pub fn parse(section: &'a [u8]) -> Result<Self, DecodeError> {
        let section = LongSection::parse_table(section, Self::TABLE_ID, "0x02 (PMT)")?;
        for (field, got) in
            [("section_number", section.number), ("last_section_number", section.last_number)]
        {
            if got != 0 {
                let expected = "0x00: a PMT is one section";
                return Err(DecodeError::Wrong { field, got: got.into(), expected });
            }
        }
        let mut r = Reader::new(section.data);
        Ok(Self {
            program_number: section.extension,
            version: section.version,
            current: section.current,
            pcr_pid: Pid::from_field(r.u16("PCR_PID")?),
            descriptors: Descriptors::parse_counted(&mut r, "program_info_length")?,
            streams: Streams::parse(r.rest())?,
        })
    }

    /// Appends the whole section.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut data = Vec::new();
        data.extend((0xE000 | self.pcr_pid.value()).to_be_bytes());
        self.descriptors.emit_counted(&mut data)?;
        data.extend_from_slice(self.streams.octets());
        let section = LongSection {
            table_id: Self::TABLE_ID,
            extension: self.program_number,
            version: self.version,
            current: self.current,
            number: 0,
            last_number: 0,
            data: &data,
        };
        section.emit(out)
    }

    /// The loop that is valid for the whole programme.
    pub const fn descriptors(&self) -> Descriptors<'a> {
        self.descriptors
    }

    /// The elementary streams, in their order.
    pub fn streams(&self) -> impl Iterator<Item = Stream<'a>> + use<'a> {
        self.streams.iter()
    }

    /// How the programme is scrambled, if its scrambling_descriptor says so.
    pub fn scrambling_mode(&self) -> Option<ScramblingMode> {
        self.descriptors.scrambling_mode()
    }
}

/// The loop of elementary streams, known to be well formed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Streams<'a>(&'a [u8]);

impl<'a> Streams<'a> {
    /// Takes a whole loop: streams that were emitted one behind the other.
    pub fn parse(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        while !r.is_empty() {
            Stream::read(&mut r)?;
        }
        Ok(Self(octets))
    }

    /// The loop as it stands in the PMT.
    pub const fn octets(&self) -> &'a [u8] {
        self.0
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = Stream<'a>> + use<'a> {
        let mut r = Reader::new(self.0);
        core::iter::from_fn(move || Stream::read(&mut r).ok())
    }
}

/// One elementary stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stream<'a> {
    /// stream_type, as ISO/IEC 13818-1 table 2-34 gives it out.
    pub stream_type: u8,
    /// elementary_PID.
    pub pid: Pid,
    /// Its own loop.
    pub descriptors: Descriptors<'a>,
}

impl<'a> Stream<'a> {
    /// stream_type, elementary_PID and ES_info_length.
    pub(crate) const HEADER_LEN: usize = 5;

    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        // Less than that is no stream: rather a loop that is cut short, or octets behind it.
        r.clone().bytes(Self::HEADER_LEN, "header of an elementary stream")?;
        Ok(Self {
            stream_type: r.u8("stream_type")?,
            pid: Pid::from_field(r.u16("elementary_PID")?),
            descriptors: Descriptors::parse_counted(r, "ES_info_length")?,
        })
    }

    /// Appends the stream to a loop that [`Streams::parse`] will take.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(self.stream_type);
        out.extend((0xE000 | self.pid.value()).to_be_bytes());
        self.descriptors.emit_counted(out)
    }
}

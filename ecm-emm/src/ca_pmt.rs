// SPDX-License-Identifier: Apache-2.0
//! CA_PMT: what a middleware tells a CA module about the service that the subscriber has chosen.
//!
//! Normative references:
//!  - EN 50221 §8.4.3.4 (CA_PMT), §7 (length fields of APDUs)

use crate::descriptor::Descriptors;
use crate::error::EncodeError;
use crate::pmt::Stream;
use alloc::vec::Vec;
use cam_types::{DecodeError, Pid, Reader};

/// A CA_PMT object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaPmt<'a> {
    /// How it changes the list of chosen services.
    pub list_management: ListManagement,
    /// program_number: the service, as the PAT has it.
    pub program_number: u16,
    /// version_number.
    pub version: u8,
    /// current_next_indicator.
    pub current: bool,
    /// What is wanted of the programme, unless there is no CA at this level.
    pub program: Option<CaInfo<'a>>,
    /// The chosen elementary streams.
    pub streams: Vec<CaStream<'a>>,
}

/// An elementary stream of a CA_PMT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaStream<'a> {
    /// stream_type, as ISO/IEC 13818-1 table 2-34 gives it out.
    pub stream_type: u8,
    /// elementary_PID.
    pub pid: Pid,
    /// What is wanted of it, unless there is no CA at this level.
    pub info: Option<CaInfo<'a>>,
}

/// A command with the CA_descriptors it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaInfo<'a> {
    /// ca_pmt_cmd_id.
    pub command: CommandId,
    /// The CA_descriptors of this level.
    pub descriptors: Descriptors<'a>,
}

/// ca_pmt_list_management.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListManagement(pub u8);

impl ListManagement {
    /// Neither first nor last of a list.
    pub const MORE: Self = Self(0x00);
    /// A new list starts and goes on.
    pub const FIRST: Self = Self(0x01);
    /// The list ends here.
    pub const LAST: Self = Self(0x02);
    /// A new list of one.
    pub const ONLY: Self = Self(0x03);
    /// One more for the list.
    pub const ADD: Self = Self(0x04);
    /// A programme of the list has changed.
    pub const UPDATE: Self = Self(0x05);
}

/// ca_pmt_cmd_id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CommandId(pub u8);

impl CommandId {
    /// Descramble, without a question first.
    pub const OK_DESCRAMBLING: Self = Self(0x01);
    /// Ask the subscriber where that is needed.
    pub const OK_MMI: Self = Self(0x02);
    /// Only say whether it could be descrambled.
    pub const QUERY: Self = Self(0x03);
    /// No longer wanted.
    pub const NOT_SELECTED: Self = Self(0x04);
}

impl<'a> CaPmt<'a> {
    /// ca_pmt_tag.
    pub const TAG: [u8; 3] = [0x9F, 0x80, 0x32];

    /// Takes the whole object, with tag and length or from ca_pmt_list_management on. The first
    /// octet tells: no ca_pmt_list_management is the first octet of a tag.
    pub fn parse(object: &'a [u8]) -> Result<Self, DecodeError> {
        let [first, ..] = Self::TAG;
        if object.first() != Some(&first) {
            return Self::parse_body(object);
        }
        let mut r = Reader::new(object);
        let tag = r.array::<3>("ca_pmt_tag")?;
        if *tag != Self::TAG {
            let [a, b, c] = *tag;
            let got = u32::from_be_bytes([0, a, b, c]);
            let expected = "0x9F8032";
            return Err(DecodeError::Wrong { field: "ca_pmt_tag", got, expected });
        }
        let body_len = read_length(&mut r)?;
        let body = r.bytes(body_len, "CA_PMT body")?;
        r.finish("CA_PMT")?;
        Self::parse_body(body)
    }

    /// Takes what follows tag and length.
    pub fn parse_body(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let list_management = ListManagement(r.u8("ca_pmt_list_management")?);
        let program_number = r.u16("program_number")?;
        let version = r.u8("version_number")?;
        let program = read_info(&mut r, "program_info_length")?;
        let mut streams = Vec::new();
        while !r.is_empty() {
            // As in a PMT: less than that is no stream.
            r.clone().bytes(Stream::HEADER_LEN, "header of an elementary stream")?;
            streams.push(CaStream {
                stream_type: r.u8("stream_type")?,
                pid: Pid::from_field(r.u16("elementary_PID")?),
                info: read_info(&mut r, "ES_info_length")?,
            });
        }
        Ok(Self {
            list_management,
            program_number,
            version: version >> 1 & 0x1F,
            current: version & 1 != 0,
            program,
            streams,
        })
    }

    /// The command for a component: its own, else the programme's; `None` where neither has one.
    pub fn command_for(&self, stream: &CaStream<'_>) -> Option<CommandId> {
        stream.info.or(self.program).map(|info| info.command)
    }

    /// Every command of the object, known or not.
    pub fn commands(&self) -> impl Iterator<Item = CommandId> + '_ {
        let of_streams = self.streams.iter().filter_map(|stream| stream.info);
        self.program.into_iter().chain(of_streams).map(|info| info.command)
    }

    /// Appends the whole object.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.version > 0x1F {
            return Err(EncodeError::Invalid("version_number"));
        }
        let mut body = Vec::new();
        body.push(self.list_management.0);
        body.extend(self.program_number.to_be_bytes());
        body.push(0xC0 | self.version << 1 | u8::from(self.current));
        emit_info(self.program, &mut body)?;
        for stream in &self.streams {
            body.push(stream.stream_type);
            body.extend((0xE000 | stream.pid.value()).to_be_bytes());
            emit_info(stream.info, &mut body)?;
        }
        EncodeError::check("CA_PMT", body.len(), 0xFFFF)?;
        let [high, low] = (body.len() as u16).to_be_bytes();
        out.extend(Self::TAG);
        match body.len() {
            0..=0x7F => out.push(low),
            0x80..=0xFF => out.extend([0x81, low]),
            _ => out.extend([0x82, high, low]),
        }
        out.extend(body);
        Ok(())
    }
}

/// A length_field: one octet, or a count of octets and as many (EN 50221 §7).
fn read_length(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let field = "length_field";
    let first = r.u8(field)?;
    let octets = match first {
        0..=0x7F => return Ok(first.into()),
        0x81..=0x84 => r.bytes((first & 0x7F).into(), field)?,
        _ => {
            let expected = "0x00 to 0x7F, or 0x81 to 0x84";
            return Err(DecodeError::Wrong { field, got: first.into(), expected });
        }
    };
    let len = octets.iter().fold(0_u32, |len, octet| len << 8 | u32::from(*octet));
    usize::try_from(len).map_err(|_| DecodeError::Invalid { field, got: len })
}

fn read_info<'a>(
    r: &mut Reader<'a>,
    field: &'static str,
) -> Result<Option<CaInfo<'a>>, DecodeError> {
    let len = r.u16(field)? & 0x0FFF;
    let Some((command, descriptors)) = r.bytes(len.into(), field)?.split_first() else {
        return Ok(None);
    };
    let descriptors = Descriptors::parse(descriptors)?;
    Ok(Some(CaInfo { command: CommandId(*command), descriptors }))
}

fn emit_info(info: Option<CaInfo<'_>>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Some(CaInfo { command, descriptors }) = info else {
        out.extend([0xF0, 0x00]);
        return Ok(());
    };
    let len = descriptors.octets().len() + 1;
    EncodeError::check("descriptor loop", len, 0x0FFF)?;
    out.extend((0xF000 | len as u16).to_be_bytes());
    out.push(command.0);
    out.extend_from_slice(descriptors.octets());
    Ok(())
}

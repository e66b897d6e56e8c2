// SPDX-License-Identifier: Apache-2.0
//! Descriptors and the loops they stand in.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.6 (descriptors)
//!  - ETSI EN 300 468 §6.2 (scrambling_descriptor)

use crate::error::EncodeError;
use crate::scrambling::ScramblingMode;
use alloc::vec::Vec;
use cam_types::{DecodeError, Reader};

/// One descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Descriptor<'a> {
    /// descriptor_tag.
    pub tag: u8,
    /// What its length counts.
    pub data: &'a [u8],
}

impl Descriptor<'_> {
    /// CA_descriptor.
    pub const CA: u8 = 0x09;
    /// service_descriptor.
    pub const SERVICE: u8 = 0x48;
    /// scrambling_descriptor.
    pub const SCRAMBLING: u8 = 0x65;

    /// Appends tag, length and data.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        EncodeError::check("descriptor", self.data.len(), 255)?;
        out.extend([self.tag, self.data.len() as u8]);
        out.extend_from_slice(self.data);
        Ok(())
    }
}

/// A loop of descriptors, known to be well formed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Descriptors<'a>(&'a [u8]);

impl<'a> Descriptors<'a> {
    /// The longest loop: its length field has 12 bits, of which the first two are 0.
    pub const MAX_LEN: usize = 1023;

    /// Takes a whole loop; every descriptor must end inside it.
    pub fn parse(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        while !r.is_empty() {
            r.u8("descriptor_tag")?;
            let len = r.u8("descriptor_length")?;
            r.bytes(len.into(), "descriptor")?;
        }
        Ok(Self(octets))
    }

    /// The loop as it stands in its table.
    pub const fn octets(&self) -> &'a [u8] {
        self.0
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = Descriptor<'a>> + use<'a> {
        let mut r = Reader::new(self.0);
        core::iter::from_fn(move || {
            let tag = r.u8("descriptor_tag").ok()?;
            let len = r.u8("descriptor_length").ok()?;
            Some(Descriptor { tag, data: r.bytes(len.into(), "descriptor").ok()? })
        })
    }

    /// The data of the first one with this tag.
    pub fn find(&self, tag: u8) -> Option<&'a [u8]> {
        self.iter().find(|descriptor| descriptor.tag == tag).map(|descriptor| descriptor.data)
    }

    /// scrambling_mode of the scrambling_descriptor.
    pub fn scrambling_mode(&self) -> Option<ScramblingMode> {
        self.find(Descriptor::SCRAMBLING)?.first().copied().map(ScramblingMode)
    }

    /// A loop behind its 12-bit length, as PMT and CA_PMT have them.
    pub(crate) fn parse_counted(
        r: &mut Reader<'a>,
        field: &'static str,
    ) -> Result<Self, DecodeError> {
        let len = r.u16(field)? & 0x0FFF;
        Self::parse(r.bytes(len.into(), field)?)
    }

    pub(crate) fn emit_counted(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        EncodeError::check("descriptor loop", self.0.len(), Self::MAX_LEN)?;
        out.extend((0xF000 | self.0.len() as u16).to_be_bytes());
        out.extend_from_slice(self.0);
        Ok(())
    }
}

// SPDX-License-Identifier: Apache-2.0
//! CA_descriptor: where the ECMs (in a PMT) or EMMs (in a CAT) of one system are.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.6.16
//!  - `docs/spec/ecm.md` (our private data)

use crate::descriptor::{Descriptor, Descriptors};
use crate::error::EncodeError;
use alloc::vec::Vec;
use cam_types::{CaSystemId, ChannelId, DecodeError, OperatorId, Pid, Reader};

/// The content of a CA_descriptor. Several of one system in one loop are normal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaDescriptor<'a> {
    /// CA_system_ID: whose ECMs or EMMs these are.
    pub system: CaSystemId,
    /// CA_PID; [`Pid::NULL`] means that there is no such stream.
    pub pid: Pid,
    /// private_data_byte.
    pub private: &'a [u8],
}

impl<'a> CaDescriptor<'a> {
    /// Takes the data of a descriptor with tag 09.
    pub fn parse(data: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        Ok(Self {
            system: CaSystemId::from_be_bytes(*r.array("CA_system_ID")?),
            pid: Pid::from_field(r.u16("CA_PID")?),
            private: r.rest(),
        })
    }

    /// Appends the whole descriptor.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        EncodeError::check("CA_descriptor", self.private.len() + 4, 255)?;
        out.extend([Descriptor::CA, self.private.len() as u8 + 4]);
        out.extend(self.system.to_be_bytes());
        out.extend((0xE000 | self.pid.value()).to_be_bytes());
        out.extend_from_slice(self.private);
        Ok(())
    }
}

impl<'a> Descriptors<'a> {
    /// The CA_descriptors of the loop; those too short to be one are passed over.
    pub fn ca_descriptors(&self) -> impl Iterator<Item = CaDescriptor<'a>> + use<'a> {
        self.iter()
            .filter(|descriptor| descriptor.tag == Descriptor::CA)
            .filter_map(|descriptor| CaDescriptor::parse(descriptor.data).ok())
    }
}

/// The private data of our CA_descriptors: whose messages the PID carries, in which suite, of which
/// channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaPrivate {
    /// The operator of every message on the PID.
    pub operator: OperatorId,
    /// The number of the suite; it may be one that is newer than this software.
    pub suite: u8,
    /// The channel of the ECMs on the PID. `None`: not named, and always so in a CAT.
    pub channel: Option<ChannelId>,
}

impl CaPrivate {
    /// In the ECM command and here: no channel is named.
    const ANY: ChannelId = ChannelId::new(0);

    /// Takes the private data of a CA_descriptor. Octets behind the known ones are left to later
    /// versions.
    pub fn parse(private: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(private);
        Ok(Self {
            operator: OperatorId::from_be_bytes(*r.array("operator")?),
            suite: r.u8("suite")?,
            channel: r.rest().first_chunk().copied().map(ChannelId::from_be_bytes),
        }
        .named())
    }

    /// 0000 names no channel.
    fn named(self) -> Self {
        Self { channel: self.channel.filter(|channel| *channel != Self::ANY), ..self }
    }

    /// As the descriptor carries it.
    pub fn octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(5);
        out.extend(self.operator.to_be_bytes());
        out.push(self.suite);
        out.extend(self.channel.iter().flat_map(|channel| channel.to_be_bytes()));
        out
    }
}

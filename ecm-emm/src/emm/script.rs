// SPDX-License-Identifier: Apache-2.0
//! SCRIPT: commands of the issuer for a security domain.

use super::field::{Emit, Read};
use alloc::vec::Vec;
use cam_types::{DecodeError, Reader};

/// What SCRIPT carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// The key version of the domain's set.
    pub target: u8,
    /// At least the set's own script counter, 24 bits.
    pub sequence: [u8; 3],
    /// Host challenge of the session in which the commands were wrapped.
    pub host_challenge: [u8; 8],
    /// What proved the host in that session; the card compares it.
    pub host_cryptogram: [u8; 8],
    /// The commands, wrapped in that session.
    pub apdus: Vec<Vec<u8>>,
}

impl Read for Script {
    fn read(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let mut script = Self {
            target: r.u8("script target")?,
            sequence: *r.array("script sequence")?,
            host_challenge: *r.array("host challenge")?,
            host_cryptogram: *r.array("host cryptogram")?,
            apdus: Vec::new(),
        };
        while !r.is_empty() {
            let len = r.u8("length of script command")?;
            if len == 0 {
                return Err(DecodeError::Missing("script command"));
            }
            script.apdus.push(r.bytes(len.into(), "script command")?.into());
        }
        Ok(script)
    }
}

impl Emit for Script {
    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.target);
        out.extend(self.sequence);
        out.extend(self.host_challenge);
        out.extend(self.host_cryptogram);
        for apdu in &self.apdus {
            // One that is too long fails the check of the whole command.
            out.push(u8::try_from(apdu.len()).unwrap_or(0));
            out.extend_from_slice(apdu);
        }
    }
}

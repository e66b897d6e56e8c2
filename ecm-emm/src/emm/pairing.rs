// SPDX-License-Identifier: Apache-2.0
//! PAIR: the card's half of a pairing.

use super::field::{Emit, Read, pairing_slot};
use alloc::vec::Vec;
use cam_types::{DecodeError, Reader, StbId};

/// What PAIR carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pairing {
    /// 0 to 3.
    pub slot: u8,
    /// The box that the card is to be paired with.
    pub stb: StbId,
    /// The key of the session between card and box.
    pub k_pair: [u8; 24],
    /// The key under which the card gives control words to the box.
    pub k_cw: [u8; 24],
    /// Check value of K_pair.
    pub kcv: [u8; 3],
}

impl Read for Pairing {
    fn read(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        Ok(Self {
            slot: pairing_slot(r)?,
            stb: StbId::new(*r.array("box")?),
            k_pair: *r.array("pairing key")?,
            k_cw: *r.array("control word key")?,
            kcv: *r.array("key check value")?,
        })
    }
}

impl Emit for Pairing {
    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.slot);
        out.extend_from_slice(self.stb.octets());
        out.extend_from_slice(&self.k_pair);
        out.extend_from_slice(&self.k_cw);
        out.extend(self.kcv);
    }
}

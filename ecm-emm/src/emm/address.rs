// SPDX-License-Identifier: Apache-2.0
//! Whom an EMM is for: one card, a group, or every card of the operator.
//!
//! Normative references:
//!  - `docs/spec/emm.md`, 2

use alloc::vec::Vec;
use cam_types::{DecodeError, Pseudonym, Reader};

/// Whom an EMM is for. It decides the table_id.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Address {
    /// EMM-U, table_id 82: one card, by its pseudonym.
    Unique(Pseudonym),
    /// EMM-S, table_id 84: the cards of a group.
    Shared(u32),
    /// EMM-G, table_id 86: every card of the operator.
    Global,
}

impl Address {
    /// table_id of EMM-U.
    pub const UNIQUE: u8 = 0x82;
    /// table_id of EMM-S.
    pub const SHARED: u8 = 0x84;
    /// table_id of EMM-G.
    pub const GLOBAL: u8 = 0x86;

    /// The table_id that carries it.
    pub const fn table_id(&self) -> u8 {
        match self {
            Self::Unique(_) => Self::UNIQUE,
            Self::Shared(_) => Self::SHARED,
            Self::Global => Self::GLOBAL,
        }
    }

    pub(super) fn read(table_id: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match table_id {
            Self::UNIQUE => Ok(Self::Unique(Pseudonym::new(*r.array("pseudonym")?))),
            Self::SHARED => Ok(Self::Shared(r.u32("group address")?)),
            Self::GLOBAL => Ok(Self::Global),
            _ => Err(DecodeError::Invalid { field: "table_id", got: table_id.into() }),
        }
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unique(pseudonym) => out.extend_from_slice(pseudonym.octets()),
            Self::Shared(group) => out.extend(group.to_be_bytes()),
            Self::Global => {}
        }
    }

    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Unique(_) => Pseudonym::LEN,
            Self::Shared(_) => 4,
            Self::Global => 0,
        }
    }
}

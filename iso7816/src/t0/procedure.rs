// SPDX-License-Identifier: Apache-2.0
//! Procedure bytes: what the card wants next.
use super::policy::T0Policy;

/// A procedure byte (table 11 of clause 10.3.3).
pub(super) enum Procedure {
    /// More time.
    Null,
    /// All data that is left.
    All,
    /// One octet of data.
    One,
    /// The first half of the status word.
    Sw1,
}

impl Procedure {
    /// What `octet` means in answer to `ins`.
    pub(super) fn of(octet: u8, ins: u8, policy: T0Policy) -> Option<Self> {
        match octet {
            0x60 => Some(Self::Null),
            _ if matches!(octet & 0xF0, 0x60 | 0x90) => Some(Self::Sw1),
            _ if octet == ins => Some(Self::All),
            _ if octet == !ins => Some(Self::One),
            _ if !policy.vpp_procedure_bytes => None,
            _ if octet == ins ^ 0x01 => Some(Self::All),
            _ if octet == !(ins ^ 0x01) => Some(Self::One),
            _ => None,
        }
    }
}

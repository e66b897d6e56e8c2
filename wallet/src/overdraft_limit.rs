// SPDX-License-Identifier: Apache-2.0
//! How far a passbook may be overdrawn. The formulas need it as well as the passbook's commands.

use cam_types::Fen;

/// How far the passbook may be overdrawn: 24 bits of fen.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct OverdraftLimit(u32);

impl OverdraftLimit {
    /// A limit of so much; `None` over 167772.15.
    pub const fn new(limit: Fen) -> Option<Self> {
        if limit.fen() < 1 << 24 { Some(Self(limit.fen())) } else { None }
    }

    /// From its octets.
    pub const fn from_be_bytes([a, b, c]: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, a, b, c]))
    }

    /// Its octets.
    pub const fn to_be_bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// As money.
    pub const fn fen(self) -> Fen {
        Fen::new(self.0)
    }
}

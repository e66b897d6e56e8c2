// SPDX-License-Identifier: Apache-2.0
//! The two sides of a dual-interface card: contacts and antenna.

use crate::decide::Bits;

/// Which side of the card a command comes from. One is active per power-up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Interface {
    /// ISO/IEC 7816.
    #[default]
    Contact,
    /// ISO/IEC 14443: the purse only.
    Contactless,
}

impl Bits for Interface {
    fn bits(self) -> u32 {
        match self {
            Self::Contact => 0xA5,
            Self::Contactless => 0x5A,
        }
    }

    fn of(bits: u32) -> Self {
        if bits == Self::Contact.bits() { Self::Contact } else { Self::Contactless }
    }
}

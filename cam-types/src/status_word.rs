// SPDX-License-Identifier: Apache-2.0
//! The status word that ends every answer of a card.
//!
//! Normative references:
//!  - ISO/IEC 7816-4 (status words)

use core::fmt;

/// SW1-SW2 (ISO/IEC 7816-4).
///
/// Status words of applications live with those applications; an unknown one survives a round trip.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// Normal end.
    pub const OK: Self = Self(0x9000);
    /// The data field has the wrong length.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// Secure messaging is missing or broken, or a condition for access is not met.
    pub const SECURITY_STATUS: Self = Self(0x6982);
    /// The PIN is blocked.
    pub const BLOCKED: Self = Self(0x6983);
    /// The card's state or interface does not allow the command.
    pub const CONDITIONS: Self = Self(0x6985);
    /// The secure messaging objects do not verify.
    pub const SECURE_MESSAGING: Self = Self(0x6988);
    /// The data field is malformed.
    pub const WRONG_DATA: Self = Self(0x6A80);
    /// File or application not found.
    pub const NOT_FOUND: Self = Self(0x6A82);
    /// P1-P2 are wrong.
    pub const WRONG_P1P2: Self = Self(0x6A86);
    /// What the command refers to is not there.
    pub const REFERENCE_NOT_FOUND: Self = Self(0x6A88);
    /// The instruction is not known.
    pub const UNKNOWN_INS: Self = Self(0x6D00);
    /// The class is not known.
    pub const UNKNOWN_CLA: Self = Self(0x6E00);

    /// SW1, which says how it ended.
    pub const fn sw1(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// SW2, which says more about it.
    pub const fn sw2(self) -> u8 {
        self.0.to_be_bytes()[1]
    }

    /// From the two octets in wire order.
    pub const fn from_be_bytes(octets: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(octets))
    }

    /// The two octets in wire order.
    pub const fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// `61 xx`: so many octets wait for GET RESPONSE (`00` stands for 256).
    pub const fn more_data(self) -> Option<u16> {
        match self.to_be_bytes() {
            [0x61, n] => Some(length(n)),
            _ => None,
        }
    }

    /// `6C xx`: the answer has exactly so many octets (`00` stands for 256).
    pub const fn right_length(self) -> Option<u16> {
        match self.to_be_bytes() {
            [0x6C, n] => Some(length(n)),
            _ => None,
        }
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SW={:04X}", self.0)
    }
}

/// A length octet in which `00` stands for 256.
const fn length(octet: u8) -> u16 {
    if octet == 0 { 256 } else { octet as u16 }
}

// SPDX-License-Identifier: Apache-2.0
//! Application identifiers (ISO/IEC 7816-5): those that this project selects or serves.

use core::fmt;

/// An application identifier, 5 to 16 octets. Two are the same only when all octets are.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Aid(&'static [u8]);

impl Aid {
    /// The issuer's security domain (GlobalPlatform).
    pub const ISSUER: Self = Self(&[0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00]);
    /// The conditional access application: F0 "STBCAS" 01.
    pub const CAS: Self = Self(b"\xF0STBCAS\x01");
    /// The purse and passbook of PBOC, as terminals select it.
    pub const PURSE: Self = Self(&[0xA0, 0x00, 0x00, 0x00, 0x03, 0x86, 0x98, 0x07, 0x01]);
    /// The secure module of a terminal: F0 "STBSAM" 01.
    pub const PSAM: Self = Self(b"\xF0STBSAM\x01");

    /// An AID of this name, for whoever wants to try.
    pub const fn new(octets: &'static [u8]) -> Self {
        Self(octets)
    }

    /// As SELECT names it, 5 to 16 octets.
    pub const fn octets(&self) -> &'static [u8] {
        self.0
    }
}

impl fmt::Debug for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

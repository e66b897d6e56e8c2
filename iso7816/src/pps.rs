// SPDX-License-Identifier: Apache-2.0
//! Protocol and parameters selection.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clause 9
use cam_types::DecodeError;
use core::fmt;
use core::ops::Deref;

/// A PPS request or response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pps {
    /// T, 0 to 15.
    pub protocol: u8,
    /// FI and DI.
    pub pps1: Option<u8>,
    /// Use of SPU.
    pub pps2: Option<u8>,
    /// Reserved.
    pub pps3: Option<u8>,
}

impl Pps {
    /// The first octet, PPSS.
    pub const PPSS: u8 = 0xFF;
    /// Octets of the longest PPS.
    pub const MAX_LEN: usize = 6;

    /// How many octets a PPS with this PPS0 has, PPSS and PCK included.
    pub const fn len_by_pps0(pps0: u8) -> usize {
        3 + ((pps0 >> 4) & 0x07).count_ones() as usize
    }

    /// Reads exactly one PPS. Bit 8 of PPS0 is reserved and has to be 0.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = cam_types::Reader::new(octets);
        let ppss = r.u8("PPSS")?;
        if ppss != Self::PPSS {
            return Err(DecodeError::Invalid { field: "PPSS", got: ppss.into() });
        }
        let pps0 = r.u8("PPS0")?;
        if pps0 & 0x80 != 0 {
            return Err(DecodeError::Invalid { field: "PPS0", got: pps0.into() });
        }
        let mut optional = |bit: u8, field| {
            if pps0 & bit == 0 { Ok(None) } else { r.u8(field).map(Some) }
        };
        let pps = Self {
            protocol: pps0 & 0x0F,
            pps1: optional(0x10, "PPS1")?,
            pps2: optional(0x20, "PPS2")?,
            pps3: optional(0x40, "PPS3")?,
        };
        r.u8("PCK")?;
        r.finish("PPS")?;
        if octets.iter().fold(0, |sum, octet| sum ^ octet) != 0 {
            return Err(DecodeError::Checksum("PPS"));
        }
        Ok(pps)
    }

    /// The octets, PPSS to PCK. `parse` of them gives `self` back.
    pub fn emit(&self) -> PpsOctets {
        let mut out = PpsOctets { octets: [0; Self::MAX_LEN], len: 0 };
        let mut pps0 = self.protocol & 0x0F;
        for (bit, octet) in [(0x10, self.pps1), (0x20, self.pps2), (0x40, self.pps3)] {
            if octet.is_some() {
                pps0 |= bit;
            }
        }
        let body = [Some(Self::PPSS), Some(pps0), self.pps1, self.pps2, self.pps3];
        let mut pck = 0;
        for octet in body.into_iter().flatten() {
            pck ^= octet;
            out.push(octet);
        }
        out.push(pck);
        out
    }

    /// What the card's `response` to this request means.
    pub fn agree(&self, response: &Self) -> Result<Agreed, PpsError> {
        if response.protocol != self.protocol {
            return Err(PpsError::Protocol { got: response.protocol, expected: self.protocol });
        }
        for (got, wanted) in [(response.pps2, self.pps2), (response.pps3, self.pps3)] {
            if got.is_some() && got != wanted {
                return Err(PpsError::Parameter);
            }
        }
        match (response.pps1, self.pps1) {
            (None, _) => Ok(Agreed::Default),
            (got, wanted) if got == wanted => Ok(Agreed::Requested),
            _ => Err(PpsError::Parameter),
        }
    }
}

/// Which F and D hold after a successful PPS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Agreed {
    /// Those of PPS1.
    Requested,
    /// Fd and Dd: 372 and 1.
    Default,
}

/// The octets of one PPS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PpsOctets {
    octets: [u8; Pps::MAX_LEN],
    len: usize,
}

impl PpsOctets {
    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.len) {
            *place = octet;
            self.len += 1;
        }
    }
}

impl Deref for PpsOctets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&[])
    }
}

/// Why a PPS was not successful.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PpsError {
    /// The response names another protocol.
    Protocol {
        /// T of the response.
        got: u8,
        /// T of the request.
        expected: u8,
    },
    /// The response names a value that was not asked for.
    Parameter,
    /// The response is not a PPS.
    Malformed(DecodeError),
    /// No response, or not all of it.
    Silent,
}

impl fmt::Display for PpsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol { got, expected } => {
                write!(f, "PPS response for T={got}, expected T={expected}")
            }
            Self::Parameter => f.write_str("PPS response with a parameter nobody asked for"),
            Self::Malformed(why) => write!(f, "PPS response is malformed: {why}"),
            Self::Silent => f.write_str("no complete PPS response"),
        }
    }
}

impl core::error::Error for PpsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    const REQUEST: Pps = Pps { protocol: 1, pps1: Some(0x18), pps2: None, pps3: None };

    #[test]
    fn requests_and_responses_octet_by_octet() {
        assert_eq!(&*REQUEST.emit(), hex!("FF 11 18 F6"));
        let all = Pps { protocol: 0, pps1: Some(0x95), pps2: Some(1), pps3: Some(2) };
        assert_eq!(&*all.emit(), hex!("FF 70 95 01 02 19"));
        for pps in [REQUEST, all] {
            let octets = pps.emit();
            assert_eq!(Pps::parse(&octets), Ok(pps));
            assert_eq!(Pps::len_by_pps0(octets[1]), octets.len());
        }
    }

    #[test]
    fn malformed_responses_are_refused() {
        for octets in [
            &hex!("FE 11 18 F7")[..],
            &hex!("FF 11 18 F7"),
            &hex!("FF 91 18 76"),
            &hex!("FF 11 18"),
            &hex!("FF 11 18 F6 00"),
            &hex!("FF"),
            &[],
        ] {
            assert!(Pps::parse(octets).is_err(), "{octets:02X?}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_agreed() {
        let table = [
            (Pps { ..REQUEST }, Ok(Agreed::Requested)),
            (Pps { pps1: None, ..REQUEST }, Ok(Agreed::Default)),
            (Pps { pps1: Some(0x11), ..REQUEST }, Err(PpsError::Parameter)),
            (Pps { pps2: Some(1), ..REQUEST }, Err(PpsError::Parameter)),
            (Pps { pps3: Some(1), ..REQUEST }, Err(PpsError::Parameter)),
            (Pps { protocol: 0, ..REQUEST }, Err(PpsError::Protocol { got: 0, expected: 1 })),
        ];
        for (response, result) in table {
            assert_eq!(REQUEST.agree(&response), result, "{response:?}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Command and response APDUs with short lengths, and the lengths of extended ones.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clause 12.1 (cases 1 to 4 of the APDU)
use alloc::vec::Vec;
use core::fmt;

pub use cam_types::StatusWord;

/// A length octet in which `00` stands for 256.
const fn length(octet: u8) -> u16 {
    if octet == 0 { 256 } else { octet as u16 }
}

/// A command APDU of case 1 to 4 with short lengths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Command<'a> {
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// The data field, at most 255 octets.
    pub data: &'a [u8],
    /// How many octets of answer are wanted, 1 to 256; `None` when no answer data is expected.
    pub le: Option<u16>,
}

impl<'a> Command<'a> {
    /// Octets of the longest command: header, Lc, 255 of data, Le.
    pub const MAX_LEN: usize = 261;

    /// A command without data and without an answer (case 1).
    pub const fn new(cla: u8, ins: u8, p1: u8, p2: u8) -> Self {
        Self { cla, ins, p1, p2, data: &[], le: None }
    }

    /// The same command with this data field.
    #[must_use]
    pub const fn with_data(mut self, data: &'a [u8]) -> Self {
        self.data = data;
        self
    }

    /// The same command asking for `le` octets (1 to 256) of answer.
    #[must_use]
    pub const fn with_le(mut self, le: u16) -> Self {
        self.le = Some(le);
        self
    }

    /// Reads the four cases; extended lengths are told apart and refused.
    pub const fn parse(octets: &'a [u8]) -> Result<Self, ApduError> {
        let Some(([cla, ins, p1, p2], body)) = octets.split_first_chunk::<4>() else {
            return Err(ApduError::Header { octets: octets.len() });
        };
        let command = Self::new(*cla, *ins, *p1, *p2);
        match body {
            [] => Ok(command),
            [le] => Ok(command.with_le(length(*le))),
            [0, _, _, ..] => Err(ApduError::Extended),
            [lc, rest @ ..] => {
                let lc = *lc as usize;
                let Some((data, tail)) = rest.split_at_checked(lc) else {
                    return Err(ApduError::Length { lc, octets: rest.len() });
                };
                match tail {
                    _ if lc == 0 => Err(ApduError::Length { lc, octets: rest.len() }),
                    [] => Ok(command.with_data(data)),
                    [le] => Ok(command.with_data(data).with_le(length(*le))),
                    _ => Err(ApduError::Length { lc, octets: rest.len() }),
                }
            }
        }
    }

    /// Appends the command. `parse` of what this wrote gives `self` back.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), ApduError> {
        let lc = u8::try_from(self.data.len())
            .map_err(|_| ApduError::Data { octets: self.data.len() })?;
        let le = match self.le {
            None => None,
            Some(256) => Some(0),
            Some(le) => match u8::try_from(le) {
                Ok(0) | Err(_) => return Err(ApduError::Le { le }),
                Ok(le) => Some(le),
            },
        };
        out.extend_from_slice(&[self.cla, self.ins, self.p1, self.p2]);
        if lc > 0 {
            out.push(lc);
            out.extend_from_slice(self.data);
        }
        out.extend(le);
        Ok(())
    }
}

/// The lengths of a command APDU, short or extended: cases 1 to 4 in both forms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lengths {
    /// Octets of the data field, at most 65,535.
    pub lc: usize,
    /// Octets of answer that are wanted, 1 to 65,536.
    pub le: Option<u32>,
    /// Lc and Le in the extended form. T=1 carries it as it is, T=0 in several TPDUs.
    pub extended: bool,
}

impl Lengths {
    /// Octets of the longest command: header, extended Lc, 65,535 of data, extended Le.
    pub const MAX_COMMAND: usize = 4 + 3 + 65_535 + 2;
    /// Octets of the longest response: 65,536 of data and the status word.
    pub const MAX_RESPONSE: usize = 65_538;

    /// Reads the lengths of a whole command.
    pub const fn parse(octets: &[u8]) -> Result<Self, ApduError> {
        const fn le(high: u8, low: u8) -> Option<u32> {
            match u16::from_be_bytes([high, low]) {
                0 => Some(65_536),
                le => Some(le as u32),
            }
        }
        match octets {
            [_, _, _, _, 0, high, low] => Ok(Self { lc: 0, le: le(*high, *low), extended: true }),
            [_, _, _, _, 0, high, low, data @ ..] => {
                let lc = u16::from_be_bytes([*high, *low]) as usize;
                let le = match data.split_at_checked(lc) {
                    Some((_, [])) => None,
                    Some((_, [high, low])) => le(*high, *low),
                    _ => return Err(ApduError::Length { lc, octets: data.len() }),
                };
                if lc == 0 {
                    return Err(ApduError::Length { lc, octets: data.len() });
                }
                Ok(Self { lc, le, extended: true })
            }
            _ => match Command::parse(octets) {
                Ok(command) => {
                    let le = match command.le {
                        Some(le) => Some(le as u32),
                        None => None,
                    };
                    Ok(Self { lc: command.data.len(), le, extended: false })
                }
                Err(why) => Err(why),
            },
        }
    }
}

/// A response APDU: data and status word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Response<'a> {
    /// What stands in front of the status word.
    pub data: &'a [u8],
    /// How the command ended.
    pub sw: StatusWord,
}

impl<'a> Response<'a> {
    /// Octets of the longest response to a short command: 256 of data and the status word.
    pub const MAX_LEN: usize = 258;

    /// Splits the status word off.
    pub const fn parse(octets: &'a [u8]) -> Result<Self, ApduError> {
        match octets.split_last_chunk::<2>() {
            Some((data, sw)) => Ok(Self { data, sw: StatusWord::from_be_bytes(*sw) }),
            None => Err(ApduError::Response { octets: octets.len() }),
        }
    }

    /// Appends the response. `parse` of what this wrote gives `self` back.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.data);
        out.extend_from_slice(&self.sw.to_be_bytes());
    }
}

/// Why octets are not an APDU, or an APDU cannot be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ApduError {
    /// Too short for CLA INS P1 P2.
    Header {
        /// What there was.
        octets: usize,
    },
    /// Lc does not fit the octets behind it.
    Length {
        /// What Lc says.
        lc: usize,
        /// Octets behind Lc.
        octets: usize,
    },
    /// Extended lengths where only short ones are spoken.
    Extended,
    /// A data field of more than 255 octets.
    Data {
        /// Its length.
        octets: usize,
    },
    /// Le is not 1 to 256.
    Le {
        /// What it is.
        le: u16,
    },
    /// CLA FF is reserved for PPS (ISO/IEC 7816-3).
    Class,
    /// INS 6x and 9x cannot be told from SW1 on T=0.
    Instruction {
        /// What was given.
        ins: u8,
    },
    /// Longer than the line's limit.
    TooLong {
        /// Its length.
        octets: usize,
        /// What there is room for.
        limit: usize,
    },
    /// A response shorter than its status word.
    Response {
        /// What there was.
        octets: usize,
    },
}

impl fmt::Display for ApduError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { octets } => write!(f, "got {octets} octets, expected CLA INS P1 P2"),
            Self::Length { lc, octets } => write!(f, "Lc is {lc}, {octets} octets follow it"),
            Self::Extended => f.write_str("got extended lengths, expected short ones"),
            Self::Data { octets } => write!(f, "data of {octets} octets, at most 255 fit"),
            Self::Le { le } => write!(f, "Le is {le}, expected 1 to 256"),
            Self::Class => f.write_str("CLA FF is reserved"),
            Self::Instruction { ins } => write!(f, "INS {ins:02X} is not valid on T=0"),
            Self::TooLong { octets, limit } => {
                write!(f, "command of {octets} octets, the line's limit is {limit}")
            }
            Self::Response { octets } => {
                write!(f, "response of {octets} octets, expected at least the status word")
            }
        }
    }
}

impl core::error::Error for ApduError {}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    #[test]
    fn cases() {
        let header = Command::new(0x80, 0x34, 1, 2);
        let data = hex!("AA BB");
        let table: &[(Command<'_>, &[u8])] = &[
            (header, &hex!("80340102")),
            (header.with_le(256), &hex!("80340102 00")),
            (header.with_le(255), &hex!("80340102 FF")),
            (header.with_data(&data), &hex!("80340102 02 AABB")),
            (header.with_data(&data).with_le(256), &hex!("80340102 02 AABB 00")),
            (header.with_data(&data).with_le(7), &hex!("80340102 02 AABB 07")),
        ];
        for (command, octets) in table {
            assert_eq!(Command::parse(octets), Ok(*command));
            let mut out = Vec::new();
            command.emit(&mut out).unwrap();
            assert_eq!(out, *octets);
        }
    }

    #[test]
    fn refusals() {
        let table: &[(&[u8], ApduError)] = &[
            (&hex!("8034"), ApduError::Header { octets: 2 }),
            (&hex!("80340102 03 AABB"), ApduError::Length { lc: 3, octets: 2 }),
            (&hex!("80340102 01 AABBCC"), ApduError::Length { lc: 1, octets: 3 }),
            (&hex!("80340102 00 0001 AA"), ApduError::Extended),
            (&hex!("80340102 00 0000"), ApduError::Extended),
            (&hex!("80340102 00 AA"), ApduError::Length { lc: 0, octets: 1 }),
        ];
        for (octets, error) in table {
            assert_eq!(Command::parse(octets), Err(*error), "{octets:02X?}");
        }
        let big = [0; 256];
        let mut out = Vec::new();
        for command in [
            Command::new(0, 0, 0, 0).with_data(&big),
            Command::new(0, 0, 0, 0).with_le(0),
            Command::new(0, 0, 0, 0).with_le(257),
        ] {
            assert!(command.emit(&mut out).is_err());
            assert!(out.is_empty());
        }
    }

    #[test]
    fn extended_lengths() {
        let lengths = |lc, le| Ok(Lengths { lc, le, extended: true });
        let table: &[(&[u8], Result<Lengths, ApduError>)] = &[
            (&hex!("80340102 00 0001 AA"), lengths(1, None)),
            (&hex!("80340102 00 0000"), lengths(0, Some(65_536))),
            (&hex!("80340102 00 0100"), lengths(0, Some(256))),
            (&hex!("80340102 00 0001 AA 0000"), lengths(1, Some(65_536))),
            (&hex!("80340102 00 0002 AA"), Err(ApduError::Length { lc: 2, octets: 1 })),
            (&hex!("80340102 00 0001 AA 00"), Err(ApduError::Length { lc: 1, octets: 2 })),
            (&hex!("80340102 00 0000 AA"), Err(ApduError::Length { lc: 0, octets: 1 })),
            (&hex!("80340102 02 AABB"), Ok(Lengths { lc: 2, le: None, extended: false })),
            (&hex!("80340102 02 AABB 00"), Ok(Lengths { lc: 2, le: Some(256), extended: false })),
            (&hex!("8034"), Err(ApduError::Header { octets: 2 })),
        ];
        for (octets, lengths) in table {
            assert_eq!(Lengths::parse(octets), *lengths, "{octets:02X?}");
        }
        let longest = [&hex!("80340102 00 FFFF")[..], &[0; 65_535], &[0, 0]].concat();
        assert_eq!(longest.len(), Lengths::MAX_COMMAND);
        assert_eq!(Lengths::parse(&longest), lengths(65_535, Some(65_536)));
    }

    proptest! {
        #[test]
        fn what_parses_emits_back(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(command) = Command::parse(&octets) {
                let mut out = Vec::new();
                command.emit(&mut out).unwrap();
                prop_assert_eq!(&out, &octets);
            }
            if let Ok(response) = Response::parse(&octets) {
                let mut out = Vec::new();
                response.emit(&mut out);
                prop_assert_eq!(&out, &octets);
            }
        }
    }
}

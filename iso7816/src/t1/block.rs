// SPDX-License-Identifier: Apache-2.0
//! The block of T=1: prologue, information field, epilogue. Shared by host and card.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clauses 11.3 (block frame), 11.4.4 (epilogue), 11.6.2 (S-blocks)
use core::fmt;

/// Octets of the longest block: prologue, 254 of information, CRC.
pub const MAX_BLOCK: usize = 3 + 254 + 2;

/// The error detection code of the epilogue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Edc {
    /// Longitudinal redundancy: exclusive-or of all octets.
    #[default]
    Lrc,
    /// CRC-16 of ISO/IEC 13239.
    Crc,
}

impl Edc {
    /// Octets of the epilogue.
    #[expect(clippy::len_without_is_empty, reason = "an epilogue is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Lrc => 1,
            Self::Crc => 2,
        }
    }

    /// The code over prologue and information field, in wire order; LRC fills the first octet.
    fn over(self, octets: &[u8]) -> [u8; 2] {
        match self {
            Self::Lrc => [octets.iter().fold(0, |sum, octet| sum ^ octet), 0],
            Self::Crc => {
                let mut crc = 0xFFFF_u16;
                for octet in octets {
                    crc ^= u16::from(*octet);
                    for _ in 0..8 {
                        crc = if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 };
                    }
                }
                (!crc).to_le_bytes()
            }
        }
    }
}

/// Why an R-block asks for a block again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// No fault: an acknowledgement.
    None,
    /// Wrong EDC or parity.
    Edc,
    /// Any other.
    Other,
}

/// What an S-block asks for or answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Supervisory {
    /// Start over.
    Resynch,
    /// The size of information fields that the sender takes, 1 to 254.
    Ifs(u8),
    /// Give the chain up.
    Abort,
    /// So many block waiting times more, 1 to 255.
    Wtx(u8),
}

/// A well-formed block.
///
/// Having a `Block` tells you that NAD, PCB, LEN and EDC were right. It does *not* tell you that
/// the block was expected: sequence numbers are the machine's business.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Block<'a> {
    /// Information.
    I {
        /// N(S), the sender's sequence bit.
        ns: bool,
        /// M, more of the chain follows.
        more: bool,
        /// The information field, at most 254 octets.
        inf: &'a [u8],
    },
    /// Receive ready.
    R {
        /// N(R), the sequence bit of the I-block that is expected next.
        nr: bool,
        /// Whether and why it is asked for again.
        fault: Fault,
    },
    /// Supervisory.
    S {
        /// An answer to a request of the same type.
        response: bool,
        /// What it is about.
        kind: Supervisory,
    },
}

impl<'a> Block<'a> {
    /// How many octets the whole block has, once its first three have come; `None` while they have
    /// not. LEN FF is invalid, but has a length too.
    pub fn len_by_prologue(octets: &[u8], edc: Edc) -> Option<usize> {
        octets.get(2).map(|len| 3 + usize::from(*len) + edc.len())
    }

    /// Reads exactly one block with NAD 00.
    pub fn parse(octets: &'a [u8], edc: Edc) -> Result<Self, BlockError> {
        let body = octets.len().checked_sub(edc.len()).ok_or(BlockError::Length)?;
        let (body, epilogue) = octets.split_at_checked(body).ok_or(BlockError::Length)?;
        if !edc.over(body).starts_with(epilogue) {
            return Err(BlockError::Edc);
        }
        let ([nad, pcb, len], inf) = body.split_first_chunk::<3>().ok_or(BlockError::Length)?;
        if usize::from(*len) != inf.len() || *len == 0xFF {
            return Err(BlockError::Length);
        }
        if *nad != 0 {
            return Err(BlockError::Nad(*nad));
        }
        let invalid = Err(BlockError::Pcb(*pcb));
        match (pcb, inf) {
            (0x00 | 0x20 | 0x40 | 0x60, _) => {
                Ok(Self::I { ns: pcb & 0x40 != 0, more: pcb & 0x20 != 0, inf })
            }
            (0x80 | 0x81 | 0x82 | 0x90 | 0x91 | 0x92, []) => {
                let fault = match pcb & 0x03 {
                    0 => Fault::None,
                    1 => Fault::Edc,
                    _ => Fault::Other,
                };
                Ok(Self::R { nr: pcb & 0x10 != 0, fault })
            }
            (0xC0..=0xFF, _) => {
                let kind = match (pcb & 0x1F, inf) {
                    (0, []) => Supervisory::Resynch,
                    (1, [size @ 1..=0xFE]) => Supervisory::Ifs(*size),
                    (2, []) => Supervisory::Abort,
                    (3, [times @ 1..=0xFF]) => Supervisory::Wtx(*times),
                    _ => return invalid,
                };
                Ok(Self::S { response: pcb & 0x20 != 0, kind })
            }
            _ => invalid,
        }
    }

    /// Writes the block to the front of `out` and says how many octets it has. `parse` of them
    /// gives `self` back. `None` when the information field has more than 254 octets or `out` is
    /// short.
    pub fn emit(&self, edc: Edc, out: &mut [u8]) -> Option<usize> {
        let size;
        let (pcb, inf): (u8, &[u8]) = match *self {
            Self::I { ns, more, inf } => (u8::from(ns) << 6 | u8::from(more) << 5, inf),
            Self::R { nr, fault } => {
                let fault = match fault {
                    Fault::None => 0,
                    Fault::Edc => 1,
                    Fault::Other => 2,
                };
                (0x80 | u8::from(nr) << 4 | fault, &[])
            }
            Self::S { response, kind } => {
                let (kind, inf): (u8, &[u8]) = match kind {
                    Supervisory::Resynch => (0, &[]),
                    Supervisory::Ifs(octet) => {
                        size = [octet];
                        (1, &size)
                    }
                    Supervisory::Abort => (2, &[]),
                    Supervisory::Wtx(octet) => {
                        size = [octet];
                        (3, &size)
                    }
                };
                (0xC0 | u8::from(response) << 5 | kind, inf)
            }
        };
        let len = u8::try_from(inf.len()).ok().filter(|len| *len != 0xFF)?;
        let body = 3 + inf.len();
        let (octets, _) = out.split_at_mut_checked(body + edc.len())?;
        let (front, epilogue) = octets.split_at_mut_checked(body)?;
        let (prologue, information) = front.split_at_mut_checked(3)?;
        prologue.copy_from_slice(&[0, pcb, len]);
        information.copy_from_slice(inf);
        let code = edc.over(front);
        epilogue.copy_from_slice(code.get(..edc.len())?);
        Some(body + edc.len())
    }
}

/// Why octets are not a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BlockError {
    /// The number of octets does not fit LEN, or LEN is FF.
    Length,
    /// The epilogue does not match.
    Edc,
    /// A node address that nobody set up.
    Nad(u8),
    /// A protocol control octet that does not exist, or one whose LEN is wrong.
    Pcb(u8),
}

impl BlockError {
    /// What an R-block says about it.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Edc => Fault::Edc,
            _ => Fault::Other,
        }
    }
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("block length does not fit LEN"),
            Self::Edc => f.write_str("error detection code does not match"),
            Self::Nad(nad) => write!(f, "NAD is {nad:02X}, expected 00"),
            Self::Pcb(pcb) => write!(f, "PCB {pcb:02X} is not valid"),
        }
    }
}

impl core::error::Error for BlockError {}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    const fn request(kind: Supervisory) -> Block<'static> {
        Block::S { response: false, kind }
    }

    const fn response(kind: Supervisory) -> Block<'static> {
        Block::S { response: true, kind }
    }

    #[test]
    fn codec() {
        let inf = hex!("00A40400");
        let table: &[(Block<'_>, &[u8])] = &[
            (Block::I { ns: false, more: false, inf: &inf }, &hex!("00 00 04 00A40400 A4")),
            (Block::I { ns: true, more: true, inf: &[] }, &hex!("00 60 00 60")),
            (Block::R { nr: false, fault: Fault::None }, &hex!("00 80 00 80")),
            (Block::R { nr: true, fault: Fault::Edc }, &hex!("00 91 00 91")),
            (Block::R { nr: false, fault: Fault::Other }, &hex!("00 82 00 82")),
            (request(Supervisory::Resynch), &hex!("00 C0 00 C0")),
            (response(Supervisory::Resynch), &hex!("00 E0 00 E0")),
            (request(Supervisory::Ifs(0xFE)), &hex!("00 C1 01 FE 3E")),
            (response(Supervisory::Abort), &hex!("00 E2 00 E2")),
            (response(Supervisory::Wtx(5)), &hex!("00 E3 01 05 E7")),
        ];
        for (block, octets) in table {
            let mut out = [0; MAX_BLOCK];
            assert_eq!(block.emit(Edc::Lrc, &mut out), Some(octets.len()));
            assert_eq!(&out[..octets.len()], *octets);
            assert_eq!(Block::parse(octets, Edc::Lrc), Ok(*block));
            let len = block.emit(Edc::Crc, &mut out).unwrap();
            assert_eq!(Block::parse(&out[..len], Edc::Crc), Ok(*block));
        }
    }

    /// CRC-16/X-25 (ISO/IEC 13239) of "123456789" is 906E; the low octet is sent first.
    #[test]
    fn crc() {
        assert_eq!(Edc::Crc.over(b"123456789"), hex!("6E90"));
    }

    #[test]
    fn refusals() {
        let table: &[(&[u8], BlockError)] = &[
            (&hex!("00 00 00 01"), BlockError::Edc),
            (&hex!("21 00 00 21"), BlockError::Nad(0x21)),
            (&hex!("00 01 00 01"), BlockError::Pcb(0x01)),
            (&hex!("00 83 00 83"), BlockError::Pcb(0x83)),
            (&hex!("00 A0 00 A0"), BlockError::Pcb(0xA0)),
            (&hex!("00 80 01 00 81"), BlockError::Pcb(0x80)),
            (&hex!("00 C0 01 00 C1"), BlockError::Pcb(0xC0)),
            (&hex!("00 C1 01 00 C0"), BlockError::Pcb(0xC1)),
            (&hex!("00 C1 01 FF 3F"), BlockError::Pcb(0xC1)),
            (&hex!("00 C3 01 00 C2"), BlockError::Pcb(0xC3)),
            (&hex!("00 C3 02 01 01 C1"), BlockError::Pcb(0xC3)),
            (&hex!("00 C4 00 C4"), BlockError::Pcb(0xC4)),
            (&hex!("00 00 02 AA A8"), BlockError::Length),
            (&hex!("00 00"), BlockError::Length),
            (&[], BlockError::Length),
        ];
        for (octets, error) in table {
            assert_eq!(Block::parse(octets, Edc::Lrc), Err(*error), "{octets:02X?}");
        }
        let mut out = [0; 400];
        assert_eq!(
            Block::I { ns: false, more: false, inf: &[0; 255] }.emit(Edc::Lrc, &mut out),
            None
        );
    }

    proptest! {
        #[test]
        fn what_parses_emits_back(mut octets in prop::collection::vec(any::<u8>(), 3..300)) {
            for edc in [Edc::Lrc, Edc::Crc] {
                // Both as it comes and with a right length and epilogue, so that blocks are met
                // too.
                for fix in [false, true] {
                    if fix {
                        let len = u8::try_from(octets.len() - 3).unwrap_or(0xFF);
                        octets[0] = 0;
                        octets[2] = len;
                        let code = edc.over(&octets);
                        octets.extend_from_slice(&code[..edc.len()]);
                    }
                    if let Ok(block) = Block::parse(&octets, edc) {
                        let mut out = [0; MAX_BLOCK];
                        let len = block.emit(edc, &mut out).unwrap();
                        prop_assert_eq!(&out[..len], &octets[..]);
                    }
                    if fix {
                        octets.truncate(octets.len() - edc.len());
                    }
                }
            }
        }
    }
}

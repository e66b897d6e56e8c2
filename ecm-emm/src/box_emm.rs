// SPDX-License-Identifier: Apache-2.0
//! Messages to the set-top box: the box's half of a pairing.
//!
//! Laid out as EMM-U, in table 8A, under the key that the box has from its factory.
//!
//! Normative references:
//!  - `docs/spec/emm.md`, section on messages to the box
//!  - ETSI TS 103 162 (key ladder that EK2 and EK1 load)

use crate::element;
use crate::emm::MAX_EMM;
use crate::error::{EncodeError, OpenError};
use crate::keys::{KeyContext, Role};
use crate::number::named;
use crate::section::CaSection;
use crate::suite::{SealKey, Suite, WrappedKey};
use alloc::vec::Vec;
use cam_types::{DecodeError, Epoch, Key, OperatorId, Pseudonym, Reader, StbId};
use zeroize::Zeroize;

/// The header of a message to a box.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BoxHeader {
    /// Which box.
    pub stb: StbId,
    /// The suite of K_box.
    pub suite: Suite,
    /// Who sends it.
    pub operator: OperatorId,
    /// The generation of K_box.
    pub epoch: Epoch,
    /// Its number; a box takes only numbers above the last one it kept.
    pub seq: u32,
}

impl BoxHeader {
    /// The first octet of its sections.
    pub const TABLE_ID: u8 = 0x8A;
    /// Octets in front of the tag.
    pub const LEN: usize = 21;

    const PROTOCOL: u8 = 1;

    /// The context of the key that seals it.
    pub const fn key_context(&self) -> KeyContext {
        KeyContext::new(Role::Box, self.operator, self.epoch)
    }

    fn parse(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stb = StbId::new(*r.array("box")?);
        let version = r.u8("protocol and suite")?;
        if version >> 4 != Self::PROTOCOL {
            let got = u32::from(version >> 4);
            return Err(DecodeError::Invalid { field: "protocol version", got });
        }
        let suite = Suite::try_from(version & 0x0F)?;
        let operator = OperatorId::from_be_bytes(*r.array("operator")?);
        let role = r.u8("key role")?;
        if role != Role::Box.number() {
            return Err(DecodeError::Invalid { field: "key role", got: role.into() });
        }
        let epoch = named(Epoch::from_be_bytes(*r.array("epoch")?), "epoch")?;
        Ok(Self { stb, suite, operator, epoch, seq: r.u32("seq")? })
    }

    fn emit(&self, sealed_len: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let octets = Self::LEN + sealed_len;
        EncodeError::check("message to the box", octets, MAX_EMM)?;
        out.extend(CaSection::header(Self::TABLE_ID, octets - CaSection::HEADER_LEN)?);
        out.extend_from_slice(self.stb.octets());
        out.push(Self::PROTOCOL << 4 | self.suite.number());
        out.extend(self.operator.to_be_bytes());
        out.push(Role::Box.number());
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        Ok(())
    }
}

/// A well-formed message to a box, still sealed. The library keeps it in this form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BoxEmm<'a> {
    /// What the air says in clear.
    pub header: BoxHeader,
    /// Tag and ciphertext.
    pub sealed: &'a [u8],
}

impl<'a> BoxEmm<'a> {
    /// Takes one whole section.
    pub fn parse(section: &'a [u8]) -> Result<Self, DecodeError> {
        let ca = CaSection::parse(section)?;
        if ca.table_id != BoxHeader::TABLE_ID {
            return Err(DecodeError::Invalid { field: "table_id", got: ca.table_id.into() });
        }
        if section.len() > MAX_EMM {
            let got = ca.data.len() as u32;
            return Err(DecodeError::Invalid { field: "section_length", got });
        }
        let mut r = Reader::new(ca.data);
        let header = BoxHeader::parse(&mut r)?;
        let sealed = r.rest();
        if sealed.len() < Suite::TAG_LEN {
            return Err(DecodeError::Missing("authentication tag"));
        }
        Ok(Self { header, sealed })
    }

    /// Checks the seal and reads the commands.
    pub fn open(&self, k_box: &SealKey) -> Result<Vec<BoxCommand>, OpenError> {
        if k_box.suite() != self.header.suite {
            return Err(OpenError::Suite);
        }
        let mut aad = Vec::with_capacity(BoxHeader::LEN);
        // What was parsed from a section of allowed length has an allowed length.
        let emitted = self.header.emit(self.sealed.len(), &mut aad);
        debug_assert!(emitted.is_ok());
        let mut plain = Vec::new();
        k_box.open(&self.header.key_context(), &aad, self.sealed, &mut plain)?;
        let commands = parse_commands(&plain);
        plain.zeroize();
        Ok(commands?)
    }
}

/// One command to a box.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BoxCommand {
    /// BOX_PAIR: the box may work with this card.
    Pair(BoxPairing),
    /// BOX_UNPAIR: no longer.
    Unpair(Pseudonym),
}

/// What BOX_PAIR carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BoxPairing {
    /// The card, by the name that CAS INFO gives.
    pub card: Pseudonym,
    /// The card's pairing slot, 0 to 3: it chooses the key version of the session.
    pub slot: u8,
    /// A box without a key ladder may be given control words in clear.
    pub clear_cw_allowed: bool,
    /// The key of the session, wrapped under K_box.
    pub k_pair: [u8; 24],
    /// Loads the second stage of the key ladder.
    pub ek2: [u8; 16],
    /// Loads the last stage: its result is K_cw.
    pub ek1: [u8; 16],
    /// Check value of K_pair.
    pub kcv: [u8; 3],
}

impl BoxPairing {
    const LEN: u8 = 69;

    /// K_pair, if `k_box` wrapped it in a message with this header and the check value agrees.
    pub fn session_key(&self, header: &BoxHeader, k_box: &SealKey) -> Result<Key, OpenError> {
        let wrapped = WrappedKey::Short(self.k_pair);
        let material = k_box.unwrap(&header.key_context(), &wrapped)?;
        let key = SealKey::new(Suite::Cmac128, material).map_err(|_| OpenError::Authentication)?;
        if key.kcv() != self.kcv {
            return Err(OpenError::Authentication);
        }
        key.material().bits128().cloned().ok_or(OpenError::Authentication)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let card = Pseudonym::new(*r.array("card")?);
        let slot = r.u8("pairing slot")?;
        if slot > 3 {
            return Err(DecodeError::Invalid { field: "pairing slot", got: slot.into() });
        }
        let flags = r.u8("pairing flags")?;
        if flags > 1 {
            return Err(DecodeError::Invalid { field: "pairing flags", got: flags.into() });
        }
        Ok(Self {
            card,
            slot,
            clear_cw_allowed: flags == 1,
            k_pair: *r.array("pairing key")?,
            ek2: *r.array("EK2")?,
            ek1: *r.array("EK1")?,
            kcv: *r.array("key check value")?,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.card.octets());
        out.extend([self.slot, self.clear_cw_allowed.into()]);
        out.extend_from_slice(&self.k_pair);
        out.extend(self.ek2);
        out.extend(self.ek1);
        out.extend(self.kcv);
    }
}

impl BoxCommand {
    const PAIR: u8 = 0x80;
    const UNPAIR: u8 = 0x81;

    fn parse(tag: u8, value: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(value);
        let command = match tag {
            Self::PAIR => Self::Pair(BoxPairing::read(&mut r)?),
            Self::UNPAIR => Self::Unpair(Pseudonym::new(*r.array("card")?)),
            _ => return Err(DecodeError::Unknown { tag }),
        };
        r.finish("command")?;
        Ok(command)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Pair(pairing) => {
                out.extend([Self::PAIR, BoxPairing::LEN]);
                pairing.emit(out);
            }
            Self::Unpair(card) => {
                out.extend([Self::UNPAIR, Pseudonym::LEN as u8]);
                out.extend_from_slice(card.octets());
            }
        }
    }
}

/// Appends the whole section with these commands, sealed under K_box.
pub fn seal(
    header: &BoxHeader,
    commands: &[BoxCommand],
    k_box: &SealKey,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if header.suite != k_box.suite() {
        return Err(EncodeError::Invalid("suite"));
    }
    let mut plain = Vec::new();
    for command in commands {
        command.emit(&mut plain);
    }
    if parse_commands(&plain).is_err() {
        return Err(EncodeError::Invalid("a command to the box"));
    }
    let mut aad = Vec::with_capacity(BoxHeader::LEN);
    header.emit(Suite::TAG_LEN + plain.len(), &mut aad)?;
    out.extend_from_slice(&aad);
    k_box.seal(&header.key_context(), &aad, &plain, out);
    Ok(())
}

fn parse_commands(plain: &[u8]) -> Result<Vec<BoxCommand>, DecodeError> {
    let mut commands = Vec::new();
    let mut r = Reader::new(plain);
    while !r.is_empty() {
        let (tag, value) =
            element::read(&mut r, ["command tag", "command length", "command value"])?;
        commands.push(BoxCommand::parse(tag, value)?);
    }
    if commands.is_empty() { Err(DecodeError::Missing("command")) } else { Ok(commands) }
}

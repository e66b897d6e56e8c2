// SPDX-License-Identifier: Apache-2.0
//! Entitlement control message (ECM), and the offer, its sister without control words.
//!
//! Normative references:
//!  - ETSI ETR 289 (CA message section, table_id 80 and 81)
//!  - `docs/spec/ecm.md`

mod criteria;

pub use criteria::{Blackout, Cci, Criteria, Fingerprint, Ppt, Ppv, Rating, Regions};

use crate::error::{EncodeError, OpenError};
use crate::keys::KeyContext;
use crate::number::{check, named};
use crate::section::CaSection;
use crate::suite::{SealKey, Suite};
use alloc::vec::Vec;
use cam_types::{
    CasTime, ChannelId, ControlWord, DecodeError, Epoch, OperatorId, Parity, Reader, Secret, Slot,
};
use zeroize::Zeroize;

/// The longest ECM or offer: it fits one transport packet.
pub const MAX_ECM: usize = 183;

/// What an ECM carries besides its criteria.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EcmKind {
    /// Two control words of 8 octets, for DVB-CSA.
    Cw64,
    /// Two control words of 16 octets, for DVB-CISSA.
    Cw128,
    /// None: good for a purchase only.
    Offer,
}

/// The header of an ECM, in clear on the air and covered by the seal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EcmHeader {
    /// Which control words follow, if any.
    pub kind: EcmKind,
    /// The suite of the service key.
    pub suite: Suite,
    /// Whose service it is.
    pub operator: OperatorId,
    /// Which of the operator's service keys seals it.
    pub slot: Slot,
    /// The generation of that key.
    pub epoch: Epoch,
    /// The number of the crypto period; bit 0 is the parity of the current control word.
    pub cp_number: u32,
}

impl EcmHeader {
    /// The table_id of an ECM whose current control word is the even one.
    pub const EVEN: u8 = 0x80;
    /// The table_id of an ECM whose current control word is the odd one.
    pub const ODD: u8 = 0x81;
    /// The table_id of an offer.
    pub const OFFER: u8 = 0x88;
    /// Octets in front of the tag.
    pub const LEN: usize = 13;

    /// Version of this layout, upper half of octet 3.
    const PROTOCOL: u8 = 1;
    const FLAG_CW128: u8 = 0x01;
    const FLAG_OFFER: u8 = 0x02;

    /// What kind and crypto period make it.
    pub const fn table_id(&self) -> u8 {
        match (self.kind, self.parity()) {
            (EcmKind::Offer, _) => Self::OFFER,
            (_, Parity::Even) => Self::EVEN,
            (_, Parity::Odd) => Self::ODD,
        }
    }

    /// The parity of the current control word.
    pub const fn parity(&self) -> Parity {
        Parity::of_crypto_period(self.cp_number)
    }

    /// No control words, good for a purchase only.
    pub const fn is_offer(&self) -> bool {
        matches!(self.kind, EcmKind::Offer)
    }

    /// The context of the key that seals it.
    pub const fn key_context(&self) -> KeyContext {
        KeyContext::service(self.operator, self.slot, self.epoch)
    }

    fn parse(table_id: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = r.u8("protocol and suite")?;
        if version >> 4 != Self::PROTOCOL {
            let got = u32::from(version >> 4);
            return Err(DecodeError::Invalid { field: "protocol version", got });
        }
        let suite = Suite::try_from(version & 0x0F)?;
        let operator = OperatorId::from_be_bytes(*r.array("operator")?);
        let slot_and_flags = r.u8("slot and flags")?;
        let kind = match slot_and_flags & 0x0F {
            0 => EcmKind::Cw64,
            Self::FLAG_CW128 => EcmKind::Cw128,
            Self::FLAG_OFFER => EcmKind::Offer,
            other => return Err(DecodeError::Invalid { field: "ECM flags", got: other.into() }),
        };
        let header = Self {
            kind,
            suite,
            operator,
            slot: Slot::new(slot_and_flags >> 4),
            epoch: named(Epoch::from_be_bytes(*r.array("epoch")?), "epoch")?,
            cp_number: r.u32("cp_number")?,
        };
        if header.table_id() == table_id {
            Ok(header)
        } else {
            Err(DecodeError::Invalid { field: "table_id", got: table_id.into() })
        }
    }

    /// All octets in front of the tag, given how many follow.
    fn octets(&self, sealed_len: usize) -> Result<[u8; Self::LEN], EncodeError> {
        if self.slot.value() > 15 {
            return Err(EncodeError::Invalid("slot"));
        }
        check(self.epoch, "epoch")?;
        let data_len = Self::LEN - CaSection::HEADER_LEN + sealed_len;
        EncodeError::check("ECM", data_len + CaSection::HEADER_LEN, MAX_ECM)?;
        let flags = match self.kind {
            EcmKind::Cw64 => 0,
            EcmKind::Cw128 => Self::FLAG_CW128,
            EcmKind::Offer => Self::FLAG_OFFER,
        };
        let [table_id, len_high, len_low] = CaSection::header(self.table_id(), data_len)?;
        let [o1, o2] = self.operator.to_be_bytes();
        let [e1, e2] = self.epoch.to_be_bytes();
        let [c1, c2, c3, c4] = self.cp_number.to_be_bytes();
        let version = Self::PROTOCOL << 4 | self.suite.number();
        let slot_and_flags = self.slot.value() << 4 | flags;
        Ok([table_id, len_high, len_low, version, o1, o2, slot_and_flags, e1, e2, c1, c2, c3, c4])
    }
}

/// A well-formed ECM or offer, still sealed.
///
/// Having one tells you that the header was in range. It does *not* tell you who sent it: only the
/// holder of the service key can check the seal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ecm<'a> {
    /// What the air says in clear.
    pub header: EcmHeader,
    /// The octets that the tag covers besides the body.
    pub aad: [u8; EcmHeader::LEN],
    /// Tag and ciphertext.
    pub sealed: &'a [u8],
}

impl<'a> Ecm<'a> {
    /// Takes one whole section.
    pub fn parse(section: &'a [u8]) -> Result<Self, DecodeError> {
        let ca = CaSection::parse(section)?;
        if section.len() > MAX_ECM {
            let got = ca.data.len() as u32;
            return Err(DecodeError::Invalid { field: "section_length", got });
        }
        let mut r = Reader::new(ca.data);
        let header = EcmHeader::parse(ca.table_id, &mut r)?;
        let sealed = r.rest();
        if sealed.len() < Suite::TAG_LEN {
            return Err(DecodeError::Missing("authentication tag"));
        }
        let aad = header.octets(sealed.len()).map_err(|_| DecodeError::Invalid {
            field: "section_length",
            got: ca.data.len() as u32,
        })?;
        Ok(Self { header, aad, sealed })
    }

    /// Checks the seal and reads the body.
    pub fn open(&self, key: &SealKey) -> Result<EcmBody, OpenError> {
        self.open_with(key, &mut Vec::new())
    }

    /// The same in the caller's buffer, which is wiped before this returns.
    pub fn open_with(&self, key: &SealKey, plain: &mut Vec<u8>) -> Result<EcmBody, OpenError> {
        if key.suite() != self.header.suite {
            return Err(OpenError::Suite);
        }
        key.open(&self.header.key_context(), &self.aad, self.sealed, plain)?;
        let body = EcmBody::parse(self.header.kind, plain);
        plain.zeroize();
        Ok(body?)
    }
}

/// The two control words of an ECM: the current and the next, by parity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ControlWords {
    /// An offer has none.
    None,
    /// For DVB-CSA.
    Cw64 {
        /// Scrambles packets marked `10`.
        even: Secret<8>,
        /// Scrambles packets marked `11`.
        odd: Secret<8>,
    },
    /// For DVB-CISSA.
    Cw128 {
        /// Scrambles packets marked `10`.
        even: ControlWord,
        /// Scrambles packets marked `11`.
        odd: ControlWord,
    },
}

impl ControlWords {
    /// The kind of ECM that carries them.
    pub const fn kind(&self) -> EcmKind {
        match self {
            Self::None => EcmKind::Offer,
            Self::Cw64 { .. } => EcmKind::Cw64,
            Self::Cw128 { .. } => EcmKind::Cw128,
        }
    }

    /// Even and odd as one block of the key ladder each; those of 8 octets with 8 zeros behind.
    pub fn blocks(&self) -> Option<(ControlWord, ControlWord)> {
        match self {
            Self::None => None,
            Self::Cw64 { even, odd } => Some((padded(even), padded(odd))),
            Self::Cw128 { even, odd } => Some((even.clone(), odd.clone())),
        }
    }

    fn parse(kind: EcmKind, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            EcmKind::Offer => Self::None,
            EcmKind::Cw64 => Self::Cw64 {
                even: Secret::new(*r.array("even control word")?),
                odd: Secret::new(*r.array("odd control word")?),
            },
            EcmKind::Cw128 => Self::Cw128 {
                even: Secret::new(*r.array("even control word")?),
                odd: Secret::new(*r.array("odd control word")?),
            },
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Cw64 { even, odd } => {
                out.extend_from_slice(even.expose());
                out.extend_from_slice(odd.expose());
            }
            Self::Cw128 { even, odd } => {
                out.extend_from_slice(even.expose());
                out.extend_from_slice(odd.expose());
            }
        }
    }
}

fn padded(cw: &Secret<8>) -> ControlWord {
    let mut block = [0; 16];
    block[..8].copy_from_slice(cw.expose());
    let padded = ControlWord::new(block);
    block.zeroize();
    padded
}

/// What an ECM says, authenticated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EcmBody {
    /// The channel that it belongs to.
    pub channel: ChannelId,
    /// When it was made.
    pub time: CasTime,
    /// Copy control.
    pub cci: Cci,
    /// Parental rating.
    pub rating: Rating,
    /// Where it may be watched.
    pub regions: Regions,
    /// The least EMM level that a card must have.
    pub emm_floor: u16,
    /// The control words of this crypto period and the next.
    pub cw: ControlWords,
    /// Who may watch.
    pub criteria: Criteria,
}

impl EcmBody {
    /// Appends the whole section, sealed.
    ///
    /// Fails, with `out` as it was, when the body does not fit or is not what the header says.
    pub fn seal(
        &self,
        header: &EcmHeader,
        key: &SealKey,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if header.kind != self.cw.kind() {
            return Err(EncodeError::Invalid("control words"));
        }
        if header.suite != key.suite() {
            return Err(EncodeError::Invalid("suite"));
        }
        let mut plain = Vec::with_capacity(MAX_ECM);
        let sealed = self.emit(&mut plain).and_then(|()| {
            let aad = header.octets(Suite::TAG_LEN + plain.len())?;
            out.extend(aad);
            key.seal(&header.key_context(), &aad, &plain, out);
            Ok(())
        });
        plain.zeroize();
        sealed
    }

    /// Takes the plaintext of an ECM of this kind.
    pub fn parse(kind: EcmKind, plain: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(plain);
        Ok(Self {
            channel: ChannelId::from_be_bytes(*r.array("channel")?),
            time: CasTime::from_be_bytes(*r.array("time")?),
            cci: Cci(r.u8("cci")?),
            rating: Rating(r.u8("rating")?),
            regions: Regions(r.u16("region")?),
            emm_floor: r.u16("emm_floor")?,
            cw: ControlWords::parse(kind, &mut r)?,
            criteria: Criteria::parse(r)?,
        })
    }

    /// Appends the plaintext. It holds control words: the caller wipes it.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend(self.channel.to_be_bytes());
        out.extend(self.time.to_be_bytes());
        out.extend([self.cci.0, self.rating.0]);
        out.extend(self.regions.0.to_be_bytes());
        out.extend(self.emm_floor.to_be_bytes());
        self.cw.emit(out);
        self.criteria.emit(out)
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Entitlement management message (EMM): what the operator tells cards.
//!
//! Normative references:
//!  - ETSI ETR 289 (CA message section, table_id 82 to 8F)
//!  - `docs/spec/emm.md`

mod address;
mod command;
mod field;
mod key_delivery;
mod key_target;
mod pairing;
mod permission;
mod reset;
mod script;
mod sender;
mod signature;
mod table;
mod window;

pub use address::Address;
pub use command::{EmmCommand, tag};
pub use key_delivery::KeyDelivery;
pub use key_target::KeyTarget;
pub use pairing::Pairing;
pub use permission::{may_deliver, permitted, role_permitted};
pub use reset::{ResetNumber, TimeStep};
pub use script::Script;
pub use sender::Signing;
pub use signature::{PublicKey, Signature, SignatureError, signature_domain};
pub use window::{Window, WindowCheck};

use crate::element;
use crate::error::{EncodeError, OpenError};
use crate::keys::{KeyContext, Role};
use crate::number::{check, named};
use crate::section::CaSection;
use crate::suite::{SealKey, Suite};
use alloc::vec::Vec;
use cam_types::{DecodeError, Epoch, OperatorId, Reader};
use zeroize::Zeroize;

/// The longest EMM: it fits one wrapped card command.
pub const MAX_EMM: usize = 239;

/// The header of an EMM, in clear on the air and covered by the seal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EmmHeader {
    /// Whom it is for.
    pub address: Address,
    /// The suite of the key.
    pub suite: Suite,
    /// Who sends it.
    pub operator: OperatorId,
    /// The key that seals it; selects what is permitted.
    pub role: Role,
    /// The generation of that key.
    pub epoch: Epoch,
    /// Its number in the window of that generation; 0 only for TIME_SYNC and for keys that come by
    /// EMM-S.
    pub seq: u32,
}

impl EmmHeader {
    /// Version of this layout.
    const PROTOCOL: u8 = 1;
    /// Octets between address and tag.
    const FIELDS_LEN: usize = 10;

    /// What the address makes it.
    pub const fn table_id(&self) -> u8 {
        self.address.table_id()
    }

    /// Octets in front of the tag: 21, 17 or 13.
    pub const fn aad_len(&self) -> usize {
        CaSection::HEADER_LEN + self.address.len() + Self::FIELDS_LEN
    }

    /// The context of the key that seals it.
    pub const fn key_context(&self) -> KeyContext {
        KeyContext::new(self.role, self.operator, self.epoch)
    }

    fn parse(table_id: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let address = Address::read(table_id, r)?;
        let version = r.u8("protocol and suite")?;
        if version >> 4 != Self::PROTOCOL {
            let got = u32::from(version >> 4);
            return Err(DecodeError::Invalid { field: "protocol version", got });
        }
        Ok(Self {
            address,
            suite: Suite::try_from(version & 0x0F)?,
            operator: OperatorId::from_be_bytes(*r.array("operator")?),
            role: Role::try_from(r.u8("key role")?)?,
            epoch: named(Epoch::from_be_bytes(*r.array("epoch")?), "epoch")?,
            seq: r.u32("seq")?,
        })
    }

    /// Appends all octets in front of the tag, given how many follow.
    fn emit(&self, sealed_len: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let octets = self.aad_len() + sealed_len;
        EncodeError::check("EMM", octets, MAX_EMM)?;
        check(self.epoch, "epoch")?;
        out.extend(CaSection::header(self.table_id(), octets - CaSection::HEADER_LEN)?);
        self.address.emit(out);
        out.push(Self::PROTOCOL << 4 | self.suite.number());
        out.extend(self.operator.to_be_bytes());
        out.push(self.role.number());
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        Ok(())
    }
}

/// A well-formed EMM, still sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Emm<'a> {
    /// What the air says in clear.
    pub header: EmmHeader,
    /// Tag and ciphertext.
    pub sealed: &'a [u8],
}

impl<'a> Emm<'a> {
    /// Takes one whole section.
    pub fn parse(section: &'a [u8]) -> Result<Self, DecodeError> {
        let ca = CaSection::parse(section)?;
        if section.len() > MAX_EMM {
            let got = ca.data.len() as u32;
            return Err(DecodeError::Invalid { field: "section_length", got });
        }
        let mut r = Reader::new(ca.data);
        let header = EmmHeader::parse(ca.table_id, &mut r)?;
        let sealed = r.rest();
        if sealed.len() < Suite::TAG_LEN {
            return Err(DecodeError::Missing("authentication tag"));
        }
        Ok(Self { header, sealed })
    }

    /// The octets that the tag covers besides the body, appended to `out`.
    pub fn aad(&self, out: &mut Vec<u8>) {
        // What was parsed from a section of allowed length has an allowed length.
        let emitted = self.header.emit(self.sealed.len(), out);
        debug_assert!(emitted.is_ok());
    }

    /// Checks role and suite, then the seal, and reads the commands.
    ///
    /// What comes back is authentic and permitted to the role. A message with a signature is not
    /// yet verified: see [`EmmBody::verify`].
    pub fn open(&self, key: &SealKey) -> Result<EmmBody, OpenError> {
        if !role_permitted(self.header.role, self.header.table_id()) {
            return Err(OpenError::Permission);
        }
        if key.suite() != self.header.suite {
            return Err(OpenError::Suite);
        }
        let mut aad = Vec::with_capacity(self.header.aad_len());
        self.aad(&mut aad);
        let mut plain = Vec::new();
        key.open(&self.header.key_context(), &aad, self.sealed, &mut plain)?;
        let body = EmmBody::parse(&self.header, &aad, &plain);
        plain.zeroize();
        body
    }
}

/// What an EMM says, authenticated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EmmBody {
    /// The commands in their order, without the signature. All or none are carried out.
    pub commands: Vec<EmmCommand>,
    /// The operator's signature with what it signs, if there is one.
    pub signature: Option<Signature>,
}

impl EmmBody {
    /// Takes the plaintext behind this header.
    ///
    /// Every command must be permitted to the header's role; TIME_SYNC is alone and has number 0,
    /// which beside it only a group's signed keys have.
    pub fn parse(header: &EmmHeader, aad: &[u8], plain: &[u8]) -> Result<Self, OpenError> {
        let (commands, signature) = Self::split(header.address, aad, plain)?;
        let body = Self { commands, signature };
        if !body.is_permitted(header) {
            return Err(OpenError::Permission);
        }
        if body.number_fits(header) {
            Ok(body)
        } else {
            Err(DecodeError::Invalid { field: "seq", got: header.seq }.into())
        }
    }

    /// All that it says may be said by the header's role: what [`EmmBody::parse`] wants, for who
    /// asks again.
    pub fn is_permitted(&self, header: &EmmHeader) -> bool {
        let signed = self.signature.is_some();
        let signing = if signed { Signing::Signed } else { Signing::Unsigned };
        let permitted_here = |tag| permitted(header.role, header.table_id(), signing, tag);
        (!signed || permitted_here(Signature::TAG))
            && self.commands.iter().all(|command| {
                let targets = command.key_target().is_none_or(|t| may_deliver(header.role, t));
                permitted_here(command.tag()) && targets && !(signed && command.needs_unsigned())
            })
    }

    /// Checks the operator's signature. `false` for a message without one.
    pub fn verify(&self, key: &PublicKey) -> bool {
        self.signature.as_ref().is_some_and(|signature| signature.verify(key))
    }

    /// Its number is held against a window, and then in it. A group's lease asks none and sets
    /// none: it only moves an end forward, and whoever has the group's key could spend all
    /// numbers.
    pub fn asks_window(&self, header: &EmmHeader) -> bool {
        let lease = |command: &EmmCommand| {
            matches!(command, EmmCommand::Grant { .. } | EmmCommand::Bitmap { .. })
        };
        header.seq != 0 && !(header.role == Role::Group && self.commands.iter().all(lease))
    }

    fn split(
        address: Address,
        aad: &[u8],
        plain: &[u8],
    ) -> Result<(Vec<EmmCommand>, Option<Signature>), DecodeError> {
        let mut commands = Vec::new();
        let mut r = Reader::new(plain);
        while !r.is_empty() {
            let signed = plain.get(..plain.len() - r.remaining()).unwrap_or_default();
            let (tag, value) =
                element::read(&mut r, ["command tag", "command length", "command value"])?;
            if tag == Signature::TAG {
                let signature = Signature::parse(address, aad, signed, value)?;
                r.finish("signature")?;
                return match commands.is_empty() {
                    true => Err(DecodeError::Missing("command")),
                    false => Ok((commands, Some(signature))),
                };
            }
            commands.push(EmmCommand::parse(tag, value)?);
        }
        if commands.is_empty() {
            return Err(DecodeError::Missing("command"));
        }
        Ok((commands, None))
    }

    fn number_fits(&self, header: &EmmHeader) -> bool {
        let seq = header.seq;
        let time_sync = |command: &EmmCommand| matches!(command, EmmCommand::TimeSync { .. });
        match self.commands.as_slice() {
            [command] if time_sync(command) => seq == 0,
            // Only keys are signed for a group.
            _ if header.role == Role::Group && self.signature.is_some() => seq == 0,
            commands => seq != 0 && !commands.iter().any(time_sync),
        }
    }
}

/// Appends the whole section with these commands, sealed.
///
/// Fails, with `out` as it was, when the message does not fit or would be refused by every card.
pub fn seal(
    header: &EmmHeader,
    commands: &[EmmCommand],
    key: &SealKey,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    seal_plain(header, commands, None::<fn(&[u8; 32]) -> [u8; 64]>, key, out)
}

/// Appends a signed EMM-G, or signed keys for a group.
///
/// `sign` gets the SHA-256 that ECDSA-P256 is to sign and gives r ‖ s.
pub fn seal_signed(
    header: &EmmHeader,
    commands: &[EmmCommand],
    sign: impl FnOnce(&[u8; 32]) -> [u8; 64],
    key: &SealKey,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    seal_plain(header, commands, Some(sign), key, out)
}

fn seal_plain(
    header: &EmmHeader,
    commands: &[EmmCommand],
    sign: Option<impl FnOnce(&[u8; 32]) -> [u8; 64]>,
    key: &SealKey,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if header.suite != key.suite() {
        return Err(EncodeError::Invalid("suite"));
    }
    let mut plain = Vec::with_capacity(MAX_EMM);
    for command in commands {
        command.emit(&mut plain)?;
    }
    let signature_len = if sign.is_some() { Signature::EMITTED_LEN } else { 0 };
    let mut aad = Vec::with_capacity(header.aad_len());
    header.emit(Suite::TAG_LEN + plain.len() + signature_len, &mut aad)?;
    if let Some(sign) = sign {
        let signature = sign(&Signature::digest(header.address, &aad, &plain));
        plain.extend([Signature::TAG, 64]);
        plain.extend(signature);
    }
    if EmmBody::parse(header, &aad, &plain).is_err()
        || !role_permitted(header.role, header.table_id())
    {
        return Err(EncodeError::Invalid("a command of this EMM"));
    }
    out.extend_from_slice(&aad);
    key.seal(&header.key_context(), &aad, &plain, out);
    Ok(())
}

// SPDX-License-Identifier: Apache-2.0
//! EMMs: from what an engineer wrote to a sealed section.
//!
//! Normative references:
//!  - `docs/spec/emm.md`
//!  - ISO 9564-1 §9.3.3 (PIN block format 2)

use crate::control_word::RandomError;
use crate::files::FileError;
use crate::files::card_key::KeyRole;
use crate::files::fields::{Octets, Pin};
use crate::files::operator::{Operator, Pairing};
use crate::message::Message;
use crate::pairing::{self, PairingError};
use crate::sender::Sender;
use cam_types::{
    CardId, CasTime, Epoch, EventId, OperatorId, PackageId, Pseudonym, Secret, Slot, StbId,
};
use ecm_emm::EncodeError;
use ecm_emm::emm::{Address, EmmCommand, KeyDelivery, KeyTarget};
use ecm_emm::keys::{KeyMaterial, Role, card_key};
use ecm_emm::suite::{SealKey, WrappedKey};
use p256::ecdsa::SigningKey;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// Makes EMMs under an operator's keys.
#[derive(Clone, Copy)]
pub struct EmmMaker<'a> {
    operator: &'a Operator,
}

/// What a message may depend on besides the operator file.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// Its number.
    pub sequence: u32,
    /// When it goes on air.
    pub time: CasTime,
    /// Where the files that it names are.
    pub folder: &'a Path,
}

impl<'a> EmmMaker<'a> {
    /// Under these keys.
    pub const fn new(operator: &'a Operator) -> Self {
        Self { operator }
    }

    /// One card, by its number, under its own key.
    pub fn card(&self, id: Octets<8>) -> Result<Sender, EmmError> {
        let operator = self.operator;
        let Some(card) = operator.card(id) else {
            return Err(EmmError::Unknown("[[card]]", CardId::new(id.0).to_string()));
        };
        let master = operator.seal_key("", operator.suite, &operator.master_key)?;
        let (number, epoch) = (OperatorId::new(operator.operator), Epoch::new(card.epoch));
        let key = card_key(&master, Role::Individual, number, CardId::new(id.0), epoch);
        let address = Address::Unique(Pseudonym::new(card.pseudonym.0));
        Ok(self.sender(address, Role::Individual, epoch, key))
    }

    /// The purse of a card, under the key of its wallet's domain.
    fn purse(&self, id: Octets<8>) -> Result<Sender, EmmError> {
        let operator = self.operator;
        let Some(card) = operator.card(id) else {
            return Err(EmmError::Unknown("[[card]]", CardId::new(id.0).to_string()));
        };
        let given = card.key.iter().filter(|key| key.role == KeyRole::Wallet);
        let epoch = given.map(|key| key.epoch).max().unwrap_or(card.epoch);
        let key = operator
            .card_keys(card)?
            .seal_key(KeyRole::Wallet, epoch)
            .map_err(|_| EmmError::Missing("[[card.key]] of role wallet"))?;
        let address = Address::Unique(Pseudonym::new(card.pseudonym.0));
        Ok(self.sender(address, Role::Wallet, Epoch::new(epoch), key))
    }

    fn group(&self, group: Octets<4>) -> Result<Sender, EmmError> {
        let Some(key) = self.operator.group_key(group) else {
            let group = u32::from_be_bytes(group.0);
            return Err(EmmError::Unknown("[[group_key]]", format!("{group:08x}")));
        };
        let address = Address::Shared(u32::from_be_bytes(group.0));
        let epoch = Epoch::new(key.epoch);
        let key = self.operator.seal_key("[[group_key]]", key.suite, &key.key)?;
        Ok(self.sender(address, Role::Group, epoch, key))
    }

    fn all(&self) -> Result<Sender, EmmError> {
        let Some(key) = &self.operator.global_key else {
            return Err(EmmError::Missing("[global_key]"));
        };
        let epoch = Epoch::new(key.epoch);
        let key = self.operator.seal_key("[global_key]", key.suite, &key.key)?;
        Ok(self.sender(Address::Global, Role::Global, epoch, key))
    }

    const fn sender(&self, address: Address, role: Role, epoch: Epoch, key: SealKey) -> Sender {
        let operator = OperatorId::new(self.operator.operator);
        Sender { operator, address, role, epoch, key }
    }

    fn card_or_group(
        &self,
        card: Option<Octets<8>>,
        group: Option<Octets<4>>,
    ) -> Result<Sender, EmmError> {
        match (card, group) {
            (Some(card), None) => self.card(card),
            (None, Some(group)) => self.group(group),
            _ => Err(EmmError::Address),
        }
    }

    /// A message as a section. What an attacker sends is not made here.
    pub fn section(&self, message: &Message, occasion: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let seq = occasion.sequence;
        let (sender, command) = match message {
            Message::Grant { card, group, package, start, end, version, horizon } => (
                self.card_or_group(*card, *group)?,
                EmmCommand::Grant {
                    package: PackageId::new(*package),
                    start: start.0,
                    end: end.0,
                    version: *version,
                    horizon: horizon.map(|horizon| horizon.0),
                },
            ),
            Message::Revoke { card, package, version } => (
                self.card(*card)?,
                EmmCommand::Revoke { package: PackageId::new(*package), version: *version },
            ),
            Message::PpvGrant { card, event, tier, end } => (
                self.card(*card)?,
                EmmCommand::PpvGrant { event: EventId::new(*event), tier: *tier, end: end.0 },
            ),
            Message::KeyDeliver { card, group, slot, epoch, not_before } => {
                let sender = self.card_or_group(*card, *group)?;
                let not_before = not_before.map_or(CasTime::new(0), |moment| moment.0);
                let delivery = self.delivery(&sender, *slot, *epoch, not_before)?;
                (sender, EmmCommand::KeyDeliver(delivery))
            }
            Message::KeyActivate { card, slot, epoch, floor } => (
                self.card(*card)?,
                EmmCommand::KeyActivate {
                    target: KeyTarget::Service(Slot::new(*slot)),
                    epoch: Epoch::new(*epoch),
                    floor: Epoch::new(*floor),
                },
            ),
            Message::KeyDestroy { card, slot, epoch } => (
                self.card(*card)?,
                EmmCommand::KeyDestroy {
                    target: KeyTarget::Service(Slot::new(*slot)),
                    epoch: Epoch::new(*epoch),
                },
            ),
            Message::EmmLevel { card, level } => (self.card(*card)?, EmmCommand::EmmLevel(*level)),
            Message::TimeSync { card, time, reset } => {
                let time = time.map_or(occasion.time, |time| time.0);
                let command = EmmCommand::TimeSync { time, reset: *reset };
                return match card {
                    Some(card) => Ok(self.card(*card)?.section(0, &command)?),
                    None => Ok(self.all()?.signed_section(0, &command, &self.signing_key()?)?),
                };
            }
            Message::PinReset { card, pin } => {
                let sender = self.card(*card)?;
                let WrappedKey::Short(wrapped) = sender.wrap(&padded(pin)) else {
                    return Err(EmmError::Encode(EncodeError::Invalid("PIN block")));
                };
                (sender, EmmCommand::PinReset { flags: 0, wrapped })
            }
            Message::CardState { card, blocked } => {
                (self.card(*card)?, EmmCommand::CardState { blocked: *blocked })
            }
            Message::ReportRequest { card, nonce, from } => {
                (self.card(*card)?, EmmCommand::ReportRequest { nonce: nonce.0, from: *from })
            }
            Message::ReportAck { card, receipt } => {
                (self.card(*card)?, EmmCommand::ReportAck(receipt.0))
            }
            Message::Refund { card, event, sequence, amount } => (
                self.purse(*card)?,
                EmmCommand::Refund {
                    event: EventId::new(*event),
                    sequence: *sequence,
                    amount: *amount,
                },
            ),
            Message::Osd { card, group, id, attributes, text } => {
                let sender = match (card, group) {
                    (None, None) => self.all()?,
                    (card, group) => self.card_or_group(*card, *group)?,
                };
                let (id, attributes, text) = (*id, *attributes, text.clone());
                (sender, EmmCommand::Osd { id, attributes, text })
            }
            Message::Pair { card, stb } => {
                let pairing = self.pairing(*card, *stb)?;
                let sender = self.card(pairing.card)?;
                return Ok(pairing::card_half(&sender, pairing)?);
            }
            Message::BoxPair { card, stb } => {
                return self.box_half(self.pairing(*card, *stb)?);
            }
            Message::Raw { file } => {
                let file = occasion.folder.join(file);
                return raw(&file).map_err(|what| EmmError::File(whole_file(&file, &what)));
            }
            Message::Replay { .. } | Message::ForgeEmm { .. } | Message::ForgeEcm { .. } => {
                return Err(EmmError::Attack);
            }
        };
        Ok(sender.section(seq, &command)?)
    }

    fn pairing(&self, card: Octets<8>, stb: Octets<8>) -> Result<&'a Pairing, EmmError> {
        self.operator
            .pairing(card, stb)
            .ok_or_else(|| EmmError::Unknown("[[pairing]]", CardId::new(card.0).to_string()))
    }

    fn box_half(&self, pairing: &Pairing) -> Result<Vec<u8>, EmmError> {
        let Some(stb) = self.operator.stb(pairing.stb) else {
            return Err(EmmError::Unknown("[[box]]", StbId::new(pairing.stb.0).to_string()));
        };
        let Some(card) = self.operator.card(pairing.card) else {
            return Err(EmmError::Unknown("[[card]]", CardId::new(pairing.card.0).to_string()));
        };
        Ok(pairing::box_half(self.operator, stb, card, pairing)?)
    }

    fn delivery(
        &self,
        sender: &Sender,
        slot: u8,
        epoch: u16,
        not_before: CasTime,
    ) -> Result<KeyDelivery, EmmError> {
        let Some(key) = self.operator.service_key(slot, epoch) else {
            let which = format!("slot {slot}, epoch {epoch}");
            return Err(EmmError::Unknown("[[service_key]]", which));
        };
        let key = self.operator.seal_key("[[service_key]]", key.suite, &key.key)?;
        Ok(KeyDelivery {
            target: KeyTarget::Service(Slot::new(slot)),
            epoch: Epoch::new(epoch),
            suite: key.suite().number(),
            usage: 0,
            wrapped: sender.wrap(key.material()),
            kcv: key.kcv(),
            not_before,
        })
    }

    fn signing_key(&self) -> Result<SigningKey, EmmError> {
        let Some(signing) = &self.operator.signing_key else {
            return Err(EmmError::Missing("[signing_key]"));
        };
        SigningKey::from_slice(signing.key.0.expose())
            .map_err(|_| EmmError::Missing("usable [signing_key]"))
    }
}

/// The PIN block, followed by eight zero octets to the length of a key.
fn padded(pin: &Pin) -> KeyMaterial {
    let mut octets = Zeroizing::new([0; 16]);
    octets[..8].copy_from_slice(pin.0.expose());
    KeyMaterial::Bits128(Secret::new(*octets))
}

/// A file with exactly one CA section.
fn raw(file: &Path) -> Result<Vec<u8>, String> {
    let octets = std::fs::read(file).map_err(|error| error.to_string())?;
    ecm_emm::section::CaSection::parse(&octets).map_err(|error| error.to_string())?;
    Ok(octets)
}

fn whole_file(file: &Path, what: &str) -> FileError {
    FileError { path: file.to_owned(), place: String::new(), what: what.to_owned() }
}

/// Why an EMM was not made.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EmmError {
    /// The operator file has no such table.
    Missing(&'static str),
    /// The operator file has no such entry in these tables.
    Unknown(&'static str, String),
    /// Neither card nor group, or both.
    Address,
    /// It cannot be encoded.
    Encode(EncodeError),
    /// A file is wrong.
    File(FileError),
    /// No random numbers.
    Random(RandomError),
    /// It is an attack: it goes on air by a schedule only, behind what it imitates.
    Attack,
    /// The pairing cannot be made.
    Pairing(PairingError),
}

impl From<EncodeError> for EmmError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<FileError> for EmmError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<RandomError> for EmmError {
    fn from(error: RandomError) -> Self {
        Self::Random(error)
    }
}

impl From<PairingError> for EmmError {
    fn from(error: PairingError) -> Self {
        Self::Pairing(error)
    }
}

impl fmt::Display for EmmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(table) => write!(f, "the operator file has no {table}"),
            Self::Unknown(table, which) => {
                write!(f, "the operator file has no {table} for {which}")
            }
            Self::Address => f.write_str("name either `card` or `group`"),
            Self::Encode(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
            Self::Random(error) => error.fmt(f),
            Self::Attack => f.write_str("an attack goes on air by a schedule only"),
            Self::Pairing(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EmmError {}

// SPDX-License-Identifier: Apache-2.0
//! Who may speak to cards, by the operator file: a sender for each of its keys.
//!
//! Normative references:
//!  - `docs/spec/emm.md`, 1

use crate::cw_source::RandomError;
use crate::files::FileError;
use crate::files::card_key::KeyRole;
use crate::files::fields::Octets;
use crate::files::operator::{Card, Operator, Pairing, Stb};
use crate::pairing::{self, PairingError};
use crate::sender::Sender;
use cam_types::{CardId, Epoch, OperatorId, Pseudonym, StbId};
use ecm_emm::EncodeError;
use ecm_emm::emm::Address;
use ecm_emm::keys::{Role, card_key};
use ecm_emm::suite::SealKey;
use p256::ecdsa::SigningKey;
use std::fmt;

/// The senders that an operator has keys for.
#[derive(Clone, Copy)]
pub struct Senders<'a> {
    operator: &'a Operator,
}

impl<'a> Senders<'a> {
    /// With these keys.
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
    pub fn purse(&self, id: Octets<8>) -> Result<Sender, EmmError> {
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

    /// The cards of a group, by its address, under the group's newest key.
    pub fn group(&self, group: Octets<4>) -> Result<Sender, EmmError> {
        let Some(key) = self.operator.group_key(group) else {
            let group = u32::from_be_bytes(group.0);
            return Err(EmmError::Unknown("[[group_key]]", format!("{group:08x}")));
        };
        let address = Address::Shared(u32::from_be_bytes(group.0));
        let epoch = Epoch::new(key.epoch);
        let key = self.operator.seal_key("[[group_key]]", key.suite, &key.key)?;
        Ok(self.sender(address, Role::Group, epoch, key))
    }

    /// All cards.
    pub fn all(&self) -> Result<Sender, EmmError> {
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

    /// One of the two.
    pub fn card_or_group(
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

    fn pairing(&self, card: Octets<8>, stb: Octets<8>) -> Result<&'a Pairing, EmmError> {
        self.operator
            .pairing(card, stb)
            .ok_or_else(|| EmmError::Unknown("[[pairing]]", CardId::new(card.0).to_string()))
    }

    /// The card's half of a pairing, as the operator file has it.
    pub fn card_half(&self, card: Octets<8>, stb: Octets<8>) -> Result<Vec<u8>, EmmError> {
        let pairing = self.pairing(card, stb)?;
        Ok(pairing::card_half(&self.card(card)?, pairing)?)
    }

    /// The box's half.
    pub fn box_half(&self, card: Octets<8>, stb: Octets<8>) -> Result<Vec<u8>, EmmError> {
        let pairing = self.pairing(card, stb)?;
        let (card, stb) = self.card_and_box(card, stb)?;
        Ok(pairing::box_half(self.operator, stb, card, pairing)?)
    }

    /// The box's half taken back.
    pub fn box_withdrawn(
        &self,
        card: Octets<8>,
        stb: Octets<8>,
        sequence: u32,
    ) -> Result<Vec<u8>, EmmError> {
        let (card, stb) = self.card_and_box(card, stb)?;
        Ok(pairing::withdrawn(self.operator, stb, card, sequence)?)
    }

    fn card_and_box(&self, card: Octets<8>, stb: Octets<8>) -> Result<(&Card, &Stb), EmmError> {
        let Some(stb) = self.operator.stb(stb) else {
            return Err(EmmError::Unknown("[[box]]", StbId::new(stb.0).to_string()));
        };
        let Some(card) = self.operator.card(card) else {
            return Err(EmmError::Unknown("[[card]]", CardId::new(card.0).to_string()));
        };
        Ok((card, stb))
    }

    /// A service key, to be delivered.
    pub fn service_key(&self, slot: u8, epoch: u16) -> Result<SealKey, EmmError> {
        let Some(key) = self.operator.service_key(slot, epoch) else {
            let which = format!("slot {slot}, epoch {epoch}");
            return Err(EmmError::Unknown("[[service_key]]", which));
        };
        Ok(self.operator.seal_key("[[service_key]]", key.suite, &key.key)?)
    }

    /// What signs a message to all cards.
    pub fn signing_key(&self) -> Result<SigningKey, EmmError> {
        let Some(signing) = &self.operator.signing_key else {
            return Err(EmmError::Missing("[signing_key]"));
        };
        SigningKey::from_slice(signing.key.0.expose())
            .map_err(|_| EmmError::Missing("usable [signing_key]"))
    }
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

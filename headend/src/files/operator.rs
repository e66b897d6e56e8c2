// SPDX-License-Identifier: Apache-2.0
//! The operator file: who we are and every key we seal with. It never leaves the head-end.

use super::FileError;
use super::card_key::{CardKey, CardKeys};
use super::fields::{KeyField, Octets, SecretOctets, from_1};
use cam_types::{CardId, OperatorId};
use ecm_emm::suite::SealKey;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The operator file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The operator's number.
    pub operator: u16,
    /// The master of all card keys: 16 octets for suites 2 and 5, 32 for suite 3.
    pub master_key: KeyField,
    /// Its suite: that of the cards' own keys.
    pub suite: u8,
    /// The number of the next EMM. The packager counts on from here and says in its report where
    /// it ended; the file is the engineer's to change.
    pub next_sequence: u32,
    /// Keys that ECMs are sealed with.
    pub service_key: Vec<ServiceKey>,
    /// Keys for groups of cards.
    #[serde(default)]
    pub group_key: Vec<GroupKey>,
    /// The key that all cards share.
    pub global_key: Option<GlobalKey>,
    /// The P-256 key that signs messages to all cards.
    pub signing_key: Option<SigningKey>,
    /// The cards that can be addressed one by one.
    #[serde(default)]
    pub card: Vec<Card>,
    /// The boxes that can be paired with a card.
    #[serde(default, rename = "box")]
    pub stb: Vec<Stb>,
    /// Which card works in which box.
    #[serde(default)]
    pub pairing: Vec<Pairing>,
    /// Where it was read from.
    #[serde(skip)]
    pub path: PathBuf,
}

/// A service key generation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceKey {
    /// 0 to 15.
    pub slot: u8,
    /// The generation.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
    /// How it seals: 2, 3 or 5.
    pub suite: u8,
    /// 16 or 32 octets, as its suite wants; in the file hexadecimal.
    pub key: KeyField,
}

/// A group's key generation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupKey {
    /// Which of the card's group keys, 0 to 7.
    pub index: u8,
    /// The group's address.
    pub group: Octets<4>,
    /// The generation.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
    /// How it seals: 2, 3 or 5.
    pub suite: u8,
    /// 16 or 32 octets, as its suite wants; in the file hexadecimal.
    pub key: KeyField,
}

/// A generation of the key of all cards.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalKey {
    /// The generation.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
    /// How it seals: 2, 3 or 5.
    pub suite: u8,
    /// 16 or 32 octets, as its suite wants; in the file hexadecimal.
    pub key: KeyField,
}

/// The key that signs messages to all cards.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// The generation.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u8,
    /// The private scalar of P-256.
    pub key: SecretOctets<32>,
}

/// A card, as the factory delivered it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its number, which never goes on the air.
    pub card_id: Octets<8>,
    /// What it is called on the air.
    pub pseudonym: Octets<8>,
    /// The generation of its own key.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
    /// Its other keys, where they are not derived from the master key.
    #[serde(default)]
    pub key: Vec<CardKey>,
}

/// A set-top box, as its maker delivered it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stb {
    /// Its number.
    pub stb_id: Octets<8>,
    /// The generation of its message key.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
    /// The suite of that key.
    pub suite: u8,
    /// Its message key, K_box.
    pub box_key: KeyField,
    /// The root of its key ladder, K3.
    pub ladder_key: SecretOctets<16>,
}

/// A card and a box that know each other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairing {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The box, by its number.
    #[serde(rename = "box")]
    pub stb: Octets<8>,
    /// The card's pairing slot, 0 to 3.
    pub slot: u8,
    /// The number of its two messages.
    pub sequence: u32,
    /// The key of their sessions.
    pub k_pair: SecretOctets<16>,
    /// The key that control words travel under.
    pub k_cw: SecretOctets<16>,
    /// The box may hand control words to its descrambler in clear.
    #[serde(default)]
    pub clear_control_words: bool,
}

impl Operator {
    /// Reads and checks an operator file.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let mut operator: Self = super::read(path)?;
        path.clone_into(&mut operator.path);
        operator.check()?;
        Ok(operator)
    }

    /// Takes an operator file's text; `path` is for errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let mut operator: Self = super::parse(path, text)?;
        path.clone_into(&mut operator.path);
        operator.check()?;
        Ok(operator)
    }

    fn check(&self) -> Result<(), FileError> {
        let suite = |table: &str, suite, key: &KeyField| self.seal_key(table, suite, key).map(drop);
        suite("", self.suite, &self.master_key)?;
        if self.next_sequence == 0 {
            return Err(self.error("", "next_sequence", "numbers start at 1"));
        }
        for (n, key) in self.service_key.iter().enumerate() {
            let table = format!("[[service_key]] {}", n + 1);
            suite(&table, key.suite, &key.key)?;
            self.check_at_most(&table, "slot", key.slot, 15)?;
            let twin = |other: &ServiceKey| (other.slot, other.epoch) == (key.slot, key.epoch);
            if self.service_key.iter().take(n).any(twin) {
                return Err(self.error(&table, "epoch", "this slot has this epoch already"));
            }
        }
        for (n, key) in self.group_key.iter().enumerate() {
            let table = format!("[[group_key]] {}", n + 1);
            suite(&table, key.suite, &key.key)?;
            self.check_at_most(&table, "index", key.index, 7)?;
            for other in self.group_key.iter().take(n).filter(|other| other.group == key.group) {
                if other.index != key.index {
                    return Err(self.error(&table, "index", "this group has another index"));
                }
                if other.epoch == key.epoch {
                    return Err(self.error(&table, "epoch", "this group has this epoch already"));
                }
            }
        }
        if let Some(key) = &self.global_key {
            suite("[global_key]", key.suite, &key.key)?;
        }
        for (n, card) in self.card.iter().enumerate() {
            let table = format!("[[card]] {}", n + 1);
            let earlier = || self.card.iter().take(n);
            if earlier().any(|other| other.card_id == card.card_id) {
                return Err(self.error(&table, "card_id", "another card has it"));
            }
            if earlier().any(|other| other.pseudonym == card.pseudonym) {
                return Err(self.error(&table, "pseudonym", "another card has it"));
            }
            if card.pseudonym == card.card_id {
                return Err(self.error(&table, "pseudonym", "is the card's number"));
            }
            for (m, key) in card.key.iter().enumerate() {
                let twin = |other: &CardKey| (other.role, other.epoch) == (key.role, key.epoch);
                if card.key.iter().take(m).any(twin) {
                    let table = format!("[[card.key]] {}", m + 1);
                    return Err(self.error(&table, "epoch", "this role has this epoch already"));
                }
            }
            self.card_keys(card)?;
        }
        for (n, stb) in self.stb.iter().enumerate() {
            let table = format!("[[box]] {}", n + 1);
            suite(&table, stb.suite, &stb.box_key)?;
            if self.stb.iter().take(n).any(|other| other.stb_id == stb.stb_id) {
                return Err(self.error(&table, "stb_id", "another box has it"));
            }
        }
        for (n, pairing) in self.pairing.iter().enumerate() {
            let table = format!("[[pairing]] {}", n + 1);
            self.check_at_most(&table, "slot", pairing.slot, 3)?;
            if pairing.sequence == 0 {
                return Err(self.error(&table, "sequence", "numbers start at 1"));
            }
            self.check_pairing(&table, pairing, self.pairing.iter().take(n))?;
        }
        Ok(())
    }

    /// A pairing against what else the file has, and those before it.
    fn check_pairing<'a>(
        &self,
        table: &str,
        pairing: &Pairing,
        earlier: impl Iterator<Item = &'a Pairing>,
    ) -> Result<(), FileError> {
        if self.card(pairing.card).is_none() {
            return Err(self.error(table, "card", "names no [[card]]"));
        }
        if self.stb(pairing.stb).is_none() {
            return Err(self.error(table, "box", "names no [[box]]"));
        }
        for other in earlier {
            let (card, stb) = (other.card == pairing.card, other.stb == pairing.stb);
            let (field, what) = match other {
                _ if card && stb => ("box", format!("this card has it in slot {}", other.slot)),
                _ if card && other.slot == pairing.slot => {
                    ("slot", "this card has another box in it".to_owned())
                }
                _ if (card || stb) && other.sequence == pairing.sequence => {
                    let who = if card { "card" } else { "box" };
                    ("sequence", format!("this {who} has a pairing of this number already"))
                }
                _ => continue,
            };
            return Err(self.error(table, field, what));
        }
        if pairing.sequence >= self.next_sequence {
            let what = "next_sequence would give it out again: raise that above it";
            return Err(self.error(table, "sequence", what));
        }
        Ok(())
    }

    /// Takes in a pairing that was drawn, with the next number.
    pub fn add(&mut self, pairing: Pairing) -> Result<(), FileError> {
        let next = pairing
            .sequence
            .checked_add(1)
            .ok_or_else(|| self.error("", "next_sequence", "no number is left for a pairing"))?;
        self.next_sequence = self.next_sequence.max(next);
        self.pairing.push(pairing);
        self.check()
    }

    fn check_at_most(&self, table: &str, field: &str, got: u8, most: u8) -> Result<(), FileError> {
        if got > most {
            return Err(self.error(table, field, format!("got {got}, expected 0 to {most}")));
        }
        Ok(())
    }

    /// A key of this file, ready to seal; `table` is for the error.
    pub fn seal_key(&self, table: &str, suite: u8, key: &KeyField) -> Result<SealKey, FileError> {
        key.seal_key(suite, &self.path, table)
    }

    /// What the head-end seals and verifies with for one card: its own keys in the file, else
    /// derived from the master key.
    pub fn card_keys(&self, card: &Card) -> Result<CardKeys, FileError> {
        let (id, operator) = (CardId::new(card.card_id.0), OperatorId::new(self.operator));
        let master = self.seal_key("", self.suite, &self.master_key)?;
        CardKeys::new(id, operator, master, &card.key, &self.path)
    }

    fn error(&self, table: &str, field: &str, what: impl std::fmt::Display) -> FileError {
        FileError::field(&self.path, table, field, what)
    }

    /// The card with this number.
    pub fn card(&self, id: Octets<8>) -> Option<&Card> {
        self.card.iter().find(|card| card.card_id == id)
    }

    /// The box with this number.
    pub fn stb(&self, id: Octets<8>) -> Option<&Stb> {
        self.stb.iter().find(|stb| stb.stb_id == id)
    }

    /// The pairing of a card with a box.
    pub fn pairing(&self, card: Octets<8>, stb: Octets<8>) -> Option<&Pairing> {
        self.pairing.iter().find(|pairing| pairing.card == card && pairing.stb == stb)
    }

    /// A service key generation.
    pub fn service_key(&self, slot: u8, epoch: u16) -> Option<&ServiceKey> {
        self.service_key.iter().find(|key| (key.slot, key.epoch) == (slot, epoch))
    }

    /// A group's newest key.
    pub fn group_key(&self, group: Octets<4>) -> Option<&GroupKey> {
        self.group_key.iter().filter(|key| key.group == group).max_by_key(|key| key.epoch)
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The keys of one card that reports are verified with.

use super::FileError;
use super::fields::{KeyField, from_1};
use cam_types::{CardId, Epoch, Key, OperatorId};
use cmac::{Cmac, KeyInit, Mac as _};
use ecm_emm::keys::{KeyContext, Role, card_key, constant};
use ecm_emm::suite::SealKey;
use gp::cipher::Aes128;
use serde::Deserialize;
use std::fmt;
use std::path::Path;
use wallet::Mac;
use wallet::keys::TacKey;

/// What a key of a card is for, by the names of the personalisation file.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum KeyRole {
    /// K_rcp: receipts, and the seal of a report.
    Receipt,
    /// K_tac2: the code of a transaction, suite 2.
    #[serde(rename = "tac-suite-2")]
    TacSuite2,
    /// DTK of the purse: the code of a transaction, suite 1.
    Tac,
    /// K_wal: EMMs to the purse.
    Wallet,
}

impl KeyRole {
    const fn role(self) -> Role {
        match self {
            Self::Receipt => Role::Receipt,
            Self::TacSuite2 | Self::Tac => Role::Tac,
            Self::Wallet => Role::Wallet,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::TacSuite2 => "tac-suite-2",
            Self::Tac => "tac",
            Self::Wallet => "wallet",
        }
    }
}

/// A key that the factory gave to one card.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardKey {
    /// What it is for.
    pub role: KeyRole,
    /// Its generation.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
    /// How it seals: 2, 3 or 5.
    pub suite: u8,
    /// 16 or 32 octets, as its suite wants; in the file hexadecimal.
    pub value: KeyField,
}

/// The keys of a card: those of the file, else derived from the operator's master key.
pub struct CardKeys {
    card: CardId,
    operator: OperatorId,
    master: SealKey,
    given: Vec<(KeyRole, u16, SealKey)>,
    purse: Vec<Key>,
}

impl CardKeys {
    /// The keys of this card; `path` is for the error of a row of `given`.
    pub(super) fn new(
        card: CardId,
        operator: OperatorId,
        master: SealKey,
        given: &[CardKey],
        path: &Path,
    ) -> Result<Self, FileError> {
        let mut keys = Self { card, operator, master, given: Vec::new(), purse: Vec::new() };
        for (n, key) in given.iter().enumerate() {
            let table = format!("[[card.key]] {}", n + 1);
            if key.role != KeyRole::Tac {
                let seal_key = key.value.seal_key(key.suite, path, &table)?;
                keys.given.push((key.role, key.epoch, seal_key));
                continue;
            }
            match (key.suite, key.value.0.bits128()) {
                (1, Some(value)) => keys.purse.push(Key::new(*value.expose())),
                (1, None) => {
                    let what = "a key of suite 1 has 16 octets, got 32";
                    return Err(FileError::field(path, &table, "value", what));
                }
                (got, _) => {
                    let what = format!("got {got}, expected 1 for the purse's own key");
                    return Err(FileError::field(path, &table, "suite", what));
                }
            }
        }
        Ok(keys)
    }

    /// A generation of a key.
    pub fn seal_key(&self, role: KeyRole, epoch: u16) -> Result<SealKey, NoKey> {
        let given = self.given.iter().find(|(of, number, _)| (*of, *number) == (role, epoch));
        if let Some((_, _, key)) = given {
            return Ok(key.clone());
        }
        if self.given.iter().any(|(of, _, _)| *of == role) {
            return Err(NoKey { role, epoch });
        }
        let epoch = Epoch::new(epoch);
        Ok(card_key(&self.master, role.role(), self.operator, self.card, epoch))
    }

    /// Earlier generations of a key, the latest first.
    pub fn older(&self, role: KeyRole, epoch: u16) -> Vec<u16> {
        let mut older: Vec<u16> = match self.given.iter().any(|(of, _, _)| *of == role) {
            true => self.given.iter().filter(|(of, _, _)| *of == role).map(|k| k.1).collect(),
            false => epoch.checked_sub(1).into_iter().collect(),
        };
        older.retain(|older| *older < epoch);
        older.sort_unstable_by(|a, b| b.cmp(a));
        older
    }

    /// What this card's key of a role and generation is derived for.
    pub const fn context(&self, role: KeyRole, epoch: u16) -> KeyContext {
        KeyContext::new(role.role(), self.operator, Epoch::new(epoch))
    }

    /// The purse made this code over these fields: PBOC's under DTK, or suite 2's under K_tac2.
    pub fn made_tac(&self, fields: &[u8], tac: [u8; 4]) -> bool {
        let tac = Mac(tac);
        let pboc = |key: &Key| TacKey::new(Key::new(*key.expose())).fold().mac(fields) == tac;
        self.purse.iter().any(pboc)
            || self.tac2().iter().any(|(epoch, key)| {
                let context = self.context(KeyRole::TacSuite2, *epoch);
                let key = key.derived_key(constant::TAC, &context);
                let mut mac = <Cmac<Aes128> as KeyInit>::new(key.expose().into());
                mac.update(fields);
                match mac.finalize().into_bytes().as_slice() {
                    [a, b, c, d, ..] => Mac([*a, *b, *c, *d]) == tac,
                    _ => false,
                }
            })
    }

    /// Every generation of K_tac2 that there may be.
    fn tac2(&self) -> Vec<(u16, SealKey)> {
        let given = self.given.iter().filter(|(role, ..)| *role == KeyRole::TacSuite2);
        let given: Vec<_> = given.map(|(_, epoch, key)| (*epoch, key.clone())).collect();
        if given.is_empty() {
            self.seal_key(KeyRole::TacSuite2, 1).map(|key| (1, key)).into_iter().collect()
        } else {
            given
        }
    }
}

/// A generation of a key that the operator file does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoKey {
    /// Which key.
    pub role: KeyRole,
    /// Its generation.
    pub epoch: u16,
}

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (role, epoch) = (self.role.name(), self.epoch);
        write!(f, "the operator file has no usable {role} key of epoch {epoch}")
    }
}

impl std::error::Error for NoKey {}

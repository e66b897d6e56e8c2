// SPDX-License-Identifier: Apache-2.0
//! The keys in a personalisation file: which key, which generation, and whether its length and
//! suite fit.

use super::fields::{Fields, Problem};
use crate::keyring::Generation;
use crate::purse::store::FixedKey;
use cam_types::{CasTime, Epoch};
use ecm_emm::emm::KeyTarget;
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::Suite;

/// Which of the card's keys an entry is: the application, and the key in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyName {
    /// One of the conditional access application.
    Cas(KeyTarget),
    /// One of the purse.
    Purse(KeyTarget),
    /// One of the purse that stays.
    Fixed(FixedKey),
}

/// A key with its generation.
pub struct KeyEntry {
    /// Which key it is.
    pub name: KeyName,
    /// Its suite; 1 for the purse's triple DES.
    pub suite: u8,
    /// The number of this generation, which messages name.
    pub epoch: Epoch,
    /// ECMs of before this moment are not opened with it.
    pub not_before: CasTime,
    material: KeyMaterial,
}

/// The roles of keys, in the order of [`KeyEntry::name`].
const ROLES: &[&str] = &[
    "individual",
    "recovery",
    "group",
    "global",
    "service",
    "receipt",
    "wallet",
    "wallet-recovery",
    "tac-suite-2",
    "purchase",
    "load",
    "tac",
    "maintenance",
    "pin-unblock",
    "pin-reload",
    "unload",
    "overdraft",
    "external-authentication",
];

impl KeyEntry {
    /// The generation as the card keeps it, not yet used.
    pub(crate) fn generation(&self) -> Generation {
        let generation = Generation::new(self.suite, self.epoch, self.material.clone());
        Generation { not_before: self.not_before, ..generation }
    }

    pub(super) fn read(key: &mut Fields) -> Result<Self, Problem> {
        let name = Self::name(key)?;
        let suite: u8 = key.number("suite")?;
        let material = zeroize::Zeroizing::new(key.hexadecimal("value")?);
        let expected = match (name, Suite::try_from(suite)) {
            (
                KeyName::Purse(KeyTarget::Purchase | KeyTarget::Load | KeyTarget::PurseTac)
                | KeyName::Fixed(_),
                _,
            ) => {
                if suite != 1 {
                    return Err(key.wrong("suite", "a key of the PBOC purse is of suite 1"));
                }
                16
            }
            (
                KeyName::Cas(KeyTarget::OwnRecovery) | KeyName::Purse(KeyTarget::OwnRecovery),
                suite,
            ) if suite != Ok(Suite::Cmac256) => {
                return Err(key.wrong("suite", "a recovery key is of suite 3"));
            }
            (_, Ok(suite)) => suite.key_len(),
            (_, Err(_)) => return Err(key.wrong("suite", "expected 2, 3 or 5")),
        };
        let material = KeyMaterial::from_slice(&material)
            .filter(|material| material.expose().len() == expected)
            .ok_or_else(|| {
                key.wrong("value", format!("has {} octets, expected {expected}", material.len()))
            })?;
        Ok(Self {
            name,
            suite,
            epoch: Epoch::new(key.counted("epoch")?),
            not_before: key.optional("not_before", Fields::time)?.unwrap_or(CasTime::new(0)),
            material,
        })
    }

    fn name(key: &mut Fields) -> Result<KeyName, Problem> {
        let role = key.one_of("role", ROLES)?;
        Ok(match role {
            0 => KeyName::Cas(KeyTarget::Own),
            1 => KeyName::Cas(KeyTarget::OwnRecovery),
            2 => KeyName::Cas(KeyTarget::Group(key.at_most("index", 7)?)),
            3 => KeyName::Cas(KeyTarget::Global),
            4 => KeyName::Cas(KeyTarget::Service(cam_types::Slot::new(key.at_most("index", 15)?))),
            5 => KeyName::Cas(KeyTarget::Receipt),
            6 => KeyName::Purse(KeyTarget::Own),
            7 => KeyName::Purse(KeyTarget::OwnRecovery),
            8 => KeyName::Purse(KeyTarget::Tac),
            9 => KeyName::Purse(KeyTarget::Purchase),
            10 => KeyName::Purse(KeyTarget::Load),
            11 => KeyName::Purse(KeyTarget::PurseTac),
            12 => KeyName::Fixed(FixedKey::Maintenance),
            13 => KeyName::Fixed(FixedKey::Unblock),
            14 => KeyName::Fixed(FixedKey::Reload),
            15 => KeyName::Fixed(FixedKey::Unload),
            16 => KeyName::Fixed(FixedKey::Overdraft),
            _ => KeyName::Fixed(FixedKey::External),
        })
    }
}

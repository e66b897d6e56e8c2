// SPDX-License-Identifier: Apache-2.0
//! The keys file: what a terminal's PSAM or a host would hold.
use super::table::{Fields, Problem};
use crate::hex;
use cam_types::Secret;
use std::path::Path;
use wallet::flow::host::{Diversified, Host};
use wallet::keys::{LoadKey, PurchaseKey, TacKey};
use zeroize::Zeroizing;

/// The keys of a terminal or host, by what they are for.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// DPK by version.
    pub purchase: Vec<(u8, PurchaseKey)>,
    /// Whether these are masters.
    pub purchase_is_master: bool,
    /// DLK and DTK.
    pub host: Host,
    /// Whether one of all keys is a master: the card's serial number is wanted.
    pub any_master: bool,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Purchase,
    Load,
    Tac,
}

struct Entry {
    role: Role,
    version: u8,
    is_master: bool,
    key: Secret<16>,
}

impl Keys {
    /// Reads the file's `[[key]]` tables, and checks that they fit each other.
    pub(crate) fn read(path: &Path) -> Result<Self, Problem> {
        let mut file = Fields::read(path)?;
        let entries = file.tables("key", Entry::read)?;
        let of = |role| entries.iter().filter(move |entry| entry.role == role);
        for (name, role) in Role::ALL {
            let mut kinds = of(role).map(|entry| entry.is_master);
            let first = kinds.next();
            if kinds.any(|kind| Some(kind) != first) {
                let why = format!("role {name}: all keys as `master`, or all as `card`");
                return Err(file.wrong("key", why));
            }
        }
        if of(Role::Tac).count() > 1 {
            return Err(file.wrong("key", "role tac: one key, expected no more"));
        }
        let is_master = |role| of(role).any(|entry| entry.is_master);
        let load = of(Role::Load);
        let load = load.map(|entry| (entry.version, LoadKey::new(entry.key.clone()))).collect();
        let tac = of(Role::Tac).next().map(|entry| TacKey::new(entry.key.clone()));
        let diversified = Diversified { load: is_master(Role::Load), tac: is_master(Role::Tac) };
        let purchase = of(Role::Purchase);
        let purchase =
            purchase.map(|entry| (entry.version, PurchaseKey::new(entry.key.clone()))).collect();
        let keys = Self {
            purchase,
            purchase_is_master: is_master(Role::Purchase),
            host: Host::new(load, tac, diversified),
            any_master: entries.iter().any(|entry| entry.is_master),
        };
        file.finish()?;
        Ok(keys)
    }
}

impl Role {
    const ALL: [(&'static str, Self); 3] =
        [("purchase", Self::Purchase), ("load", Self::Load), ("tac", Self::Tac)];
}

impl Entry {
    fn read(entry: &mut Fields) -> Result<Self, Problem> {
        let role = entry.text("role")?;
        let role = entry.wanted("role", role)?;
        let known = Role::ALL.iter().find(|(name, _)| *name == role.as_str());
        let (_, role) =
            known.ok_or_else(|| entry.wrong("role", "expected purchase, load or tac"))?;
        let version = entry.number("version")?.unwrap_or(1);
        let (name, is_master, key) = match (entry.text("master")?, entry.text("card")?) {
            (Some(key), None) => ("master", true, key),
            (None, Some(key)) => ("card", false, key),
            _ => return Err(entry.wrong("", "expected `master` or `card`, one of them")),
        };
        let octets = hex::parse(&key).map(Zeroizing::new);
        let octets = octets.map_err(|error| entry.wrong(name, error.to_string()))?;
        let key = octets
            .as_slice()
            .try_into()
            .map_err(|_| entry.wrong(name, format!("{} octets, a key has 16", octets.len())))?;
        Ok(Self { role: *role, version, is_master, key: Secret::new(key) })
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What the module keeps.

use crate::persist::{Guarded, Table, persist};
use cam_types::{Key, TerminalId};
use std::fmt;

/// Keys that it has room for.
pub(crate) const KEYS: usize = 16;

/// What a master key is for: the number that P1 of INIT_FOR_DESCRYPT carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyUse(pub u8);

impl KeyUse {
    /// MAC1 and MAC2 of purchases; never by DES CRYPT.
    pub const PURCHASE: Self = Self(0x02);
    /// Secure messaging to cards: MAC and encryption.
    pub const MAINTENANCE: Self = Self(0x05);
    /// MAC alone.
    pub const MAC: Self = Self(0x06);
    /// Encryption alone.
    pub const ENCRYPTION: Self = Self(0x07);
    /// MAC and encryption.
    pub const BOTH: Self = Self(0x08);

    /// The uses that a key may have, as a personalisation file names them.
    pub const ALL: [(Self, &str); 5] = [
        (Self::PURCHASE, "purchase"),
        (Self::MAINTENANCE, "maintenance"),
        (Self::MAC, "mac"),
        (Self::ENCRYPTION, "encryption"),
        (Self::BOTH, "mac-and-encryption"),
    ];

    /// DES CRYPT may encrypt under it.
    pub const fn encrypts(self) -> bool {
        matches!(self, Self::MAINTENANCE | Self::ENCRYPTION | Self::BOTH)
    }

    /// DES CRYPT may make MACs under it.
    pub const fn makes_macs(self) -> bool {
        matches!(self, Self::MAINTENANCE | Self::MAC | Self::BOTH)
    }
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::ALL.iter().find(|(purpose, _)| purpose == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "use {:02X}", self.0),
        }
    }
}

/// A key that cards' keys are derived from, with its place in the module.
#[derive(Clone)]
pub struct MasterKey {
    purpose: u8,
    version: u8,
    key: Key,
}

persist!(MasterKey { purpose: u8, version: u8, key: Key });

impl MasterKey {
    /// It answers for cards that name this use and version.
    pub const fn new(purpose: KeyUse, version: u8, key: Key) -> Self {
        Self { purpose: purpose.0, version, key }
    }

    /// What the module may do with it.
    pub const fn purpose(&self) -> KeyUse {
        KeyUse(self.purpose)
    }

    /// The generation, as cards name it.
    pub const fn version(&self) -> u8 {
        self.version
    }
}

/// Everything that lasts in the module.
#[derive(Clone)]
pub struct PsamStore {
    /// The number given out last.
    pub sequence: Guarded<u32>,
    /// Wrong MAC2s that it still takes before a right one.
    pub tries: Guarded<u8>,
    limit: Guarded<u8>,
    /// Its serial number (EF 0015).
    pub serial: [u8; 10],
    /// The terminal that it is (EF 0016).
    pub terminal: TerminalId,
    keys: Table<Option<MasterKey>, KEYS>,
}

persist!(PsamStore {
    sequence: Guarded<u32>,
    tries: Guarded<u8>,
    limit: Guarded<u8>,
    serial: [u8; 10],
    terminal: TerminalId,
    keys: Table<Option<MasterKey>, KEYS>,
});

impl PsamStore {
    /// A module that goes on after `sequence`.
    pub fn new(serial: [u8; 10], terminal: TerminalId, sequence: u32, tries: u8) -> Self {
        Self {
            sequence: Guarded(sequence),
            tries: Guarded(tries),
            limit: Guarded(tries),
            serial,
            terminal,
            keys: Table::filled(|| None),
        }
    }

    /// Takes a key in; `false` when one of this use and version is there, or no room.
    pub fn add(&mut self, key: MasterKey) -> bool {
        let known = self.key(key.purpose(), key.version).is_some();
        match self.keys.iter_mut().find(|place| place.is_none()) {
            Some(place) if !known => {
                *place = Some(key);
                true
            }
            _ => false,
        }
    }

    /// The master key for a use, if the module has this version of it.
    pub fn key(&self, purpose: KeyUse, version: u8) -> Option<&Key> {
        self.keys()
            .find(|key| key.purpose() == purpose && key.version == version)
            .map(|key| &key.key)
    }

    /// The keys held.
    pub fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        self.keys.iter().flatten()
    }

    /// A right MAC2 gives all tries back; `false` when none was missing.
    pub fn restore_tries(&mut self) -> bool {
        std::mem::replace(&mut self.tries, self.limit) != self.limit
    }
}

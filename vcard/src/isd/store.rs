// SPDX-License-Identifier: Apache-2.0
//! What the issuer's domain keeps.

use crate::persist::{Guarded, Table, persist};
use cam_types::{CardId, Key};
use gp::scp03::StaticKeys;

/// A static key set with its sequence counter (SCP03, i=70).
#[derive(Clone)]
pub struct KeySet {
    enc: Key,
    mac: Key,
    dek: Key,
    /// Counted up with every session; 24 bits of it are used.
    pub(super) sequence: Guarded<u32>,
}

persist!(KeySet {
    enc: Key,
    mac: Key,
    dek: Key,
    sequence: Guarded<u32>,
});

impl KeySet {
    /// A key set that has opened no session.
    pub fn new(keys: StaticKeys) -> Self {
        Self { enc: keys.enc, mac: keys.mac, dek: keys.dek, sequence: Guarded(0) }
    }

    /// The keys, for SCP03.
    pub fn keys(&self) -> StaticKeys {
        StaticKeys { enc: self.enc.clone(), mac: self.mac.clone(), dek: self.dek.clone() }
    }

    /// The sequence counter as SCP03 carries it; `None` when it is used up.
    pub fn sequence(&self) -> Option<[u8; 3]> {
        let [high, rest @ ..] = self.sequence.0.to_be_bytes();
        (high == 0).then_some(rest)
    }
}

/// What the issuer's domain keeps.
#[derive(Clone)]
pub struct IssuerStore {
    /// The card's number.
    pub card: CardId,
    /// Key versions 30 (issuer), 31 (CAS) and 32 (purse).
    pub sets: Table<Option<KeySet>, 3>,
    /// CARD BLOCK: no other application is selected any more.
    pub locked: bool,
}

persist!(IssuerStore {
    card: CardId,
    sets: Table<Option<KeySet>, 3>,
    locked: bool,
});

/// The first of the administration key versions.
pub(crate) const FIRST_KVN: u8 = 0x30;

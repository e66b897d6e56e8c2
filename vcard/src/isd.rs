//! The issuer's security domain: who the card is, and the key sets that administer it.

use crate::aid::Aid;
use crate::context::{Context, Violation};
use crate::firewall::Objects;
use crate::persist::{Guarded, Table, persist};
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::{CardId, Key};
use gp::scp03::StaticKeys;
use iso7816::apdu::{Command, StatusWord};

/// A static key set with its sequence counter (SCP03, i=70).
#[derive(Clone)]
pub struct KeySet {
    enc: Key,
    mac: Key,
    dek: Key,
    /// Counted up with every session; 24 bits of it are used.
    sequence: Guarded<u32>,
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
pub const FIRST_KVN: u8 = 0x30;

/// The key set of this key version.
pub fn key_set(vault: &Vault, kvn: u8) -> Result<&KeySet, Stop> {
    kvn.checked_sub(FIRST_KVN)
        .and_then(|n| {
            vault.objects().issuer.get(Context::ISSUER).ok()?.sets.get(n.into())?.as_ref()
        })
        .ok_or(Stop::Status(StatusWord::REFERENCE_NOT_FOUND))
}

/// A session with this key version has begun: its challenge must not come again.
pub fn count_session(vault: &mut Vault, kvn: u8) -> Result<(), Stop> {
    vault.change(|objects| {
        let sets = &mut objects.issuer.get_mut(Context::ISSUER)?.sets;
        if let Some(Some(set)) = kvn.checked_sub(FIRST_KVN).and_then(|n| sets.get_mut(n.into())) {
            set.sequence.0 += 1;
        }
        Ok(())
    })
}

/// Shareable, for the purse: locks the card.
pub fn lock(objects: &mut Objects, caller: Context) -> Result<(), Violation> {
    caller.is_one_of(&[Aid::PURSE])?;
    objects.issuer.get_mut(Context::ISSUER)?.locked = true;
    Ok(())
}

/// Card recognition data: GlobalPlatform 2.3, SCP03 with option 70.
const CARD_RECOGNITION: &[u8] = &[
    0x66, 0x31, 0x73, 0x2F, // tags 66, 73
    0x06, 0x07, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x01, // GlobalPlatform
    0x60, 0x0C, 0x06, 0x0A, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x02, 0x02, 0x03, 0x00, // 2.3
    0x63, 0x09, 0x06, 0x07, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x03, // card identification
    0x64, 0x0B, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x04, 0x03, 0x70, // SCP03
];

/// Commands of the issuer's domain.
pub fn process(vault: &Vault, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
    match (command.cla & 0x80, command.ins, command.p1, command.p2) {
        // GET DATA: card recognition data.
        (_, 0xCA, 0x00, 0x66) => Ok(CARD_RECOGNITION.to_vec()),
        // GET DATA: key information.
        (_, 0xCA, 0x00, 0xE0) => {
            let mut keys = Vec::new();
            for kvn in FIRST_KVN..FIRST_KVN + 3 {
                if key_set(vault, kvn).is_ok() {
                    for id in 1..=3 {
                        keys.extend([0xC0, 0x04, id, kvn, 0x88, 0x10]);
                    }
                }
            }
            let mut data = vec![0xE0, keys.len() as u8];
            data.append(&mut keys);
            Ok(data)
        }
        (_, 0xCA, ..) => Err(StatusWord::REFERENCE_NOT_FOUND.into()),
        _ => Err(StatusWord::UNKNOWN_INS.into()),
    }
}

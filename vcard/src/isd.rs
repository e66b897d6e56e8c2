// SPDX-License-Identifier: Apache-2.0
//! The issuer's security domain: who the card is, and the key sets that administer it.

pub(crate) mod store;

use crate::context::{Context, Violation};
use crate::firewall::Objects;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::Aid;
use cam_types::interindustry::INS_GET_DATA;
use iso7816::apdu::{Command, StatusWord};
use store::{FIRST_KVN, KeySet};

/// The key set of this key version.
pub(crate) fn key_set(vault: &Vault, kvn: u8) -> Result<&KeySet, Stop> {
    kvn.checked_sub(FIRST_KVN)
        .and_then(|n| {
            vault.objects().issuer.get(Context::ISSUER).ok()?.sets.get(n.into())?.as_ref()
        })
        .ok_or(Stop::Status(StatusWord::REFERENCE_NOT_FOUND))
}

/// A session with this key version has begun: its challenge must not come again.
pub(crate) fn count_session(vault: &mut Vault, kvn: u8) -> Result<(), Stop> {
    vault.change(|objects| {
        let sets = &mut objects.issuer.get_mut(Context::ISSUER)?.sets;
        if let Some(Some(set)) = kvn.checked_sub(FIRST_KVN).and_then(|n| sets.get_mut(n.into())) {
            set.sequence.0 += 1;
        }
        Ok(())
    })
}

/// Shareable, for the purse: locks the card.
pub(crate) fn lock(objects: &mut Objects, caller: Context) -> Result<(), Violation> {
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
pub(crate) fn process(vault: &Vault, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
    match (command.cla & 0x80, command.ins, command.p1, command.p2) {
        // GET DATA: card recognition data.
        (_, INS_GET_DATA, 0x00, 0x66) => Ok(CARD_RECOGNITION.to_vec()),
        // GET DATA: key information.
        (_, INS_GET_DATA, 0x00, 0xE0) => {
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
        (_, INS_GET_DATA, ..) => Err(StatusWord::REFERENCE_NOT_FOUND.into()),
        _ => Err(StatusWord::UNKNOWN_INS.into()),
    }
}

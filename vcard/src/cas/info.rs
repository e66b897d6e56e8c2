// SPDX-License-Identifier: Apache-2.0
//! What the application tells of itself: CAS INFO to anybody, RIGHTS to a paired box.

use super::store::CasStore;
use super::time::CasRam;
use crate::context::Context;
use crate::keyring::KeyPair;
use crate::pin;
use crate::purse::sharing as purse;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::{CasTime, Epoch, TerminalId};
use ecm_emm::card::{
    CardInfo, HighestNumber, KeyInfo, OperatorInfo, PAIRING_SLOTS, RightsPage, SlotInfo, WindowInfo,
};
use ecm_emm::keys::Role;
use iso7816::apdu::StatusWord;

/// Version of this application.
const VERSION: u16 = 0x0102;

pub(super) fn info(vault: &Vault, ram: &CasRam, out: &mut Vec<u8>) -> Result<(), Stop> {
    let cas = vault.objects().cas.get(Context::CAS)?;
    let tries = pin::tries(vault, Context::CAS)?;
    let mut info = card_info(cas, ram.latest(), ram.sync(), tries);
    // A card full of keys shows the windows that fit, its own first: they help the head-end only.
    while info.emit(out).is_err() {
        info.windows.pop().ok_or(StatusWord::NOT_FOUND)?;
    }
    Ok(())
}

fn card_info(cas: &CasStore, now: CasTime, sync: CasTime, pin_tries: u8) -> CardInfo {
    let pairing_slots = (0..PAIRING_SLOTS)
        .filter(|slot| cas.pairing((*slot).into()).is_some())
        .fold(0, |mask, slot| mask | 1 << slot);
    CardInfo {
        version: VERSION,
        pseudonym: cas.pseudonym,
        blocked: cas.blocked,
        pairing_slots,
        pin_tries,
        operators: vec![OperatorInfo {
            operator: cas.operator,
            suites_allowed: cas.suites(Role::Service),
            emm_level: cas.emm_level.0,
        }],
        groups: (0..)
            .zip(cas.groups.iter())
            .filter_map(|(index, group)| Some((index, (*group)?)))
            .collect(),
        slots: (0..)
            .zip(cas.service.iter())
            .filter_map(|(slot, pair)| slot_info(slot, pair))
            .collect(),
        windows: windows(cas),
        now,
        sync,
        report: cas.report,
    }
}

fn slot_info(slot: u8, pair: &KeyPair) -> Option<SlotInfo> {
    let newest = pair.newest()?;
    let active = pair.active().map_or(Epoch::new(0), |generation| generation.epoch);
    Some(SlotInfo {
        slot,
        suite: newest.suite,
        key: KeyInfo { active, newest: newest.epoch, floor: pair.floor },
    })
}

fn windows(cas: &CasStore) -> Vec<WindowInfo> {
    let groups = (0..).zip(cas.group.iter()).map(|(index, pair)| (Role::Group, index, pair));
    let mut windows: Vec<WindowInfo> = [
        (Role::Individual, 0, &cas.own),
        (Role::Global, 0, &cas.global),
        (Role::Recovery, 0, &cas.recovery),
    ]
    .into_iter()
    .chain(groups)
    .flat_map(|(role, index, pair)| {
        pair.iter().map(move |generation| WindowInfo {
            role: role.number(),
            index,
            epoch: generation.epoch,
            hi: generation.window.hi,
        })
    })
    .collect();
    if let Some(signature) = &cas.signature {
        windows.push(WindowInfo {
            role: Role::Signature.number(),
            index: 0,
            epoch: Epoch::new(signature.epoch.into()),
            hi: signature.window.hi,
        });
    }
    windows.truncate(CardInfo::MAX_WINDOWS);
    windows
}

/// RIGHTS, rows from `index` on.
pub(super) fn rights(vault: &Vault, index: u8, out: &mut Vec<u8>) -> Result<(), Stop> {
    let cas = vault.objects().cas.get(Context::CAS)?;
    let mut rows = cas.rights().skip(index.into());
    let page = RightsPage {
        rows: rows.by_ref().take(RightsPage::MAX_ROWS).map(super::rights::Right::row).collect(),
        next: rows.next().and(index.checked_add(RightsPage::MAX_ROWS as u8)),
    };
    page.emit(out).map_err(|_| StatusWord::NOT_FOUND.into())
}

/// RIGHTS, the purse's side.
pub(super) fn wallet(vault: &Vault, out: &mut Vec<u8>) -> Result<(), Stop> {
    purse::wallet_info(vault.objects(), Context::CAS)?.emit(out);
    Ok(())
}

/// RIGHTS, the log's side: the highest number of a terminal's purchases in it.
pub(super) fn highest_number(vault: &Vault, data: &[u8], out: &mut Vec<u8>) -> Result<(), Stop> {
    let terminal = TerminalId::new(data.try_into().map_err(|_| StatusWord::WRONG_DATA)?);
    let cas = vault.objects().cas.get(Context::CAS)?;
    HighestNumber(cas.log.highest_of(terminal)).emit(out);
    Ok(())
}

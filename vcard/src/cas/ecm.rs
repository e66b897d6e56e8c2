// SPDX-License-Identifier: Apache-2.0
//! The ECM command: opens an ECM, decides, and gives its control words out encrypted for the box.

use super::access::{self, Decision};
use super::store::CasStore;
use super::time::{CasRam, Dated, When};
use crate::context::Context;
use crate::decide::decide;
use crate::purse::sharing as purse;
use crate::stop::Stop;
use crate::vault::Vault;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use cam_types::{ChannelId, ControlWord, Key, Slot};
use ecm_emm::OpenError;
use ecm_emm::card::{AccessStatus, EcmAnswer, PurchaseResult};
use ecm_emm::ecm::{Cci, Ecm, EcmBody, EcmHeader, Rating};
use ecm_emm::keys::Role;
use gp::cipher::Aes128;
use iso7816::apdu::StatusWord;

/// An authentic ECM or offer that the card's time and keys let in.
pub(super) struct Opened {
    /// In clear.
    pub header: EcmHeader,
    /// What was sealed.
    pub body: EcmBody,
}

/// Why an ECM was not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NotOpened {
    Malformed,
    UnknownOperator,
    NoKey,
    NotAuthentic,
}

impl Opened {
    /// What its time stands in.
    pub(super) const fn dated(&self) -> Dated {
        if self.header.is_offer() { Dated::Offer } else { Dated::Ecm }
    }
}

impl NotOpened {
    const fn status(self) -> AccessStatus {
        match self {
            Self::Malformed => AccessStatus::MALFORMED_ECM,
            Self::UnknownOperator => AccessStatus::UNKNOWN_OPERATOR,
            Self::NoKey => AccessStatus::NO_KEY,
            Self::NotAuthentic => AccessStatus::REFUSED_ECM,
        }
    }

    /// What PURCHASE answers.
    pub(super) const fn result(self) -> PurchaseResult {
        match self {
            Self::Malformed => PurchaseResult::MALFORMED,
            Self::UnknownOperator | Self::NoKey => PurchaseResult::NO_KEY,
            Self::NotAuthentic => PurchaseResult::AUTHENTICATION,
        }
    }
}

/// Opens an ECM or offer under the service key that it names.
pub(super) fn open(cas: &CasStore, section: &[u8]) -> Result<Opened, NotOpened> {
    let ecm = Ecm::parse(section).map_err(|_| NotOpened::Malformed)?;
    let header = ecm.header;
    if !decide(|| header.operator == cas.operator) {
        return Err(NotOpened::UnknownOperator);
    }
    let generation = cas
        .service
        .get(header.slot.value().into())
        .and_then(|pair| pair.get(header.epoch))
        .filter(|held| decide(|| cas.suites(Role::Service) >> held.suite & 1 == 1))
        .ok_or(NotOpened::NoKey)?;
    let key = generation.seal_key().ok_or(NotOpened::NoKey)?;
    let body = ecm.open(&key).map_err(|error| match error {
        OpenError::Authentication | OpenError::Suite => NotOpened::NotAuthentic,
        _ => NotOpened::Malformed,
    })?;
    if !decide(|| body.time >= generation.not_before) {
        return Err(NotOpened::NoKey);
    }
    Ok(Opened { header, body })
}

/// The ECM command.
pub(super) fn process(
    vault: &mut Vault,
    ram: &mut CasRam,
    pairing: usize,
    expected: ChannelId,
    section: &[u8],
) -> Result<EcmAnswer, Stop> {
    let refuse = |status| Ok(EcmAnswer::refusal(status, Cci(0), Rating(0)));
    ram.signature_rest = ram.signature_rest.saturating_sub(1);
    let cas = vault.objects().cas.get(Context::CAS)?;
    let Opened { header, body } = match open(cas, section) {
        Ok(opened) => opened,
        Err(error) => return refuse(error.status()),
    };
    // An offer is good for a purchase only.
    let Some((even, odd)) = body.cw.blocks() else {
        return refuse(AccessStatus::REFUSED_ECM);
    };
    if !decide(|| expected == ChannelId::new(0) || expected == body.channel) {
        return refuse(AccessStatus::CHANNEL_MISMATCH);
    }
    if !ram.is_fresh(body.time, Dated::Ecm) {
        return refuse(AccessStatus::CLOCK);
    }
    if !cas.reaches(body.emm_floor) {
        return refuse(AccessStatus::EMM_NEEDED);
    }
    let when = ram.when(body.time, Dated::Ecm);
    let overrun = body.criteria.ppv.filter(|ppv| cas.overruns(ppv, header.slot, when.at));
    // What the card would hold then; nothing is changed before it is sure to be served.
    let prolonged = overrun.map(|ppv| {
        let mut cas = cas.clone();
        cas.prolong(&ppv, header.slot, when.at);
        cas
    });
    let terms = purse::terms(vault.objects(), Context::CAS, when.at.purse_date_time().0)?;
    let next = prolonged.as_ref().unwrap_or(cas);
    let decision = access::decision(next, ram, &terms, header.slot, &body, when);
    let opens = || decision.status.has_ecw();
    if decide(opens) {
        let keeps = cas.channels;
        let Some(admitted) = ram.channels.admit(keeps, body.channel, when.at) else {
            return Ok(EcmAnswer::refusal(AccessStatus::CHANNELS, body.cci, body.rating));
        };
        ram.channels.opened(keeps, admitted);
    }
    if let Some(prolonged) = prolonged {
        vault.change(|objects| {
            *objects.cas.get_mut(Context::CAS)? = prolonged;
            Ok::<_, Stop>(())
        })?;
    }
    remember(vault, ram, &header, &body, &decision, when)?;
    let cas = vault.objects().cas.get(Context::CAS)?;
    let ecw = if decide(opens) {
        let k_cw = &cas.pairing(pairing).ok_or(StatusWord::SECURITY_STATUS)?.k_cw;
        Some((encrypt(k_cw, &even), encrypt(k_cw, &odd)))
    } else {
        None
    };
    Ok(EcmAnswer {
        status: decision.status,
        flags: decision.flags,
        cci: body.cci,
        rating: body.rating,
        ecw,
        offer: decision.offer,
        opened_by: decision.opened_by,
        update_by: cas.update_needed(&body).filter(|_| opens()),
    })
}

/// What an accepted ECM leaves behind: seldom a write, mostly none.
fn remember(
    vault: &mut Vault,
    ram: &mut CasRam,
    header: &EcmHeader,
    body: &EcmBody,
    decision: &Decision,
    when: When,
) -> Result<(), Stop> {
    let cas = vault.objects().cas.get(Context::CAS)?;
    let preview = decision.begins_preview.then_some(body.criteria.ppv).flatten();
    // A preview's beginning is not to be undone by a reset: the clock is stored with it.
    let clock = ram.accept(body.time, &cas.clock) || preview.is_some();
    if !clock && !first_use(cas, header) {
        return Ok(());
    }
    vault.change(|objects| {
        let cas = objects.cas.get_mut(Context::CAS)?;
        if clock {
            cas.store_clock(ram);
        }
        mark_used(cas, header);
        if let Some(ppv) = preview {
            cas.previews.begin(&ppv, when.ecm, when.at);
        }
        Ok(())
    })
}

/// Nothing of this generation or a newer one has opened an ECM before.
fn first_use(cas: &CasStore, header: &EcmHeader) -> bool {
    let pair = cas.service.get(Slot::value(header.slot).into());
    pair.is_some_and(|pair| pair.active().is_none_or(|active| active.epoch < header.epoch))
}

/// The active generation moves forward only: one write for each.
pub(super) fn mark_used(cas: &mut CasStore, header: &EcmHeader) {
    if first_use(cas, header)
        && let Some(pair) = cas.service.get_mut(header.slot.value().into())
        && let Some(generation) = pair.get_mut(header.epoch)
    {
        generation.used = true;
    }
}

/// The ECW of a control word.
fn encrypt(k_cw: &Key, cw: &ControlWord) -> [u8; 16] {
    let mut block = (*cw.expose()).into();
    Aes128::new(k_cw.expose().into()).encrypt_block(&mut block);
    block.into()
}

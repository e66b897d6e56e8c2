// SPDX-License-Identifier: Apache-2.0
//! The EMM command: whose message, new or not, authentic or not; then its commands, all or none.
//!
//! What is cheap comes before what is not: address and window before the seal, the seal before the
//! signature. Nothing but an applied message is written.

use super::commands::carry_out;
use super::store::CasStore;
use super::time::{CasRam, Moved, PinUses};
use crate::context::Context;
use crate::decide::decide;
use crate::message::{Abort, Carrier, STALE, later, not_opened, number, total};
use crate::purse::sharing as purse;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::Epoch;
use ecm_emm::card::{EmmDetail, EmmResult};
use ecm_emm::emm::{
    Address, Emm, EmmBody, EmmCommand, EmmHeader, KeyTarget, PublicKey, TimeStep, WindowCheck,
    role_permitted,
};
use ecm_emm::keys::Role;

/// ECMs to be served after a bad signature before the next one is looked at.
const SIGNATURE_REST: u8 = 8;

/// One message, with or without a session.
pub(super) fn process(
    vault: &mut Vault,
    ram: &mut CasRam,
    section: &[u8],
) -> Result<EmmResult, Stop> {
    let Ok(emm) = Emm::parse(section) else {
        return Ok(EmmResult::refused(EmmDetail::MALFORMED));
    };
    if emm.header.role.is_wallet() {
        return purse::wallet_emm(vault, Context::CAS, section);
    }
    match apply(vault, ram, &emm) {
        Ok(result) | Err(Abort::Result(result)) => Ok(result),
        Err(Abort::Stop(stop)) => Err(stop),
    }
}

/// Numbers seen: under the key of the message, and of signed messages.
#[derive(Clone, Copy)]
struct Seen {
    plain: WindowCheck,
    signed: WindowCheck,
}

fn apply(vault: &mut Vault, ram: &mut CasRam, emm: &Emm<'_>) -> Result<EmmResult, Abort> {
    let header = emm.header;
    let cas = vault.objects().cas.get(Context::CAS)?;
    let (target, carrier) = carrier(cas, &header)?;
    let seen = seen(cas, &header, target);
    // Of a message to all only the body tells whose number counts, of one to a group whether any.
    let possible = header.seq == 0
        || header.role == Role::Group
        || seen.plain == WindowCheck::New
        || (header.address == Address::Global && seen.signed == WindowCheck::New);
    if !possible {
        let signed = header.address == Address::Global && seen.signed == WindowCheck::Duplicate;
        return Ok(if signed || seen.plain == WindowCheck::Duplicate {
            EmmResult::DUPLICATE
        } else {
            STALE
        });
    }
    let body = match emm.open(&carrier.key) {
        Ok(body) => body,
        Err(error) => return Ok(EmmResult::refused(not_opened(error))),
    };
    if !decide(|| body.is_permitted(&header)) {
        return Ok(EmmResult::refused(EmmDetail::PERMISSION));
    }
    let signed = body.signature.is_some();
    if let [EmmCommand::TimeSync { time, step }] = *body.commands.as_slice() {
        let moved = ram.moves(time, step, cas);
        match moved {
            Moved::Not => return Ok(STALE),
            Moved::Before => return Ok(EmmResult::DUPLICATE),
            Moved::Volatile | Moved::Stored => {}
        }
        if !decide(|| !signed) {
            verify(cas, ram, &body)?;
        }
        ram.synchronise(time, step);
        if moved == Moved::Stored {
            vault.change(|objects| {
                objects.cas.get_mut(Context::CAS)?.store_step(ram, step);
                if matches!(step, TimeStep::Reset(_)) {
                    purse::clock_reset(objects, Context::CAS, time.purse_date_time().0)?;
                }
                Ok::<_, Abort>(())
            })?;
        }
        return Ok(EmmResult::APPLIED);
    }
    let numbers = Numbers::of(&body, &header);
    match numbers {
        Numbers::None => {}
        Numbers::Key => number(seen.plain)?,
        Numbers::Signature => {
            number(seen.signed)?;
            verify(cas, ram, &body)?;
        }
    }
    let at = ram.latest();
    let held = service_epochs(cas);
    let result = vault.change(|objects| {
        let effects = body
            .commands
            .iter()
            .map(|command| carry_out(objects, command, &carrier, at))
            .collect::<Result<Vec<_>, _>>()?;
        let result = total(&effects);
        if result != EmmResult::APPLIED {
            return Err(result.into());
        }
        let cas = objects.cas.get_mut(Context::CAS)?;
        // Signed keys for a group: what is held already costs no look at the signature.
        let is_old = || !signed || numbers != Numbers::None || service_epochs(cas) == held;
        if !decide(is_old) {
            verify(cas, ram, &body)?;
        }
        mark(cas, &header, target, numbers);
        Ok::<_, Abort>(result)
    })?;
    if body.commands.iter().any(|command| matches!(command, EmmCommand::PinReset { .. })) {
        // What the old one has opened is not open for who does not know the new one.
        ram.pin = PinUses::default();
    }
    Ok(result)
}

/// Whose window a message's number belongs to.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Numbers {
    /// Nobody's: it asks none and sets none.
    None,
    /// That of the key that seals it.
    Key,
    /// That of the operator's signatures.
    Signature,
}

impl Numbers {
    fn of(body: &EmmBody, header: &EmmHeader) -> Self {
        match (decide(|| !body.asks_window(header)), decide(|| body.signature.is_none())) {
            (true, _) => Self::None,
            (false, true) => Self::Key,
            (false, false) => Self::Signature,
        }
    }
}

/// The generations of all service keys. A delivery that changes anything changes them.
fn service_epochs(cas: &CasStore) -> Vec<Epoch> {
    let pairs = cas.service.iter();
    pairs.flat_map(|pair| pair.iter().map(|generation| generation.epoch)).collect()
}

/// The key of a message that is for this card, or the answer.
fn carrier(cas: &CasStore, header: &EmmHeader) -> Result<(KeyTarget, Carrier), EmmResult> {
    let refuse = |detail| Err(EmmResult::refused(detail));
    if !decide(|| role_permitted(header.role, header.table_id())) {
        return refuse(EmmDetail::PERMISSION);
    }
    if !decide(|| header.operator == cas.operator) {
        return refuse(EmmDetail::ADDRESS);
    }
    let target = match header.address {
        Address::Unique(name) if decide(|| name == cas.pseudonym) => match header.role {
            Role::Recovery => KeyTarget::OwnRecovery,
            _ => KeyTarget::Own,
        },
        Address::Unique(_) => return refuse(EmmDetail::ADDRESS),
        Address::Shared(group) => {
            let held = (0..).zip(cas.groups.iter()).find(|(_, held)| **held == Some(group));
            let held = held.filter(|(_, held)| decide(|| **held == Some(group)));
            let Some((index, _)) = held else { return refuse(EmmDetail::ADDRESS) };
            KeyTarget::Group(index)
        }
        Address::Global => KeyTarget::Global,
    };
    let Some(pair) = cas.pair(target) else { return refuse(EmmDetail::NO_KEY) };
    if !decide(|| header.epoch >= pair.floor) {
        return refuse(EmmDetail::EPOCH);
    }
    let Some(generation) = pair.get(header.epoch) else { return refuse(EmmDetail::NO_KEY) };
    if !decide(|| cas.suites(header.role) >> generation.suite & 1 == 1) {
        return refuse(EmmDetail::SUITE);
    }
    let Some(key) = generation.seal_key() else { return refuse(EmmDetail::NO_KEY) };
    Ok((target, Carrier { key, context: header.key_context(), number: header.seq }))
}

fn seen(cas: &CasStore, header: &EmmHeader, target: KeyTarget) -> Seen {
    let generation = cas.pair(target).and_then(|pair| pair.get(header.epoch));
    Seen {
        plain: generation.map_or(WindowCheck::Stale, |held| held.window.check(header.seq)),
        signed: cas
            .signature
            .as_ref()
            .map_or(WindowCheck::New, |signature| signature.window.check(header.seq)),
    }
}

/// The operator's signature holds, or this is the answer. A bad one is not followed by another look
/// before some ECMs were served: looking is slow. What comes meanwhile is asked again later.
fn verify(cas: &CasStore, ram: &mut CasRam, body: &EmmBody) -> Result<(), EmmResult> {
    let Some(signature) = &cas.signature else {
        return Err(EmmResult::refused(EmmDetail::NO_KEY));
    };
    if !decide(|| ram.signature_rest == 0) {
        return Err(later(EmmDetail::BUSY));
    }
    let key = PublicKey::from_octets(&signature.key);
    if decide(|| key.as_ref().is_ok_and(|key| body.verify(key))) {
        return Ok(());
    }
    ram.signature_rest = SIGNATURE_REST;
    Err(EmmResult::refused(EmmDetail::SIGNATURE))
}

/// The message is applied: its number is not taken again, its key is in use.
fn mark(cas: &mut CasStore, header: &EmmHeader, target: KeyTarget, numbers: Numbers) {
    if numbers == Numbers::None {
        return;
    }
    if numbers == Numbers::Signature
        && let Some(signature) = &mut cas.signature
    {
        signature.window.set(header.seq);
    }
    if let Some(generation) = cas.pair_mut(target).and_then(|pair| pair.get_mut(header.epoch)) {
        generation.used = true;
        if numbers == Numbers::Key {
            generation.window.set(header.seq);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What each command of a message does. It is authentic and permitted to its key's role.

use super::held::Full;
use super::rights::{Kind, Right};
use super::store::{CasStore, Pairing, SignatureKey};
use crate::context::Context;
use crate::decide::decide;
use crate::delivery;
use crate::firewall::Objects;
use crate::keyring::{Generation, KeyPair};
use crate::message::{Abort, Carrier, Effect, Outcome, later, refused};
use crate::pin;
use cam_types::{CasTime, Key, PackageId};
use ecm_emm::card::{EmmDetail, EmmResult, PinBlock, ReportRequest};
use ecm_emm::emm::{EmmCommand, KeyTarget, PublicKey, Window};
use ecm_emm::keys::{KeyMaterial, Role};
use ecm_emm::suite::{SealKey, Suite};

/// One command, in the transaction of its message.
pub(super) fn carry_out(
    objects: &mut Objects,
    command: &EmmCommand,
    carrier: &Carrier,
    at: CasTime,
) -> Result<Effect, Abort> {
    let number = carrier.number;
    if let EmmCommand::PinReset { wrapped, .. } = command {
        let set = objects.cas.get_mut(Context::CAS)?.set_by.pin.take(number);
        if set != Effect::Applied {
            return Ok(set);
        }
        let block = pin_block(carrier.unwrap_short(*wrapped)?)?;
        pin::replace(objects, Context::CAS, &block)?;
        return Ok(Effect::Applied);
    }
    let cas = objects.cas.get_mut(Context::CAS)?;
    let shared = carrier.context.role == Role::Group;
    Ok(match command {
        EmmCommand::Grant { package, end, horizon, .. } if shared => {
            extend(cas, *package, *end, *horizon)
        }
        EmmCommand::Grant { package, start, end, version, horizon } => {
            let right = Right {
                version: *version,
                horizon: horizon.unwrap_or(*end),
                ..Right::package(*package, Right::ANY_SLOT, *start, *end)
            };
            keep(cas, *package, right, at)?
        }
        EmmCommand::Revoke { package, version } => {
            let none = Right::package(*package, Right::ANY_SLOT, at, at);
            keep(cas, *package, Right { version: *version, revoked: true, ..none }, at)?
        }
        EmmCommand::PpvGrant { event, tier, end } => {
            let granted = |held: &&Right| {
                held.is(Kind::Event, event.value())
                    && (held.tier, held.slot, held.revoked) == (*tier, Right::ANY_SLOT, false)
            };
            // It has no version: an older one may come later, and shortens nothing.
            let end = cas.rights().find(granted).map_or(*end, |held| held.end.max(*end));
            let right = Right::event(Kind::Event, *event, *tier, Right::ANY_SLOT, end);
            cas.keep_right(right, at).map_err(full)?;
            Effect::Applied
        }
        EmmCommand::Bitmap { base, bitmap, end, version } => {
            packages(cas, *base, bitmap, |cas, package| {
                if shared {
                    return Ok(extend(cas, package, *end, None));
                }
                let start = CasTime::new(0);
                let right = Right::package(package, Right::ANY_SLOT, start, *end);
                keep(cas, package, Right { version: *version, ..right }, at)
            })?
        }
        EmmCommand::SigKey { epoch, key } => signature_key(cas, *epoch, *key)?,
        EmmCommand::Pair(pairing) => pair(cas, pairing, carrier)?,
        EmmCommand::Unpair(slot) => unpair(cas, *slot, number),
        EmmCommand::BoxBar { number, barred, stb } => cas.barred.decide(*stb, *number, *barred)?,
        EmmCommand::CardState { blocked } => {
            let set = cas.set_by.state.take(number);
            if set == Effect::Applied {
                cas.blocked = *blocked;
            }
            set
        }
        EmmCommand::GroupAssign { index, group, suite, epoch, wrapped } => {
            let material = carrier.unwrap(wrapped)?;
            let generation = Generation::new(suite.number(), *epoch, material);
            join(cas, *index, *group, generation, number)?
        }
        EmmCommand::ReportRequest { nonce, from } => {
            let set = cas.set_by.report.take(number);
            if set == Effect::Applied {
                cas.report = Some(ReportRequest { nonce: *nonce, from: *from });
            }
            set
        }
        EmmCommand::ReportAck(receipt) => match cas.acknowledge(*receipt) {
            Some(_) => Effect::Applied,
            None => return Err(EmmResult::refused(EmmDetail::NOT_FOUND).into()),
        },
        // The screen is the box's; the card has only vouched for the sender.
        EmmCommand::Osd { .. } | EmmCommand::Fingerprint(_) => Effect::Applied,
        other => keys(cas, other, carrier)?,
    })
}

fn keys(cas: &mut CasStore, command: &EmmCommand, carrier: &Carrier) -> Outcome {
    match command {
        EmmCommand::KeyDeliver(delivery) => {
            let role = delivery.target.role(carrier.context.role);
            let allowed = role.map_or(0, |role| cas.suites(role));
            delivery::deliver(place(cas, delivery.target)?, delivery, carrier, allowed)
        }
        EmmCommand::KeyActivate { target, epoch, floor } => {
            delivery::activate(place(cas, *target)?, *target, *epoch, *floor, carrier)
        }
        EmmCommand::KeyDestroy { target, epoch } => {
            delivery::destroy(place(cas, *target)?, *target, *epoch, carrier)
        }
        EmmCommand::SuiteAllow { role, mask } => {
            let pairs: Vec<KeyPair> = cas.pairs_of(*role).into_iter().cloned().collect();
            match cas.suites_mut(*role) {
                Some(allowed) => delivery::allow(allowed, *mask, &pairs),
                None => refused(EmmDetail::TARGET),
            }
        }
        EmmCommand::EmmLevel { level, after } => {
            let waits = after.is_some_and(|number| !cas.was_reset(number));
            if !decide(|| !waits || *level <= cas.emm_level.0) {
                return Err(later(EmmDetail::RESET));
            }
            Ok(delivery::level(&mut cas.emm_level.0, *level))
        }
        // SCRIPT: this version of the application does not have its domains administered over the
        // air.
        _ => refused(EmmDetail::UNKNOWN_TAG),
    }
}

fn place(cas: &mut CasStore, target: KeyTarget) -> Result<&mut KeyPair, EmmResult> {
    cas.pair_mut(target).ok_or(EmmResult::refused(EmmDetail::TARGET))
}

const fn full(_: Full) -> EmmResult {
    EmmResult::refused(EmmDetail::FULL)
}

/// Every row of the package, each by its own version; a package without a row gets one.
fn keep(cas: &mut CasStore, package: PackageId, new: Right, at: CasTime) -> Outcome {
    if let Some(effect) = cas.package(package).map(|held| replace(held, new)).reduce(Effect::or) {
        return Ok(effect);
    }
    cas.keep_right(new, at).map_err(full)?;
    Ok(Effect::Applied)
}

/// The last version wins.
fn replace(held: &mut Right, new: Right) -> Effect {
    if !decide(|| held.version <= new.version) {
        return Effect::Stale(EmmDetail::NONE);
    }
    if !decide(|| held.version < new.version) {
        // A grant and a revocation of one version: what takes away stands.
        return match (held.revoked, new.revoked) {
            (true, false) => Effect::Stale(EmmDetail::NONE),
            (false, true) => revoke(held, new),
            (false, false) => widen(held, new),
            (true, true) => Effect::Applied,
        };
    }
    if new.revoked {
        return revoke(held, new);
    }
    // The message does not name a slot; the row keeps the one that it has.
    *held = Right { slot: held.slot, ..new };
    Effect::Applied
}

/// Two grants of one version: whichever came first, both hold. The same one again changes nothing.
fn widen(held: &mut Right, new: Right) -> Effect {
    held.start = held.start.min(new.start);
    held.end = held.end.max(new.end);
    held.horizon = held.horizon.max(new.horizon);
    Effect::Applied
}

const fn revoke(held: &mut Right, new: Right) -> Effect {
    held.version = new.version;
    held.revoked = true;
    Effect::Applied
}

/// A group's message moves the end of the rights that are there, and no further than their horizon.
fn extend(
    cas: &mut CasStore,
    package: PackageId,
    end: CasTime,
    horizon: Option<CasTime>,
) -> Effect {
    let mut effect = Effect::Inapplicable;
    for held in cas.package(package).filter(|held| decide(|| !held.revoked)) {
        let limit = held.horizon.min(horizon.unwrap_or(held.horizon));
        let longer = end.min(limit).max(held.end);
        if !decide(|| longer <= limit || longer == held.end) {
            return effect;
        }
        held.end = longer;
        effect = Effect::Applied;
    }
    effect
}

/// Every package of a bitmap.
fn packages(
    cas: &mut CasStore,
    base: PackageId,
    bitmap: &[u8],
    mut each: impl FnMut(&mut CasStore, PackageId) -> Outcome,
) -> Outcome {
    let mut total = Effect::Inapplicable;
    let bits = bitmap.iter().flat_map(|octet| (0..8).map(move |bit| octet << bit & 0x80 != 0));
    for (n, _) in (0..).zip(bits).filter(|(_, set)| *set) {
        let package = base.value().checked_add(n).map(PackageId::new);
        let package = package.ok_or(EmmResult::refused(EmmDetail::MALFORMED))?;
        total = total.or(each(cas, package)?);
    }
    Ok(total)
}

fn signature_key(cas: &mut CasStore, epoch: u8, key: [u8; 64]) -> Outcome {
    if PublicKey::from_octets(&key).is_err() {
        return refused(EmmDetail::MALFORMED);
    }
    match &cas.signature {
        Some(held) if !decide(|| held.epoch <= epoch) => Ok(Effect::Stale(EmmDetail::EPOCH)),
        Some(held) if held.epoch == epoch && held.key == key => Ok(Effect::Applied),
        Some(held) if held.epoch == epoch => refused(EmmDetail::EPOCH),
        _ => {
            cas.signature = Some(SignatureKey { epoch, key, window: Window::default() });
            Ok(Effect::Applied)
        }
    }
}

fn pair(cas: &mut CasStore, pairing: &ecm_emm::emm::Pairing, carrier: &Carrier) -> Outcome {
    if !decide(|| !cas.barred.has(pairing.stb)) {
        return refused(EmmDetail::BARRED);
    }
    let short = |material: KeyMaterial| {
        let key = material.bits128().map(|key| Key::new(*key.expose()));
        key.ok_or(EmmResult::refused(EmmDetail::MALFORMED))
    };
    let k_pair = carrier.unwrap_short(pairing.k_pair)?;
    let k_cw = short(carrier.unwrap_short(pairing.k_cw)?)?;
    let check = SealKey::new(Suite::Cmac128, k_pair.clone()).map(|key| key.kcv());
    if !decide(|| check == Ok(pairing.kcv)) {
        return refused(EmmDetail::KCV);
    }
    let slot = usize::from(pairing.slot);
    let (Some(place), Some(set_by)) =
        (cas.pairings.get_mut(slot), cas.set_by.pairings.get_mut(slot))
    else {
        return refused(EmmDetail::TARGET);
    };
    let set = set_by.take(carrier.number);
    if set != Effect::Applied {
        return Ok(set);
    }
    *place = Some(Pairing { stb: pairing.stb, k_pair: short(k_pair)?, k_cw });
    Ok(Effect::Applied)
}

/// UNPAIR: one slot or all of them, each unless a later message has set it.
fn unpair(cas: &mut CasStore, slot: Option<u8>, number: u32) -> Effect {
    let places = cas.pairings.iter_mut().zip(cas.set_by.pairings.iter_mut()).enumerate();
    places
        .filter(|(n, _)| slot.is_none_or(|slot| usize::from(slot) == *n))
        .map(|(_, (place, set_by))| {
            let set = set_by.take(number);
            if set == Effect::Applied {
                *place = None;
            }
            set
        })
        .fold(Effect::Inapplicable, Effect::or)
}

/// GROUP_ASSIGN: a group with its key; another group's keys go.
fn join(cas: &mut CasStore, index: u8, group: u32, generation: Generation, number: u32) -> Outcome {
    if !decide(|| cas.suites(Role::Group) >> generation.suite & 1 == 1) {
        return refused(EmmDetail::SUITE);
    }
    if generation.seal_key().is_none() {
        return refused(EmmDetail::SUITE);
    }
    let n = usize::from(index);
    // A message to the group would find the first of two places, and not the other's key.
    if cas.groups.iter().enumerate().any(|(other, held)| other != n && *held == Some(group)) {
        return Err(later(EmmDetail::TARGET));
    }
    let (Some(place), Some(pair), Some(set_by)) =
        (cas.groups.get_mut(n), cas.group.get_mut(n), cas.set_by.groups.get_mut(n))
    else {
        return refused(EmmDetail::TARGET);
    };
    let set = set_by.take(number);
    if set != Effect::Applied {
        return Ok(set);
    }
    if place.replace(group) != Some(group) {
        *pair = KeyPair::empty();
    }
    delivery::take(pair, KeyTarget::Group(index), generation)
}

/// The block of PIN_RESET: eight octets of PIN, eight of zeros.
fn pin_block(material: KeyMaterial) -> Result<PinBlock, EmmResult> {
    let malformed = EmmResult::refused(EmmDetail::MALFORMED);
    match material.expose().split_first_chunk::<8>() {
        Some((block, [0, 0, 0, 0, 0, 0, 0, 0])) => PinBlock::parse(block).map_err(|_| malformed),
        _ => Err(malformed),
    }
}

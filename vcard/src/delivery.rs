// SPDX-License-Identifier: Apache-2.0
//! Key management by EMM, alike in every domain that has keys: deliver, activate, destroy, narrow.

use crate::decide::decide;
use crate::keyring::{Full, Generation, KeyPair, NotTaken};
use crate::message::{Carrier, Effect, Outcome, later, refused};
use cam_types::Epoch;
use ecm_emm::card::EmmDetail;
use ecm_emm::emm::{KeyDelivery, KeyTarget};
use ecm_emm::keys::Role;
use ecm_emm::suite::{SealKey, Suite};

/// KEY_DELIVER. `allowed` are the suites of the key's role.
pub(crate) fn deliver(
    pair: &mut KeyPair,
    delivery: &KeyDelivery,
    carrier: &Carrier,
    allowed: u16,
) -> Outcome {
    let material = carrier.unwrap(&delivery.wrapped)?;
    let role = delivery.target.role(carrier.context.role);
    let suite = Suite::try_from(delivery.suite);
    // The purse's own keys are triple DES; their check value is made like that of suite 2.
    let check = match (role, suite) {
        (None, Err(_)) if delivery.suite == 1 => SealKey::new(Suite::Cmac128, material.clone()),
        (Some(Role::Recovery | Role::WalletRecovery), Ok(suite)) if suite != Suite::Cmac256 => {
            return refused(EmmDetail::SUITE);
        }
        (Some(_), Ok(suite)) if decide(|| allowed >> delivery.suite & 1 == 1) => {
            SealKey::new(suite, material.clone())
        }
        _ => return refused(EmmDetail::SUITE),
    };
    let Ok(key) = check else { return refused(EmmDetail::SUITE) };
    let check = key.kcv();
    if !decide(|| check == delivery.kcv) {
        return refused(EmmDetail::KCV);
    }
    let generation = Generation {
        usage: delivery.usage,
        not_before: delivery.not_before,
        ..Generation::new(delivery.suite, delivery.epoch, material)
    };
    take(pair, delivery.target, generation)
}

/// A generation comes in. A key that opens messages has a window for each generation, which a new
/// one begins anew: what was held once, or skipped, is not taken again.
pub(crate) fn take(pair: &mut KeyPair, target: KeyTarget, new: Generation) -> Outcome {
    if !decide(|| !target.opens_messages() || !pair.is_past(new.epoch)) {
        return Ok(Effect::Stale(EmmDetail::EPOCH));
    }
    match pair.deliver(new) {
        Ok(_) => Ok(Effect::Applied),
        Err(NotTaken::Old) => Ok(Effect::Stale(EmmDetail::EPOCH)),
        Err(NotTaken::Another) => refused(EmmDetail::EPOCH),
    }
}

/// KEY_ACTIVATE: what is below `floor` is erased, once `epoch` and `floor` are held.
pub(crate) fn activate(
    pair: &mut KeyPair,
    target: KeyTarget,
    epoch: Epoch,
    floor: Epoch,
    carrier: &Carrier,
) -> Outcome {
    if floor <= pair.floor {
        return Ok(Effect::Applied);
    }
    let sealed_below = carrier.epoch_in(target).is_some_and(|own| own < floor);
    if epoch < floor {
        return refused(EmmDetail::EPOCH);
    }
    if pair.get(epoch).is_none() || pair.get(floor).is_none() || sealed_below {
        return Err(later(EmmDetail::EPOCH));
    }
    pair.raise_floor(floor);
    Ok(Effect::Applied)
}

/// KEY_DESTROY. The key that carries the message does not destroy itself.
pub(crate) fn destroy(
    pair: &mut KeyPair,
    target: KeyTarget,
    epoch: Epoch,
    carrier: &Carrier,
) -> Outcome {
    if carrier.epoch_in(target) == Some(epoch) {
        return refused(EmmDetail::TARGET);
    }
    // Of a key that opens messages the highest generation says that this one is past.
    if target.opens_messages() && (pair.is_past(epoch) || pair.get(epoch).is_some()) {
        pair.erase(epoch);
        return Ok(Effect::Applied);
    }
    match pair.destroy(epoch) {
        Ok(()) => Ok(Effect::Applied),
        Err(Full) => refused(EmmDetail::FULL),
    }
}

/// SUITE_ALLOW: `allowed` is narrowed to `mask`, once every key of the role has a generation left.
pub(crate) fn allow(allowed: &mut u16, mask: u16, pairs: &[KeyPair]) -> Outcome {
    let narrowed = *allowed & mask;
    let held = pairs.iter().filter(|pair| pair.newest().is_some());
    if narrowed == *allowed {
        return Ok(Effect::Applied);
    }
    if narrowed == 0 || held.clone().any(|pair| !pair.has_suite_in(narrowed)) {
        return Err(later(EmmDetail::SUITE));
    }
    *allowed = narrowed;
    Ok(Effect::Applied)
}

/// EMM_LEVEL: forward only.
pub(crate) fn level(held: &mut u16, level: u16) -> Effect {
    if !decide(|| level >= *held) {
        return Effect::Stale(EmmDetail::NONE);
    }
    *held = level;
    Effect::Applied
}

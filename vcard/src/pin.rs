// SPDX-License-Identifier: Apache-2.0
//! The card holder's PIN: one object for all applications, owned by the issuer.
//!
//! The counter goes down in memory before the PIN is compared, so that a cut saves no try (T15).

pub(crate) mod store;

use crate::context::{Context, Violation};
use crate::fault::Fault;
use crate::firewall::Objects;
use crate::persist::Guarded;
use crate::purse::sharing as purse;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::Aid;
use ecm_emm::card::PinBlock;

/// What VERIFY found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The PIN is right; all tries are back.
    Right,
    /// The PIN is wrong; the tries that are left.
    Wrong(u8),
    /// There was no try left to compare with.
    Blocked,
}

/// Who may have a PIN verified, and replaced.
const CLIENTS: &[Aid] = &[Aid::CAS, Aid::PURSE];

/// Shareable: compares a PIN.
pub(crate) fn verify(
    vault: &mut Vault,
    caller: Context,
    block: &PinBlock,
) -> Result<Verdict, Stop> {
    caller.is_one_of(CLIENTS)?;
    compare(vault, block, None)
}

/// Shareable: changes the PIN for who knows the old one.
pub(crate) fn change(
    vault: &mut Vault,
    caller: Context,
    old: &PinBlock,
    new: &PinBlock,
) -> Result<Verdict, Stop> {
    caller.is_one_of(CLIENTS)?;
    compare(vault, old, Some(new))
}

/// Compares a PIN. When it is right, all tries and `new` come in one transaction.
fn compare(vault: &mut Vault, block: &PinBlock, new: Option<&PinBlock>) -> Result<Verdict, Stop> {
    let Some(left) = vault.objects().pin.get(Context::ISSUER)?.tries().checked_sub(1) else {
        return Ok(Verdict::Blocked);
    };
    if !vault.has(Fault::PinTriesStuck) {
        vault.change(|objects| {
            objects.pin.get_mut(Context::ISSUER)?.tries = Guarded(left);
            Ok::<_, Stop>(())
        })?;
    }
    let right = vault.objects().pin.get(Context::ISSUER)?.is(block);
    if right || vault.has(Fault::AcceptAnyPin) {
        vault.change(|objects| {
            objects.pin.get_mut(Context::ISSUER)?.reset(new);
            purse::pin_verified(objects, Context::ISSUER)?;
            Ok::<_, Stop>(())
        })?;
        Ok(Verdict::Right)
    } else if vault.has(Fault::PinTriesStuck) {
        Ok(Verdict::Wrong(left + 1))
    } else {
        Ok(Verdict::Wrong(left))
    }
}

/// Shareable: tries left.
pub(crate) fn tries(vault: &Vault, caller: Context) -> Result<u8, Stop> {
    caller.is_one_of(CLIENTS)?;
    Ok(vault.objects().pin.get(Context::ISSUER)?.tries())
}

/// Shareable: a new PIN with all its tries, by the operator's order.
pub(crate) fn replace(
    objects: &mut Objects,
    caller: Context,
    new: &PinBlock,
) -> Result<(), Violation> {
    caller.is_one_of(CLIENTS)?;
    objects.pin.get_mut(Context::ISSUER)?.reset(Some(new));
    Ok(())
}

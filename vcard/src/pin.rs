// SPDX-License-Identifier: Apache-2.0
//! The card holder's PIN: one object for all applications, owned by the issuer.

mod compare;
mod sabotage;
pub(crate) mod store;

pub(crate) use compare::Verdict;

use crate::context::{Context, Violation};
use crate::firewall::Objects;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::Aid;
use ecm_emm::card::PinBlock;
use sabotage::compare;

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

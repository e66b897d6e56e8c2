// SPDX-License-Identifier: Apache-2.0
//! Whether a PIN is right, and what that costs.
//!
//! The counter goes down in memory before the PIN is compared, so that a cut saves no try (T15).

use crate::context::Context;
use crate::decide::decide;
use crate::persist::Guarded;
use crate::purse::sharing as purse;
use crate::stop::Stop;
use crate::vault::Vault;
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

/// Compares a PIN. When it is right, all tries and `new` come in one transaction.
pub(super) fn compare(
    vault: &mut Vault,
    block: &PinBlock,
    new: Option<&PinBlock>,
) -> Result<Verdict, Stop> {
    let tries = vault.objects().pin.get(Context::ISSUER)?.tries();
    let Some(left) = tries.checked_sub(1).filter(|_| decide(|| tries > 0)) else {
        return Ok(Verdict::Blocked);
    };
    vault.change(|objects| {
        objects.pin.get_mut(Context::ISSUER)?.tries = Guarded(left);
        Ok::<_, Stop>(())
    })?;
    let pin = vault.objects().pin.get(Context::ISSUER)?;
    if !decide(|| pin.is(block)) {
        return Ok(Verdict::Wrong(left));
    }
    accept(vault, new)
}

/// What a right PIN brings.
pub(super) fn accept(vault: &mut Vault, new: Option<&PinBlock>) -> Result<Verdict, Stop> {
    vault.change(|objects| {
        objects.pin.get_mut(Context::ISSUER)?.reset(new);
        purse::pin_verified(objects, Context::ISSUER)?;
        Ok::<_, Stop>(())
    })?;
    Ok(Verdict::Right)
}

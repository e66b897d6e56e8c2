// SPDX-License-Identifier: Apache-2.0
//! A PIN on a card that a test makes misbehave: around the comparison, which knows nothing of it.

use super::compare::{Verdict, compare as honestly};
use crate::context::Context;
use crate::fault::Fault;
use crate::persist::Guarded;
use crate::stop::Stop;
use crate::vault::Vault;
use ecm_emm::card::PinBlock;

/// Compares a PIN, in the way that the card's faults want.
pub(super) fn compare(
    vault: &mut Vault,
    block: &PinBlock,
    new: Option<&PinBlock>,
) -> Result<Verdict, Stop> {
    let held = vault.objects().pin.get(Context::ISSUER)?;
    let tries = held.tries();
    let right = if vault.has(Fault::AcceptAnyPin) { held.block() } else { None };
    let verdict = honestly(vault, right.as_ref().unwrap_or(block), new)?;
    if vault.has(Fault::PinTriesStuck) && matches!(verdict, Verdict::Wrong(_)) {
        vault.change(|objects| {
            objects.pin.get_mut(Context::ISSUER)?.tries = Guarded(tries);
            Ok::<_, Stop>(())
        })?;
        return Ok(Verdict::Wrong(tries));
    }
    Ok(verdict)
}

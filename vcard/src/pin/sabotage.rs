// SPDX-License-Identifier: Apache-2.0
//! A PIN on a card that a test makes misbehave: around the comparison, which knows nothing of it.

use super::compare::{Verdict, accept, compare as honestly};
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
    let tries = vault.objects().pin.get(Context::ISSUER)?.tries();
    let verdict = honestly(vault, block, new)?;
    if !matches!(verdict, Verdict::Wrong(_)) {
        return Ok(verdict);
    }
    if vault.has(Fault::AcceptAnyPin) {
        return accept(vault, new);
    }
    if vault.has(Fault::PinTriesStuck) {
        vault.change(|objects| {
            objects.pin.get_mut(Context::ISSUER)?.tries = Guarded(tries);
            Ok::<_, Stop>(())
        })?;
        return Ok(Verdict::Wrong(tries));
    }
    Ok(verdict)
}

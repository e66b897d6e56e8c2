// SPDX-License-Identifier: Apache-2.0
//! Transaction codes: PBOC's under DTK, or those of suite 2 under K_tac2.

use super::store::PurseStore;
use cam_types::Secret;
use cmac::{Cmac, KeyInit, Mac as _};
use ecm_emm::keys::{KeyContext, Role, constant};
use gp::cipher::Aes128;
use wallet::Mac;
use wallet::keys::TacKey;

/// The code over these fields; `None` without a key for it.
///
/// PBOC's own as long as suite 1 is allowed for it, then the one under K_tac2.
pub(super) fn code(purse: &PurseStore, fields: &[u8]) -> Option<Mac> {
    let pboc = purse.tac.oldest().filter(|_| purse.suites(Role::Tac) >> 1 & 1 == 1);
    if let Some(generation) = pboc {
        let key = Secret::new(*generation.material.bits128()?.expose());
        return Some(TacKey::new(key).fold().mac(fields));
    }
    let generation = purse.tac2.oldest()?;
    let key = generation
        .seal_key()?
        .derived_key(constant::TAC, &KeyContext::new(Role::Tac, purse.operator, generation.epoch));
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.expose().into());
    mac.update(fields);
    match mac.finalize().into_bytes().as_slice() {
        [a, b, c, d, ..] => Some(Mac([*a, *b, *c, *d])),
        _ => None,
    }
}

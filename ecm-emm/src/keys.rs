// SPDX-License-Identifier: Apache-2.0
//! Keys: their roles, the context that separates them and how a card's keys come from a master.
//!
//! Normative references:
//!  - `docs/spec/emm.md` (key roles), NIST SP 800-108 (derivation)

pub mod constant;
pub(crate) mod context;
pub(crate) mod material;

pub use context::{KeyContext, Role};
pub use material::KeyMaterial;

use crate::suite::SealKey;
use cam_types::{CardId, Epoch, Key, OperatorId, StbId};
use gp::scp03::StaticKeys;
use zeroize::Zeroize;

/// A card's key of this role and generation, from the operator's master key; same suite.
pub fn card_key(
    master: &SealKey,
    role: Role,
    operator: OperatorId,
    card: CardId,
    generation: Epoch,
) -> SealKey {
    let mut context = [0; 13];
    let fields = [role.number()]
        .into_iter()
        .chain(operator.to_be_bytes())
        .chain(*card.octets())
        .chain(generation.to_be_bytes());
    for (slot, octet) in context.iter_mut().zip(fields) {
        *slot = octet;
    }
    master.derived(constant::CARD_KEY, &context)
}

/// The SCP03 key set between a card and a box: ENC, MAC and DEK from what they share.
pub fn pairing_keys(k_pair: &Key, stb: StbId) -> StaticKeys {
    let derive = |k: u8| {
        let mut context = [k; 9];
        context[..8].copy_from_slice(stb.octets());
        let mut octets = [0; 16];
        gp::kdf_cmac(k_pair.expose(), constant::PAIRING, &context, &mut octets)
            .expect("a 16-octet key derives 16 octets");
        let key = Key::new(octets);
        octets.zeroize();
        key
    };
    StaticKeys { enc: derive(1), mac: derive(2), dek: derive(3) }
}

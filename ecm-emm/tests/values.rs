// SPDX-License-Identifier: Apache-2.0
//! Strategies for the values that messages are made of.

use cam_types::{CasTime, Epoch, EventId, Fen, OperatorId, PackageId, Pid};
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::{SealKey, Suite};
use proptest::prelude::*;

pub(crate) fn suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(Suite::ALL.to_vec())
}

/// A key of this suite, told apart by `seed`.
pub(crate) fn key(suite: Suite, seed: u8) -> SealKey {
    let octets = vec![seed; suite.key_len()];
    SealKey::new(suite, KeyMaterial::from_slice(&octets).unwrap()).unwrap()
}

pub(crate) fn octets(
    len: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), len)
}

pub(crate) fn operator() -> impl Strategy<Value = OperatorId> {
    any::<u16>().prop_map(OperatorId::new)
}

pub(crate) fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u16>().prop_map(Epoch::new)
}

pub(crate) fn event() -> impl Strategy<Value = EventId> {
    any::<u32>().prop_map(EventId::new)
}

pub(crate) fn fen() -> impl Strategy<Value = Fen> {
    any::<u32>().prop_map(Fen::new)
}

pub(crate) fn package() -> impl Strategy<Value = PackageId> {
    any::<u16>().prop_map(PackageId::new)
}

pub(crate) fn time() -> impl Strategy<Value = CasTime> {
    any::<u32>().prop_map(CasTime::new)
}

pub(crate) fn pid() -> impl Strategy<Value = Pid> {
    any::<u16>().prop_map(Pid::from_field)
}

/// `section` with another length in its header, to match what it has.
pub(crate) fn relabelled(mut section: Vec<u8>) -> Vec<u8> {
    let len = section.len().saturating_sub(3);
    if let [_, high, low, ..] = section.as_mut_slice() {
        *high = *high & 0xF0 | (len >> 8) as u8;
        *low = len as u8;
    }
    section
}

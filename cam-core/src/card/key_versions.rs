// SPDX-License-Identifier: Apache-2.0
//! The service keys' generations, as the card told them and as ECMs have shown since.

use crate::KeyVersion;
use alloc::vec::Vec;
use cam_types::{Epoch, Slot};

/// See the module.
#[derive(Default)]
pub(crate) struct KeyVersions(Vec<KeyVersion>);

impl KeyVersions {
    pub(crate) fn list(&self) -> &[KeyVersion] {
        &self.0
    }

    /// Another card: what is known is not its.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// The card has told them. `rotated` hears of each slot that works with a newer key.
    pub(crate) fn told(&mut self, versions: &[KeyVersion], mut rotated: impl FnMut(Slot, Epoch)) {
        for version in versions {
            let known = self.0.iter().find(|known| known.slot == version.slot);
            if known.is_some_and(|known| is_rotation(known.key.active, version.key.active)) {
                rotated(Slot::new(version.slot), version.key.active);
            }
        }
        self.0.clear();
        self.0.extend_from_slice(versions);
    }

    /// A key that opened an ECM is the active one from then on: the card tells so when it is read
    /// next, the subscriber's picture tells it now. `true` when its slot has worked with an older
    /// one.
    pub(crate) fn used(&mut self, slot: Slot, epoch: Epoch) -> bool {
        let known = self.0.iter_mut().find(|version| version.slot == slot.value());
        let Some(version) = known else { return false };
        let before = version.key.active;
        version.key.active = before.max(epoch);
        version.key.newest = version.key.newest.max(epoch);
        is_rotation(before, epoch)
    }
}

/// The first use of a slot (0: none yet) is no rotation.
fn is_rotation(from: Epoch, to: Epoch) -> bool {
    from != Epoch::default() && to > from
}

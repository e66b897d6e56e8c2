// SPDX-License-Identifier: Apache-2.0
//! The PIN as it lies in memory.

use crate::persist::{Guarded, persist};
use cam_types::Secret;
use ecm_emm::card::PinBlock;

/// The PIN and its tries.
#[derive(Clone)]
pub struct Pin {
    block: Secret<8>,
    pub(super) tries: Guarded<u8>,
    limit: Guarded<u8>,
}

persist!(Pin {
    block: Secret<8>,
    tries: Guarded<u8>,
    limit: Guarded<u8>,
});

impl Pin {
    /// A PIN with all its tries.
    pub fn new(block: &PinBlock, limit: u8) -> Self {
        Self { block: Secret::new(*block.expose()), tries: Guarded(limit), limit: Guarded(limit) }
    }

    /// Tries left.
    pub const fn tries(&self) -> u8 {
        self.tries.0
    }

    /// All tries back, and a new PIN if one is given.
    pub(super) fn reset(&mut self, block: Option<&PinBlock>) {
        if let Some(block) = block {
            self.block = Secret::new(*block.expose());
        }
        self.tries = self.limit;
    }

    pub(super) fn is(&self, block: &PinBlock) -> bool {
        self.block == Secret::new(*block.expose())
    }
}

// SPDX-License-Identifier: Apache-2.0
//! How much longer than announced an event may last (`docs/spec/purchase.md` 3).

use cam_types::CasTime;

/// Seconds behind the announced end.
const OVERRUN: u32 = 86_400;

/// How far the end of an event may move.
pub(super) fn horizon(end: CasTime) -> CasTime {
    end.saturating_add(OVERRUN)
}

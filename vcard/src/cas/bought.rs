// SPDX-License-Identifier: Apache-2.0
//! The rights that purchases make.

use super::rights::{Kind, Right};
use super::store::CasStore;
use super::time::When;
use cam_types::{CasTime, EventId, Slot};

/// Seconds that a slice opens in front of the ECM that paid for it: the box may show a crypto period
/// that began a little earlier. More would make a slice cheaper.
const LEAD: u32 = 15;
/// A slice is owned as long as more than this is left of it.
const REST: u32 = 60;

impl CasStore {
    /// The slice of this event that is running, with enough left of it that no other is sold.
    pub(super) fn owned_slice(&self, event: EventId, slot: Slot, when: When) -> Option<&Right> {
        self.live_event(Kind::Slice, event, 0, slot, when.ecm)
            .filter(|right| right.end > when.ecm.saturating_add(REST))
    }

    /// The right after a slice of an event was paid. One that it touches grows by it: what opens is
    /// as long as what was paid for, whichever was paid first.
    pub(super) fn paid_slice(
        &self,
        event: EventId,
        slot: Slot,
        slice_s: u16,
        paid: CasTime,
    ) -> Right {
        let slice_s = u32::from(slice_s);
        let (start, end) = (paid.saturating_sub(LEAD), paid.saturating_add(slice_s));
        let new = Right { start, ..Right::event(Kind::Slice, event, 0, slot.value(), end) };
        let touched = self.rights().find(|right| {
            right.is(Kind::Slice, event.value())
                && right.slot == slot.value()
                && !right.revoked
                && paid <= right.end
                && right.start.saturating_add(LEAD) <= end
        });
        let Some(right) = touched else { return new };
        // Seconds that now open in front of it.
        let earlier = right.start.seconds().saturating_sub(start.seconds());
        let end = right.end.saturating_add(slice_s).saturating_sub(earlier);
        Right { start: start.min(right.start), end, ..*right }
    }
}

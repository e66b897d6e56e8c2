// SPDX-License-Identifier: Apache-2.0
//! The rights that purchases make, and which of them stands against another purchase.

use super::access::Sold;
use super::rights::{Kind, Right};
use super::store::CasStore;
use super::time::When;
use cam_types::{CasTime, Slot};
use ecm_emm::ecm::{Ppt, Ppv};

/// Seconds that a slice opens in front of the ECM that paid for it: the box may show a crypto period
/// that began a little earlier. More would make a slice cheaper.
const LEAD: u32 = 15;
/// A slice is owned as long as more than this is left of it.
const REST: u32 = 60;

/// Seconds behind the end that was bought to which an event may last longer.
const OVERRUN: u32 = 86_400;

impl Right {
    /// The right after an event was paid.
    pub(super) fn paid_event(ppv: &Ppv, slot: Slot) -> Self {
        let right = Self::event(Kind::Event, ppv.event, ppv.tier, slot.value(), ppv.end);
        Self { start: ppv.start, horizon: ppv.end.saturating_add(OVERRUN), ..right }
    }

    /// It is for this event or a better edition of it, and neither over nor given back.
    fn is_of(&self, ppv: &Ppv, slot: Slot, at: CasTime) -> bool {
        self.is(Kind::Event, ppv.event.value())
            && self.tier >= ppv.tier
            && self.opens(slot)
            && !self.revoked
            && at < self.end
    }

    /// Until when the event lasts by this ECM, if that is later than the right does. What was not
    /// bought ends when its message said.
    fn overrun(&self, ppv: &Ppv, slot: Slot, at: CasTime) -> Option<CasTime> {
        let end = ppv.end.min(self.horizon);
        (self.is_of(ppv, slot, at) && end > self.end).then_some(end)
    }
}

impl CasStore {
    /// What stands against a purchase of what is sold: the event, whether it has begun or not, or
    /// enough of a slice of time.
    pub(super) fn owned(&self, sold: &Sold, slot: Slot, when: When) -> Option<&Right> {
        match sold {
            Sold::Event(ppv) => self
                .rights()
                .filter(|right| right.is_of(ppv, slot, when.at))
                .max_by_key(|right| (right.end, right.tier == ppv.tier)),
            Sold::Slice(ppt) => self
                .live_event(Kind::Slice, ppt.event, 0, slot, when.ecm)
                .filter(|right| right.end > when.ecm.saturating_add(REST)),
        }
    }

    /// By this ECM a bought event lasts longer than the card has it.
    pub(super) fn overruns(&self, ppv: &Ppv, slot: Slot, at: CasTime) -> bool {
        self.rights().any(|right| right.overrun(ppv, slot, at).is_some())
    }

    /// Its rights last as long as it does, up to a day behind the end that was bought.
    pub(super) fn prolong(&mut self, ppv: &Ppv, slot: Slot, at: CasTime) {
        for right in self.rights.iter_mut().flatten().map(|checked| &mut checked.0) {
            right.end = right.overrun(ppv, slot, at).unwrap_or(right.end);
        }
    }

    /// The right after a slice of an event was paid. One that it touches grows by it: what opens is
    /// as long as what was paid for, whichever was paid first.
    pub(super) fn paid_slice(&self, ppt: &Ppt, slot: Slot, paid: CasTime) -> Right {
        let (event, slice_s) = (ppt.event, u32::from(ppt.slice_s));
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

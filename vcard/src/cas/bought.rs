// SPDX-License-Identifier: Apache-2.0
//! The rights that purchases make, which of them stands against another purchase, and which a
//! refund ends.

use super::access::Sold;
use super::log::Record;
use super::overrun::horizon;
use super::rights::{Kind, Right};
use super::store::CasStore;
use super::time::When;
use crate::decide::decide;
use cam_types::{CasTime, EventId, Slot};
use ecm_emm::ecm::{Ppt, Ppv};

/// Seconds that a slice opens in front of the ECM that paid for it: the box may show a crypto
/// period that began a little earlier. More would make a slice cheaper.
const LEAD: u32 = 15;
/// A slice is owned as long as more than this is left of it.
const REST: u32 = 60;

impl Right {
    /// The right after an event was paid.
    pub(super) fn paid_event(ppv: &Ppv, slot: Slot) -> Self {
        let right = Self::event(Kind::Event, ppv.event, ppv.tier, slot.value(), ppv.end);
        Self { start: ppv.start, horizon: horizon(ppv.end), ..right }
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
        let lasts = || self.is_of(ppv, slot, at) && end > self.end;
        (lasts() && decide(lasts)).then_some(end)
    }
}

impl Record {
    /// This right is what it paid for, or has it in it. What was granted nobody paid for; an event
    /// that was bought anew, and a slice after a gap, are another record's.
    pub(super) fn made(&self, right: &Right) -> bool {
        let of_it = self.slot == Some(right.slot) && self.tier == right.tier;
        let Some(event) = self.event.map(EventId::value) else { return false };
        of_it
            && match self.slice_s {
                None => right.is(Kind::Event, event) && right.horizon == horizon(self.end),
                // Slices that are added move the beginning to earlier times only.
                Some(_) => right.is(Kind::Slice, event) && right.start <= self.start,
            }
    }
}

impl CasStore {
    /// Ends what a purchase made that was given back: the right for its event, or of its slices of
    /// time as much as it paid for, from the end.
    pub(super) fn take_back(&mut self, record: &Record) {
        let rights = self.rights.iter_mut().flatten().map(|checked| &mut checked.0);
        // Of slices beside each other the last that it can be in.
        let made = rights.filter(|right| !right.revoked && record.made(right));
        let Some(right) = made.max_by_key(|right| right.start) else { return };
        match record.slice_s {
            None => right.revoked = true,
            Some(slice_s) => {
                right.end = right.end.saturating_sub(slice_s.into());
                right.revoked = right.end <= right.start.saturating_add(LEAD);
            }
        }
    }

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

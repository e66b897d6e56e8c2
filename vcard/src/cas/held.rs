// SPDX-License-Identifier: Apache-2.0
//! The rights that the card holds: which of them opens, and which row a new one takes.

use super::rights::{Kind, Right};
use super::store::CasStore;
use crate::decide::decide;
use crate::persist::Checked;
use cam_types::{CasTime, EventId, PackageId, Slot};

/// No row is free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl CasStore {
    /// Every right in a row, whether it is live or not.
    pub fn rights(&self) -> impl Iterator<Item = &Right> {
        self.rights.iter().flatten().map(|checked| &checked.0)
    }

    /// Every right for a package, live or not: one for each slot that the factory gave it, else
    /// one.
    pub fn package(&mut self, id: PackageId) -> impl Iterator<Item = &mut Right> {
        let id = u32::from(id.value());
        self.rights
            .iter_mut()
            .flatten()
            .map(|checked| &mut checked.0)
            .filter(move |right| right.is(Kind::Package, id))
    }

    /// The right for one of these packages that opens this slot now; of several the one that lasts
    /// longest.
    pub fn live_package(&self, packages: &[PackageId], slot: Slot, at: CasTime) -> Option<&Right> {
        let opens = |right: &Right| {
            packages.iter().any(|package| right.is(Kind::Package, package.value().into()))
                && right.opens(slot)
                && right.is_live(at)
        };
        let found = self.rights().filter(|right| opens(right)).max_by_key(|right| right.end);
        found.filter(|right| decide(|| opens(right)))
    }

    /// The right for an event of this slot, if it is live and of this tier or a higher one; of
    /// several the one that lasts longest, before others the one of this tier.
    pub fn live_event(
        &self,
        kind: Kind,
        event: EventId,
        tier: u8,
        slot: Slot,
        at: CasTime,
    ) -> Option<&Right> {
        let opens = |right: &Right| {
            right.is(kind, event.value())
                && right.tier >= tier
                && right.opens(slot)
                && right.is_live(at)
        };
        let found = self.rights().filter(|right| opens(right));
        let found = found.max_by_key(|right| (right.end, right.tier == tier));
        found.filter(|right| decide(|| opens(right)))
    }

    /// Keeps a right, in the row of the one that it takes the place of or in a free one. A row of
    /// an event that ended before `at` is free. A slice of time takes the place of what it covers,
    /// and of what is over.
    pub fn keep_right(&mut self, new: Right, at: CasTime) -> Result<(), Full> {
        let ended = |right: &Right| right.kind != Kind::Package as u8 && right.end <= at;
        let of_the_same = |right: &Right| {
            right.kind == new.kind
                && right.id == new.id
                && right.tier == new.tier
                && right.slot == new.slot
        };
        let covered = |right: &Right| {
            right.kind != Kind::Slice as u8 || (new.start <= right.start && right.end <= new.end)
        };
        let find = |wanted: &dyn Fn(&Right) -> bool| {
            self.rights.iter().position(|row| row.as_ref().is_some_and(|right| wanted(&right.0)))
        };
        let place = find(&|right| of_the_same(right) && covered(right))
            .or_else(|| find(&|right| of_the_same(right) && (right.revoked || ended(right))))
            .or_else(|| self.rights.iter().position(Option::is_none))
            .or_else(|| find(&ended))
            .ok_or(Full)?;
        *self.rights.get_mut(place).ok_or(Full)? = Some(Checked(new));
        Ok(())
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The rights that the card holds: which of them opens, and which row a new one takes.

use super::rights::{Kind, Right};
use super::store::CasStore;
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
        self.rights()
            .filter(|right| {
                packages.iter().any(|package| right.is(Kind::Package, package.value().into()))
                    && right.opens(slot)
                    && right.is_live(at)
            })
            .max_by_key(|right| right.end)
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
        self.rights()
            .filter(|right| {
                right.is(kind, event.value())
                    && right.tier >= tier
                    && right.opens(slot)
                    && right.is_live(at)
            })
            .max_by_key(|right| (right.end, right.tier == tier))
    }

    /// Keeps a right, in the row of the one that it takes the place of or in a free one. A row of
    /// an event that ended before `at` is free.
    pub fn keep_right(&mut self, new: Right, at: CasTime) -> Result<(), Full> {
        let same = |right: &Right| {
            right.kind == new.kind
                && right.id == new.id
                && right.tier == new.tier
                && right.slot == new.slot
        };
        let ended = |right: &Right| right.kind != Kind::Package as u8 && right.end <= at;
        let find =
            |wanted: &dyn Fn(&Option<Checked<Right>>) -> bool| self.rights.iter().position(wanted);
        let place = find(&|row| row.as_ref().is_some_and(|right| same(&right.0)))
            .or_else(|| find(&|row| row.is_none()))
            .or_else(|| find(&|row| row.as_ref().is_some_and(|right| ended(&right.0))))
            .ok_or(Full)?;
        *self.rights.get_mut(place).ok_or(Full)? = Some(Checked(new));
        Ok(())
    }

    /// Ends the rights that an event has.
    pub fn revoke_event(&mut self, event: EventId) {
        for right in self.rights.iter_mut().flatten().map(|checked| &mut checked.0) {
            if right.is(Kind::Event, event.value()) || right.is(Kind::Slice, event.value()) {
                right.revoked = true;
            }
        }
    }
}

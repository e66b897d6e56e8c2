//! Rights: packages, events and slices of time; and the previews that have begun.

use super::store::CasStore;
use crate::persist::{Checked, Table, persist};
use cam_types::{CasTime, EventId, PackageId, Slot};
use ecm_emm::card::{OpenedBy, RightRow};

/// What a right is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A subscription package.
    Package = 1,
    /// A pay-per-view event.
    Event = 2,
    /// Slices of time of an event.
    Slice = 3,
}

/// One right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Right {
    pub(super) kind: u8,
    /// The service key slot that it opens; [`Right::ANY_SLOT`] when the message did not say.
    pub slot: u8,
    /// Package or event.
    pub id: u32,
    /// The edition of the event.
    pub tier: u8,
    /// From.
    pub start: CasTime,
    /// Until; not any more at this moment.
    pub end: CasTime,
    /// How far a group's message may move the end.
    pub horizon: CasTime,
    /// The object's version: the last one wins.
    pub version: u16,
    /// Taken away. The row stays, so that an older grant cannot bring it back.
    pub revoked: bool,
}

persist!(Right {
    kind: u8,
    slot: u8,
    id: u32,
    tier: u8,
    start: CasTime,
    end: CasTime,
    horizon: CasTime,
    version: u16,
    revoked: bool,
});

impl Right {
    /// Good for every service key slot of the operator.
    pub const ANY_SLOT: u8 = 0xFF;

    /// A package.
    pub const fn package(id: PackageId, slot: u8, start: CasTime, end: CasTime) -> Self {
        Self {
            kind: Kind::Package as u8,
            slot,
            id: id.value() as u32,
            tier: 0,
            start,
            end,
            horizon: end,
            version: 0,
            revoked: false,
        }
    }

    /// An event, or slices of it.
    pub const fn event(kind: Kind, id: EventId, tier: u8, slot: u8, end: CasTime) -> Self {
        Self {
            kind: kind as u8,
            slot,
            id: id.value(),
            tier,
            start: CasTime::new(0),
            end,
            horizon: end,
            version: 0,
            revoked: false,
        }
    }

    /// It is for this.
    pub const fn is(&self, kind: Kind, id: u32) -> bool {
        self.kind == kind as u8 && self.id == id
    }

    /// It opens ECMs of this slot.
    pub const fn opens(&self, slot: Slot) -> bool {
        self.slot == slot.value() || self.slot == Self::ANY_SLOT
    }

    /// It is good at this moment.
    pub fn is_live(&self, at: CasTime) -> bool {
        !self.revoked && self.start <= at && at < self.end
    }

    /// As RIGHTS shows it; bit 0 of the flags: revoked.
    pub const fn row(&self) -> RightRow {
        RightRow {
            kind: self.kind,
            slot: self.slot,
            id: self.id,
            tier: self.tier,
            start: self.start,
            end: self.end,
            flags: self.revoked as u8,
        }
    }

    /// As the answer to an ECM that it opened names it.
    pub const fn opened_by(&self) -> OpenedBy {
        OpenedBy { kind: self.kind, id: self.id, end: self.end }
    }

    /// What it is for, in words.
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            1 => "package",
            2 => "event",
            3 => "time of event",
            _ => "unknown",
        }
    }
}

/// No row is free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl CasStore {
    /// All rights.
    pub fn rights(&self) -> impl Iterator<Item = &Right> {
        self.rights.iter().flatten().map(|checked| &checked.0)
    }

    /// The right for a package, live or not.
    pub fn package(&mut self, id: PackageId) -> Option<&mut Right> {
        let id = u32::from(id.value());
        self.rights
            .iter_mut()
            .flatten()
            .map(|checked| &mut checked.0)
            .find(|right| right.is(Kind::Package, id))
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

    /// The right for an event of this slot, if it is live and of this tier or a higher one; of several
    /// the one that lasts longest, before others the one of this tier.
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

    /// Keeps a right, in the row of the one that it takes the place of or in a free one. A row of an
    /// event that ended before `at` is free.
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

/// One preview: an event of a slot, and when it began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Preview {
    slot: u8,
    event: u32,
    began: CasTime,
}

persist!(Preview { slot: u8, event: u32, began: CasTime });

/// The last previews, the oldest making room.
#[derive(Clone)]
pub struct Previews {
    next: u8,
    rows: Table<Option<Preview>, { Self::ROWS }>,
}

persist!(Previews {
    next: u8,
    rows: Table<Option<Preview>, { Previews::ROWS }>,
});

impl Previews {
    const ROWS: usize = 32;

    /// None yet.
    pub fn empty() -> Self {
        Self { next: 0, rows: Table::filled(|| None) }
    }

    /// When the preview of this event began.
    pub fn began(&self, slot: Slot, event: EventId) -> Option<CasTime> {
        self.rows
            .iter()
            .flatten()
            .find(|row| row.slot == slot.value() && row.event == event.value())
            .map(|row| row.began)
    }

    /// The preview of this event begins.
    pub fn begin(&mut self, slot: Slot, event: EventId, at: CasTime) {
        if let Some(row) = self.rows.get_mut(self.next.into()) {
            *row = Some(Preview { slot: slot.value(), event: event.value(), began: at });
        }
        self.next = (self.next + 1) % Self::ROWS as u8;
    }
}

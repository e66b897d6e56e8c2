// SPDX-License-Identifier: Apache-2.0
//! Rights: packages, events and slices of time.

use crate::persist::persist;
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

/// A right that the card holds: for what, from when until when, and how it may change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Right {
    pub(super) kind: u8,
    /// The service key slot that it opens; [`Right::ANY_SLOT`] when the message did not say.
    pub slot: u8,
    /// The number of the package or event.
    pub id: u32,
    /// The edition of the event.
    pub tier: u8,
    /// Good from this moment on.
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

    /// A right for a package; no group's message moves its end.
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

    /// A right for an event or slices of it, good from the beginning of time.
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

    /// What it is for, as text.
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            1 => "package",
            2 => "event",
            3 => "time of event",
            _ => "unknown",
        }
    }
}

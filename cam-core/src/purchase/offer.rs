// SPDX-License-Identifier: Apache-2.0
//! What can be bought, and its name.

use crate::SessionId;
use cam_types::{CasTime, EventId, Fen};
use ecm_emm::ecm::EcmHeader;

/// Names an offer: event, session and kind in one number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct OfferId(pub u64);

/// What is sold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OfferKind {
    /// One event.
    Event,
    /// A slice of time.
    Slice,
    /// An offer section: only the card can read it, so event and price are not known here. The
    /// card compares the price that the subscriber saw.
    Sealed,
}

/// An offer, and the authentic ECM or offer section that the card sells it by.
pub(crate) type OnAir<'a> = (&'a Offer, &'a [u8]);

/// Something that can be bought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offer {
    /// Names it.
    pub id: OfferId,
    /// The session that it belongs to.
    pub session: SessionId,
    /// What is sold.
    pub kind: OfferKind,
    /// The event, if known.
    pub event: Option<EventId>,
    /// The price, if known.
    pub price: Option<Fen>,
    /// When the event begins; 0 for a slice and for a sealed offer.
    pub start: CasTime,
    /// The first second after the event; 0 for a slice and for a sealed offer.
    pub end: CasTime,
    /// Seconds of a preview that are left, 0 for none.
    pub preview_s: u8,
    /// Seconds of one slice, 0 for an event.
    pub slice_s: u16,
    /// It needs the PIN.
    pub pin_needed: bool,
}

impl OfferId {
    /// The bits that tell the session.
    const SESSION: u64 = 0xFFFF_FF00;

    /// Event (or the number of an offer section), session and kind.
    pub(crate) fn new(number: u32, session: SessionId, kind: OfferKind) -> Self {
        let kind = match kind {
            OfferKind::Event => 1,
            OfferKind::Slice => 2,
            OfferKind::Sealed => EcmHeader::OFFER.into(),
        };
        Self(u64::from(number) << 32 | u64::from(session.0 & 0x00FF_FFFF) << 8 | kind)
    }

    /// Whether the other one sells the same. Another session of it, in this run or another, has
    /// another number.
    pub(crate) const fn sells_what(self, other: Self) -> bool {
        (self.0 ^ other.0) & !Self::SESSION == 0
    }

    pub(crate) const fn session(self) -> SessionId {
        SessionId(self.0 as u32 >> 8)
    }
}

impl Offer {
    /// The same offer under the name of this session.
    pub(crate) fn of_session(self, session: SessionId) -> Self {
        let number = (self.id.0 >> 32) as u32;
        Self { id: OfferId::new(number, session, self.kind), session, ..self }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The decision: may this ECM's control words leave the card, and if not, why not and what can be
//! bought.

use super::previews::Preview;
use super::rights::{Kind, Right};
use super::store::CasStore;
use super::time::{CasRam, When};
use crate::decide::decide;
use crate::purse::sharing::{NotPaid, Shown, Terms};
use cam_types::{CasTime, Fen, Slot};
use ecm_emm::card::{AccessStatus, EcmAnswer, Offer, OpenedBy};
use ecm_emm::ecm::{Criteria, EcmBody, Ppt, Ppv};

/// What the answer to an ECM will say, and what it leaves behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Decision {
    /// Granted, preview, purchasable or the reason why not.
    pub status: AccessStatus,
    /// Flags of the answer.
    pub flags: u8,
    /// What can be bought.
    pub offer: Option<Offer>,
    /// The right that opens it.
    pub opened_by: Option<OpenedBy>,
    /// A preview begins with this ECM.
    pub begins_preview: bool,
}

impl Decision {
    /// A status with nothing to say beside it.
    pub(super) const fn plain(status: AccessStatus) -> Self {
        Self { status, flags: 0, offer: None, opened_by: None, begins_preview: false }
    }

    const fn subscribed(right: &Right) -> Self {
        let opened_by = Some(right.opened_by());
        Self { opened_by, ..Self::plain(AccessStatus::GRANTED_SUBSCRIPTION) }
    }

    const fn owned(status: AccessStatus, right: &Right) -> Self {
        let opened_by = Some(right.opened_by());
        Self { flags: EcmAnswer::OWNED, opened_by, ..Self::plain(status) }
    }
}

/// The decision on an ECM.
pub(super) fn decision(
    cas: &CasStore,
    ram: &CasRam,
    terms: &Terms,
    slot: Slot,
    body: &EcmBody,
    when: When,
) -> Decision {
    let at = when.at;
    if let Some(status) = vetoed(cas, ram, body, at) {
        let pin = if status == AccessStatus::RATING { EcmAnswer::PIN_NEEDED } else { 0 };
        return Decision { flags: pin, ..Decision::plain(status) };
    }
    if let Some(granted) = granted(cas, slot, &body.criteria, when) {
        return granted;
    }
    let mut decision = Decision::plain(missing(cas, slot, &body.criteria, when));
    let preview =
        body.criteria.ppv.map_or(Preview::NONE, |ppv| cas.previews.of(&ppv, when.ecm, at));
    // What is owned and has not begun is not offered again.
    decision.offer = Sold::by(&body.criteria, at)
        .filter(|sold| cas.owned(sold, slot, when).is_none())
        .map(|sold| Offer { preview_s: preview.left, ..sold.offer() });
    if let Some(offer) = &decision.offer {
        decision.status = match terms.check(offer.price, Shown::Pin) {
            _ if !cas.log.has_room() => AccessStatus::LOG_FULL,
            Err(NotPaid::Funds) => AccessStatus::FUNDS,
            Err(NotPaid::Blocked) => AccessStatus::CARD_BLOCKED,
            _ => AccessStatus::PURCHASABLE,
        };
        if terms.needs_pin(offer.price) {
            decision.flags |= EcmAnswer::PIN_NEEDED;
        }
    }
    if decide(|| preview.left > 0) {
        decision.status = AccessStatus::PREVIEW;
        decision.flags |= EcmAnswer::PREVIEW;
        decision.begins_preview = preview.begins;
    } else if preview.used && decision.offer.is_none() {
        decision.status = AccessStatus::PREVIEW_USED;
    }
    decision
}

/// It opens without being bought: by a package, or for nothing.
pub(super) fn opens_unbought(cas: &CasStore, slot: Slot, criteria: &Criteria, at: CasTime) -> bool {
    criteria.free || cas.live_package(&criteria.packages, slot, at).is_some()
}

/// Reasons against it that no right overrules.
pub(super) fn vetoed(
    cas: &CasStore,
    ram: &CasRam,
    body: &EcmBody,
    at: CasTime,
) -> Option<AccessStatus> {
    let blackout = body.criteria.blackout;
    if !decide(|| !cas.blocked) {
        Some(AccessStatus::CARD_BLOCKED)
    } else if !decide(|| at < cas.expires) {
        Some(AccessStatus::CARD_EXPIRED)
    } else if !decide(|| blackout.is_none_or(|blackout| !blackout.contains(cas.region))) {
        Some(AccessStatus::BLACKOUT)
    } else if !decide(|| body.regions.contains(cas.region)) {
        Some(AccessStatus::REGION)
    } else if !decide(|| body.rating.0 <= cas.rating_limit || ram.pin.rating.get()) {
        Some(AccessStatus::RATING)
    } else {
        None
    }
}

/// The kind of right decides in this order; of one kind the right that lasts longest.
fn granted(cas: &CasStore, slot: Slot, criteria: &Criteria, when: When) -> Option<Decision> {
    let at = when.at;
    if let Some(right) = cas.live_package(&criteria.packages, slot, at) {
        return Some(Decision::subscribed(right));
    }
    let event = criteria
        .ppv
        .and_then(|ppv| Some((cas.live_event(Kind::Event, ppv.event, ppv.tier, slot, at)?, ppv)));
    if let Some((right, ppv)) = event {
        let same = right.tier == ppv.tier;
        let status = if same { AccessStatus::GRANTED_EVENT } else { AccessStatus::GRANTED_TIER };
        return Some(Decision::owned(status, right));
    }
    let slice =
        criteria.ppt.and_then(|ppt| cas.live_event(Kind::Slice, ppt.event, 0, slot, when.ecm));
    if let Some(right) = slice {
        return Some(Decision::owned(AccessStatus::GRANTED_TIME, right));
    }
    decide(|| criteria.free).then_some(Decision::plain(AccessStatus::GRANTED_FREE))
}

/// Why the rights there are do not open it.
fn missing(cas: &CasStore, slot: Slot, criteria: &Criteria, when: When) -> AccessStatus {
    let concerns = |right: &&Right| {
        !right.revoked
            && right.opens(slot)
            && (criteria.packages.iter().any(|p| right.is(Kind::Package, p.value().into()))
                || criteria.ppv.is_some_and(|ppv| right.is(Kind::Event, ppv.event.value()))
                || criteria.ppt.is_some_and(|ppt| right.is(Kind::Slice, ppt.event.value())))
    };
    let mut status = AccessStatus::NO_RIGHT;
    for right in cas.rights().filter(concerns) {
        let at = if right.kind == Kind::Slice as u8 { when.ecm } else { when.at };
        if at < right.start {
            return AccessStatus::NOT_YET_VALID;
        }
        if right.end <= at {
            status = AccessStatus::EXPIRED;
        }
    }
    status
}

/// What is for sale. It decides what the offer says, what is owned and what is paid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sold {
    Event(Ppv),
    Slice(Ppt),
}

impl Sold {
    /// What the criteria sell at this moment: an event with a price before a slice of time.
    pub(super) fn by(criteria: &Criteria, at: CasTime) -> Option<Self> {
        let event = criteria.ppv.filter(|ppv| at < ppv.end && ppv.price > Fen::ZERO);
        let slice = criteria.ppt.filter(|ppt| ppt.price > Fen::ZERO);
        event.map(Self::Event).or(slice.map(Self::Slice))
    }

    /// As the answer to an ECM shows it.
    pub(super) const fn offer(&self) -> Offer {
        match self {
            Self::Event(ppv) => offer_of_event(*ppv),
            Self::Slice(ppt) => offer_of_slice(*ppt),
        }
    }

    /// What it costs.
    pub(super) const fn price(&self) -> Fen {
        match self {
            Self::Event(ppv) => ppv.price,
            Self::Slice(ppt) => ppt.price,
        }
    }
}

const fn offer_of_event(ppv: Ppv) -> Offer {
    Offer {
        kind: Offer::PPV,
        event: ppv.event,
        price: ppv.price,
        preview_s: 0,
        start: ppv.start,
        end: ppv.end,
        slice_s: 0,
    }
}

const fn offer_of_slice(ppt: Ppt) -> Offer {
    Offer {
        kind: Offer::PPT,
        event: ppt.event,
        price: ppt.price,
        preview_s: 0,
        start: CasTime::new(0),
        end: CasTime::new(0),
        slice_s: ppt.slice_s,
    }
}

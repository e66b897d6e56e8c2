// SPDX-License-Identifier: Apache-2.0
//! What a session has told of its offers: an offer is told when the card can be asked to sell it,
//! and gone when the card, its stream or its section is.

use crate::outbox::Outbox;
use crate::session::Session;
use crate::{CardState, Event, Offer};
use core::mem;

/// Whether the card can sell something now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sale {
    Open,
    /// The card is being started again, or has not said yet what a request needs: what was told
    /// stands, nothing new is.
    Paused,
    Closed,
}

impl Sale {
    /// `told`: the card in session has said what a request needs.
    pub(crate) const fn by(card: CardState, told: bool) -> Self {
        match card {
            CardState::Ready if told => Self::Open,
            CardState::Ready | CardState::Starting => Self::Paused,
            CardState::Absent | CardState::Unusable | CardState::Unpaired => Self::Closed,
        }
    }
}

impl Session {
    /// What was told, as it is now.
    pub(crate) fn on_sale(&self) -> &[Offer] {
        &self.on_sale
    }

    /// Tells what of it has changed.
    pub(crate) fn sell(&mut self, sale: Sale, out: &mut Outbox) {
        let session = self.id;
        let mut told = mem::take(&mut self.on_sale);
        told.retain_mut(|told| {
            let stands = self.offers().find(|(offer, _)| offer.id == told.id);
            let Some((offer, _)) = stands.filter(|_| sale != Sale::Closed) else {
                out.event(Event::OfferGone { session, offer: told.id });
                return false;
            };
            if told.differs(offer) {
                out.event(Event::Offer(*offer));
            }
            *told = *offer;
            true
        });
        if sale == Sale::Open {
            for (offer, _) in self.offers() {
                if told.iter().all(|told| told.id != offer.id) {
                    out.event(Event::Offer(*offer));
                    told.push(*offer);
                }
            }
        }
        self.on_sale = told;
    }
}

impl Offer {
    /// The seconds of a preview run off: that is no other offer.
    fn differs(&self, other: &Self) -> bool {
        Self { preview_s: 0, ..*self } != Self { preview_s: 0, ..*other }
    }
}

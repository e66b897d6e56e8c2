// SPDX-License-Identifier: Apache-2.0
//! What the card said of an authentic ECM: its verdict, the ECWs and what it offers.

use crate::{Offer, OfferId, OfferKind, SessionId};
use cam_types::{CasTime, StatusWord};
use ecm_emm::card::{self, AccessStatus, EcmAnswer};
use ecm_emm::ecm::{EcmHeader, EcmKind};
use zeroize::Zeroize;

/// What the card said of an authentic ECM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) status: AccessStatus,
    pub(crate) cci: u8,
    pub(crate) rating: u8,
    pub(crate) pin_needed: bool,
    /// When the right ends that opened it.
    pub(crate) expires: Option<CasTime>,
    /// An EMM has to come before this moment.
    pub(crate) update_by: Option<CasTime>,
}

impl Verdict {
    pub(crate) const NONE: Self = Self {
        status: AccessStatus::PENDING,
        cci: 0,
        rating: 0,
        pin_needed: false,
        expires: None,
        update_by: None,
    };
}

/// What the card said of an authentic ECM, for every stream that has it.
pub(crate) struct Told {
    pub(crate) verdict: Verdict,
    pub(crate) keys: Option<Keys>,
    /// For whom it is, each session fills in.
    pub(crate) offer: Option<Offer>,
    /// The status word that it came with.
    pub(crate) sw: StatusWord,
    /// Of the ECM.
    pub(crate) crypto_period: u32,
}

impl Told {
    pub(crate) fn new(header: &EcmHeader, answer: &EcmAnswer, sw: StatusWord) -> Self {
        let pin_needed = flag(answer, EcmAnswer::PIN_NEEDED);
        let keys = answer.ecw.map(|(even, odd)| Keys {
            even,
            odd,
            kind: header.kind,
            crypto_period: header.cp_number,
            cci: answer.cci.0,
            preview: answer.status == AccessStatus::PREVIEW,
        });
        let verdict = Verdict {
            status: answer.status,
            cci: answer.cci.0,
            rating: answer.rating.0,
            pin_needed,
            expires: answer.opened_by.map(|right| right.end),
            update_by: answer.update_by,
        };
        // An event that is bought is none to be sold; a further slice is.
        let owned = flag(answer, EcmAnswer::OWNED);
        let for_sale = answer.offer.filter(|terms| !owned || terms.kind == card::Offer::PPT);
        let offer = for_sale.as_ref().map(|terms| offer_of(answer, terms));
        Self { verdict, keys, offer, sw, crypto_period: header.cp_number }
    }
}

/// The ECWs of an answer.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) even: [u8; 16],
    pub(crate) odd: [u8; 16],
    pub(crate) crypto_period: u32,
    pub(crate) cci: u8,
    pub(crate) preview: bool,
    /// How long the control words are.
    pub(crate) kind: EcmKind,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.even.zeroize();
        self.odd.zeroize();
    }
}

/// What the card offers, for any session.
fn offer_of(answer: &EcmAnswer, terms: &card::Offer) -> Offer {
    let kind = if terms.kind == card::Offer::PPT { OfferKind::Slice } else { OfferKind::Event };
    let nobody = SessionId(0);
    Offer {
        id: OfferId::new(terms.event.value(), nobody, kind),
        session: nobody,
        kind,
        event: Some(terms.event),
        price: Some(terms.price),
        start: terms.start,
        end: terms.end,
        preview_s: terms.preview_s,
        slice_s: terms.slice_s,
        pin_needed: flag(answer, EcmAnswer::PIN_NEEDED),
    }
}

fn flag(answer: &EcmAnswer, flag: u8) -> bool {
    answer.flags & flag != 0
}

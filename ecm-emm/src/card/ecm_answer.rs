// SPDX-License-Identifier: Apache-2.0
//! The card's answer to an ECM: verdict, ECWs for the box's key ladder, what can be bought.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 3 (elements) and 3.1

use super::status::AccessStatus;
use crate::ecm::{Cci, Rating};
use crate::element;
use alloc::vec::Vec;
use cam_types::{CasTime, DecodeError, EventId, Fen, Reader};

/// What the card says to an ECM: 4, 24, 36, 47 or 56 octets, 6 more
/// with [`EcmAnswer::update_by`]; more where a newer card adds elements.
///
/// What it gives out are ECWs, encrypted for the box's key ladder; they are no control words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EcmAnswer {
    /// May it be watched?
    pub status: AccessStatus,
    /// Bits [`EcmAnswer::OWNED`], [`EcmAnswer::PREVIEW`] and [`EcmAnswer::PIN_NEEDED`].
    pub flags: u8,
    /// Copy control.
    pub cci: Cci,
    /// Parental rating.
    pub rating: Rating,
    /// Even and odd, encrypted under K_cw. Present only when granted or in preview.
    pub ecw: Option<([u8; 16], [u8; 16])>,
    /// What can be bought.
    pub offer: Option<Offer>,
    /// The right that opened it.
    pub opened_by: Option<OpenedBy>,
    /// UPDATE_NEEDED: from this moment on it opens no more, unless an EMM comes before.
    pub update_by: Option<CasTime>,
}

impl EcmAnswer {
    /// Flag: the right was bought.
    pub const OWNED: u8 = 0x01;
    /// Flag: the ECWs are a preview's.
    pub const PREVIEW: u8 = 0x02;
    /// Flag: an offer follows. Set from `offer` when the answer is written.
    pub const OFFER: u8 = 0x04;
    /// Flag: to buy it the subscriber's PIN is needed.
    pub const PIN_NEEDED: u8 = 0x08;

    /// Flag: elements follow. Set from them when the answer is written.
    pub const ELEMENTS: u8 = 0x10;

    const FLAGS: u8 = 0x1F;
    /// What the answer's other parts say by themselves.
    const DERIVED: u8 = Self::OFFER | Self::ELEMENTS;

    /// A refusal without ECWs or offer.
    pub const fn refusal(status: AccessStatus, cci: Cci, rating: Rating) -> Self {
        Self {
            status,
            flags: 0,
            cci,
            rating,
            ecw: None,
            offer: None,
            opened_by: None,
            update_by: None,
        }
    }

    /// Takes the whole answer without its status word.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let status = AccessStatus(r.u8("access status")?);
        let flags = r.u8("ECM answer flags")?;
        if flags & !Self::FLAGS != 0 {
            return Err(DecodeError::Invalid { field: "ECM answer flags", got: flags.into() });
        }
        let cci = Cci(r.u8("cci")?);
        let rating = Rating(r.u8("rating")?);
        let ecw = if status.has_ecw() {
            Some((*r.array("even ECW")?, *r.array("odd ECW")?))
        } else {
            None
        };
        let has_offer = flags & Self::OFFER != 0;
        let offer = if has_offer { Some(Offer::read(&mut r)?) } else { None };
        let has_elements = flags & Self::ELEMENTS != 0;
        let (opened_by, update_by) =
            if has_elements { read_elements(&mut r)? } else { (None, None) };
        r.finish("ECM answer")?;
        let flags = flags & !Self::DERIVED;
        Ok(Self { status, flags, cci, rating, ecw, offer, opened_by, update_by })
    }

    /// Appends the answer. ECWs are written only when the status has them.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let offer_flag = if self.offer.is_some() { Self::OFFER } else { 0 };
        let has_elements = self.opened_by.is_some() || self.update_by.is_some();
        let elements_flag = if has_elements { Self::ELEMENTS } else { 0 };
        let flags = self.flags & Self::FLAGS & !Self::DERIVED | offer_flag | elements_flag;
        out.extend([self.status.0, flags, self.cci.0, self.rating.0]);
        if self.status.has_ecw() {
            let (even, odd) = self.ecw.unwrap_or_default();
            out.extend(even);
            out.extend(odd);
        }
        if let Some(offer) = &self.offer {
            offer.emit(out);
        }
        if let Some(opened_by) = &self.opened_by {
            opened_by.emit(out);
        }
        if let Some(at) = self.update_by {
            out.extend([UPDATE_NEEDED, 4]);
            out.extend(at.to_be_bytes());
        }
    }
}

/// The element that says until when an EMM has to come.
const UPDATE_NEEDED: u8 = 0x15;

/// Elements `tag1 len1 value` to the end of the answer, at least one. One that is not known is
/// passed over, so that a newer card can say more.
fn read_elements(r: &mut Reader<'_>) -> Result<(Option<OpenedBy>, Option<CasTime>), DecodeError> {
    let (mut opened_by, mut update_by) = (None, None);
    loop {
        let (tag, value) = element::read(
            r,
            ["element of an ECM answer", "length of an element", "value of an element"],
        )?;
        let mut value = Reader::new(value);
        let repeated = match tag {
            OpenedBy::TAG => opened_by.replace(OpenedBy::read(&mut value)?).is_some(),
            UPDATE_NEEDED => {
                let at = CasTime::from_be_bytes(*value.array("UPDATE_NEEDED")?);
                update_by.replace(at).is_some()
            }
            _ => {
                value.rest();
                false
            }
        };
        if repeated {
            let field = "repeated element of an ECM answer";
            return Err(DecodeError::Invalid { field, got: tag.into() });
        }
        value.finish("element of an ECM answer")?;
        if r.is_empty() {
            return Ok((opened_by, update_by));
        }
    }
}

/// OPENED_BY: the right that opened an ECM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenedBy {
    /// As in [`RightRow`](super::RightRow): package, event or slice of time.
    pub kind: u8,
    /// Package or event.
    pub id: u32,
    /// When the right ends.
    pub end: CasTime,
}

impl OpenedBy {
    const TAG: u8 = 0x10;
    const LEN: u8 = 9;

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: r.u8("kind of right")?,
            id: r.u32("package or event")?,
            end: CasTime::from_be_bytes(*r.array("end")?),
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend([Self::TAG, Self::LEN, self.kind]);
        out.extend(self.id.to_be_bytes());
        out.extend(self.end.to_be_bytes());
    }
}

/// What can be bought, 20 octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offer {
    /// [`Offer::PPV`] or [`Offer::PPT`].
    pub kind: u8,
    /// What is sold, by the operator's number.
    pub event: EventId,
    /// What it costs.
    pub price: Fen,
    /// Seconds of preview that are left.
    pub preview_s: u8,
    /// When the event begins; 0 for a slice of time.
    pub start: CasTime,
    /// When the right would end; 0 for a slice of time.
    pub end: CasTime,
    /// How long a slice is; 0 for an event.
    pub slice_s: u16,
}

impl Offer {
    /// One event, from its start to its end.
    pub const PPV: u8 = 1;
    /// A slice of time.
    pub const PPT: u8 = 2;

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = r.u8("offer kind")?;
        if !matches!(kind, Self::PPV | Self::PPT) {
            return Err(DecodeError::Invalid { field: "offer kind", got: kind.into() });
        }
        Ok(Self {
            kind,
            event: EventId::from_be_bytes(*r.array("event")?),
            price: Fen::from_be_bytes(*r.array("price")?),
            preview_s: r.u8("preview")?,
            start: CasTime::from_be_bytes(*r.array("start")?),
            end: CasTime::from_be_bytes(*r.array("end")?),
            slice_s: r.u16("slice")?,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.kind);
        out.extend(self.event.to_be_bytes());
        out.extend(self.price.to_be_bytes());
        out.push(self.preview_s);
        out.extend(self.start.to_be_bytes());
        out.extend(self.end.to_be_bytes());
        out.extend(self.slice_s.to_be_bytes());
    }
}

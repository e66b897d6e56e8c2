// SPDX-License-Identifier: Apache-2.0
//! Sessions: one for each programme that is watched or recorded, with its ECM streams and its
//! offers.

pub(crate) mod access;
pub(crate) mod error;
pub(crate) mod programme;
pub(crate) mod stream;

use crate::session::access::Access;
use crate::session::programme::{CardAbility, LeftOut, Programme};
use crate::session::stream::Stream;
use crate::{Offer, OfferId, OfferKind, SessionError, SessionId};
use alloc::vec::Vec;
use cam_types::{CasTime, Instant, Pid};
use ecm_emm::card::AccessStatus;

/// One programme that is watched or recorded.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) source: u8,
    pub(crate) programme: Programme,
    pub(crate) streams: Vec<Stream>,
    /// Why a component is left out, if one is.
    pub(crate) left_out: Option<LeftOut>,
    /// Offer sections, newest last.
    pub(crate) sealed: Vec<SealedOffer>,
    /// What was published last.
    pub(crate) access: Access,
    /// It came by CA_PMT, whose list management closes it.
    pub(crate) listed: bool,
}

/// What the streams that a session no longer uses leave in the descrambler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OldKeys {
    None,
    /// They are wiped before others are handed over.
    LeftBehind,
}

/// An offer section of table 88.
pub(crate) struct SealedOffer {
    pub(crate) offer: Offer,
    pub(crate) section: Vec<u8>,
}

impl Session {
    /// Offer sections that are held, at most.
    const MAX_SEALED: usize = 8;

    /// Chooses the ECM streams again: the programme or the card has changed. A stream that stays
    /// keeps its gate and its keys.
    pub(crate) fn choose_streams(&mut self, card: &[CardAbility]) -> OldKeys {
        let mut old = core::mem::take(&mut self.streams);
        let plan = self.programme.plan(card);
        self.left_out = plan.left_out;
        for plan in plan.streams {
            let stays = old.iter().position(|stream| stream.plan.goes_on_as(&plan));
            match stays {
                Some(at) => {
                    let mut stream = old.swap_remove(at);
                    stream.plan = plan;
                    self.streams.push(stream);
                }
                None => self.streams.push(Stream::new(plan)),
            }
        }
        match old.iter().any(|stream| stream.keys.is_some()) {
            true => OldKeys::LeftBehind,
            false => OldKeys::None,
        }
    }

    pub(crate) fn stream(&self, pid: Pid) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.plan.ecm_pid == pid)
    }

    /// Drops the keys of every stream. `true` when there were any.
    pub(crate) fn drop_keys(&mut self) -> bool {
        self.streams.iter_mut().filter_map(Stream::drop_keys).count() > 0
    }

    /// Several streams may offer the same event: it is one offer.
    pub(crate) fn offers(&self) -> impl Iterator<Item = (&Offer, &[u8])> + '_ {
        let of_ecms = self.streams.iter().enumerate().filter_map(|(at, stream)| {
            let offer = stream.offer.as_ref()?;
            let before = self.streams.iter().take(at).filter_map(|other| other.offer.as_ref());
            let first = before.clone().all(|other| other.id != offer.id);
            first.then_some((offer, stream.offer_section.as_slice()))
        });
        of_ecms.chain(self.sealed.iter().map(|sealed| (&sealed.offer, sealed.section.as_slice())))
    }

    /// Takes an offer section. Gives the offer when it is a new one.
    pub(crate) fn take_sealed(&mut self, section: &[u8], number: u32) -> Option<Offer> {
        let id = OfferId::new(number, self.id, OfferKind::Sealed);
        if let Some(known) = self.sealed.iter_mut().find(|sealed| sealed.offer.id == id) {
            // The same offer with fresh time: the card wants the newest.
            known.section.clear();
            known.section.extend_from_slice(section);
            return None;
        }
        if self.sealed.len() >= Self::MAX_SEALED {
            self.sealed.remove(0);
        }
        let offer = Offer {
            id,
            session: self.id,
            kind: OfferKind::Sealed,
            event: None,
            price: None,
            start: CasTime::default(),
            end: CasTime::default(),
            preview_s: 0,
            slice_s: 0,
            owned: false,
            pin_needed: true,
        };
        self.sealed.push(SealedOffer { offer, section: section.to_vec() });
        Some(offer)
    }

    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.streams.iter().filter_map(|stream| stream.deadline(now)).min()
    }
}

/// The places of sessions.
pub(crate) struct Sessions {
    places: Vec<Place>,
    max: usize,
}

struct Place {
    generation: u16,
    session: Option<Session>,
}

impl Sessions {
    /// An id has 8 bits for the place.
    const MAX: usize = 255;

    pub(crate) fn new(max: usize) -> Self {
        Self { places: Vec::new(), max: max.clamp(1, Self::MAX) }
    }

    pub(crate) fn open(
        &mut self,
        source: u8,
        programme: Programme,
        card: &[CardAbility],
    ) -> Result<&mut Session, SessionError> {
        let free = self.places.iter().position(|place| place.session.is_none());
        let at = match free {
            Some(at) => at,
            None if self.places.len() < self.max => {
                self.places.push(Place { generation: 0, session: None });
                self.places.len() - 1
            }
            None => return Err(SessionError::Full { max: self.max }),
        };
        let place = self.places.get_mut(at).ok_or(SessionError::Full { max: self.max })?;
        place.generation = place.generation.checked_add(1).unwrap_or(1);
        let mut session = Session {
            id: SessionId(u32::from(place.generation) << 8 | at as u32),
            source,
            programme,
            streams: Vec::new(),
            left_out: None,
            sealed: Vec::new(),
            access: Access::of(AccessStatus::PENDING),
            listed: false,
        };
        session.choose_streams(card);
        Ok(place.session.insert(session))
    }

    pub(crate) fn close(&mut self, id: SessionId) -> Option<Session> {
        self.places
            .iter_mut()
            .find(|place| place.session.as_ref().is_some_and(|session| session.id == id))
            .and_then(|place| place.session.take())
    }

    pub(crate) fn find(&self, id: SessionId) -> Option<&Session> {
        let session = self.places.get((id.0 & 0xFF) as usize)?.session.as_ref()?;
        (session.id == id).then_some(session)
    }

    pub(crate) fn find_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let session = self.places.get_mut((id.0 & 0xFF) as usize)?.session.as_mut()?;
        (session.id == id).then_some(session)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> + '_ {
        self.places.iter().filter_map(|place| place.session.as_ref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> + '_ {
        self.places.iter_mut().filter_map(|place| place.session.as_mut())
    }

    /// The sessions that use this ECM stream.
    pub(crate) fn streams_mut(
        &mut self,
        source: u8,
        pid: Pid,
    ) -> impl Iterator<Item = &mut Stream> + '_ {
        self.iter_mut()
            .filter(move |session| session.source == source)
            .flat_map(|session| session.streams.iter_mut())
            .filter(move |stream| stream.plan.ecm_pid == pid)
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The places of sessions, and what concerns all of them.

use crate::ecm::question::Question;
use crate::outbox::Outbox;
use crate::session::access::{Access, Terms};
use crate::session::programme::{CardAbility, Plan, Programme};
use crate::session::stream::Stream;
use crate::session::told::Told;
use crate::session::{Reached, Session};
use crate::{SessionError, SessionId, Stats};
use alloc::vec::Vec;
use cam_types::{ChannelId, Instant, Pid};
use ecm_emm::card::AccessStatus;

/// The places of sessions.
pub(crate) struct Sessions {
    places: Vec<Place>,
    max: usize,
    /// Of the last card that introduced itself; kept while it is out.
    card: Vec<CardAbility>,
}

struct Place {
    generation: u16,
    session: Option<Session>,
}

impl Sessions {
    /// An id has 8 bits for the place.
    const MAX: usize = 255;

    pub(crate) fn new(max: usize) -> Self {
        Self { places: Vec::new(), max: max.clamp(1, Self::MAX), card: Vec::new() }
    }

    pub(crate) fn open(
        &mut self,
        source: u8,
        programme: Programme,
    ) -> Result<SessionId, SessionError> {
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
            on_sale: Vec::new(),
            standing: None,
            terms: Terms::default(),
            listed: false,
        };
        session.choose_streams(&self.card);
        Ok(place.session.insert(session).id)
    }

    /// Gives a session another table. `false` when that says nothing new.
    pub(crate) fn update(
        &mut self,
        id: SessionId,
        programme: Programme,
        out: &mut Outbox,
        stats: &mut Stats,
    ) -> bool {
        let Self { places, card, .. } = self;
        let Some(session) = in_its_place(places, id) else { return false };
        let new = session.programme != programme;
        if new {
            session.update(programme, card, out, stats);
        }
        new
    }

    /// Closes a session and wipes its keys.
    pub(crate) fn close(
        &mut self,
        id: SessionId,
        out: &mut Outbox,
        stats: &mut Stats,
    ) -> Result<(), SessionError> {
        let holds = |session: &mut Session| session.id == id;
        let mut closed = self.places.iter_mut().find_map(|place| place.session.take_if(holds));
        closed.as_mut().ok_or(SessionError::Unknown)?.wipe(out, stats);
        Ok(())
    }

    /// The card has introduced itself, perhaps as another one.
    pub(crate) fn card_can(
        &mut self,
        abilities: impl Iterator<Item = CardAbility> + Clone,
        out: &mut Outbox,
        stats: &mut Stats,
    ) {
        if abilities.clone().eq(self.card.iter().copied()) {
            return;
        }
        self.card = abilities.collect();
        for session in self.places.iter_mut().filter_map(|place| place.session.as_mut()) {
            session.card_differs(&self.card, out, stats);
        }
    }

    /// What a session would do about this programme.
    pub(crate) fn plan(&self, programme: &Programme) -> Plan {
        programme.plan(&self.card)
    }

    pub(crate) fn find(&self, id: SessionId) -> Option<&Session> {
        let session = self.places.get((id.0 & 0xFF) as usize)?.session.as_ref()?;
        (session.id == id).then_some(session)
    }

    pub(crate) fn find_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        in_its_place(&mut self.places, id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> + '_ {
        self.places.iter().filter_map(|place| place.session.as_ref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> + '_ {
        self.places.iter_mut().filter_map(|place| place.session.as_mut())
    }

    /// The streams of all sessions.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &Stream> + '_ {
        self.iter().flat_map(Session::streams)
    }

    pub(crate) fn streams_mut(&mut self) -> impl Iterator<Item = &mut Stream> + '_ {
        self.iter_mut().flat_map(Session::streams_mut)
    }

    /// Those that use this ECM stream.
    pub(crate) fn streams_on(
        &mut self,
        source: u8,
        pid: Pid,
    ) -> impl Iterator<Item = &mut Stream> + '_ {
        self.iter_mut()
            .filter(move |session| session.source() == source)
            .flat_map(Session::streams_mut)
            .filter(move |stream| stream.plan().ecm_pid == pid)
    }

    /// Of the streams here in which this section waits: what channel one of them expects, for which
    /// the card has judged the same section on another stream, and what it said.
    pub(crate) fn told_before(
        &self,
        source: u8,
        pid: Pid,
        section: &[u8],
    ) -> Option<(Option<ChannelId>, Told)> {
        let here = self.iter().filter(|session| session.source() == source);
        let mut waiting = here
            .flat_map(Session::streams)
            .filter(|stream| stream.plan().ecm_pid == pid && stream.has_waiting(section));
        waiting.find_map(|waiting| {
            let channel = waiting.plan().channel;
            let same =
                |stream: &&Stream| stream.plan().channel == channel && stream.stands(section);
            let told = self.streams().filter(same).find_map(Stream::told)?;
            Some((channel, told))
        })
    }

    /// What the card said of an authentic ECM goes to every stream that has it.
    pub(crate) fn judged(
        &mut self,
        now: Instant,
        question: Question<'_>,
        told: &Told,
        out: &mut Outbox,
        stats: &mut Stats,
    ) -> Reached {
        let sessions = self.iter_mut();
        sessions.fold(Reached::default(), |reached, session| {
            reached.and(session.judged(now, question, told, out, stats))
        })
    }
}

fn in_its_place(places: &mut [Place], id: SessionId) -> Option<&mut Session> {
    let session = places.get_mut((id.0 & 0xFF) as usize)?.session.as_mut()?;
    (session.id == id).then_some(session)
}

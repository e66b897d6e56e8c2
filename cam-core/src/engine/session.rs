// SPDX-License-Identifier: Apache-2.0
//! Sessions and tables: opening and closing, the filters wanted, the access shown.

use crate::emm::streams::{EmmStreams, Fits};
use crate::filter::{ecm_filters, emm_filters};
use crate::session::programme::{LeftOut, Programme};
use crate::session::stream::Stream;
use crate::session::{OldKeys, Session};
use crate::{Access, AccessState, Card, CardState, Engine, Event, Filter, SessionError, SessionId};
use alloc::vec::Vec;
use cam_types::Instant;
use ecm_emm::card::AccessStatus;
use ecm_emm::cat::Cat;

impl Engine {
    /// Opens a session for the programme of this PMT section.
    pub fn session_open(
        &mut self,
        now: Instant,
        source: u8,
        pmt: &[u8],
    ) -> Result<SessionId, SessionError> {
        let programme = self.programme(pmt)?;
        let id = self.open(source, programme)?;
        self.turn(now);
        Ok(id)
    }

    /// The programme's PMT has changed.
    pub fn session_update(
        &mut self,
        now: Instant,
        session: SessionId,
        pmt: &[u8],
    ) -> Result<(), SessionError> {
        let number = self.sessions.find(session).ok_or(SessionError::Unknown)?.programme.number;
        let programme = self.programme(pmt)?;
        if programme.number != number {
            return Err(SessionError::OtherProgramme { session: number, got: programme.number });
        }
        self.update(session, programme);
        self.turn(now);
        Ok(())
    }

    /// Closes a session and wipes its keys.
    pub fn session_close(&mut self, now: Instant, session: SessionId) -> Result<(), SessionError> {
        self.close(session)?;
        self.turn(now);
        Ok(())
    }

    fn programme(&mut self, pmt: &[u8]) -> Result<Programme, SessionError> {
        Programme::of_pmt(pmt, &self.config.ca_system_ids).inspect_err(|why| {
            self.stats.table_malformed += u64::from(matches!(why, SessionError::Table(_)));
        })
    }

    pub(crate) fn open(
        &mut self,
        source: u8,
        programme: Programme,
    ) -> Result<SessionId, SessionError> {
        let id = self.sessions.open(source, programme, &self.abilities)?.id;
        self.filters_stale = true;
        Ok(id)
    }

    pub(crate) fn update(&mut self, id: SessionId, programme: Programme) {
        let Some(session) = self.sessions.find_mut(id) else { return };
        if session.programme == programme {
            return;
        }
        session.programme = programme;
        let old = session.choose_streams(&self.abilities);
        self.rekey(id, old);
        self.filters_stale = true;
    }

    /// The streams of a session are others now: the descrambler gets the keys for the new ones.
    pub(crate) fn rekey(&mut self, id: SessionId, old: OldKeys) {
        let Some(session) = self.sessions.find_mut(id) else { return };
        if old == OldKeys::LeftBehind {
            self.stats.cw_cleared += 1;
            self.out.push_clear(id);
        }
        session.hand_out_keys(&mut self.out);
    }

    pub(crate) fn close(&mut self, id: SessionId) -> Result<(), SessionError> {
        let mut session = self.sessions.close(id).ok_or(SessionError::Unknown)?;
        session.wipe(&mut self.out, &mut self.stats);
        self.filters_stale = true;
        Ok(())
    }

    /// A section of the CAT: where EMMs of ours are.
    pub(crate) fn cat(&mut self, source: u8, section: &[u8]) {
        let cat = match Cat::parse(section) {
            Ok(cat) if cat.current => cat,
            Ok(_) => return,
            Err(why) => {
                log::warn!("malformed CAT: {why}");
                self.stats.table_malformed += 1;
                return;
            }
        };
        if self.emm_streams.take(source, &cat, &self.config.ca_system_ids) == Fits::Not {
            let served = EmmStreams::MAX;
            self.out.event(Event::EmmStreamsLeftOut { source, served });
        }
        self.filters_stale = true;
    }

    pub(crate) fn wanted_filters(&self) -> Vec<Filter> {
        let mut filters = Vec::new();
        for session in self.sessions.iter() {
            for stream in session.streams() {
                ecm_filters(session.source, stream.plan.ecm_pid, &mut filters);
            }
        }
        let groups = self.groups.as_slice();
        let card = self.address.map(|address| (address, groups));
        for (source, pid) in self.emm_streams.iter() {
            emm_filters(source, pid, self.config.stb_id, card, &mut filters);
        }
        filters
    }

    /// The card has introduced itself, perhaps as another one.
    pub(crate) fn choose_all_streams(&mut self) {
        let ids: Vec<SessionId> = self.sessions.iter().map(|session| session.id).collect();
        for id in ids {
            let Some(session) = self.sessions.find_mut(id) else { continue };
            let old = session.choose_streams(&self.abilities);
            if old == OldKeys::LeftBehind {
                self.rekey(id, old);
            }
        }
        self.filters_stale = true;
    }

    pub(crate) fn publish_access(&mut self, now: Instant) {
        self.publish_modes();
        for session in self.sessions.iter_mut() {
            session.streams_mut().iter_mut().for_each(|stream| stream.listen(now));
            // What was told stands until the descrambler has answered.
            if session.streams().iter().any(Stream::awaits_descrambler) {
                continue;
            }
            let settles = self.ledger.settles(session.id);
            let access = session_access(session, &self.card, settles, now);
            if access != session.access {
                session.access = access;
                self.out.event(Event::Access { session: session.id, access });
            }
        }
    }
}

/// What a session shows: of several ECM streams the one that is worst off.
fn session_access(session: &Session, card: &Card, settles: bool, now: Instant) -> Access {
    let offers = session.offers().count().min(255) as u8;
    let worst = session.streams().iter().max_by_key(|stream| AccessState::of(stream.status(now)));
    let Some(stream) = worst else {
        return Access { offers, ..Access::of(card.unserved(session.left_out())) };
    };
    let dark = stream.keys().is_none();
    let (served, sw) = match card.state {
        CardState::Ready | CardState::Starting if dark && settles => {
            (AccessStatus::OUTCOME_UNKNOWN, card.sw)
        }
        CardState::Ready => (stream.status(now), stream.sw()),
        // While a card is started again its last word holds as long as its keys do.
        CardState::Starting if dark => (AccessStatus::PENDING, card.sw),
        CardState::Starting => (stream.status(now), stream.sw()),
        CardState::Absent | CardState::Unusable | CardState::Unpaired => (card.reason, card.sw),
    };
    // While a card is started again, what it is not for stands as its last word does.
    let told = session.left_out().filter(|why| !dark || card.tells(*why));
    let reason = with_left_out(served, told);
    let word = stream.word();
    let mut access = Access {
        sw,
        ca_system_id: Some(stream.plan.system),
        operator: stream.plan.operator,
        offers,
        crypto_period: stream.keys_in_use().map(|keys| keys.crypto_period),
        ..Access::of(reason)
    };
    if served == word.status {
        access.cci = word.cci;
        access.rating = word.rating;
        access.pin_needed = word.pin_needed;
        access.expires = word.expires;
        access.settle_remedy();
    }
    access
}

/// A refusal of what is served comes first: that is what the viewer can change. Then a component
/// that is left out.
pub(crate) fn with_left_out(served: AccessStatus, left_out: Option<LeftOut>) -> AccessStatus {
    match AccessState::of(served) {
        AccessState::Granted | AccessState::Preview | AccessState::Pending => {
            left_out.map_or(served, LeftOut::reason)
        }
        _ => served,
    }
}

impl Card {
    /// Why a programme of which no ECM stream is used stands as it does.
    pub(crate) fn unserved(&self, left_out: Option<LeftOut>) -> AccessStatus {
        match left_out {
            None => AccessStatus::CLEAR,
            Some(why) if self.tells(why) => why.reason(),
            Some(_) => self.reason,
        }
    }

    /// What a card is not for is said only while there is a card.
    pub(crate) fn tells(&self, left_out: LeftOut) -> bool {
        self.state == CardState::Ready || !left_out.is_by_card()
    }
}

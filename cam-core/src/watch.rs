//! Sessions and tables: opening and closing, the filters wanted, the access shown.

use alloc::vec::Vec;

use cam_types::{CasTime, Instant, Pid};
use ecm_emm::ca_pmt::{CaPmt, CommandId, ListManagement};
use ecm_emm::card::{AccessStatus, RightRow};
use ecm_emm::cat::Cat;

use crate::filter::{ecm_filters, emm_filters};
use crate::outbox::{Outbox, Todo};
use crate::programme::Programme;
use crate::session::Session;
use crate::stream::Stream;
use crate::{
    Access, AccessState, CaPmtReply, Card, CardState, Engine, Event, Filter, SessionError,
    SessionId,
};

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
        self.sessions.find(session).ok_or(SessionError::Unknown)?;
        let programme = self.programme(pmt)?;
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

    /// Takes an EN 50221 CA_PMT object, list management included.
    pub fn ca_pmt(
        &mut self,
        now: Instant,
        source: u8,
        object: &[u8],
    ) -> Result<CaPmtReply, SessionError> {
        let object = CaPmt::parse(object).map_err(|why| {
            self.stats.table_malformed += 1;
            SessionError::Table(why)
        })?;
        let programme = Programme::of_ca_pmt(&object, &self.config.ca_system_ids);
        let listed = |session: &Session| session.listed && session.source == source;
        // "first" and "only" begin a new list: what the old one held and the new one does not repeat
        // ends (EN 50221 §8.4.3.4). A list is taken up programme by programme, so an old session
        // of this programme goes on.
        if matches!(object.list_management, ListManagement::FIRST | ListManagement::ONLY) {
            let gone: Vec<SessionId> = self
                .sessions
                .iter()
                .filter(|session| listed(session) && session.programme.number != programme.number)
                .map(|session| session.id)
                .collect();
            for id in gone {
                self.close(id)?;
            }
        }
        let known = self
            .sessions
            .iter()
            .find(|session| listed(session) && session.programme.number == programme.number)
            .map(|session| session.id);
        let mut infos = object.program.iter().chain(object.streams.iter().flat_map(|s| &s.info));
        let first_command = infos.next().map(|info| info.command);
        let reply = match first_command {
            Some(CommandId::NOT_SELECTED) => {
                if let Some(id) = known {
                    self.close(id)?;
                }
                CaPmtReply { session: None, ca_enable: 0 }
            }
            Some(CommandId::QUERY) => {
                let plan = programme.plan(&self.abilities);
                let technical = self.card.state != CardState::Ready;
                let ca_enable = match (plan.is_empty() && programme.scrambled, technical) {
                    (true, _) => 0x71,
                    (false, true) => 0x73,
                    (false, false) => 0x01,
                };
                CaPmtReply { session: None, ca_enable }
            }
            _ => {
                let id = match known {
                    Some(id) => {
                        self.update(id, programme);
                        id
                    }
                    None => self.open(source, programme)?,
                };
                if let Some(session) = self.sessions.find_mut(id) {
                    session.listed = true;
                }
                CaPmtReply { session: Some(id), ca_enable: 0x01 }
            }
        };
        self.turn(now);
        Ok(reply)
    }

    fn programme(&mut self, pmt: &[u8]) -> Result<Programme, SessionError> {
        Programme::of_pmt(pmt, &self.config.ca_system_ids).map_err(|why| {
            self.stats.table_malformed += 1;
            SessionError::Table(why)
        })
    }

    fn open(&mut self, source: u8, programme: Programme) -> Result<SessionId, SessionError> {
        let id = self.sessions.open(source, programme, &self.abilities)?.id;
        self.filters_stale = true;
        Ok(id)
    }

    fn update(&mut self, id: SessionId, programme: Programme) {
        let Some(session) = self.sessions.find_mut(id) else { return };
        if session.programme == programme {
            return;
        }
        session.programme = programme;
        let keys_left = session.choose_streams(&self.abilities);
        self.rekey(id, keys_left);
        self.filters_stale = true;
    }

    /// The streams of a session are others now: the descrambler gets the keys for the new ones.
    pub(crate) fn rekey(&mut self, id: SessionId, wipe_first: bool) {
        let Some(session) = self.sessions.find(id) else { return };
        if wipe_first {
            self.stats.cw_cleared += 1;
            self.out.push_clear(id);
        }
        hand_out_keys(session, &mut self.out);
    }

    fn close(&mut self, id: SessionId) -> Result<(), SessionError> {
        let mut session = self.sessions.close(id).ok_or(SessionError::Unknown)?;
        if session.drop_keys() {
            self.stats.cw_cleared += 1;
            self.out.push_clear(id);
        }
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
        // The sections of a CAT after the first add to it.
        if cat.number.0 == 0 {
            self.emm_streams.retain(|(of, _)| *of != source);
        }
        for descriptor in cat.descriptors.ca_descriptors() {
            let stream = (source, descriptor.pid);
            if self.config.ca_system_ids.contains(&descriptor.system)
                && descriptor.pid != Pid::NULL
                && self.emm_streams.len() < Self::MAX_EMM_STREAMS
                && !self.emm_streams.contains(&stream)
            {
                self.emm_streams.push(stream);
            }
        }
        self.filters_stale = true;
    }

    const MAX_EMM_STREAMS: usize = 64;

    pub(crate) fn wanted_filters(&self) -> Vec<Filter> {
        let mut filters = Vec::new();
        for session in self.sessions.iter() {
            for stream in &session.streams {
                ecm_filters(session.source, stream.plan.ecm_pid, &mut filters);
            }
        }
        let groups = self.groups.as_slice();
        let card = self.address.map(|address| (address, groups));
        for (source, pid) in &self.emm_streams {
            emm_filters(*source, *pid, self.config.stb_id, card, &mut filters);
        }
        filters
    }

    /// The card has introduced itself, perhaps as another one.
    pub(crate) fn choose_all_streams(&mut self) {
        let ids: Vec<SessionId> = self.sessions.iter().map(|session| session.id).collect();
        for id in ids {
            let Some(session) = self.sessions.find_mut(id) else { continue };
            if session.choose_streams(&self.abilities) {
                self.rekey(id, true);
            }
        }
        self.filters_stale = true;
    }

    pub(crate) fn publish_access(&mut self, now: Instant) {
        for session in self.sessions.iter_mut() {
            session.streams.iter_mut().for_each(|stream| stream.air.listen(now));
            let settles = self.ledger.settles(session.id);
            let access = session_access(session, &self.card, settles, &self.rights, now);
            if access != session.access {
                session.access = access;
                self.out.event(Event::Access { session: session.id, access });
            }
        }
    }
}

/// The descrambler gets the keys of every stream that has any.
pub(crate) fn hand_out_keys(session: &Session, out: &mut Outbox) {
    for stream in session.streams.iter().filter(|stream| stream.keys.is_some()) {
        out.push(Todo::Set { session: session.id, pid: stream.plan.ecm_pid });
    }
}

/// What a session shows: of several ECM streams the one that is worst off.
fn session_access(
    session: &Session,
    card: &Card,
    settles: bool,
    rights: &[RightRow],
    now: Instant,
) -> Access {
    let offers = session.offers().count().min(255) as u8;
    let worst = session.streams.iter().max_by_key(|stream| AccessState::of(stream.status(now)));
    let Some(stream) = worst else {
        let reason = if session.programme.scrambled {
            AccessStatus::UNKNOWN_OPERATOR
        } else {
            AccessStatus::CLEAR
        };
        return Access { offers, ..Access::of(reason) };
    };
    let dark = stream.keys.is_none();
    let (reason, sw) = match card.state {
        CardState::Ready | CardState::Starting if dark && settles => {
            (AccessStatus::OUTCOME_UNKNOWN, card.sw)
        }
        CardState::Ready => (stream.status(now), stream.sw),
        // While a card is started again its last word holds as long as its keys do.
        CardState::Starting if dark => (AccessStatus::PENDING, card.sw),
        CardState::Starting => (stream.status(now), stream.sw),
        CardState::Absent | CardState::Unusable | CardState::Unpaired => (card.reason, card.sw),
    };
    let word = stream.word;
    let mut access = Access {
        sw,
        ca_system_id: Some(stream.plan.system),
        operator: stream.plan.operator,
        offers,
        crypto_period: stream.keys_in_use().map(|keys| keys.crypto_period),
        ..Access::of(reason)
    };
    if reason == word.status {
        access.cci = word.cci;
        access.rating = word.rating;
        access.pin_needed = word.pin_needed;
        access.expires = expiry(stream, rights);
        access.settle_remedy();
    }
    access
}

/// When the right ends that granted.
fn expiry(stream: &Stream, rights: &[RightRow]) -> Option<CasTime> {
    let kind = match stream.word.status {
        AccessStatus::GRANTED_SUBSCRIPTION => RightRow::PACKAGE,
        AccessStatus::GRANTED_EVENT | AccessStatus::GRANTED_TIER => RightRow::EVENT,
        AccessStatus::GRANTED_TIME => RightRow::SLICE,
        _ => return None,
    };
    let event = stream.offer.and_then(|offer| offer.event).filter(|_| kind != RightRow::PACKAGE);
    rights
        .iter()
        .filter(|right| right.kind == kind)
        // A number that is no slot: the right was given for any (`docs/spec/card.md`).
        .filter(|right| right.slot == stream.word.slot.value() || right.slot > 15)
        .filter(|right| event.is_none_or(|event| event.value() == right.id))
        .map(|right| right.end)
        .max()
}

// SPDX-License-Identifier: Apache-2.0
//! Sessions: opening and closing them by their PMT, and the access shown.

use crate::session::programme::Programme;
use crate::session::sale::Sale;
use crate::session::shown::session_access;
use crate::session::stream::Stream;
use crate::{Engine, SessionError, SessionId};
use cam_types::Instant;

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
        let number = self.sessions.find(session).ok_or(SessionError::Unknown)?.programme().number();
        let programme = self.programme(pmt)?;
        if programme.number() != number {
            return Err(SessionError::OtherProgramme { session: number, got: programme.number() });
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
        let id = self.sessions.open(source, programme)?;
        self.filters.outdated();
        Ok(id)
    }

    pub(crate) fn update(&mut self, id: SessionId, programme: Programme) {
        if self.sessions.update(id, programme, &mut self.out, &mut self.stats) {
            self.filters.outdated();
        }
    }

    pub(crate) fn close(&mut self, id: SessionId) -> Result<(), SessionError> {
        self.sessions.close(id, &mut self.out, &mut self.stats)?;
        self.filters.outdated();
        Ok(())
    }

    pub(crate) fn publish_offers(&mut self) {
        let told = self.card.now.is_some() && !self.purchases.number_is_unread();
        let sale = Sale::by(self.card.state, told);
        for session in self.sessions.iter_mut() {
            session.sell(sale, &mut self.out);
        }
    }

    pub(crate) fn publish_access(&mut self, now: Instant) {
        self.publish_modes();
        for session in self.sessions.iter_mut() {
            session.streams_mut().iter_mut().for_each(|stream| stream.listen(now));
            // What was told stands until the descrambler has answered.
            if session.streams().iter().any(Stream::awaits_descrambler) {
                continue;
            }
            let card = self.card.pseudonym;
            let settles = session.offers().any(|(offer, _)| self.purchases.settles(offer, card));
            let access = session_access(session, &self.card, settles, now);
            session.show(access, &mut self.out);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What the descrambler is handed, and what it made of it: the ladder's keys and ECWs.

use crate::engine::Engine;
use crate::{Ecw, Handover, ScramblingMode, SessionId};
use cam_types::{Instant, Parity, Pid};

impl Engine {
    pub(crate) fn ecw(&self, session: SessionId, pid: Pid) -> Option<Ecw<'_>> {
        let session = self.sessions.find(session)?;
        let stream = session.stream(pid)?;
        let keys = stream.keys()?;
        Some(Ecw {
            session: session.id(),
            source: session.source(),
            ecm_pid: stream.plan().ecm_pid,
            es_pids: &stream.plan().es_pids,
            mode: ScramblingMode::of(session.programme().signalled(), keys.kind),
            even: &keys.even,
            odd: &keys.odd,
            crypto_period: keys.crypto_period,
            parity: Parity::of_crypto_period(keys.crypto_period),
            cci: keys.cci,
            preview: keys.preview,
        })
    }

    /// Without the ladder's keys no ECW opens.
    pub(crate) fn ladder_handed(&mut self, now: Instant, handover: Handover) {
        self.pairings.ladder_handed(handover);
        if handover == Handover::Refused {
            self.out.withdraw_cw();
        }
        for session in self.sessions.iter_mut() {
            let id = session.id();
            for stream in session.streams_mut() {
                stream.ladder_handed(now, id, handover, &mut self.out);
            }
        }
    }

    /// A ladder without its keys opens no ECW, whatever is said of it.
    pub(crate) fn cw_handed(
        &mut self,
        now: Instant,
        session: SessionId,
        ecm_pid: Pid,
        handover: Handover,
    ) {
        let Some(session) = self.sessions.find_mut(session) else { return };
        let refused = self.pairings.ladder_is_refused();
        let handover = if refused { Handover::Refused } else { handover };
        let streams = session.streams_mut().iter_mut();
        streams
            .filter(|stream| stream.plan().ecm_pid == ecm_pid)
            .for_each(|stream| stream.cw_handed(now, handover));
    }

    /// This ECM is repeated on air: where its ECWs were refused, they are handed over again.
    pub(crate) fn hand_over_again(&mut self, now: Instant, source: u8, section: &[u8]) {
        for session in self.sessions.iter_mut().filter(|session| session.source() == source) {
            let id = session.id();
            let streams = session.streams_mut().iter_mut();
            streams
                .filter(|stream| stream.refused_long_ago(now) && stream.stands(section))
                .for_each(|stream| stream.hand_over(id, &mut self.out));
        }
    }

    /// The card says nothing, and may have been pulled: the descrambler's keys go.
    pub(crate) fn withhold_keys(&mut self) {
        log::info!("the card says nothing, the keys wait for its answer");
        let Self { sessions, out, stats, .. } = self;
        out.withdraw_cw();
        sessions.iter_mut().for_each(|session| session.withhold(out, stats));
    }

    /// It was there all the time: what was taken away comes back, where the session is still the
    /// same.
    pub(crate) fn give_keys_back(&mut self) {
        if self.dialogue.withholds_keys() && self.dialogue.has_session() {
            self.dialogue.keys_settled();
            let Self { sessions, out, .. } = self;
            sessions.iter_mut().for_each(|session| session.give_back(out));
        }
    }

    /// Another card may be in by now, or the session is over: keys come with the next ECM.
    pub(crate) fn forget_withheld_keys(&mut self) {
        if self.dialogue.withholds_keys() {
            self.dialogue.keys_settled();
            self.wipe_all();
        }
    }

    /// Wipes the keys of all sessions. What they were asked stays, to be asked again.
    pub(crate) fn wipe_all(&mut self) {
        let Self { sessions, out, stats, .. } = self;
        sessions.iter_mut().for_each(|session| session.forget_card(out, stats));
    }
}

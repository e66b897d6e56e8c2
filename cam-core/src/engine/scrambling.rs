// SPDX-License-Identifier: Apache-2.0
//! Tells the middleware where a PMT signals another scrambling mode than the control words are for.

use crate::session::stream::Disagreement;
use crate::{Engine, Event};

impl Engine {
    /// Tells where a signalled mode contradicts the control words: once, and again when it changes.
    pub(crate) fn publish_modes(&mut self) {
        for session in self.sessions.iter_mut() {
            let signalled = session.programme().signalled();
            let id = session.id();
            for stream in session.streams_mut() {
                if let Some(Disagreement { signalled, used }) = stream.disagreement(signalled) {
                    let ecm_pid = stream.plan().ecm_pid;
                    self.out.event(Event::ModeDisagrees { session: id, ecm_pid, signalled, used });
                }
            }
        }
    }
}

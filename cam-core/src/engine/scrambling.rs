// SPDX-License-Identifier: Apache-2.0
//! Tells the middleware where a PMT signals another scrambling mode than the control words are for.

use crate::session::stream::Disagreement;
use crate::{Engine, Event, ScramblingMode};

impl Engine {
    /// Tells where a signalled mode contradicts the control words: once, and again when it changes.
    pub(crate) fn publish_modes(&mut self) {
        for session in self.sessions.iter_mut() {
            let signalled = session.programme.signalled;
            for stream in &mut session.streams {
                let Some(keys) = &stream.keys else { continue };
                let used = ScramblingMode::of(signalled, keys.words);
                let disagreement = signalled
                    .filter(|signalled| *signalled != used)
                    .map(|signalled| Disagreement { signalled, used });
                if core::mem::replace(&mut stream.disagreement, disagreement) == disagreement {
                    continue;
                }
                if let Some(Disagreement { signalled, used }) = disagreement {
                    let ecm_pid = stream.plan.ecm_pid;
                    let session = session.id;
                    self.out.event(Event::ModeDisagrees { session, ecm_pid, signalled, used });
                }
            }
        }
    }
}

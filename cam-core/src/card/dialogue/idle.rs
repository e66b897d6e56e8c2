// SPDX-License-Identifier: Apache-2.0
//! An idle card, where nothing detects it: when it is asked for a sign of life, and how.
//!
//! Where the line can ask by itself it does, which moves no session. So a sign that may be another
//! card's is followed by a command, which only the card of the session can answer.

use super::{CardDialogue, Flight};
use crate::card::exchange::Exchange;
use crate::{Probed, SignOfLife};
use cam_types::Instant;

impl CardDialogue {
    /// How the card is asked for a sign of life, if it was idle for so long that it is. A doubtful
    /// one is asked by a command, at once.
    pub(crate) fn sign_of_life(&self, now: Instant) -> Option<SignOfLife> {
        if self.doubtful {
            return Some(SignOfLife::Command);
        }
        self.poll_at().filter(|at| now >= *at).map(|_| self.sign_of_life)
    }

    /// A sign of life that is due lets an ECM go first that comes by then, but for no longer than
    /// another idle poll period. `true` while it does; one that is doubted waits for nothing.
    pub(crate) fn lets_pass(&mut self, now: Instant, due: Option<Instant>) -> bool {
        let latest = self.poll_at().zip(self.poll).map(|(at, idle)| at.after(idle));
        self.held = due.min(latest).filter(|until| now < *until && !self.doubtful);
        self.held.is_some()
    }

    /// The card is asked for a sign of life by no command.
    pub(crate) fn probe(&mut self) {
        self.fly(Exchange::Probe);
    }

    /// It has given one. `true` if it was asked for, and is beyond doubt.
    pub(crate) fn probed(&mut self, now: Instant, probed: Probed) -> bool {
        if !self.is_probing() {
            return false;
        }
        let alive = probed == Probed::Alive;
        if alive {
            self.silence.answered(now);
        }
        self.drop_flight(now);
        self.doubtful = !alive;
        alive
    }

    /// What is on the line is no command.
    pub(crate) const fn is_probing(&self) -> bool {
        matches!(self.flight, Some(Flight::Asked(Exchange::Probe)))
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What follows an invalid block, or none: how often is asked again, and when a card is given up
//! (rules 6.4, 7 and 8).
use super::{ATTEMPTS, Last, Phase, T1};
use crate::doors::Out;
use crate::emv::Profile;
use crate::t1::{Block, Fault, Supervisory, T1Error};
use cam_types::Instant;

/// Waiting times in a row without one octet after which a card on a line that has shown no fault is
/// gone: what noise does to a block, some noise shows (rule 7.4 has a most, and no least).
const SILENCES: u8 = 2;

impl T1 {
    /// Not one octet in the time that the card has. EMV counts attempts alone, and an offer that
    /// nobody answers ends with the old size (rule 8).
    pub(super) fn unheard(&mut self, now: Instant) {
        self.silences = self.silences.saturating_add(1);
        let counts_attempts = self.noisy || self.profile == Profile::EmvLevel1;
        if self.silences < SILENCES || counts_attempts || matches!(self.phase, Phase::Announcing(_))
        {
            return self.invalid(now, Fault::Other);
        }
        self.finish(Out::Failed(T1Error::Silent));
    }

    /// An invalid block, or none in time (rules 7.1 to 7.3).
    pub(super) fn invalid(&mut self, now: Instant, fault: Fault) {
        self.noisy |= self.silences == 0;
        self.wtx = 1;
        self.tries += 1;
        if self.tries >= ATTEMPTS {
            return self.give_up(now);
        }
        match self.last {
            Last::Request | Last::R => self.transmit_again(now),
            Last::I | Last::Response { .. } => self.send_r(now, fault),
        }
    }

    /// Three attempts were in vain (rules 6.4 and 7.4).
    pub(super) fn give_up(&mut self, now: Instant) {
        self.tries = 0;
        match self.phase {
            _ if self.profile == Profile::EmvLevel1 => self.fail(),
            Phase::Announcing(behind) => self.offer_over(now, behind),
            Phase::Resynchronising => self.fail(),
            // At the start of the protocol only a reset helps (7.4.2).
            _ if self.fresh => self.fail(),
            _ => {
                self.phase = Phase::Resynchronising;
                let block = Block::S { response: false, kind: Supervisory::Resynch };
                self.transmit(now, block, Last::Request);
            }
        }
    }

    pub(super) fn fail(&mut self) {
        let why = if self.heard { T1Error::Blocks } else { T1Error::Silent };
        self.finish(Out::Failed(why));
    }
}

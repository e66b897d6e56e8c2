// SPDX-License-Identifier: Apache-2.0
//! A sign of life of an idle card: S(IFS request) with the IFSD in force (ISO/IEC 7816-3,
//! 11.6.2.3), which changes nothing. What befalls it befalls any other block.
use super::{Last, Phase, T1};
use crate::doors::Out;
use crate::emv::Profile;
use crate::t1::{Block, Supervisory, T1Error};
use cam_types::Instant;

impl T1 {
    /// Whether the card can be probed: it has taken an offer of ours, so that it knows S(IFS). EMV
    /// has the terminal say its IFSD once, behind the answer to reset.
    pub fn probes(&self) -> bool {
        self.knows_ifs && self.profile == Profile::Iso
    }

    /// An input: the card is to give a sign of life now. Ignored while an exchange is going on.
    /// Ends as a command does, with an empty [`Output::Response`](crate::t1::Output) or `Failed`.
    pub fn probe(&mut self, now: Instant) {
        if self.phase != Phase::Idle {
            return;
        }
        self.begin();
        // After RESYNCH the size in force is the initial one, and ours is still to be said.
        let size = if self.offer_due { self.offer } else { self.ifsd };
        self.phase = Phase::Probing(size);
        let kind = Supervisory::Ifs(size);
        self.transmit(now, Block::S { response: false, kind }, Last::Request);
    }

    /// The card has said what it should. Where anything else has come before, it may be another.
    pub(super) fn answered_probe(&mut self, size: u8) {
        self.ifsd = size;
        self.offer_due = false;
        let doubtful = self.stray || self.tries > 0;
        self.stray = false;
        self.finish(if doubtful { Out::Failed(T1Error::Doubtful) } else { Out::Response });
    }
}

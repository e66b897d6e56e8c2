// SPDX-License-Identifier: Apache-2.0
//! What the T=1 machine sends: blocks, chains, and the time it gives the card for them.
use super::{Behind, Last, Phase, T1};
use crate::doors::Out;
use crate::t1::{Block, Fault, Supervisory};
use cam_types::Instant;
use core::ops::Range;

impl T1 {
    pub(super) fn transmit(&mut self, now: Instant, block: Block<'_>, last: Last) {
        self.tx_len = block.emit(self.params.edc, &mut self.tx).unwrap_or(0);
        self.last = last;
        self.transmit_again(now);
    }

    /// Sends the same block as before.
    pub(super) fn transmit_again(&mut self, now: Instant) {
        self.rx.restart();
        let wait = (self.line.bwt(self.params.bwi).saturating_mul(self.wtx.into()))
            .saturating_add(self.profile.bwt_tolerance(&self.line))
            .saturating_add(self.line.sending(self.tx_len))
            .saturating_add(self.latency);
        self.deadline = Some(now.after(wait));
        self.out = Out::Transmit;
    }

    pub(super) fn send_offer(&mut self, now: Instant, behind: Behind) {
        self.phase = Phase::Announcing(behind);
        let kind = Supervisory::Ifs(self.offer);
        self.transmit(now, Block::S { response: false, kind }, Last::Request);
    }

    /// The offer was taken, or refused three times (rule 8): go on.
    pub(super) fn offer_over(&mut self, now: Instant, behind: Behind) {
        self.offer_due = false;
        self.tries = 0;
        match behind {
            Behind::Command => self.send_chain(now, 0),
            Behind::Nothing => self.finish(Out::Response),
        }
    }

    /// Sends the part of the command that starts at `start` (rules 2.1, 5).
    pub(super) fn send_chain(&mut self, now: Instant, start: usize) {
        let end = self.command.len().min(start + usize::from(self.ifsc));
        self.tries = 0;
        self.send_i(now, start..end);
    }

    /// Sends a part that has not arrived again, cut to the size that the card takes by now.
    pub(super) fn send_again(&mut self, now: Instant, part: Range<usize>) {
        let end = part.end.min(part.start + usize::from(self.ifsc));
        self.send_i(now, part.start..end);
    }

    pub(super) fn send_i(&mut self, now: Instant, part: Range<usize>) {
        let more = part.end < self.command.len();
        let inf = self.command.get(part.clone()).unwrap_or(&[]);
        self.tx_len =
            Block::I { ns: self.ns, more, inf }.emit(self.params.edc, &mut self.tx).unwrap_or(0);
        self.last = Last::I;
        self.complete |= !more;
        self.phase = Phase::Sending(part);
        self.transmit_again(now);
    }

    pub(super) fn send_r(&mut self, now: Instant, fault: Fault) {
        self.transmit(now, Block::R { nr: self.nr, fault }, Last::R);
    }

    /// An R-block now may mean the S(response) that we sent last.
    pub(super) const fn response_unheard(&self) -> bool {
        matches!(self.last, Last::Response { repeated: false, .. })
    }

    pub(super) fn repeat_response(&mut self, now: Instant) {
        if let Last::Response { grants, repeated } = &mut self.last {
            *repeated = true;
            self.wtx = *grants;
        }
        self.transmit_again(now);
    }
}

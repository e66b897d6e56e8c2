// SPDX-License-Identifier: Apache-2.0
//! Readers that do a part of the protocol themselves: messages in place of characters.
//!
//! Normative references:
//!  - USB device class specification for integrated circuit cards (CCID), revision 1.1, clause 3
//!    (levels of exchange)
use super::activation::Activation;
use super::carrier::Carrier;
use super::types::{Executed, Level};
use super::{CardLine, Cause, Reset, State};
use crate::atr::Atr;
use crate::doors::Input;
use cam_types::Instant;
use zeroize::Zeroize;

impl CardLine {
    /// What the reader takes since the last answer to reset.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Whether this T can be used on this reader.
    pub(super) const fn speaks(&self, protocol: u8) -> bool {
        match self.level {
            Level::Characters => matches!(protocol, 0 | 1 | 14),
            Level::Tpdu => matches!(protocol, 0 | 1),
            Level::Apdu => true,
        }
    }

    /// The reader has reset the card by itself.
    pub(super) fn answered_whole(
        &mut self,
        now: Instant,
        octets: &[u8],
        level: Level,
        agreed: Option<u8>,
    ) {
        let State::Starting(activation) = &self.state else { return };
        let Some(reset) = activation.awaits_atr() else { return };
        self.level = level;
        self.agreed = agreed;
        if octets.is_empty() {
            return self.again(now, Cause::Mute);
        }
        let expected = Atr::MAX_LEN.min(octets.len());
        let activation = Activation::whole(octets.get(..expected).unwrap_or(&[]), reset);
        self.state = State::Starting(activation.clone());
        self.answered(now, &activation);
    }

    /// The answer to what was sent last, whole.
    pub(super) fn message(&mut self, now: Instant, octets: &[u8]) {
        if self.level == Level::Characters {
            return;
        }
        match (&self.state, self.carrier()) {
            (State::Starting(_), _) => self.pps_message(now, octets),
            (State::Exchange(_), Carrier::Reader) => {
                self.answer.zeroize();
                if octets.len() > self.policy.max_response {
                    return self.usable(Cause::TooLong, Executed::Perhaps);
                }
                self.answer.extend_from_slice(octets);
                // An answer without a status word is none.
                if octets.len() < 2 { self.recover(Cause::Silent) } else { self.responded() }
            }
            (_, Carrier::T1) => {
                self.t1.handle_input(now, Input::Received(octets));
                self.message_over(now);
            }
            (_, Carrier::T0) => self.t0.message(now, octets),
            _ => {}
        }
    }

    /// The reader had no answer from the card to what was sent last, or a damaged one.
    pub(super) fn unanswered(&mut self, now: Instant, damaged: bool) {
        let cause = if damaged { Cause::Damaged } else { Cause::Silent };
        match (&self.state, self.carrier()) {
            (State::Starting(activation), _) if activation.awaits_atr().is_some() => {
                self.again(now, Cause::Mute);
            }
            (State::Starting(_), _) => self.pps_message(now, &[]),
            (
                State::Announcing { .. } | State::Probing { .. } | State::Exchange(_),
                Carrier::T1,
            ) if self.level == Level::Tpdu => {
                if damaged {
                    self.t1.handle_input(now, Input::Damaged);
                }
                self.message_over(now);
            }
            (State::Exchange(_), _) => self.recover(cause),
            _ => {}
        }
    }

    /// The reader has waited already: for T=1 the block is over at once.
    fn message_over(&mut self, now: Instant) {
        let over = self.t1.deadline().map_or(now, |deadline| deadline.max(now));
        self.t1.handle_input(over, Input::Timeout);
    }

    /// The exchange of PPS is over.
    fn pps_message(&mut self, now: Instant, octets: &[u8]) {
        let State::Starting(activation) = &mut self.state else { return };
        if !activation.awaits_pps() {
            return;
        }
        for octet in octets {
            activation.push(*octet);
        }
        let activation = activation.clone();
        self.pps_answered(now, &activation);
    }

    /// Where the next activation starts from.
    pub(super) fn forget_level(&mut self) {
        self.level = Level::Characters;
        self.agreed = None;
    }
}

impl Activation {
    /// An answer to reset that came whole.
    fn whole(octets: &[u8], reset: Reset) -> Self {
        let mut activation = Self::resetting(reset);
        for octet in octets {
            activation.push(*octet);
        }
        activation
    }
}

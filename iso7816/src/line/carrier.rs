// SPDX-License-Identifier: Apache-2.0
//! What stands between a command and the line: one of the protocols, or a reader that has its own.
use super::types::{Executed, Level};
use super::{CardLine, Cause, State, put};
use crate::apdu::{ApduError, Lengths};
use crate::doors::{Input, Output};
use crate::t0::{T0, T0Error};
use crate::t14::T14;
use cam_types::Instant;
use zeroize::Zeroize;

/// Who carries commands to the card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Carrier {
    T0,
    T1,
    T14,
    /// The reader, which takes APDUs.
    Reader,
}

impl CardLine {
    pub(super) const fn carrier(&self) -> Carrier {
        match (self.level, self.protocol) {
            (Level::Apdu, _) => Carrier::Reader,
            (_, 1) => Carrier::T1,
            (_, 14) => Carrier::T14,
            _ => Carrier::T0,
        }
    }

    /// A reader above characters keeps the waiting times itself.
    pub(super) fn carrier_deadline(&self) -> Option<Instant> {
        match (self.level, self.carrier()) {
            (Level::Tpdu | Level::Apdu, _) | (_, Carrier::Reader) => None,
            (_, Carrier::T0) => self.t0.deadline(),
            (_, Carrier::T1) => self.t1.deadline(),
            (_, Carrier::T14) => self.t14.deadline(),
        }
    }

    pub(super) fn extended(&self) -> bool {
        self.carrier() == Carrier::T1 && self.t1.extended()
    }

    /// Whether the carrier can take this command.
    pub(super) fn check(&self, apdu: &[u8]) -> Result<(), ApduError> {
        match self.carrier() {
            Carrier::T0 => T0::check(apdu).map(|_| ()),
            Carrier::T1 | Carrier::Reader => Lengths::parse(apdu).map(|_| ()),
            Carrier::T14 => T14::check(apdu),
        }
    }

    /// Begins an exchange.
    pub(super) fn carry(&mut self, now: Instant, apdu: &[u8]) {
        match self.carrier() {
            Carrier::Reader => self.relay(now, apdu),
            Carrier::T0 | Carrier::T1 | Carrier::T14 => self.tell(now, Input::Command(apdu)),
        }
    }

    /// What the last exchange has brought.
    pub(super) fn response(&self) -> &[u8] {
        match self.carrier() {
            Carrier::T0 => self.t0.response(),
            Carrier::T1 => self.t1.response(),
            Carrier::T14 => self.t14.response(),
            Carrier::Reader => &self.answer,
        }
    }

    /// Tells the protocol.
    pub(super) fn tell(&mut self, now: Instant, input: Input<'_>) {
        match self.carrier() {
            Carrier::T0 => self.t0.handle_input(now, input),
            Carrier::T1 => self.t1.handle_input(now, input),
            Carrier::T14 => self.t14.handle_input(now, input),
            Carrier::Reader => {}
        }
    }

    /// Time has passed. A reader above characters keeps the waiting times itself.
    pub(super) fn hear_nothing(&mut self, now: Instant) {
        if self.level == Level::Characters {
            self.tell(now, Input::Timeout);
        }
    }

    /// Passes on what the protocol wants done.
    pub(super) fn pump(&mut self, now: Instant) {
        if matches!(self.state, State::Down | State::Starting(_)) {
            return;
        }
        match self.carrier() {
            Carrier::T0 => self.pump_t0(now),
            Carrier::T1 => self.pump_t1(now),
            Carrier::T14 => self.pump_t14(now),
            Carrier::Reader => {}
        }
    }

    fn pump_t0(&mut self, now: Instant) {
        match self.t0.poll_output() {
            Output::Wait(_) => {}
            Output::Transmit(octets) => {
                put(&mut self.wire, octets, self.mapped);
                self.transmit(now);
            }
            Output::Response(_) => self.responded(),
            Output::Failed(T0Error::TooLong) => self.usable(Cause::TooLong, Executed::Perhaps),
            Output::Failed(why) => self.recover(why.into()),
        }
    }

    fn pump_t1(&mut self, now: Instant) {
        match self.t1.poll_output() {
            Output::Wait(_) => {}
            Output::Transmit(block) => {
                put(&mut self.wire, block, self.mapped);
                self.transmit(now);
            }
            Output::Response(_) if matches!(self.state, State::Announcing { .. }) => {
                let ifsd = self.t1.ifsd();
                log::debug!("T=1: information fields of up to {ifsd} octets from the card");
                self.ready();
            }
            Output::Response(_) => self.responded(),
            Output::Failed(why) if why.usable() => {
                self.usable(why.into(), Executed::when_sent(self.t1.command_sent()));
            }
            Output::Failed(why) => self.recover(why.into()),
        }
    }

    fn pump_t14(&mut self, now: Instant) {
        match self.t14.poll_output() {
            Output::Wait(_) => {}
            Output::Transmit(octets) => {
                put(&mut self.wire, octets, self.mapped);
                self.transmit(now);
            }
            Output::Response(response) if response.len() > self.policy.max_response => {
                self.usable(Cause::TooLong, Executed::Perhaps);
            }
            Output::Response(_) => self.responded(),
            Output::Failed(why) => self.recover(why.into()),
        }
    }

    /// Puts the command on the wire as it is.
    fn relay(&mut self, now: Instant, apdu: &[u8]) {
        self.wire.zeroize();
        self.wire.extend_from_slice(apdu);
        self.transmit(now);
    }
}

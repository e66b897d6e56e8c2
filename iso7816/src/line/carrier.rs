// SPDX-License-Identifier: Apache-2.0
//! What stands between a command and the line: one of the protocols, or a reader that has its own.
use super::types::{Executed, Level};
use super::{CardLine, Cause, State, put};
use crate::apdu::{ApduError, Lengths};
use crate::t0::{self, T0, T0Error};
use crate::t1;
use crate::t14::{self, T14};
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
            Carrier::T0 => self.t0.handle_input(now, t0::Input::Command(apdu)),
            Carrier::T1 => self.t1.handle_input(now, t1::Input::Command(apdu)),
            Carrier::T14 => self.t14.handle_input(now, t14::Input::Command(apdu)),
            Carrier::Reader => self.relay(now, apdu),
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

    /// Logical octets of the card.
    pub(super) fn hear(&mut self, now: Instant, octets: &[u8]) {
        match self.carrier() {
            Carrier::T0 => self.t0.handle_input(now, t0::Input::Received(octets)),
            Carrier::T1 => self.t1.handle_input(now, t1::Input::Received(octets)),
            Carrier::T14 => self.t14.handle_input(now, t14::Input::Received(octets)),
            Carrier::Reader => {}
        }
    }

    /// A character with a parity error.
    pub(super) fn hear_damage(&mut self, now: Instant) {
        match self.carrier() {
            Carrier::T0 => self.t0.handle_input(now, t0::Input::Damaged),
            Carrier::T1 => self.t1.handle_input(now, t1::Input::Damaged),
            Carrier::T14 => self.t14.handle_input(now, t14::Input::Damaged),
            Carrier::Reader => {}
        }
    }

    /// Time has passed. A reader above characters keeps the waiting times itself.
    pub(super) fn hear_nothing(&mut self, now: Instant) {
        match (self.level, self.carrier()) {
            (Level::Tpdu | Level::Apdu, _) | (_, Carrier::Reader) => {}
            (_, Carrier::T0) => self.t0.handle_input(now, t0::Input::Timeout),
            (_, Carrier::T1) => self.t1.handle_input(now, t1::Input::Timeout),
            (_, Carrier::T14) => self.t14.handle_input(now, t14::Input::Timeout),
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
            t0::Output::Wait(_) => {}
            t0::Output::Transmit(octets) => {
                put(&mut self.wire, octets, self.mapped);
                self.transmit(now);
            }
            t0::Output::Response(_) => self.responded(),
            t0::Output::Failed(T0Error::TooLong) => self.usable(Cause::TooLong, Executed::Perhaps),
            t0::Output::Failed(why) => self.recover(why.into()),
        }
    }

    fn pump_t1(&mut self, now: Instant) {
        match self.t1.poll_output() {
            t1::Output::Wait(_) => {}
            t1::Output::Transmit(block) => {
                put(&mut self.wire, block, self.mapped);
                self.transmit(now);
            }
            t1::Output::Announced { ifsd } => {
                log::debug!("T=1: information fields of up to {ifsd} octets from the card");
                self.ready();
            }
            t1::Output::Response(_) => self.responded(),
            t1::Output::Failed(why) if why.usable() => {
                self.usable(why.into(), Executed::when_sent(self.t1.command_sent()));
            }
            t1::Output::Failed(why) => self.recover(why.into()),
        }
    }

    fn pump_t14(&mut self, now: Instant) {
        match self.t14.poll_output() {
            t14::Output::Wait(_) => {}
            t14::Output::Transmit(octets) => {
                put(&mut self.wire, octets, self.mapped);
                self.transmit(now);
            }
            t14::Output::Response(response) if response.len() > self.policy.max_response => {
                self.usable(Cause::TooLong, Executed::Perhaps);
            }
            t14::Output::Response(_) => self.responded(),
            t14::Output::Failed(why) => self.recover(why.into()),
        }
    }

    /// Puts the command on the wire as it is.
    fn relay(&mut self, now: Instant, apdu: &[u8]) {
        self.wire.zeroize();
        self.wire.extend_from_slice(apdu);
        self.transmit(now);
    }
}

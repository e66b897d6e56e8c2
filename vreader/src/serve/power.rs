// SPDX-License-Identifier: Apache-2.0
//! The card's power and reset: how a life begins and how it ends.

use super::{ServeError, Server, near};
use crate::os::Request;
use crate::record::Party;
use crate::script::Place;
use cam_types::Instant;
use log::{debug, warn};
use std::time::Duration;

/// How far the card has got since the last reset.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Supply {
    /// No power, no card, or reset is active.
    Off,
    /// Reset was released; the answer goes out when it is known and its time has come.
    Starting { at: Instant, atr: Option<Vec<u8>> },
    /// The card has answered, and takes part in the protocol.
    On,
}

impl Server {
    /// The terminal has changed something at its port.
    pub(super) fn changed(&mut self, now: Instant) -> Result<(), ServeError> {
        let baud = self.terminal_baud()?;
        match (baud, self.held) {
            (0, false) => {
                self.held = true;
                self.reset(now)?;
            }
            (0, true) => {}
            (_, true) => {
                self.held = false;
                self.release(now);
            }
            (_, false) if near(baud, &self.params) => {
                self.arrived = !near(baud, &self.initial);
            }
            // Back at the speed of an answer to reset after the agreed one: a pulse so short, or a
            // machine so busy, that release was all there was to see.
            (_, false) if self.arrived && near(baud, &self.initial) => {
                self.reset(now)?;
                self.release(now);
            }
            (_, false) => {}
        }
        Ok(())
    }

    /// The reset line has become active.
    pub(super) fn reset(&mut self, now: Instant) -> Result<(), ServeError> {
        debug!("reset");
        self.resets += 1;
        self.script.reset();
        self.power_down(now)
    }

    /// The terminal takes the power away.
    pub(super) fn power_down(&mut self, now: Instant) -> Result<(), ServeError> {
        self.record(now, Party::Reset, &[])?;
        self.power_off(now);
        Ok(())
    }

    /// The card's life ends.
    pub(super) fn power_off(&mut self, now: Instant) {
        self.life += 1;
        self.supply = Supply::Off;
        self.answer_left = 0;
        self.arrived = false;
        self.deadline = None;
        self.line.power_off();
        self.late_answer = None;
        self.answer_delay = Duration::ZERO;
        for place in [Place::Card, Place::Terminal] {
            if let Some(late) = self.late.get_mut(place as usize) {
                late.clear();
            }
        }
        self.configure(self.initial);
        if let Some(pace) = &mut self.pace {
            pace.clear(now);
        }
        self.os.request(self.life, Request::PowerOff);
    }

    pub(super) fn release(&mut self, now: Instant) {
        if self.inserted {
            self.supply = Supply::Starting { at: now.after(ANSWER_AFTER), atr: None };
            self.os.request(self.life, Request::PowerOn);
        }
    }

    pub(super) fn answer_reset(&mut self, now: Instant, atr: &[u8]) -> Result<(), ServeError> {
        match self.line.power_on(atr) {
            Ok(()) => {
                self.supply = Supply::On;
                self.answer_left = atr.len();
                self.drain(now, Duration::ZERO)
            }
            Err(error) => {
                warn!("answer to reset {atr:02X?}: {error}; the card stays mute");
                self.supply = Supply::Off;
                Ok(())
            }
        }
    }
}

/// A card answers 400 to 40,000 clock cycles after reset is released.
const ANSWER_AFTER: Duration = Duration::from_millis(1);

// SPDX-License-Identifier: Apache-2.0
//! What stands between the port and the card's line: nothing, or a reader that speaks frames.

use super::power::Supply;
use super::{ReaderKind, ServeError, Server};
use crate::gempc::{GemPc, Input, Output, Presence};
use crate::script::Place;
use cam_types::Instant;
use iso7816::etu::LineParams;

/// The reader's own intelligence.
pub(super) enum Front {
    /// None: the port is the card's line.
    Phoenix,
    /// A CCID reader, and what it waits for.
    GemPc { reader: Box<GemPc>, deadline: Option<Instant> },
}

impl Front {
    pub(super) fn new(kind: ReaderKind, initial: &LineParams, presence: Presence) -> Self {
        match kind {
            ReaderKind::Phoenix => Self::Phoenix,
            ReaderKind::GemPcTwin => Self::GemPc {
                reader: Box::new(GemPc::new(initial.clock_hz, presence)),
                deadline: None,
            },
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Phoenix => None,
            Self::GemPc { deadline, .. } => *deadline,
        }
    }
}

impl Server {
    /// Does what the reader waits for, when it is time.
    pub(super) fn front_due(&mut self, now: Instant) -> Result<(), ServeError> {
        if self.front.deadline().is_some_and(|at| at <= now) {
            return self.tell_front(now, Input::Timeout);
        }
        Ok(())
    }

    /// Tells the reader something, and does what it wants.
    pub(super) fn tell_front(&mut self, now: Instant, input: Input<'_>) -> Result<(), ServeError> {
        if let Front::GemPc { reader, .. } = &mut self.front {
            reader.handle_input(now, input);
        }
        while let Front::GemPc { reader, deadline } = &mut self.front {
            match reader.poll_output() {
                Output::ToHost(octets) => self.cross(now, Place::Reader, &octets)?,
                Output::ToCard(octets) => self.hear(now, &octets)?,
                Output::PowerOn => {
                    self.reset(now)?;
                    self.release(now);
                }
                Output::PowerOff if self.supply != Supply::Off => self.power_down(now)?,
                Output::PowerOff => {}
                Output::Wait(until) => {
                    *deadline = until;
                    break;
                }
            }
        }
        Ok(())
    }
}

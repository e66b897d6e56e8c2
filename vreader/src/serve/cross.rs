// SPDX-License-Identifier: Apache-2.0
//! Octets and commands on their way, and what the fault script does to them.

use super::{Front, ServeError, Server, near, port_failed};
use crate::gempc;
use crate::line::Input;
use crate::os::Request;
use crate::pty::Octet;
use crate::script::{Action, Place};
use cam_types::Instant;
use log::{debug, info, warn};
use std::collections::VecDeque;
use std::time::Duration;

/// Octets that come later than they should, and those behind them.
#[derive(Debug, Default)]
pub(super) struct Late {
    queue: VecDeque<(Instant, Octet)>,
}

impl Late {
    fn push(&mut self, now: Instant, delay: Duration, octet: Octet) {
        let begin = self.queue.back().map_or(now, |(at, _)| now.max(*at));
        self.queue.push_back((begin.after(delay), octet));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.front().map(|(at, _)| *at)
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    fn due(&mut self, now: Instant) -> Vec<Octet> {
        let mut octets = Vec::new();
        while let Some((_, octet)) = self.queue.pop_front_if(|(at, _)| *at <= now) {
            octets.push(octet);
        }
        octets
    }
}

/// The places where octets pass; the index of [`Server::late`].
const PLACES: [Place; 4] = [Place::Card, Place::Terminal, Place::Reader, Place::Host];

impl Server {
    /// Octets come by a place of the script; what is left of them goes on.
    pub(super) fn cross(
        &mut self,
        now: Instant,
        place: Place,
        octets: &[u8],
    ) -> Result<(), ServeError> {
        let mut passing = Vec::new();
        let mut end = None;
        for &value in octets {
            let mut octet = Octet { value, damaged: false };
            let (mut times, mut delay) = (1, Duration::ZERO);
            for action in self.script.strike(place) {
                info!("script: {action:?} an octet, {} {value:02X}", place.name());
                match action {
                    Action::Lose => times = 0,
                    Action::Double => times *= 2,
                    Action::Damage(bits) => {
                        octet = Octet { value: octet.value ^ bits, damaged: true };
                    }
                    Action::Delay(time) => delay += time,
                    Action::Mute | Action::Remove(_) | Action::Unplug(_) => end = Some(action),
                    Action::Trouble(_) => {}
                }
            }
            if end.is_some() {
                break;
            }
            let Some(late) = self.late.get_mut(place as usize) else { break };
            for _ in 0..times {
                if delay > Duration::ZERO || late.next().is_some() {
                    late.push(now, std::mem::take(&mut delay), octet);
                } else {
                    passing.push(octet);
                }
            }
        }
        self.deliver(now, place, &passing)?;
        end.map_or(Ok(()), |action| self.end(now, action))
    }

    /// Octets whose delay has passed.
    pub(super) fn late_octets(&mut self, now: Instant) -> Result<(), ServeError> {
        for place in PLACES {
            let due = self.late.get_mut(place as usize).map(|late| late.due(now));
            self.deliver(now, place, &due.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Octets arrive at the other side.
    fn deliver(&mut self, now: Instant, place: Place, octets: &[Octet]) -> Result<(), ServeError> {
        if octets.is_empty() {
            return Ok(());
        }
        match place {
            Place::Terminal => {
                for run in octets.chunk_by(|one, other| !one.damaged && !other.damaged) {
                    match run {
                        [Octet { value, damaged: true }] => {
                            self.line.handle_input(now, Input::Damaged(*value));
                        }
                        run => self.line.handle_input(now, Input::Received(&values(run))),
                    }
                    self.drain(now, Duration::ZERO)?;
                }
                Ok(())
            }
            Place::Card => self.reach_terminal(now, octets),
            Place::Reader => self.reach_port(octets),
            Place::Host => self.tell_front(now, gempc::Input::Host(&values(octets))),
            Place::Command => Ok(()),
        }
    }

    fn reach_terminal(&mut self, now: Instant, octets: &[Octet]) -> Result<(), ServeError> {
        let baud = self.terminal_baud()?;
        if !near(baud, &self.params) {
            debug!("terminal listens at {baud} bit/s, the card sends at {}", self.params.baud());
            return Ok(());
        }
        if let Front::Phoenix = self.front {
            let convention = self.params.convention;
            let raw: Vec<Octet> = octets
                .iter()
                .map(|octet| Octet { value: convention.map(octet.value), ..*octet })
                .collect();
            return self.reach_port(&raw);
        }
        for &Octet { value: octet, damaged } in octets {
            self.tell_front(now, gempc::Input::Card { octet, damaged })?;
        }
        Ok(())
    }

    fn reach_port(&mut self, octets: &[Octet]) -> Result<(), ServeError> {
        let Some(port) = &self.port else { return Ok(()) };
        if !port.pty.write(octets).map_err(port_failed)? {
            warn!("the terminal does not read; octets are lost");
        }
        Ok(())
    }

    /// A command has arrived whole.
    pub(super) fn execute(&mut self, now: Instant, apdu: Vec<u8>) -> Result<(), ServeError> {
        let mut mute = false;
        for action in self.script.strike(Place::Command) {
            info!("script: {action:?} at a command");
            match action {
                Action::Trouble(trouble) if self.line.make(trouble) => {}
                Action::Trouble(_) => warn!("script: {action:?} has no place in this protocol"),
                Action::Delay(time) => self.answer_delay += time,
                Action::Mute => mute = true,
                Action::Remove(_) | Action::Unplug(_) => return self.end(now, action),
                Action::Lose | Action::Double | Action::Damage(_) => {}
            }
        }
        self.os.request(self.life, Request::Transmit(apdu));
        if mute { self.end(now, Action::Mute) } else { Ok(()) }
    }

    /// What ends the card's life.
    fn end(&mut self, now: Instant, action: Action) -> Result<(), ServeError> {
        let later = |time: Option<Duration>| time.map(|time| now.after(time));
        match action {
            Action::Remove(back) => {
                self.insert_at = later(back);
                self.remove(now)
            }
            Action::Unplug(back) => {
                self.plug_at = later(back);
                self.unplug(now);
                Ok(())
            }
            _ => {
                self.power_off(now);
                Ok(())
            }
        }
    }
}

fn values(octets: &[Octet]) -> Vec<u8> {
    octets.iter().map(|octet| octet.value).collect()
}

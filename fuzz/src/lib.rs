// SPDX-License-Identifier: Apache-2.0
//! What fuzz targets share: steps read from the fuzzer's octets, a clock that they move, and what
//! every machine has to keep to.
pub mod rig;

use cam_types::Instant;
use std::time::Duration;

/// One thing that the other end does.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// It says these octets.
    Octets(&'a [u8]),
    /// It says something damaged.
    Damaged,
    /// It says nothing until our machine has had enough.
    Silence,
    /// Time passes.
    Pause(Duration),
    /// Whatever else a target has: the argument says what.
    Other(u8),
}

/// Steps out of octets: a head and what it announces.
pub fn steps(mut octets: &[u8]) -> impl Iterator<Item = Step<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = octets.split_first()?;
        octets = rest;
        Some(match head {
            0x00..=0x7F => {
                let (part, rest) = octets.split_at(octets.len().min(usize::from(*head)));
                octets = rest;
                Step::Octets(part)
            }
            0x80..=0x9F => Step::Damaged,
            0xA0..=0xCF => Step::Silence,
            0xD0..=0xDF => Step::Pause(Duration::from_micros(1 << (head & 0x0F) << 6)),
            other => Step::Other(other & 0x1F),
        })
    })
}

/// A clock that only the target moves.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub now: Instant,
    pub deadline: Option<Instant>,
}

impl Clock {
    pub fn new() -> Self {
        Self { now: Instant::from_micros(1), deadline: None }
    }

    /// To the deadline; false when there is none to wait for.
    pub fn to_deadline(&mut self) -> bool {
        let Some(deadline) = self.deadline else { return false };
        self.now = self.now.max(deadline);
        true
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// More outputs than one input ever leads to: beyond, a machine does not come to rest.
pub const OUTPUTS: usize = 32;
/// More time-outs in a row than any recovery takes: beyond, a machine hangs.
pub const TIMEOUTS: usize = 64;

/// A protocol machine with a card that the fuzzer plays.
pub trait Machine {
    fn command(&mut self, now: Instant, which: u8);
    fn received(&mut self, now: Instant, octets: &[u8]);
    fn damaged(&mut self, now: Instant);
    fn timeout(&mut self, now: Instant);
    /// The next output: nothing but the wait is of interest here.
    fn poll(&mut self) -> Polled;
}

/// What a machine wants.
pub enum Polled {
    Something,
    Wait(Option<Instant>),
}

/// Whatever the card says, the machine comes to rest after every input and gives up by itself when
/// the card says nothing more.
pub fn play(machine: &mut impl Machine, octets: &[u8]) {
    let mut clock = Clock::new();
    drain(machine, &mut clock);
    for step in steps(octets) {
        match step {
            Step::Octets(said) => machine.received(clock.now, said),
            Step::Damaged => machine.damaged(clock.now),
            Step::Pause(time) => {
                clock.now = clock.now.after(time);
                machine.timeout(clock.now);
            }
            Step::Silence => {
                silence(machine, &mut clock);
                continue;
            }
            Step::Other(which) => machine.command(clock.now, which),
        }
        drain(machine, &mut clock);
    }
    silence(machine, &mut clock);
}

fn silence(machine: &mut impl Machine, clock: &mut Clock) {
    for _ in 0..TIMEOUTS {
        if !clock.to_deadline() {
            return;
        }
        machine.timeout(clock.now);
        drain(machine, clock);
    }
    panic!("the machine never gives up");
}

fn drain(machine: &mut impl Machine, clock: &mut Clock) {
    for _ in 0..OUTPUTS {
        if let Polled::Wait(deadline) = machine.poll() {
            clock.deadline = deadline;
            return;
        }
    }
    panic!("the machine does not come to rest");
}

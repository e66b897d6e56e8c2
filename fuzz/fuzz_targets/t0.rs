// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The T=0 machine: whatever the card says, nothing panics, hangs or grows without bound.
use cam_types::Instant;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::t0::{Input, Output, T0, T0Policy};
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::{Machine, Polled, play};
use std::time::Duration;

const COMMANDS: [&[u8]; 3] =
    [&[0x80, 0x34, 0, 0, 3, 1, 2, 3, 0], &[0, 0xB0, 0, 0, 0], &[0, 0x20, 0, 0]];

struct Fuzzed(T0);

impl Machine for Fuzzed {
    fn command(&mut self, now: Instant, which: u8) {
        let command = COMMANDS[usize::from(which) % COMMANDS.len()];
        self.0.handle_input(now, Input::Command(command));
    }

    fn received(&mut self, now: Instant, octets: &[u8]) {
        self.0.handle_input(now, Input::Received(octets));
        self.0.message(now, octets);
    }

    fn damaged(&mut self, now: Instant) {
        self.0.handle_input(now, Input::Damaged);
    }

    fn timeout(&mut self, now: Instant) {
        self.0.handle_input(now, Input::Timeout);
    }

    fn poll(&mut self) -> Polled {
        match self.0.poll_output() {
            Output::Transmit(octets) => assert!(octets.len() <= 261),
            Output::Response(response) => assert!(response.len() <= 4098),
            Output::Failed(_) => {}
            Output::Wait(deadline) => return Polled::Wait(deadline),
        }
        Polled::Something
    }
}

fuzz_target!(|octets: &[u8]| {
    let Some((flags, octets)) = octets.split_first() else { return };
    let mut machine = T0::new(600, 4098, Duration::from_millis(40), T0Policy::default());
    let line = LineParams::initial(USUAL_CLOCK_HZ);
    machine.reset(line, line.wt(10, 372));
    machine.exchange_whole(flags & 1 != 0);
    play(&mut Fuzzed(machine), octets);
});

// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The T=14 machine: whatever the card says, nothing panics, hangs or grows without bound.
use cam_types::Instant;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::t14::{Input, Output, T14};
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::{Machine, Polled, play};
use std::time::Duration;

const COMMANDS: [&[u8]; 3] =
    [&[0x01, 0x02, 0, 0, 0, 1, 7], &[0x01, 0x02, 0, 0, 0, 0], &[0xFF; 300]];

struct Fuzzed(T14);

impl Machine for Fuzzed {
    fn command(&mut self, now: Instant, which: u8) {
        let command = COMMANDS[usize::from(which) % COMMANDS.len()];
        self.0.handle_input(now, Input::Command(command));
    }

    fn received(&mut self, now: Instant, octets: &[u8]) {
        self.0.handle_input(now, Input::Received(octets));
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
            Output::Response(response) => assert!(response.len() <= 260),
            Output::Failed(_) => {}
            Output::Wait(deadline) => return Polled::Wait(deadline),
        }
        Polled::Something
    }
}

fuzz_target!(|octets: &[u8]| {
    let mut machine = T14::new(Duration::from_millis(40));
    machine.reset(LineParams::initial(USUAL_CLOCK_HZ), Duration::from_secs(1));
    play(&mut Fuzzed(machine), octets);
});

// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The T=1 machine: whatever the card says, nothing panics, hangs or grows without bound.
use cam_types::Instant;
use iso7816::emv::Profile;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::t1::{Edc, Input, Output, T1, T1Params};
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::{Machine, Polled, play};
use std::time::Duration;

const COMMANDS: [&[u8]; 3] = [&[0x80, 0x34, 0, 0, 3, 1, 2, 3, 0], &[0xA5; 500], &[0, 0x20, 0, 0]];

struct Fuzzed(T1);

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
        assert!(self.0.ifsd() >= 1);
        match self.0.poll_output() {
            Output::Transmit(block) => assert!(block.len() <= 259),
            Output::Response(response) => assert!(response.len() <= 600),
            Output::Failed(_) => {}
            Output::Wait(deadline) => return Polled::Wait(deadline),
        }
        Polled::Something
    }
}

fuzz_target!(|octets: &[u8]| {
    let Some((flags, octets)) = octets.split_first() else { return };
    let mut machine = T1::new(600, 600, Duration::from_millis(40), 254, Profile::Iso);
    let edc = if flags & 1 != 0 { Edc::Crc } else { Edc::Lrc };
    machine.reset(LineParams::initial(USUAL_CLOCK_HZ), T1Params { edc, ..T1Params::default() });
    if flags & 2 != 0 {
        machine.announce(Instant::from_micros(1));
    }
    play(&mut Fuzzed(machine), octets);
});

// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The emulated CCID reader: whatever the host sends and the card says, nothing panics or grows
//! without bound.
use iso7816::etu::GEMPC_CLOCK_HZ;
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::{Clock, Step, steps};
use vreader::gempc::{GemPc, Input, Output, Presence};

fuzz_target!(|octets: &[u8]| {
    let Some((flags, octets)) = octets.split_first() else { return };
    let mut clock = Clock::new();
    let presence = if flags & 1 == 0 { Presence::Present } else { Presence::Absent };
    let mut reader = GemPc::new(GEMPC_CLOCK_HZ, presence);
    for step in steps(octets) {
        match step {
            // What the fuzzer cannot guess is the exclusive-or at the end of a frame.
            Step::Octets([0xFE, message @ ..]) => {
                let mut frame = vec![0x03, 0x06];
                frame.extend_from_slice(message);
                frame.push(frame.iter().fold(0, |sum, octet| sum ^ octet));
                reader.handle_input(clock.now, Input::Host(&frame));
            }
            Step::Octets([0xFD, said @ ..]) => {
                for octet in said {
                    reader.handle_input(clock.now, Input::Card { octet: *octet, damaged: false });
                }
            }
            Step::Octets(sent) => reader.handle_input(clock.now, Input::Host(sent)),
            Step::Damaged => {
                reader.handle_input(clock.now, Input::Card { octet: 0x3B, damaged: true })
            }
            Step::Pause(time) => {
                clock.now = clock.now.after(time);
                reader.handle_input(clock.now, Input::Timeout);
            }
            Step::Silence => {
                clock.to_deadline();
                reader.handle_input(clock.now, Input::Timeout);
            }
            Step::Other(which) if which & 1 == 0 => reader.handle_input(clock.now, Input::Inserted),
            Step::Other(_) => reader.handle_input(clock.now, Input::Removed),
        }
        loop {
            match reader.poll_output() {
                Output::ToHost(octets) => assert!(octets.len() <= 70_000),
                Output::ToCard(octets) => assert!(octets.len() <= 70_000),
                Output::PowerOn | Output::PowerOff => {}
                Output::Wait(deadline) => {
                    clock.deadline = deadline;
                    break;
                }
            }
        }
    }
});

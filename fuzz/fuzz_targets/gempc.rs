// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The host of a CCID reader on a serial cable: whatever the reader says, nothing panics, and every
//! command ends.
use iso7816::etu::{GEMPC_CLOCK_HZ, LineParams};
use iso7816::line::Reset;
use libfuzzer_sys::fuzz_target;
use stb_shim::gempc::host::{Host, Input, Output};
use stbcam_fuzz::{Clock, Step, TIMEOUTS, steps};

/// Does what the host wants; how many octets it sent.
fn drain(host: &mut Host, clock: &mut Clock) -> usize {
    let mut sent = 0;
    loop {
        match host.poll_output() {
            Output::Send(octets) => sent += octets.len(),
            Output::AnswerToReset | Output::Message => assert!(host.answer().len() <= 261),
            Output::Unanswered { .. } | Output::Removed | Output::Dead => {}
            Output::Wait(deadline) => {
                clock.deadline = deadline;
                return sent;
            }
        }
    }
}

fuzz_target!(|octets: &[u8]| {
    let mut clock = Clock::new();
    let mut host = Host::new(GEMPC_CLOCK_HZ);
    // The number of the command that is out: the fuzzer cannot guess it, nor the exclusive-or.
    let mut number = 0_u8;
    host.handle_input(clock.now, Input::Greet);
    for step in steps(octets) {
        if drain(&mut host, &mut clock) > 3 {
            number = number.wrapping_add(1);
        }
        match step {
            Step::Octets([0xFE, kind, status, error, data @ ..]) => {
                let len = data.len().to_le_bytes();
                let mut frame = vec![0x03, 0x06, *kind, len[0], len[1], 0, 0, 0, number];
                frame.extend([*status, *error, 0]);
                frame.extend_from_slice(data);
                frame.push(frame.iter().fold(0, |sum, octet| sum ^ octet));
                host.handle_input(clock.now, Input::Received(&frame));
            }
            Step::Octets([0xFD, block @ ..]) if host.idle() => {
                host.handle_input(clock.now, Input::Transfer(block));
            }
            Step::Octets(said) => host.handle_input(clock.now, Input::Received(said)),
            Step::Damaged => host.handle_input(clock.now, Input::Look),
            Step::Pause(time) => {
                clock.now = clock.now.after(time);
                host.handle_input(clock.now, Input::Timeout);
            }
            Step::Silence => {
                clock.to_deadline();
                host.handle_input(clock.now, Input::Timeout);
            }
            Step::Other(which) => match which & 3 {
                0 => host.handle_input(clock.now, Input::Activate(Reset::Cold)),
                1 => host.handle_input(clock.now, Input::Activate(Reset::Warm)),
                2 => host.handle_input(clock.now, Input::Deactivate),
                _ => {
                    let line = LineParams { protocol: 1, ..LineParams::initial(GEMPC_CLOCK_HZ) };
                    host.handle_input(clock.now, Input::Configure(&line));
                }
            },
        }
    }
    drain(&mut host, &mut clock);
    for passed in 0.. {
        if host.idle() {
            break;
        }
        assert!(passed < TIMEOUTS && clock.to_deadline(), "a command that never ends");
        host.handle_input(clock.now, Input::Timeout);
        drain(&mut host, &mut clock);
    }
});

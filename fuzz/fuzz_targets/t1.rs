#![no_main]
//! The T1 machine: whatever the card says, nothing panics, hangs or grows without bound.
use iso7816::emv::Profile;
use iso7816::t1::{Edc, Input, Output, T1, T1Params};
use iso7816::etu::LineParams;
use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use stbcam_fuzz::{Clock, OUTPUTS, Step, TIMEOUTS, steps};

const COMMANDS: [&[u8]; 3] =
    [&[0x80, 0x34, 0, 0, 3, 1, 2, 3, 0], &[0xA5; 500], &[0, 0x20, 0, 0]];

fuzz_target!(|octets: &[u8]| {
    let Some((flags, octets)) = octets.split_first() else { return };
    let mut clock = Clock::new();
    let mut machine = T1::new(600, 600, Duration::from_millis(40), 254, Profile::Iso);
    let edc = if flags & 1 != 0 { Edc::Crc } else { Edc::Lrc };
    machine.reset(LineParams::initial(3_579_545), T1Params { edc, ..T1Params::default() });
    if flags & 2 != 0 {
        machine.handle_input(clock.now, Input::Announce);
    }
    drain(&mut machine, &mut clock);
    for step in steps(octets) {
        match step {
            Step::Octets(said) => machine.handle_input(clock.now, Input::Received(said)),
            Step::Damaged => machine.handle_input(clock.now, Input::Damaged),
            Step::Pause(time) => {
                clock.now = clock.now.after(time);
                machine.handle_input(clock.now, Input::Timeout);
            }
            Step::Silence => {
                silence(&mut machine, &mut clock);
                continue;
            }
            Step::Other(which) => {
                let command = COMMANDS[usize::from(which) % COMMANDS.len()];
                machine.handle_input(clock.now, Input::Command(command));
            }
        }
        drain(&mut machine, &mut clock);
    }
    silence(&mut machine, &mut clock);
});

/// The card says nothing more: the machine gives up by itself.
fn silence(machine: &mut T1, clock: &mut Clock) {
    for _ in 0..TIMEOUTS {
        if !clock.to_deadline() {
            return;
        }
        machine.handle_input(clock.now, Input::Timeout);
        drain(machine, clock);
    }
    panic!("the machine never gives up");
}

fn drain(machine: &mut T1, clock: &mut Clock) {
    for _ in 0..OUTPUTS {
        match machine.poll_output() {
            Output::Transmit(octets) => assert!(octets.len() <= 261),
            Output::Response(response) => assert!(response.len() <= 600),
            Output::Announced { ifsd } => assert!(ifsd >= 1),
            Output::Failed(_) => {}
            Output::Wait(deadline) => {
                clock.deadline = deadline;
                return;
            }
        }
    }
    panic!("the machine does not come to rest");
}

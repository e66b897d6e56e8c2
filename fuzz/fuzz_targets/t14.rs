#![no_main]
//! The T14 machine: whatever the card says, nothing panics, hangs or grows without bound.
use iso7816::t14::{Input, Output, T14};
use iso7816::etu::LineParams;
use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use stbcam_fuzz::{Clock, OUTPUTS, Step, TIMEOUTS, steps};

const COMMANDS: [&[u8]; 3] =
    [&[0x01, 0x02, 0, 0, 0, 1, 7], &[0x01, 0x02, 0, 0, 0, 0], &[0xFF; 300]];

fuzz_target!(|octets: &[u8]| {
    let Some((flags, octets)) = octets.split_first() else { return };
    let mut clock = Clock::new();
    let _ = flags;
    let mut machine = T14::new(Duration::from_millis(40));
    machine.reset(LineParams::initial(3_579_545), Duration::from_secs(1));
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
fn silence(machine: &mut T14, clock: &mut Clock) {
    for _ in 0..TIMEOUTS {
        if !clock.to_deadline() {
            return;
        }
        machine.handle_input(clock.now, Input::Timeout);
        drain(machine, clock);
    }
    panic!("the machine never gives up");
}

fn drain(machine: &mut T14, clock: &mut Clock) {
    for _ in 0..OUTPUTS {
        match machine.poll_output() {
            Output::Transmit(octets) => assert!(octets.len() <= 261),
            Output::Response(response) => assert!(response.len() <= 4098),
            Output::Failed(_) => {}
            Output::Wait(deadline) => {
                clock.deadline = deadline;
                return;
            }
        }
    }
    panic!("the machine does not come to rest");
}

#![no_main]
//! The T0 machine: whatever the card says, nothing panics, hangs or grows without bound.
use iso7816::t0::{Input, Output, T0, T0Policy};
use iso7816::etu::LineParams;
use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use stbcam_fuzz::{Clock, OUTPUTS, Step, TIMEOUTS, steps};

const COMMANDS: [&[u8]; 3] =
    [&[0x80, 0x34, 0, 0, 3, 1, 2, 3, 0], &[0, 0xB0, 0, 0, 0], &[0, 0x20, 0, 0]];

fuzz_target!(|octets: &[u8]| {
    let Some((flags, octets)) = octets.split_first() else { return };
    let mut clock = Clock::new();
    let mut machine = T0::new(600, 4098, Duration::from_millis(40), T0Policy::default());
    let line = LineParams::initial(3_579_545);
    machine.reset(line, line.wt(10, 372));
    machine.exchange_whole(flags & 1 != 0);
    drain(&mut machine, &mut clock);
    for step in steps(octets) {
        match step {
            Step::Octets(said) if flags & 1 != 0 => machine.handle_input(clock.now, Input::Message(said)),
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
fn silence(machine: &mut T0, clock: &mut Clock) {
    for _ in 0..TIMEOUTS {
        if !clock.to_deadline() {
            return;
        }
        machine.handle_input(clock.now, Input::Timeout);
        drain(machine, clock);
    }
    panic!("the machine never gives up");
}

fn drain(machine: &mut T0, clock: &mut Clock) {
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

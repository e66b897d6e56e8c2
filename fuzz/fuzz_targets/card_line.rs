// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The virtual card's end of the line: whatever the terminal says, nothing panics or grows without
//! bound.
use iso7816::etu::USUAL_CLOCK_HZ;
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::{Clock, OUTPUTS, Step, steps};
use vreader::line::{CardLine, Input, Output, Policy};

const ATRS: [&[u8]; 3] = [
    &[0x3B, 0x90, 0x18, 0x40, 0x05],
    &[0x3B, 0xD0, 0x18, 0xFF, 0x81, 0x31, 0xFE, 0x15, 0x83],
    &[0x3B, 0x00],
];

fuzz_target!(|octets: &[u8]| {
    let Some((flags, octets)) = octets.split_first() else { return };
    let mut clock = Clock::new();
    let mut line = CardLine::new(Policy::new(USUAL_CLOCK_HZ, |_, ins| ins & 1 == 0));
    let atr = ATRS[usize::from(*flags) % ATRS.len()];
    if line.power_on(atr).is_err() {
        return;
    }
    drain(&mut line, &mut clock);
    for step in steps(octets) {
        match step {
            Step::Octets(said) => line.handle_input(clock.now, Input::Received(said)),
            Step::Damaged => line.handle_input(clock.now, Input::Damaged(0x55)),
            Step::Pause(time) => {
                clock.now = clock.now.after(time);
                line.handle_input(clock.now, Input::Timeout);
            }
            Step::Silence => {
                clock.to_deadline();
                line.handle_input(clock.now, Input::Timeout);
            }
            Step::Other(0) => line.power_off(),
            Step::Other(_) => drop(line.power_on(atr)),
        }
        drain(&mut line, &mut clock);
    }
});

fn drain(line: &mut CardLine, clock: &mut Clock) {
    let mut answer = None;
    for _ in 0..OUTPUTS {
        match line.poll_output() {
            Output::Transmit(octets) => assert!(octets.len() <= 600),
            Output::Configure(params) => assert!(params.d > 0 && params.f > 0),
            Output::Execute(apdu) => {
                let mut octets: Vec<u8> = apdu.iter().rev().take(256).copied().collect();
                octets.extend([0x90, 0x00]);
                answer = Some(octets);
            }
            Output::Wait(deadline) => {
                let Some(octets) = answer.take() else {
                    clock.deadline = deadline;
                    return;
                };
                line.handle_input(clock.now, Input::Executed(&octets));
            }
        }
    }
    panic!("the card does not come to rest");
}

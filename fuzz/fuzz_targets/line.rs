// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The card line at characters, from reset to recovery: whatever the card says, nothing panics,
//! hangs or grows without bound, and no exchange outlasts the policy.
use iso7816::line::Input;
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::Step;
use stbcam_fuzz::rig::{Rig, play};

fn card(rig: &mut Rig, step: Step<'_>) {
    match step {
        Step::Octets(said) => rig.input(Input::Received(said)),
        _ => rig.input(Input::Damaged),
    }
}

fuzz_target!(|octets: &[u8]| play(octets, card, |_| {}));

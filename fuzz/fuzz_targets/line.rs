#![no_main]
//! The card line at characters, from reset to recovery: whatever the card says, nothing panics, hangs or
//! grows without bound, and no exchange outlasts the policy.
use iso7816::line::Input;
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::Step;
use stbcam_fuzz::bench::{Bench, play};

fn card(bench: &mut Bench, step: Step<'_>) {
    match step {
        Step::Octets(said) => bench.input(Input::Received(said)),
        _ => bench.input(Input::Damaged),
    }
}

fuzz_target!(|octets: &[u8]| play(octets, card, |_| {}));

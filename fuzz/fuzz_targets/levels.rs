#![no_main]
//! The card line above characters, with readers that take TPDUs or APDUs: as the target `line`.
use iso7816::line::{Input, Level};
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::Step;
use stbcam_fuzz::bench::{Bench, play};

fn card(bench: &mut Bench, step: Step<'_>) {
    match step {
        Step::Octets([0xFE, level, settled, atr @ ..]) => {
            let level = [Level::Characters, Level::Tpdu, Level::Apdu][usize::from(*level) % 3];
            let settled = (settled & 0x80 != 0).then_some(settled & 0x0F);
            bench.input(Input::Answered { atr, level, settled });
        }
        Step::Octets(said) => bench.input(Input::Message(said)),
        _ => bench.input(Input::Unanswered { damaged: true }),
    }
}

/// A reader above characters always ends a message.
fn mute(bench: &mut Bench) {
    bench.input(Input::Unanswered { damaged: false });
}

fuzz_target!(|octets: &[u8]| play(octets, card, mute));

// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The card line above characters, with readers that take TPDUs or APDUs: as the target `line`.
use iso7816::line::{Input, Level};
use libfuzzer_sys::fuzz_target;
use stbcam_fuzz::Step;
use stbcam_fuzz::rig::{Rig, play};

fn card(rig: &mut Rig, step: Step<'_>) {
    match step {
        Step::Octets([0xFE, level, agreed, atr @ ..]) => {
            let level = [Level::Characters, Level::Tpdu, Level::Apdu][usize::from(*level) % 3];
            let agreed = (agreed & 0x80 != 0).then_some(agreed & 0x0F);
            rig.input(Input::Answered { atr, level, agreed });
        }
        Step::Octets(said) => rig.input(Input::Message(said)),
        _ => rig.input(Input::Unanswered { damaged: true }),
    }
}

/// A reader above characters always ends a message.
fn mute(rig: &mut Rig) {
    rig.input(Input::Unanswered { damaged: false });
}

fuzz_target!(|octets: &[u8]| play(octets, card, mute));

// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! The fault script: what is no script is refused with the line, and what is one never panics.
use libfuzzer_sys::fuzz_target;
use vreader::script::{Place, Script};

fuzz_target!(|text: &str| {
    let Ok(mut script) = text.parse::<Script>() else { return };
    for at in 0..64 {
        if at % 16 == 15 {
            script.reset();
        }
        for place in [Place::Card, Place::Terminal, Place::Reader, Place::Host, Place::Command] {
            assert!(script.strike(place).len() <= text.lines().count());
        }
    }
});

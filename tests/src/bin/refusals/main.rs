// SPDX-License-Identifier: Apache-2.0
//! Refusals one octet apart, for who counts or times them (T26).
//!
//! `refusals once` presents every secret that is compared, wrong at one place after the other, and
//! prints which, one a line; callgrind counts what is inside `presented`
//! (`tests/tests/constant_time.rs`). `refusals welch [N]` times N of them of each kind, wrong at
//! the first place or at the last, and fails when the two can be told apart (`make bench-ct`).
#![allow(clippy::unwrap_used, reason = "what cannot be presented ends the measuring")]
#![allow(clippy::print_stdout, reason = "the table goes there")]

mod attempts;
mod heap;
mod kinds;
mod welch;

use attempts::{Place, presented};
use kinds::KINDS;
use std::env;
use std::process::ExitCode;

/// How often each kind is presented before it is counted: what is made once in a process, such as
/// what the linker binds late, is made by then.
const BEFORE: usize = 2;

fn once() {
    heap::in_steps();
    for kind in KINDS {
        let mut right = (kind.attempt)(Place::Nowhere);
        let answer = presented(&mut right);
        assert!((right.accepted)(&answer), "{}: the right one is not accepted", kind.name);
        println!("{}\tright", kind.name);
        for (n, place) in (0..BEFORE).map(|_| 0).chain(0..kind.places).enumerate() {
            heap::on_a_page();
            let mut wrong = (kind.attempt)(Place::At(place));
            let answer = presented(&mut wrong);
            assert!(!(wrong.accepted)(&answer), "{}: wrong at {place} is accepted", kind.name);
            println!("{}\t{}", kind.name, if n < BEFORE { "before" } else { "counted" });
        }
    }
}

fn main() -> ExitCode {
    let given: Vec<String> = env::args().skip(1).collect();
    match given.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["once"] => once(),
        ["welch"] => return welch::measure(20_000),
        ["welch", times] => return welch::measure(times.parse().unwrap()),
        _ => panic!("once, or welch [N]"),
    }
    ExitCode::SUCCESS
}

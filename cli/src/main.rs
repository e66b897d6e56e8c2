// SPDX-License-Identifier: Apache-2.0
//! `stbcam`: cards and readers at the bench.
//!
//! From above: `command` parses the command line and runs one of its modules; these share `bench`
//! (a card in a reader) and `money` (a terminal with its keys and its state), say everything
//! through `record`, and fail with a `failure`, which is an exit status, too.

mod args;
mod bench;
mod command;
mod explain;
mod failure;
mod help;
mod hex;
mod money;
mod owners;
mod record;
mod secrets;
mod status;
mod trace;

fn main() -> std::process::ExitCode {
    command::run()
}

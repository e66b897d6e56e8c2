// SPDX-License-Identifier: Apache-2.0
//! `vcard`: personalises, serves and inspects virtual cards.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}

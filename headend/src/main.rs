// SPDX-License-Identifier: Apache-2.0
//! `headend`: packages a clear transport stream, makes EMMs and pairings, shows what is on air.

use clap::Parser;
use env_logger::Env;
use headend::cli::{Cli, Command, Keys};
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::from_env(Env::default().default_filter_or("warn")).init();
    let done = match cli.command {
        Command::Package(package) => headend::run::package(&package),
        Command::Keys(Keys::Pair(pair)) => headend::run::pair(&pair),
        Command::Emm(emm) => headend::run::emm(&emm),
        Command::VerifyReport(verify) => headend::run::verify_report(&verify),
        Command::Inspect(inspect) => headend::run::inspect(&inspect),
    };
    // Where nobody listens any more there is nobody to tell.
    match done {
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "headend: {error}");
            ExitCode::FAILURE
        }
    }
}

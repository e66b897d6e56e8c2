//! `stbcam`: cards and readers at the bench.

mod args;
mod bench;
mod command;
mod explain;
mod failure;
mod help;
mod hex;
mod money;
mod record;
mod secrets;
mod status;
mod trace;

fn main() -> std::process::ExitCode {
    command::run()
}

// SPDX-License-Identifier: Apache-2.0
//! Where a PIN comes from: the command line, standard input, or a terminal that does not echo.
use super::args::PinArgs;
use crate::failure::Failure;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use wallet::pin::Pin;
use zeroize::Zeroizing;

impl PinArgs {
    /// The PIN, if one is given.
    pub(crate) fn read(&self) -> Result<Option<Pin>, Failure> {
        self.pin.as_deref().map(|argument| read(argument, "PIN")).transpose()
    }
}

/// The PIN that `--pin` names: itself, or with `-` the next line of standard input, asked for at a
/// terminal.
pub(crate) fn read(argument: &str, whose: &str) -> Result<Pin, Failure> {
    let digits = match argument {
        "-" => ask(whose)?,
        digits => Zeroizing::new(digits.to_owned()),
    };
    Pin::from_digits(&digits)
        .map_err(|why| Failure::Usage(format!("--pin: {why}; no money has moved")))
}

fn ask(whose: &str) -> Result<Zeroizing<String>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::Usage(format!("--pin: standard input: {error}; no money has moved"))
    };
    let input = io::stdin();
    // Room for the longest: a string that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(64));
    if !input.is_terminal() {
        let octets = input.lock().read_line(&mut line).map_err(|error| wrong(&error))?;
        if octets == 0 {
            return Err(wrong(&"no PIN, expected one a line"));
        }
    } else {
        let _ = write!(io::stderr(), "{whose}: ");
        let as_before = tcgetattr(&input).map_err(|error| wrong(&error))?;
        let mut silent = as_before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&input, SetArg::TCSAFLUSH, &silent).map_err(|error| wrong(&error))?;
        let read = input.lock().read_line(&mut line);
        tcsetattr(&input, SetArg::TCSAFLUSH, &as_before).map_err(|error| wrong(&error))?;
        let _ = writeln!(io::stderr());
        read.map_err(|error| wrong(&error))?;
    }
    Ok(Zeroizing::new(line.trim().to_owned()))
}

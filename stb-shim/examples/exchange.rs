// SPDX-License-Identifier: Apache-2.0
//! A reader and the card line by hand: `exchange URL`, then lines on stdin.
//!
//! | line | answer |
//! |---|---|
//! | `activate` | `ready T=1 3B…` |
//! | `command HEX` | the response in hexadecimal |
//! | `times N HEX` | how long each of N such commands took, in microseconds |
//! | `until present` or `until absent` | the same, once it is so |
//!
//! An answer that begins with `failed` says why there is no other.
use iso7816::line::{CardLine, Input, Output};
use stb_shim::clock;
use stb_shim::reader::{Presence, Reader};
use stb_shim::readers;
use stb_shim::sys::Waker;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// How long a card may say nothing.
const PATIENCE: Duration = Duration::from_secs(5);

struct Rig {
    reader: Box<dyn Reader>,
    line: CardLine,
    waker: Waker,
}

impl Rig {
    fn open(url: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let reader = readers::open(url)?;
        let line = CardLine::new(reader.capabilities().policy());
        Ok(Self { reader, line, waker: Waker::new()? })
    }

    fn answer(&mut self, line: &str) -> String {
        match line.split_once(' ') {
            None if line == "activate" => match self.run(Input::Activate) {
                Ok(atr) => format!("ready T={} {}", self.line.protocol(), hex(&atr)),
                Err(failed) => failed,
            },
            Some(("command", text)) => match octets(text).and_then(|apdu| self.command(&apdu)) {
                Ok(response) => hex(&response),
                Err(failed) => failed,
            },
            Some(("times", arguments)) => self.times(arguments).unwrap_or_else(|failed| failed),
            Some(("until", "present")) => self.until(Presence::Present),
            Some(("until", "absent")) => self.until(Presence::Absent),
            _ => {
                format!(
                    "failed: '{line}', expected activate, command HEX, times N HEX or until present|absent"
                )
            }
        }
    }

    fn command(&mut self, apdu: &[u8]) -> Result<Vec<u8>, String> {
        self.run(Input::Command { apdu, patience: Some(PATIENCE) })
    }

    fn times(&mut self, arguments: &str) -> Result<String, String> {
        let expected = || format!("failed: '{arguments}', expected N HEX");
        let (count, hex) = arguments.split_once(' ').ok_or_else(expected)?;
        let count = count.parse::<u32>().map_err(|_| expected())?;
        let apdu = octets(hex)?;
        let mut times = String::new();
        for _ in 0..count {
            let begin = std::time::Instant::now();
            let _ = self.command(&apdu)?;
            let _ = write!(times, "{:.3} ", begin.elapsed().as_secs_f64() * 1e6);
        }
        Ok(times)
    }

    fn until(&mut self, wanted: Presence) -> String {
        loop {
            match self.reader.present() {
                Ok(presence) if presence == wanted => {
                    return format!("{presence:?}").to_lowercase();
                }
                Ok(_) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return format!("failed: {error}"),
            }
        }
    }

    /// Does what the line wants, until it has an answer: an answer to reset or a response.
    fn run(&mut self, input: Input<'_>) -> Result<Vec<u8>, String> {
        let Self { reader, line, waker } = self;
        let mut buf = [0; 512];
        line.handle_input(clock::now(), input);
        loop {
            let done = match line.poll_output() {
                Output::Activate(reset) => reader.activate(reset),
                Output::Configure(params) => reader.configure(&params),
                Output::Transmit(octets) => reader.send(octets),
                Output::Deactivate => {
                    reader.deactivate();
                    Ok(())
                }
                Output::Ready(atr) => return Ok(atr.octets().to_vec()),
                Output::Response(response) => return Ok(response.to_vec()),
                Output::Failed(error) => return Err(format!("failed: {error}")),
                Output::Wait(until) => reader.receive(&mut buf, until, waker).map(|received| {
                    let now = clock::now();
                    line.handle_input(now, received.input(&buf).unwrap_or(Input::Timeout));
                }),
            };
            if let Err(error) = done {
                line.handle_input(clock::now(), Input::Gone(error.gone()));
                if let Output::Failed(failed) = line.poll_output() {
                    return Err(format!("failed: {failed}: {error}"));
                }
            }
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

fn octets(hex: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("failed: '{hex}' is not hexadecimal");
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.as_bytes().chunks(2).map(pair).collect::<Option<_>>().ok_or_else(wrong)
}

fn main() -> ExitCode {
    let mut out = io::stdout();
    let Some(url) = std::env::args().nth(1) else {
        let _ = writeln!(out, "failed: expected exchange URL, as in exchange vpcd:127.0.0.1:35963");
        return ExitCode::FAILURE;
    };
    clock::wait_exactly();
    let mut rig = match Rig::open(&url) {
        Ok(rig) => rig,
        Err(error) => {
            let _ = writeln!(out, "failed: {error}");
            return ExitCode::FAILURE;
        }
    };
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { return ExitCode::FAILURE };
        if writeln!(out, "{}", rig.answer(&line)).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

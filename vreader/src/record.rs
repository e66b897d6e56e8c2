// SPDX-License-Identifier: Apache-2.0
//! The recorder of `--record`: every octet of the line, in a text file.
//!
//! One line each: seconds since the recording began, who, octets in hexadecimal:
//! `T` terminal to card, `C` card to terminal, `R` with octets an answer to reset that the card
//! began to send, `R` without octets the reset line becoming active. An octet that is not shown is
//! `..`: `docs/spec/card.md`, section 4.

mod mask;
mod party;

pub use party::Party;

use cam_types::Instant;
use mask::Mask;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// A file that receives a line of text for everything that happens on the card line.
#[derive(Debug)]
pub struct Recorder<W: Write> {
    out: W,
    begin: Instant,
    mask: Mask,
}

impl Recorder<File> {
    /// Begins a recording in a new file that its owner alone can read; an older one of that name is
    /// overwritten, and nobody else can read it from then on.
    pub fn create(path: &Path, now: Instant) -> io::Result<Self> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(Self::new(file, now))
    }
}

impl<W: Write> Recorder<W> {
    /// Begins a recording of a line.
    pub const fn new(out: W, now: Instant) -> Self {
        Self { out, begin: now, mask: Mask::line() }
    }

    /// The same where no characters pass but whole commands and responses.
    #[must_use]
    pub fn of_commands(mut self) -> Self {
        self.mask = Mask::Commands;
        self
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Writes one line, and gives it to the operating system at once.
    pub fn note(&mut self, now: Instant, party: Party, octets: &[u8]) -> io::Result<()> {
        let micros = now.since(self.begin).as_micros();
        let letter = match party {
            Party::Terminal => 'T',
            Party::Card => 'C',
            Party::Reset => 'R',
        };
        let mut line = format!("{}.{:06} {letter}", micros / 1_000_000, micros % 1_000_000);
        let hidden = self.mask.hides(party, octets);
        if !octets.is_empty() {
            line.push(' ');
            for (octet, hidden) in octets.iter().zip(hidden) {
                line.push_str(&if hidden { "..".to_owned() } else { format!("{octet:02X}") });
            }
        }
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T1: also where a file of that name was everybody's.
    #[test]
    fn a_recording_is_its_owners() {
        let path = std::env::temp_dir().join(format!("stbcam-record-{}", std::process::id()));
        std::fs::write(&path, "older").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        Recorder::create(&path, Instant::default()).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn lines() {
        let mut out = Vec::new();
        let mut recorder = Recorder::new(&mut out, Instant::from_micros(500));
        recorder.note(Instant::from_micros(500), Party::Reset, &[]).unwrap();
        recorder.note(Instant::from_micros(1_500_501), Party::Terminal, &[0xFF, 0x10]).unwrap();
        recorder.note(Instant::from_micros(12_000_500), Party::Card, &[0x00]).unwrap();
        assert_eq!(out, b"0.000000 R\n1.500001 T FF10\n12.000000 C 00\n");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What to serve a card with, and why that may fail.

use crate::script::{Action, Place, Script, ScriptError};
use iso7816::etu::{GEMPC_CLOCK_HZ, USUAL_CLOCK_HZ};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// How a card is served on a serial port.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What stands between the port and the card's line.
    pub kind: ReaderKind,
    /// A symbolic link to the terminal's side of the port.
    pub link: Option<PathBuf>,
    /// A file that gets every octet of the line.
    pub record: Option<PathBuf>,
    /// A socket for what a hand would do to the card.
    pub control: Option<PathBuf>,
    /// The line takes its real time, and so does the nominal card.
    pub pace: bool,
    /// The card clock of the reader in Hz; `None` for what its kind has.
    pub clock_hz: Option<u32>,
    /// The answer to reset to give instead of the card's own.
    pub atr: Option<Vec<u8>>,
    /// The longest information field that the card sends on T=1.
    pub largest_field: Option<u8>,
    /// What goes wrong.
    pub script: Script,
}

/// The kind of reader on the serial port.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReaderKind {
    /// Phoenix or Smartmouse: the port is the card's line, speed 0 is reset.
    #[default]
    Phoenix,
    /// GemPC Twin: CCID frames.
    GemPcTwin,
}

impl ReaderKind {
    /// The card clock that such a reader gives, in Hz.
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Phoenix => USUAL_CLOCK_HZ,
            Self::GemPcTwin => GEMPC_CLOCK_HZ,
        }
    }

    /// The first line of a script that such a reader has no place for.
    pub fn misfit(self, script: &Script) -> Option<ScriptError> {
        script.misfit(|place, action| match (place, action) {
            (Place::Host | Place::Reader, _) if self == Self::Phoenix => false,
            // The cable is not the card's.
            (Place::Host | Place::Reader, Action::Mute | Action::Remove(_)) => false,
            _ => true,
        })
    }
}

/// Why a card could not be served, or no longer.
#[derive(Debug)]
pub enum ServeError {
    /// A thing that was to be made or used, and what the operating system said.
    Io {
        /// What it was, with its path.
        what: String,
        /// What went wrong.
        error: io::Error,
    },
    /// The script has a fault for which this reader has no place.
    Script(ScriptError),
    /// The card's operating system has panicked.
    CardEnded,
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, error } => write!(f, "{what}: {error}"),
            Self::Script(error) => write!(f, "script, {error}"),
            Self::CardEnded => f.write_str("the card's operating system has ended"),
        }
    }
}

impl std::error::Error for ServeError {}

//! What to serve a card with, and why that may fail.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// How a card is served.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A symbolic link to the terminal's side of the port.
    pub link: Option<PathBuf>,
    /// A file that gets every octet of the line.
    pub record: Option<PathBuf>,
    /// A socket for what a hand would do to the card.
    pub control: Option<PathBuf>,
    /// The line takes its real time, and so does the nominal card.
    pub pace: bool,
    /// The card clock of the reader in Hz; `None` for 3.579545 MHz.
    pub clock_hz: Option<u32>,
    /// The answer to reset to give instead of the card's own.
    pub atr: Option<Vec<u8>>,
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
    /// The card's operating system has panicked.
    CardEnded,
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, error } => write!(f, "{what}: {error}"),
            Self::CardEnded => f.write_str("the card's operating system has ended"),
        }
    }
}

impl std::error::Error for ServeError {}

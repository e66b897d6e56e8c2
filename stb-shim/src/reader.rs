// SPDX-License-Identifier: Apache-2.0
//! A card reader: power, reset, line parameters, characters or messages.
//!
//! The card line (`iso7816::line`) says what to do; a reader does it on one kind of hardware. A
//! plain reader knows nothing of protocols: characters pass as a UART sees them, a card of inverse
//! convention is decoded by the card line, the reader only takes its parity from the convention.
//! A reader above that level takes whole messages ([`Level`]) and brings whole answers.
use crate::clock;
use crate::sys::Waker;
use crate::url::UrlError;
use cam_types::Instant;
use iso7816::emv::Profile;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ, USUAL_MAX_BAUD};
use iso7816::line::{self, Gone, Level, Policy, Reset};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How soon a reader that cannot be waited for is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// One card slot.
///
/// Every error means that the reader can no longer be used as it is: see [`ReaderError::gone`].
pub trait Reader: Send {
    /// What this reader can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether a card is in the slot.
    fn present(&mut self) -> Result<Presence, ReaderError>;

    /// Throws received octets away and resets the card with the initial line parameters. Returns
    /// when reset has been released. A reader above characters goes on with
    /// [`What::AnswerToReset`].
    fn activate(&mut self, reset: Reset) -> Result<(), ReaderError>;

    /// Takes the power off the card, or holds it in reset where that is all there is.
    fn deactivate(&mut self);

    /// From the next character on the line runs like this.
    fn configure(&mut self, params: &LineParams) -> Result<(), ReaderError>;

    /// Sends octets: characters with the guard time of the line parameters between them, or one
    /// message. A message is always answered, by [`What::Message`] or [`What::Unanswered`] after
    /// the waiting time of the card, or else ends with an error.
    fn send(&mut self, octets: &[u8]) -> Result<(), ReaderError>;

    /// Waits until octets came, `until` has passed, or the waker fired. A message never comes in
    /// parts; one that is longer than `buf` counts as damaged and unanswered.
    fn receive(
        &mut self,
        buf: &mut [u8],
        until: Option<Instant>,
        waker: &Waker,
    ) -> Result<Received, ReaderError>;

    /// Nothing is expected of the card before the next [`Reader::send`] or [`Reader::activate`]: a
    /// reader that has to ask for octets need not ask.
    fn rest(&mut self) {}

    /// What has something to read when [`Reader::receive`] would return with something new: for
    /// whoever waits in another place.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    /// When [`Reader::receive`] would return, or wants to look again by itself, if none of its
    /// descriptors has anything to read. A reader that says nothing is asked every 10 ms.
    fn due(&self) -> Option<Instant> {
        Some(clock::now().after(ASK_AGAIN))
    }

    /// Characters sent to the card and received from it so far.
    fn line_octets(&self) -> (u64, u64);
}

/// Opens a reader, again when it was lost.
pub type Opener = dyn FnMut() -> Result<Box<dyn Reader>, ReaderError> + Send;

/// What a reader can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// It can reset the card.
    pub reset: bool,
    /// It switches the card's power, clock and I/O in the order of the standard. Without, a card
    /// that is deactivated is held in reset: that is all a Phoenix or Smartmouse can do.
    pub power: bool,
    /// It sees whether a card is in the slot.
    pub detect: bool,
    /// The card's clock in Hz.
    pub clock_hz: u32,
    /// It makes its bit rates by dividing this one by whole numbers; `None`: it makes any rate.
    pub baud_base: Option<u32>,
    /// The highest bit rate that it makes.
    pub max_baud: u32,
    /// What it takes at best; a message is more than a character.
    pub level: Level,
    /// How soon its port hands octets on.
    pub latency: Latency,
    /// Whose rules a card in it is held to, where it brings characters; above, they are its own
    /// business.
    pub profile: Profile,
}

/// How soon a port hands received octets on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Latency {
    /// As soon as it can: it was told to.
    Low,
    /// It cannot be told, and mostly need not be.
    Fixed,
    /// It collects octets, and this user has no right to change that.
    Refused,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low, as asked",
            Self::Fixed => "as the port has it",
            Self::Refused => "not low: no right to change it",
        })
    }
}

impl Capabilities {
    /// Of a reader that sees its card and takes APDUs: rates are its own business.
    pub const APDU: Self = Self {
        reset: true,
        power: true,
        detect: true,
        clock_hz: USUAL_CLOCK_HZ,
        baud_base: None,
        max_baud: USUAL_MAX_BAUD,
        level: Level::Apdu,
        latency: Latency::Fixed,
        profile: Profile::Iso,
    };

    /// The answer to reset begins within 40,000 clock cycles (ISO/IEC 7816-3 §6.2.1): 40 ms at the
    /// slowest clock. A card that was pulled shows by this, and the keys must go within a second.
    const ATR_START: Duration = Duration::from_millis(120);
    /// A reader that brings the whole answer says by itself that there is none.
    const WHOLE_ATR: Duration = Duration::from_secs(5);

    /// How the card line treats a card in such a reader.
    pub const fn policy(&self) -> Policy {
        let Self { clock_hz, baud_base, max_baud, .. } = *self;
        let atr_start = match self.level {
            Level::Characters => Self::ATR_START,
            Level::Tpdu | Level::Apdu => Self::WHOLE_ATR,
        };
        match (self.profile, self.level) {
            (Profile::EmvLevel1, Level::Characters) => {
                Policy { baud_base, max_baud, ..Policy::emv(clock_hz) }
            }
            _ => Policy { atr_start, baud_base, max_baud, ..Policy::new(clock_hz) },
        }
    }
}

/// Whether a card is in the slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// A card is in.
    Present,
    /// No card is in.
    Absent,
    /// The reader cannot tell.
    Unknown,
}

/// How a wait for octets ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Received {
    /// How many octets are in the buffer.
    pub octets: usize,
    /// One of them had a parity error, or an echo did not match. Tell the card line `Damaged`
    /// before `Received`.
    pub damaged: bool,
    /// The waker fired.
    pub woken: bool,
    /// What the octets are.
    pub what: What,
}

/// What a reader has received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum What {
    /// Characters of the card, or nothing.
    #[default]
    Characters,
    /// The answer to reset, whole and in logical form. Without octets: the card is mute.
    AnswerToReset {
        /// What the reader takes from now on.
        level: Level,
        /// T that the reader has agreed on with the card by itself, PPS included.
        agreed: Option<u8>,
    },
    /// The answer to the message sent last.
    Message,
    /// The message sent last was not answered; with `damaged`, not readably.
    Unanswered,
}

impl Received {
    /// What the card line has to be told of it; `octets` is the buffer that was filled.
    pub fn input<'a>(&self, octets: &'a [u8]) -> Option<line::Input<'a>> {
        let octets = octets.get(..self.octets).unwrap_or(&[]);
        match self.what {
            What::Characters if octets.is_empty() => None,
            What::Characters => Some(line::Input::Received(octets)),
            What::AnswerToReset { level, agreed } => {
                Some(line::Input::Answered { atr: octets, level, agreed })
            }
            What::Message => Some(line::Input::Message(octets)),
            What::Unanswered => Some(line::Input::Unanswered { damaged: self.damaged }),
        }
    }
}

/// Why a reader cannot be opened or used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReaderError {
    /// The reader's address has a key or a value that does not exist.
    Url(UrlError),
    /// The port cannot be opened.
    Open {
        /// Its path.
        port: String,
        /// What the system says.
        why: String,
        /// What would help.
        hint: &'static str,
        /// errno, where the system has refused it.
        errno: Option<i32>,
    },
    /// The port has no modem lines, but an option needs one.
    NoLine {
        /// The port's path.
        port: String,
        /// The option.
        key: &'static str,
        /// What would work.
        expected: &'static str,
    },
    /// The port cannot run this bit rate.
    Rate {
        /// The port's path.
        port: String,
        /// What the card needs.
        wanted: u32,
        /// What the port makes of it.
        got: u32,
    },
    /// With `echo=1` the port echoed nothing.
    NoEcho {
        /// The port's path.
        port: String,
    },
    /// The port is no UART with an ISO 7816 mode.
    NoMode {
        /// The port's path.
        port: String,
    },
    /// Nobody at the port speaks as this kind of reader does.
    NoReader {
        /// The port's path.
        port: String,
    },
    /// The card left while the reader was listening.
    Removed,
    /// The virtual card did what no card does, and its connection was closed. Another may come.
    Dismissed {
        /// Where it had come to.
        port: String,
        /// What it did.
        why: String,
    },
    /// The port is gone: unplugged, or its other end closed.
    Lost {
        /// The port's path.
        port: String,
    },
    /// The port does not do what every port does.
    Io {
        /// The port's path.
        port: String,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        why: io::Error,
    },
}

impl ReaderError {
    /// errno of the system call behind it, where there was one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open { errno, .. } => *errno,
            Self::Io { why, .. } => why.raw_os_error(),
            _ => None,
        }
    }

    /// What the card line has to be told.
    pub const fn gone(&self) -> Gone {
        match self {
            Self::Removed | Self::Dismissed { .. } => Gone::Removed,
            _ => Gone::ReaderLost,
        }
    }
}

impl From<UrlError> for ReaderError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl fmt::Display for ReaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Open { port, why, hint, .. } => write!(f, "port {port}: {why}; {hint}"),
            Self::NoLine { port, key, expected } => {
                write!(f, "port {port} has no modem lines for {key}, expected {expected}")
            }
            Self::Rate { port, wanted, got } => {
                write!(
                    f,
                    "port {port} runs {got} bit/s, the card needs {wanted}; with base= the card is \
                     asked for a rate that the port makes"
                )
            }
            Self::NoEcho { port } => {
                write!(f, "port {port} does not echo, expected echo=0 or a reader that echoes")
            }
            Self::NoMode { port } => {
                write!(
                    f,
                    "port {port} has no ISO 7816 mode, expected serial:{port} or another port"
                )
            }
            Self::NoReader { port } => write!(
                f,
                "port {port}: no answer in frames of a GemPC Twin, expected one with power, \
                 or serial:{port} for a reader without commands"
            ),
            Self::Removed => f.write_str("card removed"),
            Self::Dismissed { port, why } => write!(f, "{port}: card dismissed: {why}"),
            Self::Lost { port } => write!(f, "port {port} is gone"),
            Self::Io { port, what, why } => write!(f, "port {port}: cannot {what}: {why}"),
        }
    }
}

impl std::error::Error for ReaderError {}

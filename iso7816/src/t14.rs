// SPDX-License-Identifier: Apache-2.0
//! The host's machine for T=14, which ISO/IEC 7816-3 leaves to the makers of cards.
//!
//! The frame that pay-TV cards use: to the card `01`, CLA INS P1 P2 Lc, Lc octets, checksum; from
//! the card eight octets of which the last is a length, so many octets, checksum. The checksum
//! makes the exclusive-or of the whole frame 3F. There is no PPS: the rate of TA1 holds at once.
//! What the octets mean is the business of the caller, who gets the answer as it came, without
//! checksum.
//!
//! Heads up: nothing in the frame asks for a repetition, so whatever is wrong fails the exchange.
pub use crate::doors::Input;

use crate::apdu::ApduError;
use crate::doors::{self, Out};
use crate::etu::{LineParams, USUAL_CLOCK_HZ};
use alloc::vec::Vec;
use cam_types::Instant;
use core::fmt;
use core::time::Duration;
use zeroize::Zeroize;

/// The octet in front of every command.
const LEAD: u8 = 0x01;
/// The exclusive-or of a whole frame.
const SUM: u8 = 0x3F;
/// Octets of an answer before its data; the last is the length.
const HEADER: usize = 8;
/// How long a card may think, unless its WT is longer: the slowest known command takes half of it.
const THINKING: Duration = Duration::from_secs(5);
/// Silence in etu after which an answer is believed to be the end.
const SILENCE: u64 = 24;

/// The T=14 state machine. It owns no port and no clock: octets and time come in through
/// `handle_input`, and everything it wants done comes out of `poll_output`.
pub struct T14 {
    line: LineParams,
    wt: Duration,
    latency: Duration,
    state: State,
    tx: [u8; 2 + Self::MAX_COMMAND],
    tx_len: usize,
    response: Vec<u8>,
    deadline: Option<Instant>,
    out: Out<T14Error>,
}

/// What the machine wants done. A response is eight octets and data.
pub type Output<'a> = doors::Output<'a, T14Error>;

/// Why an exchange failed. Unless the command was refused, the card needs a reset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum T14Error {
    /// The card stopped answering.
    Silent,
    /// A character with a parity error, or a wrong checksum.
    Damaged,
    /// Octets came behind the checksum, or out of nowhere.
    Leftover,
    /// The command was not sent: T=14 cannot carry it.
    Command(ApduError),
}

impl fmt::Display for T14Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("card stopped answering"),
            Self::Damaged => f.write_str("answer is damaged"),
            Self::Leftover => f.write_str("octets behind the answer"),
            Self::Command(why) => write!(f, "{why}"),
        }
    }
}

impl core::error::Error for T14Error {}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Idle,
    /// The answer is coming.
    Receiving,
    /// It has come whole; nothing may follow.
    Ending,
}

impl T14 {
    /// Octets of the longest command.
    pub const MAX_COMMAND: usize = 5 + 255;
    /// Octets of the longest answer with its checksum.
    const MAX_ANSWER: usize = HEADER + 255 + 1;

    /// A machine for any command; [`T14::reset`] sets it to a card.
    pub fn new(latency: Duration) -> Self {
        Self {
            line: LineParams::initial(USUAL_CLOCK_HZ),
            wt: Duration::from_secs(1),
            latency,
            state: State::Idle,
            tx: [0; 2 + Self::MAX_COMMAND],
            tx_len: 0,
            response: Vec::with_capacity(Self::MAX_ANSWER),
            deadline: None,
            out: Out::Nothing,
        }
    }

    /// A card that has just been reset speaks with these parameters; `wt` is the longest gap
    /// between two characters.
    pub fn reset(&mut self, line: LineParams, wt: Duration) {
        self.line = line;
        self.wt = wt;
        self.finish(Out::Nothing);
        self.response.zeroize();
    }

    /// Whether T=14 can carry this command.
    pub const fn check(command: &[u8]) -> Result<(), ApduError> {
        match command {
            [_, _, _, _, lc, data @ ..] if *lc as usize == data.len() => Ok(()),
            [_, _, _, _, lc, data @ ..] => {
                Err(ApduError::Length { lc: *lc as usize, octets: data.len() })
            }
            _ => Err(ApduError::Header { octets: command.len() }),
        }
    }

    /// When the machine wants to hear `Timeout`, as in [`Output::Wait`].
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The answer of the last exchange.
    pub fn response(&self) -> &[u8] {
        &self.response
    }

    /// Takes one input; a command is CLA INS P1 P2 Lc and Lc octets. Poll until `Wait` afterwards.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Command(command) if self.state == State::Idle => match Self::check(command) {
                Ok(()) => self.start(now, command),
                Err(why) => self.out = Out::Failed(T14Error::Command(why)),
            },
            Input::Command(_) => {}
            Input::Received(octets) => self.receive(now, octets),
            Input::Damaged => self.finish(Out::Failed(T14Error::Damaged)),
            Input::Timeout if self.deadline.is_some_and(|deadline| now >= deadline) => {
                match self.state {
                    State::Idle => self.deadline = None,
                    State::Receiving => self.finish(Out::Failed(T14Error::Silent)),
                    State::Ending => self.ended(),
                }
            }
            Input::Timeout => {}
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output<'_> {
        let tx = self.tx.get(..self.tx_len).unwrap_or(&[]);
        self.out.take(tx, &self.response, self.deadline)
    }

    fn start(&mut self, now: Instant, command: &[u8]) {
        self.response.zeroize();
        let sum = command.iter().fold(SUM ^ LEAD, |sum, octet| sum ^ octet);
        let frame = [LEAD].into_iter().chain(command.iter().copied()).chain([sum]);
        self.tx_len = 0;
        for (place, octet) in self.tx.iter_mut().zip(frame) {
            *place = octet;
            self.tx_len += 1;
        }
        self.state = State::Receiving;
        let thinking = THINKING.max(self.wt.saturating_add(self.latency));
        let wait = self.line.sending(self.tx_len).saturating_add(thinking);
        self.deadline = Some(now.after(wait));
        self.out = Out::Transmit;
    }

    fn receive(&mut self, now: Instant, octets: &[u8]) {
        for octet in octets {
            if self.state != State::Receiving {
                return self.finish(Out::Failed(T14Error::Leftover));
            }
            self.response.push(*octet);
            self.deadline = Some(now.after(self.wt.saturating_add(self.latency)));
            let len = self.response.get(HEADER - 1).map(|len| HEADER + usize::from(*len) + 1);
            if len == Some(self.response.len()) {
                self.state = State::Ending;
                self.deadline = Some(now.after(self.line.etus(SILENCE)));
            }
        }
    }

    /// The answer is whole and nothing came behind it.
    fn ended(&mut self) {
        if self.response.iter().fold(SUM, |sum, octet| sum ^ octet) == 0 {
            self.response.pop();
            self.finish(Out::Response);
        } else {
            self.finish(Out::Failed(T14Error::Damaged));
        }
    }

    fn finish(&mut self, out: Out<T14Error>) {
        self.tx.zeroize();
        self.state = State::Idle;
        self.deadline = None;
        self.out = out;
    }
}

/// Without what was sent and received: it may hold a PIN.
impl fmt::Debug for T14 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("T14").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Drop for T14 {
    fn drop(&mut self) {
        self.finish(Out::Nothing);
        self.response.zeroize();
    }
}

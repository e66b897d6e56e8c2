// SPDX-License-Identifier: Apache-2.0
//! A reader that speaks CCID over a serial cable, as the GemPC Twin does: frames in place of
//! characters, a message at a time.
//!
//! Normative references:
//!  - USB device class specification for integrated circuit cards (CCID), revision 1.1, clauses 3
//!    and 6
//!
//! The reader keeps the card's times and parity by itself, decodes inverse convention and tells of
//! cards that come and leave. PPS and T=1 are ours.
use crate::clock;
use crate::port::{Port, STUCK};
use crate::reader::{Capabilities, Latency, Presence, Reader, ReaderError, Received, What};
use crate::sys::{Mode, Parity, Waker};
use crate::url::Url;
use cam_types::Instant;
use iso7816::emv::Profile;
use iso7816::etu::LineParams;
use iso7816::line::{Level, Reset};
use nix::libc;
use std::os::fd::BorrowedFd;
use zeroize::Zeroize;

mod address;
mod frame;
pub mod host;
mod parameters;

use address::Address;
use host::{Host, Input, Output};

/// A GemPC Twin on a serial port.
#[derive(Debug)]
pub struct GemPcReader {
    port: Port,
    latency: Latency,
    clock_hz: u32,
    host: Host,
    wait: Option<Instant>,
    /// The answer, or that there is none, which was not told.
    answer: Option<Answer>,
    /// The card has left, which was not told.
    removed: bool,
    sent: u64,
    received: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Octets(What),
    Unanswered { damaged: bool },
}

impl GemPcReader {
    /// Opens `gempc:PATH?key=value&…` and makes sure that such a reader is there.
    pub fn open(url: &Url<'_>) -> Result<Self, ReaderError> {
        let address = Address::parse(url)?;
        let port = Port::open(&address.path, address.baud)?;
        let latency = port.low_latency();
        port.set_mode(Mode { baud: address.baud, parity: Parity::None, two_stop_bits: true })?;
        // With RTS low the reader does not introduce itself to a host that plugs and plays.
        if port.modem_lines()?.is_some() {
            port.lower(libc::TIOCM_RTS)?;
        }
        port.flush()?;
        let mut reader = Self {
            port,
            latency,
            clock_hz: address.clock_hz,
            host: Host::new(address.clock_hz),
            wait: None,
            answer: None,
            removed: false,
            sent: 0,
            received: 0,
        };
        reader.tell(Input::Greet)?;
        while !reader.host.idle() {
            reader.listen(None, None)?;
        }
        Ok(reader)
    }

    fn tell(&mut self, input: Input<'_>) -> Result<(), ReaderError> {
        self.host.handle_input(clock::now(), input);
        loop {
            match self.host.poll_output() {
                Output::Send(octets) => self.port.write(octets, STUCK)?,
                Output::AnswerToReset => {
                    let what = What::AnswerToReset { level: Level::Tpdu, agreed: None };
                    self.answer = Some(Answer::Octets(what));
                }
                Output::Message => self.answer = Some(Answer::Octets(What::Message)),
                Output::Unanswered { damaged } => {
                    self.answer = Some(Answer::Unanswered { damaged });
                }
                Output::Removed => self.removed = true,
                Output::Dead => {
                    return Err(ReaderError::NoReader { port: self.port.path().to_owned() });
                }
                Output::Wait(until) => {
                    self.wait = until;
                    return Ok(());
                }
            }
        }
    }

    /// Waits for octets of the reader and gives them to the host. Whether the waker fired.
    fn listen(
        &mut self,
        until: Option<Instant>,
        waker: Option<&Waker>,
    ) -> Result<bool, ReaderError> {
        let stop = [until, self.wait].into_iter().flatten().min();
        let ready = self.port.wait(stop, waker)?;
        if ready.port {
            self.overhear()?;
        }
        if self.wait.is_some_and(|at| at <= clock::now()) {
            self.tell(Input::Timeout)?;
        }
        Ok(ready.woken)
    }

    /// Takes what has come without waiting.
    fn overhear(&mut self) -> Result<(), ReaderError> {
        let mut octets = [0; 512];
        if let Some(len) = self.port.read(&mut octets)? {
            self.tell(Input::Received(octets.get(..len).unwrap_or_default()))?;
            octets.zeroize();
        }
        Ok(())
    }

    /// Hands out what happened.
    fn happened(&mut self, buf: &mut [u8]) -> Result<Option<Received>, ReaderError> {
        let what = match self.answer.take() {
            None if std::mem::take(&mut self.removed) => return Err(ReaderError::Removed),
            None => return Ok(None),
            Some(Answer::Unanswered { damaged }) => {
                let what = What::Unanswered;
                return Ok(Some(Received { damaged, what, ..Received::default() }));
            }
            Some(Answer::Octets(what)) => what,
        };
        let octets = self.host.answer();
        let len = octets.len();
        self.received += len as u64;
        let received = match buf.get_mut(..len) {
            Some(place) => {
                place.copy_from_slice(octets);
                Received { octets: len, what, ..Received::default() }
            }
            None => Received { damaged: true, what: What::Unanswered, ..Received::default() },
        };
        self.host.forget_answer();
        Ok(Some(received))
    }
}

impl Reader for GemPcReader {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            reset: true,
            power: true,
            detect: true,
            clock_hz: self.clock_hz,
            baud_base: None,
            max_baud: MAX_BAUD,
            level: Level::Tpdu,
            latency: self.latency,
            profile: Profile::Iso,
        }
    }

    fn present(&mut self) -> Result<Presence, ReaderError> {
        self.overhear()?;
        self.tell(Input::Look)?;
        let removed = std::mem::take(&mut self.removed);
        Ok(if !removed && self.host.present() { Presence::Present } else { Presence::Absent })
    }

    fn activate(&mut self, reset: Reset) -> Result<(), ReaderError> {
        log::debug!("port {}: {reset:?} reset", self.port.path());
        (self.answer, self.removed) = (None, false);
        self.tell(Input::Activate(reset))
    }

    fn deactivate(&mut self) {
        self.answer = None;
        if let Err(error) = self.tell(Input::Deactivate) {
            log::debug!("{error}");
        }
    }

    fn configure(&mut self, params: &LineParams) -> Result<(), ReaderError> {
        self.tell(Input::Configure(params))
    }

    fn send(&mut self, octets: &[u8]) -> Result<(), ReaderError> {
        self.sent += octets.len() as u64;
        self.tell(Input::Transfer(octets))
    }

    fn receive(
        &mut self,
        buf: &mut [u8],
        until: Option<Instant>,
        waker: &Waker,
    ) -> Result<Received, ReaderError> {
        if let Some(received) = self.happened(buf)? {
            return Ok(received);
        }
        loop {
            // Once at least: whoever has no time to wait takes what is there.
            let woken = self.listen(until, Some(waker))?;
            if let Some(received) = self.happened(buf)? {
                return Ok(Received { woken, ..received });
            }
            if woken || until.is_some_and(|until| until <= clock::now()) {
                return Ok(Received { woken, ..Received::default() });
            }
        }
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.port.fd()]
    }

    fn due(&self) -> Option<Instant> {
        if self.answer.is_some() || self.removed { Some(clock::now()) } else { self.wait }
    }

    fn line_octets(&self) -> (u64, u64) {
        (self.sent, self.received)
    }
}

impl Drop for GemPcReader {
    fn drop(&mut self) {
        self.deactivate();
    }
}

/// 512/64 at 4 MHz is beyond it; 372/32 is not.
const MAX_BAUD: u32 = 344_086;

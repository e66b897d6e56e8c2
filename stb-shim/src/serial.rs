// SPDX-License-Identifier: Apache-2.0
//! A Phoenix or Smartmouse reader, or anything that behaves like one, on a serial port.
//!
//! Heads up, for the traps are all in the ports:
//!  - A pseudo terminal has no modem lines (ENOTTY): reset is then a pulse at rate 0, which on a
//!    UART drops RTS and DTR too. EIO on the same call means that the port is gone.
//!  - Input is thrown away before reset is released, never after: the answer may be quick.
//!  - With PARMRK a received FF comes doubled and a damaged xx as FF 00 xx, in any split.
use crate::clock;
use crate::port::{Port, STUCK};
use crate::reader::{Capabilities, Latency, Presence, Reader, ReaderError, Received};
use crate::sys::{Mode, Parity, Waker};
use crate::url::Url;
use cam_types::Instant;
use iso7816::emv::Profile;
use iso7816::etu::{Convention, LineParams, USUAL_MAX_BAUD};
use iso7816::line::{Level, Reset};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

mod address;
mod marks;
mod survey;

use address::{Address, DetectLine, ResetLine};
use marks::Marks;
pub use survey::{ModemLine, Survey};

/// How long reset is held. At rate 0 the other end of a pseudo terminal needs 15 ms to be sure, and
/// may be busy with something else for as long.
const RESET_PULSE: Duration = Duration::from_millis(30);
/// How often the card-detect line is looked at while the reader listens.
const DETECT_INTERVAL: Duration = Duration::from_millis(50);
/// How long an adapter and a scheduler may keep an echo back beyond the time on the line.
const ECHO: Duration = Duration::from_millis(100);

/// A card reader on a serial port.
#[derive(Debug)]
pub struct SerialReader {
    port: Port,
    latency: Latency,
    reset: ResetLine,
    detect: Option<DetectLine>,
    clock_hz: u32,
    baud_base: Option<u32>,
    profile: Profile,
    echo: bool,
    echo_seen: bool,
    params: LineParams,
    /// Since when reset has been held.
    held: Option<Instant>,
    marks: Marks,
    /// An echo did not match: the next octets are not to be trusted.
    collided: bool,
    /// A card was in when the detect line was last looked at.
    card_in: bool,
    sent: u64,
    received: u64,
}

impl SerialReader {
    /// Opens `serial:PATH?key=value&…`.
    pub fn open(url: &Url<'_>) -> Result<Self, ReaderError> {
        let address = Address::parse(url)?;
        let initial = LineParams::initial(address.clock_hz);
        // Rate 0 lets the port start with reset held where that is what rate 0 does.
        let rate = if address.reset == Some(ResetLine::Rate0) { 0 } else { initial.baud() };
        let port = Port::open(&address.path, rate)?;
        let (reset, detect) = address.lines(port.modem_lines()?)?;
        let mut reader = Self {
            latency: port.low_latency(),
            port,
            reset,
            detect,
            clock_hz: address.clock_hz,
            baud_base: address.baud_base,
            profile: address.profile,
            echo: address.echo,
            echo_seen: false,
            params: initial,
            held: None,
            marks: Marks::default(),
            collided: false,
            card_in: false,
            sent: 0,
            received: 0,
        };
        reader.hold_reset()?;
        Ok(reader)
    }

    /// The port itself.
    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    fn mode(&self, baud: u32) -> Mode {
        Mode {
            baud,
            parity: match self.params.convention {
                Convention::Direct => Parity::Even,
                Convention::Inverse => Parity::Odd,
            },
            two_stop_bits: self.params.guard_etu > 11,
        }
    }

    /// Sets the port to the line parameters.
    fn apply(&mut self) -> Result<(), ReaderError> {
        self.port.set_mode(self.mode(self.params.baud()))
    }

    fn hold_reset(&mut self) -> Result<(), ReaderError> {
        if self.held.is_none() {
            match self.reset {
                ResetLine::Modem { line, inverted: false } => self.port.raise(line),
                ResetLine::Modem { line, inverted: true } => self.port.lower(line),
                ResetLine::Rate0 => self.port.set_mode(self.mode(0)),
                ResetLine::None => Ok(()),
            }?;
            self.held = Some(clock::now());
        }
        Ok(())
    }

    fn release_reset(&mut self) -> Result<(), ReaderError> {
        match self.reset {
            ResetLine::Modem { line, inverted: false } => self.port.lower(line),
            ResetLine::Modem { line, inverted: true } => self.port.raise(line),
            // Setting the rate is the release.
            ResetLine::Rate0 => self.apply(),
            ResetLine::None => Ok(()),
        }
    }

    fn detected(&self, detect: DetectLine) -> Result<bool, ReaderError> {
        let lines = self.port.modem_lines()?;
        Ok((lines.unwrap_or(0) & detect.line != 0) != detect.inverted)
    }

    /// A card that was in is no longer.
    fn look_for_removal(&mut self) -> Result<(), ReaderError> {
        if let Some(detect) = self.detect {
            let was_in = self.card_in;
            self.card_in = self.detected(detect)?;
            if was_in && !self.card_in {
                return Err(ReaderError::Removed);
            }
        }
        Ok(())
    }

    /// Reads what is there without waiting. `None`: nothing.
    fn read(&mut self, buf: &mut [u8]) -> Result<Option<Received>, ReaderError> {
        let Some(len) = self.port.read(buf)? else { return Ok(None) };
        let (octets, damaged) = self.marks.unescape(buf, len);
        self.received += octets as u64;
        Ok(Some(Received { octets, damaged, ..Received::default() }))
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), ReaderError> {
        self.port.write(octets, self.params.sending(octets.len()).saturating_add(STUCK))?;
        self.sent += octets.len() as u64;
        Ok(())
    }

    /// Takes the echo of what was just sent off the line and compares it.
    fn take_echo(&mut self, sent: &[u8]) -> Result<(), ReaderError> {
        let time = self.params.sending(sent.len() + 2).saturating_add(ECHO);
        let until = clock::now().after(time);
        let mut echoed = 0;
        let mut buf = [0; 64];
        while echoed < sent.len() {
            let room = buf.len().min(sent.len() - echoed);
            let Some(got) = self.read(buf.get_mut(..room).unwrap_or(&mut []))? else {
                if clock::now() < until {
                    self.port.wait(Some(until), None)?;
                    continue;
                }
                if !self.echo_seen {
                    return Err(ReaderError::NoEcho { port: self.port.path().to_owned() });
                }
                log::warn!("port {}: {} octets not echoed", self.port.path(), sent.len() - echoed);
                self.collided = true;
                return Ok(());
            };
            let end = echoed + got.octets;
            self.received = self.received.saturating_sub(got.octets as u64);
            if got.damaged || buf.get(..got.octets) != sent.get(echoed..end) {
                log::warn!("port {}: the echo differs from what was sent", self.port.path());
                self.collided = true;
            }
            echoed = end;
            self.echo_seen |= got.octets > 0;
        }
        Ok(())
    }
}

impl Reader for SerialReader {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            reset: self.reset != ResetLine::None,
            power: false,
            detect: self.detect.is_some(),
            clock_hz: self.clock_hz,
            baud_base: self.baud_base,
            max_baud: USUAL_MAX_BAUD,
            level: Level::Characters,
            latency: self.latency,
            profile: self.profile,
        }
    }

    fn present(&mut self) -> Result<Presence, ReaderError> {
        let Some(detect) = self.detect else {
            return Ok(Presence::Unknown);
        };
        self.card_in = self.detected(detect)?;
        Ok(if self.card_in { Presence::Present } else { Presence::Absent })
    }

    fn activate(&mut self, reset: Reset) -> Result<(), ReaderError> {
        log::debug!("port {}: {reset:?} reset", self.port.path());
        self.params = LineParams::initial(self.clock_hz);
        self.hold_reset()?;
        if self.reset != ResetLine::Rate0 {
            self.apply()?;
        }
        if let Some(held) = self.held.take()
            && self.reset != ResetLine::None
        {
            thread::sleep(RESET_PULSE.saturating_sub(clock::now().since(held)));
        }
        self.port.flush()?;
        self.marks = Marks::default();
        self.collided = false;
        self.present()?;
        self.release_reset()
    }

    fn deactivate(&mut self) {
        if let Err(error) = self.hold_reset() {
            log::debug!("{error}");
        }
    }

    fn configure(&mut self, params: &LineParams) -> Result<(), ReaderError> {
        if self.params != *params {
            self.params = *params;
            self.apply()?;
        }
        Ok(())
    }

    fn send(&mut self, octets: &[u8]) -> Result<(), ReaderError> {
        // One or two stop bits make 11 or 12 etu; for more, characters go out one by one.
        let step = if self.params.guard_etu > 12 { 1 } else { octets.len().max(1) };
        let mut next = clock::now();
        for part in octets.chunks(step) {
            if step == 1 {
                thread::sleep(next.since(clock::now()));
                next = clock::now().after(self.params.sending(1));
            }
            self.write(part)?;
            if self.echo {
                self.take_echo(part)?;
            }
        }
        Ok(())
    }

    fn receive(
        &mut self,
        buf: &mut [u8],
        until: Option<Instant>,
        waker: &Waker,
    ) -> Result<Received, ReaderError> {
        if std::mem::take(&mut self.collided) {
            return Ok(Received { damaged: true, ..Received::default() });
        }
        loop {
            let slice = self.detect.map(|_| clock::now().after(DETECT_INTERVAL));
            let stop = match (until, slice) {
                (Some(until), Some(slice)) => Some(until.min(slice)),
                (until, slice) => until.or(slice),
            };
            let woken = self.port.wait(stop, Some(waker))?.woken;
            if let Some(mut received) = self.read(buf)? {
                received.woken = woken;
                if received.octets > 0 || received.damaged || woken {
                    return Ok(received);
                }
            }
            self.look_for_removal()?;
            if woken || until.is_some_and(|until| clock::now() >= until) {
                return Ok(Received { woken, ..Received::default() });
            }
        }
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.port.fd()]
    }

    fn due(&self) -> Option<Instant> {
        let look = self.detect.map(|_| clock::now().after(DETECT_INTERVAL));
        if self.collided { Some(clock::now()) } else { look }
    }

    fn line_octets(&self) -> (u64, u64) {
        (self.sent, self.received)
    }
}

impl Drop for SerialReader {
    fn drop(&mut self) {
        self.deactivate();
    }
}

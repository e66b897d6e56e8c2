// SPDX-License-Identifier: Apache-2.0
//! A virtual card that comes to us over TCP, as it would come to pcscd's driver vpcd.
//!
//! Both ways a message is a length of two octets, big endian, and so many octets. To the card one
//! octet is a control code and more are a command APDU. It answers commands, and the request for
//! its answer to reset; it does not answer power and reset.
//!
//! Heads up:
//!  - We listen, on loopback and nowhere else; the card is the client. A connection is an inserted
//!    card, its end a removed one.
//!  - Answers carry no number. One that was given up may still come before the answer to reset, or
//!    not at all; one that nobody asked for ends the connection.
//!  - What a client does or leaves undone costs a bounded time; then it is shown out, and the slot
//!    is free for the next one.
use crate::clock;
use crate::reader::{Capabilities, Presence, Reader, ReaderError, Received, What};
use crate::sys::Waker;
use crate::url::{Url, UrlError};
use cam_types::Instant;
use iso7816::atr::{Atr, AtrPolicy};
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::line::{Gone, Level, Reset};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

mod client;

use client::{Client, Parting};

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// From the first octet of a message to the last, and for taking one of ours.
    message: Duration,
    /// For the answer to reset.
    atr: Duration,
    /// For the answer to a command: vpcd's cards cannot ask for more time, but by the waiting time
    /// in their answer to reset.
    answer: Duration,
}

impl Limits {
    const USUAL: Self = Self {
        message: Duration::from_secs(1),
        atr: Duration::from_secs(1),
        answer: Duration::from_secs(10),
    };

    /// The card has said how long it may take.
    fn answered(&mut self, octets: &[u8]) {
        let atr = Atr::parse(octets, AtrPolicy::TOLERANT).ok();
        let line = LineParams::initial(USUAL_CLOCK_HZ);
        let wait = atr.map(|atr| atr.waiting_time(atr.first_protocol(), &line));
        self.answer = Self::USUAL.answer.max(wait.unwrap_or_default());
    }
}

/// What the client has to say next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expected {
    Nothing,
    /// It has said it: the answer to reset is in the client's buffer.
    AnswerToReset,
    /// The answer to a command, before this instant.
    Answer(Instant),
}

/// A slot for one virtual card.
#[derive(Debug)]
pub struct VpcdReader {
    listener: TcpListener,
    port: String,
    client: Option<Client>,
    expected: Expected,
    /// A command was given up before its answer came.
    owes: bool,
    limits: Limits,
    sent: u64,
    received: u64,
}

/// The control codes of vpcd as whole messages: power off, power on, reset, get the answer to
/// reset.
const OFF: &[u8] = &[0, 1, 0];
const OFF_ON_ATR: &[u8] = &[0, 1, 0, 0, 1, 1, 0, 1, 4];
const RESET_ATR: &[u8] = &[0, 1, 2, 0, 1, 4];

impl VpcdReader {
    /// Opens `vpcd:HOST:PORT` and listens there.
    pub fn open(url: &Url<'_>) -> Result<Self, ReaderError> {
        let address = loopback(url)?;
        let open = |why: &io::Error| ReaderError::Open {
            port: format!("vpcd {address}"),
            why: why.to_string(),
            errno: why.raw_os_error(),
            hint: match why.kind() {
                ErrorKind::AddrInUse => "is pcscd or another program listening there? stop it",
                ErrorKind::PermissionDenied => "give a port above 1023",
                _ => "give a loopback address of this machine",
            },
        };
        let listener = TcpListener::bind(address).map_err(|why| open(&why))?;
        listener.set_nonblocking(true).map_err(|why| open(&why))?;
        let address = listener.local_addr().map_err(|why| open(&why))?;
        Ok(Self {
            listener,
            port: format!("vpcd {address}"),
            client: None,
            expected: Expected::Nothing,
            owes: false,
            limits: Limits::USUAL,
            sent: 0,
            received: 0,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn error(&self, what: &'static str, why: io::Error) -> ReaderError {
        ReaderError::Io { port: self.port.clone(), what, why }
    }

    /// Lets a client in, or turns it away when one is there already.
    fn admit(&mut self) -> Result<(), ReaderError> {
        let refused = |why| self.error("accept a virtual card", why);
        match self.listener.accept() {
            Ok((_, peer)) if self.client.is_some() => {
                log::info!("{}: {peer} turned away, a card is in", self.port);
            }
            Ok((stream, peer)) => {
                log::info!("{}: card inserted, from {peer}", self.port);
                let client = Client::new(stream).map_err(refused)?;
                self.client = Some(client);
            }
            Err(why) => match why.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                _ => return Err(refused(why)),
            },
        }
        Ok(())
    }

    /// The client has left, or has to.
    fn part(&mut self, parting: Parting) -> ReaderError {
        self.client = None;
        self.expected = Expected::Nothing;
        self.owes = false;
        match parting {
            Parting::Left => {
                log::info!("{}: card removed", self.port);
                ReaderError::Removed
            }
            Parting::Dismissed(why) => {
                let error = ReaderError::Dismissed { port: self.port.clone(), why };
                log::warn!("{error}");
                error
            }
        }
    }

    fn tell(&mut self, octets: &[u8]) -> Result<(), ReaderError> {
        let Some(client) = &mut self.client else { return Err(ReaderError::Removed) };
        client.tell(octets, self.limits.message).map_err(|parting| self.part(parting))
    }

    /// Reads on; whether a whole message is there, which may have at most `limit` octets.
    fn hear(&mut self, limit: usize) -> Result<bool, ReaderError> {
        let Some(client) = &mut self.client else { return Err(ReaderError::Removed) };
        client.hear(limit, self.owes, self.limits.message).map_err(|parting| self.part(parting))
    }

    /// Nothing is expected of the client but what it owes.
    fn overhear(&mut self) -> Result<(), ReaderError> {
        let limit = if self.owes { usize::MAX } else { 0 };
        if self.client.is_none() || !self.hear(limit)? {
            return Ok(());
        }
        if !std::mem::take(&mut self.owes) {
            return Err(self.part(Parting::Dismissed("a message of no octets".to_owned())));
        }
        self.client.iter_mut().for_each(Client::forget);
        Ok(())
    }

    /// Whatever was expected is not waited for any more.
    fn give_up(&mut self) {
        match std::mem::replace(&mut self.expected, Expected::Nothing) {
            Expected::Nothing => {}
            Expected::Answer(_) => self.owes = true,
            Expected::AnswerToReset => self.client.iter_mut().for_each(Client::forget),
        }
    }

    /// Waits for the answer to reset.
    fn hear_atr(&mut self) -> Result<(), ReaderError> {
        let until = clock::now().after(self.limits.atr);
        loop {
            if self.hear(if self.owes { usize::MAX } else { Atr::MAX_LEN })? {
                let answer = self.client.as_ref().map_or(&[][..], Client::message);
                // No response begins like this by chance and is complete; it would end in 6x or 9x.
                if !self.owes || matches!(answer, [0x3B | 0x3F, ..] if answer.len() <= Atr::MAX_LEN)
                {
                    self.owes = false;
                    self.expected = Expected::AnswerToReset;
                    return Ok(());
                }
                self.owes = false;
                self.client.iter_mut().for_each(Client::forget);
                continue;
            }
            if clock::now() >= until {
                let time = self.limits.atr;
                let why = format!("no answer to reset within {time:?}");
                return Err(self.part(Parting::Dismissed(why)));
            }
            self.wait(Some(until), None)?;
        }
    }

    /// When the client has had all the time that it has.
    fn overdue(&self) -> Option<Instant> {
        let stalled = self.client.as_ref().and_then(|client| client.stalled(self.limits.message));
        let due = match self.expected {
            Expected::Answer(due) => Some(due),
            Expected::Nothing | Expected::AnswerToReset => None,
        };
        [stalled, due].into_iter().flatten().min()
    }

    /// Waits for the client, and with a waker for that and for somebody who wants in.
    fn wait(&self, until: Option<Instant>, waker: Option<&Waker>) -> Result<(), ReaderError> {
        let stop = [until, self.overdue()].into_iter().flatten().min();
        let timeout = stop.map(|stop| clock::timeout(stop.since(clock::now())));
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let door = self.listener.as_fd();
        let client = self.client.as_ref().map_or(door, Client::descriptor);
        let ended = match waker {
            Some(waker) => {
                let mut fds = [readable(client), readable(waker.as_fd()), readable(door)];
                ppoll(&mut fds, timeout, None)
            }
            None => ppoll(&mut [readable(client)], timeout, None),
        };
        match ended {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(why) => Err(self.error("wait", why.into())),
        }
    }

    /// Hands a message out.
    fn deliver(&mut self, buf: &mut [u8], what: What) -> Received {
        self.expected = Expected::Nothing;
        let Some(client) = &mut self.client else { return Received::default() };
        let message = client.message();
        let octets = message.len();
        if matches!(what, What::AnswerToReset { .. }) {
            self.limits.answered(message);
        }
        self.received += octets as u64;
        let received = match buf.get_mut(..octets) {
            Some(place) => {
                place.copy_from_slice(message);
                Received { octets, what, ..Received::default() }
            }
            None => Received { damaged: true, what: What::Unanswered, ..Received::default() },
        };
        client.forget();
        received
    }
}

impl Reader for VpcdReader {
    fn capabilities(&self) -> Capabilities {
        Capabilities::APDU
    }

    fn present(&mut self) -> Result<Presence, ReaderError> {
        if self.client.is_none() {
            self.admit()?;
        } else if self.expected == Expected::Nothing
            && let Err(gone) = self.overhear()
            && !matches!(gone.gone(), Gone::Removed)
        {
            return Err(gone);
        }
        Ok(if self.client.is_some() { Presence::Present } else { Presence::Absent })
    }

    fn activate(&mut self, reset: Reset) -> Result<(), ReaderError> {
        log::debug!("{}: {reset:?} reset", self.port);
        self.present()?;
        self.give_up();
        self.tell(match reset {
            Reset::Cold => OFF_ON_ATR,
            Reset::Warm => RESET_ATR,
        })?;
        self.hear_atr()
    }

    fn deactivate(&mut self) {
        self.give_up();
        if self.client.is_some()
            && let Err(error) = self.tell(OFF)
        {
            log::debug!("{error}");
        }
    }

    fn configure(&mut self, _: &LineParams) -> Result<(), ReaderError> {
        Ok(())
    }

    fn send(&mut self, octets: &[u8]) -> Result<(), ReaderError> {
        let length = u16::try_from(octets.len()).map_err(|_| {
            let why = format!("{} octets, a message has 65535 at most", octets.len());
            self.error("send", io::Error::new(ErrorKind::InvalidInput, why))
        })?;
        let Some(client) = &mut self.client else { return Err(ReaderError::Removed) };
        let sent = client.send(octets, length, self.limits.message);
        sent.map_err(|parting| self.part(parting))?;
        self.sent += octets.len() as u64;
        self.expected = Expected::Answer(clock::now().after(self.limits.answer));
        Ok(())
    }

    fn receive(
        &mut self,
        buf: &mut [u8],
        until: Option<Instant>,
        waker: &Waker,
    ) -> Result<Received, ReaderError> {
        if self.expected == Expected::AnswerToReset {
            let what = What::AnswerToReset { level: Level::Apdu, agreed: None };
            return Ok(self.deliver(buf, what));
        }
        loop {
            self.wait(until, Some(waker))?;
            let woken = waker.take();
            match self.expected {
                Expected::Answer(due) => {
                    if self.hear(usize::MAX)? {
                        return Ok(Received { woken, ..self.deliver(buf, What::Message) });
                    }
                    if clock::now() >= due {
                        self.give_up();
                        let what = What::Unanswered;
                        return Ok(Received { woken, what, ..Received::default() });
                    }
                }
                Expected::Nothing | Expected::AnswerToReset => self.overhear()?,
            }
            self.admit()?;
            if woken || until.is_some_and(|until| clock::now() >= until) {
                return Ok(Received { woken, ..Received::default() });
            }
        }
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let client = self.client.as_ref().map(Client::descriptor);
        client.into_iter().chain([self.listener.as_fd()]).collect()
    }

    fn due(&self) -> Option<Instant> {
        match self.expected {
            Expected::AnswerToReset => Some(clock::now()),
            Expected::Answer(_) | Expected::Nothing => self.overdue(),
        }
    }

    fn line_octets(&self) -> (u64, u64) {
        (self.sent, self.received)
    }
}

impl Drop for VpcdReader {
    fn drop(&mut self) {
        self.deactivate();
    }
}

/// The address to listen at: this machine alone can reach it.
fn loopback(url: &Url<'_>) -> Result<SocketAddr, UrlError> {
    if let Some((option, _)) = url.options().next() {
        return Err(url.wrong("option", option, "none"));
    }
    let local = url.path.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let local = local.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let address = local.or_else(|| url.path.parse().ok());
    address.filter(|address: &SocketAddr| address.ip().is_loopback()).ok_or_else(|| {
        let expected = "a loopback address and a port, as in vpcd:127.0.0.1:35963";
        url.wrong("address", url.path, expected)
    })
}

#[cfg(test)]
mod tests;

// SPDX-License-Identifier: Apache-2.0
//! The connection of one virtual card: messages out of octets, in bounded time and room.
use crate::clock;
use cam_types::Instant;
use nix::poll::{PollFd, PollFlags, ppoll};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::TcpStreamExt;
use std::time::Duration;
use zeroize::Zeroize;

/// Octets of a message's length.
const HEAD: usize = 2;
/// Room for a message that is no longer than usual; a longer one makes more, up to 65,538 octets.
const ROOM: usize = 1024;

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Parting {
    /// The client has closed it.
    Left,
    /// The client has to go, for this reason.
    Dismissed(String),
}

/// A virtual card that has come.
pub(super) struct Client {
    stream: TcpStream,
    /// One message, unless the client owes another.
    buffer: Vec<u8>,
    /// How many octets of it are there.
    filled: usize,
    /// When the first octet of the message under way came.
    since: Instant,
    outgoing: Vec<u8>,
}

impl Client {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        stream.set_quickack(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; ROOM],
            filled: 0,
            since: Instant::default(),
            outgoing: Vec::with_capacity(ROOM),
        })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// When the message under way is overdue.
    pub(super) fn stalled(&self, patience: Duration) -> Option<Instant> {
        (self.filled > 0).then(|| self.since.after(patience))
    }

    /// Octets of the message that is coming, without its length.
    fn announced(&self) -> Option<usize> {
        let length = self.buffer.get(..self.filled)?.first_chunk()?;
        Some(usize::from(u16::from_be_bytes(*length)))
    }

    /// Takes what is there, without waiting. Whether a whole message is. It is the last one, unless
    /// `more`.
    pub(super) fn hear(
        &mut self,
        limit: usize,
        more: bool,
        patience: Duration,
    ) -> Result<bool, Parting> {
        loop {
            if let Some(length) = self.announced() {
                let whole = HEAD + length;
                match length {
                    _ if length > limit && limit == 0 => return unasked(),
                    _ if length > limit => {
                        let why = format!("a message of {length} octets, expected {limit} at most");
                        return Err(Parting::Dismissed(why));
                    }
                    _ if self.filled > whole && !more => return unasked(),
                    _ if self.filled >= whole => return Ok(true),
                    // One octet more, so that too many show.
                    _ if self.buffer.len() <= whole => self.buffer.resize(whole + 1, 0),
                    _ => {}
                }
            }
            match self.stream.read(self.buffer.get_mut(self.filled..).unwrap_or_default()) {
                Ok(0) => return Err(Parting::Left),
                Ok(len) => {
                    if self.filled == 0 {
                        self.since = clock::now();
                    }
                    self.filled += len;
                    // Clients write length and message apart and would wait 40 ms in between.
                    if let Err(why) = self.stream.set_quickack(true) {
                        log::debug!("TCP_QUICKACK: {why}");
                    }
                }
                Err(why) => match why.kind() {
                    ErrorKind::WouldBlock => break,
                    ErrorKind::Interrupted => {}
                    _ => return Err(Parting::Left),
                },
            }
        }
        match self.stalled(patience) {
            Some(stalled) if clock::now() >= stalled => {
                let (filled, announced) = (self.filled, self.announced());
                let whole =
                    announced.map_or_else(|| "?".to_owned(), |len| (HEAD + len).to_string());
                let why = format!("{filled} of {whole} octets of a message within {patience:?}");
                Err(Parting::Dismissed(why))
            }
            _ => Ok(false),
        }
    }

    /// The whole message.
    pub(super) fn message(&self) -> &[u8] {
        let end = HEAD + self.announced().unwrap_or(0);
        self.buffer.get(HEAD..end).unwrap_or(&[])
    }

    /// Makes room for the next message.
    pub(super) fn forget(&mut self) {
        let rest = (HEAD + self.message().len()).min(self.filled);
        self.buffer.copy_within(rest..self.filled, 0);
        let kept = self.filled - rest;
        self.buffer.iter_mut().take(self.filled).skip(kept).for_each(Zeroize::zeroize);
        self.filled = kept;
        self.since = clock::now();
    }

    /// Sends one message.
    pub(super) fn send(
        &mut self,
        message: &[u8],
        length: u16,
        patience: Duration,
    ) -> Result<(), Parting> {
        let mut outgoing = std::mem::take(&mut self.outgoing);
        outgoing.extend_from_slice(&length.to_be_bytes());
        outgoing.extend_from_slice(message);
        let told = self.tell(&outgoing, patience);
        outgoing.zeroize();
        self.outgoing = outgoing;
        told
    }

    /// Sends octets that are whole messages already.
    pub(super) fn tell(&mut self, mut octets: &[u8], patience: Duration) -> Result<(), Parting> {
        let until = clock::now().after(patience);
        while !octets.is_empty() {
            match self.stream.write(octets) {
                Ok(len) => octets = octets.get(len..).unwrap_or(&[]),
                Err(why) => match why.kind() {
                    ErrorKind::WouldBlock if clock::now() >= until => {
                        let why = format!("it took no more octets for {patience:?}");
                        return Err(Parting::Dismissed(why));
                    }
                    ErrorKind::WouldBlock => {
                        let left = clock::timeout(until.since(clock::now()));
                        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
                        // A wait that fails is a short one; the next write tells.
                        let _ = ppoll(&mut fds, Some(left), None);
                    }
                    ErrorKind::Interrupted => {}
                    _ => return Err(Parting::Left),
                },
            }
        }
        Ok(())
    }
}

fn unasked() -> Result<bool, Parting> {
    Err(Parting::Dismissed("octets that nobody had asked for".to_owned()))
}

/// Without what was said: it may hold a PIN.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.buffer.zeroize();
        self.outgoing.zeroize();
    }
}

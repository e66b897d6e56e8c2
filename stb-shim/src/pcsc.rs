// SPDX-License-Identifier: Apache-2.0
//! A reader behind PC/SC: pcscd and its driver speak the protocol, we have the card alone.
//!
//! Heads up:
//!  - Every call goes to pcscd, and one that takes a command to the card ends when the driver
//!    likes, or never. A thread of its own makes them; whoever waits for it can be woken.
//!  - pcsc-lite holds a lock per context while a call runs, so the slot is looked at through a
//!    context of its own, and only by calls that do not wait.
//!  - With T=1 the driver takes APDUs. With T=0 it takes TPDUs: GET RESPONSE and the right Le are
//!    ours.
use crate::clock;
use crate::reader::{Capabilities, Presence, Reader, ReaderError, Received, What};
use crate::sys::Waker;
use crate::threads;
use crate::url::Url;
use cam_types::Instant;
use iso7816::etu::LineParams;
use iso7816::line::Reset;
use nix::poll::{PollFd, PollFlags, ppoll};
use pcsc::{Context, Error, ReaderState, Scope, State};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

mod desk;
mod name;

use desk::{Clerk, Desk, Order};

/// How long the thread may take for its last order, to switch the card off.
const FAREWELL: Duration = Duration::from_millis(500);

/// A card slot of pcscd.
pub struct PcscReader {
    watch: Context,
    slot: ReaderState,
    /// pcscd's count of insertions and removals, when a card was in.
    seen: Option<u32>,
    reader: String,
    desk: Arc<Desk>,
    sent: u64,
    received: u64,
}

impl PcscReader {
    /// Opens `pcsc:NAME`: a part of the reader's name, its number, or nothing for the first one.
    pub fn open(url: &Url<'_>) -> Result<Self, ReaderError> {
        if let Some((option, _)) = url.options().next() {
            return Err(url.wrong("option", option, "none").into());
        }
        let wanted = name::decoded(url.path)
            .ok_or_else(|| url.wrong("name", url.path, "%XX for octets of UTF-8 text"))?;
        let watch = context()?;
        let readers = match watch.list_readers_owned() {
            Ok(readers) => readers,
            Err(Error::NoReadersAvailable) => Vec::new(),
            Err(why) => return Err(closed(why)),
        };
        let found = name::find(&readers, &wanted).ok_or_else(|| ReaderError::Open {
            port: url.whole().to_owned(),
            why: name::listed(&readers),
            hint: "give a part of a reader's name, or its number from 0",
            errno: None,
        })?;
        let reader = found.to_string_lossy().into_owned();
        log::info!("pcsc: reader '{reader}'");
        let desk = Arc::new(Desk::new().map_err(|why| no_thread(&reader, why))?);
        let clerk = Clerk::new(context()?, found.to_owned());
        let at = Arc::clone(&desk);
        threads::spawn("stbcam-pcsc", move || clerk.work(&at))
            .map_err(|why| no_thread(&reader, why))?;
        Ok(Self {
            watch,
            slot: ReaderState::new(found, State::UNAWARE),
            seen: None,
            reader,
            desk,
            sent: 0,
            received: 0,
        })
    }

    /// Waits for the thread at the desk, or for the waker.
    fn wait(&self, until: Option<Instant>, waker: &Waker) -> Result<(), ReaderError> {
        let timeout = until.map(|until| clock::timeout(until.since(clock::now())));
        let readable = |waker| PollFd::new(waker, PollFlags::POLLIN);
        let mut fds = [readable(self.desk.done().as_fd()), readable(waker.as_fd())];
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(why) => {
                let port = self.reader.clone();
                Err(ReaderError::Io { port, what: "wait", why: io::Error::from(why) })
            }
        }
    }
}

fn context() -> Result<Context, ReaderError> {
    Context::establish(Scope::User).map_err(closed)
}

fn closed(why: Error) -> ReaderError {
    let hint = match why {
        Error::NoService => "is pcscd running? start it",
        Error::NoAccess | Error::SecurityViolation => "give this user the right to use pcscd",
        _ => "see what pcscd says",
    };
    ReaderError::Open { port: "pcsc".to_owned(), why: why.to_string(), hint, errno: None }
}

fn no_thread(reader: &str, why: io::Error) -> ReaderError {
    ReaderError::Io { port: reader.to_owned(), what: "start a thread", why }
}

impl Reader for PcscReader {
    fn capabilities(&self) -> Capabilities {
        Capabilities::APDU
    }

    fn present(&mut self) -> Result<Presence, ReaderError> {
        match self.watch.get_status_change(Duration::ZERO, slice::from_mut(&mut self.slot)) {
            Ok(()) => self.slot.sync_current_state(),
            Err(Error::Timeout) => {}
            Err(why) => {
                log::warn!("pcsc: reader '{}': {why}", self.reader);
                return Err(ReaderError::Lost { port: self.reader.clone() });
            }
        }
        let state = self.slot.event_state();
        if state.intersects(State::UNKNOWN | State::UNAVAILABLE) {
            return Err(ReaderError::Lost { port: self.reader.clone() });
        }
        let count = self.slot.event_count();
        let was = std::mem::take(&mut self.seen);
        if !state.contains(State::PRESENT) || was.is_some_and(|was| was != count) {
            // Another card since: it was away in between.
            return Ok(Presence::Absent);
        }
        self.seen = Some(count);
        Ok(Presence::Present)
    }

    fn activate(&mut self, reset: Reset) -> Result<(), ReaderError> {
        log::debug!("pcsc: reader '{}': {reset:?} reset", self.reader);
        self.desk.post(Order::Activate(reset), &[]);
        Ok(())
    }

    fn deactivate(&mut self) {
        self.desk.post(Order::Deactivate, &[]);
    }

    fn configure(&mut self, _: &LineParams) -> Result<(), ReaderError> {
        Ok(())
    }

    fn send(&mut self, octets: &[u8]) -> Result<(), ReaderError> {
        self.desk.post(Order::Transmit, octets);
        self.sent += octets.len() as u64;
        Ok(())
    }

    fn receive(
        &mut self,
        buf: &mut [u8],
        until: Option<Instant>,
        waker: &Waker,
    ) -> Result<Received, ReaderError> {
        loop {
            self.wait(until, waker)?;
            let woken = waker.take();
            if let Some(said) = self.desk.collect(buf) {
                let mut received = said?;
                received.woken = woken;
                if received.what == What::Message {
                    self.received += received.octets as u64;
                }
                return Ok(received);
            }
            if woken || until.is_some_and(|until| clock::now() >= until) {
                return Ok(Received { woken, ..Received::default() });
            }
        }
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.desk.done().as_fd()]
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn line_octets(&self) -> (u64, u64) {
        (self.sent, self.received)
    }
}

impl Drop for PcscReader {
    fn drop(&mut self) {
        self.desk.post(Order::End, &[]);
        let mut fds = [PollFd::new(self.desk.done().as_fd(), PollFlags::POLLIN)];
        // A thread that pcscd does not let go ends by itself when it does.
        let _ = ppoll(&mut fds, Some(clock::timeout(FAREWELL)), None);
    }
}

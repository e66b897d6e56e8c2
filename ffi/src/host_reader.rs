// SPDX-License-Identifier: Apache-2.0
//! The host's card reader as a reader of the card thread. A host that answers nonsense (a length
//! beyond the room, a number that is no result) is taken for one that has lost it.

use crate::callback::callback;
use crate::error::{Error, Result};
use crate::host::{
    STBCAM_READER_DAMAGED, STBCAM_READER_LOST, STBCAM_READER_REMOVED, STBCAM_READER_TIMEOUT,
    stbcam_line_t, stbcam_reader_ops_t,
};
use crate::size::CStruct;
use cam_types::Instant;
use core::time::Duration;
use iso7816::apdu::Response;
use iso7816::atr::Atr;
use iso7816::emv::Profile;
use iso7816::etu::{CLOCKS_HZ, Convention, LineParams, USUAL_CLOCK_HZ, USUAL_MAX_BAUD};
use iso7816::line::{Level, Reset};
use nix::poll::{PollFd, PollFlags, ppoll};
use stb_shim::clock;
use stb_shim::reader::{Capabilities, Latency, Presence, Reader, ReaderError, Received, What};
use stb_shim::sys::Waker;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

// SAFETY: repr(C), starts with struct_size, and holds numbers, nullable pointers and optional
// functions, which a caller promises to be what they say.
unsafe impl CStruct for stbcam_reader_ops_t {}

/// What the reader is called in errors.
const PORT: &str = "of the box";
/// The longest time inside one `read`: the waker is not seen meanwhile.
const SLICE: Duration = Duration::from_millis(10);
/// Between two `read` that brought nothing, when the first has not waited.
const PAUSE: Duration = Duration::from_millis(1);
/// How long `write` may take beyond the time on the line.
const STUCK: Duration = Duration::from_millis(500);
/// For the first character of an answer to reset: 40,000 clock cycles at 1 MHz, and three times so
/// long. A card that was pulled shows by this, and the keys must go within a second.
const ATR_START_MS: u32 = 120;

/// The host's reader. Clones share one table.
#[derive(Clone)]
pub(crate) struct HostReader {
    table: Arc<Table>,
    timeout_ms: u32,
}

/// The host's functions, until the context is closed.
struct Table {
    /// Nothing is to be started any more.
    closing: AtomicBool,
    /// `None` once the context is closed.
    ops: Mutex<Option<Ops>>,
}

struct Ops(stbcam_reader_ops_t);

// SAFETY: `user` is only handed back to the host's functions, which take calls from the card
// thread and the closing thread, one at a time.
unsafe impl Send for Ops {}

impl HostReader {
    /// Checks a table of functions.
    pub(crate) fn new(ops: stbcam_reader_ops_t, timeout_ms: u32) -> Result<Self> {
        let missing = |name| Err(Error::argument(format!("reader_ops: {name} is NULL")));
        let characters = ops.params.is_some() && ops.write.is_some() && ops.read.is_some();
        match (ops.reset, ops.power_off, ops.transmit) {
            (None, _, _) => return missing("reset"),
            (_, None, _) => return missing("power_off"),
            (_, _, None) if !characters => {
                return missing("one of params, write and read, and so is transmit");
            }
            _ => {}
        }
        if ops.clock_hz != 0 && !CLOCKS_HZ.contains(&ops.clock_hz) {
            let got = ops.clock_hz;
            let why = format!("reader_ops: clock_hz is {got}, expected 1000000 to 20000000 or 0");
            return Err(Error::argument(why));
        }
        let table = Table { closing: AtomicBool::new(false), ops: Mutex::new(Some(Ops(ops))) };
        Ok(Self { table: Arc::new(table), timeout_ms })
    }

    /// A reader for the card thread, if the host's is there.
    pub(crate) fn open(&self) -> std::result::Result<Box<dyn Reader>, ReaderError> {
        let ops = self.table.ops().ok_or_else(lost)?;
        let mut reader = OpenReader {
            table: Arc::clone(&self.table),
            timeout_ms: self.timeout_ms,
            detect: ops.present.is_some(),
            apdus: ops.transmit.is_some(),
            clock_hz: if ops.clock_hz == 0 { USUAL_CLOCK_HZ } else { ops.clock_hz },
            max_baud: if ops.max_bit_rate == 0 { USUAL_MAX_BAUD } else { ops.max_bit_rate },
            params: LineParams::initial(USUAL_CLOCK_HZ),
            atr: [0; Atr::MAX_LEN],
            response: [0; Response::MAX_LEN],
            said: None,
            resting: true,
            powered: false,
            sent: 0,
            received: 0,
        };
        reader.present()?;
        Ok(Box::new(reader))
    }

    /// From now on the host is asked for nothing but to take the power off.
    pub(crate) fn close(&self) {
        self.table.closing.store(true, Ordering::Release);
    }

    /// The host is not called any more once this has returned.
    pub(crate) fn revoke(&self) {
        *self.table.lock() = None;
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Option<Ops>> {
        self.ops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ops(&self) -> Option<stbcam_reader_ops_t> {
        self.lock().as_ref().map(|ops| ops.0)
    }

    /// Calls the host, unless the context is being closed.
    fn call(
        &self,
        what: &'static str,
        call: impl FnOnce(&stbcam_reader_ops_t) -> Option<i32>,
    ) -> std::result::Result<Answer, ReaderError> {
        let ops = self.lock();
        let closing = self.closing.load(Ordering::Acquire);
        let ops = ops.as_ref().filter(|_| !closing).ok_or_else(lost)?;
        // A function that is missing is not missed: `HostReader::new` has looked.
        match callback(|| call(&ops.0)).unwrap_or(STBCAM_READER_LOST) {
            STBCAM_READER_REMOVED => Err(ReaderError::Removed),
            STBCAM_READER_LOST => Err(lost()),
            STBCAM_READER_TIMEOUT => Ok(Answer::Timeout),
            STBCAM_READER_DAMAGED => Ok(Answer::Damaged),
            done @ 0.. => Ok(Answer::Done(done)),
            other => Err(wrong(what, format!("it answered {other}"))),
        }
    }
}

/// What the host has answered, if nothing is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Done(i32),
    Timeout,
    Damaged,
}

fn lost() -> ReaderError {
    ReaderError::Lost { port: PORT.to_owned() }
}

fn wrong(what: &'static str, why: String) -> ReaderError {
    ReaderError::Io { port: PORT.to_owned(), what, why: io::Error::other(why) }
}

/// The host's reader in use.
struct OpenReader {
    table: Arc<Table>,
    timeout_ms: u32,
    detect: bool,
    apdus: bool,
    clock_hz: u32,
    max_baud: u32,
    params: LineParams,
    atr: [u8; Atr::MAX_LEN],
    response: [u8; Response::MAX_LEN],
    /// What the host has brought back and nobody has taken yet.
    said: Option<Received>,
    /// Nothing is expected of the card.
    resting: bool,
    /// A reset has been asked for, and the power not been taken off since.
    powered: bool,
    sent: u64,
    received: u64,
}

impl OpenReader {
    /// One `read`; `None` when nothing has come.
    fn read(
        &mut self,
        buf: &mut [u8],
        timeout_ms: u32,
    ) -> std::result::Result<Option<Received>, ReaderError> {
        let mut octets = 0;
        let (room, to) = (buf.len(), buf.as_mut_ptr());
        let answer = self.table.call("read from the card", |ops| {
            // SAFETY: the host gave the function and the pointer that belongs to it; the buffer
            // has as many octets as we say.
            ops.read.map(|read| unsafe { read(ops.user, to, room, &raw mut octets, timeout_ms) })
        })?;
        check("read from the card", octets, room)?;
        let damaged = answer == Answer::Damaged;
        if answer == Answer::Timeout || (octets == 0 && !damaged) {
            return Ok(None);
        }
        self.received += octets as u64;
        Ok(Some(Received { octets, damaged, ..Received::default() }))
    }

    /// Takes an APDU to the card and keeps the response.
    fn transmit(&mut self, apdu: &[u8]) -> std::result::Result<(), ReaderError> {
        let mut octets = 0;
        let (room, to) = (self.response.len(), self.response.as_mut_ptr());
        let timeout_ms = self.timeout_ms;
        let what = "take a command to the card";
        let answer = self.table.call(what, |ops| {
            let (user, from, len) = (ops.user, apdu.as_ptr(), apdu.len());
            // SAFETY: as above.
            ops.transmit.map(|transmit| unsafe {
                transmit(user, from, len, to, room, &raw mut octets, timeout_ms)
            })
        })?;
        let what = match answer {
            Answer::Done(_) => {
                check("take a command to the card", octets, room)?;
                What::Message
            }
            Answer::Timeout | Answer::Damaged => {
                octets = 0;
                What::Unanswered
            }
        };
        self.received += octets as u64;
        let damaged = answer == Answer::Damaged;
        self.said = Some(Received { octets, damaged, what, ..Received::default() });
        Ok(())
    }
}

/// Refuses a host that says it has written more octets than had room.
fn check(what: &'static str, octets: usize, room: usize) -> std::result::Result<(), ReaderError> {
    if octets > room {
        return Err(wrong(what, format!("it says {octets} octets where {room} had room")));
    }
    Ok(())
}

impl Reader for OpenReader {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            reset: true,
            detect: self.detect,
            power: true,
            clock_hz: self.clock_hz,
            baud_base: None,
            max_baud: self.max_baud,
            level: if self.apdus { Level::Apdu } else { Level::Characters },
            latency: Latency::Fixed,
            profile: Profile::Iso,
        }
    }

    fn present(&mut self) -> std::result::Result<Presence, ReaderError> {
        if !self.detect {
            return Ok(Presence::Unknown);
        }
        let answer = self.table.call("tell whether a card is in", |ops| {
            // SAFETY: the host gave the function and the pointer that belongs to it.
            ops.present.map(|present| unsafe { present(ops.user) })
        });
        match answer {
            Ok(Answer::Done(0)) | Err(ReaderError::Removed) => Ok(Presence::Absent),
            Ok(Answer::Done(_)) => Ok(Presence::Present),
            Ok(Answer::Timeout | Answer::Damaged) => Ok(Presence::Unknown),
            Err(error) => Err(error),
        }
    }

    fn activate(&mut self, reset: Reset) -> std::result::Result<(), ReaderError> {
        self.params = LineParams::initial(self.clock_hz);
        self.resting = false;
        self.powered = true;
        let mut octets = 0;
        let (room, to) = (self.atr.len(), self.atr.as_mut_ptr());
        let cold = i32::from(reset == Reset::Cold);
        let answer = self.table.call("reset the card", |ops| {
            // SAFETY: the host gave the function and the pointer that belongs to it; the buffer
            // has as many octets as we say.
            ops.reset.map(|reset| unsafe {
                reset(ops.user, cold, to, room, &raw mut octets, ATR_START_MS)
            })
        })?;
        self.said = None;
        match answer {
            // The answer comes character by character.
            Answer::Done(_) if octets == 0 && !self.apdus => return Ok(()),
            Answer::Done(_) => check("reset the card", octets, room)?,
            // Nothing readable is no answer.
            Answer::Timeout | Answer::Damaged => octets = 0,
        }
        let level = self.capabilities().level;
        let what = What::AnswerToReset { level, agreed: None };
        self.said = Some(Received { octets, what, ..Received::default() });
        Ok(())
    }

    fn deactivate(&mut self) {
        self.said = None;
        self.resting = true;
        self.powered = false;
        let ops = self.table.lock();
        if let Some(Ops(stbcam_reader_ops_t { power_off: Some(off), user, .. })) = *ops {
            // SAFETY: the host gave the function and the pointer that belongs to it.
            callback(|| unsafe { off(user) });
        }
    }

    fn configure(&mut self, params: &LineParams) -> std::result::Result<(), ReaderError> {
        if self.apdus || self.params == *params {
            return Ok(());
        }
        self.params = *params;
        let line = stbcam_line_t {
            struct_size: size_of::<stbcam_line_t>(),
            f: params.f.into(),
            d: params.d.into(),
            clock_hz: params.clock_hz,
            bit_rate: params.baud(),
            guard_etu: params.guard_etu.into(),
            inverse: u32::from(params.convention == Convention::Inverse),
            protocol: params.protocol.into(),
            reserved: 0,
        };
        let answer = self.table.call("set the line", |ops| {
            // SAFETY: the host gave the function and the pointer that belongs to it; the structure
            // lives until it returns.
            ops.params.map(|params| unsafe { params(ops.user, &raw const line) })
        })?;
        match answer {
            Answer::Done(_) => Ok(()),
            _ => Err(wrong("set the line", format!("it does not run {} bit/s", line.bit_rate))),
        }
    }

    fn send(&mut self, octets: &[u8]) -> std::result::Result<(), ReaderError> {
        self.resting = false;
        self.sent += octets.len() as u64;
        if self.apdus {
            return self.transmit(octets);
        }
        let time = self.params.sending(octets.len()).saturating_add(STUCK);
        let timeout_ms = milliseconds(time);
        let answer = self.table.call("write to the card", |ops| {
            let (user, from, len) = (ops.user, octets.as_ptr(), octets.len());
            // SAFETY: as above.
            ops.write.map(|write| unsafe { write(user, from, len, timeout_ms) })
        })?;
        match answer {
            Answer::Done(_) => Ok(()),
            _ => Err(wrong("write to the card", format!("not done within {timeout_ms} ms"))),
        }
    }

    fn receive(
        &mut self,
        buf: &mut [u8],
        until: Option<Instant>,
        waker: &Waker,
    ) -> std::result::Result<Received, ReaderError> {
        if let Some(said) = self.said.take() {
            return Ok(self.hand_out(said, buf));
        }
        // The APDU reader has said what there is. Of a card at rest only stray characters can come.
        let quiet = self.apdus || self.resting;
        loop {
            let left = until.map(|until| until.since(clock::now()));
            let slice = if quiet { Duration::ZERO } else { left.unwrap_or(SLICE).min(SLICE) };
            let asked = clock::now();
            let mut received = if self.apdus { None } else { self.read(buf, milliseconds(slice))? };
            let wait = match received {
                None if quiet => left,
                // A `read` that does not wait is not asked without a pause.
                None => Some(slice.saturating_sub(clock::now().since(asked)).min(PAUSE)),
                Some(_) => Some(Duration::ZERO),
            };
            let woken = wake(waker, wait);
            if let Some(received) = &mut received {
                received.woken = woken;
                return Ok(*received);
            }
            if woken || quiet || until.is_some_and(|until| clock::now() >= until) {
                return Ok(Received { woken, ..Received::default() });
            }
        }
    }

    fn rest(&mut self) {
        self.resting = true;
    }

    fn due(&self) -> Option<Instant> {
        let quiet = self.apdus || self.resting;
        match self.said {
            Some(_) => Some(clock::now()),
            None if quiet => None,
            // Only the host knows when something has come: it is asked as often as a card thread
            // would ask.
            None => Some(clock::now().after(PAUSE)),
        }
    }

    fn line_octets(&self) -> (u64, u64) {
        (self.sent, self.received)
    }
}

impl OpenReader {
    /// Hands out what the host has brought back whole.
    fn hand_out(&mut self, said: Received, buf: &mut [u8]) -> Received {
        let whole: &mut [u8] = match said.what {
            What::AnswerToReset { .. } => &mut self.atr,
            _ => &mut self.response,
        };
        let from = whole.get_mut(..said.octets).unwrap_or_default();
        let fits = match buf.get_mut(..from.len()) {
            Some(place) => {
                place.copy_from_slice(from);
                true
            }
            None => false,
        };
        from.zeroize();
        if fits {
            return said;
        }
        Received { damaged: true, what: What::Unanswered, ..Received::default() }
    }
}

/// A context that is being closed refuses its own calls as a lost reader would, and a lost reader
/// is let go of: the power is taken off here when nobody has done it.
impl Drop for OpenReader {
    fn drop(&mut self) {
        if self.powered && self.table.closing.load(Ordering::Acquire) {
            self.deactivate();
        }
        self.response.zeroize();
    }
}

/// Waits for another thread; whether there was one.
fn wake(waker: &Waker, limit: Option<Duration>) -> bool {
    let mut fds = [PollFd::new(waker.as_fd(), PollFlags::POLLIN)];
    if limit != Some(Duration::ZERO) {
        // A wait that fails is a short one.
        let _ = ppoll(&mut fds, limit.map(clock::timeout), None);
    }
    waker.take()
}

/// Rounded up: a wait that ends too early would spin.
fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;

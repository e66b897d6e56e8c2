// SPDX-License-Identifier: Apache-2.0
//! What the middleware's threads and the card thread share: engine, section rings, events.
//!
//! Two locks: `engine` and `progress`. Neither is held while the card, the storage or a callback is
//! at work.

use crate::clock;
use crate::events::{EventQueue, Notice};
use crate::ring::OfferError;
use crate::source::{Lane, Offered, Source};
use crate::sys::Waker;
use crate::taken::Taken;
use crate::wanted::Wanted;
use cam_core::{Engine, Input, Output, PinAnswer, Ticket};
use cam_types::{Instant, Pid};
use ecm_emm::section::MAX_SECTION;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// One card reader, one card, any number of sessions: what every thread may use.
pub struct Cam {
    engine: Mutex<Engine>,
    sources: [OnceLock<Source>; Cam::SOURCES],
    /// The source whose turn it is.
    turn: AtomicUsize,
    wanted: Wanted,
    ring_octets: usize,
    waker: Waker,
    events: EventQueue,
    progress: Mutex<Progress>,
    progressed: Condvar,
    stop: AtomicBool,
    pub(crate) counters: Counters,
}

/// What the card thread counts itself; the engine counts the rest.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) line_sent: AtomicU64,
    pub(crate) line_received: AtomicU64,
    pub(crate) ecm_line_sent: AtomicU64,
    pub(crate) ecm_line_received: AtomicU64,
    pub(crate) sections_lost: AtomicU64,
    pub(crate) sections_malformed: AtomicU64,
    pub(crate) sections_unwanted: AtomicU64,
}

/// A snapshot of what the card thread counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LineStats {
    /// Characters sent to the card.
    pub sent: u64,
    /// Characters received from the card.
    pub received: u64,
    /// Of those sent: in exchanges that carried an ECM.
    pub ecm_sent: u64,
    /// Of those received: in exchanges that carried an ECM.
    pub ecm_received: u64,
    /// Sections lost because a ring was full.
    pub sections_lost: u64,
    /// Sections refused because their section_length is not their length.
    pub sections_malformed: u64,
    /// Sections dropped because no filter of the library's asks for them.
    pub sections_unwanted: u64,
}

#[derive(Default)]
struct Progress {
    flush_wanted: u64,
    flush_done: u64,
    pins: Vec<PinAnswer>,
    stopped: bool,
}

/// Why a section was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SectionRefused {
    /// There is no such source: they are 0 to 15.
    Source(u8),
    /// Another thread is offering a section of this source.
    Busy,
    /// The ring is full; the section is lost and counted.
    Overflow,
    /// Its section_length is not its length; it is counted.
    Malformed {
        /// How many octets it has by its section_length; 3 where that is not all there.
        expected: usize,
        /// How many were given.
        got: usize,
    },
    /// No section is as long.
    TooLong {
        /// How many octets a section has at most.
        limit: usize,
        /// How many were given.
        got: usize,
    },
}

/// Why a wait for the card thread ended without what it waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WaitEnded {
    /// The time is up.
    Timeout,
    /// The card thread has ended.
    Stopped,
}

impl Cam {
    /// The number of sources: demultiplexers or tuners.
    pub const SOURCES: usize = 16;

    /// The shared part around an engine: two rings of `ring_octets` a source, a queue of `events`.
    pub fn new(engine: Engine, ring_octets: usize, events: usize) -> io::Result<Self> {
        Ok(Self {
            engine: Mutex::new(engine),
            sources: [const { OnceLock::new() }; Self::SOURCES],
            turn: AtomicUsize::new(0),
            wanted: Wanted::default(),
            ring_octets,
            waker: Waker::new()?,
            events: EventQueue::new(events)?,
            progress: Mutex::default(),
            progressed: Condvar::new(),
            stop: AtomicBool::new(false),
            counters: Counters::default(),
        })
    }

    /// Puts a section into a ring of its source, or drops it when the engine has no use for it.
    /// Never waits.
    pub fn section(&self, source: u8, pid: Pid, section: &[u8]) -> Result<(), SectionRefused> {
        let place = self.sources.get(usize::from(source)).ok_or(SectionRefused::Source(source))?;
        let (expected, got) = (length_of(section), section.len());
        if expected != got {
            self.counters.sections_malformed.fetch_add(1, Ordering::Relaxed);
            return Err(SectionRefused::Malformed { expected, got });
        }
        let place = place.get_or_init(|| Source::new(source, self.ring_octets));
        match place.offer(&self.wanted, pid, section) {
            Offered::Taken => {
                self.waker.wake();
                Ok(())
            }
            Offered::Unwanted => {
                self.counters.sections_unwanted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Offered::Busy => Err(SectionRefused::Busy),
            Offered::Not(OfferError::Full) => {
                self.counters.sections_lost.fetch_add(1, Ordering::Relaxed);
                self.waker.wake();
                Err(SectionRefused::Overflow)
            }
            Offered::Not(OfferError::TooLong) => {
                self.counters.sections_malformed.fetch_add(1, Ordering::Relaxed);
                Err(SectionRefused::TooLong { limit: MAX_SECTION, got })
            }
        }
    }

    /// Calls the engine, and has the card thread do what the engine wants done.
    pub fn call<T>(&self, call: impl FnOnce(&mut Engine, Instant) -> T) -> T {
        let answer = self.with_engine(call);
        self.waker.wake();
        answer
    }

    /// What the engine has a use for is known to the demultiplexers' threads before this returns.
    fn with_engine<T>(&self, call: impl FnOnce(&mut Engine, Instant) -> T) -> T {
        let mut engine = self.engine();
        let answer = call(&mut engine, clock::now());
        self.wanted.follow(&engine);
        answer
    }

    /// Asks the engine something that changes nothing.
    pub fn query<T>(&self, query: impl FnOnce(&Engine) -> T) -> T {
        query(&self.engine())
    }

    /// Puts how everything stands in the place of the events that wait and have told it.
    pub fn tell_again(&self) {
        // Held meanwhile: nothing newer may come in before.
        let engine = self.engine();
        self.events.restate(clock::now(), engine.present_state());
    }

    /// Where events wait until the middleware takes them.
    pub const fn events(&self) -> &EventQueue {
        &self.events
    }

    /// What the card thread counts.
    pub fn line_stats(&self) -> LineStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LineStats {
            sent: of(&self.counters.line_sent),
            received: of(&self.counters.line_received),
            ecm_sent: of(&self.counters.ecm_line_sent),
            ecm_received: of(&self.counters.ecm_line_received),
            sections_lost: of(&self.counters.sections_lost),
            sections_malformed: of(&self.counters.sections_malformed),
            sections_unwanted: of(&self.counters.sections_unwanted),
        }
    }

    /// Asks the card thread to say when everything that was offered and called so far is done, as
    /// far as the card now present allows. [`Cam::wait_flushed`] waits for it.
    pub fn flush(&self) -> u64 {
        let mut progress = self.progress();
        progress.flush_wanted += 1;
        let ticket = progress.flush_wanted;
        drop(progress);
        self.waker.wake();
        ticket
    }

    /// Waits until the flush with this ticket is done.
    pub fn wait_flushed(&self, ticket: u64, timeout: Duration) -> Result<(), WaitEnded> {
        self.wait(timeout, |progress| (progress.flush_done >= ticket).then_some(()))
    }

    /// Waits for the answer to a PIN verification or change.
    pub fn wait_pin(&self, ticket: Ticket, timeout: Duration) -> Result<PinAnswer, WaitEnded> {
        self.wait(timeout, |progress| {
            let index = progress.pins.iter().position(|answer| answer.ticket == ticket)?;
            Some(progress.pins.swap_remove(index))
        })
    }

    /// Waits until the card thread has ended.
    pub fn wait_stopped(&self, timeout: Duration) -> Result<(), WaitEnded> {
        self.wait(timeout, |progress| progress.stopped.then_some(()))
    }

    fn wait<T>(
        &self,
        timeout: Duration,
        mut found: impl FnMut(&mut Progress) -> Option<T>,
    ) -> Result<T, WaitEnded> {
        let mut answer = None;
        let waiting = |progress: &mut Progress| {
            answer = found(progress);
            answer.is_none() && !progress.stopped
        };
        let (progress, _) = self
            .progressed
            .wait_timeout_while(self.progress(), timeout, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        let ended = if progress.stopped { WaitEnded::Stopped } else { WaitEnded::Timeout };
        drop(progress);
        answer.ok_or(ended)
    }

    /// Ends the card thread's loop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        self.events.close();
    }

    /// Somebody wants the card thread's loop to end.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Nobody will do what the engine wants any more: ends every wait.
    pub(crate) fn stopped(&self) {
        self.progress().stopped = true;
        self.progressed.notify_all();
    }

    /// Signalled when a thread has brought something.
    pub const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Gives the engine an input, at the time that it is now.
    pub(crate) fn input(&self, input: Input<'_>) {
        self.with_engine(|engine, now| engine.handle_input(now, input));
    }

    /// Moves the next section out of any ring: ECMs first, sources in turn.
    pub(crate) fn next_section(&self, section: &mut Vec<u8>) -> Option<(u8, Pid)> {
        [Lane::Urgent, Lane::Ordinary].into_iter().find_map(|lane| {
            let turn = self.turn.load(Ordering::Relaxed);
            let (before, from) = self.sources.split_at_checked(turn).unwrap_or_default();
            let sources = (turn..).zip(from).chain((0..).zip(before));
            let mut sources = sources.filter_map(|(number, source)| Some((number, source.get()?)));
            sources.find_map(|(number, source)| {
                let pid = source.take(lane, section)?;
                self.turn.store((number + 1) % Self::SOURCES, Ordering::Relaxed);
                Some((number as u8, pid))
            })
        })
    }

    /// Tells of sections that were lost since the last time.
    pub(crate) fn report_lost_sections(&self) {
        for (place, source) in self.sources.iter().zip(0u8..) {
            let count = place.get().map_or(0, Source::take_lost);
            if count > 0 {
                log::warn!("{count} sections of source {source} lost: the card did not keep up");
                self.notify(Notice::SectionsLost { source, count });
            }
        }
    }

    pub(crate) fn notify(&self, notice: Notice) {
        self.events.push(clock::now(), notice);
    }

    /// The newest flush that somebody waits for.
    pub(crate) fn flush_wanted(&self) -> u64 {
        self.progress().flush_wanted
    }

    pub(crate) fn flush_done(&self, ticket: u64) {
        let mut progress = self.progress();
        if progress.flush_done < ticket {
            progress.flush_done = ticket;
            self.answered();
        }
    }

    pub(crate) fn pin_answered(&self, answer: PinAnswer) {
        let mut progress = self.progress();
        // Answers that nobody came for: their caller has run out of patience.
        if progress.pins.len() >= 16 {
            progress.pins.remove(0);
        }
        progress.pins.push(answer);
        self.answered();
    }

    /// Whoever waits looks again: a thread of the host, or, when there is no card thread, the one
    /// that is in a turn just now and would wait for the card with the answer in its hand.
    fn answered(&self) {
        self.progressed.notify_all();
        self.waker.wake();
    }

    /// What the engine wants done next; it is the caller's, and the engine free again.
    pub(crate) fn take_output<'a>(&self, taken: &'a mut Taken) -> Output<'a> {
        taken.take(self.engine().poll_output())
    }

    /// A panic inside the engine is reported by the thread that had it; the context is not used
    /// afterwards.
    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a section is by its section_length (ISO/IEC 13818-1 §2.4.4.11).
fn length_of(section: &[u8]) -> usize {
    const HEADER: usize = 3;
    match section {
        [_, high, low, ..] => HEADER + usize::from(u16::from_be_bytes([high & 0x0F, *low])),
        _ => HEADER,
    }
}

#[cfg(test)]
pub(crate) mod tests;

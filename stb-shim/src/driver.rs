//! The loop between engine, card line, reader, descrambler and storage: the card thread.

use crate::cam::Cam;
use crate::clock;
use crate::descrambler::{Descrambler, LadderKeys};
use crate::events::Notice;
use crate::period::PeriodMeter;
use crate::reader::{Opener, Presence, Reader, ReaderError, What};
use crate::storage::Storage;
use crate::sys::Waker;
use crate::tasks::Task;
use cam_core::{Absence, Event, Input, SessionId};
use cam_types::Instant;
use iso7816::line::{self, CardLine, Cause, Gone, LineError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Everything that belongs to the card thread alone.
pub struct Driver {
    cam: Arc<Cam>,
    opener: Box<Opener>,
    reader: Option<Box<dyn Reader>>,
    line: CardLine,
    descrambler: Box<dyn Descrambler>,
    storage: Box<dyn Storage>,
    exchange: Exchange,
    /// A card that was up is lost, and the engine has not looked for it again yet.
    lost: bool,
    /// The card has been up, and the engine has not been told otherwise.
    up: bool,
    /// Resets that got no answer yet.
    unanswered: u8,
    line_wait: Option<Instant>,
    /// For a reader with a detect line: what it said last.
    present: Option<bool>,
    look: Instant,
    /// What the middleware has been told of the reader since a card was up.
    told: Option<String>,
    /// The sessions whose control words the descrambler holds.
    keyed: BTreeSet<u32>,
    periods: PeriodMeter,
    section: Vec<u8>,
    octets: [u8; 512],
    line_octets: (u64, u64),
}

/// What the card line is doing for the engine.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Exchange {
    Idle,
    /// The card is being reset: for the engine, or by the line itself after a failure.
    Activating,
    /// A command is out.
    Command {
        /// It carries an ECM: its characters are counted apart.
        ecm: bool,
    },
}

impl Driver {
    /// How often a detect line is looked at.
    const LOOK_PERIOD: Duration = Duration::from_millis(100);
    /// How soon the waker is looked at again while the reader itself is gone.
    const LOST_PERIOD: Duration = Duration::from_millis(100);
    /// The ECM command (`docs/spec/card.md`). Wrapped or not, it stands in clear.
    const INS_ECM: u8 = 0x34;

    /// Puts everything together. Nothing runs until [`Driver::run`] or [`Driver::turn`]. `opener` is
    /// for a reader that was lost.
    pub fn new(
        cam: Arc<Cam>,
        reader: Box<dyn Reader>,
        opener: Box<Opener>,
        descrambler: Box<dyn Descrambler>,
        storage: Box<dyn Storage>,
    ) -> Self {
        let line = CardLine::new(reader.capabilities().policy());
        Self {
            cam,
            opener,
            reader: Some(reader),
            line,
            descrambler,
            storage,
            exchange: Exchange::Idle,
            lost: false,
            up: false,
            unanswered: 0,
            line_wait: None,
            present: None,
            look: Instant::default(),
            told: None,
            keyed: BTreeSet::new(),
            periods: PeriodMeter::default(),
            section: Vec::with_capacity(crate::ring::MAX_SECTION),
            octets: [0; 512],
            line_octets: (0, 0),
        }
    }

    /// Runs until [`Cam::stop`].
    pub fn run(&mut self) {
        while !self.cam.is_stopping() {
            self.turn(None);
        }
        self.shut_down();
    }

    /// Does what there is to do, then waits for characters of the card, for something new from
    /// another thread or for `until`, and takes it. Returns when there is to be another turn at the
    /// latest, if nothing happens before.
    pub fn turn(&mut self, until: Option<Instant>) -> Option<Instant> {
        let flush = self.cam.flush_wanted();
        self.look_for_card();
        self.take_sections();
        self.work();
        if self.exchange == Exchange::Idle && !self.lost {
            self.cam.flush_done(flush);
        }
        let deadline = earliest([until, self.next_deadline()]);
        self.listen(deadline);
        self.keep_time();
        self.work();
        self.next_deadline()
    }

    /// Wipes every key and takes the power off the card.
    pub fn shut_down(&mut self) {
        for session in std::mem::take(&mut self.keyed) {
            self.descrambler.clear(SessionId(session));
        }
        if let Some(reader) = &mut self.reader {
            reader.deactivate();
        }
        self.cam.stopped();
    }

    fn next_deadline(&self) -> Option<Instant> {
        let look = self.detects().then_some(self.look);
        earliest([self.cam.engine_wait(), self.line_wait, look])
    }

    fn detects(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.capabilities().detect)
    }

    fn take_sections(&mut self) {
        self.cam.report_lost_sections();
        while let Some((source, pid)) = self.cam.next_section(&mut self.section) {
            self.cam.input(Input::Section { source, pid, octets: &self.section });
            self.work();
        }
    }

    /// Does everything that the engine wants done now.
    fn work(&mut self) {
        while let Some(task) = self.cam.next_task() {
            match task {
                Task::Activate => {
                    self.exchange = Exchange::Activating;
                    self.lost = false;
                    self.unanswered = 0;
                    self.reopen();
                    self.feed_line(line::Input::Activate);
                }
                Task::Command { apdu, patience } => {
                    self.count_octets();
                    let ecm = apdu.get(1) == Some(&Self::INS_ECM);
                    self.exchange = Exchange::Command { ecm };
                    self.feed_line(line::Input::Command { apdu: &apdu, patience });
                    self.cam.with_tasks(|tasks| tasks.give_back(apdu));
                }
                Task::Ladder { pairing_slot, ek2, ek1, clear_allowed } => {
                    log::info!("key ladder loaded with the keys of pairing slot {pairing_slot}");
                    let keys = LadderKeys { pairing_slot, ek2: &ek2, ek1: &ek1, clear_allowed };
                    self.descrambler.load_ladder(&keys);
                }
                Task::Words(words) => {
                    let given = words.get();
                    let period = self.periods.see(
                        given.session,
                        given.ecm_pid,
                        given.crypto_period,
                        clock::now(),
                    );
                    self.keyed.insert(given.session.0);
                    self.descrambler.set_control_words(&given, period);
                    self.cam.with_tasks(|tasks| tasks.give_back_words(words));
                }
                Task::Clear(session) => {
                    self.keyed.remove(&session.0);
                    self.periods.forget(session);
                    self.descrambler.clear(session);
                }
                Task::Store { id, key, value } => {
                    let stored = self.storage.put(&key, &value);
                    self.cam.with_tasks(|tasks| tasks.give_back(value));
                    match stored {
                        Ok(()) => self.cam.input(Input::Stored(id)),
                        Err(error) => {
                            self.trouble(format!("'{key}' cannot be stored: {error}"));
                            self.cam.input(Input::StoreFailed(id));
                        }
                    }
                }
                Task::Event(Event::Pin(answer)) => self.cam.pin_answered(answer),
                Task::Event(event) => self.cam.notify(Notice::Engine(event)),
            }
        }
    }

    fn feed_line(&mut self, input: line::Input<'_>) {
        self.line.handle_input(clock::now(), input);
        self.work_line();
    }

    /// Does what the card line wants done and hands its answers to the engine.
    fn work_line(&mut self) {
        loop {
            let done = match (self.line.poll_output(), &mut self.reader) {
                (line::Output::Wait(until), _) => {
                    self.line_wait = until;
                    return;
                }
                (line::Output::Ready(atr), _) => {
                    let atr = *atr;
                    let protocol = self.line.protocol();
                    log::info!("card is up, T={protocol}");
                    self.exchange = Exchange::Idle;
                    (self.up, self.unanswered) = (true, 0);
                    self.told = None;
                    self.cam.input(Input::CardReady { atr: atr.octets(), protocol });
                    Ok(())
                }
                (line::Output::Response(response), _) => {
                    let ended = std::mem::replace(&mut self.exchange, Exchange::Idle);
                    self.cam.input(Input::Response(response));
                    self.count_exchange(ended);
                    Ok(())
                }
                (line::Output::Failed(error), _) => {
                    self.failed(error);
                    Ok(())
                }
                (line::Output::Deactivate, reader) => {
                    reader.iter_mut().for_each(|reader| reader.deactivate());
                    Ok(())
                }
                (line::Output::Activate(reset), Some(reader)) => {
                    // The line tries a silent card again; the keys do not wait for that.
                    if self.up && self.unanswered > 0 {
                        self.up = false;
                        self.cam.input(Input::CardAbsent(Absence::Mute));
                    }
                    self.unanswered = self.unanswered.saturating_add(1);
                    reader.activate(reset)
                }
                (line::Output::Configure(params), Some(reader)) => reader.configure(&params),
                (line::Output::Transmit(octets), Some(reader)) => reader.send(octets),
                (
                    line::Output::Activate(_)
                    | line::Output::Configure(_)
                    | line::Output::Transmit(_),
                    None,
                ) => {
                    self.line.handle_input(clock::now(), line::Input::Gone(Gone::ReaderLost));
                    Ok(())
                }
            };
            if let Err(error) = done {
                self.reader_failed(error);
            }
        }
    }

    /// An exchange or an activation has failed.
    fn failed(&mut self, error: LineError) {
        log::warn!("card line: {error}");
        let ended = std::mem::replace(&mut self.exchange, Exchange::Idle);
        if let Exchange::Command { .. } = ended {
            self.count_exchange(ended);
            self.cam.input(Input::Failed {
                may_have_executed: error.may_have_executed(),
                silent: error.cause() == Cause::Silent,
            });
        }
        if error.recovering() {
            self.exchange = Exchange::Activating;
        } else if !error.usable() {
            self.up = false;
            // Without a detect line the engine looks for the card again by itself.
            self.lost = ended != Exchange::Activating && !self.detects();
            self.cam.input(Input::CardAbsent(match error.cause() {
                Cause::NotACard(_) | Cause::Protocol { .. } | Cause::SpecificMode => {
                    Absence::Unknown
                }
                Cause::Removed => Absence::Removed,
                Cause::ReaderLost => Absence::ReaderLost,
                _ => Absence::Mute,
            }));
        }
    }

    /// The reader cannot be used any more as it is, or says that the card has left.
    fn reader_failed(&mut self, error: ReaderError) {
        let gone = error.gone();
        if gone == Gone::ReaderLost {
            // A reader that stays away is looked for every second, and would say so every second.
            let text = error.to_string();
            if self.told.as_ref() != Some(&text) {
                self.trouble(text.clone());
                self.told = Some(text);
            }
            self.reader = None;
        } else {
            self.present = Some(false);
        }
        self.line.handle_input(clock::now(), line::Input::Gone(gone));
    }

    /// A reader that was lost (unplugged) may be back.
    fn reopen(&mut self) {
        if self.reader.is_none() {
            match (self.opener)() {
                Ok(reader) => {
                    log::info!("the reader is back");
                    self.reader = Some(reader);
                }
                Err(error) => log::debug!("{error}"),
            }
        }
    }

    /// Asks the detect line, if there is one.
    fn look_for_card(&mut self) {
        let now = clock::now();
        if !self.detects() || now < self.look {
            return;
        }
        self.look = now.after(Self::LOOK_PERIOD);
        let Some(presence) = self.reader.as_mut().map(|reader| reader.present()) else { return };
        let present = match presence {
            Ok(Presence::Present) => true,
            Ok(Presence::Absent) => false,
            Ok(Presence::Unknown) => return,
            Err(error) => {
                self.reader_failed(error);
                self.work_line();
                return;
            }
        };
        if self.present.replace(present) == Some(present) {
            return;
        }
        if present {
            self.cam.input(Input::CardPresent);
        } else {
            self.feed_line(line::Input::Gone(Gone::Removed));
            self.exchange = Exchange::Idle;
            self.cam.input(Input::CardAbsent(Absence::Removed));
        }
    }

    /// Waits for the card, for another thread, or for `until`.
    fn listen(&mut self, until: Option<Instant>) {
        let Some(reader) = &mut self.reader else {
            let left = until.map_or(Self::LOST_PERIOD, |until| until.since(clock::now()));
            wait_for(self.cam.waker(), left.min(Self::LOST_PERIOD));
            return;
        };
        if self.exchange == Exchange::Idle {
            reader.rest();
        }
        match reader.receive(&mut self.octets, until, self.cam.waker()) {
            Ok(received) => {
                let now = clock::now();
                if received.damaged && received.what == What::Characters {
                    self.line.handle_input(now, line::Input::Damaged);
                }
                if let Some(input) = received.input(&self.octets) {
                    self.line.handle_input(now, input);
                }
                self.work_line();
            }
            Err(error) => {
                self.reader_failed(error);
                self.work_line();
            }
        }
    }

    fn keep_time(&mut self) {
        let now = clock::now();
        if self.line_wait.is_some_and(|at| at <= now) {
            self.feed_line(line::Input::Timeout);
        }
        if self.cam.engine_wait().is_some_and(|at| at <= now) {
            self.cam.input(Input::Timeout);
        }
    }

    fn count_exchange(&mut self, ended: Exchange) {
        let (sent, received) = self.count_octets();
        if ended == (Exchange::Command { ecm: true }) {
            let counters = &self.cam.counters;
            counters.ecm_line_sent.fetch_add(sent, Ordering::Relaxed);
            counters.ecm_line_received.fetch_add(received, Ordering::Relaxed);
        }
    }

    /// Characters since the last time.
    fn count_octets(&mut self) -> (u64, u64) {
        let Some(reader) = &self.reader else { return (0, 0) };
        let now = reader.line_octets();
        let sent = now.0.saturating_sub(self.line_octets.0);
        let received = now.1.saturating_sub(self.line_octets.1);
        self.line_octets = now;
        self.cam.counters.line_sent.fetch_add(sent, Ordering::Relaxed);
        self.cam.counters.line_received.fetch_add(received, Ordering::Relaxed);
        (sent, received)
    }

    fn trouble(&self, text: String) {
        log::error!("{text}");
        self.cam.notify(Notice::Health { text });
    }
}

/// Waits for another thread, at most so long.
fn wait_for(waker: &Waker, limit: Duration) {
    // Rounded up: a wait that ends too early would spin.
    let limit =
        PollTimeout::try_from(limit + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(waker.as_fd(), PollFlags::POLLIN)];
    // An interrupted wait is a short one.
    let _ = poll(&mut fds, limit);
    waker.take();
}

fn earliest<const N: usize>(instants: [Option<Instant>; N]) -> Option<Instant> {
    instants.into_iter().flatten().min()
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;

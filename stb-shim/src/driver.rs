// SPDX-License-Identifier: Apache-2.0
//! The loop between engine, card line, reader, descrambler and storage: the card thread.

use crate::cam::Cam;
use crate::clock;
use crate::descrambler::{Descrambler, LadderKeys, Refused};
use crate::due::Due;
use crate::events::Notice;
use crate::period::PeriodMeter;
use crate::reader::{Opener, Presence, Reader, ReaderError};
use crate::refusals::{Handed, News, Refusals};
use crate::residue;
use crate::slot::{Slot, Step};
use crate::storage::Storage;
use crate::taken::Taken;
use cam_core::{Absence, Ecw, Event, Handover, Input, Output, Probed, SessionId, SignOfLife};
use cam_types::Instant;
use ecm_emm::card::INS_ECM;
use ecm_emm::section::MAX_SECTION;
use iso7816::line::{self, Cause, Gone, LineError, Policy};
use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Everything that belongs to the card thread alone.
pub struct Driver {
    cam: Arc<Cam>,
    opener: Box<Opener>,
    slot: Slot,
    descrambler: Box<dyn Descrambler>,
    storage: Box<dyn Storage>,
    exchange: Exchange,
    /// A card that was up is lost, and the engine has not looked for it again yet.
    lost: bool,
    /// The card has been up, and the engine has not been told otherwise.
    up: bool,
    /// Resets that got no answer yet.
    unanswered: u8,
    /// When the engine wants to be told the time, if nothing else happens.
    engine_wait: Option<Instant>,
    line_wait: Option<Instant>,
    /// For a reader with a detect line: what it said last.
    present: Option<bool>,
    look: Instant,
    /// What the middleware has been told of the reader since a card was up.
    told: Option<String>,
    /// The sessions whose control words the descrambler holds.
    keyed: BTreeSet<u32>,
    periods: PeriodMeter,
    refusals: Refusals,
    section: Vec<u8>,
    taken: Taken,
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
    /// The line is asking for a sign of life.
    Probe,
}

/// Whether the rings are empty.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Sections {
    Taken,
    MoreWait,
}

impl Driver {
    /// Sections that are taken in one turn, at most.
    const SECTIONS: usize = 256;
    /// How often a detect line is looked at.
    const LOOK_PERIOD: Duration = Duration::from_millis(100);
    /// How soon the waker is looked at again while the reader itself is gone.
    const LOST_PERIOD: Duration = Duration::from_millis(100);

    /// Puts everything together. Nothing runs until [`Driver::run`] or [`Driver::turn`]. `policy`
    /// is how a card is treated, [`Capabilities::policy`](crate::reader::Capabilities::policy) or
    /// stricter; `opener` is for a reader that was lost.
    pub fn new(
        cam: Arc<Cam>,
        reader: Box<dyn Reader>,
        policy: Policy,
        opener: Box<Opener>,
        descrambler: Box<dyn Descrambler>,
        storage: Box<dyn Storage>,
    ) -> Self {
        Self {
            cam,
            opener,
            slot: Slot::new(reader, policy),
            descrambler,
            storage,
            exchange: Exchange::Idle,
            lost: false,
            up: false,
            unanswered: 0,
            engine_wait: None,
            line_wait: None,
            present: None,
            look: Instant::default(),
            told: None,
            keyed: BTreeSet::new(),
            periods: PeriodMeter::default(),
            refusals: Refusals::default(),
            section: Vec::with_capacity(MAX_SECTION),
            taken: Taken::default(),
            line_octets: (0, 0),
        }
    }

    /// Runs until [`Cam::stop`].
    pub fn run(&mut self) {
        clock::wait_exactly();
        while !self.cam.is_stopping() {
            residue::behind(|| self.turn(None));
        }
        self.shut_down();
    }

    /// Does what there is to do, then waits for characters of the card, for something new from
    /// another thread or for `until`, and takes it; what it leaves on the stack its caller wipes
    /// ([`residue::behind`]). Returns when there is to be another turn at the
    /// latest, if nothing happens before.
    pub fn turn(&mut self, until: Option<Instant>) -> Option<Instant> {
        let flush = self.cam.flush_wanted();
        self.look_for_card();
        let sections = self.take_sections();
        self.work();
        let deadline = match sections {
            Sections::Taken => {
                if self.exchange == Exchange::Idle && !self.lost {
                    self.cam.flush_done(flush);
                }
                earliest([until, self.next_deadline()])
            }
            // The card is heard in between.
            Sections::MoreWait => Some(clock::now()),
        };
        // Nothing lies about while it waits; behind a turn its caller wipes.
        if deadline.is_none_or(|deadline| deadline > clock::now()) {
            residue::wipe();
        }
        let interrupted = self.listen(deadline);
        self.keep_time();
        self.work();
        if interrupted || sections == Sections::MoreWait {
            // Whatever another thread has brought is taken at the beginning of a turn.
            return Some(clock::now());
        }
        earliest([self.next_deadline(), self.slot.due()])
    }

    /// Has `due` say when there is to be another turn; `next` is what the last one returned.
    pub fn wait_elsewhere(&self, due: &Due, next: Option<Instant>) -> io::Result<()> {
        due.wait_for(next, &self.slot.descriptors())
    }

    /// Wipes every key and takes the power off the card.
    pub fn shut_down(&mut self) {
        for session in mem::take(&mut self.keyed) {
            self.descrambler.clear(SessionId(session));
        }
        self.slot.deactivate();
        self.cam.stopped();
    }

    fn next_deadline(&self) -> Option<Instant> {
        let look = self.detects().then_some(self.look);
        earliest([self.engine_wait, self.line_wait, look])
    }

    fn detects(&self) -> bool {
        self.slot.detects()
    }

    /// Takes what is in the rings, but no more than would keep the card waiting.
    fn take_sections(&mut self) -> Sections {
        self.cam.report_lost_sections();
        for _ in 0..Self::SECTIONS {
            let Some((source, pid)) = self.cam.next_section(&mut self.section) else {
                return Sections::Taken;
            };
            self.cam.input(Input::Section { source, pid, octets: &self.section });
            self.work();
        }
        Sections::MoreWait
    }

    /// Does everything that the engine wants done now.
    fn work(&mut self) {
        residue::apart(|| self.work_apart());
    }

    fn work_apart(&mut self) {
        let mut taken = mem::take(&mut self.taken);
        loop {
            match self.cam.take_output(&mut taken) {
                Output::ActivateCard => {
                    self.exchange = Exchange::Activating;
                    self.lost = false;
                    self.unanswered = 0;
                    self.reopen();
                    self.feed_line(line::Input::Activate);
                }
                Output::Command { apdu } => {
                    self.count_octets();
                    // Under secure messaging too the instruction stands in clear.
                    let ecm = apdu.get(1) == Some(&INS_ECM);
                    self.exchange = Exchange::Command { ecm };
                    self.feed_line(line::Input::Command { apdu, patience: None });
                }
                Output::Probe => {
                    self.count_octets();
                    self.exchange = Exchange::Probe;
                    self.feed_line(line::Input::Probe);
                }
                Output::LoadLadder { pairing_slot, ek2, ek1, clear_allowed } => {
                    let keys = LadderKeys { pairing_slot, ek2, ek1, clear_allowed };
                    let loaded = self.descrambler.load_ladder(&keys);
                    if loaded.is_ok() {
                        log::info!(
                            "key ladder loaded with the keys of pairing slot {pairing_slot}"
                        );
                    }
                    let handover = self.handed(Handed::Ladder, loaded);
                    self.cam.input(Input::Ladder(handover));
                }
                Output::SetCw(ecw) => self.hand_cw(&ecw),
                Output::ClearCw { session } => {
                    self.keyed.remove(&session.0);
                    self.periods.forget(session);
                    self.descrambler.clear(session);
                }
                Output::Store { id, key, value } => match self.storage.put(key, value) {
                    Ok(()) => self.cam.input(Input::Stored(id)),
                    Err(error) => {
                        self.trouble(None, format!("'{key}' cannot be stored: {error}"));
                        self.cam.input(Input::StoreFailed(id));
                    }
                },
                Output::Event(Event::Pin(answer)) => self.cam.pin_answered(answer),
                Output::Event(event) => self.cam.notify(Notice::Engine(event)),
                Output::Wait(until) => {
                    self.engine_wait = until;
                    break;
                }
            }
        }
        self.taken = taken;
    }

    /// Under a ladder without its keys every control word would be a wrong one: it gets none.
    fn hand_cw(&mut self, ecw: &Ecw<'_>) {
        let (session, ecm_pid) = (ecw.session, ecw.ecm_pid);
        let period = self.periods.see(session, ecm_pid, ecw.crypto_period, clock::now());
        let handover = if self.refusals.stands(Handed::Ladder) {
            Handover::Refused
        } else {
            self.keyed.insert(session.0);
            let taken = self.descrambler.set_cw(ecw, period);
            self.handed(Handed::Cw(session, ecm_pid), taken)
        };
        self.cam.input(Input::Cw { session, ecm_pid, handover });
    }

    /// The middleware hears of a refusal once, and again only after it was well in between.
    fn handed(&mut self, what: Handed, taken: Result<(), Refused>) -> Handover {
        let Err(why) = taken else {
            self.refusals.taken(what);
            return Handover::Taken;
        };
        if self.refusals.refused(what) == News::Fresh {
            match what {
                Handed::Ladder => {
                    let text = format!("the descrambler refuses the key ladder's keys: {why}");
                    self.trouble(None, text);
                }
                Handed::Cw(session, ecm_pid) => {
                    let of = session.0;
                    let text = format!(
                        "the descrambler refuses the control words of session {of}, ECM PID \
                         {ecm_pid}: {why}"
                    );
                    self.trouble(Some(session), text);
                }
            }
        }
        Handover::Refused
    }

    fn feed_line(&mut self, input: line::Input<'_>) {
        self.slot.feed(input);
        self.work_line();
    }

    /// Does what the card line wants done and hands its answers to the engine.
    fn work_line(&mut self) {
        loop {
            match self.slot.step() {
                Step::Moved => {}
                Step::Wait(until) => {
                    self.line_wait = until;
                    return;
                }
                Step::Ready(atr) => {
                    let atr = *atr;
                    let line = self.slot.line();
                    let protocol = line.protocol();
                    let sign_of_life =
                        if line.probes() { SignOfLife::Probe } else { SignOfLife::Command };
                    log::info!("card is up, T={protocol}");
                    self.exchange = Exchange::Idle;
                    (self.up, self.unanswered) = (true, 0);
                    self.told = None;
                    let atr = atr.octets();
                    self.cam.input(Input::CardReady { atr, protocol, sign_of_life });
                }
                Step::Response(response) => {
                    let ended = mem::replace(&mut self.exchange, Exchange::Idle);
                    self.cam.input(match ended {
                        Exchange::Probe => Input::Probed(Probed::Alive),
                        _ => Input::Response(response),
                    });
                    self.count_exchange(ended);
                }
                Step::Resetting(_) => {
                    // The line tries a silent card again; the keys do not wait for that.
                    if self.up && self.unanswered > 0 {
                        self.up = false;
                        self.cam.input(Input::CardAbsent(Absence::Mute));
                    }
                    self.unanswered = self.unanswered.saturating_add(1);
                }
                Step::Failed(error) => self.failed(error),
                Step::ReaderFailed(error) => self.reader_failed(&error),
            }
        }
    }

    /// An exchange or an activation has failed.
    fn failed(&mut self, error: LineError) {
        log::warn!("card line: {error}");
        let ended = mem::replace(&mut self.exchange, Exchange::Idle);
        if matches!(ended, Exchange::Command { .. } | Exchange::Probe) {
            self.count_exchange(ended);
            self.cam.input(if ended == Exchange::Probe && error.usable() {
                Input::Probed(Probed::Doubtful)
            } else {
                Input::Failed {
                    may_have_executed: error.may_have_executed(),
                    silent: error.cause() == Cause::Silent,
                }
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
    fn reader_failed(&mut self, error: &ReaderError) {
        if error.gone() == Gone::ReaderLost {
            // A reader that stays away is looked for every second, and would say so every second.
            let text = error.to_string();
            if self.told.as_ref() != Some(&text) {
                self.trouble(None, text.clone());
                self.told = Some(text);
            }
        } else {
            self.present = Some(false);
        }
    }

    /// A reader that was lost (unplugged) may be back.
    fn reopen(&mut self) {
        if self.slot.reader().is_none() {
            match (self.opener)() {
                Ok(reader) => {
                    log::info!("the reader is back");
                    self.slot.replace_reader(reader);
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
        let present = match self.slot.present() {
            Ok(Presence::Present) => true,
            Ok(Presence::Absent) => false,
            Ok(Presence::Unknown) => return,
            Err(error) => {
                self.reader_failed(&error);
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

    /// Waits for the card, for another thread, or for `until`. Whether something else ended the
    /// wait than the card or the time.
    fn listen(&mut self, until: Option<Instant>) -> bool {
        let until = match self.slot.reader() {
            Some(reader) => {
                if self.exchange == Exchange::Idle {
                    reader.rest();
                }
                until
            }
            None => earliest([until, Some(clock::now().after(Self::LOST_PERIOD))]),
        };
        let interrupted = self.slot.listen(until, self.cam.waker()).unwrap_or_else(|error| {
            self.reader_failed(&error);
            true
        });
        self.work_line();
        interrupted
    }

    fn keep_time(&mut self) {
        if self.engine_wait.is_some_and(|at| at <= clock::now()) {
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
        let Some(reader) = self.slot.reader() else { return (0, 0) };
        let now = reader.line_octets();
        let sent = now.0.saturating_sub(self.line_octets.0);
        let received = now.1.saturating_sub(self.line_octets.1);
        self.line_octets = now;
        self.cam.counters.line_sent.fetch_add(sent, Ordering::Relaxed);
        self.cam.counters.line_received.fetch_add(received, Ordering::Relaxed);
        (sent, received)
    }

    fn trouble(&self, session: Option<SessionId>, text: String) {
        log::error!("{text}");
        self.cam.notify(Notice::Health { session, text });
    }
}

fn earliest<const N: usize>(instants: [Option<Instant>; N]) -> Option<Instant> {
    instants.into_iter().flatten().min()
}

#[cfg(test)]
mod tests;

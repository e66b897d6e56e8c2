// SPDX-License-Identifier: Apache-2.0
//! What the engine wants done, kept until the card thread does it.
//!
//! The engine is behind a lock that nobody holds while the card is spoken to: every call and every
//! input drains the engine at once into this list, and the card thread works it off.

use cam_core::{ControlWords, Event, Output, SessionId, StoreId};
use cam_types::{Instant, Key, Pid};
use std::collections::VecDeque;
use std::time::Duration;

/// One thing to do, with octets of its own.
pub(crate) enum Task {
    Activate,
    Command { apdu: Vec<u8>, patience: Option<Duration> },
    Ladder { pairing_slot: u8, ek2: Key, ek1: Key, clear_allowed: bool },
    Words(Box<Words>),
    Clear(SessionId),
    Store { id: StoreId, key: String, value: Vec<u8> },
    Event(Event),
}

/// Control words, still encrypted for the key ladder, on their way to the descrambler.
pub(crate) struct Words {
    header: Header,
    es_pids: Vec<Pid>,
    even: [u8; 16],
    odd: [u8; 16],
}

/// The part of [`ControlWords`] that borrows nothing.
type Header = ControlWords<'static>;

impl Words {
    fn new(words: &ControlWords<'_>) -> Self {
        Self {
            header: header(words),
            es_pids: words.es_pids.to_vec(),
            even: *words.even,
            odd: *words.odd,
        }
    }

    fn set(&mut self, words: &ControlWords<'_>) {
        self.header = header(words);
        self.es_pids.clear();
        self.es_pids.extend_from_slice(words.es_pids);
        (self.even, self.odd) = (*words.even, *words.odd);
    }

    /// As the engine gave them.
    pub(crate) fn get(&self) -> ControlWords<'_> {
        ControlWords { es_pids: &self.es_pids, even: &self.even, odd: &self.odd, ..self.header }
    }
}

fn header(words: &ControlWords<'_>) -> Header {
    ControlWords {
        es_pids: &[],
        even: &[0; 16],
        odd: &[0; 16],
        session: words.session,
        source: words.source,
        ecm_pid: words.ecm_pid,
        mode: words.mode,
        crypto_period: words.crypto_period,
        parity: words.parity,
        cci: words.cci,
        preview: words.preview,
    }
}

/// The list, and buffers that were used before: once warm nothing is allocated for an ECM.
#[derive(Default)]
pub(crate) struct Tasks {
    queue: VecDeque<Task>,
    octets: Vec<Vec<u8>>,
    #[expect(clippy::vec_box, reason = "a task moves its box, not its octets")]
    words: Vec<Box<Words>>,
    wait: Option<Instant>,
}

impl Tasks {
    /// At most this many control words are kept for the next time: one answer brings them for
    /// every session, of which an engine has at most 255.
    const WORDS: usize = 256;
    /// Commands and rows come one at a time.
    const OCTETS: usize = 4;

    /// Takes one output over; `false` when the engine has nothing more.
    pub(crate) fn take(&mut self, output: Output<'_>) -> bool {
        let task = match output {
            Output::ActivateCard => Task::Activate,
            Output::Command { apdu, patience } => Task::Command { apdu: self.copy(apdu), patience },
            Output::LoadLadder { pairing_slot, ek2, ek1, clear_allowed } => {
                Task::Ladder { pairing_slot, ek2: ek2.clone(), ek1: ek1.clone(), clear_allowed }
            }
            Output::SetControlWords(words) => Task::Words(match self.words.pop() {
                Some(mut used) => {
                    used.set(&words);
                    used
                }
                None => Box::new(Words::new(&words)),
            }),
            Output::ClearControlWords { session } => Task::Clear(session),
            Output::Store { id, key, value } => {
                Task::Store { id, key: key.to_owned(), value: self.copy(value) }
            }
            Output::Event(event) => Task::Event(event),
            Output::Wait(until) => {
                self.wait = until;
                return false;
            }
        };
        self.queue.push_back(task);
        true
    }

    /// The next thing to do.
    pub(crate) fn next(&mut self) -> Option<Task> {
        self.queue.pop_front()
    }

    /// When the engine wants to be told the time, if nothing else happens.
    pub(crate) const fn wait(&self) -> Option<Instant> {
        self.wait
    }

    /// A buffer that is not needed any more.
    pub(crate) fn give_back(&mut self, octets: Vec<u8>) {
        if self.octets.len() < Self::OCTETS {
            self.octets.push(octets);
        }
    }

    /// Control words that are not needed any more.
    pub(crate) fn give_back_words(&mut self, words: Box<Words>) {
        if self.words.len() < Self::WORDS {
            self.words.push(words);
        }
    }

    fn copy(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut copy = self.octets.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(octets);
        copy
    }
}

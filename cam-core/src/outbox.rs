// SPDX-License-Identifier: Apache-2.0
//! What is to be done, in order, until the driver takes it.

use crate::{Event, SessionId, StoreId};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::Pid;

/// One thing to do. Long contents stay where they are until the driver takes them.
#[derive(Debug)]
pub(crate) enum Todo {
    Activate,
    /// The command in the engine's command buffer.
    Command,
    /// A sign of life, by the line's own means.
    Probe,
    /// The ladder keys of the pairing in use.
    Ladder,
    /// The ECWs of this ECM stream of this session.
    Set {
        session: SessionId,
        pid: Pid,
    },
    Clear {
        session: SessionId,
    },
    Store(Row),
    Event(Event),
}

/// A row for the storage.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: StoreId,
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
}

pub(crate) struct Outbox {
    queue: VecDeque<Todo>,
    events: usize,
    max_events: usize,
    /// Events lost since the last report.
    lost: u32,
    /// Events lost ever.
    lost_total: u64,
    stores: u32,
    /// The row that the driver was handed last: its output borrows it.
    row: Option<Row>,
}

impl Outbox {
    pub(crate) fn new(max_events: usize) -> Self {
        Self {
            queue: VecDeque::with_capacity(max_events.min(256) + 64),
            events: 0,
            max_events,
            lost: 0,
            lost_total: 0,
            stores: 0,
            row: None,
        }
    }

    /// The card is asked one thing at a time: what still waits to be asked is overwritten by the
    /// next, as a command is in its buffer.
    pub(crate) fn push(&mut self, todo: Todo) {
        if matches!(todo, Todo::Command | Todo::Probe) {
            self.queue.retain(|todo| !matches!(todo, Todo::Command | Todo::Probe));
        }
        self.queue.push_back(todo);
    }

    /// It was taken, and is next all the same.
    pub(crate) fn push_again(&mut self, todo: Todo) {
        self.queue.push_front(todo);
    }

    /// Keys are wiped before anything else happens.
    pub(crate) fn push_clear(&mut self, session: SessionId) {
        self.queue.push_front(Todo::Clear { session });
    }

    /// What the host waits for is not lost, however many events nobody has taken: it asked for it.
    pub(crate) fn event(&mut self, event: Event) {
        if self.events >= self.max_events && !event.is_answer() {
            self.lost = self.lost.saturating_add(1);
            self.lost_total += 1;
            return;
        }
        self.events += 1;
        self.queue.push_back(Todo::Event(event));
    }

    /// Events lost ever.
    pub(crate) fn lost_total(&self) -> u64 {
        self.lost_total
    }

    /// Wants a row stored; the id comes back with `Stored`.
    pub(crate) fn store(&mut self, key: String, value: Vec<u8>) -> StoreId {
        self.stores = self.stores.wrapping_add(1);
        let id = StoreId(self.stores);
        self.queue.push_back(Todo::Store(Row { id, key, value }));
        id
    }

    pub(crate) fn pop(&mut self) -> Option<Todo> {
        self.row = None;
        match self.queue.pop_front() {
            Some(Todo::Event(event)) => {
                self.events -= 1;
                Some(Todo::Event(event))
            }
            None if self.lost > 0 => {
                Some(Todo::Event(Event::Overflow { lost: core::mem::take(&mut self.lost) }))
            }
            other => other,
        }
    }

    /// Keeps the row while the driver reads it.
    pub(crate) fn hand_over(&mut self, row: Row) -> &Row {
        self.row.insert(row)
    }

    /// Forgets ECWs that have not been taken.
    pub(crate) fn withdraw_cw(&mut self) {
        self.queue.retain(|todo| !matches!(todo, Todo::Set { .. }));
    }

    /// Forgets what the card was to do and nobody has taken: it has gone.
    pub(crate) fn withdraw_card(&mut self) {
        self.queue.retain(|todo| !matches!(todo, Todo::Activate | Todo::Command | Todo::Probe));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PinAnswer, PinOutcome, Ticket};

    #[test]
    fn an_answer_that_the_host_waits_for_passes_a_full_queue() {
        let mut out = Outbox::new(1);
        let answer = Event::Pin(PinAnswer { ticket: Ticket(7), outcome: PinOutcome::Right });
        for event in [Event::Filters, Event::Rights, answer.clone()] {
            out.event(event);
        }
        let events = core::iter::from_fn(|| match out.pop() {
            Some(Todo::Event(event)) => Some(event),
            _ => None,
        });
        let told: Vec<_> = events.collect();
        assert_eq!(told, [Event::Filters, answer, Event::Overflow { lost: 1 }]);
    }
}

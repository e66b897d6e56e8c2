// SPDX-License-Identifier: Apache-2.0
//! Events on their way from the card thread to whoever asks for them.

use cam_core::{Event, SessionId};
use cam_types::Instant;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something to tell the middleware.
#[derive(Clone, Debug)]
pub enum Notice {
    /// The engine says so.
    Engine(Event),
    /// The card thread could not keep up with a source, and sections are lost.
    SectionsLost {
        /// The source (demultiplexer or tuner), by the host's number, 0 to 15.
        source: u8,
        /// How many since the last notice.
        count: u64,
    },
    /// Nobody took the notices that came before this one, and some are lost.
    NoticesLost {
        /// How many of them.
        count: u64,
    },
    /// The reader, the storage or the descrambler does not work.
    Health {
        /// The session that it is about, if it is about one.
        session: Option<SessionId>,
        /// What, as text for a log or a support engineer.
        text: String,
    },
}

/// A notice with its place in the order of things.
#[derive(Clone, Debug)]
pub struct Stamped {
    /// Counts every notice, lost ones included.
    pub sequence: u64,
    /// When it happened.
    pub at: Instant,
    /// What there is to tell.
    pub notice: Notice,
}

/// A bounded queue with a descriptor that can be polled.
pub struct EventQueue {
    state: Mutex<State>,
    arrived: Condvar,
    readable: EventFd,
    capacity: usize,
}

struct State {
    queue: VecDeque<Stamped>,
    sequence: u64,
    lost: u64,
    lost_in_all: u64,
    closed: bool,
}

impl EventQueue {
    /// At most this many notices have their memory from the start; a longer queue grows to what it
    /// comes to hold.
    const AT_ONCE: usize = 256;

    /// A queue that holds at most `capacity` notices.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self {
            state: Mutex::new(State {
                queue: VecDeque::with_capacity(capacity.min(Self::AT_ONCE)),
                sequence: 0,
                lost: 0,
                lost_in_all: 0,
                closed: false,
            }),
            arrived: Condvar::new(),
            readable: EventFd::from_value_and_flags(0, flags)?,
            capacity: capacity.max(1),
        })
    }

    /// Adds a notice, or counts it as lost when the queue is full.
    pub fn push(&self, at: Instant, notice: Notice) {
        let mut state = self.state();
        state.sequence += 1;
        if state.queue.len() >= self.capacity {
            state.lost += 1;
            state.lost_in_all += 1;
            return;
        }
        let sequence = state.sequence;
        state.queue.push_back(Stamped { sequence, at, notice });
        if state.queue.len() == 1 {
            // The counter is far from its end, so this does not fail.
            let _ = self.readable.write(1);
        }
        self.arrived.notify_all();
    }

    /// Puts these events in the place of all that only told how things stood, those that were lost
    /// included. They have room beyond the capacity: whoever has lost some could lose them again,
    /// and there is one set of them at most.
    pub fn restate(&self, at: Instant, events: Vec<Event>) {
        let mut state = self.state();
        state.queue.retain(|stamped| match &stamped.notice {
            Notice::Engine(event) => !event.is_state(),
            Notice::SectionsLost { .. } | Notice::Health { .. } => true,
            Notice::NoticesLost { .. } => false,
        });
        state.lost = 0;
        for event in events {
            state.sequence += 1;
            let sequence = state.sequence;
            state.queue.push_back(Stamped { sequence, at, notice: Notice::Engine(event) });
        }
        // Readable exactly while there is something.
        let _ = self.readable.read();
        if !state.queue.is_empty() {
            let _ = self.readable.write(1);
        }
        drop(state);
        self.arrived.notify_all();
    }

    /// The oldest notice; waits up to `timeout` for one. What was lost is told when everything
    /// before it was taken.
    pub fn pop(&self, now: impl Fn() -> Instant, timeout: Duration) -> Option<Stamped> {
        let mut state = self.state();
        if state.queue.is_empty() && state.lost == 0 && !timeout.is_zero() {
            let waiting = |state: &mut State| state.queue.is_empty() && !state.closed;
            state = self
                .arrived
                .wait_timeout_while(state, timeout, waiting)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let next = state.queue.pop_front();
        if next.is_some() {
            if state.queue.is_empty() && state.lost == 0 {
                let _ = self.readable.read();
            }
            return next;
        }
        let count = std::mem::take(&mut state.lost);
        let _ = self.readable.read();
        (count > 0).then(|| Stamped {
            sequence: state.sequence,
            at: now(),
            notice: Notice::NoticesLost { count },
        })
    }

    /// How many notices were lost since the queue was made.
    pub fn lost_in_all(&self) -> u64 {
        self.state().lost_in_all
    }

    /// Ends every wait: the context is going away.
    pub fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_all();
    }

    /// Readable as long as there is a notice.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    const AT: Instant = Instant::from_micros(7);

    fn readable(queue: &EventQueue) -> bool {
        let mut fds = [PollFd::new(queue.descriptor(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }

    fn pop(queue: &EventQueue) -> Option<Stamped> {
        queue.pop(|| AT, Duration::ZERO)
    }

    #[test]
    fn the_descriptor_is_readable_while_there_is_something() {
        let queue = EventQueue::new(4).unwrap();
        assert!(!readable(&queue) && pop(&queue).is_none());
        queue.push(AT, Notice::Engine(Event::Filters));
        queue.push(AT, Notice::Engine(Event::Rights));
        assert!(readable(&queue));
        assert!(matches!(pop(&queue).unwrap().notice, Notice::Engine(Event::Filters)));
        assert!(readable(&queue));
        assert!(matches!(pop(&queue).unwrap().notice, Notice::Engine(Event::Rights)));
        assert!(!readable(&queue) && pop(&queue).is_none());
    }

    #[test]
    fn what_is_lost_is_counted_and_told_in_its_place() {
        let queue = EventQueue::new(2).unwrap();
        for source in 0..5 {
            queue.push(AT, Notice::SectionsLost { source, count: 1 });
        }
        assert_eq!(pop(&queue).unwrap().sequence, 1);
        assert_eq!(pop(&queue).unwrap().sequence, 2);
        assert!(readable(&queue));
        let lost = pop(&queue).unwrap();
        assert!(matches!(lost.notice, Notice::NoticesLost { count: 3 }));
        assert_eq!(lost.sequence, 5);
        assert!(!readable(&queue) && pop(&queue).is_none());
        queue.push(AT, Notice::Engine(Event::Filters));
        assert_eq!(pop(&queue).unwrap().sequence, 6);
    }

    /// A box of 32 bits has no room for the largest queue that a host can ask for.
    #[test]
    fn a_queue_takes_no_memory_for_what_never_comes() {
        let queue = EventQueue::new(usize::MAX).unwrap();
        queue.push(AT, Notice::Engine(Event::Filters));
        assert!(matches!(pop(&queue).unwrap().notice, Notice::Engine(Event::Filters)));
    }

    /// What is told again has room, takes the place of what it tells, and leaves the news alone.
    #[test]
    fn what_is_told_again_takes_the_place_of_what_it_tells() {
        let queue = EventQueue::new(3).unwrap();
        let pairing = |slot| Notice::Engine(Event::Pairing { slot, withdrawn: false });
        queue.push(AT, pairing(1));
        for _ in 0..5 {
            queue.push(AT, Notice::Engine(Event::Rights));
        }
        for _ in 0..2 {
            queue.restate(AT, vec![Event::Filters; 9]);
        }
        assert!(readable(&queue));
        let told: Vec<_> = std::iter::from_fn(|| pop(&queue)).collect();
        assert_eq!(told.len(), 10, "{told:?}");
        let (first, rest) = told.split_first().unwrap();
        assert!(matches!(first.notice, Notice::Engine(Event::Pairing { slot: 1, .. })));
        assert!(rest.iter().all(|told| matches!(told.notice, Notice::Engine(Event::Filters))));
        assert!(told.is_sorted_by_key(|told| told.sequence));
        assert!(!readable(&queue));
        queue.push(AT, pairing(2));
        assert!(readable(&queue) && pop(&queue).is_some());
        queue.restate(AT, Vec::new());
        assert!(!readable(&queue) && pop(&queue).is_none());
    }

    #[test]
    fn closing_ends_a_wait() {
        let queue = EventQueue::new(2).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.pop(|| AT, Duration::from_secs(3600)));
            queue.close();
            assert!(waiter.join().unwrap().is_none());
        });
    }
}

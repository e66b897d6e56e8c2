// SPDX-License-Identifier: Apache-2.0
//! A descriptor that says when the card thread's work is due, for a host that has no card thread
//! and waits in a loop of its own.
//!
//! One epoll instance over all that ends a wait of the card thread: the waker, the next deadline,
//! and what the reader waits for. The reader's descriptors come and go, so that they stand in an
//! instance of their own inside, which is made anew each time: the number that the host was given
//! stays good.

use crate::clock;
use crate::sys::Waker;
use cam_types::Instant;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Readable when there is work.
pub struct Due {
    all: Epoll,
    deadline: TimerFd,
    reader: Mutex<Option<Epoll>>,
}

impl Due {
    /// Due at once, as everything is in the beginning.
    pub fn new(waker: &Waker) -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let deadline = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let all = watch(&[waker.as_fd(), deadline.as_fd()])?;
        let due = Self { all, deadline, reader: Mutex::default() };
        due.at(Some(clock::now()))?;
        Ok(due)
    }

    /// From now on it is due at `next`, when one of `reader` has something to say, or when the
    /// waker fires: not for what was waited for before.
    pub fn wait_for(&self, next: Option<Instant>, reader: &[BorrowedFd<'_>]) -> io::Result<()> {
        let watched = if reader.is_empty() { None } else { Some(watch(reader)?) };
        if let Some(watched) = &watched {
            add(&self.all, watched.0.as_fd())?;
        }
        // The one before leaves the outer instance as it is closed.
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = watched;
        self.at(next)
    }

    fn at(&self, next: Option<Instant>) -> io::Result<()> {
        match next {
            None => self.deadline.unset()?,
            Some(at) => {
                // A timer of no time would be none at all.
                let left = at.since(clock::now()).max(Duration::from_nanos(1));
                let left: TimeSpec = clock::timeout(left);
                self.deadline.set(Expiration::OneShot(left), TimerSetTimeFlags::empty())?;
            }
        }
        Ok(())
    }
}

impl AsFd for Due {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.all.0.as_fd()
    }
}

fn watch(descriptors: &[BorrowedFd<'_>]) -> io::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    descriptors.iter().try_for_each(|fd| add(&epoll, *fd))?;
    Ok(epoll)
}

fn add(epoll: &Epoll, fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn is_due(due: &Due) -> bool {
        let mut fds = [PollFd::new(due.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn due_is_what_is_waited_for_and_nothing_before() {
        let (waker, one, other) =
            (Waker::new().unwrap(), Waker::new().unwrap(), Waker::new().unwrap());
        let due = Due::new(&waker).unwrap();
        let mut fds = [PollFd::new(due.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(1000u16)).unwrap(), 1, "due from the start");
        let later = clock::now().after(Duration::from_secs(3600));
        for next in [None, Some(later)] {
            due.wait_for(next, &[one.as_fd()]).unwrap();
            assert!(!is_due(&due), "{next:?}");
            other.wake();
            assert!(!is_due(&due));
            one.wake();
            assert!(is_due(&due));
            due.wait_for(next, &[]).unwrap();
            assert!(!is_due(&due), "the former descriptor counts no more");
            due.wait_for(next, &[one.as_fd(), other.as_fd()]).unwrap();
            assert!(is_due(&due));
            assert!(one.take() && is_due(&due));
            assert!(other.take() && !is_due(&due));
            waker.wake();
            assert!(is_due(&due));
            assert!(waker.take() && !is_due(&due));
        }
        let soon = clock::now().after(Duration::from_millis(1));
        due.wait_for(Some(soon), &[]).unwrap();
        let mut fds = [PollFd::new(due.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(1000u16)).unwrap(), 1);
        assert!(clock::now() >= soon);
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Which sections the engine has a use for, as the demultiplexers' threads see it, without waiting.
//!
//! The engine's side replaces the list; a demultiplexer's thread looks whether there is another
//! one, and has a copy of its own meanwhile. Where the list is being replaced in that very moment,
//! everything passes: the engine looks at it again.

use cam_core::{Engine, Filter};
use cam_types::Pid;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// The list of all sources.
#[derive(Default)]
pub(crate) struct Wanted {
    version: AtomicU64,
    /// By source and PID. Held for a copy of the pointer.
    list: Mutex<Arc<[Filter]>>,
}

/// One demultiplexer's copy of it.
#[derive(Default)]
pub(crate) struct View {
    version: u64,
    list: Arc<[Filter]>,
}

/// What a section is to the engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Use {
    /// Nothing.
    None,
    /// It must not wait behind others: an ECM.
    Urgent,
    Ordinary,
}

impl Wanted {
    /// Takes the engine's list, if it is another one. Whoever calls has the engine.
    pub(crate) fn follow(&self, engine: &Engine) {
        if self.version.load(Ordering::Relaxed) == engine.wanted_version() {
            return;
        }
        let mut filters = engine.wanted().to_vec();
        filters.sort_by_key(place);
        let new = Arc::from(filters);
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *list, new);
        self.version.store(engine.wanted_version(), Ordering::Release);
        drop(list);
        drop(old);
    }

    /// What a section that came now is to the engine.
    pub(crate) fn classify(&self, view: &mut View, source: u8, pid: Pid, section: &[u8]) -> Use {
        let known = view.classify(source, pid, section);
        if self.version.load(Ordering::Acquire) == view.version {
            return known;
        }
        let list = match self.list.try_lock() {
            Ok(list) => list,
            Err(TryLockError::Poisoned(list)) => list.into_inner(),
            // Nothing is lost meanwhile.
            Err(TryLockError::WouldBlock) if known == Use::None => return Use::Ordinary,
            Err(TryLockError::WouldBlock) => return known,
        };
        *view = View { version: self.version.load(Ordering::Relaxed), list: Arc::clone(&list) };
        drop(list);
        view.classify(source, pid, section)
    }
}

impl View {
    fn classify(&self, source: u8, pid: Pid, section: &[u8]) -> Use {
        let here = (source, pid.value());
        let from = self.list.partition_point(|filter| place(filter) < here);
        let of_the_pid = self.list.iter().skip(from).take_while(|filter| place(filter) == here);
        let mut best = Use::None;
        for filter in of_the_pid.filter(|filter| filter.passes(section)) {
            if filter.urgent {
                return Use::Urgent;
            }
            best = Use::Ordinary;
        }
        best
    }
}

fn place(filter: &Filter) -> (u8, u16) {
    (filter.source, filter.pid.value())
}

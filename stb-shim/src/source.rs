// SPDX-License-Identifier: Apache-2.0
//! The way of one demultiplexer's sections to the card thread: ECMs have a ring of their own, so
//! that no crowd of EMMs costs one.

use crate::ring::{OfferError, SectionReceiver, SectionSender, section_ring};
use crate::wanted::{Use, View, Wanted};
use cam_types::Pid;
use ecm_emm::section::MAX_SECTION;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

/// See the module.
pub(crate) struct Source {
    number: u8,
    demux: Mutex<Demux>,
    urgent: Mutex<SectionReceiver>,
    ordinary: Mutex<SectionReceiver>,
    lost: AtomicU64,
}

/// What the demultiplexer's thread has.
struct Demux {
    view: View,
    urgent: SectionSender,
    ordinary: SectionSender,
}

/// What became of a section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Offered {
    Taken,
    /// No filter of the library's asks for it.
    Unwanted,
    /// Another thread is offering a section here.
    Busy,
    /// Its ring does not have it.
    Not(OfferError),
}

/// One of the two rings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lane {
    Urgent,
    Ordinary,
}

impl Source {
    /// Two rings of `octets` each.
    pub(crate) fn new(number: u8, octets: usize) -> Self {
        let (urgent, urgent_receiver) = section_ring(octets);
        let (ordinary, receiver) = section_ring(octets);
        Self {
            number,
            demux: Mutex::new(Demux { view: View::default(), urgent, ordinary }),
            urgent: Mutex::new(urgent_receiver),
            ordinary: Mutex::new(receiver),
            lost: AtomicU64::new(0),
        }
    }

    /// Puts a copy of the section into its ring. Never waits.
    pub(crate) fn offer(&self, wanted: &Wanted, pid: Pid, section: &[u8]) -> Offered {
        if section.len() > MAX_SECTION {
            return Offered::Not(OfferError::TooLong);
        }
        let mut demux = match self.demux.try_lock() {
            Ok(demux) => demux,
            Err(TryLockError::Poisoned(demux)) => demux.into_inner(),
            Err(TryLockError::WouldBlock) => return Offered::Busy,
        };
        let Demux { view, urgent, ordinary } = &mut *demux;
        let ring = match wanted.classify(view, self.number, pid, section) {
            Use::None => return Offered::Unwanted,
            Use::Urgent => urgent,
            Use::Ordinary => ordinary,
        };
        match ring.offer(pid, section) {
            Ok(()) => Offered::Taken,
            Err(why) => {
                if why == OfferError::Full {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
                Offered::Not(why)
            }
        }
    }

    /// Moves the oldest section of a ring into `section`.
    pub(crate) fn take(&self, lane: Lane, section: &mut Vec<u8>) -> Option<Pid> {
        let receiver = match lane {
            Lane::Urgent => &self.urgent,
            Lane::Ordinary => &self.ordinary,
        };
        receiver.lock().unwrap_or_else(PoisonError::into_inner).take(section)
    }

    /// Sections lost since the last time.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

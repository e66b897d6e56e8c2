// SPDX-License-Identifier: Apache-2.0
//! The card's clock: it moves by authenticated time only, and forward.

use super::channels::Channels;
use super::store::{CasStore, Clock};
use crate::decide::{Bits, Twice, decide};
use crate::persist::Guarded;
use cam_types::CasTime;
use ecm_emm::emm::TimeStep;

/// Seconds that anything may be ahead of the last TIME_SYNC.
const FUTURE: u32 = 200 * 86_400;
/// Seconds that `now` may move before it is stored.
const STORE_NOW: u32 = 3600;
/// Seconds that `sync` may move before it is stored.
const STORE_SYNC: u32 = 86_400;

/// What the conditional access application knows until the card loses its power; PIN and rating
/// until the session ends.
#[derive(Clone)]
pub struct CasRam {
    /// The latest authenticated time.
    now: Twice<CasTime>,
    /// The last TIME_SYNC.
    sync: Twice<CasTime>,
    /// What a right PIN was shown for.
    pub pin: PinUses,
    /// ECMs to be served before a signature is looked at again.
    pub signature_rest: u8,
    /// What was opened last.
    pub channels: Channels,
}

/// What a PIN that was right is good for. One use gives nothing of the other.
#[derive(Clone, Copy, Default)]
pub struct PinUses {
    /// One purchase.
    pub(super) purchase: Twice<bool>,
    /// Ratings do not veto.
    pub(super) rating: Twice<bool>,
}

/// What a time stands in, which says how far behind the clock it may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dated {
    /// An ECM of what is on air.
    Ecm,
    /// An offer, which may wait for a purchase.
    Offer,
}

impl Dated {
    /// Seconds that it may be behind the clock.
    const fn past(self) -> u32 {
        match self {
            Self::Ecm => 600,
            Self::Offer => 86_400,
        }
    }
}

/// The moment at which a message is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct When {
    /// The later of its time and the card's: by it rights are judged, but for slices of time.
    pub at: CasTime,
    /// The time of the ECM, in which previews and slices are counted. An offer may have waited: its
    /// slice begins now.
    pub ecm: CasTime,
}

impl Bits for CasTime {
    fn bits(self) -> u32 {
        self.seconds()
    }

    fn of(bits: u32) -> Self {
        Self::new(bits)
    }
}

/// A clock's next state, and whether it is worth a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moved {
    /// Not: it is older than what the card has.
    Not,
    /// Not again: this RESET was taken.
    Before,
    /// In RAM only.
    Volatile,
    /// To be stored.
    Stored,
}

impl CasRam {
    /// After a reset.
    pub fn new(clock: &Clock) -> Self {
        Self {
            now: Twice::new(clock.now()),
            sync: Twice::new(clock.sync()),
            pin: PinUses::default(),
            signature_rest: 0,
            channels: Channels::new(),
        }
    }

    /// A session has ended.
    pub fn end_session(&mut self) {
        self.pin = PinUses::default();
    }

    /// The latest time that the card is sure of.
    pub fn latest(&self) -> CasTime {
        self.now.get().max(self.sync())
    }

    /// The time of the last TIME_SYNC.
    pub fn sync(&self) -> CasTime {
        self.sync.get()
    }

    /// When a message of this time is judged.
    pub fn when(&self, time: CasTime, dated: Dated) -> When {
        let at = self.latest().max(time);
        When { at, ecm: if dated == Dated::Offer { at } else { time } }
    }

    /// Is this time to be believed now?
    pub fn is_fresh(&self, time: CasTime, dated: Dated) -> bool {
        let oldest = self.latest().saturating_sub(dated.past());
        decide(|| oldest <= time && time <= self.sync().saturating_add(FUTURE))
    }

    /// A message of this time was accepted. `true`: the clock is to be stored.
    pub fn accept(&mut self, time: CasTime, stored: &Clock) -> bool {
        let now = self.latest().max(time);
        self.now.set(now);
        now >= stored.now().saturating_add(STORE_NOW)
    }

    /// What a TIME_SYNC would do. A RESET goes by its number and not by its time: one that was held
    /// back has a time that may lie ahead of the clock.
    pub fn moves(&self, time: CasTime, step: TimeStep, cas: &CasStore) -> Moved {
        match step {
            TimeStep::Reset(number) => {
                let last = cas.reset.map(|last| last.0);
                match decide(|| last.is_none_or(|last| last < number.value())) {
                    true => Moved::Stored,
                    false if last == Some(number.value()) => Moved::Before,
                    false => Moved::Not,
                }
            }
            TimeStep::Forward if !decide(|| time > self.sync()) => Moved::Not,
            TimeStep::Forward if time >= cas.clock.sync().saturating_add(STORE_SYNC) => {
                Moved::Stored
            }
            TimeStep::Forward => Moved::Volatile,
        }
    }

    /// A TIME_SYNC was accepted.
    pub fn synchronise(&mut self, time: CasTime, step: TimeStep) {
        self.sync.set(time);
        if step == TimeStep::Forward {
            self.now.set(self.now.get().max(time));
        } else {
            self.now.set(time);
            self.channels.clock_reset();
        }
    }
}

impl CasStore {
    /// Stores the clock as it is.
    pub fn store_clock(&mut self, ram: &CasRam) {
        self.clock = Clock::new(ram.now.get(), ram.sync());
    }

    /// The same behind a TIME_SYNC, with the number of a RESET.
    pub fn store_step(&mut self, ram: &CasRam, step: TimeStep) {
        self.store_clock(ram);
        if let TimeStep::Reset(number) = step {
            self.reset = Some(Guarded(number.value()));
        }
    }
}

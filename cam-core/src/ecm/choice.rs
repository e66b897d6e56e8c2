// SPDX-License-Identifier: Apache-2.0
//! The choice among the ECMs of one stream: which section the card sees, and when again.
//!
//! Carousels repeat an ECM every 100 ms; the card shall see it once. What decides is the whole
//! section, octet by octet. It holds the *candidates*, which the card has not judged, and the one
//! *kept*: the last that it took as authentic, to be played again after a reset or a purchase.
//! Nobody but the card can tell a forgery from the genuine one, but the genuine one is repeated.
//! So this is the order:
//!
//! 1. the kept one, when it is to be played again and is on air, whatever waits;
//! 2. of the candidates on air the one heard most often, of equals the newest;
//! 3. the kept one that is to be played again but not on air: after one candidate at most;
//! 4. candidates that are off the air, the newest first.
//!
//! When there is no place for a candidate, the one not heard for the longest time goes. What the
//! card refused is remembered ([`EcmMemory`]), so that a forgery costs one exchange and displaces
//! nothing. A section stays where it is while the card works on it. What became of it is told by
//! [`EcmChoice::accepted`], [`EcmChoice::refused`] or [`EcmChoice::unanswered`], whichever stream
//! asked.

use crate::ecm::memory::{EcmMemory, Until};
use crate::ecm::question::Question;
use alloc::boxed::Box;
use alloc::vec::Vec;
use cam_types::Instant;
use core::mem;
use core::time::Duration;
use ecm_emm::card::AccessStatus;
use ecm_emm::ecm::MAX_ECM;

/// What an ECM on air was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// It repeats the section that is kept: all is well.
    Kept,
    /// It repeats one that waits or is being worked on.
    Known,
    /// It was refused before.
    Refused(AccessStatus),
    /// It belongs to an older crypto period while the newer ECM is still on air.
    Stale,
    /// It waits for the card.
    Waits,
    /// It waits for the card, in the place of another one.
    Replaces,
}

/// A section for the card.
pub(crate) struct Taken<'a> {
    pub(crate) section: &'a [u8],
    /// It is played again, not new.
    pub(crate) replayed: bool,
}

/// What an authentic section was to the stream.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Accepted {
    /// Since when it waited, unless it was played again.
    pub(crate) since: Option<Instant>,
    /// Candidates that are not worth the card's time any more.
    pub(crate) dropped: u32,
}

/// Whether a section that got no answer is sent again at once, or set aside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tries {
    Left,
    Spent,
}

/// A section that the card has not judged. The place keeps its room.
struct Candidate {
    /// Empty: the place is free.
    section: Vec<u8>,
    period: u32,
    since: Instant,
    last: Instant,
    /// How often it was on air.
    heard: u32,
    /// How often the card did not answer it.
    lost: u8,
    /// The card works on it, or did so last.
    asked: bool,
}

impl Candidate {
    fn with_room() -> Self {
        Self {
            section: Vec::with_capacity(MAX_ECM),
            period: 0,
            since: Instant::default(),
            last: Instant::default(),
            heard: 0,
            lost: 0,
            asked: false,
        }
    }

    fn is_free(&self) -> bool {
        self.section.is_empty()
    }

    fn holds(&self, section: &[u8]) -> bool {
        self.section == section
    }

    fn on_air(&self, now: Instant) -> bool {
        now.since(self.last) < EcmChoice::HEARD
    }

    /// The more, the sooner it goes to the card.
    fn weight(&self, now: Instant) -> (u32, Instant) {
        (if self.on_air(now) { self.heard } else { 0 }, self.last)
    }

    fn clear(&mut self) {
        self.section.clear();
        self.asked = false;
    }
}

/// Whether the kept section goes to the card again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Replay {
    No,
    Wanted,
    /// It was off the air and has let one pass that was on air.
    Overdue,
}

/// What is next.
enum Next {
    Kept,
    Candidate(usize),
}

/// See the module.
pub(crate) struct EcmChoice {
    candidates: Box<[Candidate]>,
    /// The last authentic section; empty: none.
    kept: Vec<u8>,
    kept_period: u32,
    kept_seen: Instant,
    kept_lost: u8,
    replay: Replay,
    /// When a section of this stream went to the card last.
    asked: Option<Instant>,
}

impl EcmChoice {
    /// Sections that wait at once, at most.
    pub(crate) const CANDIDATES: usize = 16;
    /// The kept section is on air when it was repeated within this time: then older crypto periods
    /// are refused.
    const ON_AIR: Duration = Duration::from_secs(1);
    /// A candidate is on air when it was heard within this time, which suits slow carousels too.
    const HEARD: Duration = Duration::from_secs(5);
    /// An older crypto period by more than this is a head-end that started again.
    const OLDER: u32 = 64;
    /// A section that got no answer is sent again at once so often; then it is set aside.
    const MAX_LOST: u8 = 2;
    pub(crate) const ASIDE: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> Self {
        Self {
            candidates: (0..Self::CANDIDATES).map(|_| Candidate::with_room()).collect(),
            kept: Vec::with_capacity(MAX_ECM),
            kept_period: 0,
            kept_seen: Instant::default(),
            kept_lost: 0,
            replay: Replay::No,
            asked: None,
        }
    }

    /// A well-formed section of crypto period `period` came.
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        question: Question<'_>,
        period: u32,
        memory: &EcmMemory,
    ) -> Arrival {
        let section = question.section;
        if self.keeps(section) {
            self.kept_seen = now;
            return Arrival::Kept;
        }
        if let Some(known) = self.candidate(section) {
            known.heard = known.heard.saturating_add(1);
            known.last = now;
            return Arrival::Known;
        }
        if self.is_stale(now, period) {
            return Arrival::Stale;
        }
        let lost = match memory.recall(question).map(|refusal| (refusal.until, refusal.status)) {
            None => 0,
            Some((Until::Then(again), _)) if now >= again => Self::MAX_LOST,
            Some((_, status)) => return Arrival::Refused(status),
        };
        // A free place, or that of the one not heard for the longest time: what is new must live to
        // be repeated, however often others were.
        let places = self.candidates.iter_mut().filter(|place| !place.asked);
        let place = places.min_by_key(|place| (!place.is_free(), place.last));
        let Some(place) = place else { return Arrival::Known };
        let replaces = !place.is_free();
        place.section.clear();
        place.section.extend_from_slice(section);
        (place.period, place.since, place.last) = (period, now, now);
        (place.heard, place.lost) = (1, lost);
        if replaces { Arrival::Replaces } else { Arrival::Waits }
    }

    /// Hands over what is next in the order of the module's documentation.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Taken<'_>> {
        let next = self.next(now)?;
        self.asked = Some(now);
        match next {
            Next::Kept => Some(Taken { section: &self.kept, replayed: true }),
            Next::Candidate(at) => {
                if self.replay == Replay::Wanted {
                    self.replay = Replay::Overdue;
                }
                let candidate = self.candidates.get_mut(at)?;
                candidate.asked = true;
                Some(Taken { section: &candidate.section, replayed: false })
            }
        }
    }

    /// The card took the section for authentic, whatever it decided.
    pub(crate) fn accepted(&mut self, now: Instant, section: &[u8], period: u32) -> Accepted {
        let mut accepted = Accepted::default();
        if self.keeps(section) {
            self.replay = Replay::No;
            self.kept_lost = 0;
        } else if let Some(at) = self.position(section)
            && let Some(candidate) = self.candidates.get_mut(at)
        {
            mem::swap(&mut self.kept, &mut candidate.section);
            candidate.clear();
            accepted.since = Some(candidate.since);
            self.kept_period = period;
            self.kept_seen = candidate.last;
            (self.replay, self.kept_lost) = (Replay::No, 0);
        }
        for at in 0..self.candidates.len() {
            let Some(other) = self.candidates.get(at).filter(|other| !other.is_free()) else {
                continue;
            };
            if !other.on_air(now) || self.is_stale(now, other.period) {
                accepted.dropped += 1;
                self.candidates.get_mut(at).into_iter().for_each(Candidate::clear);
            }
        }
        accepted
    }

    /// The card did not take the section for authentic, or cannot judge it.
    pub(crate) fn refused(&mut self, section: &[u8]) {
        if self.keeps(section) {
            self.kept.clear();
            (self.replay, self.kept_lost) = (Replay::No, 0);
        } else if let Some(candidate) = self.candidate(section) {
            candidate.clear();
        }
    }

    /// There was no answer to the section, or none that somebody vouches for: it goes to the card
    /// again, but not for ever.
    pub(crate) fn unanswered(&mut self, section: &[u8]) -> Tries {
        let lost = if self.keeps(section) {
            if self.replay == Replay::No {
                return Tries::Left; // it was asked for another stream
            }
            &mut self.kept_lost
        } else if let Some(candidate) = self.candidate(section) {
            candidate.asked = false;
            &mut candidate.lost
        } else {
            return Tries::Left;
        };
        *lost += 1;
        if *lost <= Self::MAX_LOST {
            return Tries::Left;
        }
        self.refused(section);
        Tries::Spent
    }

    /// The last authentic section shall go to the card again.
    pub(crate) fn replay(&mut self) {
        if self.replay == Replay::No && !self.kept.is_empty() {
            self.replay = Replay::Wanted;
        }
    }

    /// The last authentic section.
    pub(crate) fn kept(&self) -> Option<&[u8]> {
        (!self.kept.is_empty()).then_some(self.kept.as_slice())
    }

    /// Its crypto period.
    pub(crate) fn kept_period(&self) -> u32 {
        self.kept_period
    }

    /// The section is the kept one, and the card is not to be asked about it again.
    pub(crate) fn stands(&self, section: &[u8]) -> bool {
        self.keeps(section) && self.replay == Replay::No
    }

    /// The card's answer to the section says something about this stream.
    pub(crate) fn concerns(&self, section: &[u8]) -> bool {
        self.keeps(section) || self.position(section).is_some()
    }

    /// The section waits for the card, or it works on it.
    pub(crate) fn has_waiting(&self, section: &[u8]) -> bool {
        self.position(section).is_some()
    }

    /// A section is for the card.
    pub(crate) fn waits(&self, now: Instant) -> bool {
        self.next(now).is_some()
    }

    /// A section waits that the card has not judged.
    pub(crate) fn has_news(&self) -> bool {
        self.candidates.iter().any(|candidate| !candidate.is_free())
    }

    /// Streams take turns: when this one had its last. `None` goes first.
    pub(crate) fn last_turn(&self) -> Option<Instant> {
        self.asked
    }

    fn next(&self, now: Instant) -> Option<Next> {
        let waiting = self.candidates.iter().enumerate().filter(|(_, place)| !place.is_free());
        let best = waiting.max_by_key(|(_, candidate)| candidate.weight(now));
        let passes = best.is_some_and(|(_, candidate)| candidate.on_air(now));
        match self.replay {
            Replay::Overdue => Some(Next::Kept),
            Replay::Wanted if !passes || self.kept_on_air(now) => Some(Next::Kept),
            Replay::Wanted | Replay::No => best.map(|(at, _)| Next::Candidate(at)),
        }
    }

    fn keeps(&self, section: &[u8]) -> bool {
        self.kept == section
    }

    fn kept_on_air(&self, now: Instant) -> bool {
        !self.kept.is_empty() && now.since(self.kept_seen) < Self::ON_AIR
    }

    fn is_stale(&self, now: Instant, period: u32) -> bool {
        let behind = self.kept_period.wrapping_sub(period);
        self.kept_on_air(now) && (1..=Self::OLDER).contains(&behind)
    }

    fn position(&self, section: &[u8]) -> Option<usize> {
        self.candidates.iter().position(|candidate| candidate.holds(section))
    }

    fn candidate(&mut self, section: &[u8]) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|candidate| candidate.holds(section))
    }
}

#[cfg(test)]
mod tests;

// SPDX-License-Identifier: Apache-2.0
//! What is addressed in one way: room, memory, and patience with whoever sends it.
//!
//! While all is well sections go to the card as they came. After an answer that nobody's key was
//! needed for (a bad seal, a number that was used, a refusal outside the session) those that were
//! on air most often go first: a carousel repeats what is genuine. What came once waits for a pause
//! besides, which each bad seal makes longer, up to [`Lane::LONGEST`]; an authentic message ends
//! all this.

use crate::emm::duplicates::{Digest, Duplicates, Memory};
use crate::emm::heard::Heard;
use crate::emm::waiting::Waiting;
use alloc::collections::VecDeque;
use cam_types::Instant;
use core::time::Duration;

/// What a section was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// For somebody else.
    NotOurs,
    /// Known, or waiting already.
    Duplicate,
    /// It waits for the card.
    Waits,
    /// It waits for the card, in the place of another one.
    Replaces,
    /// There is no room, or no card whose it could be.
    Dropped,
}

/// See the module.
pub(crate) struct Lane {
    queue: VecDeque<Waiting>,
    duplicates: Duplicates,
    heard: Heard,
    trust: Trust,
}

/// What the last answers say of the sender.
#[derive(Clone, Copy)]
enum Trust {
    Good,
    /// So many bad seals since the last authentic message, and the end of the pause.
    Doubtful {
        bad: u32,
        pause: Instant,
    },
}

impl Lane {
    const SHORTEST: Duration = Duration::from_millis(125);
    /// Of a pause.
    pub(crate) const LONGEST: Duration = Duration::from_secs(4);

    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            duplicates: Duplicates::new(),
            heard: Heard::new(seed),
            trust: Trust::Good,
        }
    }

    /// A section is on air: in how many seconds it was, as far as somebody counts.
    pub(crate) fn note(&mut self, now: Instant, section: &Digest) -> u8 {
        self.heard.note(now, section)
    }

    /// One that is no other's, and waits nowhere else. When there is no room, one that was heard
    /// more often takes the place of the last one that was heard least.
    pub(crate) fn offer(&mut self, now: Instant, new: Waiting, max: usize) -> Arrival {
        let known = self.queue.iter_mut().find(|waiting| waiting.digest == new.digest);
        if let Some(known) = known {
            known.heard = known.heard.max(new.heard);
            return Arrival::Duplicate;
        }
        if self.duplicates.knows(now, &new.digest) {
            return Arrival::Duplicate;
        }
        if self.queue.len() < max {
            self.queue.push_back(new);
            return Arrival::Waits;
        }
        let last = self.queue.iter().enumerate().rev().min_by_key(|(_, waiting)| waiting.heard);
        if let Some((at, least)) = last
            && least.heard < new.heard
        {
            self.queue.remove(at);
            self.queue.push_back(new);
            return Arrival::Replaces;
        }
        Arrival::Dropped
    }

    /// The next one, if one may go now.
    pub(crate) fn next(&self, now: Instant) -> Option<usize> {
        let Trust::Doubtful { pause, .. } = self.trust else {
            return (!self.queue.is_empty()).then_some(0);
        };
        let most = self.queue.iter().enumerate().rev().max_by_key(|(_, waiting)| waiting.heard);
        most.filter(|(_, waiting)| waiting.heard > 1 || now >= pause).map(|(at, _)| at)
    }

    /// When one may go, if only the pause keeps it.
    pub(crate) fn pause(&self, now: Instant) -> Option<Instant> {
        match self.trust {
            Trust::Doubtful { pause, .. } if now < pause && !self.queue.is_empty() => Some(pause),
            _ => None,
        }
    }

    pub(crate) fn at(&self, at: usize) -> Option<&Waiting> {
        self.queue.get(at)
    }

    pub(crate) fn take(&mut self, at: usize) -> Option<Waiting> {
        self.queue.remove(at)
    }

    pub(crate) fn judged(&mut self, now: Instant, section: Digest, memory: Memory) {
        match (memory, self.trust) {
            (Memory::Applied, _) => self.trust = Trust::Good,
            (Memory::Forged, trust) => {
                let bad = match trust {
                    Trust::Good => 0,
                    Trust::Doubtful { bad, .. } => bad,
                };
                let pause = Self::SHORTEST.saturating_mul(1 << bad.min(16)).min(Self::LONGEST);
                let (bad, pause) = (bad.saturating_add(1), now.after(pause));
                self.trust = Trust::Doubtful { bad, pause };
                self.heard.begin();
            }
            (Memory::Numbered | Memory::Unvouched, Trust::Good) => {
                self.trust = Trust::Doubtful { bad: 0, pause: now };
                self.heard.begin();
            }
            _ => {}
        }
        self.duplicates.remember(now, section, memory);
    }

    /// What was refused may be possible now, but for what is forged.
    pub(crate) fn forgive(&mut self) {
        self.duplicates.forgive();
    }

    /// The card was reset: it may look at everything once more.
    pub(crate) fn reset(&mut self) {
        self.duplicates.reset();
    }

    /// Another card judges for itself.
    pub(crate) fn other_card(&mut self) {
        self.duplicates.clear();
        self.trust = Trust::Good;
    }

    pub(crate) fn nothing_waits(&mut self) {
        self.queue.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    fn waiting(number: u8, heard: u8) -> Waiting {
        Waiting { heard, ..Waiting::new(&[number], 0) }
    }

    fn section(lane: &Lane, now: Instant) -> Option<u8> {
        lane.next(now).and_then(|next| lane.at(next)).map(|waiting| waiting.section[0])
    }

    /// T20: each bad seal makes the pause longer, to four seconds; an authentic message ends it.
    #[test]
    fn a_source_of_bad_seals_is_backed_off() {
        let mut lane = Lane::new(1);
        lane.offer(at(0), waiting(1, 1), 9);
        let mut now = at(0);
        for pause in [125, 250, 500, 1000, 2000, 4000, 4000, 4000] {
            assert_eq!(section(&lane, now), Some(1));
            lane.judged(now, Digest::of(&[9]), Memory::Forged);
            now = now.after(Duration::from_millis(pause - 1));
            assert_eq!(section(&lane, now), None, "{pause}");
            let due = lane.pause(now);
            now = now.after(Duration::from_millis(1));
            assert_eq!((due, lane.pause(now)), (Some(now), None), "{pause}");
        }
        lane.judged(now, Digest::of(&[9]), Memory::Forged);
        lane.judged(now, Digest::of(&[8]), Memory::Applied);
        assert_eq!((section(&lane, now), lane.pause(now)), (Some(1), None));
    }

    /// T20: what a carousel repeats goes through the pause, and before what came once.
    #[test]
    fn what_is_repeated_goes_first() {
        for memory in [Memory::Forged, Memory::Numbered] {
            let mut lane = Lane::new(1);
            for (number, heard) in [(1, 1), (2, 3), (3, 3), (4, 2)] {
                lane.offer(at(0), waiting(number, heard), 9);
            }
            assert_eq!(section(&lane, at(0)), Some(1), "{memory:?}: all is well so far");
            lane.judged(at(0), Digest::of(&[9]), memory);
            for number in [2, 3, 4] {
                assert_eq!(section(&lane, at(0)), Some(number), "{memory:?}");
                let next = lane.next(at(0)).unwrap();
                lane.take(next);
            }
        }
    }

    /// T20: a full queue makes room for what is repeated.
    #[test]
    fn a_full_queue_has_room_for_what_is_repeated() {
        let mut lane = Lane::new(1);
        for (number, heard, arrival) in [
            (1, 2, Arrival::Waits),
            (2, 1, Arrival::Waits),
            (3, 1, Arrival::Waits),
            (4, 1, Arrival::Dropped),
            (5, 2, Arrival::Replaces),
            (2, 2, Arrival::Duplicate),
            (6, 2, Arrival::Dropped),
            (6, 3, Arrival::Replaces),
        ] {
            assert_eq!(lane.offer(at(0), waiting(number, heard), 3), arrival, "{number} {heard}");
        }
        let left: alloc::vec::Vec<_> = lane.queue.iter().map(|one| one.section[0]).collect();
        assert_eq!(left, [1, 2, 6]);
    }
}

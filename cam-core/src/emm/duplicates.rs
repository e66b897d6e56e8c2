// SPDX-License-Identifier: Apache-2.0
//! EMM de-duplication: which EMMs of one addressing the card has judged, and when one of them is
//! worth asking again (`docs/spec/emm.md` §11).
//!
//! A carousel brings every EMM again and again. What the card has applied, or will never apply, is
//! remembered and does not reach it again; what it could not apply yet is tried again on a later
//! cycle. The memory is bounded: what has fallen out of it goes to the card once more, whose own
//! window knows it as a duplicate.
//!
//! Three rooms, because a forger must not fill the one that matters: only what was authentic is
//! ever applied; a number that was seen, and a refusal, are to be had without any key.

use alloc::vec::Vec;
use cam_types::Instant;
use core::time::Duration;
use sha2::{Digest as _, Sha256};

/// How the card's answer is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Memory {
    /// Applied, so it was authentic.
    Applied,
    /// A duplicate or too old, by its number alone: the card has not looked at its seal.
    Numbered,
    /// Not authentic, by seal or signature: until the card is reset.
    Forged,
    /// Refused: until the card is reset or another EMM is applied.
    Refused,
    /// Not applicable yet, or nobody vouches for the answer: until another EMM is applied, or some
    /// time has passed.
    Later,
    /// Said by nobody knows whom: the same, until a session opens.
    Unvouched,
    /// The card fell silent at it: until some time has passed, whatever is reset.
    Silent,
}

/// What a section is known by: SHA-256, cut. Sections are no secrets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Digest([u8; 14]);

impl Digest {
    pub(crate) fn of(section: &[u8]) -> Self {
        let mut cut = [0; 14];
        cut.iter_mut().zip(Sha256::digest(section)).for_each(|(to, from)| *to = from);
        Self(cut)
    }

    pub(crate) const fn octets(&self) -> &[u8; 14] {
        &self.0
    }
}

/// See the module.
pub(crate) struct Duplicates {
    applied: Room,
    numbered: Room,
    not_done: Room,
}

impl Duplicates {
    pub(crate) const fn new() -> Self {
        Self {
            applied: Room::new(GivesWay::LongestUnheard),
            numbered: Room::new(GivesWay::HeardOnce),
            not_done: Room::new(GivesWay::HeardOnce),
        }
    }

    /// The section is on air. `true`: the card has judged it, and is not to be asked again now.
    pub(crate) fn knows(&mut self, now: Instant, section: &Digest) -> bool {
        self.rooms().into_iter().any(|room| room.knows(now, section))
    }

    /// The card has judged the section.
    pub(crate) fn remember(&mut self, now: Instant, section: Digest, memory: Memory) {
        let before = self.rooms().into_iter().filter_map(|room| room.forget(&section)).last();
        let (room, mark) = match (memory, before) {
            (Memory::Applied, _) => (&mut self.applied, Mark::Once),
            (Memory::Numbered, _) => (&mut self.numbered, Mark::Once),
            (Memory::Forged, _) => (&mut self.not_done, Mark::Forged),
            (Memory::Refused, _) => (&mut self.not_done, Mark::Once),
            (Memory::Later | Memory::Unvouched, Some(Mark::Later(n))) => {
                (&mut self.not_done, Mark::Later((n + 1).min(Mark::LATEST)))
            }
            (Memory::Later | Memory::Unvouched, _) => (&mut self.not_done, Mark::Later(0)),
            (Memory::Silent, Some(Mark::Silent(n))) => {
                (&mut self.not_done, Mark::Silent((n + 1).min(Mark::MOST_SILENT)))
            }
            (Memory::Silent, _) => (&mut self.not_done, Mark::Silent(0)),
        };
        room.remember(Known { section, mark, at: now });
    }

    /// What the card did not apply may be possible now, unless it is forged.
    pub(crate) fn forgive(&mut self) {
        self.not_done.known.retain(|known| known.mark.is_forged() || known.mark.is_silent());
    }

    /// The card was reset: what it did not apply may be tried once more, unless that is what it was
    /// reset for.
    pub(crate) fn reset(&mut self) {
        self.not_done.known.retain(|known| known.mark.is_silent());
    }

    /// Another card judges for itself.
    pub(crate) fn clear(&mut self) {
        self.rooms().into_iter().for_each(|room| room.known.clear());
    }

    fn rooms(&mut self) -> [&mut Room; 3] {
        [&mut self.applied, &mut self.numbered, &mut self.not_done]
    }
}

/// Sections that one answer of the card covers, in the order of their digests.
struct Room {
    known: Vec<Known>,
    gives_way: GivesWay,
}

/// Which section goes when the room is full.
#[derive(Clone, Copy, Eq, PartialEq)]
enum GivesWay {
    /// What has left the air makes room for what has come on it.
    LongestUnheard,
    /// The same, but a carousel's sections stay for what came once.
    HeardOnce,
}

struct Known {
    section: Digest,
    mark: Mark,
    /// When it was heard last; of one for later, when the card said so.
    at: Instant,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Mark {
    Once,
    /// It was heard since the card has judged it.
    Repeated,
    /// Not now: the pause has doubled so often.
    Later(u8),
    /// The same, of one at which the card fell silent.
    Silent(u8),
    /// Nothing makes it good.
    Forged,
    /// The same, and it was heard since.
    ForgedRepeated,
}

impl Mark {
    const RETRY: Duration = Duration::from_secs(1);
    const LATEST: u8 = 4;
    const SILENT_RETRY: Duration = Duration::from_secs(8);
    const MOST_SILENT: u8 = 6;

    /// How long the card is not asked; of what it has judged, as long as it is known.
    fn pause(self) -> Option<Duration> {
        match self {
            Self::Once | Self::Repeated | Self::Forged | Self::ForgedRepeated => None,
            Self::Later(n) => Some(Self::RETRY * (1 << n)),
            Self::Silent(n) => Some(Self::SILENT_RETRY * (1 << n)),
        }
    }

    const fn is_silent(self) -> bool {
        matches!(self, Self::Silent(_))
    }

    const fn is_forged(self) -> bool {
        matches!(self, Self::Forged | Self::ForgedRepeated)
    }

    const fn is_repeated(self) -> bool {
        matches!(self, Self::Repeated | Self::ForgedRepeated)
    }
}

impl Room {
    /// A carousel of 1,024 for one card, and what takes the place of some of them meanwhile.
    const MAX: usize = 1024 + 128;
    /// A section that was not heard for so long is no part of a carousel any more.
    const OFF_AIR: Duration = Duration::from_secs(3600);
    // As the specification says of the memory in all.
    const _SIZE: () = assert!(size_of::<Known>() == 24);

    const fn new(gives_way: GivesWay) -> Self {
        Self { known: Vec::new(), gives_way }
    }

    fn place(&self, section: &Digest) -> Result<usize, usize> {
        self.known.binary_search_by(|known| known.section.cmp(section))
    }

    fn knows(&mut self, now: Instant, section: &Digest) -> bool {
        let known = self.place(section).ok().and_then(|at| self.known.get_mut(at));
        let Some(known) = known else { return false };
        if let Some(pause) = known.mark.pause() {
            return now.since(known.at) < pause;
        }
        let forged = known.mark.is_forged();
        known.mark = if forged { Mark::ForgedRepeated } else { Mark::Repeated };
        known.at = now;
        true
    }

    fn forget(&mut self, section: &Digest) -> Option<Mark> {
        self.place(section).ok().map(|at| self.known.remove(at).mark)
    }

    fn remember(&mut self, new: Known) {
        if self.known.capacity() == 0 {
            self.known.reserve_exact(Self::MAX);
        }
        if self.known.len() >= Self::MAX {
            let gives_way = |known: &Known| {
                let stays = self.gives_way == GivesWay::HeardOnce
                    && known.mark.is_repeated()
                    && new.at.since(known.at) < Self::OFF_AIR;
                (stays, known.at)
            };
            let first = self.known.iter().enumerate().min_by_key(|(_, known)| gives_way(known));
            if let Some((at, _)) = first {
                self.known.remove(at);
            }
        }
        if let Err(at) = self.place(&new.section) {
            self.known.insert(at, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn section(number: u32) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    /// 27 KiB a room, taken once.
    #[test]
    fn the_memory_is_bounded() {
        let mut duplicates = Duplicates::new();
        let memories = [Memory::Applied, Memory::Numbered, Memory::Refused, Memory::Later];
        for n in 0..12_000 {
            let memory = memories[n as usize % 4];
            duplicates.remember(at(n.into()), section(n), memory);
        }
        for room in duplicates.rooms() {
            assert_eq!((room.known.len(), room.known.capacity()), (Room::MAX, Room::MAX));
        }
    }

    #[test]
    fn what_was_not_heard_for_the_longest_time_goes() {
        let mut duplicates = Duplicates::new();
        for n in 0..Room::MAX as u32 {
            duplicates.remember(at(0), section(n), Memory::Applied);
        }
        for n in (0..Room::MAX as u32).filter(|n| *n != 7) {
            assert!(duplicates.knows(at(1), &section(n)));
        }
        duplicates.remember(at(2), section(5000), Memory::Applied);
        let gone: Vec<_> =
            (0..Room::MAX as u32).filter(|n| !duplicates.knows(at(2), &section(*n))).collect();
        assert_eq!(gone, [7]);
    }

    /// A carousel stays for what came once, but not for ever.
    #[test]
    fn what_is_repeated_stays() {
        for (pause, stays) in [(10, true), (3601, false)] {
            let mut duplicates = Duplicates::new();
            for n in 0..1024 {
                duplicates.remember(at(0), section(n), Memory::Numbered);
                duplicates.knows(at(1), &section(n));
            }
            for n in 0..3000 {
                duplicates.remember(at(1 + pause), section(10_000 + n), Memory::Numbered);
            }
            let known = (0..1024).all(|n| duplicates.knows(at(2 + pause), &section(n)));
            assert_eq!(known, stays, "{pause} s");
        }
    }

    #[test]
    fn one_answer_is_remembered_of_a_section() {
        let mut duplicates = Duplicates::new();
        duplicates.remember(at(0), section(1), Memory::Later);
        duplicates.remember(at(0), section(1), Memory::Applied);
        duplicates.forgive();
        assert!(duplicates.knows(at(9), &section(1)));
        duplicates.remember(at(9), section(1), Memory::Later);
        assert!(!duplicates.knows(at(10), &section(1)));
        duplicates.clear();
        assert!(!duplicates.knows(at(10), &section(1)));
    }
}

// SPDX-License-Identifier: Apache-2.0
//! EMM de-duplication: which EMMs the card has judged, and when one of them is worth asking again.
//!
//! A carousel brings every EMM again and again. What the card has applied, or will never apply, is
//! remembered octet by octet and does not reach it again; what it could not apply yet is tried
//! again on a later cycle. The memory is bounded: what has fallen out of it goes to the card once
//! more, whose own window knows it as a duplicate.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cam_types::Instant;
use core::time::Duration;

/// How the card's answer is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Memory {
    /// Applied, or a duplicate: for as long as the memory lasts.
    Done,
    /// Refused: until the card is reset or another EMM is applied.
    Refused,
    /// Not applicable yet: until another EMM is applied, or a second has passed.
    Later,
}

struct Known {
    section: Vec<u8>,
    memory: Memory,
    at: Instant,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Duplicates {
    known: VecDeque<Known>,
}

impl Duplicates {
    /// Sections that are remembered, at most: more than what is on air for one addressee (48).
    const MEMORY: usize = 128;
    const RETRY: Duration = Duration::from_secs(1);

    /// The card has judged this section, and is not to be asked again now.
    pub(crate) fn knows(&self, now: Instant, section: &[u8]) -> bool {
        let again =
            |known: &Known| known.memory == Memory::Later && now.since(known.at) >= Self::RETRY;
        self.known.iter().any(|known| known.section == section && !again(known))
    }

    /// The section goes to the card once more.
    pub(crate) fn forget(&mut self, section: &[u8]) {
        self.known.retain(|known| known.section != section);
    }

    /// The card has judged the section.
    pub(crate) fn remember(&mut self, now: Instant, section: Vec<u8>, memory: Memory) {
        if self.known.len() >= Self::MEMORY {
            self.known.pop_front();
        }
        self.known.push_back(Known { section, memory, at: now });
    }

    /// What the card did not apply may be possible now.
    pub(crate) fn forgive(&mut self) {
        self.known.retain(|known| known.memory == Memory::Done);
    }

    /// Another card judges for itself.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded() {
        let now = Instant::from_micros(0);
        let mut duplicates = Duplicates::default();
        for n in 0..1000u16 {
            duplicates.remember(now, n.to_be_bytes().to_vec(), Memory::Done);
        }
        assert_eq!(duplicates.known.len(), Duplicates::MEMORY);
        assert!(duplicates.knows(now, &999u16.to_be_bytes()) && !duplicates.knows(now, &[0, 0]));
    }
}

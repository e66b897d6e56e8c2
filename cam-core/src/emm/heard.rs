// SPDX-License-Identifier: Apache-2.0
//! How often sections were on air that the card has not judged: a carousel repeats what is genuine,
//! and who floods has to send something new each time, or to be a carousel himself.
//!
//! A table of a fixed size, in which a section has one place. Who finds it taken wears down what is
//! there. A section counts once a second at most, so that a burst is no carousel; and where its
//! place is depends on a number of the box's own, so that nobody aims at the place of another one.

use crate::emm::duplicates::Digest;
use alloc::vec::Vec;
use cam_types::Instant;

/// See the module.
pub(crate) struct Heard {
    /// Empty until it is needed.
    places: Vec<Place>,
    seed: u64,
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// What tells sections in one place apart.
    mark: u16,
    /// In how many seconds it was heard; 0: the place is free.
    count: u8,
    /// The last second of them, cut.
    second: u8,
}

impl Heard {
    /// 16 KiB. As many come in 40 s at a hundred a second.
    const PLACES: usize = 1 << Self::BITS;
    const BITS: u32 = 12;

    pub(crate) const fn new(seed: u64) -> Self {
        Self { places: Vec::new(), seed: seed | 1 }
    }

    /// From now on it counts.
    pub(crate) fn begin(&mut self) {
        if self.places.is_empty() {
            self.places.reserve_exact(Self::PLACES);
            self.places.resize(Self::PLACES, Place::default());
        }
    }

    /// A section is on air: in how many seconds it was so far.
    pub(crate) fn note(&mut self, now: Instant, section: &Digest) -> u8 {
        let (at, mark) = self.place(section);
        let Some(place) = self.places.get_mut(at) else { return 1 };
        let second = (now.as_micros() / 1_000_000) as u8;
        if place.count > 0 && place.mark == mark {
            if place.second != second {
                (place.count, place.second) = (place.count.saturating_add(1), second);
            }
            return place.count;
        }
        place.count = place.count.saturating_sub(1);
        if place.count == 0 {
            *place = Place { mark, count: 1, second };
        }
        1
    }

    /// Multiplying by a secret odd number spreads two sections to one place as seldom as chance.
    fn place(&self, section: &Digest) -> (usize, u16) {
        let [a, b, c, d, e, f, g, h, high, low, ..] = *section.octets();
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]).wrapping_mul(self.seed);
        ((number >> (u64::BITS - Self::BITS)) as usize, u16::from_be_bytes([high, low]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    fn section(number: u32) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[test]
    fn a_section_counts_once_a_second() {
        let mut heard = Heard::new(7);
        assert_eq!(heard.note(at(0), &section(1)), 1, "nothing is counted before it is needed");
        heard.begin();
        for (ms, count) in [(0, 1), (10, 1), (999, 1), (1000, 2), (1001, 2), (9000, 3)] {
            assert_eq!(heard.note(at(ms), &section(1)), count, "{ms}");
        }
    }

    /// 800 others a second between its repetitions each two seconds: of a hundred sections nearly
    /// all are known for repeated after ten.
    #[test]
    fn what_comes_once_pushes_out_little_that_is_repeated() {
        let mut heard = Heard::new(0x1234_5678_9ABC_DEF1);
        heard.begin();
        assert_eq!(heard.places.len(), Heard::PLACES);
        let (mut once, mut known) = (1000, 0);
        for second in (0..=10).step_by(2) {
            for _ in 0..1600 {
                once += 1;
                heard.note(at(1000 * second), &section(once));
            }
            known = (0..100).filter(|n| heard.note(at(1000 * second), &section(*n)) > 1).count();
        }
        assert!(known >= 80, "{known}");
    }
}

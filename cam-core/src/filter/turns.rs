// SPDX-License-Identifier: Apache-2.0
//! More PIDs than filters: they take turns.
//!
//! ECMs go first: each brings the control words of two crypto periods, so that a stream is watched
//! as well by a filter that comes by once a period. EMMs have their share even so, or a box that is
//! never switched off would lose its rights. Their turns are of uneven lengths: a carousel that
//! keeps step with even ones would never be heard in some of its parts.

use crate::filter::Place;
use crate::filter::fit::OfPlace;
use alloc::vec::Vec;
use cam_types::Instant;
use core::time::Duration;

/// See the module.
#[derive(Default)]
pub(crate) struct Turns {
    /// The number of the turn; the first is 1.
    number: u64,
    until: Option<Instant>,
    /// When each place had a filter last.
    served: Vec<(Place, u64)>,
    /// The number of the next turn in which EMMs have a filter that ECMs could use.
    emms_at: u64,
    uneven: Uneven,
}

impl Turns {
    /// A turn in which ECM streams take turns: several repetitions of an ECM (100 to 200 ms).
    const ECM: Duration = Duration::from_secs(1);

    /// When the turn ends.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Every place has a filter: there are no turns.
    pub(crate) fn end(&mut self) {
        self.until = None;
        self.served.clear();
    }

    /// The next turn, of `limit` places. What has not had one for the longest time goes first; what
    /// is new has waited longest of all.
    pub(crate) fn next(&mut self, now: Instant, places: &[OfPlace], limit: usize) -> Vec<Place> {
        self.number += 1;
        self.served.retain(|(place, _)| places.iter().any(|of| of.place == *place));
        let ecms = places.iter().filter(|of| of.urgent).count();
        let emms = places.len() - ecms;
        // A zap: its picture waits for nothing.
        let zapped = places.iter().any(|of| of.urgent && self.turn_of(of.place) == 0);
        let (ecm_filters, turn) = if ecms < limit {
            (ecms, Duration::from_secs(5 + self.uneven.below(11)))
        } else if emms > 0 && !zapped && self.number >= self.emms_at {
            self.emms_at = self.number + 4 + self.uneven.below(3);
            (limit - 1, Self::ECM)
        } else {
            (limit, Self::ECM)
        };
        self.until = Some(now.after(turn));
        let mut chosen = self.longest_unserved(places, true, ecm_filters);
        chosen.extend(self.longest_unserved(places, false, limit - ecm_filters));
        for place in &chosen {
            match self.served.iter_mut().find(|(served, _)| served == place) {
                Some((_, turn)) => *turn = self.number,
                None => self.served.push((*place, self.number)),
            }
        }
        chosen
    }

    fn longest_unserved(&self, places: &[OfPlace], urgent: bool, count: usize) -> Vec<Place> {
        let mut of_kind: Vec<_> =
            places.iter().filter(|of| of.urgent == urgent).map(|of| of.place).collect();
        // Of those that have waited equally long it is not always the last that waits on.
        let first = self.number.checked_rem(of_kind.len() as u64).unwrap_or(0);
        of_kind.rotate_left(first as usize);
        of_kind.sort_by_key(|place| self.turn_of(*place));
        of_kind.truncate(count);
        of_kind
    }

    fn turn_of(&self, place: Place) -> u64 {
        self.served.iter().find(|(served, _)| *served == place).map_or(0, |(_, turn)| *turn)
    }
}

/// Numbers without a period that a carousel could have. They are no secret.
struct Uneven(u32);

impl Default for Uneven {
    fn default() -> Self {
        Self(0x9E37_79B9)
    }
}

impl Uneven {
    /// Marsaglia's xorshift.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        u64::from(self.0) % limit
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Random numbers of a box that are none, so that a run can be repeated.

use cam_core::Entropy;

/// Nothing but sevens, which is good enough for a card of the demo.
pub struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, octets: &mut [u8]) {
        octets.fill(7);
    }
}

/// A sequence that each seed begins at another place.
pub struct Counting(pub u8);

impl Entropy for Counting {
    fn fill(&mut self, octets: &mut [u8]) {
        for octet in octets {
            self.0 = self.0.wrapping_mul(5).wrapping_add(17);
            *octet = self.0;
        }
    }
}

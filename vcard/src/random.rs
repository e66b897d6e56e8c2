// SPDX-License-Identifier: Apache-2.0
//! The card's random numbers, from a source that tests can choose.

/// Where random numbers come from.
pub struct Random(Source);

type Source = Box<dyn FnMut(&mut [u8]) + Send>;

impl Random {
    /// From a source of one's own.
    pub fn new(source: impl FnMut(&mut [u8]) + Send + 'static) -> Self {
        Self(Box::new(source))
    }

    /// Every octet is replaced by a random one; there is no failure.
    pub fn fill(&mut self, octets: &mut [u8]) {
        (self.0)(octets);
    }
}

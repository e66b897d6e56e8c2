// SPDX-License-Identifier: Apache-2.0
//! Signed messages that a card would not look at yet, because it rests after a bad signature.
//!
//! It looks again when it has served some ECMs. Whoever floods it with bad signatures would win
//! every look if the genuine message waited for its next turn in the carousel: so it is kept, and
//! goes first. Each addressing has places of its own.

use crate::emm::duplicates::Digest;
use crate::emm::waiting::Waiting;
use alloc::collections::VecDeque;

/// See the module.
#[derive(Default)]
pub(crate) struct Resting {
    waiting: VecDeque<Waiting>,
    /// ECMs that the card has judged since it began to rest; `None` while it does not.
    served: Option<u8>,
}

impl Resting {
    /// Messages of one addressing that are kept. One more takes the place of one that was on air
    /// less often, or is left to the carousel.
    const PLACES: usize = 16;
    /// ECMs that a card serves before it looks at a signature again (`docs/spec/emm.md` 6).
    const ECMS: u8 = 8;

    /// A bad signature: the card begins to rest.
    pub(crate) const fn begin(&mut self) {
        self.served = Some(0);
    }

    /// The card would not look at this message. One that it was asked again stays the one that has
    /// waited longest. `false`: there is no room.
    pub(crate) fn keep(&mut self, section: &Waiting) -> bool {
        // It rests longer than we knew.
        if self.is_over() || self.served.is_none() {
            self.begin();
        }
        if self.holds(&section.digest) {
            return true;
        }
        let ours = self.waiting.iter().enumerate().filter(|(_, it)| it.lane == section.lane);
        if ours.clone().count() >= Self::PLACES {
            let least = ours.rev().min_by_key(|(_, it)| it.heard);
            let Some((at, _)) = least.filter(|(_, it)| it.heard < section.heard) else {
                return false;
            };
            self.waiting.remove(at);
        }
        self.waiting.push_back(section.clone());
        true
    }

    /// The card has judged this message.
    pub(crate) fn judged(&mut self, section: &Digest) {
        self.waiting.retain(|waiting| waiting.digest != *section);
    }

    /// The card has judged an ECM.
    pub(crate) const fn ecm(&mut self) {
        if let Some(served) = &mut self.served {
            *served = served.saturating_add(1);
        }
    }

    /// The message that was on air most often, of equals the one that has waited longest, when it
    /// is time to ask for it again. It keeps its place until the card has judged it.
    pub(crate) fn due(&self) -> Option<&Waiting> {
        let most = self.waiting.iter().rev().max_by_key(|waiting| waiting.heard);
        most.filter(|_| self.is_over())
    }

    pub(crate) fn holds(&self, section: &Digest) -> bool {
        self.waiting.iter().any(|waiting| waiting.digest == *section)
    }

    /// It is on air. `true` if it is kept here.
    pub(crate) fn heard(&mut self, section: &Waiting) -> bool {
        let kept = self.waiting.iter_mut().find(|waiting| waiting.digest == section.digest);
        kept.map(|kept| kept.heard = kept.heard.max(section.heard)).is_some()
    }

    /// A reset: the card looks at once.
    pub(crate) fn reset(&mut self) {
        self.served = Some(Self::ECMS).filter(|_| !self.waiting.is_empty());
    }

    /// Another card judges for itself.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    const fn is_over(&self) -> bool {
        matches!(self.served, Some(Self::ECMS..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(number: u8) -> Waiting {
        Waiting::new(&[number], 0)
    }

    fn serve(resting: &mut Resting, ecms: u8) {
        (0..ecms).for_each(|_| resting.ecm());
    }

    #[test]
    fn the_one_that_waited_longest_goes_first() {
        let mut resting = Resting::default();
        resting.begin();
        assert!(
            resting.keep(&section(1)) && resting.keep(&section(2)) && resting.keep(&section(1))
        );
        serve(&mut resting, 7);
        assert_eq!(resting.due(), None);
        serve(&mut resting, 1);
        assert_eq!(resting.due(), Some(&section(1)));
        // A forgery was looked at in between: nobody loses the place.
        assert!(resting.keep(&section(1)));
        assert_eq!(resting.due(), None);
        serve(&mut resting, 8);
        assert_eq!(resting.due(), Some(&section(1)));
        resting.judged(&section(1).digest);
        assert_eq!(resting.due(), Some(&section(2)));
    }

    #[test]
    fn each_addressing_has_sixteen_places() {
        let mut resting = Resting::default();
        for n in 0..16 {
            assert!(resting.keep(&section(n)), "{n}");
        }
        assert!(!resting.keep(&section(16)) && resting.keep(&section(15)));
        assert!(!resting.holds(&section(16).digest));
        let shared = Waiting::new(&[99], 1);
        assert!(resting.keep(&shared), "another addressing has its own");
        let repeated = Waiting { heard: 2, ..section(17) };
        assert!(resting.keep(&repeated), "it takes the place of what came once");
        assert!(!resting.holds(&section(15).digest));
        resting.reset();
        assert_eq!(resting.due(), Some(&repeated));
        resting.judged(&repeated.digest);
        assert!(resting.heard(&Waiting { heard: 3, ..section(5) }));
        assert_eq!(resting.due().map(|due| due.section[0]), Some(5));
        resting.clear();
        serve(&mut resting, 8);
        assert_eq!(resting.due(), None);
    }
}

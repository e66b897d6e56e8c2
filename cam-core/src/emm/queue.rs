// SPDX-License-Identifier: Apache-2.0
//! The EMM queue: whose a section is, whether it is known, and in which order the card gets it.

use crate::emm::duplicates::{Duplicates, Memory};
use crate::emm::resting::Resting;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cam_types::{Instant, Pseudonym};
use ecm_emm::emm::Address;

/// What a section was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// For somebody else.
    NotOurs,
    /// Known, or waiting already.
    Duplicate,
    /// It waits for the card.
    Waits,
    /// There is no room, or no card whose it could be.
    Dropped,
}

/// What an EMM did to the card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// The card is as it was.
    None,
    /// What was refused before may be possible now.
    Changed,
}

/// Whether EMMs wait for the card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Backlog {
    Waiting,
    Through,
}

/// Whether the card that the queue knows is in its reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Presence {
    There,
    Out,
}

/// See the module.
pub(crate) struct EmmQueue {
    /// The card's own address, also while it is out.
    card: Option<Pseudonym>,
    /// Its group addresses.
    groups: Vec<u32>,
    /// It has introduced itself since it was put in: before that it may be another one, and what is
    /// for these groups is left to the carousel.
    introduced: bool,
    queue: VecDeque<Vec<u8>>,
    max_queue: usize,
    sent: Option<Vec<u8>>,
    lost: u8,
    duplicates: Duplicates,
    resting: Resting,
}

impl EmmQueue {
    /// A section is sent again at most this often when the card fell silent at it.
    const MAX_LOST: u8 = 2;

    pub(crate) fn new(max_queue: usize) -> Self {
        Self {
            card: None,
            groups: Vec::new(),
            introduced: false,
            queue: VecDeque::new(),
            max_queue,
            sent: None,
            lost: 0,
            duplicates: Duplicates::default(),
            resting: Resting::default(),
        }
    }

    /// It is another card than before: what waited and what is known is no use to it. Gives the
    /// section whose answer the former card owes for good.
    pub(crate) fn other_card(&mut self) -> Option<Vec<u8>> {
        let unknown = self.take_lost();
        self.duplicates.clear();
        self.resting.clear();
        self.queue.clear();
        unknown
    }

    /// The card that is there has this address, and these of groups.
    pub(crate) fn addressed(&mut self, card: Pseudonym, groups: impl Iterator<Item = u32>) {
        self.card = Some(card);
        self.groups.clear();
        self.groups.extend(groups);
        self.introduced = true;
    }

    /// The card is gone: nothing is for it. Its memory stays, it may come back. Gives the section
    /// that it may have carried out: its answer was lost.
    pub(crate) fn card_gone(&mut self) -> Option<Vec<u8>> {
        let unknown = self.take_lost();
        self.queue.clear();
        self.introduced = false;
        unknown
    }

    /// The section that waits to be asked again because its answer was lost.
    fn take_lost(&mut self) -> Option<Vec<u8>> {
        let was_lost = core::mem::take(&mut self.lost) > 0 && self.sent.is_none();
        was_lost.then(|| self.queue.pop_front()).flatten()
    }

    /// What addresses it: pseudonym and groups.
    pub(crate) fn addresses(&self) -> Option<(Pseudonym, &[u32])> {
        Some((self.card?, &self.groups))
    }

    /// The card was reset: what it refused may be tried once more.
    pub(crate) fn card_reset(&mut self) {
        self.duplicates.forgive();
        self.resting.reset();
    }

    /// The card has judged an ECM in its session.
    pub(crate) const fn ecm_judged(&mut self) {
        self.resting.ecm();
    }

    /// A well-formed section came.
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        to: Address,
        section: &[u8],
        presence: Presence,
    ) -> Arrival {
        let Some(card) = self.card.filter(|_| presence == Presence::There) else {
            return Arrival::Dropped;
        };
        let ours = match to {
            Address::Unique(pseudonym) => pseudonym == card,
            Address::Shared(group) => self.introduced && self.groups.contains(&group),
            Address::Global => true,
        };
        if !ours {
            return Arrival::NotOurs;
        }
        if self.queue.iter().any(|waiting| waiting == section)
            || self.sent.as_deref() == Some(section)
            || self.resting.holds(section)
            || self.duplicates.knows(now, section)
        {
            return Arrival::Duplicate;
        }
        if self.queue.len() >= self.max_queue {
            return Arrival::Dropped;
        }
        self.duplicates.forget(section);
        self.queue.push_back(section.to_vec());
        Arrival::Waits
    }

    /// The next section for the card; then `answered` or `lost` must come.
    pub(crate) fn take(&mut self) -> Option<&[u8]> {
        let rested = self.resting.due().map(<[u8]>::to_vec);
        self.sent = Some(rested.or_else(|| self.queue.pop_front())?);
        self.sent.as_deref()
    }

    /// The card rests after a bad signature, and has not looked at the section: it is kept, and
    /// asked for again by itself.
    pub(crate) fn rests(&mut self, now: Instant) {
        if self.sent.as_deref().is_some_and(|section| self.resting.keep(section)) {
            self.lost = 0;
            self.sent = None;
        } else {
            self.answered(now, Memory::Later, Effect::None);
        }
    }

    /// The card has looked at a bad signature.
    pub(crate) const fn bad_signature(&mut self) {
        self.resting.begin();
    }

    /// The card has judged the section.
    pub(crate) fn answered(&mut self, now: Instant, memory: Memory, effect: Effect) {
        self.lost = 0;
        let Some(section) = self.sent.take() else { return };
        self.resting.judged(&section);
        if effect == Effect::Changed {
            self.duplicates.forgive();
        }
        self.duplicates.remember(now, section, memory);
    }

    /// The exchange got no answer. The card may have applied it: it is sent again, for the card's
    /// window to tell. `false` when it was given up.
    pub(crate) fn lost(&mut self, now: Instant) -> bool {
        self.lost += 1;
        if self.lost > Self::MAX_LOST {
            self.answered(now, Memory::Refused, Effect::None);
            return false;
        }
        if let Some(section) = self.sent.take() {
            self.queue.push_front(section);
        }
        true
    }

    /// Whether a section waits for the card.
    pub(crate) fn backlog(&self) -> Backlog {
        if self.queue.is_empty() && self.resting.due().is_none() {
            Backlog::Through
        } else {
            Backlog::Waiting
        }
    }

    /// The section that the card works on.
    pub(crate) fn sent(&self) -> Option<&[u8]> {
        self.sent.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Pseudonym = Pseudonym::new([1; 8]);
    const GROUP: u32 = 1;
    const NOW: Instant = Instant::from_micros(0);

    fn queue() -> EmmQueue {
        let mut queue = EmmQueue::new(2);
        queue.addressed(CARD, [GROUP].into_iter());
        queue
    }

    #[test]
    fn only_our_own_pass() {
        for (to, arrival) in [
            (Address::Unique(CARD), Arrival::Waits),
            (Address::Unique(Pseudonym::new([2; 8])), Arrival::NotOurs),
            (Address::Shared(GROUP), Arrival::Waits),
            (Address::Shared(9), Arrival::NotOurs),
            (Address::Global, Arrival::Waits),
        ] {
            assert_eq!(queue().offer(NOW, to, &[1], Presence::There), arrival, "{to:?}");
        }
        assert_eq!(queue().offer(NOW, Address::Global, &[1], Presence::Out), Arrival::Dropped);
    }

    #[test]
    fn the_queue_is_bounded_and_ordered() {
        let mut queue = queue();
        for (section, arrival) in [
            ([1], Arrival::Waits),
            ([1], Arrival::Duplicate),
            ([2], Arrival::Waits),
            ([3], Arrival::Dropped),
        ] {
            assert_eq!(queue.offer(NOW, Address::Global, &section, Presence::There), arrival);
        }
        assert_eq!(queue.take(), Some(&[1][..]));
    }

    /// Applied EMMs stay known over a reset, refused ones and those for later do not.
    #[test]
    fn the_answer_decides_what_is_remembered() {
        let later = Instant::from_micros(2_000_000);
        for (memory, soon, after_a_while, after_reset) in [
            (Memory::Done, Arrival::Duplicate, Arrival::Duplicate, Arrival::Duplicate),
            (Memory::Refused, Arrival::Duplicate, Arrival::Duplicate, Arrival::Waits),
            (Memory::Later, Arrival::Duplicate, Arrival::Waits, Arrival::Waits),
        ] {
            let judged = || {
                let mut queue = queue();
                queue.offer(NOW, Address::Global, &[1], Presence::There);
                queue.take();
                queue.answered(NOW, memory, Effect::None);
                queue
            };
            assert_eq!(judged().offer(NOW, Address::Global, &[1], Presence::There), soon);
            assert_eq!(
                judged().offer(later, Address::Global, &[1], Presence::There),
                after_a_while
            );
            let mut reset = judged();
            reset.card_reset();
            assert_eq!(reset.offer(NOW, Address::Global, &[1], Presence::There), after_reset);
        }
    }

    #[test]
    fn an_applied_emm_gives_the_others_another_chance() {
        let mut queue = queue();
        queue.offer(NOW, Address::Global, &[1], Presence::There);
        queue.take();
        queue.answered(NOW, Memory::Refused, Effect::None);
        queue.offer(NOW, Address::Global, &[2], Presence::There);
        queue.take();
        queue.answered(NOW, Memory::Done, Effect::Changed);
        assert_eq!(queue.offer(NOW, Address::Global, &[1], Presence::There), Arrival::Waits);
        assert_eq!(queue.offer(NOW, Address::Global, &[2], Presence::There), Arrival::Duplicate);
    }

    #[test]
    fn a_lost_one_goes_first_again_but_not_for_ever() {
        let mut queue = queue();
        queue.offer(NOW, Address::Global, &[1], Presence::There);
        queue.offer(NOW, Address::Global, &[2], Presence::There);
        for _ in 0..2 {
            assert_eq!(queue.take(), Some(&[1][..]));
            assert!(queue.lost(NOW));
        }
        queue.take();
        assert!(!queue.lost(NOW));
        assert_eq!(queue.take(), Some(&[2][..]));
    }

    #[test]
    fn a_lost_one_is_unknown_when_the_card_goes() {
        for lost in [false, true] {
            for gone in [true, false] {
                let mut queue = queue();
                queue.offer(NOW, Address::Global, &[1], Presence::There);
                queue.offer(NOW, Address::Global, &[2], Presence::There);
                queue.take();
                match lost {
                    true => assert!(queue.lost(NOW)),
                    false => queue.answered(NOW, Memory::Done, Effect::None),
                }
                let unknown = match gone {
                    true => queue.card_gone(),
                    false => queue.other_card(),
                };
                assert_eq!(unknown, lost.then(|| [1].to_vec()));
                assert_eq!(queue.card_gone(), None, "told once");
            }
        }
    }

    #[test]
    fn another_card_starts_without_memory() {
        let mut queue = queue();
        queue.offer(NOW, Address::Global, &[1], Presence::There);
        queue.take();
        queue.answered(NOW, Memory::Done, Effect::Changed);
        queue.other_card();
        assert_eq!(queue.offer(NOW, Address::Global, &[1], Presence::There), Arrival::Waits);
    }
}

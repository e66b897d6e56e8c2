// SPDX-License-Identifier: Apache-2.0
//! The EMM queue: whose a section is, whether it is known, and in which order the card gets it.
//!
//! Each addressing has room, memory and turns of its own: who has the key of all cards, or forges
//! what is for all of them, keeps nothing out that is for this one. What a resting card put off is
//! in no lane: it goes first when the rest is over, whatever it is addressed to.

use crate::emm::duplicates::Memory;
use crate::emm::lane::{Arrival, Lane};
use crate::emm::resting::Resting;
use crate::emm::waiting::Waiting;
use alloc::vec::Vec;
use cam_types::{Instant, Pseudonym};
use ecm_emm::emm::Address;

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
    /// Unique, shared, global.
    lanes: [Lane; LANES],
    /// The lane whose turn it is.
    turn: usize,
    /// What the card put off, of all lanes.
    resting: Resting,
    /// Sections that wait in a lane, at most.
    max_queue: usize,
    sent: Option<Waiting>,
    /// Something is held back that was said of outside the session.
    said_in_clear: bool,
    /// Its answer was lost: it goes before all others.
    again: Option<Waiting>,
    lost: u8,
    /// The last one was forged.
    gives_way: bool,
}

const LANES: usize = 3;

/// Where the next section is.
#[derive(Clone, Copy)]
enum Next {
    Again,
    Rested,
    Lane(usize, usize),
}

impl EmmQueue {
    /// A section is sent again at most this often when the card fell silent at it.
    const MAX_LOST: u8 = 2;

    /// `seed`: a random number, which no sender knows.
    pub(crate) fn new(max_queue: usize, seed: u64) -> Self {
        Self {
            card: None,
            groups: Vec::new(),
            introduced: false,
            lanes: [(); LANES].map(|()| Lane::new(seed)),
            turn: 0,
            resting: Resting::default(),
            max_queue,
            sent: None,
            said_in_clear: false,
            again: None,
            lost: 0,
            gives_way: false,
        }
    }

    /// It is another card than before: what waited and what is known is no use to it. Gives the
    /// section whose answer the former card owes for good.
    pub(crate) fn other_card(&mut self) -> Option<Vec<u8>> {
        self.lanes.iter_mut().for_each(Lane::other_card);
        self.resting.clear();
        self.nothing_waits()
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
        self.introduced = false;
        self.nothing_waits()
    }

    /// Gives the section that waited to be asked again because its answer was lost.
    fn nothing_waits(&mut self) -> Option<Vec<u8>> {
        self.lanes.iter_mut().for_each(Lane::nothing_waits);
        self.lost = 0;
        let unknown = self.again.take()?;
        self.resting.judged(&unknown.digest);
        Some(unknown.section)
    }

    /// What addresses it: pseudonym and groups.
    pub(crate) fn addresses(&self) -> Option<(Pseudonym, &[u32])> {
        Some((self.card?, &self.groups))
    }

    /// The card was reset: what it refused may be tried once more.
    pub(crate) fn card_reset(&mut self) {
        self.lanes.iter_mut().for_each(Lane::reset);
        self.resting.reset();
    }

    /// A session begins: what was said before it nobody vouches for.
    pub(crate) fn session_begins(&mut self) {
        if core::mem::take(&mut self.said_in_clear) {
            self.forgive();
        }
    }

    /// Nobody vouches for what is said of the section: it is held back, and not for long.
    pub(crate) fn answered_in_clear(&mut self, now: Instant) {
        self.said_in_clear = true;
        self.answered(now, Memory::Unvouched, Effect::None);
    }

    /// The card has judged an ECM in its session.
    pub(crate) const fn ecm_judged(&mut self) {
        self.resting.ecm();
    }

    fn forgive(&mut self) {
        self.lanes.iter_mut().for_each(Lane::forgive);
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
        let at = match to {
            Address::Unique(_) => 0,
            Address::Shared(_) => 1,
            Address::Global => 2,
        };
        let mut new = Waiting::new(section, at);
        let asked = [&self.sent, &self.again];
        let is_asked = asked.into_iter().flatten().any(|waiting| waiting.digest == new.digest);
        let Some(lane) = self.lanes.get_mut(at) else { return Arrival::Dropped };
        new.heard = lane.note(now, &new.digest);
        if is_asked || self.resting.heard(&new) {
            return Arrival::Duplicate;
        }
        lane.offer(now, new, self.max_queue)
    }

    fn next(&self, now: Instant) -> Option<Next> {
        if self.again.is_some() {
            return Some(Next::Again);
        }
        if self.resting.due().is_some() {
            return Some(Next::Rested);
        }
        let mut turns = (0..LANES).map(|n| (self.turn + n) % LANES);
        turns.find_map(|lane| Some(Next::Lane(lane, self.lanes.get(lane)?.next(now)?)))
    }

    /// How many octets the next section for the card has, if one may go now.
    pub(crate) fn octets(&self, now: Instant) -> Option<usize> {
        let next = match self.next(now)? {
            Next::Again => self.again.as_ref(),
            Next::Rested => self.resting.due(),
            Next::Lane(lane, at) => self.lanes.get(lane)?.at(at),
        };
        next.map(|waiting| waiting.section.len())
    }

    /// When one may go of those that a pause keeps.
    pub(crate) fn pause(&self, now: Instant) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.pause(now)).min()
    }

    /// The next section for the card; then `answered`, `rests` or `lost` must come. Lanes take
    /// turns.
    pub(crate) fn take(&mut self, now: Instant) -> Option<&[u8]> {
        let next = match self.next(now)? {
            Next::Again => self.again.take(),
            Next::Rested => self.resting.due().cloned(),
            Next::Lane(lane, at) => self.lanes.get_mut(lane)?.take(at),
        }?;
        self.turn = (next.lane + 1) % LANES;
        self.sent = Some(next);
        self.sent()
    }

    /// The card rests after a bad signature, and has not looked at the section: it is kept, and
    /// asked for again by itself.
    pub(crate) fn rests(&mut self, now: Instant) {
        if self.sent.as_ref().is_some_and(|sent| self.resting.keep(sent)) {
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
        let Some(sent) = self.sent.take() else { return };
        self.resting.judged(&sent.digest);
        if effect == Effect::Changed {
            self.forgive();
        }
        self.gives_way = memory == Memory::Forged;
        if let Some(lane) = self.lanes.get_mut(sent.lane) {
            lane.judged(now, sent.digest, memory);
        }
    }

    /// The exchange got no answer. The card may have applied it: it is sent again, for the card's
    /// window to tell. `false` when it was given up.
    pub(crate) fn lost(&mut self, now: Instant) -> bool {
        self.lost += 1;
        if self.lost > Self::MAX_LOST {
            self.answered(now, Memory::Silent, Effect::None);
            return false;
        }
        self.again = self.sent.take();
        true
    }

    /// Whether a section waits for the card that may go now.
    pub(crate) fn backlog(&self, now: Instant) -> Backlog {
        if self.next(now).is_none() { Backlog::Through } else { Backlog::Waiting }
    }

    /// The last one was forged: what comes behind EMMs goes first. Asked once, it is answered.
    pub(crate) fn gives_way(&mut self) -> bool {
        core::mem::take(&mut self.gives_way)
    }

    /// The section that the card works on.
    pub(crate) fn sent(&self) -> Option<&[u8]> {
        self.sent.as_ref().map(|waiting| waiting.section.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Pseudonym = Pseudonym::new([1; 8]);
    const GROUP: u32 = 1;
    const NOW: Instant = Instant::from_micros(0);

    fn queue() -> EmmQueue {
        let mut queue = EmmQueue::new(2, 7);
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
        assert_eq!(queue.take(NOW), Some(&[1][..]));
    }

    /// Applied EMMs stay known over a reset, refused ones and those for later do not.
    #[test]
    fn the_answer_decides_what_is_remembered() {
        let later = Instant::from_micros(2_000_000);
        for (memory, soon, after_a_while, after_reset) in [
            (Memory::Applied, Arrival::Duplicate, Arrival::Duplicate, Arrival::Duplicate),
            (Memory::Refused, Arrival::Duplicate, Arrival::Duplicate, Arrival::Waits),
            (Memory::Forged, Arrival::Duplicate, Arrival::Duplicate, Arrival::Waits),
            (Memory::Later, Arrival::Duplicate, Arrival::Waits, Arrival::Waits),
        ] {
            let judged = || {
                let mut queue = queue();
                queue.offer(NOW, Address::Global, &[1], Presence::There);
                queue.take(NOW);
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
        queue.take(NOW);
        queue.answered(NOW, Memory::Refused, Effect::None);
        queue.offer(NOW, Address::Global, &[2], Presence::There);
        queue.take(NOW);
        queue.answered(NOW, Memory::Applied, Effect::Changed);
        assert_eq!(queue.offer(NOW, Address::Global, &[1], Presence::There), Arrival::Waits);
        assert_eq!(queue.offer(NOW, Address::Global, &[2], Presence::There), Arrival::Duplicate);
    }

    #[test]
    fn a_lost_one_goes_first_again_but_not_for_ever() {
        let mut queue = queue();
        queue.offer(NOW, Address::Global, &[1], Presence::There);
        queue.offer(NOW, Address::Global, &[2], Presence::There);
        for _ in 0..2 {
            assert_eq!(queue.take(NOW), Some(&[1][..]));
            assert!(queue.lost(NOW));
        }
        queue.take(NOW);
        assert!(!queue.lost(NOW));
        assert_eq!(queue.take(NOW), Some(&[2][..]));
    }

    #[test]
    fn a_lost_one_is_unknown_when_the_card_goes() {
        for lost in [false, true] {
            for gone in [true, false] {
                let mut queue = queue();
                queue.offer(NOW, Address::Global, &[1], Presence::There);
                queue.offer(NOW, Address::Global, &[2], Presence::There);
                queue.take(NOW);
                match lost {
                    true => assert!(queue.lost(NOW)),
                    false => queue.answered(NOW, Memory::Applied, Effect::None),
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
        queue.take(NOW);
        queue.answered(NOW, Memory::Applied, Effect::Changed);
        queue.other_card();
        assert_eq!(queue.offer(NOW, Address::Global, &[1], Presence::There), Arrival::Waits);
    }

    /// A rested section of the lane of all cards, whose rest is over.
    fn rested() -> EmmQueue {
        let mut queue = queue();
        queue.offer(NOW, Address::Global, &[1], Presence::There);
        queue.take(NOW);
        queue.rests(NOW);
        assert_eq!(queue.backlog(NOW), Backlog::Through);
        queue.card_reset();
        assert_eq!(queue.backlog(NOW), Backlog::Waiting);
        queue
    }

    /// What was put off goes before all lanes, and what was lost before that.
    #[test]
    fn what_rested_goes_before_the_lanes() {
        let mut queue = rested();
        queue.offer(NOW, Address::Unique(CARD), &[2], Presence::There);
        assert_eq!(queue.take(NOW), Some(&[1][..]));
        assert!(queue.lost(NOW));
        assert_eq!(queue.take(NOW), Some(&[1][..]));
        queue.answered(NOW, Memory::Applied, Effect::None);
        assert_eq!(queue.take(NOW), Some(&[2][..]), "asked once");
        assert_eq!(queue.backlog(NOW), Backlog::Through);
    }

    /// It is remembered where its lane looks for it.
    #[test]
    fn what_rested_keeps_its_lane() {
        let mut queue = rested();
        assert_eq!(
            queue.offer(NOW, Address::Global, &[1], Presence::There),
            Arrival::Duplicate,
            "it is waiting"
        );
        queue.take(NOW);
        queue.answered(NOW, Memory::Applied, Effect::None);
        assert_eq!(queue.offer(NOW, Address::Global, &[1], Presence::There), Arrival::Duplicate);
    }

    /// It was told as unknown: it does not come again by itself.
    #[test]
    fn what_rested_and_was_lost_is_told_once() {
        let mut queue = rested();
        queue.take(NOW);
        assert!(queue.lost(NOW));
        assert_eq!(queue.card_gone(), Some([1].to_vec()));
        queue.card_reset();
        assert_eq!(queue.take(NOW), None);
    }
}

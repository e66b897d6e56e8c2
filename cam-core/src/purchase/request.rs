// SPDX-License-Identifier: Apache-2.0
//! Request ids: the host's names for its wishes to buy, and the terminal's numbers inside them.
//!
//! An id carries the pair (terminal, sequence) that its purchase is paid under, so that it can be
//! asked after also when the storage is lost (`docs/spec/purchase.md`, 2).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cam_types::{CasTime, Key, Pseudonym, TerminalId, TerminalSequence};
use ecm_emm::keys::constant;
use subtle::ConstantTimeEq;

/// The middleware's name for one wish to buy, given out by [`crate::Engine::request_new`]: the
/// same name never pays twice.
///
/// On the wire `terminal6 sequence4 random2 check4`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct RequestId([u8; Self::LEN]);

impl RequestId {
    /// Octets on the wire.
    pub const LEN: usize = 16;
    const NAMED: usize = 12;

    /// What the host was given once. Whether this box gave it out is seen when it is used.
    pub const fn new(octets: [u8; Self::LEN]) -> Self {
        Self(octets)
    }

    /// As the host keeps it.
    pub const fn octets(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The terminal of its pair.
    pub const fn terminal(&self) -> TerminalId {
        let [a, b, c, d, e, f, ..] = self.0;
        TerminalId::new([a, b, c, d, e, f])
    }

    /// The terminal's number of its pair.
    pub const fn sequence(&self) -> TerminalSequence {
        let [_, _, _, _, _, _, a, b, c, d, ..] = self.0;
        TerminalSequence::from_be_bytes([a, b, c, d])
    }

    /// What the card knows the purchase by.
    pub(super) const fn pair(&self) -> (TerminalId, TerminalSequence) {
        (self.terminal(), self.sequence())
    }

    fn sealed(
        key: &Key,
        terminal: TerminalId,
        sequence: TerminalSequence,
        random: [u8; 2],
        card: Pseudonym,
    ) -> Self {
        let [a, b, c, d, e, f] = *terminal.octets();
        let [g, h, i, j] = sequence.to_be_bytes();
        let [k, l] = random;
        let named = [a, b, c, d, e, f, g, h, i, j, k, l];
        let [m, n, o, p] = check(key, &named, card);
        Self([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    fn verify(&self, key: &Key, card: Pseudonym) -> bool {
        let (named, given) = self.0.split_at(Self::NAMED);
        check(key, named, card).ct_eq(given).into()
    }
}

/// An id is for one card, whose pseudonym it does not carry.
fn check(key: &Key, named: &[u8], card: Pseudonym) -> [u8; 4] {
    let mut octets = [0; 16];
    let context = [named, card.octets()].concat();
    gp::kdf_cmac(key.expose(), constant::REQUEST, &context, &mut octets)
        .expect("a key of 16 octets derives 16 octets");
    let [a, b, c, d, ..] = octets;
    [a, b, c, d]
}

/// Gives out request ids, and knows which of them have not been used yet.
///
/// Numbers are kept by card: what one card says moves those of no other.
pub(super) struct Requests {
    key: Key,
    terminal: TerminalId,
    /// For each card the number above all that were given out for it, the last one used last.
    next: Vec<(Pseudonym, u32)>,
    fresh: VecDeque<(Pseudonym, RequestId)>,
}

impl Requests {
    /// Ids that wait for their use, at most; an older one is as good as one of an earlier run.
    const MAX_FRESH: usize = 64;
    /// Cards whose numbers are kept, at most. One that falls out has its clock, its rows and its
    /// log.
    const MAX_CARDS: usize = 32;

    pub(super) const fn new(key: Key, terminal: TerminalId) -> Self {
        Self { key, terminal, next: Vec::new(), fresh: VecDeque::new() }
    }

    /// A new id for this card; `None` when the terminal's numbers are used up with it. `stored` is
    /// above every number of the card in the storage, `highest` what its log has.
    ///
    /// The card's clock is above every number that was given out before the storage was lost: it
    /// goes on by one a second, and the numbers more slowly. The log forgets, the clock does not.
    pub(super) fn give(
        &mut self,
        card: Pseudonym,
        stored: u32,
        clock: CasTime,
        highest: Option<TerminalSequence>,
        random: [u8; 2],
    ) -> Option<RequestId> {
        let known = self.next.iter().position(|(of, _)| *of == card);
        let given = known.and_then(|at| self.next.get(at)).map_or(0, |(_, next)| *next);
        let above = highest.map_or(Some(0), |highest| highest.value().checked_add(1))?;
        let number = stored.max(given).max(clock.seconds()).max(above);
        let next = number.checked_add(1)?;
        if let Some(at) = known.or((self.next.len() >= Self::MAX_CARDS).then_some(0)) {
            let (of, _) = self.next.remove(at);
            // Its numbers may be given out again: what has one is asked after, never paid.
            self.fresh.retain(|(fresh, _)| of == card || *fresh != of);
        }
        self.next.push((card, next));
        let sequence = TerminalSequence::new(number);
        let id = RequestId::sealed(&self.key, self.terminal, sequence, random, card);
        if self.fresh.len() >= Self::MAX_FRESH {
            self.fresh.pop_front();
        }
        self.fresh.push_back((card, id));
        Some(id)
    }

    /// This box gave it out for this card, in this run or another.
    pub(super) fn are_for(&self, id: &RequestId, card: Pseudonym) -> bool {
        id.verify(&self.key, card)
    }

    /// Given out in this run, and not used.
    pub(super) fn is_fresh(&self, id: &RequestId) -> bool {
        self.fresh.iter().any(|(_, fresh)| fresh == id)
    }

    pub(super) fn used(&mut self, id: &RequestId) {
        self.fresh.retain(|(_, fresh)| fresh != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: CasTime = CasTime::new(849_441_600);
    const CARD: Pseudonym = Pseudonym::new([1; 8]);
    const OTHER: Pseudonym = Pseudonym::new([2; 8]);

    fn requests() -> Requests {
        Requests::new(Key::new([0x60; 16]), TerminalId::new(*b"000001"))
    }

    fn give(requests: &mut Requests, card: Pseudonym) -> RequestId {
        requests.give(card, 0, NOON, None, [1, 2]).unwrap()
    }

    /// From the card's clock, above what the storage knows, and above what the card's log knows.
    #[test]
    fn the_highest_of_clock_storage_and_log_counts() {
        let highest = |number| Some(TerminalSequence::new(number));
        for (stored, clock, known, number) in [
            (0, NOON, None, 849_441_600),
            (900_000_000, NOON, None, 900_000_000),
            (0, NOON, highest(5), 849_441_600),
            (0, NOON, highest(900_000_000), 900_000_001),
            (900_000_005, NOON, highest(900_000_000), 900_000_005),
        ] {
            let mut requests = requests();
            let id = requests.give(CARD, stored, clock, known, [1, 2]).unwrap();
            assert_eq!(id.sequence().value(), number);
            assert_eq!(id.terminal(), TerminalId::new(*b"000001"));
            let again = requests.give(CARD, stored, CasTime::new(5), known, [1, 2]).unwrap();
            assert_eq!(again.sequence().value(), number + 1, "above those of this run");
        }
    }

    /// T29: what one card says moves the numbers of no other.
    #[test]
    fn numbers_are_kept_by_card() {
        let mut requests = requests();
        let last = Some(TerminalSequence::new(u32::MAX));
        let one_below = Some(TerminalSequence::new(u32::MAX - 1));
        assert_eq!(requests.give(OTHER, 0, NOON, last, [0, 0]), None, "used up, not begun again");
        assert_eq!(requests.give(OTHER, 0, NOON, one_below, [0, 0]), None);
        assert_eq!(requests.give(OTHER, u32::MAX, NOON, None, [0, 0]), None);
        assert_eq!(give(&mut requests, CARD).sequence().value(), NOON.seconds());
        let other = give(&mut requests, OTHER);
        assert_eq!(other.sequence().value(), NOON.seconds(), "and is the card's own again");
    }

    #[test]
    fn every_changed_octet_and_another_card_are_seen() {
        let mut requests = requests();
        let id = give(&mut requests, CARD);
        assert!(requests.are_for(&id, CARD) && !requests.are_for(&id, OTHER));
        for at in 0..RequestId::LEN {
            let mut octets = *id.octets();
            octets[at] ^= 0x01;
            assert!(!requests.are_for(&RequestId::new(octets), CARD), "octet {at}");
        }
        let other_box = Requests::new(Key::new([0x61; 16]), TerminalId::new(*b"000001"));
        assert!(!other_box.are_for(&id, CARD));
    }

    #[test]
    fn an_id_is_fresh_once_and_not_for_ever() {
        let mut requests = requests();
        let first = give(&mut requests, CARD);
        assert!(requests.is_fresh(&first));
        for _ in 1..Requests::MAX_FRESH {
            give(&mut requests, CARD);
        }
        assert!(requests.is_fresh(&first));
        let last = give(&mut requests, CARD);
        assert!(!requests.is_fresh(&first) && requests.is_fresh(&last));
        requests.used(&last);
        assert!(!requests.is_fresh(&last));
    }

    /// A card that falls out takes its ids with it: a number that was given twice is paid once.
    #[test]
    fn the_cards_are_bounded() {
        let mut requests = requests();
        let first = give(&mut requests, CARD);
        for n in 0..Requests::MAX_CARDS {
            give(&mut requests, Pseudonym::new([0x40 + n as u8; 8]));
        }
        assert!(!requests.is_fresh(&first));
        assert_eq!(requests.next.len(), Requests::MAX_CARDS);
        assert_eq!(give(&mut requests, CARD).sequence(), first.sequence());
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Request ids: the host's names for its wishes to buy, and the terminal's numbers inside them.
//!
//! An id carries the pair (terminal, sequence) that its purchase is paid under, so that it can be
//! asked after also when the storage is lost (`docs/spec/purchase.md`, 2).

use alloc::collections::VecDeque;
use cam_types::{CasTime, Key, TerminalId, TerminalSequence};
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
    ) -> Self {
        let [a, b, c, d, e, f] = *terminal.octets();
        let [g, h, i, j] = sequence.to_be_bytes();
        let [k, l] = random;
        let named = [a, b, c, d, e, f, g, h, i, j, k, l];
        let [m, n, o, p] = check(key, &named);
        Self([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    fn verify(&self, key: &Key) -> bool {
        let (named, given) = self.0.split_at(Self::NAMED);
        check(key, named).ct_eq(given).into()
    }
}

fn check(key: &Key, named: &[u8]) -> [u8; 4] {
    let mut octets = [0; 16];
    gp::kdf_cmac(key.expose(), constant::REQUEST, named, &mut octets)
        .expect("a key of 16 octets derives 16 octets");
    let [a, b, c, d, ..] = octets;
    [a, b, c, d]
}

/// Gives out request ids, and knows which of them have not been used yet.
pub(super) struct Requests {
    key: Key,
    terminal: TerminalId,
    next: u32,
    fresh: VecDeque<RequestId>,
}

impl Requests {
    /// Ids that wait for their use, at most; an older one is as good as one of an earlier run.
    const MAX_FRESH: usize = 64;
    /// Half a year and more, in the seconds of a card's clock: no two cards are so far apart.
    const JUMP: u32 = 1 << 25;

    /// `next` is above every number in the storage.
    pub(super) const fn new(key: Key, terminal: TerminalId, next: u32) -> Self {
        Self { key, terminal, next, fresh: VecDeque::new() }
    }

    /// A new id; `None` when the terminal's numbers are used up.
    ///
    /// The card's clock is above every number that was given out before the storage was lost: it
    /// goes on by one a second, and the numbers more slowly.
    pub(super) fn give(&mut self, clock: CasTime, random: [u8; 2]) -> Option<RequestId> {
        let number = self.next.max(clock.seconds());
        self.next = number.checked_add(1)?;
        let sequence = TerminalSequence::new(number);
        let id = RequestId::sealed(&self.key, self.terminal, sequence, random);
        if self.fresh.len() >= Self::MAX_FRESH {
            self.fresh.pop_front();
        }
        self.fresh.push_back(id);
        Some(id)
    }

    /// This box gave it out, in this run or another.
    pub(super) fn are_ours(&self, id: &RequestId) -> bool {
        id.verify(&self.key)
    }

    /// Given out in this run, and not used.
    pub(super) fn is_fresh(&self, id: &RequestId) -> bool {
        self.fresh.contains(id)
    }

    pub(super) fn used(&mut self, id: &RequestId) {
        self.fresh.retain(|fresh| fresh != id);
    }

    /// The card knows a later number of this terminal than this one. If this was the newest, the
    /// numbers must go on above what the card knows.
    pub(super) fn later_is_known(&mut self, sequence: TerminalSequence) {
        if sequence.value().checked_add(1) == Some(self.next) {
            self.next = self.next.saturating_add(Self::JUMP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: CasTime = CasTime::new(849_441_600);

    fn requests(next: u32) -> Requests {
        Requests::new(Key::new([0x60; 16]), TerminalId::new(*b"000001"), next)
    }

    /// Numbers from the card's clock, one after the other, and above what the storage knows.
    #[test]
    fn an_id_names_its_pair() {
        let mut requests = requests(0);
        let first = requests.give(NOON, [1, 2]).unwrap();
        assert_eq!(first.terminal(), TerminalId::new(*b"000001"));
        assert_eq!(first.sequence().value(), 849_441_600);
        assert_eq!(requests.give(NOON, [1, 2]).unwrap().sequence().value(), 849_441_601);
        let earlier = CasTime::new(5);
        assert_eq!(requests.give(earlier, [1, 2]).unwrap().sequence().value(), 849_441_602);
        let mut stored = self::requests(900_000_000);
        assert_eq!(stored.give(NOON, [0, 0]).unwrap().sequence().value(), 900_000_000);
    }

    #[test]
    fn every_changed_octet_is_seen() {
        let mut requests = requests(0);
        let id = requests.give(NOON, [1, 2]).unwrap();
        assert!(requests.are_ours(&id));
        for at in 0..RequestId::LEN {
            let mut octets = *id.octets();
            octets[at] ^= 0x01;
            assert!(!requests.are_ours(&RequestId::new(octets)), "octet {at}");
        }
        let other_box = Requests::new(Key::new([0x61; 16]), TerminalId::new(*b"000001"), 0);
        assert!(!other_box.are_ours(&id));
    }

    #[test]
    fn an_id_is_fresh_once_and_not_for_ever() {
        let mut requests = requests(0);
        let first = requests.give(NOON, [0, 0]).unwrap();
        assert!(requests.is_fresh(&first));
        for _ in 1..Requests::MAX_FRESH {
            requests.give(NOON, [0, 0]).unwrap();
        }
        assert!(requests.is_fresh(&first));
        let last = requests.give(NOON, [0, 0]).unwrap();
        assert!(!requests.is_fresh(&first) && requests.is_fresh(&last));
        requests.used(&last);
        assert!(!requests.is_fresh(&last));
    }

    /// Only the newest number of all shows that a card is ahead; an older one was overtaken here.
    #[test]
    fn numbers_go_on_above_what_a_card_knows() {
        let mut requests = requests(0);
        let overtaken = requests.give(NOON, [0, 0]).unwrap().sequence();
        let newest = requests.give(NOON, [0, 0]).unwrap().sequence();
        requests.later_is_known(overtaken);
        assert_eq!(requests.next, newest.value() + 1);
        requests.later_is_known(newest);
        assert_eq!(requests.next, newest.value() + 1 + Requests::JUMP);
        let mut last = self::requests(u32::MAX - 1);
        assert!(last.give(NOON, [0, 0]).is_some());
        assert_eq!(last.give(NOON, [0, 0]), None, "used up, not begun again");
        last.later_is_known(TerminalSequence::new(u32::MAX - 1));
        assert_eq!(last.next, u32::MAX);
    }
}

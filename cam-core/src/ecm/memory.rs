// SPDX-License-Identifier: Apache-2.0
//! What is remembered of ECM sections that the card did not take for authentic, so that none is
//! asked for again and again, on whatever stream. Bounded: the oldest goes.

use crate::ecm::question::Question;
use alloc::collections::VecDeque;
use cam_types::Instant;
use ecm_emm::card::AccessStatus;
use sha2::{Digest, Sha256};

/// Why a section is not worth asking for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    /// What was said of it.
    pub(crate) status: AccessStatus,
    /// When it may be asked for again.
    pub(crate) until: Until,
}

/// How long a refusal lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Until {
    /// The card called it not authentic or malformed: no key and no time makes it good.
    Never,
    /// The card had no key for it, or another time: it may be good after the next EMM.
    Emm,
    /// Nobody answered it, or nobody vouched for the answer: it has another try then.
    Then(Instant),
}

impl Refusal {
    /// Of an answer that the card vouches for.
    pub(crate) fn by_card(status: AccessStatus) -> Self {
        let until = match status {
            AccessStatus::REFUSED_ECM | AccessStatus::MALFORMED_ECM => Until::Never,
            _ => Until::Emm,
        };
        Self { status, until }
    }
}

/// See the module. Sections are told apart by their digests: they are no secrets.
pub(crate) struct EcmMemory {
    refused: VecDeque<([u8; Self::DIGEST], Refusal)>,
}

impl EcmMemory {
    /// At most this many are remembered: all that a line of 9,600 bit/s can ask for in ten crypto
    /// periods of ten seconds.
    const MAX: usize = 256;
    const DIGEST: usize = 16;

    pub(crate) fn new() -> Self {
        Self { refused: VecDeque::with_capacity(Self::MAX) }
    }

    pub(crate) fn remember(&mut self, question: Question<'_>, why: Refusal) {
        let digest = digest(question);
        self.refused.retain(|(known, _)| *known != digest);
        if self.refused.len() >= Self::MAX {
            self.refused.pop_front();
        }
        self.refused.push_back((digest, why));
    }

    /// What is known against a section, for those who expect this channel.
    pub(crate) fn recall(&self, question: Question<'_>) -> Option<Refusal> {
        // Nearly always: and the digest is a quarter of what an ECM costs the box.
        if self.refused.is_empty() {
            return None;
        }
        let digest = digest(question);
        self.refused.iter().rev().find(|(known, _)| *known == digest).map(|(_, why)| *why)
    }

    /// A key or a clock has come: what was refused for want of it may be good.
    pub(crate) fn forgive(&mut self) {
        self.refused.retain(|(_, why)| why.until == Until::Never);
    }

    /// Another card judges for itself.
    pub(crate) fn clear(&mut self) {
        self.refused.clear();
    }
}

/// SHA-256 of P1 P2 and the section, cut.
fn digest(question: Question<'_>) -> [u8; EcmMemory::DIGEST] {
    let whole = Sha256::new().chain_update(question.p1p2()).chain_update(question.section);
    let whole = whole.finalize();
    let mut cut = [0; EcmMemory::DIGEST];
    cut.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGED: Refusal = Refusal { status: AccessStatus::REFUSED_ECM, until: Until::Never };

    /// Whatever channel is expected.
    fn any(section: &[u8]) -> Question<'_> {
        Question { section, channel: None }
    }

    #[test]
    fn it_is_bounded_and_the_oldest_goes() {
        let mut memory = EcmMemory::new();
        let room = memory.refused.capacity();
        for n in 0..1000_u32 {
            memory.remember(any(&n.to_be_bytes()), FORGED);
        }
        assert_eq!((memory.refused.len(), memory.refused.capacity()), (EcmMemory::MAX, room));
        let known = |n: u32| memory.recall(any(&n.to_be_bytes()));
        assert_eq!((known(743), known(744)), (None, Some(FORGED)));
    }

    #[test]
    fn what_is_forgiven() {
        for (status, until) in [
            (AccessStatus::REFUSED_ECM, Until::Never),
            (AccessStatus::MALFORMED_ECM, Until::Never),
            (AccessStatus::NO_KEY, Until::Emm),
            (AccessStatus::CLOCK, Until::Emm),
            (AccessStatus::CHANNEL_MISMATCH, Until::Emm),
        ] {
            let refusal = Refusal::by_card(status);
            assert_eq!(refusal, Refusal { status, until });
            let mut memory = EcmMemory::new();
            memory.remember(any(&[1]), refusal);
            memory.forgive();
            let left = (until == Until::Never).then_some(refusal);
            assert_eq!(memory.recall(any(&[1])), left, "{status}");
            memory.clear();
            assert_eq!(memory.recall(any(&[1])), None);
        }
    }

    #[test]
    fn the_last_refusal_counts() {
        let again = Until::Then(Instant::from_micros(7));
        let busy = Refusal { status: AccessStatus::CARD_BUSY, until: again };
        let mut memory = EcmMemory::new();
        memory.remember(any(&[3]), busy);
        memory.remember(any(&[3]), FORGED);
        assert_eq!(memory.recall(any(&[3])), Some(FORGED));
        assert_eq!(memory.refused.len(), 1);
    }
}

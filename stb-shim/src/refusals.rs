// SPDX-License-Identifier: Apache-2.0
//! What the descrambler refuses, and what of it the middleware was told: once, and again only after
//! it was well in between.

use cam_core::SessionId;
use cam_types::Pid;
use std::collections::VecDeque;

/// What a descrambler is handed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Handed {
    /// The keys of the key ladder.
    Ladder,
    /// The ECWs of an ECM stream.
    Cw(SessionId, Pid),
}

/// Whether the middleware knows already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum News {
    Fresh,
    Known,
}

/// See the module. Bounded: the oldest is forgotten, which tells it once more at worst.
#[derive(Default)]
pub(crate) struct Refusals {
    refused: VecDeque<Handed>,
}

impl Refusals {
    const MAX: usize = 256;

    /// The descrambler did not take it.
    pub(crate) fn refused(&mut self, what: Handed) -> News {
        if self.refused.contains(&what) {
            return News::Known;
        }
        if self.refused.len() >= Self::MAX {
            self.refused.pop_front();
        }
        self.refused.push_back(what);
        News::Fresh
    }

    /// The descrambler took it.
    pub(crate) fn taken(&mut self, what: Handed) {
        self.refused.retain(|refused| *refused != what);
    }

    /// It was refused, and not taken since.
    pub(crate) fn stands(&self, what: Handed) -> bool {
        self.refused.contains(&what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cw(session: u32) -> Handed {
        Handed::Cw(SessionId(session), Pid::from_field(0x140))
    }

    #[test]
    fn each_is_told_once_until_it_was_well() {
        let mut refusals = Refusals::default();
        for what in [Handed::Ladder, cw(1), cw(2)] {
            assert_eq!(refusals.refused(what), News::Fresh);
            assert_eq!(refusals.refused(what), News::Known);
        }
        refusals.taken(cw(1));
        assert!(!refusals.stands(cw(1)) && refusals.stands(cw(2)));
        assert_eq!(refusals.refused(cw(2)), News::Known);
        assert_eq!(refusals.refused(cw(1)), News::Fresh);
    }

    #[test]
    fn it_is_bounded() {
        let mut refusals = Refusals::default();
        (0..10_000).for_each(|session| assert_eq!(refusals.refused(cw(session)), News::Fresh));
        assert_eq!(refusals.refused.len(), Refusals::MAX);
    }
}

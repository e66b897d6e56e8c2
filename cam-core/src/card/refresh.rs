// SPDX-License-Identifier: Apache-2.0
//! What is to be read back from the card when nothing else is to do: one part after another, since
//! each EMM wants all of it again. What the card does not tell is asked again, more and more seldom
//! (`docs/spec/card.md`, 2.2).

use crate::Right;
use crate::card::rights::Rights;
use crate::pause::Pause;
use cam_types::Instant;
use core::mem;

/// See the module.
#[derive(Default)]
pub(crate) struct Refresh {
    wanted: [bool; Part::ALL.len()],
    pauses: [Pause; Part::ALL.len()],
    rights: Rights,
    /// The pairings or the card have changed: an unpaired card is tried again.
    pair: bool,
    /// What is read next, if it is wanted.
    turn: usize,
}

/// What is read back from the card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// What it says of itself.
    Info,
    /// The highest number of this terminal in its log.
    Number,
    Balance,
    Rights,
}

/// The next part to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    Info,
    Number,
    Balance,
    Rights {
        /// The index of the first row.
        from: u8,
    },
}

impl Part {
    const ALL: [Self; 4] = [Self::Info, Self::Number, Self::Balance, Self::Rights];
}

impl Refresh {
    /// A session begins: nothing of the one before holds.
    pub(crate) fn session_begins(&mut self) {
        self.turn = 0;
        self.want(Part::Info);
        self.want(Part::Number);
        self.state();
    }

    /// An EMM was applied: everything may be another one.
    pub(crate) fn all(&mut self) {
        self.info();
        self.state();
        self.pair();
    }

    /// Money and rights.
    pub(crate) fn state(&mut self) {
        self.want(Part::Balance);
        self.want(Part::Rights);
        self.rights.read();
    }

    /// The card shall say again what it says of itself.
    pub(crate) fn info(&mut self) {
        self.want(Part::Info);
    }

    /// The card knows a later number of this terminal than was thought.
    pub(crate) fn number(&mut self) {
        self.want(Part::Number);
    }

    fn want(&mut self, part: Part) {
        self.set(part, true);
    }

    fn set(&mut self, part: Part, wanted: bool) {
        if let Some(of) = self.wanted.get_mut(part as usize) {
            *of = wanted;
        }
    }

    /// An unpaired card shall be tried with the pairings again.
    pub(crate) fn pair(&mut self) {
        self.pair = true;
    }

    /// The balance is being read, out of turn.
    pub(crate) fn balance_is_read(&mut self) {
        self.set(Part::Balance, false);
    }

    /// The card was reset: what was wanted of it is wanted no more.
    pub(crate) fn card_reset(&mut self) {
        self.rights.stop();
        self.wanted = Default::default();
        self.pair = false;
    }

    /// The card has not told it, or nobody vouches that it has: it is asked again.
    pub(crate) fn failed(&mut self, now: Instant, part: Part) {
        if let Some(pause) = self.pauses.get_mut(part as usize) {
            pause.failed(now);
        }
        self.want(part);
        if part == Part::Rights {
            self.rights.read();
        }
    }

    /// It has told it.
    pub(crate) fn answered(&mut self, part: Part) {
        if let Some(pause) = self.pauses.get_mut(part as usize) {
            pause.forget();
        }
    }

    /// What is read next in session; it is not wanted any more then.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Reading> {
        (0..Part::ALL.len()).find_map(|_| {
            let part = *Part::ALL.get(self.turn)?;
            self.turn = (self.turn + 1) % Part::ALL.len();
            self.take(now, part)
        })
    }

    /// The same of one part.
    pub(crate) fn take(&mut self, now: Instant, part: Part) -> Option<Reading> {
        self.pauses.get(part as usize).filter(|pause| pause.is_over(now))?;
        let wanted = mem::take(self.wanted.get_mut(part as usize)?);
        match part {
            Part::Rights => {
                let from = self.rights.next();
                self.set(part, from.is_some());
                from.map(|from| Reading::Rights { from })
            }
            _ if !wanted => None,
            Part::Info => Some(Reading::Info),
            Part::Number => Some(Reading::Number),
            Part::Balance => Some(Reading::Balance),
        }
    }

    /// When something that was not told may be asked for again.
    pub(crate) fn due(&self) -> Option<Instant> {
        let parts = self.wanted.iter().zip(&self.pauses).filter(|(wanted, _)| **wanted);
        parts.map(|(_, pause)| pause.ends()).min()
    }

    /// INFO, of a card that is not in session.
    pub(crate) fn take_info(&mut self) -> bool {
        self.wanted.get_mut(Part::Info as usize).is_some_and(mem::take)
    }

    pub(crate) const fn wants_pair(&self) -> bool {
        self.pair
    }

    pub(crate) fn take_pair(&mut self) -> bool {
        mem::take(&mut self.pair)
    }

    /// The rights as they are read.
    pub(crate) fn rights(&mut self) -> &mut Rights {
        &mut self.rights
    }

    /// The rights as read after the last change.
    pub(crate) fn rows(&self) -> &[Right] {
        self.rights.rows()
    }
}

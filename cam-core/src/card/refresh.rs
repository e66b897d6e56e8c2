// SPDX-License-Identifier: Apache-2.0
//! What is to be read back from the card when nothing else is to do: one part after another, since
//! each EMM wants all of it again.

use crate::Right;
use crate::card::rights::Rights;
use core::mem;

/// See the module.
#[derive(Default)]
pub(crate) struct Refresh {
    info: bool,
    balance: bool,
    rights: Rights,
    /// The pairings or the card have changed: an unpaired card is tried again.
    pair: bool,
    /// What is read next, if it is wanted.
    next: Part,
}

/// What is read back from the card.
#[derive(Clone, Copy, Debug, Default)]
enum Part {
    #[default]
    Info,
    Balance,
    Rights,
}

/// The next part to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    Info,
    Balance,
    Rights {
        /// The index of the first row.
        from: u8,
    },
}

impl Part {
    const fn following(self) -> Self {
        match self {
            Self::Info => Self::Balance,
            Self::Balance => Self::Rights,
            Self::Rights => Self::Info,
        }
    }
}

impl Refresh {
    /// An EMM was applied: everything may be another one.
    pub(crate) fn all(&mut self) {
        self.info();
        self.state();
        self.pair();
    }

    /// Money and rights.
    pub(crate) fn state(&mut self) {
        self.balance = true;
        self.rights.read();
    }

    /// The card shall introduce itself again.
    pub(crate) fn info(&mut self) {
        self.info = true;
    }

    /// An unpaired card shall be tried with the pairings again.
    pub(crate) fn pair(&mut self) {
        self.pair = true;
    }

    /// The balance is being read, out of turn.
    pub(crate) fn balance_is_read(&mut self) {
        self.balance = false;
    }

    /// The card was reset: what was wanted of it is wanted no more.
    pub(crate) fn card_reset(&mut self) {
        self.rights.stop();
        *self = Self { rights: mem::take(&mut self.rights), ..Self::default() };
    }

    /// What is read next in session; it is not wanted any more then.
    pub(crate) fn next(&mut self) -> Option<Reading> {
        (0..3).find_map(|_| {
            let part = self.next;
            self.next = part.following();
            match part {
                Part::Info => self.take_info().then_some(Reading::Info),
                Part::Balance => mem::take(&mut self.balance).then_some(Reading::Balance),
                Part::Rights => self.rights.next().map(|from| Reading::Rights { from }),
            }
        })
    }

    pub(crate) fn take_info(&mut self) -> bool {
        mem::take(&mut self.info)
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

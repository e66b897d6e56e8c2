// SPDX-License-Identifier: Apache-2.0
//! What is to be read back from the card.

use alloc::vec::Vec;
use ecm_emm::card::RightRow;

/// What is to be read from the card when nothing else is to do.
#[derive(Default)]
pub(crate) struct Refresh {
    pub(crate) info: bool,
    pub(crate) balance: bool,
    /// The index of the next row of rights.
    pub(crate) rights: Option<u8>,
    pub(crate) rows: Vec<RightRow>,
    /// The pairings or the card have changed: an unpaired card is tried again.
    pub(crate) pair: bool,
    /// What is read next, if it is wanted.
    pub(crate) next: Part,
}

/// What is read back from the card.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Part {
    #[default]
    Info,
    Balance,
    Rights,
}

impl Part {
    pub(crate) const fn following(self) -> Self {
        match self {
            Self::Info => Self::Balance,
            Self::Balance => Self::Rights,
            Self::Rights => Self::Info,
        }
    }
}

impl Refresh {
    pub(crate) fn all(&mut self) {
        self.info = true;
        self.state();
    }

    /// Money and rights.
    pub(crate) fn state(&mut self) {
        self.balance = true;
        self.rights = Some(0);
        self.rows.clear();
    }
}

// SPDX-License-Identifier: Apache-2.0
//! An account on the card: the purse (EP), or the passbook (ED).

use crate::persist::{Guarded, persist};
use cam_types::Fen;
use wallet::passbook::OverdraftLimit;

/// What can be drawn, and how often it was.
#[derive(Clone)]
pub struct Account {
    /// What can be drawn: what is the holder's own, and the overdraft limit.
    pub balance: Guarded<Fen>,
    /// Loads, and what else a host authorises.
    pub online_sequence: Guarded<u16>,
    /// Purchases, and what else a terminal authorises.
    pub offline_sequence: Guarded<u16>,
    overdraft: Guarded<Fen>,
}

persist!(Account {
    balance: Guarded<Fen>,
    online_sequence: Guarded<u16>,
    offline_sequence: Guarded<u16>,
    overdraft: Guarded<Fen>,
});

impl Account {
    /// An account that has seen no transaction.
    pub const fn new(balance: Fen, overdraft: OverdraftLimit) -> Self {
        Self {
            balance: Guarded(balance),
            online_sequence: Guarded(0),
            offline_sequence: Guarded(0),
            overdraft: Guarded(overdraft.fen()),
        }
    }

    /// How far it may be overdrawn; never, if it is the purse.
    pub fn overdraft(&self) -> OverdraftLimit {
        OverdraftLimit::new(self.overdraft.0).unwrap_or_default()
    }

    /// The same, changed.
    pub const fn limit_overdraft(&mut self, limit: Fen) {
        self.overdraft = Guarded(limit);
    }

    /// What is the holder's own.
    pub fn own(&self) -> Fen {
        self.balance.0.checked_sub(self.overdraft.0).unwrap_or(Fen::ZERO)
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What the purse on the card has told.

use ecm_emm::card::WalletInfo;

/// What the purse has counted: each record in the card's log moves one of the two.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    /// Debits.
    pub(crate) offline: u16,
    /// Credits.
    pub(crate) online: u16,
}

impl Counts {
    /// The records that the card's log holds (`docs/spec/purchase.md`, 3).
    const LOG: u16 = 32;

    pub(crate) const fn of(wallet: &WalletInfo) -> Self {
        Self { offline: wallet.offline_sequence, online: wallet.online_sequence }
    }

    /// Whatever was written to the log after `before` is in it still.
    pub(crate) fn log_reaches_back_to(self, before: Self) -> bool {
        let debits = self.offline.wrapping_sub(before.offline);
        let credits = self.online.wrapping_sub(before.online);
        debits.checked_add(credits).is_some_and(|records| records <= Self::LOG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_32_records_reaches_back_32_records() {
        let before = Counts { offline: 0xFFF0, online: 4 };
        for (offline, online, reaches) in [
            (0xFFF0, 4, true),
            (0x0010, 4, true),
            (0x0011, 4, false),
            (0x0000, 20, true),
            (0x0000, 21, false),
            (0xFFEF, 4, false),
            (0xFFEF, 5, false),
        ] {
            let now = Counts { offline, online };
            assert_eq!(now.log_reaches_back_to(before), reaches, "{now:?}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What the purse on the card has told.

use crate::Event;
use crate::outbox::Outbox;
use ecm_emm::card::WalletInfo;
use ecm_emm::report::ReportRecord;

/// See the module.
#[derive(Default)]
pub(super) struct Purse {
    /// As read last, perhaps in an earlier session with the same card.
    wallet: Option<WalletInfo>,
    answer: PurseAnswer,
}

/// What came of reading the purse in this session with the card.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum PurseAnswer {
    #[default]
    NotRead,
    Read,
    /// It was not told: nobody vouches that the card would not.
    Refused,
}

impl Purse {
    pub(super) fn told(&mut self, told: Option<WalletInfo>, out: &mut Outbox) {
        self.answer = PurseAnswer::Refused;
        let Some(wallet) = told else {
            log::warn!("the card's balance is not readable");
            return;
        };
        self.answer = PurseAnswer::Read;
        if self.wallet != Some(wallet) {
            self.wallet = Some(wallet);
            out.event(Event::Wallet(wallet));
        }
    }

    /// Another session: it is to be read again.
    pub(super) const fn stale(&mut self) {
        self.answer = PurseAnswer::NotRead;
    }

    /// It is another card's purse now.
    pub(super) const fn forget(&mut self) {
        self.wallet = None;
    }

    pub(super) const fn wallet(&self) -> Option<WalletInfo> {
        self.wallet
    }

    pub(super) fn is_unread(&self) -> bool {
        self.answer == PurseAnswer::NotRead
    }

    /// It was read at some time, or the card has said that it cannot be.
    pub(super) fn has_answered(&self) -> bool {
        self.wallet.is_some() || !self.is_unread()
    }

    /// What it has counted, as read in this session.
    pub(super) fn counts(&self) -> Option<Counts> {
        self.last_counts().filter(|_| self.answer == PurseAnswer::Read)
    }

    /// What it had counted when it was read last.
    pub(super) fn last_counts(&self) -> Option<Counts> {
        self.wallet.as_ref().map(Counts::of)
    }
}

/// What the purse has counted: each record in the card's log moves one of the two.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    /// Debits.
    pub(super) offline: u16,
    /// Credits.
    pub(super) online: u16,
}

impl Counts {
    const fn of(wallet: &WalletInfo) -> Self {
        Self { offline: wallet.offline_sequence, online: wallet.online_sequence }
    }

    /// Whatever was written to the log after `before` is in it still.
    pub(super) fn log_reaches_back_to(self, before: Self) -> bool {
        let debits = self.offline.wrapping_sub(before.offline);
        let credits = self.online.wrapping_sub(before.online);
        debits
            .checked_add(credits)
            .is_some_and(|records| usize::from(records) <= ReportRecord::MAX_KEPT)
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

// SPDX-License-Identifier: Apache-2.0
//! CAS INFO: the card says who it is, and what becomes of what was known of another one.

use crate::Event;
use crate::card::dialogue::Identity;
use crate::card::exchange::Answer;
use crate::engine::Engine;
use crate::session::programme::CardAbility;
use ecm_emm::card::CardInfo;

impl Engine {
    /// The card's introduction (CAS INFO).
    pub(crate) fn info_answered(&mut self, answer: Answer) {
        match self.dialogue.told(answer).map(CardInfo::parse) {
            Some(Ok(info)) => {
                self.introduce(&info);
            }
            Some(Err(why)) => {
                log::warn!("the card's INFO is not readable: {why}");
                self.introduction_failed();
            }
            None => {
                log::info!("the card refused INFO");
                self.introduction_failed();
            }
        }
    }

    fn introduction_failed(&mut self) {
        if self.dialogue.is_introducing() {
            self.unusable();
        }
    }

    /// The card says who it is. When it is another one than before, nothing that was known holds.
    fn introduce(&mut self, info: &CardInfo) {
        if self.dialogue.introduced(info.pseudonym) == Identity::Other {
            let unknown = self.emm.other_card();
            self.emm_unknown(unknown.as_deref());
            self.ecm.other_card();
            self.key_versions.forget();
            self.reports.card_gone();
            self.refresh.rights().forget();
            self.purchases.other_card();
        }
        self.emm.addressed(info.pseudonym, info.groups.iter().map(|(_, group)| *group));
        let abilities = info.operators.iter().map(|operator| CardAbility {
            operator: operator.operator,
            suites: operator.suites_allowed,
        });
        self.sessions.card_can(abilities, &mut self.out, &mut self.stats);
        self.filters.outdated();
        self.reports.asked(info.report);
        self.card.pseudonym = Some(info.pseudonym);
        self.card.operator = info.operators.first().map(|operator| operator.operator);
        self.card.blocked = info.blocked;
        self.card.pin_tries = Some(info.pin_tries);
        self.card.pairing_slots = info.pairing_slots;
        self.card.now = Some(info.now);
        self.card_reason_told();
        self.key_versions.told(&info.slots, |slot, epoch| {
            self.out.event(Event::KeyRotated { slot, epoch });
        });
    }
}

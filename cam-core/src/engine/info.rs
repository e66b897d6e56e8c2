// SPDX-License-Identifier: Apache-2.0
//! CAS INFO: who the card is, and what becomes of what was known of another one.
//!
//! Before the session anybody on the line may have written it: it chooses a pairing and addresses
//! EMMs. What the card says of itself it says in the session (`docs/spec/card.md`, 2.1).

use crate::card::dialogue::Identity;
use crate::card::exchange::{Answer, Trouble};
use crate::card::refresh::Part;
use crate::engine::Engine;
use crate::session::programme::CardAbility;
use crate::{Card, Event};
use cam_types::Instant;
use ecm_emm::card::CardInfo;

impl Engine {
    pub(crate) fn info_answered(&mut self, now: Instant, answer: Answer) {
        match self.dialogue.told(answer).map(CardInfo::parse) {
            Some(Ok(info)) if self.dialogue.has_session() => return self.told(now, &info),
            Some(Ok(info)) => return self.introduce(&info),
            Some(Err(why)) => log::warn!("the card's INFO is not readable: {why}"),
            None => log::info!("the card refused INFO"),
        }
        if self.dialogue.has_session() {
            self.refresh.failed(now, Part::Info);
        } else if self.dialogue.is_introducing() {
            self.unusable();
        }
    }

    /// Who it says it is. When it is another one than before, nothing that was known holds.
    fn introduce(&mut self, info: &CardInfo) {
        if self.dialogue.introduced(info.pseudonym) == Identity::Other {
            let unknown = self.emm.other_card();
            self.emm_unknown(unknown.as_deref());
            self.ecm.other_card();
            self.key_versions.forget();
            self.reports.card_gone();
            self.refresh.rights().forget();
            self.purchases.other_card();
            self.forget_pins();
            self.card.forget_told();
        }
        self.emm.addressed(info.pseudonym, info.groups.iter().map(|(_, group)| *group));
        self.filters.outdated();
        self.card.pseudonym = Some(info.pseudonym);
        self.card.pairing_slots = info.pairing_slots;
        if self.pairings.with(info.pseudonym, info.pairing_slots).is_some() {
            self.refresh.pair();
        }
    }

    /// What the card says of itself in its session.
    fn told(&mut self, now: Instant, info: &CardInfo) {
        if self.dialogue.card() != Some(info.pseudonym) {
            log::warn!("the card in session is another than the one that introduced itself");
            return self.trouble(now, Trouble::Session);
        }
        self.refresh.answered(Part::Info);
        self.emm.addressed(info.pseudonym, info.groups.iter().map(|(_, group)| *group));
        let abilities = info.operators.iter().map(|operator| CardAbility {
            operator: operator.operator,
            suites: operator.suites_allowed,
        });
        self.sessions.card_can(abilities, &mut self.out, &mut self.stats);
        self.filters.outdated();
        self.reports.asked(info.report);
        self.card = Card {
            operator: info.operators.first().map(|operator| operator.operator),
            blocked: info.blocked,
            pin_tries: Some(info.pin_tries),
            pairing_slots: info.pairing_slots,
            now: Some(info.now),
            ..core::mem::take(&mut self.card)
        };
        self.session_told();
        self.key_versions.told(&info.slots, |slot, epoch| {
            self.out.event(Event::KeyRotated { slot, epoch });
        });
    }
}

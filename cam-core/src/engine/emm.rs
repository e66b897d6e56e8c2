// SPDX-License-Identifier: Apache-2.0
//! EMM sections on their way to the card, and what its answers change; EMMs to the box itself.

use crate::card::exchange::Answer;
use crate::card::pairing::News;
use crate::emm::duplicates::Memory;
use crate::emm::lane::Arrival;
use crate::emm::queue::{Effect, Presence};
use crate::engine::Engine;
use crate::{CardState, Event};
use cam_types::{Instant, Pseudonym};
use ecm_emm::box_emm::BoxHeader;
use ecm_emm::card::{EmmDetail, EmmOutcome, EmmResult};
use ecm_emm::emm::{Address, Emm};

/// The places of the addressings in the counters of [`crate::Stats`].
const UNIQUE: usize = 0;
const SHARED: usize = 1;
const GLOBAL: usize = 2;
const TO_THE_BOX: usize = 3;

impl Engine {
    pub(crate) fn emm_section(&mut self, now: Instant, section: &[u8]) {
        let Some(kind) = addressing(section) else { return };
        count(&mut self.stats.emm_in, kind);
        if kind == TO_THE_BOX {
            self.box_section(now, section);
            return;
        }
        let address = match Emm::parse(section) {
            Ok(emm) => emm.header.address,
            Err(why) => {
                log::debug!("malformed EMM: {why}");
                self.stats.emm_malformed += 1;
                return;
            }
        };
        let presence = match self.card.state {
            CardState::Ready | CardState::Unpaired | CardState::Starting => Presence::There,
            CardState::Absent | CardState::Unusable => Presence::Out,
        };
        let counter = match self.emm.offer(now, address, section, presence) {
            Arrival::NotOurs => &mut self.stats.emm_not_ours,
            Arrival::Duplicate => &mut self.stats.emm_dup,
            Arrival::Dropped | Arrival::Replaces => &mut self.stats.emm_dropped,
            Arrival::Waits => return,
        };
        count(counter, kind);
    }

    pub(crate) fn emm_answered(&mut self, now: Instant, answer: Answer) {
        let kind = self.emm.sent().and_then(addressing).unwrap_or(GLOBAL);
        let told = self.dialogue.told(answer);
        let result = told.and_then(|data| EmmResult::parse(data).ok());
        let (counter, memory) = match result.map(|result| result.outcome) {
            Some(EmmOutcome::APPLIED) => (&mut self.stats.emm_applied, Memory::Applied),
            Some(EmmOutcome::DUPLICATE | EmmOutcome::STALE) => {
                (&mut self.stats.emm_dup_card, Memory::Numbered)
            }
            Some(EmmOutcome::LATER) => (&mut self.stats.emm_later, Memory::Later),
            Some(_) if result.is_some_and(is_forged) => {
                (&mut self.stats.emm_refused, Memory::Forged)
            }
            Some(_) => (&mut self.stats.emm_refused, Memory::Refused),
            // A bare status word may be anybody's on the line.
            None => (&mut self.stats.emm_refused, Memory::Unvouched),
        };
        count(counter, kind);
        match result {
            Some(result) => log::info!("EMM {}, {}", result.outcome, result.detail),
            None => log::info!("EMM refused"),
        }
        let applied = result.is_some_and(|result| result.outcome == EmmOutcome::APPLIED);
        let effect = if applied { Effect::Changed } else { Effect::None };
        match result.map(|result| result.detail) {
            // Who answers outside the session may be anybody on the line: it is counted.
            _ if !self.dialogue.has_session() => self.emm.answered_in_clear(now),
            Some(EmmDetail::BUSY) if memory == Memory::Later => self.emm.rests(now),
            detail => {
                if detail == Some(EmmDetail::SIGNATURE) {
                    self.emm.bad_signature();
                }
                self.emm.answered(now, memory, effect);
            }
        }
        if applied {
            self.card_changed(now);
        }
    }

    /// Whatever the card refused may be possible now, and what it granted may be so no longer.
    fn card_changed(&mut self, now: Instant) {
        self.refresh.all();
        self.ecm.card_changed(now);
    }

    pub(crate) fn emm_lost(&mut self, now: Instant) {
        let kind = self.emm.sent().and_then(addressing).unwrap_or(GLOBAL);
        if !self.emm.lost(now) {
            count(&mut self.stats.emm_unknown, kind);
        }
    }

    /// The answer to this one was lost, and nobody will ask again.
    pub(crate) fn emm_unknown(&mut self, section: Option<&[u8]>) {
        if let Some(kind) = section.and_then(addressing) {
            count(&mut self.stats.emm_unknown, kind);
        }
    }

    /// A pairing for this box, or its withdrawal.
    fn box_section(&mut self, now: Instant, section: &[u8]) {
        let counter = match self.pairings.section(section) {
            Ok(News::NotOurs) => &mut self.stats.emm_not_ours,
            Ok(News::Known) => &mut self.stats.emm_dup,
            Ok(News::Changed { key, slot, card, withdrawn }) => {
                self.out.store(key, section.to_vec());
                self.out.event(Event::Pairing { slot, withdrawn });
                self.repair(now, card, withdrawn);
                &mut self.stats.emm_applied
            }
            Err(why) => {
                log::warn!("EMM to the box not accepted: {why}");
                &mut self.stats.emm_refused
            }
        };
        count(counter, TO_THE_BOX);
    }

    /// The pairings have changed: an unpaired card is tried with them, and a session whose pairing
    /// was withdrawn ends. One whose pairing was replaced goes on until the card ends it.
    fn repair(&mut self, now: Instant, card: Pseudonym, withdrawn: bool) {
        self.refresh.pair();
        if withdrawn && self.dialogue.card() == Some(card) && self.card.state == CardState::Ready {
            self.wipe_all();
            self.end_session(now);
        }
    }
}

/// Nobody with the right keys has made it.
fn is_forged(result: EmmResult) -> bool {
    matches!(result.detail, EmmDetail::AUTHENTICATION | EmmDetail::SIGNATURE)
}

/// By table_id.
fn addressing(section: &[u8]) -> Option<usize> {
    match *section.first()? {
        Address::UNIQUE => Some(UNIQUE),
        Address::SHARED => Some(SHARED),
        Address::GLOBAL => Some(GLOBAL),
        BoxHeader::TABLE_ID => Some(TO_THE_BOX),
        _ => None,
    }
}

fn count(counters: &mut [u64; 4], kind: usize) {
    if let Some(counter) = counters.get_mut(kind) {
        *counter += 1;
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What follows from the card's way to an open session, and back: what is read, what is wiped, what
//! the host is told. The way itself is the dialogue's (`card/dialogue.rs`).
//!
//! A lost exchange costs the keys nothing: the card is activated at once, and only when that fails,
//! or when its next answer denies, are they wiped.

use crate::card::dialogue::Progress;
use crate::card::exchange::{Answer, Step, Trouble};
use crate::card::pairing::Pairing;
use crate::engine::Engine;
use crate::outbox::Todo;
use crate::{Absence, Card, CardState, Event, SignOfLife};
use cam_types::Instant;
use core::time::Duration;
use ecm_emm::card::{AccessStatus, pairing_key_version};
use gp::scp03::{Initialize, ScpError};

/// Octets of the longest answer to reset: TS and at most 32 (ISO/IEC 7816-3 clause 8.2.1).
const MAX_ATR: usize = 33;

impl Engine {
    /// An unpaired card is asked who it is every so often.
    pub(crate) const LOOK: Duration = Duration::from_secs(20);

    pub(crate) fn card_present(&mut self) {
        if self.dialogue.card_came() {
            self.activate();
        }
    }

    pub(crate) fn card_ready(
        &mut self,
        now: Instant,
        atr: &[u8],
        protocol: u8,
        sign_of_life: SignOfLife,
    ) {
        self.drop_flight(now);
        self.forget_withheld_keys();
        self.dialogue.answered_to_reset(now, sign_of_life);
        self.emm.card_reset();
        self.refresh.card_reset();
        self.card.atr.clear();
        self.card.atr.extend(atr.iter().take(MAX_ATR));
        self.card.protocol = protocol;
        self.set_card(CardState::Starting, AccessStatus::PENDING);
    }

    pub(crate) fn card_absent(&mut self, now: Instant, why: Absence) {
        self.drop_flight(now);
        let retry = self.dialogue.absent(now, why);
        let reason = match why {
            Absence::Removed => AccessStatus::NO_CARD,
            // Without a detect line a mute card and an empty slot look the same.
            Absence::Mute if self.dialogue.polls() => AccessStatus::NO_CARD,
            Absence::Mute => AccessStatus::MUTE_CARD,
            Absence::Unknown => AccessStatus::UNKNOWN_CARD,
            Absence::ReaderLost => AccessStatus::READER_FAULT,
        };
        self.leave(reason, retry);
    }

    /// There is no card to talk to: keys are wiped at once.
    fn leave(&mut self, reason: AccessStatus, retry: Option<Instant>) {
        self.wipe_all();
        self.forget_pins();
        self.out.withdraw_card();
        self.dialogue.leave(retry);
        let unknown = self.emm.card_gone();
        self.emm_unknown(unknown.as_deref());
        self.reports.card_gone();
        let (state, old) = (self.card.state, self.card.reason);
        self.card = Card { state, reason: old, ..Card::default() };
        self.set_card(state_without(reason), reason);
    }

    /// Wants the card reset. Nothing else changes yet.
    pub(crate) fn activate(&mut self) {
        self.out.withdraw_card();
        self.out.push(Todo::Activate);
        self.stats.resets += 1;
        self.dialogue.activating();
        if matches!(self.card.state, CardState::Ready | CardState::Unpaired) {
            self.set_card(CardState::Starting, AccessStatus::PENDING);
        }
    }

    /// The exchange got no answer.
    ///
    /// Whether the card may have carried the command out changes nothing: every command can be
    /// repeated or, if it is a purchase, asked after.
    pub(crate) fn exchange_failed(&mut self, now: Instant, may_have_executed: bool, silent: bool) {
        if !self.dialogue.is_busy() {
            if self.dialogue.is_activating() {
                self.card_absent(now, Absence::Mute);
            }
            return;
        }
        self.stats.apdu_failed += u64::from(!self.dialogue.is_probing());
        log::info!(
            "no answer from the card{}{}",
            if silent { ", not one character" } else { "" },
            if may_have_executed { "" } else { ", the command did not reach it" },
        );
        self.drop_flight(now);
        self.trouble(now, Trouble::Line);
    }

    /// Something was lost. Starts over, but not for ever.
    pub(crate) fn trouble(&mut self, now: Instant, trouble: Trouble) {
        if let Some(retry) = self.dialogue.failed(now) {
            let reason = match trouble {
                Trouble::Line => AccessStatus::MUTE_CARD,
                Trouble::Session => AccessStatus::CARD_BUSY,
            };
            log::warn!("the card keeps failing, left alone for a while");
            self.leave(reason, Some(retry));
            return;
        }
        match trouble {
            Trouble::Line => self.activate(),
            Trouble::Session => self.end_session(now),
        }
    }

    /// Starts over from SELECT, once the command on the line has its answer.
    pub(crate) fn end_session(&mut self, now: Instant) {
        if let Some(exchange) = self.dialogue.start_over(now) {
            self.lost(now, exchange);
        }
        self.set_card(CardState::Starting, AccessStatus::PENDING);
    }

    /// Opens the session by the pairing with this card.
    pub(crate) fn pair(&mut self, now: Instant) {
        let card = self.dialogue.card().unwrap_or_default();
        let Some(pairing) = self.pairings.with(card, self.card.pairing_slots).cloned() else {
            self.unpaired(now);
            return;
        };
        let mut challenge = [0; 8];
        self.config.entropy.fill(&mut challenge);
        let keys = pairing.keys(self.config.stb_id);
        let key_version = pairing_key_version(pairing.slot()).unwrap_or_default();
        self.dialogue.open(Initialize::new(keys, key_version, challenge));
        self.pairings.select(pairing);
        self.launched();
    }

    /// The card takes EMMs, nothing else.
    fn unpaired(&mut self, now: Instant) {
        let card = self.dialogue.card().unwrap_or_default();
        let reason = match self.card.pairing_slots {
            0 => AccessStatus::NOT_PAIRED,
            _ if self.pairings.may_hide(card) => AccessStatus::PAIRING_UNREADABLE,
            _ => AccessStatus::PAIRED_ELSEWHERE,
        };
        self.wipe_all();
        self.forget_pins();
        self.dialogue.unpaired();
        self.another_look = now.after(Self::LOOK);
        self.set_card(CardState::Unpaired, reason);
        self.pump(now);
    }

    /// A step of the card's way was answered.
    pub(crate) fn proceed(&mut self, now: Instant, step: Step, answer: Answer) {
        match self.dialogue.proceed(step, answer) {
            Progress::On => {}
            Progress::Asked => self.launched(),
            Progress::Unusable => self.unusable(),
            Progress::Open => self.ready(),
            Progress::Refused(why) => self.pairing_failed(now, why),
        }
    }

    pub(crate) fn unusable(&mut self) {
        self.wipe_all();
        self.dialogue.unusable();
        self.set_card(CardState::Unusable, AccessStatus::UNKNOWN_CARD);
    }

    fn pairing_failed(&mut self, now: Instant, why: ScpError) {
        log::warn!("the pairing does not open a session with the card: {why}");
        self.pairing_pause.failed(now);
        if self.dialogue.pairs_again(now) {
            self.end_session(now);
        } else {
            // Whoever sits on the line can refuse: it is tried again.
            self.refresh.pair();
            self.unpaired(now);
        }
    }

    fn ready(&mut self) {
        self.forget_withheld_keys();
        self.purchases.session_begins();
        self.emm.session_begins();
        self.pairing_pause.forget();
        self.card.now = None;
        self.stats.channels += 1;
        self.card.pairing_slot = self.pairings.current().map(Pairing::slot);
        self.pairings.ladder_loads();
        self.out.push(Todo::Ladder);
        self.refresh.session_begins();
        self.ecm.session_begins();
        self.ask_again(|_| true);
        if self.card.is_told() {
            self.session_told();
        }
    }

    /// The card has said in its session what it is, and whether the operator has blocked it.
    pub(crate) fn session_told(&mut self) {
        self.set_card(CardState::Ready, self.card.session_reason());
    }

    pub(crate) fn set_card(&mut self, state: CardState, reason: AccessStatus) {
        if (self.card.state, self.card.reason) != (state, reason) {
            self.card.state = state;
            self.card.reason = reason;
            log::info!("card {state:?}, {reason}");
            self.out.event(Event::Card { state, reason });
        }
    }

    /// When the engine must look at the card again by itself.
    pub(crate) fn card_deadline(&self, now: Instant) -> Option<Instant> {
        let session = self.dialogue.is_free().then(|| {
            let round = self.ecm.round_due(self.emm.backlog(now));
            let held = self.hold.look();
            // What is read back waits for the gap too.
            let readings = [self.refresh.due(), self.reports.due()].into_iter().flatten();
            let readings = readings.map(|at| held.map_or(at, |look| at.max(look)));
            let held = held.or_else(|| self.emm.pause(now));
            readings.chain(self.settle_due()).chain(round).chain(held).min()
        });
        let unpaired = self.card.state == CardState::Unpaired && !self.dialogue.is_busy();
        let unpaired = unpaired.then(|| {
            let pairing = self.refresh.wants_pair().then(|| self.pairing_pause.ends());
            pairing.map_or(self.another_look, |at| at.min(self.another_look))
        });
        let own = [session.flatten(), self.dialogue.silent_at(), unpaired];
        self.dialogue.deadline().into_iter().chain(own.into_iter().flatten()).min()
    }
}

/// A card that answers, and cannot be used all the same, is not absent.
const fn state_without(reason: AccessStatus) -> CardState {
    match reason {
        AccessStatus::UNKNOWN_CARD | AccessStatus::CARD_BUSY => CardState::Unusable,
        _ => CardState::Absent,
    }
}

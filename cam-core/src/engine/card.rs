// SPDX-License-Identifier: Apache-2.0
//! The card's way from its reset to an open session, and back.
//!
//! ```text
//! Absent ──activate──▶ Activating ──ATR──▶ Select ──▶ Info ──▶ Pair ──▶ Ready
//!    ▲                    ▲                  ▲                   │        │
//!    │ mute, removed      │ an exchange      │ the session       └──▶ Unpaired (EMMs only)
//!    └────────────────────┴ got no answer    └ is lost
//! ```
//!
//! A lost exchange costs the keys nothing: the card is activated at once, and only when that fails,
//! or when its next answer denies, are they wiped. What keeps failing is given up for a while that
//! doubles each time.

use crate::card::link::{Exchange, Link, Refresh, Stage, Trouble};
use crate::engine::Engine;
use crate::outbox::Todo;
use crate::{Absence, Card, CardState, Event};
use cam_types::Instant;
use core::time::Duration;
use ecm_emm::card::AccessStatus;

impl Engine {
    /// Exchanges or sessions that may be lost in a row, at most.
    pub(crate) const MAX_FAILURES: u32 = 3;
    /// A reader without a detect line is tried again after so long.
    const RETRY: Duration = Duration::from_millis(300);
    const MAX_RETRY: Duration = Duration::from_secs(20);

    pub(crate) fn card_present(&mut self) {
        if matches!(self.link, Link::Absent { .. }) {
            self.failures = 0;
            self.activate();
        }
    }

    pub(crate) fn card_ready(&mut self, now: Instant, atr: &[u8], protocol: u8) {
        self.drop_flight(now);
        self.channel = None;
        self.handshake = None;
        self.link = Link::Up(Stage::Select);
        self.last_exchange = now;
        self.emm.card_reset();
        self.refresh = Refresh::default();
        self.card.atr.clear();
        self.card.atr.extend(atr.iter().take(33));
        self.card.protocol = protocol;
        self.set_card(CardState::Starting, AccessStatus::PENDING);
    }

    pub(crate) fn card_absent(&mut self, now: Instant, why: Absence) {
        self.drop_flight(now);
        let polls = self.config.probe.is_some();
        let (reason, retry) = match why {
            Absence::Removed => (AccessStatus::NO_CARD, polls.then_some(Self::RETRY)),
            // Without a detect line a mute card and an empty slot look the same.
            Absence::Mute if polls => (AccessStatus::NO_CARD, Some(Self::RETRY)),
            Absence::Mute | Absence::Unknown => {
                self.failures += 1;
                let mute = why == Absence::Mute;
                let reason =
                    if mute { AccessStatus::MUTE_CARD } else { AccessStatus::UNKNOWN_CARD };
                (reason, Some(self.backoff()))
            }
            Absence::ReaderLost => (AccessStatus::READER_FAULT, Some(Duration::from_secs(1))),
        };
        if why == Absence::Removed || (why == Absence::Mute && polls) {
            self.failures = 0;
        }
        self.leave(reason, retry.map(|after| now.after(after)));
    }

    /// There is no card to talk to: keys are wiped at once.
    fn leave(&mut self, reason: AccessStatus, retry: Option<Instant>) {
        self.wipe_all();
        self.forget_pins();
        self.out.withdraw_card();
        self.channel = None;
        self.handshake = None;
        self.emm.card_gone();
        self.reports.card_gone();
        self.link = Link::Absent { retry };
        let (state, old) = (self.card.state, self.card.reason);
        self.card = Card { state, reason: old, ..Card::default() };
        let unknown = reason == AccessStatus::UNKNOWN_CARD;
        self.set_card(if unknown { CardState::Unusable } else { CardState::Absent }, reason);
    }

    /// Wants the card reset. Nothing else changes yet.
    pub(crate) fn activate(&mut self) {
        self.out.withdraw_card();
        self.out.push(Todo::Activate);
        self.stats.resets += 1;
        self.channel = None;
        self.handshake = None;
        self.link = Link::Activating;
        if matches!(self.card.state, CardState::Ready | CardState::Unpaired) {
            self.set_card(CardState::Starting, AccessStatus::PENDING);
        }
    }

    /// The exchange got no answer.
    ///
    /// Whether the card may have carried the command out changes nothing: every command can be
    /// repeated or, if it is a purchase, asked after.
    pub(crate) fn exchange_failed(&mut self, now: Instant, may_have_executed: bool, silent: bool) {
        if self.flight.is_none() {
            if matches!(self.link, Link::Activating) {
                self.card_absent(now, Absence::Mute);
            }
            return;
        }
        self.stats.apdu_failed += 1;
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
        self.channel = None;
        self.handshake = None;
        self.failures += 1;
        if self.failures > Self::MAX_FAILURES {
            let reason = match trouble {
                Trouble::Line => AccessStatus::MUTE_CARD,
                Trouble::Session => AccessStatus::CARD_BUSY,
            };
            let retry = now.after(self.backoff());
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
        if self.flight.is_some() {
            self.drop_flight(now);
            self.flight = Some(Exchange::Forgotten);
        }
        self.channel = None;
        self.handshake = None;
        self.link = Link::Up(Stage::Select);
        self.set_card(CardState::Starting, AccessStatus::PENDING);
    }

    fn backoff(&self) -> Duration {
        let doublings = self.failures.saturating_sub(Self::MAX_FAILURES).min(8);
        (Self::RETRY * (1 << doublings)).min(Self::MAX_RETRY)
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
    pub(crate) fn card_deadline(&self) -> Option<Instant> {
        match self.link {
            Link::Absent { retry } => retry,
            Link::Up(Stage::Ready) if self.flight.is_none() => {
                let review = self.review.due(self.emm.backlog());
                self.probe_due().into_iter().chain(self.settle_due()).chain(review).min()
            }
            Link::Up(Stage::Unusable) if self.flight.is_none() => Some(self.another_look()),
            Link::Up(_) if self.flight.is_none() => self.probe_due(),
            Link::Activating | Link::Up(_) => None,
        }
    }

    /// A card that was not ours is selected once more: it may have been a bad contact.
    pub(crate) fn another_look(&self) -> Instant {
        self.last_exchange.after(self.config.probe.unwrap_or(Self::MAX_RETRY))
    }

    pub(crate) fn probe_due(&self) -> Option<Instant> {
        self.config.probe.map(|idle| self.last_exchange.after(idle))
    }
}

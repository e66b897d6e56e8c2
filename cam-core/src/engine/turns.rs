// SPDX-License-Identifier: Apache-2.0
//! Whose turn it is at a card in session.
//!
//! ECMs go first; then what settles money, then purchases and PINs, then EMMs, then reports and
//! their acknowledgement, then what is read back from the card, and last the sign of life of an
//! idle one. An ECM that was not authentic leaves two debts: the others go first, once, EMMs and
//! what comes behind them by turns; and of the ECMs the stream that has waited longest goes next,
//! whoever went in between. So a line full of forgeries and EMMs still does everything else.

use crate::card::exchange::Exchange;
use crate::ecm::question::Question;
use crate::ecm::queue::{Yielded, Yields};
use crate::engine::Engine;
use crate::session::stream::Stream;
use cam_types::Instant;
use ecm_emm::card::{INS_ECM, INS_RIGHTS, RIGHTS_WALLET};

impl Engine {
    pub(crate) fn pump_ready(&mut self, now: Instant) {
        self.sessions.streams_mut().for_each(|stream| stream.ask_again_when_due(now));
        if self.ecm.begin_round(now, self.emm.backlog()) {
            self.ask_again(|stream| !stream.is_followed(now));
        }
        let _ = match self.ecm.yields() {
            Yields::No => {
                self.send_ecm(now)
                    || self.send_purse(now)
                    || self.send_pin()
                    || self.send_introduction(now)
                    || self.send_emm()
                    || self.send_ack()
                    || self.send_report(now)
                    || self.send_reading(now)
            }
            // What is read back would pass for a card that works: its turn comes behind ECMs.
            Yields::Unanswered => {
                self.send_purse(now)
                    || self.send_pin()
                    || self.send_emm()
                    || self.send_ack()
                    || self.send_report(now)
                    || self.send_ecm(now)
            }
            Yields::Forged => {
                self.send_purse(now)
                    || self.send_pin()
                    || self.send_introduction(now)
                    || self.send_yielded(now)
                    || self.send_ecm(now)
            }
        };
    }

    /// Neither EMMs nor what comes behind them take every turn that ECMs give up.
    fn send_yielded(&mut self, now: Instant) -> bool {
        match self.ecm.yielded() {
            Yielded::ToEmms if self.send_emm() => {
                self.ecm.yielded_to_emm();
                true
            }
            Yielded::ToEmms => self.send_behind_emms(now),
            Yielded::BehindEmms => self.send_behind_emms(now) || self.send_emm(),
        }
    }

    fn send_behind_emms(&mut self, now: Instant) -> bool {
        self.send_ack() || self.send_report(now) || self.send_reading(now)
    }

    /// What is read back, and the sign of life.
    fn send_reading(&mut self, now: Instant) -> bool {
        if self.send_refresh(now) || self.send_review(now) {
            return true;
        }
        // Reading the balance costs the session nothing and the card no write.
        self.ask_sign_of_life(now, |engine| {
            engine.send(Exchange::Balance, INS_RIGHTS, RIGHTS_WALLET, &[]);
        })
    }

    fn send_ecm(&mut self, now: Instant) -> bool {
        let choices = self.sessions.streams_mut().map(Stream::choice);
        let Some(asked) = self.ecm.take(now, choices) else { return false };
        self.stats.ecm_sent += 1;
        self.stats.ecm_replayed += u64::from(asked.replayed);
        self.stats.apdu_ecm += 1;
        let Question { section, .. } = asked.question;
        self.dialogue.ask(Exchange::Ecm, INS_ECM, asked.question.p1p2(), section);
        self.launched();
        true
    }
}

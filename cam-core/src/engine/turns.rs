// SPDX-License-Identifier: Apache-2.0
//! Whose turn it is at a card in session.
//!
//! ECMs go first; then what settles money, then purchases and PINs, then EMMs, then reports and
//! their acknowledgement, then what is read back from the card, and last the sign of life of an
//! idle one. An ECM that was not authentic leaves two debts: the others go first, once, EMMs and
//! what comes behind them by turns; and of the ECMs the stream that has waited longest goes next,
//! whoever went in between. So a line full of forgeries and EMMs still does everything else.

use crate::SignOfLife;
use crate::card::exchange::Exchange;
use crate::ecm::question::Question;
use crate::ecm::queue::{Yielded, Yields};
use crate::engine::Engine;
use crate::session::stream::Stream;
use cam_types::Instant;
use ecm_emm::card::{INS_ECM, INS_RIGHTS, RIGHTS_WALLET};

/// Octets of the longest command and its answer.
const LONGEST: usize = 2 * 261;
/// What an EMM has around it: the command and the secure channel, and the answer.
const AROUND: usize = 64;
/// S(IFS), and the balance as it is read in the session (`docs/spec/abi.md`, An idle card).
const PROBE: usize = 10;
const BALANCE: usize = 64;

impl Engine {
    pub(crate) fn pump_ready(&mut self, now: Instant) {
        self.sessions.streams_mut().for_each(|stream| stream.ask_again_when_due(now));
        if self.ecm.begin_round(now, self.emm.backlog(now)) {
            self.ask_again(|stream| !stream.is_followed(now));
        }
        let _ = match self.ecm.yields() {
            Yields::No => {
                self.send_ecm(now)
                    || self.send_purse(now)
                    || self.send_pin()
                    || self.send_emms_and_behind(now)
                    || self.send_sign_of_life(now)
            }
            // What is read back would pass for a card that works: its turn comes behind ECMs.
            Yields::Unanswered => {
                self.send_purse(now)
                    || self.send_pin()
                    || self
                        .send_in_a_gap(now, |engine| engine.send_emm(now) || engine.send_own(now))
                    || self.send_ecm(now)
            }
            Yields::Forged => {
                self.send_purse(now)
                    || self.send_pin()
                    || self.send_yielded(now)
                    || self.send_ecm(now)
            }
        };
    }

    /// Neither EMMs nor what comes behind them take every turn that ECMs give up.
    fn send_yielded(&mut self, now: Instant) -> bool {
        self.send_in_a_gap(now, |engine| match engine.ecm.yielded() {
            _ if engine.send_introduction(now) => true,
            Yielded::ToEmms if engine.send_emm(now) => {
                engine.ecm.yielded_to_emm();
                true
            }
            Yielded::ToEmms => engine.send_behind_emms(now),
            Yielded::BehindEmms => engine.send_behind_emms(now) || engine.send_emm(now),
        })
    }

    /// What the card says once in a session goes first. What is behind EMMs goes before them, once,
    /// after one that was forged.
    fn send_emms_and_behind(&mut self, now: Instant) -> bool {
        self.send_in_a_gap(now, |engine| {
            engine.send_introduction(now)
                || engine.emm.gives_way() && engine.send_behind_emms(now)
                || engine.send_emm(now)
                || engine.send_behind_emms(now)
        })
    }

    /// What has time until there is room for it between ECMs.
    fn send_in_a_gap(&mut self, now: Instant, send: impl FnOnce(&mut Self) -> bool) -> bool {
        let sent = self.fits(now) && send(self);
        if sent {
            self.hold.started();
        }
        sent
    }

    fn send_behind_emms(&mut self, now: Instant) -> bool {
        self.send_own(now) || self.send_refresh(now) || self.send_review(now)
    }

    /// Reports, and their acknowledgement.
    fn send_own(&mut self, now: Instant) -> bool {
        self.send_ack() || self.send_report(now)
    }

    /// Whether the EMM that is next, or else whatever there is, is over with an ECM behind it
    /// before the next ECM of any stream is due. What has been held up for long enough starts all
    /// the same.
    fn fits(&mut self, now: Instant) -> bool {
        let octets = self.emm.octets(now).map_or(LONGEST, |section| section + AROUND);
        let due = self.due(now, octets);
        self.hold.opens(now, due)
    }

    /// When the ECMs have come that are due before an exchange of so many octets and an ECM are
    /// over.
    fn due(&self, now: Instant, octets: usize) -> Option<Instant> {
        let takes = self.dialogue.pace().with_ecm(octets);
        self.sessions.streams().filter_map(|stream| stream.due(now, takes)).max()
    }

    /// A card that is pulled has to be missed: this does not wait for long.
    fn send_sign_of_life(&mut self, now: Instant) -> bool {
        let octets = match self.dialogue.sign_of_life(now) {
            None => return false,
            Some(SignOfLife::Probe) => PROBE,
            Some(SignOfLife::Command) => BALANCE,
        };
        let due = self.due(now, octets);
        if self.dialogue.lets_pass(now, due) {
            return false;
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

// SPDX-License-Identifier: Apache-2.0
//! ECM and offer sections on their way to the card, and the card's answers on their way to the
//! descrambler.
//!
//! An ECM is its octets: an answer is for every stream, of whatever session, PID or source, that
//! has the same section and expects the same channel, and a stream that has it later takes the
//! answer that is there.

use crate::card::exchange::Answer;
use crate::ecm::choice::{Arrival, Tries};
use crate::ecm::question::Question;
use crate::engine::Engine;
use crate::session::Reached;
use crate::session::stream::Stream;
use crate::session::told::Told;
use crate::{AccessState, CardState, Event};
use cam_types::{Instant, Pid, StatusWord};
use ecm_emm::card::{AccessStatus, EcmAnswer};
use ecm_emm::ecm::{Ecm, EcmHeader, EcmKind};
use gp::scp03::ScpError;

impl Engine {
    pub(crate) fn ecm_section(&mut self, now: Instant, source: u8, pid: Pid, section: &[u8]) {
        if self.sessions.streams_on(source, pid).next().is_none() {
            return;
        }
        let header = match Ecm::parse(section) {
            Ok(ecm) => ecm.header,
            Err(why) => {
                log::debug!("malformed ECM on {pid}: {why}");
                self.stats.ecm_in += 1;
                self.stats.ecm_malformed += 1;
                for stream in self.sessions.streams_on(source, pid) {
                    stream.heard(now);
                    stream.malformed(now);
                }
                return;
            }
        };
        if header.kind == EcmKind::Offer {
            self.offer_section(source, pid, section, header.cp_number);
            return;
        }
        let mut waits = false;
        let mut refused = false;
        for stream in self.sessions.streams_on(source, pid) {
            self.stats.ecm_in += 1;
            let arrival = stream.ecm(now, section, header.cp_number, self.ecm.memory());
            waits |= matches!(arrival, Arrival::Waits | Arrival::Replaces);
            refused |= arrival == Arrival::Kept && stream.refused_long_ago(now);
            match arrival {
                Arrival::Kept | Arrival::Known | Arrival::Refused(_) => self.stats.ecm_dup += 1,
                Arrival::Stale => self.stats.ecm_stale += 1,
                Arrival::Replaces => self.stats.ecm_replaced += 1,
                Arrival::Waits => {}
            }
        }
        if refused {
            self.hand_over_again(now, source, section);
        }
        if waits {
            self.take_what_was_told(now, source, pid, section, &header);
        }
    }

    /// What the card has said in this session of the same octets on other streams that expect the
    /// same channel is for those who wait for them here.
    fn take_what_was_told(
        &mut self,
        now: Instant,
        source: u8,
        pid: Pid,
        section: &[u8],
        header: &EcmHeader,
    ) {
        // A card that says nothing may be gone: nobody gets more of it than is there.
        if self.card.state != CardState::Ready || self.dialogue.withholds_keys() {
            return;
        }
        while let Some((channel, told)) = self.sessions.told_before(source, pid, section) {
            let Self { sessions, out, stats, .. } = self;
            let question = Question { section, channel };
            let reached = sessions.judged(now, question, &told, out, stats);
            self.opened(header, &told, reached);
        }
    }

    /// Only the card can read an offer: it is kept for a purchase, and never sent as an ECM.
    fn offer_section(&mut self, source: u8, pid: Pid, section: &[u8], number: u32) {
        self.stats.offer_in += 1;
        for session in self.sessions.iter_mut().filter(|session| session.source() == source) {
            if session.stream(pid).is_some() {
                session.take_sealed(section, number);
            }
        }
    }

    /// The card's answer is for every stream that has the section, whoever asked for it. Sessions
    /// may be closed by now: then it is for nobody.
    pub(crate) fn ecm_answered(&mut self, now: Instant, answer: Answer) {
        let sw = match answer {
            Ok(sw) => sw,
            // Nobody vouches for a bare status word: it is shown, and nothing follows from it.
            Err(ScpError::Refused(sw)) => {
                self.set_sw(sw);
                let status = match sw {
                    StatusWord::WRONG_DATA => AccessStatus::MALFORMED_ECM,
                    StatusWord::REFERENCE_NOT_FOUND => AccessStatus::NO_KEY,
                    _ => AccessStatus::CARD_BUSY,
                };
                return self.ecm_unanswered(now, status);
            }
            Err(_) => return self.ecm_unanswered(now, AccessStatus::CARD_BUSY),
        };
        self.set_sw(sw);
        self.emm.ecm_judged();
        match EcmAnswer::parse(self.dialogue.data()) {
            Ok(answer) if is_about_the_ecm(answer.status) => self.ecm_refused(now, answer.status),
            Ok(answer) => self.ecm_judged(now, &answer, sw),
            Err(why) => {
                log::warn!("the card's answer to an ECM is not readable: {why}");
                self.ecm_unanswered(now, AccessStatus::READER_FAULT);
            }
        }
    }

    fn set_sw(&mut self, sw: StatusWord) {
        let asked = self.ecm.asked();
        self.sessions.streams_mut().for_each(|stream| stream.answered(asked, sw));
    }

    fn ecm_refused(&mut self, now: Instant, status: AccessStatus) {
        let asked = self.ecm.asked();
        self.sessions.streams_mut().for_each(|stream| stream.refused(now, asked, status));
        self.ecm.refused(status);
        if status == AccessStatus::MALFORMED_ECM {
            self.stats.ecm_malformed += 1;
        } else {
            self.stats.ecm_refused += 1;
        }
        log::info!("ECM not accepted: {status}");
    }

    /// The section got no answer, or none that counts: it is asked again, and set aside for a while
    /// when that does not help.
    pub(crate) fn ecm_unanswered(&mut self, now: Instant, status: AccessStatus) {
        let asked = self.ecm.asked();
        let mut set_aside = false;
        for stream in self.sessions.streams_mut() {
            set_aside |= stream.unanswered(now, asked, status) == Tries::Spent;
        }
        self.ecm.unanswered();
        if set_aside {
            self.ecm.set_aside(now, status);
            self.stats.ecm_refused += 1;
            log::info!("ECM without an answer, set aside: {status}");
        }
    }

    /// The card has judged an authentic ECM.
    fn ecm_judged(&mut self, now: Instant, answer: &EcmAnswer, sw: StatusWord) {
        let Self { sessions, out, stats, ecm, .. } = self;
        let Ok(Ecm { header, .. }) = Ecm::parse(ecm.asked().section) else { return };
        let told = Told::new(&header, answer, sw);
        let reached = sessions.judged(now, ecm.asked(), &told, out, stats);
        if let Some(since) = reached.since {
            ecm.took(now.since(since));
        }
        self.opened(&header, &told, reached);
    }

    /// An ECM that gave keys to a stream shows that its service key is in use.
    fn opened(&mut self, header: &EcmHeader, told: &Told, reached: Reached) {
        let (slot, epoch) = (header.slot, header.epoch);
        if reached.any && told.keys.is_some() && self.key_versions.used(slot, epoch) {
            self.out.event(Event::KeyRotated { slot, epoch });
        }
    }

    /// The card may judge otherwise now what is on air: it gets the kept ECM of these streams
    /// again.
    pub(crate) fn ask_again(&mut self, of: impl Fn(&Stream) -> bool) {
        let streams = self.sessions.streams_mut().filter(|stream| of(stream));
        streams.for_each(Stream::ask_again);
    }
}

/// The card could not take the ECM for authentic, or could not judge it at all: this says nothing
/// about rights. The operator stands in the header, and is looked at before the seal.
fn is_about_the_ecm(status: AccessStatus) -> bool {
    AccessState::of(status) == AccessState::Technical || status == AccessStatus::UNKNOWN_OPERATOR
}

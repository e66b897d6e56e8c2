// SPDX-License-Identifier: Apache-2.0
//! ECM and offer sections on their way to the card, and the card's answers on their way to the
//! descrambler.
//!
//! An ECM is its octets: an answer is for every stream, of whatever session, PID or source, that
//! has the same section, and a stream that has it later takes the answer that is there.

use crate::card::exchange::Answer;
use crate::ecm::gate::{EcmGate, Patience, Verdict};
use crate::ecm::memory::{Refusal, Until};
use crate::ecm::yields::Yields;
use crate::engine::Engine;
use crate::engine::info::is_rotation;
use crate::engine::session::hand_out_keys;
use crate::outbox::Outbox;
use crate::session::stream::{Stream, Told};
use crate::{AccessState, CardState, Event, Offer, SessionId};
use cam_types::{Epoch, Instant, Pid, Slot};
use ecm_emm::card::{AccessStatus, EcmAnswer};
use ecm_emm::ecm::{Ecm, EcmHeader, EcmKind};
use gp::scp03::ScpError;

impl Engine {
    pub(crate) fn ecm_section(&mut self, now: Instant, source: u8, pid: Pid, section: &[u8]) {
        if self.sessions.streams_mut(source, pid).next().is_none() {
            return;
        }
        let header = match Ecm::parse(section) {
            Ok(ecm) => ecm.header,
            Err(why) => {
                log::debug!("malformed ECM on {pid}: {why}");
                self.stats.ecm_in += 1;
                self.stats.ecm_malformed += 1;
                for stream in self.sessions.streams_mut(source, pid) {
                    stream.air.heard(now);
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
        for stream in self.sessions.streams_mut(source, pid) {
            self.stats.ecm_in += 1;
            stream.air.heard(now);
            let verdict = stream.gate.offer(now, section, header.cp_number, &self.ecm_memory);
            waits |= matches!(verdict, Verdict::Waits | Verdict::Replaces);
            let count = match verdict {
                Verdict::Kept => {
                    stream.trust();
                    refused |= stream.refused_long_ago(now);
                    &mut self.stats.ecm_dup
                }
                Verdict::Refused(status) => {
                    stream.doubt(now, status);
                    &mut self.stats.ecm_dup
                }
                Verdict::Known => &mut self.stats.ecm_dup,
                Verdict::Stale => &mut self.stats.ecm_stale,
                Verdict::Replaces => &mut self.stats.ecm_replaced,
                Verdict::Waits => continue,
            };
            *count += 1;
        }
        if refused {
            self.hand_over_again(now, source, section);
        }
        if waits && let Some(told) = self.told_before(section) {
            self.ecm_told(now, section, &header, &told);
        }
    }

    /// What the card has said in this session of the same octets on another stream.
    fn told_before(&self, section: &[u8]) -> Option<Told> {
        if self.card.state != CardState::Ready {
            return None;
        }
        let streams = self.sessions.iter().flat_map(|session| &session.streams);
        streams.filter(|stream| stream.gate.stands(section)).find_map(Stream::told)
    }

    /// Only the card can read an offer: it is kept for a purchase, and never sent as an ECM.
    fn offer_section(&mut self, source: u8, pid: Pid, section: &[u8], number: u32) {
        self.stats.offer_in += 1;
        for session in self.sessions.iter_mut().filter(|session| session.source == source) {
            if session.stream(pid).is_some()
                && let Some(offer) = session.take_sealed(section, number)
            {
                self.out.event(Event::Offer(offer));
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
                    0x6A80 => AccessStatus::MALFORMED_ECM,
                    0x6A88 => AccessStatus::NO_KEY,
                    _ => AccessStatus::CARD_BUSY,
                };
                return self.ecm_unanswered(now, status);
            }
            Err(_) => return self.ecm_unanswered(now, AccessStatus::CARD_BUSY),
        };
        self.set_sw(sw);
        match EcmAnswer::parse(self.dialogue.data()) {
            Ok(answer) if is_about_the_ecm(answer.status) => self.ecm_refused(now, answer.status),
            Ok(answer) => self.ecm_judged(now, &answer, sw),
            Err(why) => {
                log::warn!("the card's answer to an ECM is not readable: {why}");
                self.ecm_unanswered(now, AccessStatus::READER_FAULT);
            }
        }
    }

    fn set_sw(&mut self, sw: u16) {
        let Self { sessions, asked, .. } = self;
        let streams = sessions.iter_mut().flat_map(|session| session.streams.iter_mut());
        streams.filter(|stream| stream.gate.concerns(asked)).for_each(|stream| stream.sw = sw);
    }

    /// The card could not take the section for authentic. The keys of the good one, and the good
    /// one itself, stay as they are.
    fn ecm_refused(&mut self, now: Instant, status: AccessStatus) {
        let Self { sessions, asked, .. } = self;
        let streams = sessions.iter_mut().flat_map(|session| session.streams.iter_mut());
        for stream in streams.filter(|stream| stream.gate.concerns(asked)) {
            stream.gate.refused(asked);
            stream.doubt(now, status);
        }
        self.ecm_memory.remember(&self.asked, Refusal::by_card(status));
        self.ecm_yields(Yields::Forged);
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
        let Self { sessions, asked, .. } = self;
        let streams = sessions.iter_mut().flat_map(|session| session.streams.iter_mut());
        let mut set_aside = false;
        for stream in streams {
            if stream.gate.unanswered(asked) == Patience::Gone {
                set_aside = true;
                stream.doubt(now, status);
            }
        }
        self.ecm_yields(Yields::Unanswered);
        if set_aside {
            let until = Until::Then(now.after(EcmGate::ASIDE));
            self.ecm_memory.remember(&self.asked, Refusal { status, until });
            self.stats.ecm_refused += 1;
            log::info!("ECM without an answer, set aside: {status}");
        }
    }

    /// The card has judged an authentic ECM.
    fn ecm_judged(&mut self, now: Instant, answer: &EcmAnswer, sw: u16) {
        let section = core::mem::take(&mut self.asked);
        if let Ok(Ecm { header, .. }) = Ecm::parse(&section) {
            let told = Told::new(&header, answer, sw);
            if let Some(since) = self.ecm_told(now, &section, &header, &told) {
                self.latencies.record(now.since(since));
            }
        }
        self.asked = section;
    }

    /// What the card said of an authentic ECM goes to every stream that has it. Gives the moment
    /// since when the first of them waited for words that it has now.
    fn ecm_told(
        &mut self,
        now: Instant,
        section: &[u8],
        header: &EcmHeader,
        told: &Told,
    ) -> Option<Instant> {
        let Self { sessions, out, stats, .. } = self;
        let mut first = None;
        let mut concerned = false;
        for session in sessions.iter_mut() {
            let id = session.id;
            let mut lost_keys = false;
            for stream in &mut session.streams {
                if !stream.gate.concerns(section) {
                    continue;
                }
                concerned = true;
                let accepted = stream.gate.accepted(now, section, header.cp_number);
                stats.ecm_replaced += u64::from(accepted.dropped);
                let had_keys = stream.keys.is_some();
                let old_offer = stream.take(id, told, section);
                if stream.keys.is_some() {
                    stats.cw_out += 1;
                    stream.hand_over(id, out);
                    first = first.into_iter().chain(accepted.since).min();
                } else {
                    lost_keys |= had_keys;
                }
                offer_changed(out, id, old_offer, stream.offer);
            }
            if lost_keys {
                // Those of its other streams are given once more.
                stats.cw_cleared += 1;
                out.push_clear(id);
                hand_out_keys(session, out);
            }
        }
        if concerned && told.keys.is_some() {
            self.key_used(header.slot, header.epoch);
        }
        first
    }

    /// The card may judge otherwise now what is on air: it gets the kept ECM of these streams
    /// again.
    pub(crate) fn ask_again(&mut self, of: impl Fn(&Stream) -> bool) {
        let streams = self.sessions.iter_mut().flat_map(|session| &mut session.streams);
        streams.filter(|stream| of(stream)).for_each(|stream| stream.gate.replay());
    }

    /// A key that opened an ECM is the active one from then on: the card tells so when it is read
    /// next, the viewer's picture tells it now.
    fn key_used(&mut self, slot: Slot, epoch: Epoch) {
        let known = self.key_versions.iter_mut().find(|version| version.slot == slot.value());
        let Some(version) = known else { return };
        let before = version.key.active;
        version.key.active = before.max(epoch);
        version.key.newest = version.key.newest.max(epoch);
        if is_rotation(before, epoch) {
            self.out.event(Event::KeyRotated { slot, epoch });
        }
    }
}

fn offer_changed(out: &mut Outbox, session: SessionId, old: Option<Offer>, new: Option<Offer>) {
    if old == new {
        return;
    }
    let gone = old.filter(|old| new.is_none_or(|new| new.id != old.id));
    if let Some(old) = gone {
        out.event(Event::OfferGone { session, offer: old.id });
    }
    if let Some(new) = new {
        out.event(Event::Offer(new));
    }
}

/// The card could not take the ECM for authentic, or could not judge it at all: this says nothing
/// about rights. The operator stands in the header, and is looked at before the seal.
fn is_about_the_ecm(status: AccessStatus) -> bool {
    AccessState::of(status) == AccessState::Technical || status == AccessStatus::UNKNOWN_OPERATOR
}

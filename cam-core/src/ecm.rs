//! ECM and offer sections on their way to the card, and the card's answers on their way to the
//! descrambler.

use cam_types::{Epoch, Instant, Pid, Slot};
use ecm_emm::box_emm::BoxHeader;
use ecm_emm::card::{self, AccessStatus, EcmAnswer};
use ecm_emm::ecm::{Ecm, EcmHeader, EcmKind};
use ecm_emm::emm::Address;
use gp::scp03::ScpError;

use crate::ecm_gate::Verdict;
use crate::emm::is_rotation;
use crate::engine::Engine;
use crate::exchange::Answer;
use crate::outbox::Todo;
use crate::stream::{Keys, Stream, Word};
use crate::{AccessState, Event, Offer, OfferId, OfferKind, SessionId};

impl Engine {
    /// A section of any stream that a filter was wanted for.
    pub(crate) fn section(&mut self, now: Instant, source: u8, pid: Pid, section: &[u8]) {
        match section.first().copied() {
            Some(EcmHeader::EVEN | EcmHeader::ODD | EcmHeader::OFFER) => {
                self.ecm_section(now, source, pid, section);
            }
            Some(Address::UNIQUE | Address::SHARED | Address::GLOBAL | BoxHeader::TABLE_ID)
                if self.emm_streams.contains(&(source, pid)) =>
            {
                self.emm_section(now, section);
            }
            _ if self.emm_streams.contains(&(source, pid)) => self.stats.emm_malformed += 1,
            _ if self.sessions.streams_mut(source, pid).next().is_some() => {
                self.stats.ecm_malformed += 1;
            }
            _ => {}
        }
    }

    fn ecm_section(&mut self, now: Instant, source: u8, pid: Pid, section: &[u8]) {
        if self.sessions.streams_mut(source, pid).next().is_none() {
            return;
        }
        let header = match Ecm::parse(section) {
            Ok(ecm) => ecm.header,
            Err(why) => {
                log::debug!("malformed ECM on {pid}: {why}");
                self.stats.ecm_in += 1;
                self.stats.ecm_malformed += 1;
                return;
            }
        };
        if header.kind == EcmKind::Offer {
            self.offer_section(source, pid, section, header.cp_number);
            return;
        }
        for stream in self.sessions.streams_mut(source, pid) {
            self.stats.ecm_in += 1;
            let count = match stream.gate.offer(now, section, header.cp_number) {
                Verdict::Kept => {
                    stream.trust();
                    &mut self.stats.ecm_dup
                }
                Verdict::Known => &mut self.stats.ecm_dup,
                Verdict::Stale => &mut self.stats.ecm_stale,
                Verdict::Replaces => &mut self.stats.ecm_replaced,
                Verdict::Waits => continue,
            };
            *count += 1;
        }
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

    pub(crate) fn ecm_answered(
        &mut self,
        now: Instant,
        session: SessionId,
        pid: Pid,
        answer: Answer,
    ) {
        // The session may be closed by now: then the answer is for nobody.
        let place = self.stream_mut(session, pid);
        let Some(place) = place.filter(|stream| stream.gate.is_sent()) else { return };
        let parsed = match answer {
            Ok(sw) => {
                place.sw = sw;
                EcmAnswer::parse(&self.plain).map_err(|why| {
                    log::warn!("the card's answer to an ECM is not readable: {why}");
                    AccessStatus::READER_FAULT
                })
            }
            Err(ScpError::Refused(sw)) => {
                place.sw = sw;
                Err(match sw {
                    0x6A80 => AccessStatus::MALFORMED_ECM,
                    0x6A88 => AccessStatus::NO_KEY,
                    _ => AccessStatus::CARD_BUSY,
                })
            }
            Err(_) => Err(AccessStatus::CARD_BUSY),
        };
        match parsed {
            Ok(answer) if !is_about_the_ecm(answer.status) => {
                self.ecm_judged(now, session, pid, &answer);
            }
            Ok(answer) => self.ecm_refused(now, session, pid, answer.status),
            Err(status) => self.ecm_refused(now, session, pid, status),
        }
    }

    /// The card could not take the section for authentic. The keys of the good one, and the good
    /// one itself, stay as they are.
    fn ecm_refused(&mut self, now: Instant, session: SessionId, pid: Pid, status: AccessStatus) {
        let Some(stream) = self.stream_mut(session, pid) else { return };
        stream.gate.refused();
        stream.doubt(now, status);
        if status == AccessStatus::MALFORMED_ECM {
            self.stats.ecm_malformed += 1;
        } else {
            self.stats.ecm_refused += 1;
        }
        log::info!("ECM not accepted: {status}");
    }

    /// The card has judged an authentic ECM.
    fn ecm_judged(&mut self, now: Instant, session_id: SessionId, pid: Pid, answer: &EcmAnswer) {
        let Some(session) = self.sessions.find_mut(session_id) else { return };
        let Some(stream) = session.stream_mut(pid) else { return };
        let since = stream.gate.accepted(now);
        stream.trust();
        let Some(header) =
            stream.gate.kept().and_then(|section| Ecm::parse(section).ok()).map(|ecm| ecm.header)
        else {
            return;
        };
        stream.word = Word {
            status: answer.status,
            cci: answer.cci.0,
            rating: answer.rating.0,
            pin_needed: flag(answer, EcmAnswer::PIN_NEEDED),
            expires: answer.opened_by.map(|right| right.end),
        };
        let offer = answer.offer.as_ref().map(|terms| offer_of(session_id, answer, terms));
        if let (Some(_), Some(section)) = (&offer, stream.gate.kept()) {
            stream.offer_section.clear();
            stream.offer_section.extend_from_slice(section);
        }
        let old_offer = core::mem::replace(&mut stream.offer, offer);
        let had_keys = stream.keys.is_some();
        stream.keys = answer.ecw.map(|(even, odd)| Keys {
            even,
            odd,
            crypto_period: header.cp_number,
            cci: answer.cci.0,
            preview: answer.status == AccessStatus::PREVIEW,
            words: header.kind,
        });
        match (had_keys, stream.keys.is_some()) {
            (_, true) => {
                self.stats.cw_out += 1;
                self.out.push(Todo::Set { session: session_id, pid });
                if let Some(since) = since {
                    self.latencies.record(now.since(since));
                }
                self.key_used(header.slot, header.epoch);
            }
            (true, false) => self.rekey(session_id, true),
            (false, false) => {}
        }
        self.offer_changed(session_id, old_offer, offer);
    }

    /// The card may judge otherwise now what is on air: it gets the kept ECM of these streams again.
    pub(crate) fn ask_again(&mut self, of: impl Fn(&Stream) -> bool) {
        let streams = self.sessions.iter_mut().flat_map(|session| &mut session.streams);
        streams.filter(|stream| of(stream)).for_each(|stream| stream.gate.replay());
    }

    fn offer_changed(&mut self, session: SessionId, old: Option<Offer>, new: Option<Offer>) {
        if old == new {
            return;
        }
        let gone = old.filter(|old| new.is_none_or(|new| new.id != old.id));
        if let Some(old) = gone {
            self.out.event(Event::OfferGone { session, offer: old.id });
        }
        if let Some(new) = new {
            self.out.event(Event::Offer(new));
        }
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

fn offer_of(session: SessionId, answer: &EcmAnswer, terms: &card::Offer) -> Offer {
    let kind = if terms.kind == card::Offer::PPT { OfferKind::Slice } else { OfferKind::Event };
    Offer {
        id: OfferId::new(terms.event.value(), session, kind),
        session,
        kind,
        event: Some(terms.event),
        price: Some(terms.price),
        start: terms.start,
        end: terms.end,
        preview_s: terms.preview_s,
        slice_s: terms.slice_s,
        owned: flag(answer, EcmAnswer::OWNED),
        pin_needed: flag(answer, EcmAnswer::PIN_NEEDED),
    }
}

fn flag(answer: &EcmAnswer, flag: u8) -> bool {
    answer.flags & flag != 0
}

/// The card could not take the ECM for authentic, or could not judge it at all: this says nothing
/// about rights. The operator stands in the header, and is looked at before the seal.
fn is_about_the_ecm(status: AccessStatus) -> bool {
    AccessState::of(status) == AccessState::Technical || status == AccessStatus::UNKNOWN_OPERATOR
}

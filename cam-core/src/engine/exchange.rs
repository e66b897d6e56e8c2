// SPDX-License-Identifier: Apache-2.0
//! One command at a time: how it goes to the card, and what its answer means.

use crate::card::link::{Exchange, Handshake, Link, PinRequest, Purse, Stage, Trouble};
use crate::card::review::Review;
use crate::engine::Engine;
use crate::outbox::Todo;
use crate::{CardState, Event, Outcome, PinAnswer, PinOutcome};
use alloc::boxed::Box;
use alloc::vec::Vec;
use cam_types::Instant;
use core::time::Duration;
use ecm_emm::card::{
    AccessStatus, INS_CHANGE_PIN, INS_EMM, INS_INFO, INS_VERIFY, pairing_key_version,
};
use gp::scp03::{self, Initialize, ScpError};
use zeroize::Zeroizing;

/// What the card said, once the secure channel has taken its part off: the data is in
/// `Engine::plain`.
pub(crate) type Answer = Result<u16, ScpError>;

impl Engine {
    /// SELECT of the CAS applet (`docs/spec/card.md`).
    const SELECT: [u8; 14] =
        [0x00, 0xA4, 0x04, 0x00, 0x08, 0xF0, 0x53, 0x54, 0x42, 0x43, 0x41, 0x53, 0x01, 0x00];
    /// Without a detect line a silent card may be a removed one: no exchange waits longer for the
    /// first character. The longest command takes 325 ms to the card on the slowest line (260
    /// characters by T=0 at 9,600 bit/s), a block waits 200 ms.
    const PATIENCE: Duration = Duration::from_millis(600);

    /// Gives the card its next command, if it is free and there is one.
    pub(crate) fn pump(&mut self, now: Instant) {
        if self.flight.is_some() {
            return;
        }
        match self.link {
            Link::Absent { retry: Some(at) } if now >= at => self.activate(),
            Link::Absent { .. } | Link::Activating => {}
            Link::Up(Stage::Select) => self.send_select(None),
            Link::Up(Stage::Info) => {
                self.send(Exchange::Info, INS_INFO, 0, &[]);
            }
            Link::Up(Stage::Pair) => self.pair(now),
            Link::Up(Stage::Unpaired) => self.pump_unpaired(now),
            Link::Up(Stage::Unusable) => {
                if now >= self.another_look() {
                    self.send_select(Some(self.config.probe_patience));
                }
            }
            Link::Up(Stage::Ready) => self.pump_ready(now),
        }
    }

    fn pump_unpaired(&mut self, now: Instant) {
        if core::mem::take(&mut self.refresh.info) {
            self.send(Exchange::Info, INS_INFO, 0, &[]);
        } else if core::mem::take(&mut self.refresh.pair) {
            self.pair(now);
        } else if !self.send_emm()
            && !self.send_ack()
            && self.probe_due().is_some_and(|at| now >= at)
        {
            self.send_probe(Exchange::Info, INS_INFO, 0);
        }
    }

    pub(crate) fn send_emm(&mut self) -> bool {
        let Some(section) = self.emm.take() else { return false };
        build(self.channel.as_mut(), INS_EMM, [0; 2], section, &mut self.apdu);
        self.launch(Exchange::Emm, None);
        true
    }

    /// VERIFY for its own sake, and CHANGE PIN, wait until no purchase holds the card.
    pub(crate) fn send_pin(&mut self) -> bool {
        if self.purchase_holds_the_card() {
            return false;
        }
        let Some((ticket, request)) = self.pins.pop_front() else { return false };
        match request {
            PinRequest::Verify(pin) => {
                self.send(Exchange::Verify(ticket), INS_VERIFY, 0, pin.expose());
            }
            PinRequest::Change { old, new } => {
                let mut both = Zeroizing::new([0; 16]);
                both.iter_mut()
                    .zip(old.expose().iter().chain(new.expose()))
                    .for_each(|(to, from)| *to = *from);
                self.send(Exchange::Verify(ticket), INS_CHANGE_PIN, 0, both.as_slice());
            }
        }
        true
    }

    fn send_select(&mut self, patience: Option<Duration>) {
        self.apdu.clear();
        self.apdu.extend_from_slice(&Self::SELECT);
        self.launch(Exchange::Select, patience);
    }

    pub(crate) fn send_probe(&mut self, exchange: Exchange, ins: u8, p2: u8) {
        build(self.channel.as_mut(), ins, [0, p2], &[], &mut self.apdu);
        let patience = self.config.probe_patience;
        self.launch(exchange, Some(patience));
    }

    pub(crate) fn send(&mut self, exchange: Exchange, ins: u8, p2: u8, data: &[u8]) {
        self.send_with(exchange, ins, [0, p2], data);
    }

    /// The same with both parameters.
    pub(crate) fn send_with(
        &mut self,
        exchange: Exchange,
        ins: u8,
        parameters: [u8; 2],
        data: &[u8],
    ) {
        build(self.channel.as_mut(), ins, parameters, data, &mut self.apdu);
        self.launch(exchange, None);
    }

    /// The command in the buffer goes out.
    pub(crate) fn launch(&mut self, exchange: Exchange, patience: Option<Duration>) {
        let patience = patience.or(self.config.probe.map(|_| Self::PATIENCE));
        if let [cla, ins, p1, p2, ..] = self.apdu.as_slice() {
            log::trace!("> {cla:02X} {ins:02X} {p1:02X} {p2:02X}, {} octets", self.apdu.len());
        }
        self.stats.apdu += 1;
        self.flight = Some(exchange);
        self.out.push(Todo::Command { patience });
    }

    /// Opens the session by the pairing with this card.
    fn pair(&mut self, now: Instant) {
        let card = self.address.unwrap_or_default();
        let Some(pairing) = self.pairings.with(card, self.card.pairing_slots).cloned() else {
            self.unpaired(now);
            return;
        };
        let mut challenge = [0; 8];
        self.config.entropy.fill(&mut challenge);
        let keys = pairing.keys(self.config.stb_id);
        let key_version = pairing_key_version(pairing.slot).unwrap_or_default();
        let initialize = Initialize::new(keys, key_version, challenge);
        self.apdu.clear();
        self.apdu.extend_from_slice(&initialize.command());
        self.handshake = Some(Handshake::Initialize(initialize));
        self.pairings.select(pairing);
        self.link = Link::Up(Stage::Pair);
        self.launch(Exchange::Initialize, None);
    }

    /// The card takes EMMs, nothing else.
    fn unpaired(&mut self, now: Instant) {
        let reason = if self.card.pairing_slots == 0 {
            AccessStatus::NOT_PAIRED
        } else {
            AccessStatus::PAIRED_ELSEWHERE
        };
        self.wipe_all();
        self.handshake = None;
        self.forget_pins();
        self.link = Link::Up(Stage::Unpaired);
        self.set_card(CardState::Unpaired, reason);
        self.pump(now);
    }

    /// The card's answer to the command in flight. One that comes too late is for nobody.
    pub(crate) fn response(&mut self, now: Instant, response: &[u8]) {
        let Some(exchange) = self.flight.take() else { return };
        self.last_exchange = now;
        if exchange == Exchange::Forgotten {
            return;
        }
        let answer = self.unwrap(response);
        log::trace!("< {answer:04X?}");
        if let Err(ScpError::Refused(sw)) = answer {
            self.card.sw = sw;
        }
        let unpaired = matches!(self.link, Link::Up(Stage::Unpaired));
        if answer.is_ok() && (self.channel.is_some() || unpaired) {
            self.failures = 0;
        }
        let lost = match answer {
            Ok(_) => false,
            // Bare status words: no session, or none of the applet that was selected.
            Err(ScpError::Refused(sw)) => {
                self.channel.is_some() && matches!(sw, 0x6982 | 0x6988 | 0x6D00 | 0x6E00)
            }
            Err(_) => true,
        };
        if lost {
            self.lost(now, exchange);
            self.trouble(now, Trouble::Session);
            return;
        }
        match exchange {
            Exchange::Select => self.selected(answer),
            Exchange::Info => self.info_answered(answer),
            Exchange::Initialize => self.initialized(now, answer),
            Exchange::Authenticate => self.authenticated(now, answer),
            Exchange::Ecm => self.ecm_answered(now, answer),
            Exchange::Emm => self.emm_answered(now, answer),
            Exchange::Rights => self.rights_answered(answer),
            Exchange::Balance => self.balance_answered(answer),
            Exchange::Verify(ticket) => {
                let outcome = self.pin_outcome(answer);
                self.out.event(Event::Pin(PinAnswer { ticket, outcome }));
            }
            Exchange::VerifyFor(txn) => self.pin_answered(txn, answer),
            Exchange::Purchase(txn) => self.purchase_answered(now, txn, answer),
            Exchange::Query(txn) => self.query_answered(now, txn, answer),
            Exchange::Review(txn) => self.review_answered(txn, answer),
            Exchange::Report => self.report_answered(answer),
            Exchange::Ack => self.ack_answered(answer),
            Exchange::Forgotten => {}
        }
    }

    fn unwrap(&mut self, response: &[u8]) -> Answer {
        if let Some(channel) = &mut self.channel {
            return channel.unwrap(response, &mut self.plain);
        }
        let (data, sw) = response.split_last_chunk::<2>().ok_or(ScpError::Malformed("response"))?;
        self.plain.clear();
        self.plain.extend_from_slice(data);
        match u16::from_be_bytes(*sw) {
            0x9000 => Ok(0x9000),
            sw => Err(ScpError::Refused(sw)),
        }
    }

    /// The exchange on the line will get no answer.
    pub(crate) fn drop_flight(&mut self, now: Instant) {
        if let Some(exchange) = self.flight.take() {
            self.last_exchange = now;
            self.lost(now, exchange);
        }
    }

    /// What an exchange without an answer means for what it was for.
    fn lost(&mut self, now: Instant, exchange: Exchange) {
        match exchange {
            Exchange::Ecm => self.ecm_unanswered(now, AccessStatus::CARD_BUSY),
            Exchange::Emm => {
                self.emm_lost(now);
            }
            Exchange::Info => self.refresh.info = true,
            Exchange::Report => self.report_lost(),
            Exchange::Ack => self.ack_lost(),
            Exchange::Verify(ticket) => {
                self.out.event(Event::Pin(PinAnswer { ticket, outcome: PinOutcome::Failed }));
            }
            Exchange::VerifyFor(txn) => self.reopen(txn, Outcome::PinRequired),
            Exchange::Purchase(txn) | Exchange::Query(txn) => self.unsettled(txn),
            Exchange::Select
            | Exchange::Initialize
            | Exchange::Authenticate
            | Exchange::Rights
            | Exchange::Balance
            | Exchange::Review(_)
            | Exchange::Forgotten => {}
        }
    }

    fn selected(&mut self, answer: Answer) {
        match (answer, self.link) {
            (Ok(_), Link::Up(Stage::Select | Stage::Unusable)) => {
                self.link = Link::Up(Stage::Info);
            }
            _ => self.unusable(),
        }
    }

    pub(crate) fn unusable(&mut self) {
        self.wipe_all();
        self.link = Link::Up(Stage::Unusable);
        self.set_card(CardState::Unusable, AccessStatus::UNKNOWN_CARD);
    }

    fn initialized(&mut self, now: Instant, answer: Answer) {
        let Some(Handshake::Initialize(initialize)) = self.handshake.take() else { return };
        match answer.and_then(|_| initialize.answer(&self.plain)) {
            Ok(open) => {
                self.apdu.clear();
                self.apdu.extend_from_slice(open.command());
                self.handshake = Some(Handshake::Open(Box::new(open)));
                self.launch(Exchange::Authenticate, None);
            }
            Err(why) => self.pairing_failed(now, why),
        }
    }

    fn authenticated(&mut self, now: Instant, answer: Answer) {
        let Some(Handshake::Open(open)) = self.handshake.take() else { return };
        let sw = match answer {
            Ok(sw) | Err(ScpError::Refused(sw)) => sw,
            Err(_) => 0,
        };
        match open.finish(sw) {
            Ok(channel) => self.ready(channel),
            Err(why) => self.pairing_failed(now, why),
        }
    }

    fn pairing_failed(&mut self, now: Instant, why: ScpError) {
        log::warn!("the pairing does not open a session with the card: {why}");
        self.failures += 1;
        if self.failures <= Self::MAX_FAILURES {
            self.end_session(now);
        } else {
            self.failures = 0;
            self.unpaired(now);
        }
    }

    fn ready(&mut self, channel: scp03::Session) {
        self.channel = Some(channel);
        self.link = Link::Up(Stage::Ready);
        self.purse = Purse::NotRead;
        self.stats.channels += 1;
        self.card.pairing_slot = self.pairings.current().map(|pairing| pairing.slot);
        self.out.push(Todo::Ladder);
        self.refresh.state();
        self.ladder = None;
        self.review = Review::default();
        self.ask_again(|_| true);
        self.set_card(CardState::Ready, AccessStatus::PENDING);
    }
}

/// Writes the command, protected when there is a channel, into `apdu`.
pub(crate) fn build(
    channel: Option<&mut scp03::Session>,
    ins: u8,
    [p1, p2]: [u8; 2],
    data: &[u8],
    apdu: &mut Vec<u8>,
) {
    let Some(channel) = channel else {
        apdu.clear();
        apdu.extend([0x80, ins, p1, p2]);
        if let Some(lc) = u8::try_from(data.len()).ok().filter(|lc| *lc > 0) {
            apdu.push(lc);
            apdu.extend_from_slice(data);
        }
        apdu.push(0x00);
        return;
    };
    // Every length is checked at its gate, and a session that is over is never used again: what is
    // left of an error is an empty command, which no card takes.
    if let Err(why) = channel.wrap(0x80, ins, p1, p2, data, apdu) {
        log::error!("command {ins:02X} could not be protected: {why}");
        apdu.clear();
        apdu.extend([0x80, ins, p1, p2, 0x00]);
    }
}

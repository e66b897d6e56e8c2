// SPDX-License-Identifier: Apache-2.0
//! The engine itself: its state, its two doors, and what the API may ask at any time.
//!
//! What it does about one subject stands in a file of that subject below `engine/`, which adds an
//! `impl Engine`; what the subject is by itself has a room of the same name beside it. Each input
//! ends in one turn of the engine: the card gets its next command, and what has changed is
//! published.

pub(crate) mod ca_pmt;
mod card;
mod ecm;
mod emm;
mod exchange;
mod purchase;
mod report;
mod scrambling;
mod session;
mod settle;
mod turns;

use crate::card::link::{Exchange, Handshake, Link, PinRequest, Purse, Refresh};
use crate::card::pairing::Pairings;
use crate::card::review::Review;
use crate::ecm::memory::EcmMemory;
use crate::ecm::yields::{Turn, Yielded, Yields};
use crate::emm::gate::EmmGate;
use crate::emm::streams::EmmStreams;
use crate::outbox::{Outbox, Todo};
use crate::purchase::ledger::{Entry, Ledger};
use crate::purchase::request::Requests;
use crate::report::Reports;
use crate::session::Sessions;
use crate::session::programme::CardAbility;
use crate::session::stream::Held;
use crate::stats::Latencies;
use crate::{
    Access, Card, Config, ControlWords, Event, Filter, Handover, Input, Offer, Output,
    PurchaseError, Receipt, ScramblingMode, SessionId, Stats, Ticket, Transaction, TxnId, TxnState,
};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{Instant, Pid, Pseudonym};
use ecm_emm::card::{RightRow, SlotInfo, WalletInfo};
use ecm_emm::ecm::MAX_ECM;
use gp::scp03;

/// The conditional access engine of one card reader. See the crate's documentation for its rules.
pub struct Engine {
    config: Config,
    out: Outbox,
    link: Link,
    /// What the card was asked last and has not answered.
    flight: Option<Exchange>,
    handshake: Option<Handshake>,
    channel: Option<scp03::Session>,
    /// The command on the line; reused.
    apdu: Vec<u8>,
    /// The answer's plain text, and what a command is made from; reused.
    plain: Vec<u8>,
    refresh: Refresh,
    review: Review,
    /// Exchanges and channels lost in a row.
    failures: u32,
    last_exchange: Instant,
    card: Card,
    pairings: Pairings,
    /// What the descrambler made of the ladder's keys; `None` until it has said so.
    ladder: Option<Handover>,
    sessions: Sessions,
    ecm_memory: EcmMemory,
    /// The ECM that the card works on, or did last; reused.
    asked: Vec<u8>,
    ecm_yields: Yields,
    ecm_turn: Turn,
    yielded: Yielded,
    emm: EmmGate,
    emm_streams: EmmStreams,
    groups: Vec<u32>,
    /// The last card that introduced itself; kept while it is out.
    abilities: Vec<CardAbility>,
    address: Option<Pseudonym>,
    filters: Vec<Filter>,
    filters_stale: bool,
    ledger: Ledger,
    requests: Requests,
    /// Before this moment a purchase is not asked after again.
    settle_after: Instant,
    pins: VecDeque<(Ticket, PinRequest)>,
    tickets: u32,
    reports: Reports,
    rights: Vec<RightRow>,
    key_versions: Vec<SlotInfo>,
    wallet: Option<WalletInfo>,
    purse: Purse,
    stats: Stats,
    latencies: Latencies,
    /// When the engine wants to be called again.
    deadline: Option<Instant>,
}

impl Engine {
    /// An engine that waits for a card. With [`Config::probe`] its first output asks for one.
    pub fn new(mut config: Config) -> Self {
        let stored = core::mem::take(&mut config.stored);
        let ledger = Ledger::load(&stored);
        let next = ledger.next_sequence();
        let polls = config.probe.is_some();
        let mut engine = Self {
            out: Outbox::new(config.event_queue),
            link: Link::Absent { retry: polls.then(Instant::default) },
            flight: None,
            handshake: None,
            channel: None,
            apdu: Vec::with_capacity(264),
            plain: Vec::with_capacity(264),
            refresh: Refresh::default(),
            review: Review::default(),
            failures: 0,
            last_exchange: Instant::default(),
            card: Card::default(),
            pairings: Pairings::load(&stored, &config.box_key, config.stb_id),
            ladder: None,
            sessions: Sessions::new(config.max_sessions),
            ecm_memory: EcmMemory::new(),
            asked: Vec::with_capacity(MAX_ECM),
            ecm_yields: Yields::default(),
            ecm_turn: Turn::default(),
            yielded: Yielded::default(),
            emm: EmmGate::new(config.emm_queue),
            emm_streams: EmmStreams::default(),
            groups: Vec::new(),
            abilities: Vec::new(),
            address: None,
            filters: Vec::new(),
            filters_stale: false,
            requests: Requests::new(config.box_key.clone(), config.terminal, next),
            ledger,
            settle_after: Instant::default(),
            pins: VecDeque::new(),
            tickets: 0,
            reports: Reports::default(),
            rights: Vec::new(),
            key_versions: Vec::new(),
            wallet: None,
            purse: Purse::NotRead,
            stats: Stats::default(),
            latencies: Latencies::new(),
            deadline: None,
            config,
        };
        if polls {
            engine.activate();
        }
        engine
    }

    /// The rows that the storage must be asked for before [`Engine::new`].
    pub fn storage_keys() -> Vec<String> {
        Pairings::keys().chain(Ledger::keys()).collect()
    }

    /// Takes one input. Call [`Engine::poll_output`] until it says [`Output::Wait`] after it.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Section { source, pid, octets } => self.section(now, source, pid, octets),
            Input::Cat { source, section } => self.cat(source, section),
            Input::CardPresent => self.card_present(),
            Input::CardReady { atr, protocol } => self.card_ready(now, atr, protocol),
            Input::CardAbsent(why) => self.card_absent(now, why),
            Input::Response(response) => self.response(now, response),
            Input::Failed { may_have_executed, silent } => {
                self.exchange_failed(now, may_have_executed, silent);
            }
            Input::Ladder(handover) => self.ladder_handed(now, handover),
            Input::Words { session, ecm_pid, handover } => {
                self.words_handed(now, session, ecm_pid, handover);
            }
            Input::Stored(id) => self.stored(id),
            Input::StoreFailed(id) => self.store_failed(id),
            Input::Timeout => {}
        }
        self.turn(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output<'_> {
        let wait = Output::Wait(self.deadline);
        match self.next_todo() {
            None => wait,
            Some(Todo::Activate) => Output::ActivateCard,
            Some(Todo::Command { patience }) => Output::Command { apdu: &self.apdu, patience },
            Some(Todo::Ladder) => {
                self.pairings.current().map_or(wait, |pairing| Output::LoadLadder {
                    pairing_slot: pairing.slot,
                    ek2: &pairing.ek2,
                    ek1: &pairing.ek1,
                    clear_allowed: pairing.clear_allowed,
                })
            }
            Some(Todo::Set { session, pid }) => {
                self.control_words(session, pid).map_or(wait, Output::SetControlWords)
            }
            Some(Todo::Clear { session }) => Output::ClearControlWords { session },
            Some(Todo::Store(row)) => {
                let row = self.out.hand_over(row);
                Output::Store { id: row.id, key: &row.key, value: &row.value }
            }
            Some(Todo::Event(event)) => Output::Event(event),
        }
    }

    /// Passes over what has lost its object meanwhile: keys that were wiped before they were taken.
    /// A ladder whose keys were refused gets them once more before it gets words.
    fn next_todo(&mut self) -> Option<Todo> {
        loop {
            let todo = self.out.pop()?;
            let stands = match &todo {
                Todo::Ladder => self.pairings.current().is_some(),
                Todo::Set { session, pid } => self.control_words(*session, *pid).is_some(),
                _ => true,
            };
            if !stands {
                continue;
            }
            if matches!(todo, Todo::Set { .. }) && self.ladder == Some(Handover::Refused) {
                self.ladder = None;
                self.out.push_again(todo);
                return Some(Todo::Ladder);
            }
            return Some(todo);
        }
    }

    /// Resets the card, or tries an empty reader at once. Keys stay until the card answers.
    pub fn card_reset(&mut self, now: Instant) {
        if !matches!(self.link, Link::Activating) {
            self.drop_flight(now);
            self.activate();
        }
        self.turn(now);
    }

    /// The section filters wanted now.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The access of a session; `None` for an id that is not open.
    pub fn access(&self, session: SessionId) -> Option<Access> {
        self.sessions.find(session).map(|session| session.access)
    }

    /// What is known of the card in the reader; without one, why there is none.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What can be bought in a session.
    pub fn offers(&self, session: SessionId) -> impl Iterator<Item = Offer> + '_ {
        let session = self.sessions.find(session);
        session.into_iter().flat_map(|session| session.offers().map(|(offer, _)| *offer))
    }

    /// The rights on the card, as read after the last change.
    pub fn rights(&self) -> &[RightRow] {
        &self.rights
    }

    /// The purse, as read after the last change.
    pub fn wallet(&self) -> Option<WalletInfo> {
        self.wallet
    }

    /// How a purchase stands.
    pub fn purchase(&self, txn: TxnId) -> Result<Transaction, PurchaseError> {
        self.ledger.of_txn(txn).map(|entry| entry.transaction()).ok_or(PurchaseError::NoTransaction)
    }

    /// The receipts of purchases made here, oldest first; also of those that were refunded.
    pub fn receipts(&self) -> impl Iterator<Item = (TxnId, Receipt)> + '_ {
        let paid = |entry: &&Entry| matches!(entry.state(), TxnState::Paid | TxnState::Refunded);
        let entries = self.ledger.entries().iter().filter(paid);
        entries.filter_map(|entry| Some((entry.id, entry.receipt?)))
    }

    /// The service keys' generations, as read after the last change.
    pub fn key_versions(&self) -> &[SlotInfo] {
        &self.key_versions
    }

    /// The counters as they are now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.events_lost = self.out.lost_total;
        self.latencies.report(&mut stats);
        stats
    }

    /// What follows every input and call: the card gets its next command, and what changed is
    /// published.
    pub(crate) fn turn(&mut self, now: Instant) {
        self.pump(now);
        self.publish_access(now);
        self.publish_filters();
        let of_sessions = self.sessions.iter().filter_map(|session| session.deadline(now));
        self.deadline = of_sessions.chain(self.card_deadline()).min();
    }

    fn control_words(&self, session: SessionId, pid: Pid) -> Option<ControlWords<'_>> {
        let session = self.sessions.find(session)?;
        let stream = session.stream(pid)?;
        let keys = stream.keys.as_ref()?;
        Some(ControlWords {
            session: session.id,
            source: session.source,
            ecm_pid: stream.plan.ecm_pid,
            es_pids: &stream.plan.es_pids,
            mode: ScramblingMode::of(session.programme.signalled, keys.words),
            even: &keys.even,
            odd: &keys.odd,
            crypto_period: keys.crypto_period,
            parity: cam_types::Parity::of_crypto_period(keys.crypto_period),
            cci: keys.cci,
            preview: keys.preview,
        })
    }

    /// Without the ladder's keys no words open: those on their way count as refused.
    fn ladder_handed(&mut self, now: Instant, handover: Handover) {
        self.ladder = Some(handover);
        if handover == Handover::Refused {
            self.out.withdraw_words();
        }
        for session in self.sessions.iter_mut() {
            let id = session.id;
            for stream in session.streams.iter_mut().filter(|stream| stream.keys.is_some()) {
                match (handover, stream.held) {
                    (Handover::Refused, _) => stream.held = Held::Refused { at: now },
                    (Handover::Taken, Held::Refused { .. }) => stream.hand_over(id, &mut self.out),
                    (Handover::Taken, _) => {}
                }
            }
        }
    }

    /// Words that were wiped meanwhile are nobody's any more; under a ladder without its keys they
    /// open nothing, whatever is said of them.
    fn words_handed(&mut self, now: Instant, session: SessionId, ecm_pid: Pid, handover: Handover) {
        let Some(session) = self.sessions.find_mut(session) else { return };
        let streams = session.streams.iter_mut();
        for stream in streams.filter(|stream| stream.plan.ecm_pid == ecm_pid) {
            if stream.keys.is_some() {
                stream.held = match (handover, self.ladder) {
                    (Handover::Refused, _) | (_, Some(Handover::Refused)) => {
                        Held::Refused { at: now }
                    }
                    (Handover::Taken, _) => Held::Taken,
                };
            }
        }
    }

    /// This ECM is repeated on air: where its words were refused, they are handed over again.
    pub(crate) fn hand_over_again(&mut self, now: Instant, source: u8, section: &[u8]) {
        for session in self.sessions.iter_mut().filter(|session| session.source == source) {
            let id = session.id;
            let streams = session.streams.iter_mut().filter(|stream| stream.refused_long_ago(now));
            for stream in streams.filter(|stream| stream.gate.stands(section)) {
                stream.hand_over(id, &mut self.out);
            }
        }
    }

    /// Wipes the keys of all sessions. What they were asked stays, to be asked again.
    pub(crate) fn wipe_all(&mut self) {
        for session in self.sessions.iter_mut() {
            if session.drop_keys() {
                self.stats.cw_cleared += 1;
                self.out.push_clear(session.id);
            }
            for stream in &mut session.streams {
                stream.forget_card();
                if let Some(offer) = stream.offer.take() {
                    self.out.event(Event::OfferGone { session: session.id, offer: offer.id });
                }
            }
        }
    }

    fn publish_filters(&mut self) {
        if core::mem::take(&mut self.filters_stale) {
            let filters = self.wanted_filters();
            if filters != self.filters {
                self.filters = filters;
                self.out.event(Event::Filters);
            }
        }
    }
}

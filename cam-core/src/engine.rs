// SPDX-License-Identifier: Apache-2.0
//! The engine itself: its state, its two doors, and what the API may ask at any time.
//!
//! What it does about one subject stands in a file of that subject below `engine/`, which adds an
//! `impl Engine`; what the subject is by itself has a room of the same name beside it. Each input
//! ends in one turn of the engine: the card gets its next command, and what has changed is
//! published.

pub(crate) mod ca_pmt;
mod card;
mod descrambler;
mod ecm;
mod emm;
mod exchange;
mod filters;
mod info;
mod pin;
mod purchase;
mod refresh;
mod report;
mod resync;
mod scrambling;
mod sections;
mod session;
mod turns;

use crate::card::dialogue::CardDialogue;
use crate::card::key_versions::KeyVersions;
use crate::card::pairing::{Pairing, Pairings};
use crate::card::refresh::Refresh;
use crate::ecm::hold::Hold;
use crate::ecm::queue::EcmQueue;
use crate::emm::queue::EmmQueue;
use crate::emm::streams::EmmStreams;
use crate::filter::published::Filters;
use crate::outbox::{Outbox, Todo};
use crate::pause::Pause;
use crate::pin::Pins;
use crate::purchase::Purchases;
use crate::report::Reports;
use crate::session::Session;
use crate::session::places::Sessions;
use crate::{
    Access, Card, Config, Filter, FilterUse, Input, Offer, Output, PurchaseError, Receipt,
    SessionId, Stats, Transaction, TxnId,
};
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::Instant;
use ecm_emm::card::{RightRow, SlotInfo, WalletInfo};

/// The conditional access engine of one card reader. See the crate's documentation for its rules.
pub struct Engine {
    config: Config,
    out: Outbox,
    dialogue: CardDialogue,
    refresh: Refresh,
    card: Card,
    pairings: Pairings,
    sessions: Sessions,
    ecm: EcmQueue,
    emm: EmmQueue,
    hold: Hold,
    emm_streams: EmmStreams,
    filters: Filters,
    purchases: Purchases,
    pins: Pins,
    reports: Reports,
    key_versions: KeyVersions,
    /// Before it ends no pairing is tried once more.
    pairing_pause: Pause,
    /// When an unpaired card is asked once more who it is: somebody else may have answered.
    another_look: Instant,
    stats: Stats,
    /// When the engine wants to be called again.
    deadline: Option<Instant>,
}

impl Engine {
    /// An engine that waits for a card. With [`Config::idle_poll`] its first output asks for one.
    pub fn new(mut config: Config) -> Self {
        let stored = core::mem::take(&mut config.stored);
        let mut seed = [0; 8];
        config.entropy.fill(&mut seed);
        let mut engine = Self {
            out: Outbox::new(config.event_queue),
            dialogue: CardDialogue::new(config.idle_poll),
            refresh: Refresh::default(),
            card: Card::default(),
            pairings: Pairings::load(&stored, &config.box_key, config.stb_id),
            sessions: Sessions::new(config.max_sessions),
            ecm: EcmQueue::new(),
            emm: EmmQueue::new(config.emm_queue, u64::from_be_bytes(seed)),
            hold: Hold::default(),
            emm_streams: EmmStreams::default(),
            filters: Filters::new(config.section_filters),
            purchases: Purchases::load(&stored, config.box_key.clone(), config.terminal),
            pins: Pins::default(),
            reports: Reports::default(),
            key_versions: KeyVersions::default(),
            pairing_pause: Pause::default(),
            another_look: Instant::default(),
            stats: Stats::default(),
            deadline: None,
            config,
        };
        if engine.dialogue.polls() {
            engine.activate();
        }
        engine
    }

    /// The rows that the storage must be asked for before [`Engine::new`].
    pub fn storage_keys() -> Vec<String> {
        Pairings::keys().chain(Purchases::keys()).collect()
    }

    /// Takes one input. Call [`Engine::poll_output`] until it says [`Output::Wait`] after it.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Section { source, pid, octets } => self.section(now, source, pid, octets),
            Input::Cat { source, section } => self.cat(source, section),
            Input::CardPresent => self.card_present(),
            Input::CardReady { atr, protocol, sign_of_life } => {
                self.card_ready(now, atr, protocol, sign_of_life);
            }
            Input::Probed(probed) => self.probed(now, probed),
            Input::CardAbsent(why) => self.card_absent(now, why),
            Input::Response(response) => self.response(now, response),
            Input::Failed { may_have_executed, silent } => {
                self.exchange_failed(now, may_have_executed, silent);
            }
            Input::Ladder(handover) => self.ladder_handed(now, handover),
            Input::Cw { session, ecm_pid, handover } => {
                self.cw_handed(now, session, ecm_pid, handover);
            }
            Input::Stored(id) => self.purchases.stored(id),
            Input::StoreFailed(id) => self.purchases.store_failed(id, &mut self.out),
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
            Some(Todo::Command) => Output::Command { apdu: self.dialogue.command() },
            Some(Todo::Probe) => Output::Probe,
            Some(Todo::Ladder) => self.pairings.current().map_or(wait, Pairing::load_ladder),
            Some(Todo::Set { session, pid }) => self.ecw(session, pid).map_or(wait, Output::SetCw),
            Some(Todo::Clear { session }) => Output::ClearCw { session },
            Some(Todo::Store(row)) => {
                let row = self.out.hand_over(row);
                Output::Store { id: row.id, key: &row.key, value: &row.value }
            }
            Some(Todo::Event(event)) => Output::Event(event),
        }
    }

    /// Passes over what has lost its object meanwhile: keys that were wiped before they were taken.
    /// A ladder whose keys were refused gets them once more before it gets ECWs.
    fn next_todo(&mut self) -> Option<Todo> {
        loop {
            let todo = self.out.pop()?;
            let stands = match &todo {
                Todo::Ladder => self.pairings.current().is_some(),
                Todo::Set { session, pid } => self.ecw(*session, *pid).is_some(),
                _ => true,
            };
            if !stands {
                continue;
            }
            if matches!(todo, Todo::Set { .. }) && self.pairings.ladder_is_refused() {
                self.pairings.ladder_loads();
                self.out.push_again(todo);
                return Some(Todo::Ladder);
            }
            return Some(todo);
        }
    }

    /// Resets the card, or tries an empty reader at once. Keys stay until the card answers.
    pub fn card_reset(&mut self, now: Instant) {
        if !self.dialogue.is_activating() {
            self.drop_flight(now);
            self.activate();
        }
        self.turn(now);
    }

    /// The section filters that the demultiplexers are to have now: at most
    /// [`Config::section_filters`], and what matters most first.
    pub fn filters(&self) -> &[Filter] {
        self.filters.published()
    }

    /// What the engine has a use for: a section that none of these passes may be dropped unseen.
    pub fn wanted(&self) -> &[Filter] {
        self.filters.wanted()
    }

    /// How the filters that are wanted and those of the box fit.
    pub fn filter_use(&self) -> FilterUse {
        self.filters.in_use()
    }

    /// Another number whenever [`Engine::wanted`] is another list.
    pub fn wanted_version(&self) -> u64 {
        self.filters.version()
    }

    /// The access of a session; `None` for an id that is not open.
    pub fn access(&self, session: SessionId) -> Option<Access> {
        self.sessions.find(session).map(Session::access)
    }

    /// What is known of the card in the reader; without one, why there is none.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What can be bought in a session: what [`crate::Event::Offer`] has told and nothing ended.
    pub fn offers(&self, session: SessionId) -> impl Iterator<Item = Offer> + '_ {
        let session = self.sessions.find(session);
        session.into_iter().flat_map(|session| session.on_sale().iter().copied())
    }

    /// The rights on the card, as read after the last change.
    pub fn rights(&self) -> &[RightRow] {
        self.refresh.rows()
    }

    /// The purse, as read after the last change.
    pub fn wallet(&self) -> Option<WalletInfo> {
        self.purchases.wallet()
    }

    /// How a purchase stands.
    pub fn purchase(&self, txn: TxnId) -> Result<Transaction, PurchaseError> {
        self.purchases.transaction(txn)
    }

    /// The receipts of purchases made here, oldest first; also of those that were refunded.
    pub fn receipts(&self) -> impl Iterator<Item = (TxnId, Receipt)> + '_ {
        self.purchases.receipts()
    }

    /// The service keys' generations, as read after the last change.
    pub fn key_versions(&self) -> &[SlotInfo] {
        self.key_versions.list()
    }

    /// The counters as they are now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.event_overflow = self.out.lost_total();
        self.ecm.report(&mut stats);
        stats
    }

    /// What follows every input and call: the card gets its next command, and what changed is
    /// published.
    pub(crate) fn turn(&mut self, now: Instant) {
        self.pump(now);
        self.dialogue.clock(now);
        self.publish_offers();
        if self.dialogue.falls_silent(now) {
            self.withhold_keys();
        }
        self.publish_access(now);
        self.publish_filters(now);
        let of_sessions = self.sessions.iter().filter_map(|session| session.deadline(now));
        let own = [self.card_deadline(now), self.filters.deadline()];
        self.deadline = of_sessions.chain(own.into_iter().flatten()).min();
    }
}

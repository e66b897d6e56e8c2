// SPDX-License-Identifier: Apache-2.0
//! The ECM queue: which stream's ECM the card gets next, the one that it works on, and when ECMs
//! let others go first.
//!
//! The sections wait with their streams. What the card got, and what it refused, is one
//! for all of them.

use crate::Stats;
use crate::ecm::choice::EcmChoice;
use crate::ecm::latency::Latencies;
use crate::ecm::memory::{EcmMemory, Refusal, Until};
use crate::ecm::question::Question;
use crate::ecm::rounds::Rounds;
use crate::emm::queue::Backlog;
use alloc::vec::Vec;
use cam_types::{ChannelId, Instant};
use core::mem;
use core::time::Duration;
use ecm_emm::card::AccessStatus;
use ecm_emm::ecm::MAX_ECM;

/// See the module.
pub(crate) struct EcmQueue {
    /// The ECM that the card works on, or did last; reused.
    asked: Vec<u8>,
    /// The channel that was expected of it.
    asked_of: Option<ChannelId>,
    memory: EcmMemory,
    turn: Turn,
    yields: Yields,
    yielded: Yielded,
    rounds: Rounds,
    latencies: Latencies,
}

/// A question for the card.
pub(crate) struct Asked<'a> {
    pub(crate) question: Question<'a>,
    /// It is asked again, not new.
    pub(crate) replayed: bool,
}

/// Why an ECM lets what else waits for the card go first, once.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(crate) enum Yields {
    #[default]
    No,
    /// The last one got no answer.
    Unanswered,
    /// The last one was not authentic.
    Forged,
}

/// Who is next when an ECM gives its turn up and no money, purchase or PIN waits.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(crate) enum Yielded {
    #[default]
    ToEmms,
    /// An EMM had the last one.
    BehindEmms,
}

/// Which stream's ECM is next.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Turn {
    /// What is new on air goes before what is asked again.
    #[default]
    NewFirst,
    /// The one that has waited longest.
    Fair,
}

impl EcmQueue {
    pub(crate) fn new() -> Self {
        Self {
            asked: Vec::with_capacity(MAX_ECM),
            asked_of: None,
            memory: EcmMemory::new(),
            turn: Turn::default(),
            yields: Yields::default(),
            yielded: Yielded::default(),
            rounds: Rounds::default(),
            latencies: Latencies::new(),
        }
    }

    /// Takes the next section for the card from these streams, each with the channel that it
    /// expects.
    ///
    /// The streams take turns, and one that had none yet goes first: what is forged on one stream
    /// costs another at most one exchange. What is new on air goes before what is asked again, but
    /// not behind an ECM that was not authentic: forgeries do not hold a round up.
    pub(crate) fn take<'a>(
        &mut self,
        now: Instant,
        choices: impl Iterator<Item = (&'a mut EcmChoice, Option<ChannelId>)>,
    ) -> Option<Asked<'_>> {
        let waiting = choices.filter(|(choice, _)| choice.waits(now));
        let (next, channel) = waiting.min_by_key(|(choice, _)| {
            let later = self.turn == Turn::NewFirst && !choice.has_news();
            (later, choice.last_turn())
        })?;
        let taken = next.take(now)?;
        self.turn = Turn::NewFirst;
        self.asked.clear();
        self.asked.extend_from_slice(taken.section);
        self.asked_of = channel;
        let replayed = taken.replayed;
        Some(Asked { question: self.asked(), replayed })
    }

    /// What the card works on, or did last.
    pub(crate) fn asked(&self) -> Question<'_> {
        Question { section: &self.asked, channel: self.asked_of }
    }

    /// The card could not take it for authentic.
    pub(crate) fn refused(&mut self, status: AccessStatus) {
        let question = Question { section: &self.asked, channel: self.asked_of };
        self.memory.remember(question, Refusal::by_card(status));
        self.give_way(Yields::Forged);
    }

    /// It got no answer, or none that counts.
    pub(crate) fn unanswered(&mut self) {
        self.give_way(Yields::Unanswered);
    }

    /// It is not asked again for a while.
    pub(crate) fn set_aside(&mut self, now: Instant, status: AccessStatus) {
        let until = Until::Then(now.after(EcmChoice::ASIDE));
        let question = Question { section: &self.asked, channel: self.asked_of };
        self.memory.remember(question, Refusal { status, until });
    }

    /// What was refused on whatever stream.
    pub(crate) fn memory(&self) -> &EcmMemory {
        &self.memory
    }

    /// The card has applied an EMM: a key or a clock may have come, for want of which something was
    /// refused, and what is on air may be judged otherwise.
    pub(crate) fn card_changed(&mut self, now: Instant) {
        self.memory.forgive();
        self.rounds.card_changed(now);
    }

    /// A session with the card begins: everything is asked again anyway.
    pub(crate) fn session_begins(&mut self) {
        self.rounds = Rounds::default();
    }

    /// Begins a round in which every stream is asked about again, if one is due.
    pub(crate) fn begin_round(&mut self, now: Instant, emms: Backlog) -> bool {
        self.rounds.begin(now, emms)
    }

    /// When the next round is due.
    pub(crate) fn round_due(&self, emms: Backlog) -> Option<Instant> {
        self.rounds.due(emms)
    }

    /// Another card judges for itself.
    pub(crate) fn other_card(&mut self) {
        self.memory.clear();
    }

    fn give_way(&mut self, why: Yields) {
        self.yields = why;
        self.turn = Turn::Fair;
    }

    /// Whether others go first now. Asked once, it is answered.
    pub(crate) fn yields(&mut self) -> Yields {
        mem::take(&mut self.yields)
    }

    /// Who goes first then. EMMs, unless they had the last turn.
    pub(crate) fn yielded(&mut self) -> Yielded {
        mem::take(&mut self.yielded)
    }

    /// An EMM had the turn that an ECM gave up.
    pub(crate) fn yielded_to_emm(&mut self) {
        self.yielded = Yielded::BehindEmms;
    }

    /// An ECM has taken so long from air to its control words.
    pub(crate) fn took(&mut self, latency: Duration) {
        self.latencies.record(latency);
    }

    /// Writes the latencies into the counters.
    pub(crate) fn report(&self, stats: &mut Stats) {
        self.latencies.report(stats);
    }
}

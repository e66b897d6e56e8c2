// SPDX-License-Identifier: Apache-2.0
//! One ECM stream of a session: the choice among its ECMs, its keys, the card's last verdict,
//! its offer.

use crate::ecm::air::Air;
use crate::ecm::choice::{Accepted, Arrival, EcmChoice, Tries};
use crate::ecm::due::Due;
use crate::ecm::memory::{EcmMemory, Refusal, Until};
use crate::ecm::question::Question;
use crate::outbox::{Outbox, Todo};
use crate::session::programme::StreamPlan;
use crate::session::told::{Keys, Told, Verdict};
use crate::{Handover, Offer, ScramblingMode, SessionId};
use alloc::vec::Vec;
use cam_types::{ChannelId, Instant, StatusWord};
use core::mem;
use core::time::Duration;
use ecm_emm::card::AccessStatus;
use ecm_emm::ecm::MAX_ECM;

/// See the module.
pub(crate) struct Stream {
    plan: StreamPlan,
    choice: EcmChoice,
    air: Air,
    due: Due,
    keys: Option<Keys>,
    /// What the descrambler made of them.
    held: Held,
    /// The card's answer to the ECM that is kept.
    verdict: Verdict,
    /// The card has no room for the channel: then it is asked again.
    again: Option<Instant>,
    /// The card's last status word, whatever it was for.
    sw: StatusWord,
    /// A section that is no authentic ECM, unless the kept one is still on air.
    doubt: Option<Doubt>,
    offer: Option<Offer>,
    /// The ECM that brought the offer: what PURCHASE carries.
    offer_section: Vec<u8>,
    /// What was told last of a scrambling mode that disagrees with the control words.
    disagreement: Option<Disagreement>,
}

/// A scrambling mode that was signalled, and the other one that is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Disagreement {
    pub(crate) signalled: ScramblingMode,
    pub(crate) used: ScramblingMode,
}

/// What the descrambler made of the keys of a stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Held {
    /// It has none.
    #[default]
    Nothing,
    /// It was handed keys, and has not answered: until then nobody is told of them.
    AnswerDue,
    Taken,
    /// They were taken from it, and are given back when the card answers.
    Withheld,
    Refused {
        at: Instant,
    },
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    status: AccessStatus,
    since: Instant,
    by: Judge,
}

/// Who says that a section is no authentic ECM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judge {
    Card,
    /// It cannot be read as an ECM: the card was not asked.
    Parser,
}

impl Stream {
    /// A section that is not authentic matters once the good one has not been repeated for so long,
    /// or for so many repetition times.
    const DOUBT: Duration = Duration::from_secs(1);
    const DOUBT_REPETITIONS: u32 = 2;
    /// Keys that were refused are handed over again so much later at the earliest.
    const AGAIN: Duration = Duration::from_secs(1);
    /// The card has room for a channel more after so long, at the earliest.
    const CHANNELS: Duration = Duration::from_secs(2);

    pub(crate) fn new(plan: StreamPlan) -> Self {
        Self {
            plan,
            choice: EcmChoice::new(),
            air: Air::default(),
            due: Due::default(),
            keys: None,
            held: Held::Nothing,
            verdict: Verdict::NONE,
            again: None,
            sw: StatusWord::default(),
            doubt: None,
            offer: None,
            offer_section: Vec::with_capacity(MAX_ECM),
            disagreement: None,
        }
    }

    /// Which ECM stream it is, and what it is for.
    pub(crate) fn plan(&self) -> &StreamPlan {
        &self.plan
    }

    /// It goes on under another plan. A channel that is named now, or no longer, is another
    /// question to the card.
    pub(crate) fn goes_on(&mut self, plan: StreamPlan) {
        if self.plan.channel != plan.channel {
            self.ask_again();
        }
        self.plan = plan;
    }

    /// Keys that the descrambler is to use no more.
    pub(crate) fn drop_keys(&mut self) -> Option<Keys> {
        self.held = Held::Nothing;
        self.keys.take()
    }

    /// Hands the descrambler the keys, if there are any.
    pub(crate) fn hand_over(&mut self, session: SessionId, out: &mut Outbox) {
        if self.keys.is_some() && self.held != Held::Withheld {
            self.held = Held::AnswerDue;
            out.push(Todo::Set { session, pid: self.plan.ecm_pid });
        }
    }

    /// The descrambler is to use the keys no more, until [`Stream::give_back`]. `true` if there are
    /// any.
    pub(crate) fn withhold(&mut self) -> bool {
        if self.keys.is_some() {
            self.held = Held::Withheld;
        }
        self.keys.is_some()
    }

    /// Hands the descrambler the keys that were withheld.
    pub(crate) fn give_back(&mut self, session: SessionId, out: &mut Outbox) {
        if self.held == Held::Withheld {
            self.held = Held::Nothing;
            self.hand_over(session, out);
        }
    }

    /// The keys of the ECM that is repeated on air were refused, and it is time to try again.
    pub(crate) fn refused_long_ago(&self, now: Instant) -> bool {
        matches!(self.held, Held::Refused { at } if now.since(at) >= Self::AGAIN)
    }

    /// The keys that the descrambler uses.
    pub(crate) fn keys_in_use(&self) -> Option<&Keys> {
        self.keys.as_ref().filter(|_| self.held == Held::Taken)
    }

    /// What the card said of the section that is kept, if it has judged it since it came.
    pub(crate) fn told(&self) -> Option<Told> {
        (self.verdict.status != AccessStatus::PENDING).then(|| Told {
            verdict: self.verdict,
            keys: self.keys.clone(),
            offer: self.offer,
            sw: self.sw,
            crypto_period: self.choice.kept_period(),
        })
    }

    /// Without the ladder's keys no ECW opens.
    pub(crate) fn ladder_handed(
        &mut self,
        now: Instant,
        session: SessionId,
        handover: Handover,
        out: &mut Outbox,
    ) {
        match (handover, self.held) {
            _ if self.keys.is_none() || self.held == Held::Withheld => {}
            (Handover::Refused, _) => self.held = Held::Refused { at: now },
            (Handover::Taken, Held::Refused { .. }) => self.hand_over(session, out),
            (Handover::Taken, _) => {}
        }
    }

    /// What the descrambler made of the ECWs. Those that were wiped meanwhile are nobody's any
    /// more.
    pub(crate) fn cw_handed(&mut self, now: Instant, handover: Handover) {
        if self.keys.is_some() && self.held != Held::Withheld {
            self.held = match handover {
                Handover::Refused => Held::Refused { at: now },
                Handover::Taken => Held::Taken,
            };
        }
    }

    /// The descrambler was handed keys, and has not answered: until then nobody is told of them.
    pub(crate) fn awaits_descrambler(&self) -> bool {
        self.held == Held::AnswerDue
    }

    /// The keys that the descrambler shall have.
    pub(crate) fn keys(&self) -> Option<&Keys> {
        self.keys.as_ref()
    }

    /// Where the keys contradict the mode that is signalled: once, and again when it changes.
    pub(crate) fn disagreement(
        &mut self,
        signalled: Option<ScramblingMode>,
    ) -> Option<Disagreement> {
        let used = ScramblingMode::of(signalled, self.keys.as_ref()?.kind);
        let disagreement = signalled
            .filter(|signalled| *signalled != used)
            .map(|signalled| Disagreement { signalled, used });
        let told = mem::replace(&mut self.disagreement, disagreement);
        disagreement.filter(|_| told != disagreement)
    }

    /// What the card offers here, and the ECM that brought it.
    pub(crate) fn offer(&self) -> Option<(&Offer, &[u8])> {
        Some((self.offer.as_ref()?, self.offer_section.as_slice()))
    }

    /// The card's answer to the ECM that is kept.
    pub(crate) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The card's last status word, whatever it was for.
    pub(crate) fn sw(&self) -> StatusWord {
        self.sw
    }

    /// The status to show, and how it looks at `now`.
    pub(crate) fn status(&self, now: Instant) -> AccessStatus {
        match self.doubt {
            _ if matches!(self.held, Held::Refused { .. }) => AccessStatus::DESCRAMBLER,
            _ if self.held == Held::Withheld => AccessStatus::CARD_BUSY,
            _ if self.air.silent_at().is_some_and(|at| now >= at) => AccessStatus::NO_ECM,
            Some(doubt) if self.doubt_matters_at().is_some_and(|at| now >= at) => doubt.status,
            _ => self.verdict.status,
        }
    }

    /// The kept ECM is off the air, and the one that followed may be good after an EMM: that one is
    /// the one to ask about.
    pub(crate) fn is_followed(&self, now: Instant) -> bool {
        self.doubt.is_some_and(|doubt| Refusal::by_card(doubt.status).until == Until::Emm)
            && self.doubt_matters_at().is_some_and(|at| now >= at)
    }

    /// When `status` will change by itself.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let all = [self.doubt_matters_at(), self.air.silent_at(), self.again];
        let mut next = None;
        for at in all.into_iter().flatten() {
            if at > now && next.is_none_or(|next| at < next) {
                next = Some(at);
            }
        }
        next
    }

    fn doubt_matters_at(&self) -> Option<Instant> {
        let Doubt { since, by, .. } = self.doubt?;
        match by {
            Judge::Card if self.choice.kept().is_none() => Some(since),
            // What waits for the card may be better.
            Judge::Parser if self.choice.has_news() => None,
            Judge::Card | Judge::Parser => {
                let missed = self.air.repetition().saturating_mul(Self::DOUBT_REPETITIONS);
                Some(since.after(Self::DOUBT.max(missed)))
            }
        }
    }

    /// The kept ECM is on air, or a new authentic one came.
    fn trust(&mut self) {
        self.doubt = None;
    }

    /// The card could not take a section for authentic.
    fn doubt(&mut self, now: Instant, status: AccessStatus) {
        let since = self.doubt.map_or(now, |doubt| doubt.since);
        self.doubt = Some(Doubt { status, since, by: Judge::Card });
    }

    /// A section that should be an ECM cannot be read as one. What the card says of others counts
    /// for more.
    pub(crate) fn malformed(&mut self, now: Instant) {
        let (status, by) = (AccessStatus::MALFORMED_ECM, Judge::Parser);
        self.doubt.get_or_insert(Doubt { status, since: now, by });
    }

    /// The card is gone: what it said is void, what it was asked stays.
    pub(crate) fn forget_card(&mut self) {
        self.verdict = Verdict::NONE;
        self.again = None;
        self.doubt = None;
        self.sw = StatusWord::default();
        self.offer = None;
    }
}

/// ECMs of the stream, on air and at the card.
impl Stream {
    /// An ECM is on air, whatever is in it.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.air.heard(now);
    }

    /// No filter of the box's reaches it for the moment.
    pub(crate) fn out_of_reach(&mut self, now: Instant) {
        self.air.out_of_reach(now);
    }

    /// A filter of the box's reaches it.
    pub(crate) fn reached(&mut self, now: Instant) {
        self.air.reached(now);
    }

    /// From now on ECMs are expected.
    pub(crate) fn listen(&mut self, now: Instant) {
        self.air.listen(now);
    }

    /// A well-formed ECM of crypto period `period` came.
    pub(crate) fn ecm(
        &mut self,
        now: Instant,
        section: &[u8],
        period: u32,
        memory: &EcmMemory,
    ) -> Arrival {
        self.heard(now);
        let question = Question { section, channel: self.plan.channel };
        let arrival = self.choice.offer(now, question, period, memory);
        match arrival {
            Arrival::Kept => self.trust(),
            Arrival::Refused(status) => self.doubt(now, status),
            Arrival::Known | Arrival::Stale | Arrival::Waits | Arrival::Replaces => {}
        }
        arrival
    }

    /// The end of the time in which the next ECM may come, if something that begins now and takes
    /// so long is not over before.
    pub(crate) fn due(&self, now: Instant, takes: Duration) -> Option<Instant> {
        self.due.meets(now, takes, self.air.repetition())
    }

    /// Where its sections wait for the card, and the channel that is expected of them.
    pub(crate) fn choice(&mut self) -> (&mut EcmChoice, Option<ChannelId>) {
        (&mut self.choice, self.plan.channel)
    }

    /// The card's answer says something about this stream.
    fn asks(&self, question: Question<'_>) -> bool {
        self.plan.channel == question.channel && self.choice.concerns(question.section)
    }

    /// The section is the kept one, and the card is not to be asked about it again.
    pub(crate) fn stands(&self, section: &[u8]) -> bool {
        self.choice.stands(section)
    }

    /// The section waits for the card here.
    pub(crate) fn has_waiting(&self, section: &[u8]) -> bool {
        self.choice.has_waiting(section)
    }

    /// The kept ECM goes to the card again, which may judge otherwise now.
    pub(crate) fn ask_again(&mut self) {
        self.choice.replay();
    }

    /// The card had no room for the channel, and may have it by now.
    pub(crate) fn ask_again_when_due(&mut self, now: Instant) {
        if self.again.take_if(|at| now >= *at).is_some() {
            self.ask_again();
        }
    }

    /// The card's answer to the question came with this status word.
    pub(crate) fn answered(&mut self, question: Question<'_>, sw: StatusWord) {
        if self.asks(question) {
            self.sw = sw;
        }
    }

    /// The card could not take the section for authentic. The keys of the good one, and the good
    /// one itself, stay as they are.
    pub(crate) fn refused(&mut self, now: Instant, question: Question<'_>, status: AccessStatus) {
        if self.asks(question) {
            self.choice.refused(question.section);
            self.doubt(now, status);
        }
    }

    /// The section got no answer, or none that counts.
    pub(crate) fn unanswered(
        &mut self,
        now: Instant,
        question: Question<'_>,
        status: AccessStatus,
    ) -> Tries {
        if !self.asks(question) {
            return Tries::Left;
        }
        let tries = self.choice.unanswered(question.section);
        if tries == Tries::Spent {
            self.doubt(now, status);
        }
        tries
    }

    /// The card has judged the section. `None` when it says nothing about this stream.
    pub(crate) fn judged(
        &mut self,
        now: Instant,
        session: SessionId,
        question: Question<'_>,
        told: &Told,
    ) -> Option<Judged> {
        if !self.asks(question) {
            return None;
        }
        let section = question.section;
        let accepted = self.choice.accepted(now, section, told.crypto_period);
        if let Some(since) = accepted.since {
            self.due.came(told.crypto_period, since);
        }
        let had_keys = self.keys.is_some();
        self.take(session, told, section);
        let waits = told.verdict.status == AccessStatus::CHANNELS;
        self.again = waits.then(|| now.after(Self::CHANNELS));
        Some(Judged { accepted, lost_keys: had_keys && self.keys.is_none() })
    }

    /// Takes what the card said of the section that is now kept.
    fn take(&mut self, session: SessionId, told: &Told, section: &[u8]) {
        self.trust();
        self.verdict = told.verdict;
        self.sw = told.sw;
        match &told.keys {
            Some(keys) => self.keys = Some(keys.clone()),
            None => {
                self.drop_keys();
            }
        }
        let offer = told.offer.map(|offer| offer.of_session(session));
        if offer.is_some() {
            self.offer_section.clear();
            self.offer_section.extend_from_slice(section);
        }
        self.offer = offer;
    }
}

/// What the card's verdict on an ECM changed in a stream that has it.
pub(crate) struct Judged {
    pub(crate) accepted: Accepted,
    /// It had keys, and has none any more.
    pub(crate) lost_keys: bool,
}

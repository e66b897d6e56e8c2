// SPDX-License-Identifier: Apache-2.0
//! One ECM stream of a session: its gate, its keys, the card's last word on it, its offer.

use crate::ecm::air::Air;
use crate::ecm::gate::EcmGate;
use crate::ecm::memory::{Refusal, Until};
use crate::outbox::{Outbox, Todo};
use crate::session::programme::StreamPlan;
use crate::{Offer, OfferId, OfferKind, ScramblingMode, SessionId};
use alloc::vec::Vec;
use cam_types::{CasTime, Instant};
use core::mem;
use core::time::Duration;
use ecm_emm::card::{self, AccessStatus, EcmAnswer};
use ecm_emm::ecm::{EcmHeader, EcmKind, MAX_ECM};
use zeroize::Zeroize;

/// See the module.
pub(crate) struct Stream {
    pub(crate) plan: StreamPlan,
    pub(crate) gate: EcmGate,
    pub(crate) air: Air,
    pub(crate) keys: Option<Keys>,
    /// What the descrambler made of them.
    pub(crate) held: Held,
    /// The card's answer to the ECM that is kept.
    pub(crate) word: Word,
    /// The card's last status word, whatever it was for.
    pub(crate) sw: u16,
    /// A section that is no authentic ECM, unless the kept one is still on air.
    doubt: Option<Doubt>,
    pub(crate) offer: Option<Offer>,
    /// The ECM that brought the offer: what PURCHASE carries.
    pub(crate) offer_section: Vec<u8>,
    /// What was told last of a scrambling mode that disagrees with the control words.
    pub(crate) disagreement: Option<Disagreement>,
}

/// A scrambling mode that was signalled, and the other one that is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Disagreement {
    pub(crate) signalled: ScramblingMode,
    pub(crate) used: ScramblingMode,
}

/// What the descrambler made of the keys of a stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Held {
    /// It has none.
    #[default]
    Nothing,
    /// It was handed keys, and has not answered: until then nobody is told of them.
    AnswerDue,
    Taken,
    Refused {
        at: Instant,
    },
}

/// What the card said of an authentic ECM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Word {
    pub(crate) status: AccessStatus,
    pub(crate) cci: u8,
    pub(crate) rating: u8,
    pub(crate) pin_needed: bool,
    /// When the right ends that opened it.
    pub(crate) expires: Option<CasTime>,
}

impl Word {
    const NONE: Self =
        Self { status: AccessStatus::PENDING, cci: 0, rating: 0, pin_needed: false, expires: None };
}

/// What the card said of an authentic ECM, for every stream that has it.
pub(crate) struct Told {
    word: Word,
    pub(crate) keys: Option<Keys>,
    /// For whom it is, each session fills in.
    offer: Option<Offer>,
    /// The status word that it came with.
    sw: u16,
}

impl Told {
    pub(crate) fn new(header: &EcmHeader, answer: &EcmAnswer, sw: u16) -> Self {
        let pin_needed = flag(answer, EcmAnswer::PIN_NEEDED);
        let keys = answer.ecw.map(|(even, odd)| Keys {
            even,
            odd,
            words: header.kind,
            crypto_period: header.cp_number,
            cci: answer.cci.0,
            preview: answer.status == AccessStatus::PREVIEW,
        });
        let word = Word {
            status: answer.status,
            cci: answer.cci.0,
            rating: answer.rating.0,
            pin_needed,
            expires: answer.opened_by.map(|right| right.end),
        };
        let offer = answer.offer.as_ref().map(|terms| offer_of(answer, terms));
        Self { word, keys, offer, sw }
    }
}

/// The control words of an answer, still encrypted for the ladder.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) even: [u8; 16],
    pub(crate) odd: [u8; 16],
    pub(crate) crypto_period: u32,
    pub(crate) cci: u8,
    pub(crate) preview: bool,
    /// How long the control words are.
    pub(crate) words: EcmKind,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.even.zeroize();
        self.odd.zeroize();
    }
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

    pub(crate) fn new(plan: StreamPlan) -> Self {
        Self {
            plan,
            gate: EcmGate::new(),
            air: Air::default(),
            keys: None,
            held: Held::Nothing,
            word: Word::NONE,
            sw: 0,
            doubt: None,
            offer: None,
            offer_section: Vec::with_capacity(MAX_ECM),
            disagreement: None,
        }
    }

    /// Takes what the card said of the section that is now kept. Gives the offer that was there.
    pub(crate) fn take(
        &mut self,
        session: SessionId,
        told: &Told,
        section: &[u8],
    ) -> Option<Offer> {
        self.trust();
        self.word = told.word;
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
        mem::replace(&mut self.offer, offer)
    }

    /// Keys that the descrambler is to use no more.
    pub(crate) fn drop_keys(&mut self) -> Option<Keys> {
        self.held = Held::Nothing;
        self.keys.take()
    }

    /// Hands the descrambler the keys, if there are any.
    pub(crate) fn hand_over(&mut self, session: SessionId, out: &mut Outbox) {
        if self.keys.is_some() {
            self.held = Held::AnswerDue;
            out.push(Todo::Set { session, pid: self.plan.ecm_pid });
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
        (self.word.status != AccessStatus::PENDING).then(|| Told {
            word: self.word,
            keys: self.keys.clone(),
            offer: self.offer,
            sw: self.sw,
        })
    }

    /// The status to show, and how it looks at `now`.
    pub(crate) fn status(&self, now: Instant) -> AccessStatus {
        match self.doubt {
            _ if matches!(self.held, Held::Refused { .. }) => AccessStatus::DESCRAMBLER,
            _ if self.air.silent_at().is_some_and(|at| now >= at) => AccessStatus::NO_ECM,
            Some(doubt) if self.doubt_matters_at().is_some_and(|at| now >= at) => doubt.status,
            _ => self.word.status,
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
        let [doubt, silence] = [self.doubt_matters_at(), self.air.silent_at()];
        let mut next = None;
        for at in [doubt, silence].into_iter().flatten() {
            if at > now && next.is_none_or(|next| at < next) {
                next = Some(at);
            }
        }
        next
    }

    fn doubt_matters_at(&self) -> Option<Instant> {
        let Doubt { since, by, .. } = self.doubt?;
        match by {
            Judge::Card if self.gate.kept().is_none() => Some(since),
            // What waits for the card may be better.
            Judge::Parser if self.gate.has_news() => None,
            Judge::Card | Judge::Parser => {
                let missed = self.air.repetition().saturating_mul(Self::DOUBT_REPETITIONS);
                Some(since.after(Self::DOUBT.max(missed)))
            }
        }
    }

    /// The kept ECM is on air, or a new authentic one came.
    pub(crate) fn trust(&mut self) {
        self.doubt = None;
    }

    /// The card could not take a section for authentic.
    pub(crate) fn doubt(&mut self, now: Instant, status: AccessStatus) {
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
        self.word = Word::NONE;
        self.doubt = None;
        self.sw = 0;
    }
}

/// What the card offers, for any session.
fn offer_of(answer: &EcmAnswer, terms: &card::Offer) -> Offer {
    let kind = if terms.kind == card::Offer::PPT { OfferKind::Slice } else { OfferKind::Event };
    let nobody = SessionId(0);
    Offer {
        id: OfferId::new(terms.event.value(), nobody, kind),
        session: nobody,
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

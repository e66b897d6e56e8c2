//! One ECM stream of a session: its gate, its keys, the card's last word on it, its offer.

use alloc::vec::Vec;
use core::time::Duration;

use cam_types::{CasTime, Instant};
use zeroize::Zeroize;

use crate::Offer;
use crate::ecm_gate::EcmGate;
use crate::programme::StreamPlan;
use crate::scrambling::Disagreement;
use ecm_emm::card::AccessStatus;
use ecm_emm::ecm::{EcmKind, MAX_ECM};

/// See the module.
pub(crate) struct Stream {
    pub(crate) plan: StreamPlan,
    pub(crate) gate: EcmGate,
    pub(crate) keys: Option<Keys>,
    /// The card's answer to the ECM that is kept.
    pub(crate) word: Word,
    /// The card's last status word, whatever it was for.
    pub(crate) sw: u16,
    /// A section that the card could not take for authentic, unless the kept one is still on air.
    doubt: Option<Doubt>,
    pub(crate) offer: Option<Offer>,
    /// The ECM that brought the offer: what PURCHASE carries.
    pub(crate) offer_section: Vec<u8>,
    /// What was told last of a scrambling mode that disagrees with the control words.
    pub(crate) disagreement: Option<Disagreement>,
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

/// The control words of an answer, still encrypted for the ladder.
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
}

impl Stream {
    /// A section that is not authentic matters once the good one has not been repeated for so long.
    const DOUBT: Duration = Duration::from_secs(1);

    pub(crate) fn new(plan: StreamPlan) -> Self {
        Self {
            plan,
            gate: EcmGate::new(),
            keys: None,
            word: Word::NONE,
            sw: 0,
            doubt: None,
            offer: None,
            offer_section: Vec::with_capacity(MAX_ECM),
            disagreement: None,
        }
    }

    /// The status to show, and how it looks at `now`.
    pub(crate) fn status(&self, now: Instant) -> AccessStatus {
        match self.doubt {
            Some(doubt) if self.gate.kept().is_none() || now >= doubt.matters_at() => doubt.status,
            _ => self.word.status,
        }
    }

    /// When `status` will change by itself.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.doubt.map(Doubt::matters_at).filter(|at| *at > now && self.gate.kept().is_some())
    }

    /// The kept ECM is on air, or a new authentic one came.
    pub(crate) fn trust(&mut self) {
        self.doubt = None;
    }

    /// The card could not take a section for authentic.
    pub(crate) fn doubt(&mut self, now: Instant, status: AccessStatus) {
        let since = self.doubt.map_or(now, |doubt| doubt.since);
        self.doubt = Some(Doubt { status, since });
    }

    /// The card is gone: what it said is void, what it was asked stays.
    pub(crate) fn forget_card(&mut self) {
        self.word = Word::NONE;
        self.doubt = None;
        self.sw = 0;
    }
}

impl Doubt {
    fn matters_at(self) -> Instant {
        self.since.after(Stream::DOUBT)
    }
}

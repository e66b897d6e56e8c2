// SPDX-License-Identifier: Apache-2.0
//! A message to the card (EMM) while it is applied: the key that carries it, what its commands do,
//! and how it ends. Alike in every application that takes messages.

use crate::context::Violation;
use crate::decide::decide;
use crate::stop::Stop;
use cam_types::{DecodeError, Epoch};
use ecm_emm::OpenError;
use ecm_emm::card::{EmmDetail, EmmOutcome, EmmResult};
use ecm_emm::emm::{KeyTarget, WindowCheck};
use ecm_emm::keys::{KeyContext, KeyMaterial};
use ecm_emm::suite::{SealKey, WrappedKey};

/// What a command did. Commands that do nothing do not hinder the others of their message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// It is as it says now, perhaps because it was before.
    Applied,
    /// Something newer stands.
    Stale(EmmDetail),
    /// What it would extend is not there, yet.
    Inapplicable,
}

impl Effect {
    /// The effect of two that a command has in different places.
    pub(crate) fn or(self, other: Self) -> Self {
        match self {
            Self::Applied => self,
            Self::Stale(_) if other != Self::Applied => self,
            _ => other,
        }
    }
}

/// An effect, or the reason why the whole message is not applied.
pub(crate) type Outcome = Result<Effect, EmmResult>;

/// Something newer stands, or the number is too old to tell.
pub(crate) const STALE: EmmResult = EmmResult::new(EmmOutcome::STALE, EmmDetail::NONE);

/// Not yet; the carousel will bring it again.
pub(crate) const fn later(detail: EmmDetail) -> EmmResult {
    EmmResult::new(EmmOutcome::LATER, detail)
}

/// Never.
pub(crate) const fn refused<T>(detail: EmmDetail) -> Result<T, EmmResult> {
    Err(EmmResult::refused(detail))
}

/// The result of a message from the effects of its commands.
pub(crate) fn total(effects: &[Effect]) -> EmmResult {
    let stale = effects.iter().find_map(|effect| match effect {
        Effect::Stale(detail) => Some(*detail),
        _ => None,
    });
    if effects.contains(&Effect::Applied) {
        EmmResult::APPLIED
    } else if let Some(detail) = stale {
        EmmResult::new(EmmOutcome::STALE, detail)
    } else {
        later(EmmDetail::NOT_FOUND)
    }
}

/// The number is new, or this is the answer.
pub(crate) fn number(check: WindowCheck) -> Result<(), EmmResult> {
    match check {
        _ if decide(|| check == WindowCheck::New) => Ok(()),
        WindowCheck::Duplicate => Err(EmmResult::DUPLICATE),
        _ => Err(STALE),
    }
}

/// Why a message was not applied: its result, or the card's power.
pub(crate) enum Abort {
    /// Nothing has changed, and this is the answer.
    Result(EmmResult),
    /// The command ended.
    Stop(Stop),
}

impl From<Stop> for Abort {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<EmmResult> for Abort {
    fn from(result: EmmResult) -> Self {
        Self::Result(result)
    }
}

impl From<Violation> for Abort {
    fn from(violation: Violation) -> Self {
        Self::Stop(violation.into())
    }
}

/// The answer to a message whose seal does not open.
pub(crate) const fn not_opened(error: OpenError) -> EmmDetail {
    match error {
        OpenError::Permission => EmmDetail::PERMISSION,
        OpenError::Suite => EmmDetail::SUITE,
        OpenError::Authentication => EmmDetail::AUTHENTICATION,
        OpenError::Body(DecodeError::Unknown { .. }) => EmmDetail::UNKNOWN_TAG,
        _ => EmmDetail::MALFORMED,
    }
}

/// The key that carries a message.
pub(crate) struct Carrier {
    pub key: SealKey,
    /// What it was derived for.
    pub context: KeyContext,
    /// The number of the message.
    pub number: u32,
}

impl Carrier {
    /// A key that came wrapped under this one.
    pub(crate) fn unwrap(&self, wrapped: &WrappedKey) -> Result<KeyMaterial, EmmResult> {
        self.key
            .unwrap(&self.context, wrapped)
            .map_err(|_| EmmResult::refused(EmmDetail::AUTHENTICATION))
    }

    /// A key of 128 bits that came wrapped under this one.
    pub(crate) fn unwrap_short(&self, wrapped: [u8; 24]) -> Result<KeyMaterial, EmmResult> {
        self.unwrap(&WrappedKey::Short(wrapped))
    }

    /// The carrier's own generation, if `target` is the key that carries.
    pub(crate) fn epoch_in(&self, target: KeyTarget) -> Option<Epoch> {
        (target.role(self.context.role) == Some(self.context.role)).then_some(self.context.epoch)
    }
}

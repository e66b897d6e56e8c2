// SPDX-License-Identifier: Apache-2.0
//! May this be watched, and if not, why not and who can change it: what a session shows the
//! middleware.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 3.1; the same numbers are the C ABI's reasons

use cam_types::{CaSystemId, CasTime, OperatorId};
use ecm_emm::card::AccessStatus;

/// The answer to "may this be watched, and if not, why not".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Access {
    /// The family of `reason`.
    pub state: AccessState,
    /// The reason in one number.
    pub reason: AccessStatus,
    /// Who or what can change it.
    pub remedy: Remedy,
    /// The card's last status word for this session, 0 when it has not spoken yet.
    pub sw: u16,
    /// The CA system that the session uses, if one is ours.
    pub ca_system_id: Option<CaSystemId>,
    /// The operator of the ECM stream in use.
    pub operator: Option<OperatorId>,
    /// Copy control information of the last answer.
    pub cci: u8,
    /// The rating of the last answer.
    pub rating: u8,
    /// The card wants the PIN for the programme on air.
    pub pin_needed: bool,
    /// The end of the right that granted, if the card has told it.
    pub expires: Option<CasTime>,
    /// How many offers [`crate::Engine::offers`] has for the session.
    pub offers: u8,
    /// The crypto period of the keys in use, if there are any.
    pub crypto_period: Option<u32>,
}

/// The families of access reasons, from the best to the worst: of several ECM streams a session
/// shows the one that is worst off.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum AccessState {
    /// The programme is not scrambled.
    Clear,
    /// Keys are given.
    Granted,
    /// Keys are given for a trial.
    Preview,
    /// The card has not been asked yet.
    #[default]
    Pending,
    /// It can be bought.
    Purchasable,
    /// The card says no.
    Denied,
    /// Something does not work.
    Technical,
}

/// Who or what changes a refusal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Remedy {
    /// Nothing needs to change.
    #[default]
    None,
    /// Time: it will settle by itself.
    Wait,
    /// A message of the operator: a right, a key, a pairing.
    Emm,
    /// The subscriber's PIN.
    Pin,
    /// Money: buy it, or load the purse.
    Money,
    /// Somebody who looks at the box or the card.
    Technician,
}

impl AccessState {
    pub(crate) fn of(status: AccessStatus) -> Self {
        match status.0 {
            0x00 => Self::Pending,
            0x01..=0x0F => Self::Granted,
            0x10..=0x1F => Self::Preview,
            0x20..=0x2F => Self::Purchasable,
            0x30..=0x3F => Self::Denied,
            0x7F => Self::Clear,
            _ => Self::Technical,
        }
    }
}

impl Access {
    /// An access with nothing but its reason.
    pub(crate) fn of(reason: AccessStatus) -> Self {
        let mut access = Self {
            state: AccessState::of(reason),
            reason,
            remedy: Remedy::None,
            sw: 0,
            ca_system_id: None,
            operator: None,
            cci: 0,
            rating: 0,
            pin_needed: false,
            expires: None,
            offers: 0,
            crypto_period: None,
        };
        access.settle_remedy();
        access
    }

    /// Who or what changes `reason`.
    pub(crate) fn settle_remedy(&mut self) {
        self.remedy = match self.reason {
            AccessStatus::PURCHASABLE if self.pin_needed => Remedy::Pin,
            AccessStatus::PURCHASABLE | AccessStatus::FUNDS | AccessStatus::PREVIEW_USED => {
                Remedy::Money
            }
            AccessStatus::RATING => Remedy::Pin,
            AccessStatus::PENDING
            | AccessStatus::NOT_YET_VALID
            | AccessStatus::BLACKOUT
            | AccessStatus::CARD_BUSY
            | AccessStatus::CLOCK
            | AccessStatus::OUTCOME_UNKNOWN
            | AccessStatus::NO_ECM => Remedy::Wait,
            AccessStatus::NO_RIGHT
            | AccessStatus::EXPIRED
            | AccessStatus::NOT_PAIRED
            | AccessStatus::PAIRED_ELSEWHERE
            | AccessStatus::LOG_FULL
            | AccessStatus::EMM_NEEDED
            | AccessStatus::NO_KEY => Remedy::Emm,
            _ => match self.state {
                AccessState::Denied | AccessState::Technical => Remedy::Technician,
                _ => Remedy::None,
            },
        };
    }
}

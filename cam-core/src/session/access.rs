// SPDX-License-Identifier: Apache-2.0
//! May this be watched, and if not, why not and who can change it: what a session shows the
//! middleware.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 3.1; the same numbers are the C ABI's reasons

use cam_types::{CaSystemId, CasTime, OperatorId, StatusWord};
use ecm_emm::card::{AccessState, AccessStatus, Remedy};

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
    pub sw: StatusWord,
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
    /// It opens until then, and from then on only if the card had an EMM before: the remedy is the
    /// one of [`AccessStatus::EMM_NEEDED`].
    pub update_by: Option<CasTime>,
    /// How many offers [`crate::Engine::offers`] has for the session.
    pub offers: u8,
    /// The crypto period of the keys in use, if there are any.
    pub crypto_period: Option<u32>,
}

/// What the event of an access carries: while it stays, nothing is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Standing {
    reason: AccessStatus,
    remedy: Remedy,
    has_keys: bool,
}

/// What may be done with the programme, as the event of it carries it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Terms {
    cci: u8,
    rating: u8,
    pin_needed: bool,
    expires: Option<CasTime>,
    update_by: Option<CasTime>,
}

impl Access {
    pub(crate) const fn standing(&self) -> Standing {
        let has_keys = self.crypto_period.is_some();
        Standing { reason: self.reason, remedy: self.remedy, has_keys }
    }

    pub(crate) const fn terms(&self) -> Terms {
        let Self { cci, rating, pin_needed, expires, update_by, .. } = *self;
        Terms { cci, rating, pin_needed, expires, update_by }
    }

    /// An access with nothing but its reason.
    pub(crate) fn of(reason: AccessStatus) -> Self {
        Self {
            state: AccessState::of(reason),
            reason,
            remedy: reason.remedy(),
            sw: StatusWord::default(),
            ca_system_id: None,
            operator: None,
            cci: 0,
            rating: 0,
            pin_needed: false,
            expires: None,
            update_by: None,
            offers: 0,
            crypto_period: None,
        }
    }
}

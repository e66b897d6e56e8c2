// SPDX-License-Identifier: Apache-2.0
//! The card as the host sees it; below, the dialogue with it, the pairings that open a session with
//! it, and what is read back from it.

pub(crate) mod dialogue;
pub(crate) mod exchange;
pub(crate) mod key_versions;
pub(crate) mod pace;
pub(crate) mod pairing;
pub(crate) mod refresh;
mod rights;
mod setbacks;
mod silence;

use alloc::vec::Vec;
use cam_types::{CasTime, OperatorId, Pseudonym, StatusWord};
use ecm_emm::card::AccessStatus;

/// The card, as far as it has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CardState {
    /// No card answers.
    Absent,
    /// Its reset, or its selection, is on the way; or nobody has looked yet whether there is one.
    #[default]
    Starting,
    /// A card that cannot be used; `reason` says why.
    Unusable,
    /// Not paired with this box: it takes EMMs only.
    Unpaired,
    /// In session.
    Ready,
}

/// What is known of the card.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Card {
    /// How far it has come.
    pub state: CardState,
    /// Why it is not further; CARD_READY, or CARD_BLOCKED, in session.
    pub reason: AccessStatus,
    /// Its answer to reset.
    pub atr: Vec<u8>,
    /// The transmission protocol, 0 or 1.
    pub protocol: u8,
    /// What it is called on the air.
    pub pseudonym: Option<Pseudonym>,
    /// The operator that issued it; none before the card has introduced itself.
    pub operator: Option<OperatorId>,
    /// The operator has blocked it.
    pub blocked: bool,
    /// PIN tries left.
    pub pin_tries: Option<u8>,
    /// The pairing slot in use.
    pub pairing_slot: Option<u8>,
    /// The pairing slots that are taken, bit n for slot n.
    pub pairing_slots: u8,
    /// The status word of its last refusal.
    pub sw: StatusWord,
    /// The card's clock.
    pub now: Option<CasTime>,
}

impl Default for Card {
    fn default() -> Self {
        Self {
            state: CardState::Starting,
            reason: AccessStatus::PENDING,
            atr: Vec::new(),
            protocol: 0,
            pseudonym: None,
            operator: None,
            blocked: false,
            pin_tries: None,
            pairing_slot: None,
            pairing_slots: 0,
            sw: StatusWord::default(),
            now: None,
        }
    }
}

impl Card {
    /// How a programme stands that the card has not been asked about yet.
    pub(crate) fn prospect(&self) -> AccessStatus {
        if self.reason == AccessStatus::CARD_READY { AccessStatus::PENDING } else { self.reason }
    }

    /// What another card has said of itself.
    pub(crate) fn forget_told(&mut self) {
        self.operator = None;
        self.blocked = false;
        self.pin_tries = None;
        self.now = None;
    }

    /// Whether it has said in a session what it is.
    pub(crate) const fn is_told(&self) -> bool {
        self.pin_tries.is_some()
    }

    /// Why a card in session stands as it does.
    pub(crate) const fn session_reason(&self) -> AccessStatus {
        if self.blocked { AccessStatus::CARD_BLOCKED } else { AccessStatus::CARD_READY }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What happened, for the middleware.
//!
//! Events tell that something changed, and carry what cannot be asked for any more; everything else
//! is to be had from the engine.

use crate::{
    Access, CardState, Offer, OfferId, Outcome, PinAnswer, ScramblingMode, SessionId, TxnId,
};
use cam_types::{Epoch, Pid, Slot};
use ecm_emm::card::{AccessStatus, AckResult, WalletInfo};

/// What happened, for the middleware.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The card's state changed; [`crate::Engine::card`] has the rest.
    Card {
        /// How far the card has come.
        state: CardState,
        /// Why, in the numbers of the access reasons: PENDING on the way, CARD_READY in session.
        reason: AccessStatus,
    },
    /// A session's state, reason, remedy, or whether the descrambler has keys of it: one of these
    /// changed, or the session is new.
    Access {
        /// Whose access it is.
        session: SessionId,
        /// What it is now.
        access: Access,
    },
    /// What may be done with a session's programme changed: copy control information, rating,
    /// whether the card wants the PIN, or the end of the right.
    Terms {
        /// Whose programme it is.
        session: SessionId,
        /// What it is now.
        access: Access,
    },
    /// [`crate::Engine::filters`] changed.
    Filters,
    /// [`crate::Engine::rights`] changed.
    Rights,
    /// The purse changed, or was read for the first time.
    Wallet(WalletInfo),
    /// Something can be bought from now on, or what is told of it has changed.
    Offer(Offer),
    /// An offer has ended.
    OfferGone {
        /// The session that it belonged to.
        session: SessionId,
        /// The name under which it was told.
        offer: OfferId,
    },
    /// A purchase moved on.
    Purchase {
        /// The name that [`crate::Engine::purchase_begin`] gave.
        txn: TxnId,
        /// What it came to.
        outcome: Outcome,
    },
    /// The answer to [`crate::Engine::pin_verify`].
    Pin(PinAnswer),
    /// A service key slot works with a newer key.
    KeyRotated {
        /// The service key slot.
        slot: Slot,
        /// The generation now in use.
        epoch: Epoch,
    },
    /// A pairing for this box arrived on air or was withdrawn.
    Pairing {
        /// The pairing slot on the card.
        slot: u8,
        /// The box must not use it any more; else it is new or renewed.
        withdrawn: bool,
    },
    /// A report was read: [`crate::Engine::report_page`] has its pages.
    Report {
        /// The nonce of the request that it answers.
        nonce: [u8; 8],
        /// How many; 0 when the card did not report.
        pages: usize,
    },
    /// What the card says of an acknowledgement.
    Acknowledged {
        /// What became of it; `None` when the card did not answer.
        result: Option<AckResult>,
    },
    /// The PMT signals a scrambling mode whose control words have another length than the ECM's.
    ModeDisagrees {
        /// Whose programme it is.
        session: SessionId,
        /// Where the ECMs are.
        ecm_pid: Pid,
        /// What the scrambling_descriptor says.
        signalled: ScramblingMode,
        /// What the descrambler is told.
        used: ScramblingMode,
    },
    /// The CAT of a source names more EMM streams of ours than are served.
    EmmStreamsLeftOut {
        /// The source (demultiplexer or tuner) whose CAT it is.
        source: u8,
        /// How many are served.
        served: usize,
    },
    /// From now on PIDs take turns, for the box has fewer section filters than PIDs are wanted.
    FiltersShort {
        /// How many filters the box has.
        limit: usize,
        /// How many would be enough.
        pids: usize,
    },
    /// Events were lost because nobody took them.
    Overflow {
        /// How many.
        lost: u32,
    },
}

impl Event {
    /// It tells how something stands, and [`crate::Engine::present_state`] tells it again as far as
    /// it still holds. All others are news, which nobody has twice.
    pub const fn is_state(&self) -> bool {
        match self {
            Self::Card { .. }
            | Self::Access { .. }
            | Self::Terms { .. }
            | Self::Filters
            | Self::Rights
            | Self::Wallet(_)
            | Self::Offer(_)
            | Self::OfferGone { .. }
            | Self::Purchase { .. }
            | Self::Overflow { .. } => true,
            // One that could not be read is news.
            Self::Report { pages, .. } => *pages > 0,
            Self::Pin(_)
            | Self::KeyRotated { .. }
            | Self::Pairing { .. }
            | Self::Acknowledged { .. }
            | Self::ModeDisagrees { .. }
            | Self::EmmStreamsLeftOut { .. }
            | Self::FiltersShort { .. } => false,
        }
    }

    /// The host has asked for it, once, and waits.
    pub(crate) const fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Pin(_) | Self::Purchase { .. } | Self::Report { .. } | Self::Acknowledged { .. }
        )
    }
}

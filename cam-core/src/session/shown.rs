// SPDX-License-Identifier: Apache-2.0
//! What a session shows of the card's verdicts on its streams: the access that is told.

use crate::session::Session;
use crate::session::programme::LeftOut;
use crate::{Access, AccessState, Card, CardState};
use cam_types::Instant;
use ecm_emm::card::AccessStatus;

/// What a session shows: of several ECM streams the one that is worst off.
pub(crate) fn session_access(
    session: &Session,
    card: &Card,
    settles: bool,
    now: Instant,
) -> Access {
    let offers = session.on_sale().len().min(255) as u8;
    let worst = session.streams().iter().max_by_key(|stream| AccessState::of(stream.status(now)));
    let Some(stream) = worst else {
        return Access { offers, ..Access::of(card.unserved(session.left_out())) };
    };
    let dark = stream.keys().is_none();
    let (served, sw) = match card.state {
        CardState::Ready | CardState::Starting if dark && settles => {
            (AccessStatus::OUTCOME_UNKNOWN, card.sw)
        }
        CardState::Ready => (stream.status(now), stream.sw()),
        // While a card is started again its last verdict holds as long as its keys do.
        CardState::Starting if dark => (AccessStatus::PENDING, card.sw),
        CardState::Starting => (stream.status(now), stream.sw()),
        CardState::Absent | CardState::Unusable | CardState::Unpaired => (card.reason, card.sw),
    };
    // While a card is started again, what it is not for stands as its last verdict does.
    let told = session.left_out().filter(|why| !dark || card.tells(*why));
    let reason = with_left_out(served, told);
    let verdict = stream.verdict();
    let mut access = Access {
        sw,
        ca_system_id: Some(stream.plan().system),
        operator: stream.plan().operator,
        offers,
        crypto_period: stream.keys_in_use().map(|keys| keys.crypto_period),
        ..Access::of(reason)
    };
    if served == verdict.status {
        access.cci = verdict.cci;
        access.rating = verdict.rating;
        access.pin_needed = verdict.pin_needed;
        access.expires = verdict.expires;
        access.update_by = verdict.update_by;
        if verdict.pin_needed {
            access.remedy = reason.remedy_with_pin();
        }
    }
    access
}

/// A refusal of what is served comes first: that is what the subscriber can change. Then a
/// component that is left out.
pub(crate) fn with_left_out(served: AccessStatus, left_out: Option<LeftOut>) -> AccessStatus {
    match AccessState::of(served) {
        AccessState::Granted | AccessState::Preview | AccessState::Pending => {
            left_out.map_or(served, LeftOut::reason)
        }
        _ => served,
    }
}

impl Card {
    /// Why a programme of which no ECM stream is used stands as it does.
    pub(crate) fn unserved(&self, left_out: Option<LeftOut>) -> AccessStatus {
        match left_out {
            None => AccessStatus::CLEAR,
            Some(why) if self.tells(why) => why.reason(),
            Some(_) => self.reason,
        }
    }

    /// What a card is not for is said only while there is a card.
    pub(crate) fn tells(&self, left_out: LeftOut) -> bool {
        self.state == CardState::Ready || !left_out.is_by_card()
    }
}

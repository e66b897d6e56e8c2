// SPDX-License-Identifier: Apache-2.0
//! Which event fills which member: the table of `docs/spec/abi.md`.

use crate::access::{c_card_state, c_remedy, c_state};
use crate::event::{
    STBCAM_EV_ACCESS, STBCAM_EV_CARD, STBCAM_EV_ENTITLEMENTS, STBCAM_EV_FILTERS, STBCAM_EV_HEALTH,
    STBCAM_EV_KEY_ROTATED, STBCAM_EV_OFFER, STBCAM_EV_OFFER_GONE, STBCAM_EV_OVERFLOW,
    STBCAM_EV_PAIRING, STBCAM_EV_PURCHASE, STBCAM_EV_REPORT, STBCAM_EV_TERMS, STBCAM_EV_WALLET,
    stbcam_event_t,
};
use crate::money::{c_kind, offer_flags};
use crate::purchase::purchase_result;
use crate::purchase_text::purchase_text;
use crate::reason::{c_reason, reason_text};
use crate::report::{STBCAM_REPORT_ACKNOWLEDGED, STBCAM_REPORT_READ, acknowledged};
use crate::result::text_of;
use cam_core::{Event, Outcome};
use core::ptr;
use stb_shim::events::{Notice, Stamped};

/// No event.
pub(crate) const EMPTY: stbcam_event_t = stbcam_event_t {
    struct_size: 0,
    r#type: 0,
    flags: 0,
    seq: 0,
    monotonic_us: 0,
    utc_s: 0,
    session: 0,
    txn: 0,
    code: 0,
    arg: 0,
    id: 0,
    amount: 0,
    text: ptr::null(),
    text_len: 0,
};

/// A notice as the host sees it, and its text.
pub(crate) fn of(taken: &Stamped, language: Option<&str>) -> (stbcam_event_t, String) {
    let base = stbcam_event_t { seq: taken.sequence, monotonic_us: taken.at.as_micros(), ..EMPTY };
    match &taken.notice {
        Notice::Engine(event) => of_engine(base, event, language),
        Notice::SectionsLost { source, count } => (
            stbcam_event_t {
                r#type: STBCAM_EV_OVERFLOW,
                code: 1,
                arg: (*source).into(),
                amount: i64::try_from(*count).unwrap_or(i64::MAX),
                ..base
            },
            format!("{count} sections of source {source} were lost"),
        ),
        Notice::NoticesLost { count } => overflow(base, *count),
        Notice::Health { session, text } => {
            let session = session.map_or(0, |session| session.0);
            (stbcam_event_t { r#type: STBCAM_EV_HEALTH, session, ..base }, text.clone())
        }
    }
}

fn overflow(base: stbcam_event_t, count: u64) -> (stbcam_event_t, String) {
    let event = stbcam_event_t {
        r#type: STBCAM_EV_OVERFLOW,
        code: 2,
        amount: i64::try_from(count).unwrap_or(i64::MAX),
        ..base
    };
    (event, format!("{count} events were lost"))
}

fn of_engine(
    base: stbcam_event_t,
    event: &Event,
    language: Option<&str>,
) -> (stbcam_event_t, String) {
    let mut text = String::new();
    let value = match event {
        Event::Card { state, reason } => {
            text = reason_text(*reason, language).to_owned();
            stbcam_event_t {
                r#type: STBCAM_EV_CARD,
                code: c_card_state(*state),
                arg: c_reason(*reason),
                ..base
            }
        }
        Event::Access { session, access } => {
            text = reason_text(access.reason, language).to_owned();
            stbcam_event_t {
                r#type: STBCAM_EV_ACCESS,
                session: session.0,
                code: c_state(access.state),
                arg: c_reason(access.reason),
                flags: c_remedy(access.remedy).unsigned_abs(),
                amount: access.crypto_period.is_some().into(),
                ..base
            }
        }
        Event::Terms { session, access } => stbcam_event_t {
            r#type: STBCAM_EV_TERMS,
            session: session.0,
            code: access.rating.into(),
            flags: access.cci.into(),
            arg: access.pin_needed.into(),
            amount: access.expires.map_or(0, |end| end.to_unix()),
            id: access.update_by.map_or(0, |at| at.to_unix().unsigned_abs()),
            ..base
        },
        Event::Filters => stbcam_event_t { r#type: STBCAM_EV_FILTERS, ..base },
        Event::Rights => stbcam_event_t { r#type: STBCAM_EV_ENTITLEMENTS, ..base },
        Event::Wallet(wallet) => {
            stbcam_event_t { r#type: STBCAM_EV_WALLET, amount: wallet.balance.fen().into(), ..base }
        }
        Event::Offer(offer) => stbcam_event_t {
            r#type: STBCAM_EV_OFFER,
            session: offer.session.0,
            id: offer.id.0,
            code: c_kind(offer.kind),
            arg: offer.event.map_or(0, |event| event.value().cast_signed()),
            amount: offer.price.map_or(-1, |price| price.fen().into()),
            flags: offer_flags(offer),
            ..base
        },
        Event::OfferGone { session, offer } => {
            stbcam_event_t { r#type: STBCAM_EV_OFFER_GONE, session: session.0, id: offer.0, ..base }
        }
        Event::Purchase { txn, outcome } => {
            let (state, result) = purchase_result(outcome);
            text = purchase_text(outcome, result, language);
            let (id, amount, flags) = match outcome {
                Outcome::Paid(receipt)
                | Outcome::Refunded(receipt)
                | Outcome::Owned(Some(receipt)) => {
                    (receipt.offer.0, receipt.amount.fen().into(), 0)
                }
                Outcome::Refused { balance, .. } => {
                    (0, balance.map_or(-1, |balance| balance.fen().into()), 0)
                }
                Outcome::PinWrong { tries_left } => (0, 0, u32::from(*tries_left)),
                _ => (0, 0, 0),
            };
            stbcam_event_t {
                r#type: STBCAM_EV_PURCHASE,
                txn: txn.0,
                code: state,
                arg: result,
                id,
                amount,
                flags,
                ..base
            }
        }
        Event::KeyRotated { slot, epoch } => stbcam_event_t {
            r#type: STBCAM_EV_KEY_ROTATED,
            code: slot.value().into(),
            arg: epoch.value().into(),
            ..base
        },
        Event::Pairing { slot, withdrawn } => stbcam_event_t {
            r#type: STBCAM_EV_PAIRING,
            code: (*slot).into(),
            arg: i32::from(*withdrawn),
            ..base
        },
        Event::Report { nonce, pages } => stbcam_event_t {
            r#type: STBCAM_EV_REPORT,
            code: STBCAM_REPORT_READ,
            id: u64::from_be_bytes(*nonce),
            arg: i32::try_from(*pages).unwrap_or(i32::MAX),
            ..base
        },
        Event::Acknowledged { result } => {
            let arg = acknowledged(*result);
            text = result.map_or_else(
                || text_of(arg).to_string_lossy().into_owned(),
                |result| result.to_string(),
            );
            stbcam_event_t {
                r#type: STBCAM_EV_REPORT,
                code: STBCAM_REPORT_ACKNOWLEDGED,
                arg,
                flags: result.map_or(0, |result| result.0.into()),
                ..base
            }
        }
        Event::ModeDisagrees { session, ecm_pid, signalled, used } => {
            text = format!(
                "the PMT signals scrambling_mode 0x{:02X}, but the ECMs on PID 0x{:04X} have \
                 control words of another length: descrambled as 0x{:02X}",
                signalled.0,
                ecm_pid.value(),
                used.0
            );
            stbcam_event_t { r#type: STBCAM_EV_HEALTH, session: session.0, ..base }
        }
        Event::EmmStreamsLeftOut { source, served } => {
            text = format!(
                "the CAT of source {source} names more than {served} EMM streams: the first {served} \
                 are served, the others are not"
            );
            stbcam_event_t { r#type: STBCAM_EV_HEALTH, ..base }
        }
        Event::FiltersShort { limit, pids } => {
            text = format!(
                "section_filters is {limit}, and {pids} PIDs want one: they take turns, EMMs and new \
                 control words come later than they could"
            );
            stbcam_event_t { r#type: STBCAM_EV_HEALTH, ..base }
        }
        Event::Overflow { lost } => return overflow(base, (*lost).into()),
        // Taken by the call that asked.
        Event::Pin(_) => base,
    };
    (value, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_disagrees_is_told_with_both_modes() {
        let event = Event::ModeDisagrees {
            session: cam_core::SessionId(0x101),
            ecm_pid: cam_types::Pid::from_field(0x140),
            signalled: cam_core::ScramblingMode::CSA2,
            used: cam_core::ScramblingMode::CISSA,
        };
        let (told, text) = of_engine(EMPTY, &event, None);
        assert_eq!((told.r#type, told.session), (STBCAM_EV_HEALTH, 0x101));
        for part in ["scrambling_mode 0x02", "PID 0x0140", "as 0x10"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn emm_streams_left_out_are_told_with_their_source() {
        let event = Event::EmmStreamsLeftOut { source: 3, served: 256 };
        let (told, text) = of_engine(EMPTY, &event, None);
        assert_eq!((told.r#type, told.session), (STBCAM_EV_HEALTH, 0));
        assert!(text.contains("source 3") && text.contains("256"), "{text}");
    }

    #[test]
    fn filters_that_are_too_few_are_told_with_both_numbers() {
        let event = Event::FiltersShort { limit: 4, pids: 17 };
        let (told, text) = of_engine(EMPTY, &event, None);
        assert_eq!((told.r#type, told.session), (STBCAM_EV_HEALTH, 0));
        assert!(text.contains("section_filters is 4, and 17 PIDs"), "{text}");
    }

    #[test]
    fn health_names_the_session_that_it_is_about() {
        for (session, told) in [(Some(cam_core::SessionId(0x101)), 0x101), (None, 0)] {
            let notice = Notice::Health { session, text: "why".to_owned() };
            let stamped = Stamped { sequence: 1, at: cam_types::Instant::default(), notice };
            let (event, text) = of(&stamped, None);
            assert_eq!((event.r#type, event.session), (STBCAM_EV_HEALTH, told));
            assert_eq!(text, "why");
        }
    }
}

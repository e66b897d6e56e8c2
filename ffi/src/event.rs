// SPDX-License-Identifier: Apache-2.0
//! 6. Events
//!
//! Events are pulled: no callback runs on a hidden thread. The queue is bounded; what does not fit
//! is counted, and told by one `STBCAM_EV_OVERFLOW` in its place. A host that takes that one with
//! `code` 2 forgets the offers that it knows, calls `stbcam_resync` and goes on taking events: they
//! tell everything again as it stands. With `code` 1 sections were lost, and there is nothing to
//! do: ECMs and EMMs are repeated on air. Members that the table in docs/spec/abi.md does not name
//! for a type are 0.

use crate::size::CStruct;
use crate::types::{stbcam_session_t, stbcam_txn_t};
use core::ffi::c_char;

/// The card: `code` its state (`STBCAM_CARD_*`), `arg` the reason (`STBCAM_REASON_*`), `text`.
pub const STBCAM_EV_CARD: u32 = 1;
/// A session's access: `session`, `code` its state (`STBCAM_ACCESS_*`), `arg` the reason, `flags`
/// the remedy (`STBCAM_REMEDY_*`), `amount` 1 when the descrambler holds keys of it, `text` the
/// reason for the subscriber. It comes once for a new session, then when one of these has changed.
pub const STBCAM_EV_ACCESS: u32 = 2;
/// Other filters are wanted: call `stbcam_filters`.
pub const STBCAM_EV_FILTERS: u32 = 3;
/// The rights on the card changed: call `stbcam_entitlements`.
pub const STBCAM_EV_ENTITLEMENTS: u32 = 4;
/// The purse changed: `amount` the balance.
pub const STBCAM_EV_WALLET: u32 = 5;
/// Something can be bought from now on, or what is told of it has changed: `session`, `id` the
/// offer, `code` its kind, `amount` the price (-1 when only the card knows it), `flags`
/// `STBCAM_OFFER_*`, `arg` the event.
pub const STBCAM_EV_OFFER: u32 = 6;
/// An offer has ended, or the card that would sell it has gone: `session`, `id`.
pub const STBCAM_EV_OFFER_GONE: u32 = 7;
/// A purchase moved on: `txn`, `id` the offer, `code` its state (`STBCAM_TXN_*`), `arg` a result
/// (`STBCAM_OK` when paid, else why not), `amount` what was paid or, when refused, the balance (-1
/// when not told), `flags` the PIN tries left with `STBCAM_E_PIN_WRONG`, `text`.
pub const STBCAM_EV_PURCHASE: u32 = 8;
/// A service key slot works with a newer key: `code` the slot, `arg` the generation.
pub const STBCAM_EV_KEY_ROTATED: u32 = 9;
/// A pairing for this box came on air: `code` the slot on the card, `arg` 1 when it was withdrawn.
pub const STBCAM_EV_PAIRING: u32 = 15;
/// The reader, the storage or the descrambler does not work, or the broadcast signals what cannot
/// be, or names more EMM streams than are served: `text`, and `session` where it is about one.
pub const STBCAM_EV_HEALTH: u32 = 18;
/// Something was lost: `code` 1 sections (then `arg` is the source), 2 events (then
/// `stbcam_resync` gives everything again); `amount` how many.
pub const STBCAM_EV_OVERFLOW: u32 = 19;

/// A report of purchases: `code` one of `STBCAM_REPORT_READ`, `_ACKNOWLEDGED`. READ: `id` the nonce
/// of the request, big endian, `arg` how many pages `stbcam_report_next` has, 0 when the card did
/// not report. ACKNOWLEDGED: `arg` 0 (`STBCAM_OK`) or why not, `flags` the card's own number,
/// `text`.
pub const STBCAM_EV_REPORT: u32 = 20;

/// What may be done with a session's programme has changed: `session`, `code` the rating, `flags`
/// the copy control information, `arg` 1 when the card wants the PIN, `amount` the end of the right
/// that opened it, in seconds of the Unix epoch, 0 for none, `id` until when the operator's message
/// has to come, or 0 (`update_by_utc` of stbcam_access_t). It stands beside `STBCAM_EV_ACCESS`,
/// which says whether it may be watched.
pub const STBCAM_EV_TERMS: u32 = 21;

/// Something that happened, as `stbcam_next_event` gives it out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_event_t {
    /// sizeof(stbcam_event_t), by the caller.
    pub struct_size: usize,
    /// One of `STBCAM_EV_*`, which says what the members hold.
    pub r#type: u32,
    /// See the type.
    pub flags: u32,
    /// Counts every event, lost ones included.
    pub seq: u64,
    /// When it happened: microseconds of CLOCK_MONOTONIC.
    pub monotonic_us: u64,
    /// When it happened, as seconds of the Unix epoch; 0 before `stbcam_set_utc`.
    pub utc_s: i64,
    /// See the type.
    pub session: stbcam_session_t,
    /// See the type.
    pub txn: stbcam_txn_t,
    /// See the type.
    pub code: i32,
    /// See the type.
    pub arg: i32,
    /// See the type.
    pub id: u64,
    /// See the type. Amounts of money are in minor units (fen).
    pub amount: i64,
    /// See the type. Of CARD, ACCESS and PURCHASE for the subscriber, in the configured language;
    /// of the others for a log, in English. Ends with a zero, never NULL; lives until the next call
    /// of `stbcam_next_event` or `stbcam_close` on this context.
    pub text: *const c_char,
    /// Octets of `text`, without the zero.
    pub text_len: usize,
}

// SAFETY: repr(C), starts with struct_size; the pointer is written only.
unsafe impl CStruct for stbcam_event_t {}

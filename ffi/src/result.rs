// SPDX-License-Identifier: Apache-2.0
//! 2. Results
//!
//! Every function that can be refused returns a result: 0 is done, a negative number says why
//! not. A number is never used again for something else. `stbcam_last_error` has the details.

use core::ffi::{CStr, c_char};

/// 0 (`STBCAM_OK`) or one of `STBCAM_E_*`.
pub type stbcam_result_t = i32;

/// Done.
pub const STBCAM_OK: stbcam_result_t = 0;
/// A pointer is NULL, a number out of range, a handle stale or a text malformed.
pub const STBCAM_E_ARG: stbcam_result_t = -1;
/// struct_size or elem_size is too small, or longer with something unknown in the rest.
pub const STBCAM_E_STRUCT_SIZE: stbcam_result_t = -2;
/// No memory.
pub const STBCAM_E_NOMEM: stbcam_result_t = -3;
/// The caller's buffer is too small; the length that is needed was stored.
pub const STBCAM_E_BUFFER: stbcam_result_t = -4;
/// Not in this state: wrong order of calls, or a process that was forked.
pub const STBCAM_E_STATE: stbcam_result_t = -5;
/// Called from inside a callback of the library.
pub const STBCAM_E_REENTRANT: stbcam_result_t = -6;
/// Another thread is doing just this; of `stbcam_open`: another context uses `state_dir`.
pub const STBCAM_E_BUSY: stbcam_result_t = -7;
/// Not done in time.
pub const STBCAM_E_TIMEOUT: stbcam_result_t = -8;
/// Not in this build.
pub const STBCAM_E_UNSUPPORTED: stbcam_result_t = -9;
/// A defect of the library was caught; this context answers so from now on. Close it.
pub const STBCAM_E_PANIC: stbcam_result_t = -10;
/// What must survive a power cut could not be stored.
pub const STBCAM_E_STORAGE: stbcam_result_t = -11;
/// The clock is not known or out of range.
pub const STBCAM_E_CLOCK: stbcam_result_t = -12;
/// A queue is full: what was offered is lost and counted.
pub const STBCAM_E_OVERFLOW: stbcam_result_t = -13;
/// No open session has this id.
pub const STBCAM_E_NO_SESSION: stbcam_result_t = -20;
/// No purchase has this id.
pub const STBCAM_E_NO_TXN: stbcam_result_t = -21;
/// Nothing there now.
pub const STBCAM_E_AGAIN: stbcam_result_t = -23;
/// All places are taken.
pub const STBCAM_E_FULL: stbcam_result_t = -24;
/// A malformed section or table: it reached nobody.
pub const STBCAM_E_SECTION: stbcam_result_t = -30;
/// The reader cannot be opened or has gone.
pub const STBCAM_E_NO_READER: stbcam_result_t = -40;
/// No card, or one that is not in session; the details have the reason.
pub const STBCAM_E_NO_CARD: stbcam_result_t = -41;
/// There is a card, and it does not answer.
pub const STBCAM_E_CARD_MUTE: stbcam_result_t = -42;
/// The card in the reader is not one of this system.
pub const STBCAM_E_CARD_UNKNOWN: stbcam_result_t = -43;
/// The card's answer cannot be read: it does not keep the protocol of its commands.
pub const STBCAM_E_CARD_PROTOCOL: stbcam_result_t = -44;
/// The card says no; the status word or its result is in the details.
pub const STBCAM_E_CARD_REFUSED: stbcam_result_t = -45;
/// The operator has blocked the card.
pub const STBCAM_E_CARD_BLOCKED: stbcam_result_t = -46;
/// The card's log of purchases is full.
pub const STBCAM_E_CARD_FULL: stbcam_result_t = -47;
/// The PIN is wrong; the tries left were stored.
pub const STBCAM_E_PIN_WRONG: stbcam_result_t = -50;
/// No tries are left.
pub const STBCAM_E_PIN_BLOCKED: stbcam_result_t = -51;
/// The card wants the PIN.
pub const STBCAM_E_PIN_REQUIRED: stbcam_result_t = -52;
/// The price is not the one that the subscriber saw. No money has moved.
pub const STBCAM_E_PRICE_CHANGED: stbcam_result_t = -60;
/// The balance does not cover the price. No money has moved.
pub const STBCAM_E_FUNDS: stbcam_result_t = -61;
/// The offer has ended. No money has moved.
pub const STBCAM_E_OFFER_EXPIRED: stbcam_result_t = -62;
/// It is bought already. No money has moved.
pub const STBCAM_E_ALREADY_OWNED: stbcam_result_t = -63;
/// The answer was lost. Never pay again by yourself: the library asks the card and tells the
/// outcome by an event.
pub const STBCAM_E_OUTCOME_UNKNOWN: stbcam_result_t = -64;
/// The request id belongs to another purchase.
pub const STBCAM_E_REQUEST_REUSED: stbcam_result_t = -65;

/// The answer was lost, and the card now says that it was not paid. No money has moved. When the
/// purchase is open again, confirming it again pays once; after a restart it is refused, and the
/// wish needs a new request id.
pub const STBCAM_E_NOT_PAID: stbcam_result_t = -66;
/// Neither the storage nor the card knows this request, or no longer. Nothing is debited for it
/// from now on.
pub const STBCAM_E_REQUEST_FORGOTTEN: stbcam_result_t = -67;
/// The price is over the card's limit of a purchase. No money has moved.
pub const STBCAM_E_LIMIT: stbcam_result_t = -68;
/// The card knows a later purchase of this box, or the numbers of purse or terminal are used up. No
/// money has moved; unless they are used up, a new request id serves.
pub const STBCAM_E_SEQUENCE: stbcam_result_t = -69;
/// Above the rating that the card allows without its PIN. No money has moved.
pub const STBCAM_E_RATING: stbcam_result_t = -70;
/// The card has no key for the offer. No money has moved.
pub const STBCAM_E_NO_KEY: stbcam_result_t = -71;
/// Nothing is sold to this card by this offer: no price, not in this region, or messages missing.
/// No money has moved.
pub const STBCAM_E_NOT_FOR_SALE: stbcam_result_t = -72;
/// The offer is not authentic. No money has moved.
pub const STBCAM_E_OFFER_FORGED: stbcam_result_t = -73;
/// The card cannot read the offer. No money has moved.
pub const STBCAM_E_OFFER_MALFORMED: stbcam_result_t = -74;

/// A result as text, in English. Static: never freed, never NULL.
///
/// Threads: any, also from a callback.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_strerror(result: stbcam_result_t) -> *const c_char {
    text_of(result).as_ptr()
}

pub(crate) const fn text_of(result: stbcam_result_t) -> &'static CStr {
    match known_text_of(result) {
        Some(text) => text,
        None => c"unknown result",
    }
}

/// `None`: no result of this library.
pub(crate) const fn known_text_of(result: stbcam_result_t) -> Option<&'static CStr> {
    Some(match result {
        STBCAM_OK => c"done",
        STBCAM_E_ARG => c"argument is missing, malformed or stale",
        STBCAM_E_STRUCT_SIZE => c"struct_size does not fit this library",
        STBCAM_E_NOMEM => c"no memory",
        STBCAM_E_BUFFER => c"buffer is too small",
        STBCAM_E_STATE => c"not in this state",
        STBCAM_E_REENTRANT => c"called from inside a callback",
        STBCAM_E_BUSY => c"in use by another thread or context",
        STBCAM_E_TIMEOUT => c"not done in time",
        STBCAM_E_UNSUPPORTED => c"not in this build",
        STBCAM_E_PANIC => c"a defect of the library was caught; close this context",
        STBCAM_E_STORAGE => c"cannot be stored",
        STBCAM_E_CLOCK => c"clock is not known or out of range",
        STBCAM_E_OVERFLOW => c"queue is full",
        STBCAM_E_NO_SESSION => c"no open session has this id",
        STBCAM_E_NO_TXN => c"no purchase has this id",
        STBCAM_E_AGAIN => c"nothing there now",
        STBCAM_E_FULL => c"all places are taken",
        STBCAM_E_SECTION => c"malformed section or table",
        STBCAM_E_NO_READER => c"card reader cannot be used",
        STBCAM_E_NO_CARD => c"no card in session",
        STBCAM_E_CARD_MUTE => c"card does not answer",
        STBCAM_E_CARD_UNKNOWN => c"not a card of this system",
        STBCAM_E_CARD_PROTOCOL => c"card does not keep the protocol",
        STBCAM_E_CARD_REFUSED => c"card refused",
        STBCAM_E_CARD_BLOCKED => c"card is blocked",
        STBCAM_E_CARD_FULL => c"card's log of purchases is full",
        STBCAM_E_PIN_WRONG => c"PIN is wrong",
        STBCAM_E_PIN_BLOCKED => c"PIN is blocked",
        STBCAM_E_PIN_REQUIRED => c"card wants the PIN",
        STBCAM_E_PRICE_CHANGED => c"price is not the one that was seen; no money has moved",
        STBCAM_E_FUNDS => c"balance does not cover the price; no money has moved",
        STBCAM_E_OFFER_EXPIRED => c"offer has ended; no money has moved",
        STBCAM_E_ALREADY_OWNED => c"bought already; no money has moved",
        STBCAM_E_OUTCOME_UNKNOWN => c"answer was lost; the card will be asked",
        STBCAM_E_REQUEST_REUSED => c"request id belongs to another purchase",
        STBCAM_E_NOT_PAID => c"not paid after all; no money has moved",
        STBCAM_E_REQUEST_FORGOTTEN => {
            c"request is not known, or no longer; nothing is debited for it"
        }
        STBCAM_E_LIMIT => c"price is over the card's limit; no money has moved",
        STBCAM_E_SEQUENCE => c"number was overtaken or used up; no money has moved",
        STBCAM_E_RATING => c"above the allowed rating; no money has moved",
        STBCAM_E_NO_KEY => c"card has no key for the offer; no money has moved",
        STBCAM_E_NOT_FOR_SALE => c"nothing is sold to this card; no money has moved",
        STBCAM_E_OFFER_FORGED => c"offer is not authentic; no money has moved",
        STBCAM_E_OFFER_MALFORMED => c"offer cannot be read; no money has moved",
        _ => return None,
    })
}

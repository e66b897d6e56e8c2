// SPDX-License-Identifier: Apache-2.0
//! 11. Operation
//!
//! The field engineer's part: nothing here holds a secret.

use crate::diag;
use crate::error::Error;
use crate::guard::guard;
use crate::result::{STBCAM_E_BUFFER, stbcam_result_t};
use crate::size;
use crate::types::stbcam_t;
use core::ffi::c_char;
use core::time::Duration;

/// Everything that a field engineer asks for, as one JSON object without secrets: version, card,
/// time (with its source), purse, keys' versions, filters, counters. `*need` becomes the length
/// with its zero; `buffer` may be NULL if `capacity` is 0.
///
/// STBCAM_E_BUFFER: `*need` is more than `capacity`; nothing was written.
///
/// Threads: any.
///
/// # Safety
///
/// * `buffer` points to `capacity` writable octets; `need` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_diag_json(
    cam: *mut stbcam_t,
    buffer: *mut c_char,
    capacity: usize,
    need: *mut usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        size::needed(need, "need")?;
        let json = diag::json(context);
        let length = json.len() + 1;
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put_optional(need, "need", length) }?;
        if capacity < length || buffer.is_null() {
            return Err(Error::new(
                STBCAM_E_BUFFER,
                format!("room for {capacity} octets, but {length} are needed"),
            ));
        }
        for (index, octet) in json.bytes().chain([0]).enumerate() {
            // SAFETY: `index` is below `length`, which is at most `capacity`.
            unsafe { buffer.add(index).write(octet.cast_signed() as c_char) };
        }
        Ok(())
    })
}

/// Resets the card. Control words in use stay until it has answered.
///
/// Threads: any. Does not wait for the card.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_card_reset(cam: *mut stbcam_t) -> stbcam_result_t {
    guard(cam, |context| {
        context.cam.call(|engine, now| engine.card_reset(now));
        Ok(())
    })
}

/// Tells everything again: after STBCAM_EV_OVERFLOW with code 2, or whenever the host has lost its
/// way. What waits for the host and only said how things stood is dropped; in its place come, in
/// this order, CARD, FILTERS, ENTITLEMENTS, WALLET if the purse was read, of each session ACCESS
/// and its OFFERs, PURCHASE of each purchase with something to say (also of an earlier run, by its
/// number in `stbcam_receipts`), and REPORT for one whose pages were not all taken. They all have
/// room, whatever `event_queue` is.
///
/// Before the call forget all offers: those that are still good come, and no OFFER_GONE for others.
/// A session, wallet or purchase is overwritten by what comes. KEY_ROTATED, PAIRING, a report that
/// failed or was acknowledged, and HEALTH are news and not told twice; `stbcam_service_keys` and
/// `stbcam_card` say what became of the first two.
///
/// Threads: any. Does not wait for the card.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_resync(cam: *mut stbcam_t) -> stbcam_result_t {
    guard(cam, |context| {
        context.cam.tell_again();
        Ok(())
    })
}

/// Waits until every section that was offered and every purchase that was confirmed before the
/// call has been dealt with as far as the card now present allows: sections are out of their
/// ring, no command is under way, and control words and events that follow from them have been
/// handed out. A card that is just being reset is waited for; a card that is not there is not.
/// For players of files, which know no real time, and for tests: a box on air has no use for it.
///
/// STBCAM_E_TIMEOUT: not within `timeout_ms`; everything goes on.
///
/// Threads: any, but it waits for the card.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_flush(cam: *mut stbcam_t, timeout_ms: u32) -> stbcam_result_t {
    guard(cam, |context| context.flush(Duration::from_millis(timeout_ms.into())))
}

//! 11. Operation
//!
//! The field engineer's part: nothing here holds a secret.

use crate::diag;
use crate::error::Error;
use crate::guard::guard;
use crate::result::*;
use crate::size::{self, CStruct};
use crate::types::stbcam_t;
use core::ffi::c_char;
use core::time::Duration;

/// Counters since the context was opened. They only grow. Arrays of four are by addressing: to one
/// card, to a group, to all, to the box.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_stats_t {
    /// sizeof(stbcam_stats_t), by the caller.
    pub struct_size: usize,
    /// Command APDUs sent.
    pub apdu: u64,
    /// Of these: with an ECM.
    pub apdu_ecm: u64,
    /// Exchanges that got no answer.
    pub apdu_failed: u64,
    /// Activations of the card.
    pub resets: u64,
    /// Secure channels opened with the card.
    pub channels: u64,
    /// Characters sent to the card.
    pub line_sent: u64,
    /// Characters received from the card.
    pub line_received: u64,
    /// Of those sent: in exchanges with an ECM.
    pub ecm_line_sent: u64,
    /// Of those received: in exchanges with an ECM.
    pub ecm_line_received: u64,
    /// ECM sections that reached the engine.
    pub ecm_in: u64,
    /// Repetitions of an ECM that is known.
    pub ecm_dup: u64,
    /// ECMs that the card received: one for all sessions that have it.
    pub ecm_sent: u64,
    /// Of these: sent again after a reset, a purchase or a lost answer.
    pub ecm_replayed: u64,
    /// ECMs that gave way to another one before the card was free.
    pub ecm_replaced: u64,
    /// Older ECMs than the one on air.
    pub ecm_stale: u64,
    /// ECMs that the card refused: not authentic, no key, out of time.
    pub ecm_refused: u64,
    /// Malformed sections on an ECM PID.
    pub ecm_malformed: u64,
    /// Pairs of control words handed out.
    pub cw_out: u64,
    /// Times that a session's control words were wiped.
    pub cw_cleared: u64,
    /// Offer sections that reached the engine.
    pub offer_in: u64,
    /// EMM sections that reached the engine.
    pub emm_in: [u64; 4],
    /// For others.
    pub emm_not_ours: [u64; 4],
    /// Repetitions, seen before the card was asked.
    pub emm_dup: [u64; 4],
    /// Repetitions, as the card says.
    pub emm_dup_card: [u64; 4],
    /// Applied.
    pub emm_applied: [u64; 4],
    /// Refused by the card.
    pub emm_refused: [u64; 4],
    /// Not applicable yet.
    pub emm_later: [u64; 4],
    /// Dropped: the queue was full, or no card was there.
    pub emm_dropped: [u64; 4],
    /// Malformed sections on an EMM PID.
    pub emm_malformed: u64,
    /// Malformed CAT and PMT sections.
    pub table_malformed: u64,
    /// Sections refused because their section_length is not their length.
    pub section_malformed: u64,
    /// Sections lost because a ring was full.
    pub section_overflow: u64,
    /// Events lost because nobody took them.
    pub event_overflow: u64,
    /// ECMs whose latency was measured, from the section's arrival to its control words.
    pub ecm_latency_count: u64,
    /// Median of the last 1024, in microseconds.
    pub ecm_latency_p50_us: u32,
    /// 99th percentile of the last 1024, in microseconds.
    pub ecm_latency_p99_us: u32,
    /// The longest of all, in microseconds.
    pub ecm_latency_max_us: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_stats_t {}

/// The counters now.
///
/// Threads: any.
///
/// # Safety
///
/// * `out` points to a stbcam_stats_t whose struct_size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_stats(
    cam: *mut stbcam_t,
    out: *mut stbcam_stats_t,
) -> stbcam_result_t {
    guard(cam, |context| {
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put(out, "out", diag::stats(&context.cam)) }
    })
}

/// Everything that a field engineer asks for, as one JSON object without secrets: version, card,
/// purse, keys' versions, filters, counters. `*need` becomes the length with its zero; `buffer` may be NULL if
/// `capacity` is 0.
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
        let json = diag::json(&context.cam);
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

// SPDX-License-Identifier: Apache-2.0
//! Counters of engine and card line, from `stbcam_open` on.

use crate::guard::guard;
use crate::result::stbcam_result_t;
use crate::size::{self, CStruct};
use crate::types::stbcam_t;
use stb_shim::cam::Cam;

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
    /// Carried out by the card, or by the box.
    pub emm_applied: [u64; 4],
    /// Refused by the card.
    pub emm_refused: [u64; 4],
    /// Not applicable yet.
    pub emm_later: [u64; 4],
    /// Dropped: their queue was full, or no card was there.
    pub emm_dropped: [u64; 4],
    /// Their answer was lost, and they were not asked again: the card may have carried them out.
    pub emm_unknown: [u64; 4],
    /// Malformed sections on an EMM PID.
    pub emm_malformed: u64,
    /// Malformed CAT and PMT sections.
    pub table_malformed: u64,
    /// Sections refused because their section_length is not their length.
    pub section_malformed: u64,
    /// Sections lost because a ring was full.
    pub section_overflow: u64,
    /// Sections dropped because no filter of the library's asks for them: those of a demultiplexer
    /// that filters less than it was asked to.
    pub section_unwanted: u64,
    /// Turns of PIDs that share the box's section filters: 0 as long as it has enough of them.
    pub filter_turns: u64,
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
        unsafe { size::put(out, "out", counters(&context.cam)) }
    })
}

/// The counters of engine and line as the host sees them.
pub(crate) fn counters(cam: &Cam) -> stbcam_stats_t {
    let engine = cam.query(|engine| engine.stats());
    let line = cam.line_stats();
    macro_rules! filled {
        ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
            stbcam_stats_t {
                struct_size: 0,
                $($name: engine.$name,)*
                line_sent: line.sent,
                line_received: line.received,
                ecm_line_sent: line.ecm_sent,
                ecm_line_received: line.ecm_received,
                section_malformed: line.sections_malformed,
                section_overflow: line.sections_lost,
                section_unwanted: line.sections_unwanted,
                reserved: 0,
            }
        };
    }
    let mut counters = cam_core::engine_counters!(filled);
    counters.event_overflow += cam.events().lost_in_all();
    counters
}

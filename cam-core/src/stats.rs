// SPDX-License-Identifier: Apache-2.0
//! Counters, and what of an engine is measured.

/// Counters since the engine was made. They only grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Command APDUs sent.
    pub apdu: u64,
    /// Command APDUs that carried an ECM.
    pub apdu_ecm: u64,
    /// Exchanges that got no answer.
    pub apdu_failed: u64,
    /// Activations of the card.
    pub resets: u64,
    /// Secure channels opened with the card.
    pub channels: u64,
    /// ECM sections offered.
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
    /// Sections on an ECM PID that are malformed.
    pub ecm_malformed: u64,
    /// Pairs of control words handed out.
    pub cw_out: u64,
    /// Times that a session's control words were wiped.
    pub cw_cleared: u64,
    /// Offer sections offered.
    pub offer_in: u64,
    /// EMM sections offered, by addressing: unique, shared, global, to the box.
    pub emm_in: [u64; 4],
    /// For others.
    pub emm_not_ours: [u64; 4],
    /// Repetitions: known at the gate.
    pub emm_dup_gate: [u64; 4],
    /// Repetitions: the card said duplicate or stale.
    pub emm_dup_card: [u64; 4],
    /// Carried out by the card, or by the box.
    pub emm_applied: [u64; 4],
    /// Refused by the card.
    pub emm_refused: [u64; 4],
    /// Not applicable yet; tried again on a later cycle.
    pub emm_later: [u64; 4],
    /// Dropped: the queue was full, or no card was there.
    pub emm_dropped: [u64; 4],
    /// Malformed sections on an EMM PID.
    pub emm_malformed: u64,
    /// Malformed tables: CAT, PMT.
    pub table_malformed: u64,
    /// ECMs whose latency was measured, from the section's arrival to its control words.
    pub ecm_latency_count: u64,
    /// Median latency of the last 1024, in microseconds.
    pub ecm_latency_p50_us: u32,
    /// 99th percentile of the last 1024, in microseconds.
    pub ecm_latency_p99_us: u32,
    /// The longest of all, in microseconds.
    pub ecm_latency_max_us: u32,
    /// Events lost because nobody took them.
    pub events_lost: u64,
}

// SPDX-License-Identifier: Apache-2.0
//! Counters, and what of an engine is measured.

/// The engine's counters: a row for each. It is handed to the macro that is named, which makes a
/// structure of it, or fills one: [`Stats`] here, `stbcam_stats_t` in the C ABI.
#[doc(hidden)]
#[macro_export]
macro_rules! engine_counters {
    ($to:ident) => {
        $to! {
            /// Command APDUs sent.
            apdu: u64,
            /// Command APDUs that carried an ECM.
            apdu_ecm: u64,
            /// Exchanges that got no answer.
            apdu_failed: u64,
            /// Activations of the card.
            resets: u64,
            /// Secure channels opened with the card.
            channels: u64,
            /// ECM sections offered.
            ecm_in: u64,
            /// Repetitions of an ECM that is known.
            ecm_dup: u64,
            /// ECMs that the card received: one for all sessions that have it.
            ecm_sent: u64,
            /// Of these: sent again after a reset, a purchase or a lost answer.
            ecm_replayed: u64,
            /// ECMs that gave way to another one before the card was free.
            ecm_replaced: u64,
            /// Older ECMs than the one on air.
            ecm_stale: u64,
            /// ECMs that the card refused: not authentic, no key, out of time.
            ecm_refused: u64,
            /// Sections on an ECM PID that are malformed.
            ecm_malformed: u64,
            /// Pairs of control words handed out.
            cw_out: u64,
            /// Times that a session's control words were wiped.
            cw_cleared: u64,
            /// Offer sections offered.
            offer_in: u64,
            /// EMM sections offered, by addressing: unique, shared, global, to the box.
            emm_in: [u64; 4],
            /// For others.
            emm_not_ours: [u64; 4],
            /// Repetitions: known to the engine.
            emm_dup: [u64; 4],
            /// Repetitions: the card said duplicate or stale.
            emm_dup_card: [u64; 4],
            /// Carried out by the card, or by the box.
            emm_applied: [u64; 4],
            /// Refused by the card.
            emm_refused: [u64; 4],
            /// Not applicable yet; tried again on a later cycle.
            emm_later: [u64; 4],
            /// Dropped: their queue was full, or no card was there.
            emm_dropped: [u64; 4],
            /// Their answer was lost, and they were not asked again: the card may have carried them
            /// out. On air they are asked again.
            emm_unknown: [u64; 4],
            /// Malformed sections on an EMM PID.
            emm_malformed: u64,
            /// Malformed tables: CAT, PMT.
            table_malformed: u64,
            /// Turns of PIDs that share the box's section filters.
            filter_turns: u64,
            /// ECMs whose latency was measured, from the section's arrival to its control words.
            ecm_latency_count: u64,
            /// Median latency of the last 1024, in microseconds.
            ecm_latency_p50_us: u32,
            /// 99th percentile of the last 1024, in microseconds.
            ecm_latency_p99_us: u32,
            /// The longest of all, in microseconds.
            ecm_latency_max_us: u32,
            /// Events lost because nobody took them.
            event_overflow: u64,
        }
    };
}

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// Counters since the engine was made. They only grow.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: $type,)*
        }
    };
}

engine_counters!(stats);

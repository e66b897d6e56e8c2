// SPDX-License-Identifier: Apache-2.0
//! Handles
//!
//! None of them is a pointer to something: a handle or number that is closed, made up or from
//! another kind is refused with a result. A handle is given out once in a process. The numbers of
//! sessions and purchases are their context's: another context gives out the same ones, and one of
//! a session comes again when 65,535 others have had its place.

/// One card reader, one card, any number of sessions.
pub struct stbcam_t {
    _opaque: [u8; 0],
}

/// A descrambler in software.
pub struct stbcam_soft_descrambler_t {
    _opaque: [u8; 0],
}

/// A session: one programme of one source. Never 0.
pub type stbcam_session_t = u32;

/// A purchase. Never 0.
pub type stbcam_txn_t = u32;

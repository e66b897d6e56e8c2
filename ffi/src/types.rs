// SPDX-License-Identifier: Apache-2.0
//! Handles
//!
//! None of them is a pointer to something: a handle or number that is closed, made up or from
//! another kind is refused with a result, and none is given out twice.

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

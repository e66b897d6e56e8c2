// SPDX-License-Identifier: Apache-2.0
//! How the host waits for events and takes them.

use crate::error::Error;
use crate::event::stbcam_event_t;
use crate::event_payload;
use crate::guard::guard;
use crate::result::{STBCAM_E_AGAIN, STBCAM_E_STATE, STBCAM_OK, stbcam_result_t};
use crate::size;
use crate::types::stbcam_t;
use core::time::Duration;
use stb_shim::clock;
use std::ffi::CString;
use std::os::fd::AsRawFd;

/// A descriptor that poll() finds readable as long as there is an event. It belongs to the library:
/// do not read, write or close it. Below 0: a result.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_event_fd(cam: *mut stbcam_t) -> i32 {
    let mut fd = STBCAM_E_STATE;
    let result = guard(cam, |context| {
        fd = context.cam.events().descriptor().as_raw_fd();
        Ok(())
    });
    if result == STBCAM_OK { fd } else { result }
}

/// Takes the oldest event; waits up to `timeout_ms` for one. Without a card thread events come of
/// `stbcam_step` and nothing else, and this does not call it: give 0.
///
/// STBCAM_E_AGAIN: there is none.
///
/// Threads: any; one at a time, as long as `text` is used.
///
/// # Safety
///
/// * `event` points to a stbcam_event_t whose struct_size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_next_event(
    cam: *mut stbcam_t,
    event: *mut stbcam_event_t,
    timeout_ms: u32,
) -> stbcam_result_t {
    guard(cam, |context| {
        // SAFETY: the caller upholds this function's contract. Writing zeros first refuses a
        // structure of a wrong size before an event is taken that could not be told.
        unsafe { size::put(event, "event", event_payload::EMPTY) }?;
        let timeout = Duration::from_millis(timeout_ms.into());
        let taken = context
            .cam
            .events()
            .pop(clock::now, timeout)
            .ok_or_else(|| Error::plain(STBCAM_E_AGAIN))?;
        let (mut value, text) = event_payload::of(&taken, context.language());
        value.utc_s = context.utc(taken.at);
        let mut kept = context.event_text();
        *kept = CString::new(text).unwrap_or_default();
        value.text = kept.as_ptr();
        value.text_len = kept.as_bytes().len();
        // SAFETY: as above.
        unsafe { size::put(event, "event", value) }
    })
}

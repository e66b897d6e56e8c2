// SPDX-License-Identifier: Apache-2.0
//! The details of a refusal, as the host asks for them.

use crate::error::{self, Error};
use crate::result::{STBCAM_OK, stbcam_result_t};
use crate::size::{self, CStruct};
use crate::text;
use core::ffi::c_char;

/// The details of a refusal.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_error_t {
    /// sizeof(stbcam_error_t), by the caller.
    pub struct_size: usize,
    /// What the refused function returned; 0 (`STBCAM_OK`) when none was refused yet.
    pub code: stbcam_result_t,
    /// errno of the system call behind it, or 0.
    pub os_errno: i32,
    /// The card's status word, or 0.
    pub sw: u16,
    /// The card's result inside an answer with status word 9000, or 0.
    pub card_result: u8,
    /// 0.
    pub reserved: [u8; 5],
    /// A text for a log: what was got and what was expected. Ends with a zero.
    pub text: [c_char; 192],
}

// SAFETY: repr(C), starts with struct_size, and every pattern of bits is a value.
unsafe impl CStruct for stbcam_error_t {}

/// The details of the last call in the calling thread that was refused. A call that was not
/// refused does not change them, and neither does this one when it is. `code` is 0 when none was
/// refused yet. A `text` that is too long has lost its middle.
///
/// Threads: any, also from a callback.
///
/// # Safety
///
/// * `out` points to a stbcam_error_t whose struct_size is set, or is NULL (refused).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_last_error(out: *mut stbcam_error_t) -> stbcam_result_t {
    let Error { code, sw, card_result, os_errno, text } = error::last();
    let value = stbcam_error_t {
        struct_size: 0,
        code,
        os_errno,
        sw,
        card_result,
        reserved: [0; 5],
        text: text::fixed(&text),
    };
    // SAFETY: the caller upholds this function's contract.
    match unsafe { size::put(out, "out", value) } {
        Ok(()) => STBCAM_OK,
        Err(error) => error.code,
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Calls of the host's functions, and the rule that none of them may call the library.

use crate::error::{Error, Result};
use crate::result::STBCAM_E_REENTRANT;
use core::cell::Cell;

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs a callback of the host. Calls of the library from inside are refused.
pub(crate) fn callback<T>(call: impl FnOnce() -> T) -> T {
    let before = IN_CALLBACK.replace(true);
    let answer = call();
    IN_CALLBACK.set(before);
    answer
}

/// Refuses a call from inside a callback.
pub(crate) fn not_reentrant() -> Result {
    if IN_CALLBACK.get() {
        return Err(Error::new(STBCAM_E_REENTRANT, "called from inside a callback of the library"));
    }
    Ok(())
}

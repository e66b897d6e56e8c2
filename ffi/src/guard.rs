// SPDX-License-Identifier: Apache-2.0
//! What stands before every function of the C ABI: process, reentrancy, handle, panic.

use crate::callback::not_reentrant;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::log::LogSink;
use crate::registry::Registry;
use crate::result::{STBCAM_E_ARG, STBCAM_E_PANIC, STBCAM_E_STATE, STBCAM_OK, stbcam_result_t};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The open contexts.
pub(crate) static CONTEXTS: Registry<Context> = Registry::new(1);

/// The process that uses the library, 0 before the first handle was made.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Runs the body of a function that needs no context.
pub(crate) fn guard_free(body: impl FnOnce() -> Result) -> stbcam_result_t {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        not_reentrant()?;
        own_process()?;
        body()
    }));
    finish(outcome)
}

/// Runs the body of a function on an open context. A panic inside poisons the context.
pub(crate) fn guard<H>(handle: *const H, body: impl FnOnce(&Context) -> Result) -> stbcam_result_t {
    guard_on(&CONTEXTS, handle, |context| {
        context.check()?;
        let _log = LogSink::enter(context.log());
        catch_unwind(AssertUnwindSafe(|| body(context))).unwrap_or_else(|_| {
            context.poison();
            Err(Error::plain(STBCAM_E_PANIC))
        })
    })
}

/// Runs the body of a function on any open handle.
pub(crate) fn guard_on<T, H>(
    registry: &Registry<T>,
    handle: *const H,
    body: impl FnOnce(&T) -> Result,
) -> stbcam_result_t {
    guard_free(|| {
        let value: Arc<T> = registry.get(handle).ok_or_else(|| stale(handle))?;
        body(&value)
    })
}

/// The refusal of a handle that is not open.
pub(crate) fn stale<H>(handle: *const H) -> Error {
    let what =
        if handle.is_null() { "handle is NULL" } else { "handle is closed or was never open" };
    Error::new(STBCAM_E_ARG, what)
}

/// Threads and locks do not survive a fork, so a child may not use what its parent opened. This
/// is checked before any lock is taken.
fn own_process() -> Result {
    let own = std::process::id();
    let owner = PROCESS.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire);
    match owner {
        Err(other) if other != own => Err(Error::new(
            STBCAM_E_STATE,
            format!("process {own} was forked from {other}, which uses the library"),
        )),
        _ => Ok(()),
    }
}

fn finish(outcome: std::thread::Result<Result>) -> stbcam_result_t {
    match outcome {
        Ok(Ok(())) => STBCAM_OK,
        Ok(Err(error)) => error.report(),
        Err(_) => Error::plain(STBCAM_E_PANIC).report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::callback;
    use crate::result::STBCAM_E_REENTRANT;

    #[test]
    fn a_call_from_inside_a_callback_is_refused() {
        let inner = callback(|| guard_free(|| Ok(())));
        assert_eq!(inner, STBCAM_E_REENTRANT);
        assert_eq!(guard_free(|| Ok(())), STBCAM_OK);
    }

    #[test]
    fn a_panic_becomes_a_result() {
        assert_eq!(guard_free(|| panic!("a test of the guard")), STBCAM_E_PANIC);
    }
}

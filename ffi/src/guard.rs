// SPDX-License-Identifier: Apache-2.0
//! What stands before every function of the C ABI: process, reentrancy, handle, panic.

use crate::callback::not_reentrant;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::log::LogSink;
use crate::registry::Registry;
use crate::result::{
    STBCAM_E_ARG, STBCAM_E_CARD_MUTE, STBCAM_E_CARD_UNKNOWN, STBCAM_E_NO_CARD, STBCAM_E_PANIC,
    STBCAM_E_STATE, STBCAM_OK, stbcam_result_t,
};
use cam_core::{AccessStatus, CardState};
use stb_shim::residue;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The open contexts.
pub(crate) static CONTEXTS: Registry<Context> = Registry::new(1);

/// The process that uses the library, 0 before the first handle was made.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Runs the body of a function that needs no context.
pub(crate) fn guard_free(body: impl FnOnce() -> Result) -> stbcam_result_t {
    finish(residue::behind(|| caught(body)))
}

/// Runs the body of a function on an open context. A panic inside poisons the context.
pub(crate) fn guard<H>(handle: *const H, body: impl FnOnce(&Context) -> Result) -> stbcam_result_t {
    guard_on(&CONTEXTS, handle, |context| on_context(context, body))
}

/// The same for a function that comes often and sees no secret: nothing is wiped behind it.
pub(crate) fn guard_public<H>(
    handle: *const H,
    body: impl FnOnce(&Context) -> Result,
) -> stbcam_result_t {
    finish(caught(|| on_context(&*open(&CONTEXTS, handle)?, body)))
}

fn caught(body: impl FnOnce() -> Result) -> std::thread::Result<Result> {
    catch_unwind(AssertUnwindSafe(|| {
        not_reentrant()?;
        own_process()?;
        body()
    }))
}

fn on_context(context: &Context, body: impl FnOnce(&Context) -> Result) -> Result {
    context.check()?;
    let _log = LogSink::enter(context.log());
    let outcome = AssertUnwindSafe(|| body(context).map_err(|error| of_card(error, context)));
    catch_unwind(outcome).unwrap_or_else(|_| {
        context.poison();
        Err(Error::plain(STBCAM_E_PANIC))
    })
}

/// A refusal for want of a card in session says what is with the card, and has the result for it
/// where there is one.
fn of_card(error: Error, context: &Context) -> Error {
    if error.code != STBCAM_E_NO_CARD {
        return error;
    }
    let (state, reason, sw) = context.cam.query(|engine| {
        let card = engine.card();
        (card.state, card.reason, card.sw.0)
    });
    let code = no_card(state, reason);
    Error { sw, ..Error::new(code, format!("{}: {reason}", error.text)) }
}

/// Why there is no card in session, as a result.
fn no_card(state: CardState, reason: AccessStatus) -> stbcam_result_t {
    match (state, reason) {
        (CardState::Unusable, AccessStatus::UNKNOWN_CARD) => STBCAM_E_CARD_UNKNOWN,
        (CardState::Absent | CardState::Unusable, AccessStatus::MUTE_CARD) => STBCAM_E_CARD_MUTE,
        _ => STBCAM_E_NO_CARD,
    }
}

/// Runs the body of a function on any open handle.
pub(crate) fn guard_on<T, H>(
    registry: &Registry<T>,
    handle: *const H,
    body: impl FnOnce(&T) -> Result,
) -> stbcam_result_t {
    guard_free(|| body(&*open(registry, handle)?))
}

fn open<T, H>(registry: &Registry<T>, handle: *const H) -> Result<Arc<T>> {
    registry.get(handle).ok_or_else(|| stale(handle))
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

    #[test]
    fn a_card_that_is_no_use_is_told_from_none() {
        for (state, reason, code) in [
            (CardState::Absent, AccessStatus::NO_CARD, STBCAM_E_NO_CARD),
            (CardState::Absent, AccessStatus::READER_FAULT, STBCAM_E_NO_CARD),
            (CardState::Absent, AccessStatus::MUTE_CARD, STBCAM_E_CARD_MUTE),
            (CardState::Starting, AccessStatus::PENDING, STBCAM_E_NO_CARD),
            (CardState::Unusable, AccessStatus::UNKNOWN_CARD, STBCAM_E_CARD_UNKNOWN),
            (CardState::Unpaired, AccessStatus::NOT_PAIRED, STBCAM_E_NO_CARD),
        ] {
            assert_eq!(no_card(state, reason), code, "{state:?}, {reason}");
        }
    }
}

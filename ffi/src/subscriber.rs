// SPDX-License-Identifier: Apache-2.0
//! 8. Subscriber
//!
//! PINs are ASCII digits, 4 to 12 of them. The library keeps no PIN longer than the card needs to
//! answer.

use crate::error::{Error, Result};
use crate::guard::guard;
use crate::result::{
    STBCAM_E_CARD_PROTOCOL, STBCAM_E_CARD_REFUSED, STBCAM_E_NO_CARD, STBCAM_E_PIN_BLOCKED,
    STBCAM_E_PIN_WRONG, stbcam_result_t,
};
use crate::size;
use crate::text;
use crate::types::stbcam_t;
use cam_core::{PinAnswer, PinOutcome};

/// Asks the card whether this is its PIN, and waits for the answer, at most `card_timeout_ms`.
/// `*tries_left` is stored with STBCAM_OK, STBCAM_E_PIN_WRONG and STBCAM_E_PIN_BLOCKED, UINT32_MAX
/// when the card has not told it; it may be NULL. With STBCAM_OK the programmes that were refused
/// for their rating are asked about at once: STBCAM_EV_ACCESS follows. It pays nothing: the PIN of
/// a purchase goes to stbcam_purchase_confirm, and lifts no rating.
///
/// STBCAM_E_PIN_WRONG: tries are left. STBCAM_E_PIN_BLOCKED: none are. STBCAM_E_ARG: not 4 to 12
/// digits. STBCAM_E_NO_CARD: no card in session (STBCAM_E_CARD_UNKNOWN, _MUTE where there is one).
/// STBCAM_E_CARD_REFUSED: the card takes no PIN now; the status word is in the details.
/// STBCAM_E_CARD_PROTOCOL: its answer cannot be read. STBCAM_E_TIMEOUT: no answer.
///
/// Threads: any. Waits for the card: not for the thread that tunes.
///
/// # Safety
///
/// * `pin` points to `len` readable octets; `tries_left` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_pin_verify(
    cam: *mut stbcam_t,
    pin: *const u8,
    len: usize,
    tries_left: *mut u32,
) -> stbcam_result_t {
    guard(cam, |context| {
        // SAFETY: the caller upholds this function's contract.
        let pin = unsafe { text::octets(pin, len, "pin") }?;
        let answer = context.pin_answer(|engine, now| engine.pin_verify(now, pin))?;
        let known = context.cam.query(|engine| engine.card().pin_tries);
        // SAFETY: as above.
        unsafe { finish(&answer, known, tries_left) }
    })
}

/// Gives the card another PIN, and waits for the answer, at most `card_timeout_ms`. The results are
/// those of `stbcam_pin_verify` for the old one; with STBCAM_OK the new one is the card's. After
/// STBCAM_E_TIMEOUT the card has the one or the other: verify.
///
/// Threads: any. Waits for the card: not for the thread that tunes.
///
/// # Safety
///
/// * `old_pin` points to `old_len` and `new_pin` to `new_len` readable octets; `tries_left` is NULL
///   or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_pin_change(
    cam: *mut stbcam_t,
    old_pin: *const u8,
    old_len: usize,
    new_pin: *const u8,
    new_len: usize,
    tries_left: *mut u32,
) -> stbcam_result_t {
    guard(cam, |context| {
        // SAFETY: the caller upholds this function's contract.
        let old = unsafe { text::octets(old_pin, old_len, "old_pin") }?;
        // SAFETY: as above.
        let new = unsafe { text::octets(new_pin, new_len, "new_pin") }?;
        let answer = context.pin_answer(|engine, now| engine.pin_change(now, old, new))?;
        let known = context.cam.query(|engine| engine.card().pin_tries);
        // SAFETY: as above.
        unsafe { finish(&answer, known, tries_left) }
    })
}

/// Stores the tries left and turns what the card says into a result.
///
/// # Safety
///
/// `tries_left` is NULL or writable.
unsafe fn finish(answer: &PinAnswer, known: Option<u8>, tries_left: *mut u32) -> Result {
    let (tries, result) = match answer.outcome {
        PinOutcome::Right => (known.map_or(u32::MAX, u32::from), Ok(())),
        PinOutcome::Wrong { tries_left } => (
            u32::from(tries_left),
            Err(Error::new(
                STBCAM_E_PIN_WRONG,
                format!("the PIN is wrong, tries left: {tries_left}"),
            )),
        ),
        PinOutcome::Blocked => (0, Err(Error::plain(STBCAM_E_PIN_BLOCKED))),
        PinOutcome::Refused(sw) => {
            return Err(Error { sw: sw.0, ..Error::plain(STBCAM_E_CARD_REFUSED) });
        }
        PinOutcome::Unreadable => return Err(Error::plain(STBCAM_E_CARD_PROTOCOL)),
        PinOutcome::Failed => return Err(Error::plain(STBCAM_E_NO_CARD)),
    };
    // SAFETY: the caller upholds this function's contract.
    unsafe { size::put_optional(tries_left, "tries_left", tries) }?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use cam_core::Ticket;
    use cam_types::StatusWord;

    /// Money is spoken of where money could move, and nowhere else.
    #[test]
    fn a_pin_that_is_only_verified_is_no_purchase() {
        use cam_core::PinError;
        for error in [PinError::Format, PinError::NoCard, PinError::Full { max: 4 }] {
            let text = Error::from(error).text;
            assert!(!text.contains("money"), "{text}");
        }
        assert!(Error::from(PinError::Format).text.contains("4 to 12 ASCII digits"));
    }

    #[test]
    fn what_the_card_says_of_a_pin_has_its_result() {
        let wrong = PinOutcome::Wrong { tries_left: 2 };
        for (outcome, refusal) in [
            (PinOutcome::Right, None),
            (wrong, Some((STBCAM_E_PIN_WRONG, 0))),
            (PinOutcome::Blocked, Some((STBCAM_E_PIN_BLOCKED, 0))),
            (PinOutcome::Refused(StatusWord(0x6985)), Some((STBCAM_E_CARD_REFUSED, 0x6985))),
            (PinOutcome::Unreadable, Some((STBCAM_E_CARD_PROTOCOL, 0))),
            (PinOutcome::Failed, Some((STBCAM_E_NO_CARD, 0))),
        ] {
            let answer = PinAnswer { ticket: Ticket(1), outcome };
            // SAFETY: NULL is allowed.
            let result = unsafe { finish(&answer, Some(3), core::ptr::null_mut()) };
            assert_eq!(result.err().map(|error| (error.code, error.sw)), refusal, "{outcome:?}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! 12. Reports
//!
//! The card reports its purchases to the operator, sealed: whoever carries a report can lose it and
//! no more. `STBCAM_EV_REPORT` says that one was read, because the operator asked for it over the
//! air or the host did; its pages are taken with `stbcam_report_next` and brought to the head-end
//! in their order, over IP or as QR codes. The head-end's answer goes back to the card with
//! `stbcam_report_ack`; over the air it comes without the host.

use crate::error::Error;
use crate::guard::guard;
use crate::result::{
    STBCAM_E_AGAIN, STBCAM_E_BUFFER, STBCAM_E_CARD_MUTE, STBCAM_E_CARD_REFUSED, STBCAM_OK,
    stbcam_result_t,
};
use crate::size;
use crate::text;
use crate::types::stbcam_t;
use cam_core::AckResult;
use core::ptr;
use ecm_emm::report::Report;

/// `code` of `STBCAM_EV_REPORT`: a report was read.
pub const STBCAM_REPORT_READ: i32 = 1;
/// `code` of `STBCAM_EV_REPORT`: the card has answered an acknowledgement.
pub const STBCAM_REPORT_ACKNOWLEDGED: i32 = 2;

/// Asks the card for a report. `nonce` is 8 octets of the head-end's for this one request: it tells
/// an old report from a new one. `from_seq` is the card's number of the first purchase wanted, 0
/// for all that the operator has not acknowledged. Never waits; the report comes as
/// `STBCAM_EV_REPORT`. A later request takes the place of an earlier one.
///
/// STBCAM_E_NO_CARD: no card in session.
///
/// Threads: any.
///
/// # Safety
///
/// * `nonce` points to 8 readable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_report_request(
    cam: *mut stbcam_t,
    nonce: *const u8,
    from_seq: u16,
) -> stbcam_result_t {
    guard(cam, |context| {
        // SAFETY: the caller upholds this function's contract.
        let nonce = unsafe { text::array::<8>(nonce, "nonce") }?;
        Ok(context.cam.call(|engine, now| engine.report_request(now, nonce, from_seq))?)
    })
}

/// Octets of the longest page of a report.
pub const STBCAM_REPORT_MAX: usize = 238;
const _: () = assert!(STBCAM_REPORT_MAX == Report::MAX_LEN);

/// Takes the next page of the report that was read last, the first one first. `*len` is the room in
/// `page` before, the page's octets after; `STBCAM_REPORT_MAX` is always enough. Another report
/// that is read takes the place of pages that were not taken.
///
/// STBCAM_E_AGAIN: there is no page (left). STBCAM_E_BUFFER: `*len` is what is needed; the page
/// stays.
///
/// Threads: any; one at a time, or pages go to whoever comes first.
///
/// # Safety
///
/// * `page` points to `*len` writable octets, or `*len` is 0; `len` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_report_next(
    cam: *mut stbcam_t,
    page: *mut u8,
    len: *mut usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        size::needed(len, "len")?;
        // SAFETY: not NULL and aligned, a number by the caller's contract.
        let room = unsafe { len.read() };
        if room > 0 {
            size::needed(page, "page")?;
        }
        let taken = context.cam.call(|engine, _| {
            let next = engine.report_page()?.to_vec();
            if next.len() <= room {
                engine.report_taken();
            }
            Some(next)
        });
        let next = taken.ok_or_else(|| Error::plain(STBCAM_E_AGAIN))?;
        // SAFETY: as above.
        unsafe { len.write(next.len()) };
        if next.len() > room {
            let needed = next.len();
            return Err(Error::new(
                STBCAM_E_BUFFER,
                format!("room for {room} octets, but the page has {needed}"),
            ));
        }
        // SAFETY: `room` octets are writable by the caller's contract, and the page is no longer.
        unsafe { ptr::copy_nonoverlapping(next.as_ptr(), page, next.len()) };
        Ok(())
    })
}

/// Takes the head-end's acknowledgement to the card. Never waits; the card's answer comes as
/// `STBCAM_EV_REPORT`. The same acknowledgement again does no harm.
///
/// STBCAM_E_NO_CARD: no card. STBCAM_E_ARG: not of the length of an acknowledgement.
///
/// Threads: any.
///
/// # Safety
///
/// * `ack` points to `len` readable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_report_ack(
    cam: *mut stbcam_t,
    ack: *const u8,
    len: usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        // SAFETY: the caller upholds this function's contract.
        let ack = unsafe { text::octets(ack, len, "ack") }?;
        Ok(context.cam.call(|engine, now| engine.report_ack(now, ack))?)
    })
}

/// What the card says of an acknowledgement, as a result.
pub(crate) fn acknowledged(result: Option<AckResult>) -> stbcam_result_t {
    match result {
        Some(result) if result.is_taken() => STBCAM_OK,
        Some(_) => STBCAM_E_CARD_REFUSED,
        None => STBCAM_E_CARD_MUTE,
    }
}

// SPDX-License-Identifier: Apache-2.0
//! 10. Software descrambler
//!
//! For boxes and hosts without one in hardware: it takes what `set_cw` carries, holds a software
//! key ladder, and descrambles transport packets in place (DVB-CSA, DVB-CISSA, IDSA, SCTE 52). Make
//! one for each context: keys go by session, and two contexts give out the same session numbers.

use crate::error::Error;
use crate::guard::{guard_free, guard_on, stale};
use crate::host::{
    STBCAM_CW_IS_WRAPPED, STBCAM_CW_PREVIEW, STBCAM_LADDER_CLEAR_ALLOWED, stbcam_cw_t,
    stbcam_descrambler_ops_t, stbcam_ladder_t,
};
use crate::registry::Registry;
use crate::result::{
    STBCAM_E_BUFFER, STBCAM_E_PANIC, STBCAM_E_STATE, STBCAM_E_UNSUPPORTED, STBCAM_OK,
    stbcam_result_t,
};
use crate::size;
use crate::stream::check_source;
use crate::text;
use crate::types::{stbcam_session_t, stbcam_soft_descrambler_t};
use cam_core::{Ecw, ScramblingMode, SessionId};
use cam_types::transport::PACKET;
use cam_types::{Key, Parity, Pid};
use core::ffi::c_void;
use core::slice;
use ecm_emm::dvs042::Scte52Ivs;
use stb_shim::soft_descrambler::{KeyError, PacketResult, SoftDescrambler};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

static DESCRAMBLERS: Registry<SoftDescrambler> = Registry::new(2);

/// Makes a software descrambler. `root_key` is 16 octets: K3, the root of the key ladder, as the
/// operator has it for this box. The library wipes its copy.
///
/// STBCAM_E_ARG: a pointer is NULL.
///
/// Threads: any.
///
/// # Safety
///
/// * `root_key` points to 16 readable octets; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_soft_descrambler_new(
    root_key: *const u8,
    out: *mut *mut stbcam_soft_descrambler_t,
) -> stbcam_result_t {
    guard_free(|| {
        size::needed(out, "out")?;
        // SAFETY: the caller upholds this function's contract.
        let root = Key::new(unsafe { text::array(root_key, "root_key") }?);
        let handle = DESCRAMBLERS.insert(Arc::new(SoftDescrambler::new(&root)));
        // SAFETY: as above.
        unsafe { size::put_optional(out, "out", handle) }
    })
}

/// Fills the table to put into `stbcam_config_t`. Its functions may be called by the host itself,
/// also from inside a callback of its own. `set_cw` answers STBCAM_E_UNSUPPORTED to a
/// scrambling_mode other than 0x01, 0x02, 0x10, 0x70 and 0xDE, and STBCAM_E_STATE before
/// `load_ladder`; details are in `stbcam_last_error` of that thread, and in `STBCAM_EV_HEALTH`.
///
/// Threads: any.
///
/// # Safety
///
/// * `ops` points to a stbcam_descrambler_ops_t whose struct_size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_soft_descrambler_ops(
    descrambler: *mut stbcam_soft_descrambler_t,
    ops: *mut stbcam_descrambler_ops_t,
) -> stbcam_result_t {
    guard_on(&DESCRAMBLERS, descrambler, |_| {
        let value = stbcam_descrambler_ops_t {
            struct_size: 0,
            user: descrambler.cast(),
            load_ladder: Some(load_ladder),
            set_cw: Some(set_cw),
            clear: Some(clear),
        };
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put(ops, "ops", value) }
    })
}

/// The initialisation vectors of the network's SCTE 52, 8 octets each, for control words that come
/// after: call it right after `stbcam_soft_descrambler_new`. `iv` begins the chain of each payload.
/// `short_iv` is for payloads of less than 8 octets; NULL, as in the edition of 2003: the same as
/// `iv`. Without this call both are zeros. The copies are the library's own.
///
/// STBCAM_E_ARG: `iv` is NULL.
///
/// Threads: any.
///
/// # Safety
///
/// * `iv` points to 8 readable octets, `short_iv` too if it is not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_soft_descrambler_scte52_iv(
    descrambler: *mut stbcam_soft_descrambler_t,
    iv: *const u8,
    short_iv: *const u8,
) -> stbcam_result_t {
    guard_on(&DESCRAMBLERS, descrambler, |descrambler| {
        // SAFETY: the caller upholds this function's contract.
        let iv = unsafe { text::array(iv, "iv") }?;
        let short = if short_iv.is_null() {
            None
        } else {
            // SAFETY: as above.
            Some(unsafe { text::array(short_iv, "short_iv") }?)
        };
        descrambler.set_scte52_ivs(Scte52Ivs::new(iv, short));
        Ok(())
    })
}

/// The packet was not scrambled; it is untouched.
pub const STBCAM_PACKET_CLEAR: u8 = 0;
/// It was scrambled and is now in clear; its transport_scrambling_control is 00.
pub const STBCAM_PACKET_DESCRAMBLED: u8 = 1;
/// It is scrambled and its key is not here, or not known for certain; it is untouched.
pub const STBCAM_PACKET_NO_KEY: u8 = 2;
/// It is no transport packet of 188 octets, or damaged: transport_error_indicator is set, or its
/// header makes no sense. It is untouched.
pub const STBCAM_PACKET_MALFORMED: u8 = 3;

/// Descrambles `len` octets of transport packets of `source`, in place, where the key is there.
/// `results[i]` is what became of packet i (`STBCAM_PACKET_*`); a last piece shorter than 188
/// octets is malformed. `*result_count` says how many results fit and becomes how many there are;
/// `results` and `result_count` may both be NULL. Hand packets over as they come in: a pause of
/// half a crypto period between two calls is taken for a loss of signal, behind which the next ECM
/// or the start of a PES packet has to tell which key is on (docs/spec/abi.md).
///
/// STBCAM_E_BUFFER: results for fewer packets than given; nothing was touched. STBCAM_E_ARG:
/// `source` is over 15.
///
/// Threads: any, also while the card thread sets keys.
///
/// # Safety
///
/// * `packets` points to `len` writable octets, `results` to `*result_count` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_soft_descrambler_packets(
    descrambler: *mut stbcam_soft_descrambler_t,
    source: u8,
    packets: *mut u8,
    len: usize,
    results: *mut u8,
    result_count: *mut usize,
) -> stbcam_result_t {
    guard_on(&DESCRAMBLERS, descrambler, |descrambler| {
        check_source(source)?;
        // SAFETY: the caller upholds this function's contract; the check is the same as for
        // octets that are only read.
        let octets = unsafe { text::octets(packets, len, "packets") }?;
        let octets: &mut [u8] = if octets.is_empty() {
            &mut []
        } else {
            // SAFETY: not NULL and of a sane length as just checked, writable by the contract.
            unsafe { slice::from_raw_parts_mut(packets, len) }
        };
        let count = octets.len().div_ceil(PACKET);
        if !results.is_null() || !result_count.is_null() {
            size::needed(results, "results")?;
            size::needed(result_count, "result_count")?;
            // SAFETY: neither is NULL; readable and writable by the caller's contract.
            let room = unsafe { result_count.read() };
            // SAFETY: as above.
            unsafe { result_count.write(count) };
            if room < count {
                let text = format!("room for {room} results, but there are {count} packets");
                return Err(Error::new(STBCAM_E_BUFFER, text));
            }
        }
        let mut index = 0;
        descrambler.packets(source, octets, |result| {
            if !results.is_null() {
                // SAFETY: `index` is below `count`, and there is room for so many.
                unsafe { results.add(index).write(c_result(result)) };
            }
            index += 1;
        });
        Ok(())
    })
}

/// Wipes all keys and frees the descrambler. NULL is freed already. Close the contexts that use it
/// before; control words that come later are refused.
///
/// STBCAM_E_ARG: freed before.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_soft_descrambler_free(
    descrambler: *mut stbcam_soft_descrambler_t,
) -> stbcam_result_t {
    guard_free(|| {
        if descrambler.is_null() {
            return Ok(());
        }
        DESCRAMBLERS.remove(descrambler).map(drop).ok_or_else(|| stale(descrambler))
    })
}

const fn c_result(result: PacketResult) -> u8 {
    match result {
        PacketResult::Clear => STBCAM_PACKET_CLEAR,
        PacketResult::Descrambled => STBCAM_PACKET_DESCRAMBLED,
        PacketResult::NoKey => STBCAM_PACKET_NO_KEY,
        PacketResult::Malformed => STBCAM_PACKET_MALFORMED,
    }
}

/// Runs one function of the table: no panic leaves it, and a refusal is told by its result.
fn enter(
    user: *mut c_void,
    body: impl FnOnce(&SoftDescrambler) -> crate::error::Result,
) -> stbcam_result_t {
    let handle: *const stbcam_soft_descrambler_t = user.cast();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let descrambler = DESCRAMBLERS.get(handle).ok_or_else(|| stale(handle))?;
        body(&descrambler)
    }));
    match outcome {
        Ok(Ok(())) => STBCAM_OK,
        Ok(Err(error)) => error.report(),
        Err(_) => Error::plain(STBCAM_E_PANIC).report(),
    }
}

/// A flag of a later version asks for what this one would not do.
fn known_flags(flags: u32, known: u32, name: &str) -> crate::error::Result {
    if flags & !known == 0 {
        return Ok(());
    }
    let unknown = flags & !known;
    Err(Error::argument(format!(
        "{name}: flags 0x{unknown:X} are not known, expected 0x{known:X} at most"
    )))
}

unsafe extern "C" fn load_ladder(user: *mut c_void, ladder: *const stbcam_ladder_t) -> i32 {
    enter(user, |descrambler| {
        // SAFETY: a stbcam_ladder_t or NULL by the table's contract.
        let ladder = unsafe { size::take(ladder, "ladder") }?;
        known_flags(ladder.flags, STBCAM_LADDER_CLEAR_ALLOWED, "ladder")?;
        descrambler.load_ladder(&Key::new(ladder.ek2), &Key::new(ladder.ek1));
        Ok(())
    })
}

unsafe extern "C" fn set_cw(user: *mut c_void, cw: *const stbcam_cw_t) -> i32 {
    enter(user, |descrambler| {
        // SAFETY: a stbcam_cw_t or NULL by the table's contract.
        let cw = unsafe { size::take(cw, "cw") }?;
        known_flags(cw.flags, STBCAM_CW_IS_WRAPPED | STBCAM_CW_PREVIEW, "cw")?;
        check_source(cw.source)?;
        // SAFETY: so many PIDs are readable by the table's contract.
        let fields = unsafe { text::numbers(cw.es_pids, cw.es_pid_count, "es_pids") }?;
        let mut pids = [Pid::NULL; text::MAX_NUMBERS];
        pids.iter_mut().zip(fields).for_each(|(pid, field)| *pid = Pid::from_field(*field));
        let pids = pids.get(..fields.len()).unwrap_or_default();
        let (Some(even), Some(odd)) = (cw.even.first_chunk(), cw.odd.first_chunk()) else {
            return Err(Error::argument("control words are too short"));
        };
        let ecw = Ecw {
            session: SessionId(cw.session),
            source: cw.source,
            ecm_pid: Pid::from_field(cw.ecm_pid),
            es_pids: pids,
            mode: ScramblingMode(cw.scrambling_mode),
            even,
            odd,
            crypto_period: cw.crypto_period,
            parity: Parity::of_crypto_period(cw.crypto_period),
            cci: cw.copy_control,
            preview: cw.flags & STBCAM_CW_PREVIEW != 0,
        };
        let period_ms = u64::from(cw.crypto_period_ms);
        let period = (period_ms > 0).then(|| Duration::from_millis(period_ms));
        descrambler.set_cw(&ecw, period).map_err(|error| {
            let code = match error {
                KeyError::NoLadder => STBCAM_E_STATE,
                KeyError::Mode(_) => STBCAM_E_UNSUPPORTED,
            };
            Error::new(code, error.to_string())
        })
    })
}

unsafe extern "C" fn clear(user: *mut c_void, session: stbcam_session_t) {
    // A descrambler that was freed holds no keys.
    enter(user, |descrambler| {
        descrambler.clear(SessionId(session));
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::STBCAM_E_ARG;
    use core::ptr::null_mut;

    /// Packets of a source that no session can have would stay scrambled for ever, unsaid.
    #[test]
    fn a_source_that_there_is_not_is_refused() {
        let mut soft = null_mut();
        // SAFETY: what is given is there.
        assert_eq!(unsafe { stbcam_soft_descrambler_new([7; 16].as_ptr(), &mut soft) }, STBCAM_OK);
        let mut packet = [0x47; PACKET];
        for (source, result) in
            [(0, STBCAM_OK), (15, STBCAM_OK), (16, STBCAM_E_ARG), (255, STBCAM_E_ARG)]
        {
            // SAFETY: as above; no results are wanted.
            let got = unsafe {
                stbcam_soft_descrambler_packets(
                    soft,
                    source,
                    packet.as_mut_ptr(),
                    packet.len(),
                    null_mut(),
                    null_mut(),
                )
            };
            assert_eq!(got, result, "source {source}");
        }
        assert_eq!(stbcam_soft_descrambler_free(soft), STBCAM_OK);
    }
}

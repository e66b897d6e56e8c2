// SPDX-License-Identifier: Apache-2.0
//! 5. Tables and sections
//!
//! The host gives PMT and CAT sections, or EN 50221 CA_PMT objects, or both; the library says
//! which sections it wants (`stbcam_filters`, after every `STBCAM_EV_FILTERS`); the host passes
//! those on. A source is the host's number, 0 to 15, of a demultiplexer or tuner: two tuners with
//! the same PID are told apart.

use crate::error::{Error, no_source};
use crate::guard::{guard, guard_public};
use crate::result::{STBCAM_E_SECTION, STBCAM_OK, stbcam_result_t};
use crate::size::{self, CStruct};
use crate::text;
use crate::types::{stbcam_session_t, stbcam_t};
use cam_core::{Filter, Input, SessionId};
use cam_types::Pid;
use ecm_emm::cat::Cat;

/// Whether a CA_system_id is one of ours: 1 yes, 0 no, below 0 a result.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_is_our_ca(cam: *mut stbcam_t, ca_system_id: u16) -> i32 {
    let mut ours = 0;
    let result = guard(cam, |context| {
        ours = i32::from(context.is_our_ca(ca_system_id));
        Ok(())
    });
    if result == STBCAM_OK { ours } else { result }
}

/// Takes a section of the CAT: EMM PIDs of the source. Give every new version. One that is not yet
/// applicable (current_next_indicator 0) changes nothing. 256 EMM streams of each source are
/// served; more are told once by `STBCAM_EV_HEALTH`.
///
/// STBCAM_E_SECTION: not a CAT section or its CRC is wrong.
///
/// Threads: any. The octets may be reused as soon as the call returns.
///
/// # Safety
///
/// * `section` points to `len` readable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_cat(
    cam: *mut stbcam_t,
    source: u8,
    section: *const u8,
    len: usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        check_source(source)?;
        // SAFETY: the caller upholds this function's contract.
        let section = unsafe { text::octets(section, len, "section") }?;
        Cat::parse(section).map_err(|why| Error::new(STBCAM_E_SECTION, format!("CAT: {why}")))?;
        context.cam.call(|engine, now| engine.handle_input(now, Input::Cat { source, section }));
        Ok(())
    })
}

/// Opens a session for the programme of a PMT section. `*out` is its number. Access is told by
/// `STBCAM_EV_ACCESS` and `stbcam_access`.
///
/// STBCAM_E_SECTION: not a PMT section, its CRC is wrong, or it is not yet applicable
/// (current_next_indicator 0). STBCAM_E_FULL: `max_sessions` are open.
///
/// Threads: any. The octets may be reused as soon as the call returns.
///
/// # Safety
///
/// * `section` points to `len` readable octets; `out` is writable or NULL (refused).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_session_open_pmt(
    cam: *mut stbcam_t,
    source: u8,
    section: *const u8,
    len: usize,
    out: *mut stbcam_session_t,
) -> stbcam_result_t {
    guard(cam, |context| {
        check_source(source)?;
        size::needed(out, "out")?;
        // SAFETY: the caller upholds this function's contract.
        let section = unsafe { text::octets(section, len, "section") }?;
        let session = context.cam.call(|engine, now| engine.session_open(now, source, section))?;
        // SAFETY: as above.
        unsafe { size::put_optional(out, "out", session.0) }
    })
}

/// Tells a session that the PMT of its programme has changed. Keys stay where ECM PID and streams
/// stay.
///
/// STBCAM_E_NO_SESSION: not open. STBCAM_E_SECTION: not a PMT section, its CRC is wrong, it is of
/// another programme or not yet applicable (current_next_indicator 0); the session goes on as it
/// was.
///
/// Threads: any. The octets may be reused as soon as the call returns.
///
/// # Safety
///
/// * `section` points to `len` readable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_session_update_pmt(
    cam: *mut stbcam_t,
    session: stbcam_session_t,
    section: *const u8,
    len: usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        // SAFETY: the caller upholds this function's contract.
        let section = unsafe { text::octets(section, len, "section") }?;
        let session = SessionId(session);
        Ok(context.cam.call(|engine, now| engine.session_update(now, session, section))?)
    })
}

/// CA_enable: descrambling is possible: not scrambled, granted, a trial, or nothing is known yet
/// that speaks against it.
pub const STBCAM_CA_ENABLE_POSSIBLE: u8 = 0x01;
/// CA_enable: possible after a purchase.
pub const STBCAM_CA_ENABLE_PURCHASE: u8 = 0x02;
/// CA_enable: possible after a dialogue: the programme is rated, and the PIN opens it.
pub const STBCAM_CA_ENABLE_DIALOGUE: u8 = 0x03;
/// CA_enable: not possible, no right: the card denies it, or it is another operator's or CA
/// system's.
pub const STBCAM_CA_ENABLE_NO_RIGHT: u8 = 0x71;
/// CA_enable: not possible for technical reasons: the card is out or starts, or the access is
/// technical.
pub const STBCAM_CA_ENABLE_TECHNICAL: u8 = 0x73;

/// The answer to a CA_PMT object.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_ca_pmt_reply_t {
    /// sizeof(stbcam_ca_pmt_reply_t), by the caller.
    pub struct_size: usize,
    /// The session that the object opened or changed; 0 for none.
    pub session: stbcam_session_t,
    /// One of `STBCAM_CA_ENABLE_*` (EN 50221 §8.4.3.5), as things stand now; 0 when the object
    /// selects no component.
    pub ca_enable: u8,
    /// 0.
    pub reserved: [u8; 3],
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_ca_pmt_reply_t {}

/// Takes an EN 50221 CA_PMT object, with ca_pmt_tag and length_field or from
/// ca_pmt_list_management on.
///
/// List management: `first` and `only` close the sessions of the former list; with the others, and
/// for a programme that the list has, the session goes on with what the object says. `add` of a
/// known programme is `update`, `update` of an unknown one is `add`. Each source has its list, and
/// no list holds a session that `stbcam_session_open_pmt` opened.
///
/// Commands, for each component its own or else the programme's:
///  - ok_descrambling, ok_mmi: the component is descrambled. A dialogue is the host's, by offers
///    and PIN. Answered with the session, and `ca_enable` by its access.
///  - query, when no component is to be descrambled: changes nothing. `ca_enable` is by the access
///    of an open session of the programme on this source, else by what its CA_descriptors are to
///    the card.
///  - not_selected: the component is left scrambled. When that is all of them, or the object has
///    no component, the session of the programme ends; a list is emptied so.
///
/// STBCAM_E_SECTION: malformed, not yet applicable (current_next_indicator 0), or a
/// ca_pmt_list_management or ca_pmt_cmd_id that EN 50221 does not have; nothing has changed.
/// STBCAM_E_FULL: `max_sessions` are open, and `first` or `only` would close none; nothing has
/// changed.
///
/// Threads: any. The octets may be reused as soon as the call returns.
///
/// # Safety
///
/// * `object` points to `len` readable octets; `reply` points to a stbcam_ca_pmt_reply_t whose
///   struct_size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_ca_pmt(
    cam: *mut stbcam_t,
    source: u8,
    object: *const u8,
    len: usize,
    reply: *mut stbcam_ca_pmt_reply_t,
) -> stbcam_result_t {
    guard(cam, |context| {
        check_source(source)?;
        size::needed(reply, "reply")?;
        // SAFETY: the caller upholds this function's contract.
        let object = unsafe { text::octets(object, len, "object") }?;
        let answer = context.cam.call(|engine, now| engine.ca_pmt(now, source, object))?;
        let value = stbcam_ca_pmt_reply_t {
            struct_size: 0,
            session: answer.session.map_or(0, |session| session.0),
            ca_enable: answer.ca_enable.map_or(0, |ca_enable| ca_enable as u8),
            reserved: [0; 3],
        };
        // SAFETY: as above.
        unsafe { size::put(reply, "reply", value) }
    })
}

/// Closes a session; its control words are wiped. The number is stale from now on, also when its
/// place is taken by another session.
///
/// STBCAM_E_NO_SESSION: not open.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_session_close(
    cam: *mut stbcam_t,
    session: stbcam_session_t,
) -> stbcam_result_t {
    guard(cam, |context| {
        Ok(context.cam.call(|engine, now| engine.session_close(now, SessionId(session)))?)
    })
}

/// Offers one complete section, an ECM, an EMM or an offer. Never waits for the card.
///
/// The library copies what it needs: `section` may be reused as soon as the call returns. What
/// none of its filters asks for is dropped and counted (`section_unwanted`): it takes no room from
/// anything, and is no error. ECMs have a ring of their own and go to the card before all others.
///
/// STBCAM_E_SECTION: its section_length is not its length; counted, and it reaches nobody.
/// STBCAM_E_OVERFLOW: the card has not kept up; the section is lost, counted and told by
/// `STBCAM_EV_OVERFLOW`. STBCAM_E_BUSY: another thread is offering a section of the same source.
///
/// Threads: any, one at a time for each source.
///
/// # Safety
///
/// * `section` points to `len` readable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_section(
    cam: *mut stbcam_t,
    source: u8,
    pid: u16,
    section: *const u8,
    len: usize,
) -> stbcam_result_t {
    guard_public(cam, |context| {
        let pid = Pid::new(pid)
            .ok_or_else(|| Error::argument(format!("pid 0x{pid:X} is wider than 13 bits")))?;
        // SAFETY: the caller upholds this function's contract.
        let section = unsafe { text::octets(section, len, "section") }?;
        Ok(context.cam.section(source, pid, section)?)
    })
}

/// A section filter that the library wants set now.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_filter_t {
    /// The elem_size of the caller's array, by the library.
    pub struct_size: usize,
    /// The PID to filter, 13 bits.
    pub pid: u16,
    /// The host's number of the demultiplexer or tuner, 0 to 15.
    pub source: u8,
    /// Octets of `match` and `mask` that count.
    pub depth: u8,
    /// 1 for ECMs: do not let them wait. Else 0.
    pub urgent: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// What the section must hold: `match[0]` is the table_id, and `match[1]` is compared with
    /// octet 3 of the section, the first one behind section_length, and so on. This is the rule of
    /// DVB demultiplexers.
    pub r#match: [u8; 16],
    /// The bits that are compared.
    pub mask: [u8; 16],
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_filter_t {}

/// Section filters of one ECM stream, at most.
pub const STBCAM_FILTERS_PER_ECM_STREAM: u32 = 2;
const _: () = assert!(STBCAM_FILTERS_PER_ECM_STREAM as usize == Filter::PER_ECM_STREAM);
/// Section filters of one EMM stream, at most: for a card that is in eight groups.
pub const STBCAM_FILTERS_PER_EMM_STREAM: u32 = 11;
const _: () = assert!(STBCAM_FILTERS_PER_EMM_STREAM as usize == Filter::PER_EMM_STREAM);

/// How many section filters the library wants at most, each as narrow as can be:
/// STBCAM_FILTERS_PER_ECM_STREAM * ecm_streams + STBCAM_FILTERS_PER_EMM_STREAM * emm_streams, or
/// UINT32_MAX if that is more. `ecm_streams` are those of all sessions (usually one for each, at
/// most 16), `emm_streams` those of all sources (usually one for each, at most 256). A box that has
/// so many for us leaves `section_filters` of the configuration 0. With ecm_streams + emm_streams
/// nothing is missed either, but sections for others come along; with fewer, PIDs take turns.
///
/// Threads: any, also from a callback.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_filters_needed(ecm_streams: u32, emm_streams: u32) -> u32 {
    let ecms = ecm_streams.saturating_mul(STBCAM_FILTERS_PER_ECM_STREAM);
    ecms.saturating_add(emm_streams.saturating_mul(STBCAM_FILTERS_PER_EMM_STREAM))
}

/// Lists the section filters that the library wants set now: of all sources, and no others. They
/// are at most `section_filters` of the configuration, what matters most first: ECMs, EMMs to the
/// card, to the box, to groups and all, offers.
/// `*count` says how many fit `array`, whose elements are `elem_size` apart, and becomes how many
/// there are.
///
/// STBCAM_E_BUFFER: there are more than fit; the first ones were copied.
///
/// Threads: any.
///
/// # Safety
///
/// * `array` points to `*count` writable elements of `elem_size` octets, or `*count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_filters(
    cam: *mut stbcam_t,
    array: *mut stbcam_filter_t,
    elem_size: usize,
    count: *mut usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        let filters: Vec<_> =
            context.cam.query(|engine| engine.filters().iter().map(c_filter).collect());
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put_all(array, elem_size, count, &filters) }
    })
}

fn c_filter(filter: &Filter) -> stbcam_filter_t {
    stbcam_filter_t {
        struct_size: 0,
        pid: filter.pid.value(),
        source: filter.source,
        depth: filter.depth,
        urgent: filter.urgent.into(),
        reserved: [0; 3],
        r#match: filter.matching,
        mask: filter.mask,
    }
}

pub(crate) fn check_source(source: u8) -> crate::error::Result {
    if usize::from(source) < stb_shim::cam::Cam::SOURCES {
        return Ok(());
    }
    Err(no_source(source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cam_core::CaEnable;

    /// The header's numbers are those that the engine answers with.
    #[test]
    fn ca_enable_has_the_numbers_of_the_standard() {
        for (ca_enable, number) in [
            (CaEnable::Possible, STBCAM_CA_ENABLE_POSSIBLE),
            (CaEnable::Purchase, STBCAM_CA_ENABLE_PURCHASE),
            (CaEnable::Dialogue, STBCAM_CA_ENABLE_DIALOGUE),
            (CaEnable::NoRight, STBCAM_CA_ENABLE_NO_RIGHT),
            (CaEnable::Technical, STBCAM_CA_ENABLE_TECHNICAL),
        ] {
            assert_eq!(number, ca_enable as u8, "{ca_enable:?}");
        }
    }
}

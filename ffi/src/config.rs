// SPDX-License-Identifier: Apache-2.0
//! 4. Life of a context
//!
//! `stbcam_config_init`, fill in, `stbcam_open`; then any thread may call any function until
//! `stbcam_close`. A context has one card thread, or none: with `STBCAM_CONFIG_NO_THREAD` nothing
//! happens but inside `stbcam_step` and the calls that wait for the card. No lock is held while
//! the card is spoken to.

use crate::context::{Context, ReaderChoice, Settings};
use crate::error::{Error, Result};
use crate::guard::{CONTEXTS, guard, guard_free};
use crate::host::{
    STBCAM_LOG_ERROR, STBCAM_LOG_OFF, STBCAM_LOG_TRACE, STBCAM_LOG_WARN, stbcam_descrambler_ops_t,
    stbcam_log_fn, stbcam_reader_ops_t, stbcam_storage_ops_t,
};
use crate::host_reader::HostReader;
use crate::result::{STBCAM_E_STATE, STBCAM_OK, stbcam_result_t};
use crate::size::{self, CStruct};
use crate::text;
use crate::types::stbcam_t;
use cam_core::Config;
use core::ffi::{c_char, c_void};
use core::ops::RangeInclusive;
use core::ptr;
use iso7816::emv::Profile;
use stb_shim::residue;
use stb_shim::ring;
use std::os::fd::AsRawFd;
use zeroize::Zeroize;

/// No card thread: nothing runs unless `stbcam_step` is called.
pub const STBCAM_CONFIG_NO_THREAD: u32 = 0x01;
/// The card is held to EMV contact level 1: no PPS, no odd answer to reset, and every failure ends
/// with its power off. Few pay-TV cards are made for that. For readers with characters: serial: and
/// iso7816:, where "policy=emv" in the address says the same, and `reader_ops` without `transmit`.
pub const STBCAM_CONFIG_EMV: u32 = 0x02;

/// What a context is told once. The library copies it; nothing needs to live after `stbcam_open`
/// but what the `user` pointers point to.
///
/// 0 or NULL is a member's default, where it has one: a structure of zeros with `struct_size` set
/// is as good as one that `stbcam_config_init` has filled. A number outside the limits given here
/// is refused by `stbcam_open` (STBCAM_E_ARG), never cut.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_config_t {
    /// sizeof(stbcam_config_t); set by `stbcam_config_init`. Never 0.
    pub struct_size: usize,
    /// `STBCAM_CONFIG_NO_THREAD`, `STBCAM_CONFIG_EMV`, both, or 0.
    pub flags: u32,
    /// The longest that a call waits for the card, and that `stbcam_close` waits. At most 600000
    /// (ten minutes); 0: 5000.
    pub card_timeout_ms: u32,
    /// The card reader: "serial:/dev/ttyS1?reset=rts&detect=cts"; docs/spec/abi.md has the table.
    /// NULL with `reader_ops`.
    pub reader: *const c_char,
    /// The box's own card reader. NULL with `reader`.
    pub reader_ops: *const stbcam_reader_ops_t,
    /// A directory of the library's own, made when it is not there, with those above it: one for
    /// each context, and only its owner can read it. Needed unless `storage` is set.
    pub state_dir: *const c_char,
    /// The language of texts for the subscriber, BCP 47. NULL: "en", which is also what an unknown
    /// language gives.
    pub language: *const c_char,
    /// The CA_system_ids that are ours. NULL: 0x4AF0 alone.
    pub ca_system_ids: *const u16,
    /// How many, at most 256. 0 with NULL, and only then.
    pub ca_system_id_count: usize,
    /// The box's number, from its factory.
    pub stb_id: [u8; 8],
    /// The purse's name for this terminal; all zero: the last six octets of `stb_id`.
    pub terminal_id: [u8; 6],
    /// Octets that count in `box_key`: 16; 0: 16.
    pub box_key_len: u8,
    /// 0.
    pub reserved: u8,
    /// The box's own key, from its factory, under which its pairings arrive. The library wipes its
    /// copy; wipe yours once `stbcam_open` has returned.
    pub box_key: [u8; 32],
    /// The box's descrambler, or NULL: control words go nowhere.
    pub descrambler: *const stbcam_descrambler_ops_t,
    /// The box's storage, or NULL: files in `state_dir`.
    pub storage: *const stbcam_storage_ops_t,
    /// Receives the log, or NULL.
    pub log: stbcam_log_fn,
    /// Handed back to `log`.
    pub log_user: *mut c_void,
    /// The most talkative level that is logged, one of `STBCAM_LOG_*`. 0: `STBCAM_LOG_WARN`.
    pub log_level: i32,
    /// The most sessions that are open at once. At most 255; 0: 16.
    pub max_sessions: u32,
    /// The most EMMs of each addressing (to one card, to a group, to all) that wait for the card.
    /// At most 16384; 0: 64.
    pub emm_queue: u32,
    /// The most events that wait for the host. At most 65536; 0: 256.
    pub event_queue: u32,
    /// Octets of the ring between a source and the card thread; ECMs have a second one of the same
    /// size. A section takes 4 octets more than its length. 4100, which is room for the longest
    /// section, to 16777216; 0: 65536.
    pub section_ring: u32,
    /// How many section filters the box has for the library, of all sources: `stbcam_filters` never
    /// lists more. With fewer than it wants it widens them, and at last PIDs take turns
    /// (docs/spec/abi.md, Sections). At most 65535, more than it ever wants; 0: 65535.
    pub section_filters: u32,
}

// SAFETY: repr(C), starts with struct_size, and holds numbers, nullable pointers and an optional
// function, which a caller promises to be what they say.
unsafe impl CStruct for stbcam_config_t {}

/// Fills a configuration with what has a default; everything else becomes zero or NULL. Whoever
/// would rather not call it sets the structure to zeros, and its `struct_size`.
/// `struct_size` is sizeof(stbcam_config_t) of the caller.
///
/// STBCAM_E_ARG: `config` is NULL. STBCAM_E_STRUCT_SIZE: no version of the library has a
/// structure of this size.
///
/// Threads: any.
///
/// # Safety
///
/// * `config` points to `struct_size` writable octets, or is NULL (refused).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_config_init(
    config: *mut stbcam_config_t,
    struct_size: usize,
) -> stbcam_result_t {
    guard_free(|| {
        size::needed(config, "config")?;
        size::check_size::<stbcam_config_t>(struct_size, "struct_size")?;
        // SAFETY: so many octets are writable by the caller's contract; `put` reads the number from
        // where it is written here.
        unsafe {
            config.cast::<usize>().write(struct_size);
            size::put(config, "config", DEFAULTS)
        }
    })
}

const DEFAULTS: stbcam_config_t = stbcam_config_t {
    struct_size: size_of::<stbcam_config_t>(),
    flags: 0,
    card_timeout_ms: CARD_TIMEOUT_MS.default,
    reader: ptr::null(),
    reader_ops: ptr::null(),
    state_dir: ptr::null(),
    language: ptr::null(),
    ca_system_ids: ptr::null(),
    ca_system_id_count: 0,
    stb_id: [0; 8],
    terminal_id: [0; 6],
    box_key_len: 16,
    reserved: 0,
    box_key: [0; 32],
    descrambler: ptr::null(),
    storage: ptr::null(),
    log: None,
    log_user: ptr::null_mut(),
    log_level: STBCAM_LOG_WARN,
    max_sessions: MAX_SESSIONS.default,
    emm_queue: EMM_QUEUE.default,
    event_queue: EVENT_QUEUE.default,
    section_ring: SECTION_RING.default,
    section_filters: SECTION_FILTERS.default,
};

/// A number of the configuration: what it may be, and what 0 stands for.
struct Number {
    name: &'static str,
    allowed: RangeInclusive<u32>,
    default: u32,
}

const CARD_TIMEOUT_MS: Number =
    Number { name: "card_timeout_ms", allowed: 1..=600_000, default: 5000 };
/// A session's number has one octet for its place.
const MAX_SESSIONS: Number =
    Number { name: "max_sessions", allowed: 1..=255, default: Config::MAX_SESSIONS as u32 };
const EMM_QUEUE: Number =
    Number { name: "emm_queue", allowed: 1..=16_384, default: Config::EMM_QUEUE as u32 };
const EVENT_QUEUE: Number = Number { name: "event_queue", allowed: 1..=65_536, default: 256 };
const SECTION_RING: Number =
    Number { name: "section_ring", allowed: ring::LEAST as u32..=1 << 24, default: 65_536 };

const SECTION_FILTERS: Number = Number {
    name: "section_filters",
    allowed: 1..=65_535,
    default: Config::SECTION_FILTERS as u32,
};

impl Number {
    /// The number to go by.
    fn of(&self, given: u32) -> Result<u32> {
        if given == 0 {
            return Ok(self.default);
        }
        if self.allowed.contains(&given) {
            return Ok(given);
        }
        let Self { name, allowed, default } = self;
        let (least, most) = (allowed.start(), allowed.end());
        Err(Error::argument(format!(
            "{name} is {given}, expected {least} to {most}, or 0 for {default}"
        )))
    }
}

/// Opens a card reader and everything behind it. The reader must be there; a card need not be.
/// On success `*out` is a new context, to be closed by `stbcam_close`.
///
/// STBCAM_E_ARG: a member is missing, malformed, or not for this reader; the details name it.
/// STBCAM_E_NO_READER: the port is not there or cannot do what is asked of it. STBCAM_E_STORAGE:
/// the storage does not work; `state_dir` is full, read-only or holds what is no file.
/// STBCAM_E_BUSY: another context, of this
/// process or another, uses `state_dir`; one that ended with STBCAM_E_TIMEOUT until it has ended.
/// STBCAM_E_NOMEM: no thread or descriptor is to be had.
///
/// Threads: any, but not from a callback.
///
/// # Safety
///
/// * `config` points to a configuration that `stbcam_config_init` has filled or that was all zero
///   but for its `struct_size`, and its pointers to what their comments say; `out` is writable.
///   Either may be NULL (refused).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_open(
    config: *const stbcam_config_t,
    out: *mut *mut stbcam_t,
) -> stbcam_result_t {
    let open = || {
        size::needed(out, "out")?;
        // SAFETY: not NULL and aligned; writable by the caller's contract.
        unsafe { out.write(ptr::null_mut()) };
        // SAFETY: the caller upholds this function's contract.
        let mut config = unsafe { size::take(config, "config") }?;
        // SAFETY: as above.
        let settings = unsafe { settings(&config) };
        config.box_key.zeroize();
        let context = Context::open(settings?)?;
        // SAFETY: as above.
        unsafe { out.write(CONTEXTS.insert(context)) };
        Ok(())
    };
    guard_free(|| residue::deep_behind(open))
}

/// Reads what a configuration points to.
///
/// # Safety
///
/// Its pointers are NULL or point to what their comments say.
unsafe fn settings(config: &stbcam_config_t) -> Result<Settings> {
    let unknown = config.flags & !(STBCAM_CONFIG_NO_THREAD | STBCAM_CONFIG_EMV);
    if unknown != 0 {
        let why = format!(
            "flags 0x{unknown:X} are not known, expected STBCAM_CONFIG_NO_THREAD and \
             STBCAM_CONFIG_EMV at most"
        );
        return Err(Error::argument(why));
    }
    if ![0, 16].contains(&config.box_key_len) {
        let got = config.box_key_len;
        return Err(Error::argument(format!("box_key_len is {got}, expected 16, or 0 for 16")));
    }
    if config.reserved != 0 {
        let got = config.reserved;
        return Err(Error::argument(format!("reserved is {got}, expected 0")));
    }
    let log_level = match config.log_level {
        0 => STBCAM_LOG_WARN,
        level @ (STBCAM_LOG_OFF | STBCAM_LOG_ERROR..=STBCAM_LOG_TRACE) => level,
        other => {
            return Err(Error::argument(format!(
                "log_level is {other}, expected 1 to 5 (STBCAM_LOG_*), -1 for nothing, or 0 for 2"
            )));
        }
    };
    if config.ca_system_id_count == 0 && !config.ca_system_ids.is_null() {
        return Err(Error::argument(
            "ca_system_id_count is 0 with ca_system_ids set, expected 1 to 256, or NULL for ours",
        ));
    }
    let card_timeout_ms = CARD_TIMEOUT_MS.of(config.card_timeout_ms)?;
    let (max_sessions, emm_queue, event_queue, section_ring, section_filters) = (
        MAX_SESSIONS.of(config.max_sessions)?,
        EMM_QUEUE.of(config.emm_queue)?,
        EVENT_QUEUE.of(config.event_queue)?,
        SECTION_RING.of(config.section_ring)?,
        SECTION_FILTERS.of(config.section_filters)?,
    );
    let Some(box_key) = config.box_key.first_chunk::<16>() else {
        return Err(Error::argument("box_key is too short"));
    };
    // SAFETY: the caller upholds this function's contract, here and below.
    let ca_system_ids =
        unsafe { text::numbers(config.ca_system_ids, config.ca_system_id_count, "ca_system_ids") }?
            .to_vec();
    let descrambler = if config.descrambler.is_null() {
        None
    } else {
        // SAFETY: as above.
        Some(unsafe { size::take(config.descrambler, "config.descrambler") }?)
    };
    let storage = if config.storage.is_null() {
        None
    } else {
        // SAFETY: as above.
        Some(unsafe { size::take(config.storage, "config.storage") }?)
    };
    // SAFETY: as above.
    let (reader, state_dir, language) = unsafe {
        (
            reader(config, card_timeout_ms)?,
            text::optional(config.state_dir, "state_dir")?,
            text::optional(config.language, "language")?,
        )
    };
    Ok(Settings {
        threaded: config.flags & STBCAM_CONFIG_NO_THREAD == 0,
        profile: if config.flags & STBCAM_CONFIG_EMV == 0 {
            Profile::Iso
        } else {
            Profile::EmvLevel1
        },
        card_timeout_ms,
        reader,
        state_dir,
        language,
        ca_system_ids,
        stb_id: config.stb_id,
        terminal_id: config.terminal_id,
        box_key: cam_types::Key::new(*box_key),
        descrambler,
        storage,
        log: crate::log::LogSink::new(config.log, config.log_user, log_level),
        max_sessions,
        emm_queue,
        event_queue,
        section_ring,
        section_filters,
    })
}

/// The library's reader or the host's: exactly one of them.
///
/// # Safety
///
/// As for [`settings`].
unsafe fn reader(config: &stbcam_config_t, card_timeout_ms: u32) -> Result<ReaderChoice> {
    match (config.reader.is_null(), config.reader_ops.is_null()) {
        (true, true) => Err(Error::argument("neither reader nor reader_ops is set, expected one")),
        (false, false) => Err(Error::argument("reader and reader_ops are set, expected one")),
        (false, true) => {
            // SAFETY: the caller upholds this function's contract.
            let url = unsafe { text::optional(config.reader, "reader") }?.unwrap_or_default();
            if url.is_empty() {
                let text = "reader is empty, expected an address such as serial:/dev/ttyS1";
                return Err(Error::argument(text));
            }
            Ok(ReaderChoice::Url(url))
        }
        (true, false) => {
            // SAFETY: as above.
            let ops = unsafe { size::take(config.reader_ops, "config.reader_ops") }?;
            Ok(ReaderChoice::Host(HostReader::new(ops, card_timeout_ms)?))
        }
    }
}

/// Closes a context: wipes the control words of every session (`clear` is called before this
/// returns), ends the card thread and takes the power off the card. The handle is stale from the
/// first moment; calls under way in other threads end with a result. NULL is closed already. Waits
/// at most `card_timeout_ms` for the card thread, and for a callback that is running as long as it
/// runs; no callback is called once this has returned.
///
/// STBCAM_E_ARG: closed before. STBCAM_E_TIMEOUT: closed, but the card thread was still waiting for
/// its reader and ends by itself.
///
/// Threads: any, but not from a callback.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_close(cam: *mut stbcam_t) -> stbcam_result_t {
    guard_free(|| {
        if cam.is_null() {
            return Ok(());
        }
        CONTEXTS.remove(cam).ok_or_else(|| crate::guard::stale(cam))?.close()
    })
}

/// Does the card thread's work for at most `max_ms` milliseconds, in the calling thread; returns
/// earlier when something was done. `*next_ms` is how long it may take until the next call if
/// nothing else happens, UINT32_MAX when there is nothing to wait for; `next_ms` may be NULL.
///
/// A host with a loop of its own waits for `stbcam_step_fd` and calls this with `max_ms` 0, until
/// the descriptor is no longer readable. Who waits `*next_ms` alone is late for what comes
/// meanwhile from the card, by other calls and other threads.
///
/// STBCAM_E_STATE: the context has a card thread. STBCAM_E_BUSY: another thread is in this call.
///
/// Threads: any one at a time.
///
/// # Safety
///
/// * `next_ms` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_step(
    cam: *mut stbcam_t,
    max_ms: u32,
    next_ms: *mut u32,
) -> stbcam_result_t {
    guard(cam, |context| {
        let next = context.step(max_ms)?;
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put_optional(next_ms, "next_ms", next) }
    })
}

/// A descriptor that poll() finds readable as long as `stbcam_step` is due: the card or its reader
/// has something to say, a call has left something to do, or a time is up. It is one number until
/// `stbcam_close` and belongs to the library: do not read, write or close it; it is good for
/// poll(), select() and epoll, level-triggered. It is readable from the start. Below 0: a result.
///
/// A reader of `reader_ops` with characters has no descriptor that we could wait for: while
/// something is expected of the card, the time is up every millisecond.
///
/// STBCAM_E_STATE: the context has a card thread.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_step_fd(cam: *mut stbcam_t) -> i32 {
    let mut fd = STBCAM_E_STATE;
    let result = guard(cam, |context| {
        fd = context.due()?.as_raw_fd();
        Ok(())
    });
    if result == STBCAM_OK { fd } else { result }
}

/// Where the time of `stbcam_set_utc` comes from: the time is not known any more.
pub const STBCAM_UTC_UNKNOWN: i32 = 0;
const _: () = assert!(STBCAM_UTC_UNKNOWN == Context::NO_SOURCE);
/// From the broadcast's TDT or TOT.
pub const STBCAM_UTC_BROADCAST: i32 = 1;
/// From the network.
pub const STBCAM_UTC_NETWORK: i32 = 2;
/// From the box's own clock.
pub const STBCAM_UTC_RTC: i32 = 3;

/// Tells the time: seconds of the Unix epoch. It is used for the `utc_s` of events and nothing
/// else: rights and purchases go by the card's own clock, which only the operator can move. The
/// last call counts, whatever its `source`, which `stbcam_diag_json` tells with the time; with
/// `STBCAM_UTC_UNKNOWN` the time is forgotten, and `utc_s` is not looked at.
///
/// STBCAM_E_ARG: `source` is not one of `STBCAM_UTC_*`. STBCAM_E_CLOCK: `utc_s` is below 1 or more
/// than an event can tell; what was known stays.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_set_utc(cam: *mut stbcam_t, utc_s: i64, source: i32) -> stbcam_result_t {
    guard(cam, |context| match source {
        STBCAM_UTC_UNKNOWN..=STBCAM_UTC_RTC => context.set_utc(utc_s, source),
        other => Err(Error::argument(format!("source {other} is not one of STBCAM_UTC_*"))),
    })
}

#[cfg(test)]
mod tests;

// SPDX-License-Identifier: Apache-2.0
//! 3. What the box gives the library
//!
//! Tables of functions, each with a `user` pointer that is handed back as it is. The library
//! copies the tables; what `user` points to must live until `stbcam_close` has returned. The
//! functions of one table are called one at a time, on the card thread (inside `stbcam_step` when
//! there is none); `clear` also on the thread that closes. They must not call the library: that is
//! refused with `STBCAM_E_REENTRANT`, not deadlocked.

use crate::types::stbcam_session_t;
use core::ffi::{c_char, c_void};

/// Receives the log. `level` is one of `STBCAM_LOG_*`, `origin` names the part of the library, both
/// texts are UTF-8 and end with a zero; they are gone when the call returns. Never holds a key, a
/// control word or a PIN, at no level.
///
/// Called by any thread that calls the library and by the card thread, one call at a time. It must
/// not call the library (`STBCAM_E_REENTRANT`).
pub type stbcam_log_fn = Option<
    unsafe extern "C" fn(user: *mut c_void, level: i32, origin: *const c_char, text: *const c_char),
>;
/// Log nothing: below all others, for 0 is the default of `config.log_level`.
pub const STBCAM_LOG_OFF: i32 = -1;
/// What does not work.
pub const STBCAM_LOG_ERROR: i32 = 1;
/// What should not happen.
pub const STBCAM_LOG_WARN: i32 = 2;
/// What changes.
pub const STBCAM_LOG_INFO: i32 = 3;
/// What is done.
pub const STBCAM_LOG_DEBUG: i32 = 4;
/// Everything.
pub const STBCAM_LOG_TRACE: i32 = 5;

/// Not an algorithm with a number here; `scrambling_mode` says which. Whether the chip can do it is
/// for `set_cw` to say: 0 says that it can.
pub const STBCAM_ALGO_OTHER: u8 = 0;
/// DVB-CSA, 64-bit control words.
pub const STBCAM_ALGO_CSA: u8 = 1;
/// SCTE 52: DES in CBC, 64-bit control words, each payload ended as the standard ends it. Its
/// initialisation vectors are constants of the network: whoever builds the box knows them.
pub const STBCAM_ALGO_SCTE52: u8 = 2;
/// DVB-CISSA version 1, 128-bit control words, AES-128-CBC with a fixed IV.
pub const STBCAM_ALGO_CISSA: u8 = 5;
/// ATIS-0800006 (IDSA): AES-128 in CBC with an IV of zeros, 128-bit control words, each payload
/// ended as SCTE 52 ends it.
pub const STBCAM_ALGO_IDSA: u8 = 8;

/// `even` is set.
pub const STBCAM_CW_EVEN: u8 = 0x01;
/// `odd` is set.
pub const STBCAM_CW_ODD: u8 = 0x02;

/// The control words are encrypted under the key at the foot of the key ladder. This version of
/// the library sets it always.
pub const STBCAM_CW_IS_WRAPPED: u32 = 0x01;
/// The control words were given for a preview.
pub const STBCAM_CW_PREVIEW: u32 = 0x02;

/// The control words of a crypto period and the one after it. Everything is gone when the call
/// returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_cw_t {
    /// sizeof(stbcam_cw_t), by the library.
    pub struct_size: usize,
    /// The session that they belong to.
    pub session: stbcam_session_t,
    /// `STBCAM_CW_IS_WRAPPED`, `STBCAM_CW_PREVIEW`.
    pub flags: u32,
    /// The crypto period on air. Its bit 0 is the parity of its control word: 0 even, 1 odd. The
    /// other belongs to the next period.
    pub crypto_period: u32,
    /// The length of a crypto period in milliseconds, as measured; 0 before a whole one was seen.
    pub crypto_period_ms: u32,
    /// The PID of the ECM that they came by.
    pub ecm_pid: u16,
    /// The source (demultiplexer or tuner) of the session.
    pub source: u8,
    /// One of `STBCAM_ALGO_*`.
    pub algo: u8,
    /// scrambling_mode (EN 300 468) of the PMT's scrambling_descriptor; 0xDE is SCTE 52, which has
    /// no number there. Where there is none, as in every CA_PMT, or its mode has control words of
    /// another length than the ECM's: 0x10, DVB-CISSA, for 16 octets, 0x02, DVB-CSA2, for 8.
    pub scrambling_mode: u8,
    /// `STBCAM_CW_EVEN` and `STBCAM_CW_ODD`.
    pub parity_mask: u8,
    /// Octets that count in `even` and `odd`: 16. The first 8 of what leaves the key ladder are the
    /// control word of DVB-CSA and of SCTE 52.
    pub key_len: u8,
    /// Octets that count in `iv`: 16 for CISSA and IDSA, else 0.
    pub iv_len: u8,
    /// Copy control information, as the ECM carries it.
    pub copy_control: u8,
    /// 0.
    pub reserved: [u8; 7],
    /// The even control word.
    pub even: [u8; 32],
    /// The odd control word.
    pub odd: [u8; 32],
    /// The initialisation vector.
    pub iv: [u8; 16],
    /// The PIDs of the elementary streams that they scramble.
    pub es_pids: *const u16,
    /// How many.
    pub es_pid_count: usize,
}

/// The operator lets this box have control words outside the key ladder.
pub const STBCAM_LADDER_CLEAR_ALLOWED: u32 = 0x01;

/// The encrypted keys of a pairing, for the chip's key ladder (ETSI TS 103 162): with the chip's
/// root key K3, K2 = D(K3, EK2), K1 = D(K2, EK1), control word = D(K1, encrypted control word); D
/// is AES-128 decryption of one block.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_ladder_t {
    /// sizeof(stbcam_ladder_t), by the library.
    pub struct_size: usize,
    /// `STBCAM_LADDER_CLEAR_ALLOWED`.
    pub flags: u32,
    /// The pairing slot of the card, 0 to 3.
    pub pairing_slot: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// K2, encrypted under K3.
    pub ek2: [u8; 16],
    /// K1, encrypted under K2.
    pub ek1: [u8; 16],
}

/// The box's descrambler. All three functions are needed: `stbcam_open` refuses a table without one
/// of them (STBCAM_E_ARG). Whoever wants control words to go nowhere sets `config.descrambler` to
/// NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_descrambler_ops_t {
    /// sizeof(stbcam_descrambler_ops_t).
    pub struct_size: usize,
    /// Handed back to every function.
    pub user: *mut c_void,
    /// Loads the key ladder. Comes before the first control words, and again when another card is
    /// paired otherwise. 0 is done. With anything else every session that would have control words
    /// shows STBCAM_REASON_DESCRAMBLER, none are handed over, and the ladder's keys come again
    /// before the next ones, or once a second while ECMs are repeated on air.
    pub load_ladder:
        Option<unsafe extern "C" fn(user: *mut c_void, ladder: *const stbcam_ladder_t) -> i32>,
    /// Takes control words: the latency path, so it must return within 5 ms. A key whose period is
    /// over must not be used on a later one of the same parity. 0 is done. With anything else the
    /// session shows STBCAM_REASON_DESCRAMBLER until control words of its stream are taken again;
    /// the same come again once a second while their ECM is repeated on air.
    pub set_cw: Option<unsafe extern "C" fn(user: *mut c_void, cw: *const stbcam_cw_t) -> i32>,
    /// Wipes the control words of a session, at once: it was closed, access is lost, the card is
    /// out.
    pub clear: Option<unsafe extern "C" fn(user: *mut c_void, session: stbcam_session_t)>,
}

/// Where the library keeps what must survive a power cut: pairings (sealed under the box's key)
/// and the numbers of purchases. `key` is a text of letters, digits, `-`, `_` and `.`, at most 64
/// octets long.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_storage_ops_t {
    /// sizeof(stbcam_storage_ops_t).
    pub struct_size: usize,
    /// Handed back to every function.
    pub user: *mut c_void,
    /// Reads: stores the length, and the octets if they fit `capacity`. 0 is done, 1 is "there is
    /// none", anything else an error. Called by `stbcam_open` only.
    pub get: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            key: *const c_char,
            octets: *mut u8,
            capacity: usize,
            len: *mut usize,
        ) -> i32,
    >,
    /// Writes: on return all of it is on flash, and after a power cut either the old or the new
    /// octets are there. 0 is done.
    pub put_durable: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            key: *const c_char,
            octets: *const u8,
            len: usize,
        ) -> i32,
    >,
}

/// Done, or yes.
pub const STBCAM_READER_OK: i32 = 0;
/// The card is out. A card that is put back in shows by `present`, or by its answer to `reset`.
pub const STBCAM_READER_REMOVED: i32 = -1;
/// The reader itself is gone. It is looked for again by `present` and `reset`.
pub const STBCAM_READER_LOST: i32 = -2;
/// The time is over. From `reset` and `transmit`: the card is mute; from `read`: nothing came,
/// which is no error; from `write`: the reader is stuck, and counts as lost.
pub const STBCAM_READER_TIMEOUT: i32 = -3;
/// The card has said something, but not readably (a parity error, for example).
pub const STBCAM_READER_DAMAGED: i32 = -4;

/// How the line to the card runs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_line_t {
    /// sizeof(stbcam_line_t), by the library.
    pub struct_size: usize,
    /// Clock rate conversion integer F; 372 after reset.
    pub f: u32,
    /// Baud rate adjustment integer D; 1 after reset.
    pub d: u32,
    /// The card's clock in Hz, as the table of functions has it.
    pub clock_hz: u32,
    /// Bits per second: `clock_hz` * D / F, rounded.
    pub bit_rate: u32,
    /// From the leading edge of one character to that of the next, on the way to the card, in etu:
    /// 12 after reset, 11 with T=1 and N=255, more when the card asks for extra guard time.
    pub guard_etu: u32,
    /// 1: the card has the inverse convention. On a UART that knows no conventions: odd parity.
    pub inverse: u32,
    /// T of the protocol that runs, 0 before one does: for a UART that keeps times or, with T=0,
    /// repeats characters by itself.
    pub protocol: u32,
    /// 0.
    pub reserved: u32,
}

/// The box's card reader, in place of `config.reader`.
///
/// There are two kinds. One moves characters: it has `params`, `write` and `read`; the library
/// speaks T=0 or T=1, PPS included, and keeps every time. The other takes whole APDUs: it has
/// `transmit`, and everything between is its own business. Both have `reset` and `power_off`.
///
/// All functions are called on the card thread (inside `stbcam_step` and the calls that wait for
/// the card when there is none), one at a time; `present` also once inside `stbcam_open`. They must
/// not call the library (`STBCAM_E_REENTRANT`). `stbcam_close` calls nothing but `power_off`, which
/// is the last call, and waits for a function that is running. While one runs, everything else
/// waits: return as soon as there is something to return, and at `timeout_ms` at the latest.
///
/// They return 0 or more for done, or one of `STBCAM_READER_*`. Any other number below 0 is told in
/// `STBCAM_EV_HEALTH` and counts as `STBCAM_READER_LOST`.
///
/// Octets are logical ones in both directions, whichever convention the card's TS has announced; a
/// reader that does not know conventions passes octets as its UART has them, and the answer to
/// reset through `read`. Pointers are good until the function returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_reader_ops_t {
    /// sizeof(stbcam_reader_ops_t).
    pub struct_size: usize,
    /// Handed back to every function.
    pub user: *mut c_void,
    /// The card's clock in Hz. 0: 3579545.
    pub clock_hz: u32,
    /// The highest bit rate that `params` can set; PPS asks for no higher one. 0: 1000000.
    pub max_bit_rate: u32,
    /// Whether a card is in: 1 yes, 0 no. Asked every 100 ms, so it must not wait. NULL: the reader
    /// cannot tell; an idle card is then asked for a sign of life every 300 ms.
    pub present: Option<unsafe extern "C" fn(user: *mut c_void) -> i32>,
    /// Resets the card: throws away what was received before, sets the line to F 372, D 1 and 12
    /// etu, and switches the card off and on (`cold` 1) or pulls its reset line (`cold` 0; as 1
    /// where there is none). The answer to reset comes in one of two ways. Either through `read`:
    /// then return 0 as soon as the reset line has risen, and leave `*len` 0. Or whole, as from a
    /// chip that reads it by itself, and always with `transmit`: then put it into `atr`, which has
    /// `capacity` octets, TS first, and its length into `*len`; wait `timeout_ms` for its first
    /// character, and return STBCAM_READER_TIMEOUT if there is none.
    pub reset: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            cold: i32,
            atr: *mut u8,
            capacity: usize,
            len: *mut usize,
            timeout_ms: u32,
        ) -> i32,
    >,
    /// From the next character on the line runs like this. Must not wait.
    pub params: Option<unsafe extern "C" fn(user: *mut c_void, line: *const stbcam_line_t) -> i32>,
    /// Sends characters, all of them. May return when they are on their way.
    pub write: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            octets: *const u8,
            len: usize,
            timeout_ms: u32,
        ) -> i32,
    >,
    /// Takes characters that have come, as many as there are and fit `capacity`, and says in `*len`
    /// how many. When there are none it waits for the first, at most `timeout_ms`, which is 10 or
    /// less; with 0 it does not wait. It does not wait for more. None may be lost between two
    /// calls: keep at least 512. STBCAM_READER_DAMAGED: one of the `*len` had a parity error.
    pub read: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            octets: *mut u8,
            capacity: usize,
            len: *mut usize,
            timeout_ms: u32,
        ) -> i32,
    >,
    /// Takes a command APDU to the card and brings its response, status word last, of which
    /// `*response_len` says the length. 61xx and 6Cxx of T=0 are the reader's business. Never sends
    /// a command twice. `timeout_ms` is `config.card_timeout_ms`. STBCAM_READER_TIMEOUT: the card
    /// did not answer; it will be reset.
    pub transmit: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            command: *const u8,
            len: usize,
            response: *mut u8,
            capacity: usize,
            response_len: *mut usize,
            timeout_ms: u32,
        ) -> i32,
    >,
    /// Takes the power off the card, in the order of ISO/IEC 7816-3.
    pub power_off: Option<unsafe extern "C" fn(user: *mut c_void)>,
}

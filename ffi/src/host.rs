//! 3. What the box gives the library
//!
//! Tables of functions, each with a `user` pointer that is handed back as it is. The library
//! copies the tables; what `user` points to must live until `stbcam_close` has returned. The
//! functions of one table are called one at a time, on the card thread (inside `stbcam_step` when
//! there is none); `clear` also on the thread that closes. They must not call the library: that is
//! refused with `STBCAM_E_REENTRANT`, not deadlocked.

use crate::types::stbcam_session_t;
use core::ffi::{c_char, c_void};

/// Receives the log. `level` is one of `STBCAM_LOG_*`, `where` names the part of the library, both
/// texts are UTF-8 and end with a zero; they are gone when the call returns. Never holds a key, a
/// control word or a PIN, at no level.
///
/// Called by any thread that calls the library and by the card thread, one call at a time. It must
/// not call the library (`STBCAM_E_REENTRANT`).
pub type stbcam_log_fn = Option<
    unsafe extern "C" fn(user: *mut c_void, level: i32, origin: *const c_char, text: *const c_char),
>;
/// Log nothing.
pub const STBCAM_LOG_OFF: i32 = 0;
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

/// Not an algorithm with a number here; `scrambling_mode` says what the PMT says.
pub const STBCAM_ALGO_OTHER: u8 = 0;
/// DVB-CSA, 64-bit control words.
pub const STBCAM_ALGO_CSA: u8 = 1;
/// DVB-CISSA version 1, 128-bit control words, AES-128-CBC with a fixed IV.
pub const STBCAM_ALGO_CISSA: u8 = 5;

/// `even` is set.
pub const STBCAM_CW_EVEN: u8 = 1;
/// `odd` is set.
pub const STBCAM_CW_ODD: u8 = 2;

/// The control words are encrypted under the key at the foot of the key ladder. This version of
/// the library sets it always.
pub const STBCAM_CW_IS_WRAPPED: u32 = 1;
/// The control words were given for a preview.
pub const STBCAM_CW_PREVIEW: u32 = 2;

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
    /// The crypto period on air. Its bit 0 is the parity of its word: 0 even, 1 odd. The other word
    /// belongs to the next period.
    pub crypto_period: u32,
    /// The length of a crypto period in milliseconds, as measured; 0 before a whole one was seen.
    pub crypto_period_ms: u32,
    /// The PID of the ECM that they came by.
    pub ecm_pid: u16,
    /// The source (demultiplexer or tuner) of the session.
    pub source: u8,
    /// One of `STBCAM_ALGO_*`.
    pub algo: u8,
    /// scrambling_mode of the PMT's scrambling_descriptor (EN 300 468); 2, DVB-CSA2, without one.
    pub scrambling_mode: u8,
    /// `STBCAM_CW_EVEN` and `STBCAM_CW_ODD`.
    pub parity_mask: u8,
    /// Octets that count in `even` and `odd`: 16. The first 8 of what leaves the key ladder are the
    /// control word of DVB-CSA.
    pub key_len: u8,
    /// Octets that count in `iv`: 16 for CISSA, else 0.
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
pub const STBCAM_LADDER_CLEAR_ALLOWED: u32 = 1;

/// The encrypted keys of a pairing, for the chip's key ladder (ETSI TS 103 162): with the chip's
/// root key K3, K2 = D(K3, EK2), K1 = D(K2, EK1), control word = D(K1, encrypted control word); D is
/// AES-128 decryption of one block.
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

/// The box's descrambler.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_descrambler_ops_t {
    /// sizeof(stbcam_descrambler_ops_t).
    pub struct_size: usize,
    /// Handed back to every function.
    pub user: *mut c_void,
    /// Loads the key ladder. Comes before the first control words, and again when another card
    /// is paired otherwise. 0 is done.
    pub load_ladder:
        Option<unsafe extern "C" fn(user: *mut c_void, ladder: *const stbcam_ladder_t) -> i32>,
    /// Takes control words: the latency path, so it must return within 5 ms. A key whose period is
    /// over must not be used on a later one of the same parity. 0 is done.
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
    /// Forgets. 0 is done, also when there was none.
    pub del: Option<unsafe extern "C" fn(user: *mut c_void, key: *const c_char) -> i32>,
}

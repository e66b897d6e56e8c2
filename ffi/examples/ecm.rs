// SPDX-License-Identifier: Apache-2.0
//! The way of an ECM through the library, from `stbcam_section` to `set_cw`: ring, choice, engine
//! and secure channel. The card sits behind `reader_ops` in the same process and the work is done
//! in `stbcam_step`, so that callgrind counts the same each time.
//!
//! `cargo run -p stbcam-ffi --example ecm -- N` sends N ECMs. `an_ecm` switches callgrind's count
//! on, `the_card` off and on again; what `stbcam_step` does behind `set_cw` is counted with it.
#![allow(clippy::unwrap_used, reason = "what cannot be measured ends the measuring")]

use cam_types::Pid;
use core::ffi::{CStr, c_char, c_void};
use core::mem::zeroed;
use core::{ptr, slice};
use stbcam::*;
use system_tests::demo::{self, BOX_KEY, NEWS, NOON, PSEUDONYM, STB};
use system_tests::tables;
use vcard::Card;

const ECM_PID: u16 = 0x140;
const VIDEO_PID: u16 = 0x100;

/// What the library is given: the functions of all its tables have it as `user`.
struct Host {
    card: Card,
    pairing: (String, Vec<u8>),
    handed: u32,
}

/// # Safety
///
/// `user` is what [`main`] has put into the tables, and one call at a time has it.
unsafe fn host<'a>(user: *mut c_void) -> &'a mut Host {
    // SAFETY: by the contract.
    unsafe { &mut *user.cast::<Host>() }
}

unsafe extern "C" fn reset(
    user: *mut c_void,
    _cold: i32,
    atr: *mut u8,
    capacity: usize,
    len: *mut usize,
    _timeout_ms: u32,
) -> i32 {
    // SAFETY: the library's contract, here and in all functions below.
    unsafe {
        let said = host(user).card.power_on();
        assert!(said.len() <= capacity);
        ptr::copy_nonoverlapping(said.as_ptr(), atr, said.len());
        len.write(said.len());
    }
    STBCAM_READER_OK
}

unsafe extern "C" fn transmit(
    user: *mut c_void,
    command: *const u8,
    len: usize,
    response: *mut u8,
    capacity: usize,
    response_len: *mut usize,
    _timeout_ms: u32,
) -> i32 {
    // SAFETY: as above.
    unsafe {
        let said = the_card(&mut host(user).card, slice::from_raw_parts(command, len));
        assert!(said.len() <= capacity);
        ptr::copy_nonoverlapping(said.as_ptr(), response, said.len());
        response_len.write(said.len());
    }
    STBCAM_READER_OK
}

/// Not counted.
#[inline(never)]
fn the_card(card: &mut Card, command: &[u8]) -> Vec<u8> {
    card.transmit(command).unwrap()
}

unsafe extern "C" fn present(_user: *mut c_void) -> i32 {
    1
}

unsafe extern "C" fn power_off(user: *mut c_void) {
    // SAFETY: as above.
    unsafe { host(user) }.card.power_off();
}

unsafe extern "C" fn get(
    user: *mut c_void,
    key: *const c_char,
    octets: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> i32 {
    // SAFETY: as above.
    unsafe {
        let (name, row) = &host(user).pairing;
        if CStr::from_ptr(key).to_bytes() != name.as_bytes() {
            return 1;
        }
        len.write(row.len());
        if row.len() <= capacity {
            ptr::copy_nonoverlapping(row.as_ptr(), octets, row.len());
        }
    }
    0
}

unsafe extern "C" fn put(_: *mut c_void, _: *const c_char, _: *const u8, _: usize) -> i32 {
    0
}

unsafe extern "C" fn load_ladder(_: *mut c_void, _: *const stbcam_ladder_t) -> i32 {
    0
}

unsafe extern "C" fn set_cw(user: *mut c_void, _cw: *const stbcam_cw_t) -> i32 {
    // SAFETY: as above.
    unsafe { host(user) }.handed += 1;
    0
}

unsafe extern "C" fn clear(_: *mut c_void, _: stbcam_session_t) {}

fn done(result: stbcam_result_t) {
    assert_eq!(result, STBCAM_OK);
}

fn step(cam: *mut stbcam_t) {
    // SAFETY: `next_ms` may be NULL.
    done(unsafe { stbcam_step(cam, 0, ptr::null_mut()) });
}

/// Counted.
#[inline(never)]
fn an_ecm(cam: *mut stbcam_t, ecm: &[u8], handed: *const u32) {
    // SAFETY: `handed` is the host's, and is written inside `stbcam_step` alone.
    let before = unsafe { handed.read_volatile() };
    // SAFETY: a slice is so many octets.
    done(unsafe { stbcam_section(cam, 0, ECM_PID, ecm.as_ptr(), ecm.len()) });
    // SAFETY: as above.
    while unsafe { handed.read_volatile() } == before {
        step(cam);
    }
}

fn open(user: *mut c_void) -> *mut stbcam_t {
    // SAFETY: all members of the C structures may be zero.
    let (mut reader, mut storage, mut descrambler, mut config) = unsafe {
        (
            zeroed::<stbcam_reader_ops_t>(),
            zeroed::<stbcam_storage_ops_t>(),
            zeroed::<stbcam_descrambler_ops_t>(),
            zeroed::<stbcam_config_t>(),
        )
    };
    reader.struct_size = size_of_val(&reader);
    reader.user = user;
    reader.present = Some(present);
    reader.reset = Some(reset);
    reader.transmit = Some(transmit);
    reader.power_off = Some(power_off);
    storage.struct_size = size_of_val(&storage);
    storage.user = user;
    storage.get = Some(get);
    storage.put_durable = Some(put);
    descrambler.struct_size = size_of_val(&descrambler);
    descrambler.user = user;
    descrambler.load_ladder = Some(load_ladder);
    descrambler.set_cw = Some(set_cw);
    descrambler.clear = Some(clear);
    // SAFETY: so many octets are there.
    done(unsafe { stbcam_config_init(&raw mut config, size_of::<stbcam_config_t>()) });
    config.flags = STBCAM_CONFIG_NO_THREAD;
    config.reader_ops = &raw const reader;
    config.storage = &raw const storage;
    config.descrambler = &raw const descrambler;
    config.stb_id.copy_from_slice(STB.octets());
    config.box_key[..16].copy_from_slice(&BOX_KEY);
    let mut cam = ptr::null_mut();
    // SAFETY: everything that is pointed to is there.
    done(unsafe { stbcam_open(&raw const config, &raw mut cam) });
    cam
}

fn main() {
    let count: u32 = std::env::args().nth(1).expect("how many ECMs").parse().unwrap();
    let pairing = demo::box_pairing(STB, 0, demo::K_PAIR, PSEUDONYM);
    let mut host = Host { card: demo::card(), pairing, handed: 0 };
    let host = &raw mut host;
    let cam = open(host.cast());
    let [ecm_pid, video_pid] = [ECM_PID, VIDEO_PID].map(Pid::from_field);
    let pmt = tables::pmt(1, ecm_pid, video_pid, None);
    let mut session = 0;
    // SAFETY: a slice is so many octets.
    done(unsafe { stbcam_session_open_pmt(cam, 0, pmt.as_ptr(), pmt.len(), &raw mut session) });
    for period in 0..count {
        let body = demo::body(NOON.saturating_add(period), demo::subscription());
        let ecm = demo::seal_period(NEWS, period, &body);
        // SAFETY: no reference to the host is alive.
        an_ecm(cam, &ecm, unsafe { &raw const (*host).handed });
    }
    done(stbcam_close(cam));
}

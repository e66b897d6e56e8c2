// SPDX-License-Identifier: Apache-2.0
//! A box's reader that answers to order.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the functions of the box are called as the header says, with what `Rig` has given"
)]
use super::*;
use crate::guard::guard_free;
use crate::result::STBCAM_E_REENTRANT;
use core::ffi::c_void;
use core::ptr;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::Gone;
use std::collections::VecDeque;

/// What the box's functions answer next, and what they were asked.
#[derive(Default)]
struct Script {
    answers: VecDeque<(i32, Vec<u8>)>,
    /// The length that is told instead of the true one.
    claimed: Option<usize>,
    asked: Vec<String>,
}

impl Script {
    /// # Safety
    ///
    /// `user` is what `Rig` has put into the table.
    unsafe fn of<'a>(user: *mut c_void) -> &'a mut Self {
        assert_eq!(guard_free(|| Ok(())), STBCAM_E_REENTRANT);
        // SAFETY: the caller upholds this function's contract; calls come one at a time.
        unsafe { &mut *user.cast::<Self>() }
    }

    fn answer(&mut self, asked: String) -> (i32, Vec<u8>) {
        self.asked.push(asked);
        self.answers.pop_front().unwrap_or((STBCAM_READER_TIMEOUT, Vec::new()))
    }

    /// # Safety
    ///
    /// `to` has `room` octets and `len` is writable.
    unsafe fn fill(&mut self, asked: String, to: *mut u8, room: usize, len: *mut usize) -> i32 {
        let (answer, octets) = self.answer(asked);
        assert!(octets.len() <= room);
        // SAFETY: the caller upholds this function's contract.
        unsafe {
            to.copy_from(octets.as_ptr(), octets.len());
            len.write(self.claimed.unwrap_or(octets.len()));
        }
        answer
    }
}

unsafe extern "C" fn present(user: *mut c_void) -> i32 {
    unsafe { Script::of(user) }.answer("present".into()).0
}

unsafe extern "C" fn reset(
    user: *mut c_void,
    cold: i32,
    atr: *mut u8,
    capacity: usize,
    len: *mut usize,
    timeout_ms: u32,
) -> i32 {
    let asked = format!("reset {cold} {capacity} {timeout_ms}");
    unsafe { Script::of(user).fill(asked, atr, capacity, len) }
}

unsafe extern "C" fn params(user: *mut c_void, line: *const stbcam_line_t) -> i32 {
    let line = unsafe { &*line };
    let stbcam_line_t { f, d, guard_etu, bit_rate, inverse, protocol, .. } = line;
    let asked = format!("params {f} {d} {guard_etu} {bit_rate} {inverse} {protocol}");
    unsafe { Script::of(user) }.answer(asked).0
}

unsafe extern "C" fn write(
    user: *mut c_void,
    octets: *const u8,
    len: usize,
    timeout_ms: u32,
) -> i32 {
    let octets = unsafe { core::slice::from_raw_parts(octets, len) };
    unsafe { Script::of(user) }.answer(format!("write {octets:02X?} {timeout_ms}")).0
}

unsafe extern "C" fn read(
    user: *mut c_void,
    octets: *mut u8,
    capacity: usize,
    len: *mut usize,
    timeout_ms: u32,
) -> i32 {
    let asked = format!("read {timeout_ms}");
    unsafe { Script::of(user).fill(asked, octets, capacity, len) }
}

unsafe extern "C" fn transmit(
    user: *mut c_void,
    command: *const u8,
    len: usize,
    response: *mut u8,
    capacity: usize,
    response_len: *mut usize,
    timeout_ms: u32,
) -> i32 {
    let command = unsafe { core::slice::from_raw_parts(command, len) };
    let asked = format!("transmit {command:02X?} {capacity} {timeout_ms}");
    unsafe { Script::of(user).fill(asked, response, capacity, response_len) }
}

unsafe extern "C" fn power_off(user: *mut c_void) {
    unsafe { Script::of(user) }.asked.push("power_off".into());
}

const CHARACTERS: stbcam_reader_ops_t = stbcam_reader_ops_t {
    struct_size: size_of::<stbcam_reader_ops_t>(),
    user: ptr::null_mut(),
    clock_hz: 0,
    max_bit_rate: 0,
    present: Some(present),
    reset: Some(reset),
    params: Some(params),
    write: Some(write),
    read: Some(read),
    transmit: None,
    power_off: Some(power_off),
};
const APDUS: stbcam_reader_ops_t = stbcam_reader_ops_t {
    present: None,
    params: None,
    write: None,
    read: None,
    transmit: Some(transmit),
    ..CHARACTERS
};
const COMMAND: [u8; 5] = [0x00, 0xB0, 0x00, 0x00, 0x02];

struct Rig {
    script: *mut Script,
    host: HostReader,
    reader: Box<dyn Reader>,
    waker: Waker,
}

impl Rig {
    fn new(ops: stbcam_reader_ops_t) -> Self {
        let script = Box::into_raw(Box::new(Script::default()));
        let ops = stbcam_reader_ops_t { user: script.cast(), ..ops };
        let host = HostReader::new(ops, 5000).unwrap();
        let mut rig =
            Self { script, reader: host.open().unwrap(), host, waker: Waker::new().unwrap() };
        rig.asked();
        rig
    }

    fn script(&mut self) -> &mut Script {
        // SAFETY: it lives as long as the rig, and no function of the box is running.
        unsafe { &mut *self.script }
    }

    fn says(&mut self, answer: i32, octets: &[u8]) {
        self.script().answers.push_back((answer, octets.to_vec()));
    }

    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.script().asked)
    }

    /// At most 100 ms.
    fn receive(&mut self) -> std::result::Result<(Received, Vec<u8>), ReaderError> {
        let mut buf = [0; 300];
        let until = clock::now().after(Duration::from_millis(100));
        let received = self.reader.receive(&mut buf, Some(until), &self.waker)?;
        Ok((received, buf[..received.octets].to_vec()))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.host.revoke();
        // SAFETY: it came from a box, and nobody has it any more.
        drop(unsafe { Box::from_raw(self.script) });
    }
}

#[test]
fn a_table_that_cannot_work_is_refused_by_name() {
    for (ops, named) in [
        (stbcam_reader_ops_t { reset: None, ..CHARACTERS }, "reset is NULL"),
        (stbcam_reader_ops_t { power_off: None, ..APDUS }, "power_off is NULL"),
        (stbcam_reader_ops_t { params: None, ..CHARACTERS }, "one of params, write and read"),
        (stbcam_reader_ops_t { write: None, ..CHARACTERS }, "and so is transmit"),
        (stbcam_reader_ops_t { transmit: None, ..APDUS }, "and so is transmit"),
        (stbcam_reader_ops_t { clock_hz: 3579, ..APDUS }, "clock_hz is 3579"),
    ] {
        let Err(error) = HostReader::new(ops, 5000) else { panic!("{named}") };
        assert!(error.text.contains(named), "{}", error.text);
    }
}

#[test]
fn characters() {
    let mut rig = Rig::new(CHARACTERS);
    let capabilities = rig.reader.capabilities();
    assert_eq!((capabilities.clock_hz, capabilities.max_baud), (3_579_545, 1_000_000));
    rig.says(1, &[]);
    assert_eq!(rig.reader.present().unwrap(), Presence::Present);
    rig.says(0, &[0x3B, 0x00]);
    rig.reader.activate(Reset::Cold).unwrap();
    let (received, atr) = rig.receive().unwrap();
    let what = What::AnswerToReset { level: Level::Characters, agreed: None };
    assert_eq!((received.what, &atr[..]), (what, &[0x3B, 0x00][..]));
    // 12 etu: as after reset.
    let params = LineParams::initial(USUAL_CLOCK_HZ);
    rig.reader.configure(&params).unwrap();
    rig.says(0, &[]);
    rig.reader.configure(&LineParams { d: 8, guard_etu: 11, protocol: 1, ..params }).unwrap();
    rig.says(0, &[]);
    rig.reader.send(&COMMAND).unwrap();
    rig.says(STBCAM_READER_TIMEOUT, &[]);
    rig.says(0, &[]);
    rig.says(0, &[0xB0, 0x01]);
    let (received, octets) = rig.receive().unwrap();
    assert_eq!((received.what, &octets[..]), (What::Characters, &[0xB0, 0x01][..]));
    rig.says(STBCAM_READER_DAMAGED, &[0x91]);
    let (received, octets) = rig.receive().unwrap();
    assert!(received.damaged && octets == [0x91]);
    rig.reader.deactivate();
    assert_eq!(rig.reader.line_octets(), (5, 3));
    let asked = [
        "present",
        "reset 1 33 120",
        "params 372 8 11 76979 0 1",
        "write [00, B0, 00, 00, 02] 501",
        "read 10",
        "read 10",
        "read 10",
        "read 10",
        "power_off",
    ];
    assert_eq!(rig.asked(), asked);
}

#[test]
fn apdus() {
    let mut rig = Rig::new(APDUS);
    assert!(!rig.reader.capabilities().detect);
    assert_eq!(rig.reader.present().unwrap(), Presence::Unknown);
    rig.says(0, &[0x3B, 0x00]);
    rig.reader.activate(Reset::Warm).unwrap();
    let what = What::AnswerToReset { level: Level::Apdu, agreed: None };
    assert_eq!(rig.receive().unwrap().0.what, what);
    rig.reader.configure(&LineParams { d: 8, ..LineParams::initial(1) }).unwrap();
    for (answer, octets, what, damaged) in [
        (0, &[0xAA, 0x90, 0x00][..], What::Message, false),
        (STBCAM_READER_TIMEOUT, &[], What::Unanswered, false),
        (STBCAM_READER_DAMAGED, &[], What::Unanswered, true),
    ] {
        rig.says(answer, octets);
        rig.reader.send(&COMMAND).unwrap();
        let (received, response) = rig.receive().unwrap();
        assert_eq!((received.what, received.damaged, &response[..]), (what, damaged, octets));
        assert_eq!(rig.receive().unwrap().0, Received::default(), "said once");
    }
    let asked = "transmit [00, B0, 00, 00, 02] 258 5000";
    assert_eq!(rig.asked(), ["reset 0 33 120", asked, asked, asked]);
}

#[test]
fn a_mute_card_is_mute() {
    for answer in [STBCAM_READER_TIMEOUT, STBCAM_READER_DAMAGED] {
        let mut rig = Rig::new(CHARACTERS);
        rig.says(answer, &[0x3B]);
        rig.reader.activate(Reset::Cold).unwrap();
        let (received, octets) = rig.receive().unwrap();
        assert!(matches!(received.what, What::AnswerToReset { .. }) && octets.is_empty());
    }
}

/// The simplest way: `reset` resets, and the rest is characters.
#[test]
fn the_answer_to_reset_may_come_by_read() {
    let mut rig = Rig::new(CHARACTERS);
    rig.says(0, &[]);
    rig.reader.activate(Reset::Warm).unwrap();
    rig.says(0, &[0x3B]);
    let (received, octets) = rig.receive().unwrap();
    assert_eq!((received.what, &octets[..]), (What::Characters, &[0x3B][..]));
    // With APDUs there is no other way: an answer without octets is none.
    let mut rig = Rig::new(APDUS);
    rig.says(0, &[]);
    rig.reader.activate(Reset::Warm).unwrap();
    assert!(matches!(rig.receive().unwrap().0.what, What::AnswerToReset { .. }));
}

type Call = fn(&mut Rig) -> std::result::Result<(), ReaderError>;

/// Removed, lost and nonsense, from every function.
#[test]
fn what_went_wrong_is_told_apart() {
    let calls: [Call; 4] = [
        |rig| rig.reader.activate(Reset::Cold),
        |rig| rig.reader.send(&COMMAND),
        |rig| {
            rig.reader.send(&[])?;
            rig.receive().map(drop)
        },
        |rig| rig.reader.configure(&LineParams { d: 2, ..LineParams::initial(USUAL_CLOCK_HZ) }),
    ];
    for (index, call) in calls.iter().enumerate() {
        for (answer, gone, text) in [
            (STBCAM_READER_REMOVED, Gone::Removed, "card removed"),
            (STBCAM_READER_LOST, Gone::ReaderLost, "port of the box is gone"),
            (-77, Gone::ReaderLost, "it answered -77"),
        ] {
            let mut rig = Rig::new(CHARACTERS);
            if index == 2 {
                rig.says(0, &[]);
            }
            rig.says(answer, &[]);
            let error = call(&mut rig).unwrap_err();
            assert_eq!(error.gone(), gone);
            assert!(error.to_string().contains(text), "{error}");
        }
    }
    let mut rig = Rig::new(CHARACTERS);
    rig.says(STBCAM_READER_REMOVED, &[]);
    assert_eq!(rig.reader.present().unwrap(), Presence::Absent);
    rig.says(STBCAM_READER_TIMEOUT, &[]);
    let error = rig.reader.send(&COMMAND).unwrap_err();
    assert!(error.to_string().contains("not done within 507 ms"), "{error}");
}

#[test]
fn a_length_beyond_the_room_is_refused() {
    for ops in [CHARACTERS, APDUS] {
        let mut rig = Rig::new(ops);
        rig.script().claimed = Some(301);
        rig.says(0, &[0x3B]);
        let error = rig.reader.activate(Reset::Cold).unwrap_err();
        assert!(error.to_string().contains("301 octets where 33 had room"), "{error}");
        rig.says(0, &[]);
        rig.says(0, &[]);
        let error = rig.reader.send(&COMMAND).and_then(|()| rig.receive().map(drop));
        assert!(error.unwrap_err().to_string().contains("says 301 octets"));
    }
}

#[test]
fn a_card_at_rest_is_not_asked_in_vain() {
    let mut rig = Rig::new(CHARACTERS);
    rig.says(0, &[]);
    rig.reader.send(&COMMAND).unwrap();
    rig.reader.rest();
    assert_eq!(rig.receive().unwrap().0, Received::default());
    rig.says(0, &[0x55]);
    assert_eq!(rig.receive().unwrap().1, [0x55], "a stray character is heard");
    rig.waker.wake();
    assert!(rig.receive().unwrap().0.woken);
    rig.says(0, &[]);
    rig.reader.send(&[]).unwrap();
    rig.waker.wake();
    assert!(rig.receive().unwrap().0.woken, "within one slice");
    let asked = rig.asked();
    assert_eq!(asked[1..4], ["read 0"; 3]);
    assert_eq!(asked[5..], ["read 10"]);
}

/// A box may have a `read` that never waits.
#[test]
fn a_read_that_does_not_wait_is_asked_with_pauses() {
    let mut rig = Rig::new(CHARACTERS);
    rig.says(0, &[]);
    rig.reader.send(&COMMAND).unwrap();
    assert_eq!(rig.receive().unwrap().0, Received::default());
    let reads = rig.asked().len() - 1;
    assert!((2..=101).contains(&reads), "{reads} in 100 ms");
}

#[test]
fn a_closing_context_only_takes_the_power_off() {
    let mut rig = Rig::new(CHARACTERS);
    rig.host.close();
    assert!(matches!(rig.reader.send(&COMMAND), Err(ReaderError::Lost { .. })));
    assert!(matches!(rig.reader.activate(Reset::Cold), Err(ReaderError::Lost { .. })));
    rig.reader.deactivate();
    assert_eq!(rig.asked(), ["power_off"]);
    rig.host.revoke();
    rig.reader.deactivate();
    assert!(rig.host.open().is_err());
    assert!(rig.asked().is_empty());
}

/// The driver lets go of a reader that it takes for lost, and whoever closes takes it for lost.
#[test]
fn a_closing_context_takes_the_power_off_of_a_reader_that_is_let_go() {
    let mut rig = Rig::new(CHARACTERS);
    rig.reader.activate(Reset::Cold).unwrap();
    rig.host.close();
    assert!(matches!(rig.reader.present(), Err(ReaderError::Lost { .. })));
    let after = Rig::new(CHARACTERS);
    rig.asked();
    drop(std::mem::replace(&mut rig.reader, after.host.open().unwrap()));
    assert_eq!(rig.asked(), ["power_off"]);
}

#[test]
fn a_reader_that_is_gone_cannot_be_opened() {
    let mut rig = Rig::new(CHARACTERS);
    rig.says(STBCAM_READER_LOST, &[]);
    assert!(matches!(rig.host.open(), Err(ReaderError::Lost { .. })));
    rig.says(0, &[]);
    assert!(rig.host.open().is_ok());
}

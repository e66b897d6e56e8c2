// SPDX-License-Identifier: Apache-2.0
//! The serial reader at the level of lines and characters: the test holds the other end of the
//! port.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::line::{CardLine, Cause, Input, Output, Policy, Reset};
use serialport::{SerialPort, StopBits, TTYPort};
use stb_shim::clock;
use stb_shim::reader::{Reader, ReaderError};
use stb_shim::readers;
use stb_shim::sys::Waker;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Both ends of a pseudo terminal; the reader opens the slave by its path.
struct Port {
    master: TTYPort,
    slave: TTYPort,
}

impl Port {
    fn new() -> Self {
        let (mut master, slave) = TTYPort::pair().unwrap();
        master.set_timeout(Duration::from_millis(100)).unwrap();
        Self { master, slave }
    }

    fn open(&self, options: &str) -> Box<dyn Reader> {
        readers::open(&format!("serial:{}{options}", self.slave.name().unwrap())).unwrap()
    }

    /// The card, or the echo, says this.
    fn says(&mut self, octets: &[u8]) {
        self.master.write_all(octets).unwrap();
    }

    fn rate(&self) -> u32 {
        self.master.baud_rate().unwrap()
    }
}

/// What has come within 50 ms, and whether it was damaged.
fn received(reader: &mut dyn Reader) -> (Vec<u8>, bool) {
    let waker = Waker::new().unwrap();
    let (mut all, mut damaged) = (Vec::new(), false);
    let mut buf = [0; 64];
    loop {
        let until = clock::now().after(Duration::from_millis(50));
        let got = reader.receive(&mut buf, Some(until), &waker).unwrap();
        all.extend_from_slice(&buf[..got.octets]);
        damaged |= got.damaged;
        if got.octets == 0 && !got.damaged {
            return (all, damaged);
        }
    }
}

/// Rate 0 is reset on a pseudo terminal.
#[test]
fn reset_is_held_for_more_than_400_clocks() {
    let port = Port::new();
    let mut reader = port.open("");
    assert_eq!(port.rate(), 0, "from the moment of opening");
    let watched = port.master.try_clone_native().unwrap();
    let ready = Arc::new(AtomicBool::new(false));
    let watcher = {
        let ready = ready.clone();
        thread::spawn(move || {
            while watched.baud_rate().unwrap() == 0 {}
            ready.store(true, Ordering::SeqCst);
            while watched.baud_rate().unwrap() != 0 {}
            let held = Instant::now();
            while watched.baud_rate().unwrap() == 0 {}
            held.elapsed()
        })
    };
    reader.activate(Reset::Cold).unwrap();
    while !ready.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    reader.activate(Reset::Warm).unwrap();
    let held = watcher.join().unwrap();
    assert!(held >= LineParams::initial(USUAL_CLOCK_HZ).clocks(400), "{held:?}");
    assert_eq!(port.rate(), 9_622);
}

#[test]
fn a_card_without_a_reset_line_is_not_reset() {
    let port = Port::new();
    let mut reader = port.open("?reset=none");
    assert!(!reader.capabilities().reset);
    reader.activate(Reset::Cold).unwrap();
    reader.deactivate();
    assert_eq!(port.rate(), 9_622);
}

#[test]
fn octets_from_before_the_release_are_thrown_away() {
    let mut port = Port::new();
    let mut reader = port.open("");
    port.says(&[0x55; 40]);
    reader.activate(Reset::Cold).unwrap();
    port.says(&[0x3B, 0x00]);
    assert_eq!(received(&mut *reader), (vec![0x3B, 0x00], false));
}

#[test]
fn an_answer_at_the_instant_of_release_is_kept() {
    let port = Port::new();
    let mut reader = port.open("");
    let mut card = port.master.try_clone_native().unwrap();
    let thread = thread::spawn(move || {
        while card.baud_rate().unwrap() == 0 {}
        card.write_all(&[0x3B, 0x00]).unwrap();
    });
    reader.activate(Reset::Cold).unwrap();
    thread.join().unwrap();
    assert_eq!(received(&mut *reader), (vec![0x3B, 0x00], false));
}

/// Reset is all that a Phoenix has: no power, no clock, no order of switching.
#[test]
fn deactivation_holds_reset_and_so_does_closing() {
    let port = Port::new();
    let mut reader = port.open("");
    assert!(!reader.capabilities().power);
    reader.activate(Reset::Cold).unwrap();
    assert_ne!(port.rate(), 0);
    reader.deactivate();
    assert_eq!(port.rate(), 0);
    reader.activate(Reset::Cold).unwrap();
    drop(reader);
    assert_eq!(port.rate(), 0);
}

#[test]
fn stop_bits_make_11_or_12_etu() {
    let port = Port::new();
    let mut reader = port.open("");
    reader.activate(Reset::Cold).unwrap();
    assert_eq!(port.slave.stop_bits().unwrap(), StopBits::Two);
    for (guard_etu, bits) in [(11, StopBits::One), (12, StopBits::Two), (14, StopBits::Two)] {
        let params = LineParams { guard_etu, ..LineParams::initial(USUAL_CLOCK_HZ) };
        reader.configure(&params).unwrap();
        assert_eq!(port.slave.stop_bits().unwrap(), bits, "{guard_etu} etu");
    }
}

#[test]
fn an_echo_is_taken_off_the_line() {
    let mut port = Port::new();
    let mut reader = port.open("?echo=1");
    reader.activate(Reset::Cold).unwrap();
    port.says(&[0x80, 0x32, 0x00, 0x90, 0x00]);
    reader.send(&[0x80, 0x32, 0x00]).unwrap();
    assert_eq!(received(&mut *reader), (vec![0x90, 0x00], false));
}

#[test]
fn an_echo_that_differs_is_a_collision() {
    let mut port = Port::new();
    let mut reader = port.open("?echo=1");
    reader.activate(Reset::Cold).unwrap();
    port.says(&[0x80, 0x33, 0x00]);
    reader.send(&[0x80, 0x32, 0x00]).unwrap();
    assert_eq!(received(&mut *reader), (vec![], true));
    // Told once; the next one is in order.
    port.says(&[0x80, 0x32, 0x00]);
    reader.send(&[0x80, 0x32, 0x00]).unwrap();
    assert_eq!(received(&mut *reader), (vec![], false));
}

#[test]
fn an_echo_that_stops_is_missed_soon() {
    let mut port = Port::new();
    let mut reader = port.open("?echo=1");
    reader.activate(Reset::Cold).unwrap();
    port.says(&[0x80, 0x32]);
    let began = Instant::now();
    reader.send(&[0x80, 0x32, 0x00]).unwrap();
    let waited = began.elapsed();
    // The time on the line, two characters, and what an adapter may add.
    assert!(waited >= LineParams::initial(USUAL_CLOCK_HZ).sending(5), "{waited:?}");
    assert!(waited < Duration::from_millis(400), "{waited:?}");
    assert_eq!(received(&mut *reader), (vec![], true));
}

/// Elsewhere what follows is read one octet off, and the command goes out again to a card that
/// waits for data.
#[test]
fn other_stacks_are_off_by_one_when_an_echo_octet_is_lost() {
    let mut port = Port::new();
    let mut reader = port.open("?echo=1");
    let waker = Waker::new().unwrap();
    let mut line = CardLine::new(Policy::new(USUAL_CLOCK_HZ));
    let (mut buf, mut headers) = ([0; 64], 0);
    line.handle_input(clock::now(), Input::Activate);
    loop {
        match line.poll_output() {
            Output::Activate(_) => {
                reader.activate(Reset::Cold).unwrap();
                port.says(&[0x3B, 0x00]);
            }
            Output::Ready(_) if headers == 0 => {
                let apdu = &[0x80, 0x32, 0x01, 0x02];
                line.handle_input(clock::now(), Input::Command { apdu, patience: None });
            }
            Output::Ready(_) => break,
            Output::Transmit(octets) => {
                headers += 1;
                // The second octet is lost on the way back; the card answers.
                port.says(&[&octets[..1], &octets[2..], &[0x90, 0x00]].concat());
                reader.send(octets).unwrap();
            }
            Output::Failed(error) => {
                assert_eq!(error.cause(), Cause::Damaged);
                assert!(error.may_have_executed() && error.recovering());
            }
            Output::Response(response) => panic!("{response:02X?} is no answer"),
            Output::Deactivate | Output::Configure(_) => {}
            Output::Wait(until) => {
                let got = reader.receive(&mut buf, until, &waker).unwrap();
                if got.damaged {
                    line.handle_input(clock::now(), Input::Damaged);
                }
                match got.input(&buf) {
                    Some(input) => line.handle_input(clock::now(), input),
                    None => line.handle_input(clock::now(), Input::Timeout),
                }
            }
        }
    }
    assert_eq!(headers, 1, "sent once");
}

#[test]
fn other_stacks_flush_without_end_while_octets_keep_coming() {
    let port = Port::new();
    let mut reader = port.open("");
    let over = Arc::new(AtomicBool::new(false));
    let babbler = {
        let (mut card, over) = (port.master.try_clone_native().unwrap(), over.clone());
        thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let _ = card.write(&[0x55; 16]);
            }
        })
    };
    let began = Instant::now();
    reader.activate(Reset::Cold).unwrap();
    let took = began.elapsed();
    over.store(true, Ordering::SeqCst);
    babbler.join().unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// Elsewhere the time of one character is rounded down to no time at all.
#[test]
fn other_stacks_give_a_slow_port_no_time_to_send() {
    let mut port = Port::new();
    let mut reader = port.open("");
    reader.activate(Reset::Cold).unwrap();
    let fast = LineParams { d: 64, clock_hz: 20_000_000, ..LineParams::initial(USUAL_CLOCK_HZ) };
    reader.configure(&fast).unwrap();
    // Until the port takes no more.
    let error = reader.send(&vec![0x55; 40_000]).unwrap_err();
    let ReaderError::Io { what, why, .. } = &error else { panic!("{error}") };
    assert_eq!((*what, why.kind()), ("send", std::io::ErrorKind::TimedOut));
    // One character waits for room.
    let began = Instant::now();
    let error = reader.send(&[0x55]).unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(400), "{error}");
    // And goes out when there is some.
    let mut room = [0; 4096];
    while port.master.read(&mut room).is_ok() {}
    reader.send(&[0x55]).unwrap();
}

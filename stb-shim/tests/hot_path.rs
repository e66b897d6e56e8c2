// SPDX-License-Identifier: Apache-2.0
//! An exchange with a reader costs no heap allocation once warm.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use cam_types::Instant;
use iso7816::line::Reset;
use stb_shim::reader::{Presence, Reader, What};
use stb_shim::sys::Waker;
use stb_shim::url::Url;
use stb_shim::vpcd::VpcdReader;
use std::io::{Read, Write};
use std::net::TcpStream;

/// The allocations of this thread in `rounds` exchanges, with short answers and long ones.
fn exchanges(reader: &mut dyn Reader, waker: &Waker, rounds: usize) -> usize {
    let before = allocations::here();
    for round in 0..rounds {
        reader.send(&[0x00, 0xB0, 0x00, 0x00, 0x00]).unwrap();
        let mut buf = [0; 3000];
        let received = reader.receive(&mut buf, None::<Instant>, waker).unwrap();
        let octets = if round % 2 == 0 { 2 } else { 3000 };
        assert_eq!((received.what, received.octets), (What::Message, octets));
    }
    allocations::here() - before
}

#[test]
fn vpcd() {
    let mut reader = VpcdReader::open(&Url::parse("vpcd:127.0.0.1:0")).unwrap();
    let mut stream = TcpStream::connect(reader.address().unwrap()).unwrap();
    let card = std::thread::spawn(move || {
        stream.read_exact(&mut [0; 9]).unwrap();
        stream.write_all(&[0, 2, 0x3B, 0x00]).unwrap();
        let mut answers = 0_usize;
        // The last command is the one that takes the power off.
        while stream.read_exact(&mut [0; 7]).is_ok() {
            let octets: u16 = if answers.is_multiple_of(2) { 2 } else { 3000 };
            stream.write_all(&octets.to_be_bytes()).unwrap();
            stream.write_all(&vec![0x90; usize::from(octets)]).unwrap();
            answers += 1;
        }
        answers
    });
    while reader.present().unwrap() != Presence::Present {}
    let waker = Waker::new().unwrap();
    reader.activate(Reset::Cold).unwrap();
    assert_eq!(reader.receive(&mut [0; 33], None, &waker).unwrap().octets, 2);
    assert!(exchanges(&mut reader, &waker, 100) > 0, "the counter counts");
    assert_eq!(exchanges(&mut reader, &waker, 1000), 0);
    drop(reader);
    assert_eq!(card.join().unwrap(), 1100);
}

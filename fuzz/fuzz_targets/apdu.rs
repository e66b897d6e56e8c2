// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! APDUs: what parses emits the same, and both readers of lengths agree.
use iso7816::apdu::{Command, Lengths, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(command) = Command::parse(octets) {
        let mut out = Vec::new();
        command.emit(&mut out).unwrap();
        assert_eq!(out, octets);
        let lengths = Lengths::parse(octets).unwrap();
        assert_eq!((lengths.lc, lengths.le), (command.data.len(), command.le.map(u32::from)));
    }
    if let Ok(response) = Response::parse(octets) {
        let mut out = Vec::new();
        response.emit(&mut out);
        assert_eq!(out, octets);
    }
});

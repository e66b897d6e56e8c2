// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! PPS: what parses emits the same, and only an echo or a part of it is agreed to.
use iso7816::pps::Pps;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let (first, second) = octets.split_at(octets.len().min(6));
    let Ok(request) = Pps::parse(first) else { return };
    assert_eq!(&*request.emit(), first);
    if let Ok(response) = Pps::parse(second)
        && request.agree(&response).is_ok()
    {
        assert_eq!(response.protocol, request.protocol);
        assert!(response.pps1.is_none() || response.pps1 == request.pps1);
    }
});

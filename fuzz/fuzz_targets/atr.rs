// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! Answers to reset: what parses is no longer than 33 octets and reads the same again.
use iso7816::atr::{Atr, AtrPolicy, Expect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let _ = Atr::expect(octets);
    if let Expect::Complete(len) = Atr::expect(octets) {
        assert!(len <= Atr::MAX_LEN);
    }
    for policy in [AtrPolicy::TOLERANT, AtrPolicy::STRICT] {
        let Ok(atr) = Atr::parse(octets, policy) else { continue };
        assert!(atr.octets().len() <= Atr::MAX_LEN && octets.starts_with(atr.octets()));
        let again = Atr::parse(atr.octets(), AtrPolicy::TOLERANT).unwrap();
        assert_eq!(again.octets(), atr.octets());
        let (f, d, fmax) = atr.rate();
        assert!(f >= 372 && d >= 1 && fmax >= 4_000_000);
        for protocol in [0, 1, 14, 15] {
            assert!(atr.guard_etu(protocol, f, d) >= 11);
        }
        assert!((1..=254).contains(&atr.t1().ifsc) && atr.t1().bwi <= 9);
        let _ = (atr.wi(), atr.historical(), atr.specific_mode(), atr.t15(), atr.spu());
    }
});

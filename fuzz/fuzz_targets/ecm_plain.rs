// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! Any octets as the plaintext of an ECM with a genuine seal, given to a real card: what is refused
//! changes no page, and no message moves what it may not.
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| system_tests::plain::ecm(octets));

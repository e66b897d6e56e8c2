// SPDX-License-Identifier: Apache-2.0
//! A broadcast that a card could not open all the time is none: it is refused, with the place.

use crate::made::{self, service};
use crate::support::packaged;

/// Where the nulls are, and what is said of it: nothing where the broadcast is made.
fn told(is_null: impl Fn(usize) -> bool) -> String {
    let source = made::stream(service(10_000, is_null));
    packaged(&source, &made::schedule(), &[]).map_or_else(|e| e.to_string(), |_| String::new())
}

#[test]
fn null_packets_all_along_are_enough() {
    assert_eq!(told(|place| place % 10 == 7), "");
    // An ECM may wait, but not for long.
    assert_eq!(told(|place| place % 10 == 7 && place % 2000 > 800), "");
}

#[test]
fn null_packets_that_end_are_refused() {
    let why = told(|place| place < 1000 && place % 10 == 7);
    for part in ["service 1: no ECM", "from 0.9", "bit-rate"] {
        assert!(why.contains(part), "{part}: {why}");
    }
}

#[test]
fn a_last_ecm_long_before_the_end_is_refused() {
    let why = told(|place| place < 8500 && place % 10 == 7);
    assert!(why.contains("service 1: no ECM") && why.contains("9.9"), "{why}");
}

#[test]
fn a_gap_and_a_late_first_ecm_are_refused() {
    for (from, to) in [(4000, 5500), (0, 1500)] {
        let why = told(|place| !(from..to).contains(&place) && place % 10 == 7);
        assert!(why.contains("service 1: no ECM"), "{why}");
    }
}

/// One null packet in a crypto period, behind its middle: the period's own control word comes from
/// the ECM before, but half a second of each period has an ECM and the rest has none.
#[test]
fn one_ecm_a_crypto_period_is_refused() {
    let why = told(|place| place % 2000 == 1500);
    assert!(why.contains("service 1: no ECM"), "{why}");
}

/// A source shorter than any gap that would be too long: nothing on air is too little all the same.
#[test]
fn a_short_broadcast_has_an_ecm_and_a_cat_too() {
    for (is_null, what) in [
        (&(|_| false) as &dyn Fn(usize) -> bool, "no ECM"),
        (&|place| place == 107, "no CAT"),
        (&|place| place % 50 == 7, ""),
    ] {
        let source = made::stream(service(900, is_null));
        let told = packaged(&source, &made::schedule(), &[]);
        let told = told.map_or_else(|e| e.to_string(), |_| String::new());
        assert!(told.contains(what) && told.is_empty() == what.is_empty(), "{what}: {told}");
    }
}

/// The CAT says where EMMs are: enough null packets for the ECMs alone are not enough.
#[test]
fn a_broadcast_without_a_cat_is_refused() {
    let why = told(|place| place % 100 == 17);
    assert!(why.contains("CAT"), "{why}");
}

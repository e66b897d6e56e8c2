// SPDX-License-Identifier: Apache-2.0
//! T20: the air is full of EMMs and of forged ECMs, and the line is the slowest, T=0 at 9,600
//! bit/s: the picture does not notice, and what is genuine comes through.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::time::Duration;
use system_tests::flood::{Flood, Forger, Junk, forged_ecm, p99, purchase, quiet, under_emms};

const S: Duration = Duration::from_secs(1);

/// Of the quiet line.
fn within_a_tenth(flooded: Duration, quiet: Duration) -> bool {
    flooded.as_micros() * 10 <= quiet.as_micros() * 11
}

/// 100,000 EMMs of 239 octets under a bad seal, each another one, in 100 crypto periods.
#[test]
fn emms_under_a_bad_seal_delay_no_control_words() {
    let mut forger = Forger::new(Junk::Unique);
    let told = under_emms(Junk::Unique, 1, 100, 100, |n| Some(forger.section(n)));
    let quiet = quiet(1, 100);
    assert!(within_a_tenth(told.p99, p99(&quiet)), "{:?} against {:?}", told.p99, p99(&quiet));
    assert!(told.applied.is_some_and(|took| took < 2 * S), "{:?}", told.applied);
    assert!(told.refused > 200, "the card was asked about some");
    assert_eq!(told.writes, 0);
}

/// The same to groups and to all cards, and with signatures that are none.
#[test]
fn nor_do_those_of_other_addressings() {
    let quiet = quiet(1, 20);
    for junk in [Junk::Shared, Junk::Global, Junk::Signed] {
        let mut forger = Forger::new(junk);
        let told = under_emms(junk, 1, 20, 100, |n| Some(forger.section(n)));
        assert!(within_a_tenth(told.p99, p99(&quiet)), "{junk:?}: {:?}", told.p99);
        assert_eq!(told.writes, 0, "{junk:?}");
        assert!(told.applied.is_some_and(|took| took < 10 * S), "{junk:?}: {:?}", told.applied);
    }
}

/// Four services are watched.
#[test]
fn nor_are_four_services_delayed() {
    let mut forger = Forger::new(Junk::Unique);
    let told = under_emms(Junk::Unique, 4, 20, 100, |n| Some(forger.section(n)));
    let quiet = quiet(4, 20);
    assert!(within_a_tenth(told.p99, p99(&quiet)), "{:?} against {:?}", told.p99, p99(&quiet));
    assert!(told.applied.is_some_and(|took| took < 10 * S), "{:?}", told.applied);
}

/// The head-end repeats it each six seconds.
#[test]
fn a_genuine_one_that_is_repeated_seldom_is_applied_within_ten_seconds() {
    let mut forger = Forger::new(Junk::Unique);
    let told = under_emms(Junk::Unique, 1, 10, 600, |n| Some(forger.section(n)));
    assert!(told.applied.is_some_and(|took| took < 10 * S), "{:?}", told.applied);
}

/// Those who know how the box chooses: each section twice, a second apart; in bursts; 16 of their
/// own like a carousel, from long before.
#[test]
fn who_repeats_his_own_delays_it_by_an_exchange_each() {
    let twice = |n: u32| if n % 200 < 100 { n } else { n - 100 };
    let bursts = |n: u32| n / 20;
    let carousel = |n: u32| n % 16;
    let renewed = |n: u32| 16 * (n / 1600) + n % 16;
    let each: [(&str, &dyn Fn(u32) -> u32); 4] = [
        ("twice", &twice),
        ("in bursts", &bursts),
        ("a carousel", &carousel),
        ("a carousel that is renewed", &renewed),
    ];
    let quiet = quiet(1, 10);
    for (name, number) in each {
        let mut forger = Forger::new(Junk::Unique);
        let told = under_emms(Junk::Unique, 1, 10, 100, |n| Some(forger.section(number(n))));
        assert!(told.applied.is_some_and(|took| took < 10 * S), "{name}: {:?}", told.applied);
        assert!(within_a_tenth(told.p99, p99(&quiet)), "{name}: {:?}", told.p99);
    }
}

/// A hundred a second, each another one, right behind the genuine ones: words in every period.
#[test]
fn forged_ecms_behind_the_genuine_ones_cost_one_exchange() {
    let mut flood = Flood::new(1);
    let from = flood.stb.line.now();
    flood.periods(31, |flood, n| {
        let forged = forged_ecm(flood.ecm(), n);
        flood.stb.section(flood.first_pid(), &forged);
    });
    let latencies = flood.latencies(from);
    assert!(latencies.len() >= 30 && flood.all_granted());
    // The forgery that is on the line, and the genuine one behind it.
    let bound = 2 * p99(&quiet(1, 10)) + Duration::from_millis(100);
    assert!(p99(&latencies) < bound, "{:?} against {bound:?}", p99(&latencies));
}

/// The subscriber buys while somebody keeps the card asked: one exchange more on the line for each
/// of the purchase's own, at most.
#[test]
fn a_purchase_is_made_within_seconds() {
    let alone = purchase(|_| None);
    let mut forger = Forger::new(Junk::Unique);
    let took = purchase(|n| Some(forger.section(n / 20)));
    assert!(took < alone + S && took < 3 * S, "{took:?}, alone {alone:?}");
}

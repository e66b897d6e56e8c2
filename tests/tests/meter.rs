// SPDX-License-Identifier: Apache-2.0
//! What the nominal card is charged with, against counts and times that were added up by hand.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use cam_types::EventId;
use std::time::Duration;
use system_tests::money::set_top_box::{Programme, SetTopBox};
use system_tests::money::{antenna, flows, nominal};
use vcard::Interface;

/// A block of triple DES is three; the MACs are single DES over 18, 4 and 22 octets, padded.
#[test]
fn a_till_costs_the_purse_ten_blocks_of_des_and_its_module_thirteen() {
    let tap = flows::sold(Interface::Contactless);
    let des =
        |exchanges: &[nominal::Exchange]| exchanges.iter().map(|one| one.des).collect::<Vec<_>>();
    // DEBIT: session key, MAC1, MAC2, TAC.
    assert_eq!(des(&tap.purse), [0, 0, 3 + 3 + 1 + 3]);
    // The card's key from the master, its two halves; session key, MAC1. Then MAC2.
    assert_eq!(des(&tap.module), [6 + 3 + 3, 1]);
    let pages: Vec<_> = tap.purse.iter().map(|one| (one.pages_before, one.pages_after)).collect();
    // Two pages change: money, log.
    assert_eq!(pages, [(0, 0), (0, 0), (2 + 1, 2)]);
}

#[test]
fn verify_costs_twelve_blocks_of_aes() {
    let programme = Programme { packages: 4, slices: false };
    let bought = SetTopBox::tuned().buy(programme, EventId::new(2001));
    let [verify, purchase, ecm] = &bought.purchase[..] else { panic!() };
    // Each way one block and its ICV, a MAC over three blocks and its subkey.
    assert_eq!((verify.aes, verify.des), (2 * (2 + 3 + 1), 0));
    // The try is taken, then given back; the second time the first is brought home before.
    assert_eq!((verify.pages_before, verify.pages_after), (2 + 1 + 2, 1));
    assert_eq!(purchase.pages_before, purchase.pages_after + 1);
    assert_eq!((ecm.pages_before, ecm.pages_after), (0, 0));
    let thinking = Duration::from_micros(1000 + 12 * 50 + 5 * 3000);
    assert_eq!((verify.thinking(), verify.writing_home()), (thinking, Duration::from_millis(3)));
}

/// Cycles of 13.56 MHz: 128 for each bit, 1,172 behind each frame.
#[test]
fn frames_in_the_air() {
    let frame = |octets: u64| (1 + 9 * octets + 1) * 128 + 1172;
    let quick = Duration::from_millis(1);
    for (name, command, response, thinking, largest, frames) in [
        ("a frame each", 14, 21, quick, 256, &[17, 24][..]),
        ("just a frame", 253, 2, quick, 256, &[256, 5]),
        ("an octet more", 254, 2, quick, 256, &[256, 3, 4, 5]),
        ("small frames", 5, 60, quick, 32, &[8, 32, 3, 32, 3, 5]),
        ("one extension", 14, 21, Duration::from_millis(100), 256, &[17, 4, 4, 24]),
        ("two extensions", 14, 21, Duration::from_millis(200), 256, &[17, 4, 4, 4, 4, 24]),
    ] {
        let (time, octets) = antenna::exchange(command, response, thinking, largest);
        let cycles: u64 = frames.iter().copied().map(frame).sum();
        let expected = Duration::from_nanos(cycles * 1_000_000_000 / 13_560_000);
        assert!(expected.abs_diff(time) < Duration::from_nanos(10), "{name}: {time:?}");
        assert_eq!(octets as u64, frames.iter().sum::<u64>(), "{name}");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The power cut at every page write of everything that moves money, with everything that a torn
//! page may hold, and cut again while the card recovers; and the line dead at every octet. Then the
//! terminal recovers by itself (T13, T15). Every place where a cut can fall is tried, none is drawn
//! by lot; only the histories are random.
//!
//! `make test-tear` runs it in full and prints the table.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
#![allow(clippy::print_stdout, reason = "the table is its result")]

mod account;
mod exhaust;
mod guesses;
mod histories;
mod journal;
mod keys;
mod ledger;
mod messages;
mod operation;
mod pin;
mod programme;
mod purse;
mod rights;
mod rough;

use exhaust::{Case, Journal, every_octet, every_write};
use operation::{Operation, judge};
use vcard::atr;

/// One operation in full. These are its ends at every octet, and at every write.
fn tear(operation: &dyn Operation, ends: &[&str], ends_of_writes: &[&str]) {
    let case = Case {
        name: operation.name(),
        before: operation.before(),
        attempt: &|desk| operation.attempt(desk, 0),
        judge: &|desk, attempt| judge(operation, desk, attempt),
    };
    every_write(&case, Journal::On).assert_sound(ends_of_writes);
    assert!(
        every_write(&case, Journal::Off).violations() > 0,
        "nothing notices that the journal is off"
    );
    every_octet(&case, "T=1", &atr::t1()).assert_sound(ends);
    every_octet(&case, "T=0", &atr::t0()).assert_sound(ends);
}

const ASKED: &[&str] = &["made", "not sent", "settled as made", "settled as not made"];
/// The carousel repeats: what was sent is made in the end.
const REPEATED: &[&str] = &["made", "not sent", "settled as made"];

#[test]
fn a_torn_purchase_is_paid_once() {
    tear(&purse::TillPurchase, ASKED, &["made", "settled as made", "settled as not made"]);
}

#[test]
fn a_torn_compound_purchase_is_paid_once_and_its_record_goes_with_it() {
    tear(&purse::GatePurchase, ASKED, &["made", "settled as made", "settled as not made"]);
}

/// VERIFY before it writes too: the load is not even sent when the power goes there.
#[test]
fn a_torn_load_is_credited_once() {
    tear(&purse::KioskLoad, ASKED, ASKED);
}

#[test]
fn a_torn_programme_is_paid_once_and_its_right_goes_with_it() {
    tear(&programme::Programme, ASKED, ASKED);
}

/// T9.
#[test]
fn a_torn_top_up_is_credited_once() {
    tear(&messages::TopUp, REPEATED, &["made", "settled as made"]);
}

/// T31.
#[test]
fn a_torn_refund_is_credited_once_and_takes_the_right() {
    tear(&messages::Refund, REPEATED, &["made", "settled as made"]);
}

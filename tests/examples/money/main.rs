// SPDX-License-Identifier: Apache-2.0
//! What money takes: card and line time, first octet sent to last octet received, in virtual time.
//!
//! `cargo run -p system-tests --features meter --example money [FILE]` runs real flows against the
//! virtual card, counts what it computes and writes, plays the same octets over a real card line
//! and over the antenna's frames, prints a table, writes it to FILE as JSON, and fails when a
//! limit is missed.
#![allow(clippy::unwrap_used, reason = "what cannot be measured ends the measuring")]
#![allow(clippy::print_stdout, reason = "the table goes there")]

mod timing;

use cam_types::EventId;
use ecm_emm::ecm::MAX_ECM;
use std::process::ExitCode;
use std::time::Duration;
use system_tests::money::flows::{passed, sold};
use system_tests::money::nominal::Exchange;
use system_tests::money::set_top_box::{Bought, Programme, SetTopBox};
use timing::{Channel, Row};
use vcard::Interface;

const SLOWEST: Channel = Channel::Contacts { protocol: 1, ta1: 0x11 };
const SLOWEST_T0: Channel = Channel::Contacts { protocol: 0, ta1: 0x11 };
/// What our card's answer to reset says.
const CARDS_OWN: Channel = Channel::Contacts { protocol: 1, ta1: 0x18 };
const FAST: Channel = Channel::Contacts { protocol: 1, ta1: 0x96 };
const FAST_T0: Channel = Channel::Contacts { protocol: 0, ta1: 0x96 };
const ANTENNA: Channel = Channel::Antenna { frame: 256 };
/// What a card takes whose answer to select does not say (FSCI 2).
const SMALL_FRAMES: Channel = Channel::Antenna { frame: 32 };

/// The events that the demo's purse can pay for.
const EVENTS: u32 = 8;

/// The purchase that keeps the card busiest, of all that the purse can pay for: a record of the
/// purchase log lies on one page or two.
fn busiest(programme: Programme) -> Bought {
    let mut stb = SetTopBox::tuned();
    let thinking =
        |bought: &Bought| bought.purchase.iter().map(Exchange::thinking).sum::<Duration>();
    (0..EVENTS).map(|n| stb.buy(programme, EventId::new(2001 + n))).max_by_key(thinking).unwrap()
}

/// The debit alone, and with the PIN before it.
fn debits(rows: &mut Vec<Row>, what: &str, Bought { purchase, .. }: &Bought) {
    for (channel, limit) in [(SLOWEST, 800), (SLOWEST_T0, 800), (FAST, 100), (FAST_T0, 100)] {
        let mut row = |name: &str, exchanges: &[Exchange]| {
            rows.push(Row::new(&format!("{name}, {what}"), channel, exchanges, Some(limit)));
        };
        row("PURCHASE", &purchase[1..2]);
        row("VERIFY and PURCHASE", &purchase[..2]);
    }
}

/// What passes before the first control words, from three moments on.
fn first_keys(rows: &mut Vec<Row>, what: &str, bought: &Bought, limit: Option<u64>) {
    let Bought { session, purchase } = bought;
    // SELECT and CAS INFO say which card it is; behind them a card that is new says what it is.
    let fresh = [&session[2..4], purchase].concat();
    let all = [&session[..], purchase].concat();
    for channel in [SLOWEST, SLOWEST_T0, FAST] {
        let mut row = |name: &str, exchanges: &[Exchange], limit| {
            rows.push(Row::new(&format!("{name} to first key, {what}"), channel, exchanges, limit));
        };
        row("PIN", purchase, limit);
        row("session", &fresh, limit);
        row("SELECT", &all, None);
    }
}

fn main() -> ExitCode {
    let mut rows = Vec::new();
    let typical = busiest(Programme { packages: 4, slices: false });
    debits(&mut rows, "ECM of 4 packages", &typical);
    first_keys(&mut rows, "ECM of 4 packages", &typical, Some(800));
    let many = busiest(Programme { packages: 24, slices: false });
    first_keys(&mut rows, "ECM of 24 packages", &many, Some(800));
    let longest = Programme { packages: 38, slices: true };
    assert_eq!(longest.ecm(EventId::new(2001), 1).len(), MAX_ECM);
    let longest = busiest(longest);
    debits(&mut rows, "longest ECM", &longest);
    first_keys(&mut rows, "longest ECM", &longest, None);

    let [entry, exit] = passed();
    let tap = sold(Interface::Contactless);
    for (what, tap, limit) in
        [("gate, entry", &entry, 300), ("gate, exit with fare", &exit, 300), ("till", &tap, 500)]
    {
        let row = |channel| Row::new(what, channel, &tap.purse, Some(limit));
        rows.extend([row(ANTENNA), row(SMALL_FRAMES)]);
        for module in [CARDS_OWN, SLOWEST, SLOWEST_T0] {
            rows.push(row(SMALL_FRAMES).and_module(module, &tap.module));
        }
    }
    let inserted = sold(Interface::Contact);
    for channel in [SLOWEST, SLOWEST_T0, CARDS_OWN, FAST] {
        rows.push(Row::new("dual interface: till, contacts", channel, &inserted.purse, Some(600)));
    }
    rows.push(Row::new("dual interface: till, antenna", ANTENNA, &tap.purse, Some(600)));
    timing::report(&rows)
}

//! What money takes: card and line time, first octet sent to last octet received, in virtual time.
//!
//! `cargo run -p vcard --features meter --example money [FILE]` runs real flows against the virtual card, counts what it
//! computes and writes, plays the same octets over a real card line and over the antenna's frames, prints a table, writes
//! it to FILE as JSON, and fails when a limit is missed.
#![allow(clippy::unwrap_used, reason = "what cannot be measured ends the measuring")]
#![allow(clippy::print_stdout, reason = "the table goes there")]

mod antenna;
#[path = "../../tests/card/bench.rs"]
#[allow(dead_code, reason = "the card's tests use the rest")]
mod bench;
mod card;
mod flows;
#[path = "../../tests/paced/line.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod line;
mod timing;

use bench::memory;
use card::{Exchange, Watched};
use ecm_emm::ecm::MAX_ECM;
use flows::{SetTopBox, passed, programme, sold};
use std::process::ExitCode;
use timing::{Channel, Row};
use vcard::Interface;

const SLOWEST: Channel = Channel::Contacts { protocol: 1, ta1: 0x11 };
const SLOWEST_T0: Channel = Channel::Contacts { protocol: 0, ta1: 0x11 };
/// What our card's answer to reset says.
const CARDS_OWN: Channel = Channel::Contacts { protocol: 1, ta1: 0x18 };
const FAST: Channel = Channel::Contacts { protocol: 1, ta1: 0x96 };
const FAST_T0: Channel = Channel::Contacts { protocol: 0, ta1: 0x96 };

/// The exchanges of a box that buys a programme and watches it: three of the session, VERIFY, PURCHASE, ECM.
fn bought(section: &[u8]) -> Vec<Exchange> {
    let mut card = Watched::new(&memory(), Interface::Contact);
    let mut stb = SetTopBox::open(&mut card);
    stb.verify();
    stb.purchase(section);
    stb.watch(section);
    card.exchanges
}

fn main() -> ExitCode {
    let mut rows = Vec::new();
    let typical = bought(&programme(4, false));
    let section = programme(38, true);
    assert_eq!(section.len(), MAX_ECM);
    let longest = bought(&section);
    for (exchanges, what) in [(&typical, "ECM of 4 packages"), (&longest, "longest ECM")] {
        for (channel, limit) in [(SLOWEST, 800), (SLOWEST_T0, 800), (FAST, 100), (FAST_T0, 100)] {
            let purchase = format!("PURCHASE, {what}");
            rows.push(Row::new(&purchase, channel, &exchanges[4..5], Some(limit)));
            let with_pin = format!("VERIFY and PURCHASE, {what}");
            rows.push(Row::new(&with_pin, channel, &exchanges[3..5], Some(limit)));
        }
    }
    for (exchanges, what, limit) in
        [(&typical, "ECM of 4 packages", Some(800)), (&longest, "longest ECM", None)]
    {
        let name = format!("session to first key, {what}");
        rows.push(Row::new(&name, SLOWEST, exchanges, limit));
        rows.push(Row::new(&name, SLOWEST_T0, exchanges, limit));
        rows.push(Row::new(&name, FAST, exchanges, None));
    }
    let [entry, exit] = passed();
    let tap = sold(Interface::Contactless);
    rows.push(Row::new("gate, entry", Channel::Antenna, &entry, Some(300)));
    rows.push(Row::new("gate, exit with fare", Channel::Antenna, &exit, Some(300)));
    rows.push(Row::new("till", Channel::Antenna, &tap, Some(500)));
    let inserted = sold(Interface::Contact);
    rows.push(Row::new("dual interface: till, antenna", Channel::Antenna, &tap, Some(600)));
    for channel in [SLOWEST, SLOWEST_T0, CARDS_OWN, FAST] {
        rows.push(Row::new("dual interface: till, contacts", channel, &inserted, Some(600)));
    }
    timing::report(&rows)
}

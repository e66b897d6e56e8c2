// SPDX-License-Identifier: Apache-2.0
//! A GemPC Twin of `vcard serve` with the terminal's `gempc:` reader at its port.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use hex_literal::hex;
use iso7816::line::{Cause, Reset};
use stb_shim::reader::{Presence, ReaderError};
use stb_shim::readers;
use system_tests::served::{Card, Vcard};
use system_tests::terminal::{Event, INFO, SELECT, SELECTED, Terminal};

const VCARD: Vcard = Vcard(env!("CARGO_BIN_EXE_vcard"));

const GEMPC: [&str; 2] = ["--line", "gempc-twin"];

fn served(name: &str, options: &[&str]) -> Card {
    VCARD.serve(&format!("gempc-{name}"), &[&GEMPC, options].concat())
}

#[test]
fn answers_to_reset_to_order() {
    let table: &[(&str, &[&str], u32)] = &[
        ("own", &[], 129_032),
        ("t0", &["--protocol", "t0"], 129_032),
        ("slow", &["--ta1", "11", "--bwi", "2"], 10_753),
        ("slow-t0", &["--protocol", "t0", "--ta1", "11"], 10_753),
        ("chain", &["--ifsc", "16", "--chaining", "7", "--edc", "crc"], 129_032),
        ("specific", &["--protocol", "t0", "--specific", "--ta1", "95"], 125_000),
        ("inverse", &["--convention", "inverse", "--guard", "2"], 129_032),
        ("inverse-t0", &["--convention", "inverse", "--protocol", "t0"], 129_032),
        ("raw", &["--atr", "3B 90 13 80 01 02"], 43_011),
    ];
    for (name, options, rate) in table {
        let card = served(name, options);
        let mut terminal = Terminal::open(&card.url("gempc"));
        assert_eq!(terminal.activate(), Event::Ready, "{name}");
        assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()), "{name}");
        let Event::Response(info) = terminal.command(&INFO) else { panic!("{name}") };
        assert!(info.len() > 40 && info.ends_with(&hex!("9000")), "{name}: {info:02X?}");
        let status = card.control("status");
        assert!(status.contains(&format!("\"bit_rate\":{rate}")), "{name}: {status}");
    }
}

#[test]
fn a_script_that_the_terminal_gets_over() {
    let script = "card 26 lose\ncard 60 damage\nterminal 20 double\nterminal 60 damage\n\
                  command 2 wtx 3 2\ncommand 3 wrong number\ncard 130 delay 20\n\
                  reader 200 lose\nreader 300 damage\nreader 420 delay 100\nhost 230 double\n\
                  host 300 lose\nhost 350 damage 01";
    let card = VCARD.serve_script("gempc-over", script, &GEMPC);
    let mut terminal = Terminal::open(&card.url("gempc"));
    assert_eq!(terminal.activate(), Event::Ready);
    for round in 0..8 {
        assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()), "round {round}");
    }
}

/// A card that wants time on T=0 says so by NULL, and the reader passes that on.
#[test]
fn a_card_that_takes_its_time() {
    let card = VCARD.serve_script(
        "gempc-null",
        "command 1 null 20\ncommand 2 delay 1500\ncommand 3 mute",
        &[&GEMPC[..], &["--protocol", "t0", "--wi", "40"]].concat(),
    );
    let mut terminal = Terminal::open(&card.url("gempc"));
    assert_eq!(terminal.activate(), Event::Ready);
    for _ in 0..2 {
        assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
    }
    assert_eq!(terminal.command(&SELECT), Event::Failed(Cause::Silent));
    assert_eq!(terminal.by_itself(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
}

#[test]
fn cards_come_and_leave() {
    let card = served("hand", &[]);
    let url = card.url("gempc");
    let mut terminal = Terminal::open(&url);
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.reader.present().unwrap(), Presence::Present);
    // Between exchanges: told within one look.
    card.control("remove");
    terminal.until(Presence::Absent);
    assert_eq!(terminal.activate(), Event::Failed(Cause::Removed));
    card.control("insert");
    terminal.until(Presence::Present);
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
    // Pulled and put back faster than anybody looks: it is not the card that was up.
    card.control("remove");
    card.control("insert");
    assert_eq!(terminal.command(&SELECT), Event::Failed(Cause::Removed));
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
    // A second owner is told what to do.
    let Err(error) = readers::open(&url) else { panic!("opens twice") };
    assert!(error.to_string().contains("another program"), "{error}");
    // Opened again with the card in.
    drop(terminal);
    let mut terminal = Terminal::open(&url);
    assert_eq!(terminal.reader.present().unwrap(), Presence::Present);
    assert_eq!(terminal.activate(), Event::Ready);
}

#[test]
fn pulled_in_an_exchange_and_unplugged_are_told_apart() {
    let card =
        VCARD.serve_script("gempc-gone", "command 1 remove 300\ncommand 3 unplug 50", &GEMPC);
    let url = card.url("gempc");
    let mut terminal = Terminal::open(&url);
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Failed(Cause::Removed));
    terminal.until(Presence::Present);
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
    assert_eq!(terminal.command(&SELECT), Event::Failed(Cause::ReaderLost));
    assert!(matches!(terminal.reader.activate(Reset::Cold), Err(ReaderError::Lost { .. })));
    drop(terminal);
    // Plugged in again: another reader at the same path.
    let mut terminal = Terminal::reopen(&url);
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
}

/// A card's line, or nothing, where a reader with frames is expected.
#[test]
fn a_port_without_such_a_reader() {
    let card = VCARD.serve("gempc-none", &[]);
    let Err(error) = readers::open(&card.url("gempc")) else { panic!("opens") };
    let (text, port) = (error.to_string(), card.url("serial"));
    assert!(matches!(error, ReaderError::NoReader { .. }), "{text}");
    assert!(text.contains("GemPC Twin") && text.contains(&port), "{text}");
    // The port is free again, and the other address works.
    assert_eq!(Terminal::open(&port).activate(), Event::Ready);
}

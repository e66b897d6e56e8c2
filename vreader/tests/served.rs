// SPDX-License-Identifier: Apache-2.0
//! `vcard serve` as a program, with the terminal's own reader at its port.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use hex_literal::hex;
use iso7816::line::Cause;
use std::fs;
use std::time::Duration;
use system_tests::served::Vcard;
use system_tests::terminal::{Event, INFO, SELECT, SELECTED, Terminal};

const VCARD: Vcard = Vcard(env!("CARGO_BIN_EXE_vcard"));

#[test]
fn answers_to_reset_to_order() {
    let table: &[(&str, &[&str], u32)] = &[
        ("own", &[], 115_469),
        ("t0", &["--protocol", "t0"], 115_469),
        ("slow", &["--ta1", "11", "--bwi", "2"], 9_622),
        ("chain", &["--ifsc", "16", "--chaining", "7", "--edc", "crc"], 115_469),
        ("specific", &["--protocol", "t0", "--specific", "--ta1", "95"], 111_861),
        ("inverse", &["--convention", "inverse", "--guard", "2"], 115_469),
        ("raw", &["--atr", "3B 90 13 80 01 02"], 38_490),
    ];
    for (name, options, rate) in table {
        let card = VCARD.serve(name, options);
        let mut terminal = Terminal::open(&card.url("serial"));
        assert_eq!(terminal.activate(), Event::Ready, "{name}");
        assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()), "{name}");
        let Event::Response(info) = terminal.command(&INFO) else { panic!("{name}") };
        assert!(info.len() > 40 && info.ends_with(&hex!("9000")), "{name}: {info:02X?}");
        let status = card.control("status");
        assert!(status.contains(&format!("\"bit_rate\":{rate}")), "{name}: {status}");
    }
}

/// On T=1 a terminal gets over every fault of a script but those that take the card away.
#[test]
fn a_script_that_the_terminal_gets_over() {
    // ATR, PPS and IFS are 24 octets of the card and 9 of the terminal.
    let script = "card 26 lose\ncard 60 damage\nterminal 20 double\nterminal 60 damage\n\
                  command 2 wtx 3 2\ncommand 3 wrong number\ncard 130 delay 20";
    let card = VCARD.serve_script("over", script, &[]);
    let mut terminal = Terminal::open(&card.url("serial"));
    assert_eq!(terminal.activate(), Event::Ready);
    for round in 0..6 {
        assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()), "round {round}");
    }
}

#[test]
fn removed_and_unplugged_are_told_apart() {
    let card = VCARD.serve_script("gone", "command 2 unplug 50\ncommand 1 mute", &[]);
    let mut terminal = Terminal::open(&card.url("serial"));
    assert_eq!(terminal.activate(), Event::Ready);
    let Event::Failed(mute) = terminal.command(&SELECT) else { panic!("a mute card answers") };
    assert_eq!(terminal.activate(), Event::Ready);
    let Event::Failed(gone) = terminal.command(&SELECT) else { panic!("an absent one answers") };
    assert_ne!(mute, Cause::ReaderLost);
    assert_eq!(gone, Cause::ReaderLost);
    // Plugged in again: another reader at the same path.
    let end = std::time::Instant::now() + Duration::from_secs(5);
    while !fs::exists(card.folder.join("port")).unwrap() {
        assert!(std::time::Instant::now() < end, "never plugged in again");
    }
    let mut terminal = Terminal::open(&card.url("serial"));
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
}

#[test]
fn signals_end_it_and_leave_nothing() {
    use nix::sys::signal::Signal;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut card = VCARD.serve(&format!("{signal}"), &[]);
        assert!(fs::symlink_metadata(card.folder.join("port")).is_ok());
        card.signal(signal);
        assert_eq!(card.process.wait().unwrap().code(), Some(0));
        assert!(fs::symlink_metadata(card.folder.join("port")).is_err(), "the link is left");
        assert!(!card.folder.join("control").exists(), "the socket is left");
    }
}

/// What fails twice at a rate is tried at the next lower one, whoever the reader is.
#[test]
fn one_rate_lower_after_two_failures() {
    let script = "command 2-3 mute";
    for (scheme, line, rates) in
        [("serial", "phoenix", [115_469, 76_979]), ("gempc", "gempc-twin", [129_032, 86_022])]
    {
        let options = ["--line", line, "--protocol", "t0", "--wi", "1"];
        let card = VCARD.serve_script(&format!("slower-{scheme}"), script, &options);
        let mut terminal = Terminal::open(&card.url(scheme));
        let runs_at = |rate: u32| {
            let status = card.control("status");
            assert!(status.contains(&format!("\"bit_rate\":{rate}")), "{scheme}: {status}");
        };
        assert_eq!(terminal.activate(), Event::Ready);
        assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()), "{scheme}");
        runs_at(rates[0]);
        for _ in 0..2 {
            assert_eq!(terminal.command(&SELECT), Event::Failed(Cause::Silent), "{scheme}");
            assert_eq!(terminal.by_itself(), Event::Ready, "{scheme}");
        }
        assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()), "{scheme}");
        runs_at(rates[1]);
    }
}

/// Readers share nothing: each has its own rate, convention and protocol, all at one time.
#[test]
fn several_readers_at_once() {
    let table: &[(&str, &[&str])] = &[
        ("serial", &["--protocol", "t1"]),
        ("serial", &["--protocol", "t0", "--ta1", "13"]),
        ("serial", &["--convention", "inverse", "--ta1", "11"]),
        ("gempc", &["--line", "gempc-twin", "--protocol", "t0"]),
        ("gempc", &["--line", "gempc-twin", "--edc", "crc", "--ifsc", "20"]),
    ];
    std::thread::scope(|scope| {
        for (number, (scheme, options)) in table.iter().enumerate() {
            scope.spawn(move || {
                let card = VCARD.serve(&format!("several-{number}"), options);
                let mut terminal = Terminal::open(&card.url(scheme));
                for _ in 0..2 {
                    assert_eq!(terminal.activate(), Event::Ready, "{options:?}");
                    for _ in 0..20 {
                        let selected = terminal.command(&SELECT);
                        assert_eq!(selected, Event::Response(SELECTED.to_vec()), "{options:?}");
                    }
                }
            });
        }
    });
}

/// A secure module in a reader, over either protocol: also the command that brings data here and
/// brings none to a card.
#[test]
fn a_secure_module_in_a_reader() {
    let demo = include_str!("../../examples/demo/psam.toml");
    for protocol in ["t0", "t1"] {
        let options = ["--link", "port", "--protocol", protocol];
        let card = VCARD.serve_file(&format!("psam-{protocol}"), demo, &options);
        let mut terminal = Terminal::open(&card.url("serial"));
        assert_eq!(terminal.activate(), Event::Ready, "{protocol}");
        // Numbers of `wallet/tests/psam.rs`.
        for (command, response) in [
            (&hex!("00B0960006")[..], &hex!("001122334455 9000")[..]),
            (&hex!("00A4000002 1001 00"), &hex!("9000")),
            (&hex!("80CA000009 313233343536373839"), &hex!("9000")),
            (
                &hex!(
                    "807000001C 584633C9 0007 00001000 06 20261201 200000 01 00 1122334455667788 08"
                ),
                &hex!("00000001 D2FEAA8D 9000"),
            ),
            (&hex!("8072000004 B30B352F"), &hex!("9000")),
        ] {
            let Event::Response(answer) = terminal.command(command) else { panic!("{protocol}") };
            assert!(answer.ends_with(response), "{protocol} {command:02X?}: {answer:02X?}");
        }
    }
}

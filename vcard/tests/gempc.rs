//! A GemPC Twin of `vcard serve` with the terminal's `gempc:` reader at its port.
#![allow(clippy::unwrap_used)] // a test that cannot go on panics

mod stage;

use hex_literal::hex;
use stage::{Card, Event, INFO, SELECT, SELECTED, Terminal};

const GEMPC: [&str; 2] = ["--line", "gempc-twin"];

fn served(name: &str, options: &[&str]) -> Card {
    Card::new(&format!("gempc-{name}"), &[&GEMPC, options].concat())
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

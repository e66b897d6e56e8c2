// SPDX-License-Identifier: Apache-2.0
//! `vcard serve --vpcd` as a program, with the terminal's own reader in pcscd's place.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use iso7816::line::{CardLine, Cause, Input};
use stb_shim::reader::{Presence, Reader};
use stb_shim::url::Url;
use stb_shim::vpcd::VpcdReader;
use std::fs;
use std::time::Duration;
use system_tests::served::{Card, Vcard};
use system_tests::terminal::{Event, SELECT, SELECTED, Terminal};

const VCARD: Vcard = Vcard(env!("CARGO_BIN_EXE_vcard"));

/// The terminal, and a card that has come to it.
fn come(name: &str, script: &str) -> (Card, Terminal) {
    let path = std::env::temp_dir().join(format!("vcard-come-{name}-{}", std::process::id()));
    fs::write(&path, script).unwrap();
    let reader = VpcdReader::open(&Url::parse("vpcd:127.0.0.1:0")).unwrap();
    let address = reader.address().unwrap().to_string();
    let options = ["--script", path.to_str().unwrap(), "--vpcd", &address];
    let demo = include_str!("../../examples/demo/card.toml");
    let card = VCARD.serve_file(&format!("come-{name}"), demo, &options);
    fs::remove_file(path).unwrap();
    let line = CardLine::new(reader.capabilities().policy());
    let mut terminal = Terminal { line, reader: Box::new(reader) };
    terminal.until(Presence::Present);
    (card, terminal)
}

#[test]
fn a_card_comes_answers_and_leaves() {
    let (card, mut terminal) = come("leaves", "");
    for _ in 0..2 {
        assert_eq!(terminal.activate(), Event::Ready);
        assert_eq!(terminal.line.protocol(), 1);
        for _ in 0..3 {
            assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
        }
        assert!(card.control("status").contains("\"card\":\"on\""));
        assert!(card.control("remove").contains("true"));
        assert_eq!(terminal.command(&SELECT), Event::Failed(Cause::Removed));
        terminal.until(Presence::Absent);
        assert!(card.control("insert").contains("true"));
        terminal.until(Presence::Present);
    }
}

#[test]
fn a_late_or_missing_answer_is_told_and_survived() {
    let (_card, mut terminal) = come("late", "command 2 delay 200\ncommand 4 mute");
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
    let patience = Some(Duration::from_millis(20));
    assert_eq!(
        terminal.run(Input::Command { apdu: &SELECT, patience }),
        Event::Failed(Cause::Silent)
    );
    // The line has reset the card by itself.
    assert_eq!(terminal.by_itself(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
    // Without a line to be mute on, the card leaves, and comes back.
    assert_eq!(terminal.command(&SELECT), Event::Failed(Cause::Removed));
    terminal.until(Presence::Present);
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
}

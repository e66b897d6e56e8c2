// SPDX-License-Identifier: Apache-2.0
//! `stbcam card watch` while a hand does things to card and reader.
#![allow(clippy::unwrap_used, reason = "a test fails where its helpers do")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use system_tests::small::Small;

/// Of the tests' files.
const PLACE: &str = env!("CARGO_TARGET_TMPDIR");

struct Watch {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn new(url: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stbcam"))
            .args(["--json", "card", "watch", "--reader", url])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    fn says(&mut self, event: &str, state: &str) -> Value {
        let object = self.next();
        assert_eq!(
            (&object["event"], &object["state"]),
            (&event.into(), &state.into()),
            "{object}"
        );
        assert!(object["t"].is_f64(), "{object}");
        object
    }

    /// It ends well when it is told to.
    fn end(mut self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
        assert!(self.lines.next().is_none());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn without_a_detect_line() {
    let card = Small::new(PLACE, "watch", &vcard::atr::t1());
    let mut watch = Watch::new(&card.url());
    watch.says("reader", "watching");
    let up = watch.says("card", "up");
    assert_eq!(up["atr"], "3B D6 18 FF 81 31 FE 25 53 54 42 43 41 4D 50");
    card.control("remove");
    watch.says("card", "mute");
    card.control("insert");
    watch.says("card", "up");
    card.control("unplug");
    let unplugged = watch.says("reader", "unplugged");
    assert!(unplugged["why"].as_str().unwrap().contains("is gone"), "{unplugged}");
    card.control("plug");
    watch.says("reader", "replugged");
    watch.says("card", "up");
    watch.end(Signal::SIGTERM);
}

/// Its WT is 3 s: a second of silence is an answer under way. Behind 11 octets of answer to reset
/// and 4 of PPS the first answer comes late, and the second never.
#[test]
fn a_slow_card_is_waited_for() {
    let slow = vcard::atr::Profile { wi: 30, ..vcard::atr::Profile::t0() }.emit();
    let script = "card 16 delay 1300\ncard 18 mute";
    let card = Small::scripted(PLACE, "watch-slow", &slow, script);
    let mut watch = Watch::new(&card.url());
    watch.says("reader", "watching");
    let first = watch.says("card", "up")["t"].as_f64().unwrap();
    let again = watch.says("card", "up");
    let took = again["t"].as_f64().unwrap() - first;
    assert!(took > 1.3 + 3.0, "{again} {took}");
    watch.end(Signal::SIGTERM);
}

#[test]
fn with_one() {
    let card = Small::gempc(PLACE, "watch-detect", &vcard::atr::t0());
    let mut watch = Watch::new(&card.url());
    watch.says("reader", "watching");
    watch.says("card", "inserted");
    watch.says("card", "up");
    card.control("remove");
    watch.says("card", "removed");
    card.control("insert");
    watch.says("card", "inserted");
    watch.says("card", "up");
    watch.end(Signal::SIGINT);
    card.control("remove");
    let mut watch = Watch::new(&card.url());
    watch.says("reader", "watching");
    watch.says("card", "absent");
    card.control("insert");
    watch.says("card", "inserted");
    watch.says("card", "up");
}

#[test]
fn a_card_that_is_none() {
    let card = Small::new(PLACE, "watch-unknown", &[0x3B, 0x80, 0x05, 0x85]);
    let mut watch = Watch::new(&card.url());
    watch.says("reader", "watching");
    let unknown = watch.says("card", "unknown");
    assert!(unknown["why"].as_str().unwrap().contains("card speaks T=5"), "{unknown}");
    watch.end(Signal::SIGTERM);
}

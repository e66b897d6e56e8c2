// SPDX-License-Identifier: Apache-2.0
//! Bad input and cards that say no: each its own text, what happened to the money, and an exit
//! status.
#![allow(clippy::unwrap_used, reason = "a test fails where its helpers do")]

use hex_literal::hex;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use system_tests::slot::Served;
use system_tests::stbcam::{Rig, Stbcam};
use vcard::{Cut, PowerLost};
use vreader::os::Os;
use vreader::serve::Options;

const STBCAM: Stbcam =
    Stbcam { program: env!("CARGO_BIN_EXE_stbcam"), place: env!("CARGO_TARGET_TMPDIR") };

/// A purse that answers SELECT and GET BALANCE, and every INITIALIZE with one status word.
struct Stubborn {
    select: Option<[u8; 2]>,
    initialize: [u8; 2],
}

impl Os for Stubborn {
    fn power_on(&mut self) -> Vec<u8> {
        vcard::atr::t1()
    }

    fn power_off(&mut self) {}

    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, PowerLost> {
        Ok(match (apdu[1], self.select) {
            (0xA4, Some(status)) => status.to_vec(),
            (0xA4, None) => hex!(
                "6F 30 84 09 A00000000386980701 A5 23 9F0C 1E
                 0000000000001201 02 01 90000000000000004711 20260101 20361231 0000 0000 9000"
            )
            .to_vec(),
            (0x20, _) => hex!("9000").to_vec(),
            (0x50, _) => self.initialize.to_vec(),
            _ => hex!("6D00").to_vec(),
        })
    }

    fn takes_data(&self) -> fn(u8, u8) -> bool {
        |_, ins| matches!(ins, 0xA4 | 0x20 | 0x50)
    }

    fn arm_cut(&mut self, _: Cut) {}

    fn status(&self) -> Map<String, Value> {
        Map::new()
    }

    fn pages_written(&self) -> u64 {
        0
    }
}

fn stubborn(rig: &Rig, select: Option<[u8; 2]>, initialize: [u8; 2]) -> Served {
    let link = rig.folder.join("stubborn");
    let options = Options { link: Some(link.clone()), ..Options::default() };
    Served::at_port(Box::new(Stubborn { select, initialize }), &options, &link)
}

const PURCHASE: [&str; 4] = ["wallet", "purchase", "--amount", "1.00"];

#[test]
fn amounts() {
    let rig = STBCAM.rig("refused-amounts");
    let card = rig.serve();
    let mut said = BTreeSet::new();
    for (what, amount, more, status, part) in [
        ("purchase", "0", &[][..], 3, "amount 0.00: only a compound purchase"),
        ("purchase", "-1", &[], 2, "an amount is not negative"),
        ("purchase", "1.234", &[], 2, "at most two decimals"),
        ("purchase", "one", &[], 2, "write it like 12.05"),
        ("purchase", "42949672.96", &[], 2, "amount over 42949672.95"),
        ("purchase", "10.01", &["--limit", "10.00"], 3, "over the limit of 10.00"),
        ("purchase", "100.01", &["--pin", "-"], 3, "balance does not cover"),
        ("load", "0.00", &["--pin", "-"], 3, "there is nothing to load"),
        ("load", "-5", &[], 2, "an amount is not negative"),
        ("load", "0.01", &["--maximum", "100.00", "--pin", "-"], 3, "purse's maximum of 100.00"),
        ("load", "42949672.95", &["--pin", "-"], 3, "cannot hold so much"),
        ("load", "1.00", &[], 3, "the PIN is wanted first (SW=6982)"),
    ] {
        let arguments = [&["wallet", what, "--amount", amount], more].concat();
        let error = rig.refused(&card, &arguments, status, &[part, "no money has moved"]);
        said.insert(error);
    }
    assert!(said.len() >= 11, "each has its own text");
    assert_eq!(rig.balance(&card), "100.00");
}

#[test]
fn cards() {
    let rig = STBCAM.rig("refused-cards");
    for (select, initialize, part) in [
        (Some(hex!("6A82")), hex!("9000"), "not our card: it has no such application"),
        (Some(hex!("6A81")), hex!("9000"), "purse is blocked"),
        (None, hex!("6A81"), "purse is blocked"),
        (None, hex!("9303"), "purse is blocked for good"),
        (None, hex!("9402"), "transaction counter is used up"),
        (None, hex!("9403"), "card has no key of this index"),
        (None, hex!("9408"), "purse is locked by a transaction that has not ended"),
        (None, hex!("9401"), "balance does not cover the amount"),
    ] {
        let card = stubborn(&rig, select, initialize);
        rig.refused(&card, &PURCHASE, 3, &[part, "no money has moved"]);
    }
    let card = stubborn(&rig, None, hex!("9402"));
    let load = ["wallet", "load", "--amount", "1.00", "--pin", "-"];
    rig.refused(&card, &load, 3, &["transaction counter is used up", "no money has moved"]);
    drop(card);
    let card = rig.serve();
    let other = [&PURCHASE[..], &["--aid", "A000000004"]].concat();
    rig.refused(&card, &other, 3, &["not our card", "no money has moved"]);
    let late = [&PURCHASE[..], &["--datetime", "2037-01-01T00:00:00"]].concat();
    rig.refused(&card, &late, 3, &["valid from 2026-01-01 until 2036-12-31", "no money has moved"]);
    rig.control("card", "remove");
    rig.refused(&card, &PURCHASE, 1, &["no answer to reset", "no money has moved"]);
}

#[test]
fn keys_files() {
    const KEY: &str = "00112233445566778899aabbccddeeff";
    let rig = STBCAM.rig("refused-keys");
    let card = rig.serve();
    for (text, status, part) in [
        (String::new(), 2, "no purchase key"),
        (format!("key = \"{KEY}\""), 2, "write it as [[key]]"),
        (
            format!("[[key]]\nrole = \"{KEY}\"\nmaster = \"{KEY}\""),
            2,
            "key 1.role: expected purchase, load or tac",
        ),
        (
            format!("[[key]]\nrole = \"purchase\"\nmaster = \"{KEY}00\""),
            2,
            "key 1.master: 17 octets, a key has 16",
        ),
        (
            format!("[[key]]\nrole = \"purchase\"\nmaster = \"{KEY}x\""),
            2,
            "is no hexadecimal digit",
        ),
        (
            format!("[[key]]\nrole = \"purchase\"\nmaster = \"{KEY}\"\ncard = \"{KEY}\""),
            2,
            "`master` or `card`",
        ),
        (format!("[[key]]\nrole = \"purchase\"\nmaster = {KEY}"), 2, "line 3 is not TOML"),
        (
            format!("[[key]]\nrole = \"purchase\"\nmaster = \"{KEY}\"\nlevel = 1"),
            2,
            "key 1.level: unknown field",
        ),
        (
            format!("[[key]]\nrole = \"purchase\"\nversion = 9\nmaster = \"{KEY}\""),
            3,
            "no purchase key 01",
        ),
        (format!("[[key]]\nrole = \"purchase\"\ncard = \"{KEY}\""), 3, "the MAC is wrong"),
    ] {
        rig.file("keys.toml", &text);
        let error = rig.refused(&card, &PURCHASE, status, &[part, "no money has moved"]);
        assert!(!error.contains(&KEY[..8]), "a key's value: {error}");
    }
    let load = ["wallet", "load", "--amount", "1.00", "--pin", "-"];
    rig.refused(&card, &load, 3, &["host has no load key 01", "no money has moved"]);
    rig.file("keys.toml", &format!("[[key]]\nrole = \"load\"\ncard = \"{KEY}\""));
    rig.refused(&card, &load, 3, &["host finds MAC1 wrong", "no money has moved"]);
    std::fs::remove_file(rig.folder.join("keys.toml")).unwrap();
    rig.refused(&card, &PURCHASE, 2, &["keys.toml", "No such file", "no money has moved"]);
    assert_eq!(rig.balance(&card), "100.00");
}

// SPDX-License-Identifier: Apache-2.0
//! A kiosk's batches, each entry once; gates and tills that serve one card after the other.
#![allow(clippy::unwrap_used, reason = "a test fails where its helpers do")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use system_tests::slot::Served;
use system_tests::stbcam::{PIN, Reader, Rig, SERIAL, Stbcam, find};
use vcard::Fault;
use vreader::inserted::Side;

const STBCAM: Stbcam =
    Stbcam { program: env!("CARGO_BIN_EXE_stbcam"), place: env!("CARGO_TARGET_TMPDIR") };

const BATCH: [&str; 6] = ["wallet", "load", "--batch", "batch.csv", "--pin", "-"];
const GATE: [&str; 3] = ["gate", "--fares", "fares.toml"];

fn batch(rig: &Rig, card: &Served, status: i32) -> Value {
    let objects = rig.objects(card, &BATCH, &format!("{PIN}\n"), status);
    find(&objects, "batch").unwrap()
}

#[test]
fn a_batch_is_loaded_once() {
    let rig = STBCAM.rig("kiosk-once");
    let card = rig.serve();
    let sums = batch(&rig, &card, 0);
    assert_eq!((&sums["loaded"], &sums["loaded_sum"]), (&2.into(), &"25.50".into()));
    assert_eq!(rig.balance(&card), "125.50");
    let sums = batch(&rig, &card, 0);
    assert_eq!((&sums["loaded"], &sums["earlier"]), (&2.into(), &2.into()));
    // Half a line of a process that was killed: nothing followed from it.
    let journal = rig.text("batch.csv.journal");
    rig.file("batch.csv.journal", &format!("{journal}{{\"what\":\"intent\",\"refer"));
    batch(&rig, &card, 0);
    assert_eq!(
        (rig.text("batch.csv.journal"), rig.balance(&card)),
        (journal.clone(), "125.50".into())
    );
    let changed = rig.text("batch.csv").replace("20.00", "21.00");
    rig.file("batch.csv", &changed);
    rig.refused(&card, &BATCH, 2, &["was begun as 20.00", "the batch says otherwise; no money"]);
    rig.file("batch.csv.journal", &journal.replacen("loaded", "unloaded", 1));
    rig.refused(&card, &BATCH, 1, &["line 2 is not what was written there; no money has moved"]);
}

/// What a card holds instead of what it must stands beside the entry that it was loaded by.
#[test]
fn a_card_that_reckons_wrongly_is_told() {
    let rig = STBCAM.rig("kiosk-wrong");
    let fault = Some(Fault::WrongSubtraction);
    let card = rig.insert_faulty("card", Reader::Phoenix, "", fault);
    let objects = rig.objects(&card, &BATCH, &format!("{PIN}\n"), 0);
    let entry = find(&objects, "entry").unwrap();
    assert_eq!((&entry["outcome"], &entry["after"]), (&"loaded".into(), &"120.00".into()));
    assert!(entry["why"].as_str().unwrap_or_default().contains("holds 119.99"), "{entry}");
}

/// The answer to a CREDIT of the batch is lost, and the process with it.
#[test]
fn a_killed_kiosk_finds_out() {
    for (name, fault, balance) in
        [("made", "delay 60000", "120.00"), ("not-made", "remove 60000", "100.00")]
    {
        let rig = STBCAM.rig(&format!("kiosk-killed-{name}"));
        // One activation to read the serial; SELECT, SELECT, VERIFY, INITIALIZE, CREDIT.
        let card = rig.insert("card", Reader::Phoenix, &format!("command 1/5 {fault}"));
        let mut arguments = BATCH.to_vec();
        arguments[5] = PIN;
        let mut kiosk = rig.spawn(&card, &arguments);
        let journal = rig.folder.join("batch.csv.journal");
        let credited = || {
            std::fs::read_to_string(&journal).is_ok_and(|text| text.ends_with("\"}\n"))
                && (fault != "delay 60000" || rig.status("card", "online_sequence") == 1)
        };
        rig.wait_until(credited);
        kiosk.kill().unwrap();
        kiosk.wait().unwrap();
        drop(card);
        let card = rig.serve();
        assert_eq!(rig.balance(&card), balance, "{name}");
        let objects = rig.objects(&card, &BATCH, &format!("{PIN}\n"), 0);
        let settled = find(&objects, "settled").unwrap();
        let outcome = if name == "made" { "made" } else { "not_made" };
        assert_eq!(settled["outcome"], outcome, "{objects:?}");
        let sums = find(&objects, "batch").unwrap();
        assert_eq!((&sums["loaded"], &sums["loaded_sum"]), (&2.into(), &"25.50".into()));
        assert_eq!(rig.balance(&card), "125.50", "{name}");
    }
}

#[test]
fn a_batch_that_is_not_done() {
    let rig = STBCAM.rig("kiosk-not-done");
    let card = rig.serve();
    let line = |serial: &str, amount: &str| format!("{serial},{amount},{amount}-{serial}\n");
    rig.file("batch.csv", &(line(SERIAL, "1.00") + &line("90000000000000004712", "2.00")));
    let sums = batch(&rig, &card, 1);
    assert_eq!((&sums["loaded"], &sums["waiting"]), (&1.into(), &1.into()));
    rig.file(
        "batch.toml",
        &format!("[[load]]\nserial = \"{SERIAL}\"\namount = \"2.00\"\nreference = \"a\"\n"),
    );
    let toml = ["wallet", "load", "--batch", "batch.toml", "--maximum", "102.99", "--pin", "-"];
    let objects = rig.objects(&card, &toml, &format!("{PIN}\n"), 3);
    let why = find(&objects, "entry").unwrap()["why"].as_str().unwrap().to_owned();
    assert!(why.contains("over the purse's maximum of 102.99; no money has moved"), "{why}");
    let objects = rig.objects(&card, &[&toml[..4], &toml[6..]].concat(), &format!("{PIN}\n"), 0);
    assert_eq!(find(&objects, "batch").unwrap()["loaded"], 1);
    for (text, parts) in [
        ("9000,1.00,a\n", &["line 1", "serial: 2 octets, expected 10"][..]),
        (&format!("{SERIAL},1.000,a\n"), &["line 1", "two decimals"]),
        (&format!("{SERIAL},-1,a\n"), &["line 1", "not negative"]),
        (&format!("{SERIAL},0,a\n"), &["line 1", "nothing to load"]),
        (&format!("{SERIAL},1\n"), &["line 1", "serial,amount,reference"]),
        (&format!("{SERIAL},1,a\n{SERIAL},2,a\n"), &["reference 'a'", "twice"]),
    ] {
        rig.file("batch.csv", text);
        rig.refused(&card, &BATCH, 2, &[parts, &["no money has moved"]].concat());
    }
    assert_eq!(rig.balance(&card), "103.00");
}

#[test]
fn a_journey_through_the_gates() {
    let rig = STBCAM.rig("gate");
    let card = rig.insert("card", Reader::Vpcd(Side::Contactless), "");
    let gate = |way, station| [&GATE[..], &[way, "--station", station, "--wait"]].concat();
    let shut = |way, station, parts: &[&str]| {
        rig.refused(&card, &gate(way, station), 3, &[parts, &["no money has moved"]].concat());
    };
    shut("exit", "1", &["exit without entry"]);
    let passed = rig.object(&card, &gate("entry", "1"), "passed");
    assert_eq!((&passed["way"], &passed["after"]), (&"entry".into(), &"100.00".into()));
    shut("entry", "2", &["inside since station 1"]);
    shut("exit", "20", &["no fare from station 1 to station 20"]);
    let passed = rig.object(&card, &gate("exit", "9"), "passed");
    assert_eq!((&passed["fare"], &passed["after"]), (&"12.00".into(), &"88.00".into()));
    rig.file("fares.toml", "[[band]]\nstops = 9\nfare = \"88.01\"\n");
    shut("entry", "1", &["balance 88.00 does not cover the fare of 88.01"]);
    for (text, part) in [
        ("", "no [[fare]] and no [[band]]"),
        ("[[band]]\nstops = 9\nfare = 2\n", "band 1.fare: expected text"),
        ("[[band]]\nstops = 9\nfare = \"2.001\"\n", "two decimals"),
        ("[[fare]]\nfrom = 1\nfare = \"2\"\n", "fare 1.to: is missing"),
        ("[[fare", "line 1 is not TOML"),
    ] {
        rig.file("fares.toml", text);
        rig.refused(&card, &gate("entry", "1"), 2, &["--fares", part, "no money has moved"]);
    }
}

/// A passage whose answer was lost for good: the traveller comes back, and pays once.
#[test]
fn a_lost_passage_is_settled_at_the_gate() {
    let rig = STBCAM.rig("gate-lost");
    let gate = |way, station| [&GATE[..], &[way, "--station", station]].concat();
    let card = rig.serve();
    rig.object(&card, &gate("entry", "1"), "passed");
    drop(card);
    // SELECT, READ RECORD, INITIALIZE, UPDATE, DEBIT.
    let mute: String = (2..=20).map(|reset| format!("command {reset}/1 mute\n")).collect();
    let card = rig.insert("card", Reader::Phoenix, &format!("command 1/5 mute\n{mute}"));
    rig.refused(
        &card,
        &gate("exit", "2"),
        4,
        &["compound purchase of 2.00", "money may have moved"],
    );
    drop(card);
    let card = rig.serve();
    let objects = rig.objects(&card, &gate("exit", "2"), "", 3);
    assert_eq!(objects[0]["outcome"], "made");
    assert!(objects[1]["error"].as_str().unwrap().contains("exit without entry"), "{objects:?}");
    assert_eq!(rig.balance(&card), "98.00");
}

#[test]
fn one_traveller_after_the_other() {
    let rig = STBCAM.rig("gate-loop");
    let card = rig.serve();
    let arguments =
        [&["--json"], &GATE[..], &["entry", "--station", "1", "--loop", "--trace", "trace"]]
            .concat();
    let mut gate = rig.spawn(&card, &arguments);
    let mut lines = BufReader::new(gate.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["event"], "passed");
    let failures = || rig.text("trace").matches("\"failed\"").count();
    for _ in 0..2 {
        let before = failures();
        rig.control("card", "remove");
        rig.wait_until(|| failures() > before);
        rig.control("card", "insert");
        let shut = next();
        assert!(shut["error"].as_str().unwrap().contains("inside since station 1"), "{shut}");
    }
    kill(Pid::from_raw(gate.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(gate.wait().unwrap().code(), Some(0));
}

#[test]
fn a_till_wants_the_pin_above_its_limit() {
    let rig = STBCAM.rig("till");
    let card = rig.serve();
    let paid = rig.object(&card, &["till", "--amount", "9.90"], "paid");
    assert_eq!((&paid["after"], &paid["mac2"]), (&"90.10".into(), &"right".into()));
    let parts = ["amount 60.00 is over 50.00: the PIN is wanted first; no money has moved"];
    rig.refused(&card, &["till", "--amount", "60.00"], 3, &parts);
    let paid = rig.object(&card, &["till", "--amount", "60.00", "--pin", "-"], "paid");
    assert_eq!(paid["after"], "30.10");
    // The card's own limit is lower than this till's.
    let parts = ["the PIN is wanted first (SW=6982); no money has moved"];
    rig.object(&card, &["wallet", "load", "--amount", "50.00", "--pin", "-"], "loaded");
    rig.refused(&card, &["till", "--amount", "60.00", "--pin-free", "80.00"], 3, &parts);
    let parts = ["over the limit of 10.00; no money has moved"];
    rig.refused(&card, &["till", "--amount", "10.01", "--limit", "10.00"], 3, &parts);
    let side = ["till", "--amount", "50.01", "--side", "contactless", "--pin", "-"];
    rig.refused(&card, &side, 3, &["insert the card", "no money has moved"]);
    drop(card);
    let card = rig.insert("card", Reader::Vpcd(Side::Contactless), "");
    let parts = ["insert the card, the PIN is wanted; no money has moved"];
    rig.refused(&card, &["till", "--wait", "--amount", "50.01", "--pin", "-"], 3, &parts);
    rig.object(&card, &["till", "--wait", "--amount", "5.00"], "paid");
}

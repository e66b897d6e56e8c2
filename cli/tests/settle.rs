// SPDX-License-Identifier: Apache-2.0
//! A transaction of which the card can tell no more: somebody else knows, and says so.
#![allow(clippy::unwrap_used, reason = "a test fails where its helpers do")]

use serde_json::Value;
use system_tests::slot::Served;
use system_tests::stbcam::{PIN, Reader, Rig, SERIAL, Stbcam, find};

const STBCAM: Stbcam =
    Stbcam { program: env!("CARGO_BIN_EXE_stbcam"), place: env!("CARGO_TARGET_TMPDIR") };

const PURCHASE: [&str; 4] = ["wallet", "purchase", "--amount", "1.00"];
const VERDICT: [&str; 7] = [
    "wallet",
    "settle",
    "--by",
    "Acquirer, desk 4",
    "--why",
    "in the clearing of 2026-12-01",
    "--json",
];

/// The program without card and terminal.
fn settle(rig: &Rig, more: &[&str], status: i32) -> (Vec<Value>, String) {
    let own = if more.is_empty() { &["wallet", "settle", "--json"][..] } else { &VERDICT };
    let arguments = [own, &["--keys", "keys.toml"], more].concat();
    let output = rig.command(&arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}{error}");
    (said.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), error)
}

/// A DEBIT whose answer was lost, and so many purchases elsewhere since.
fn moved_on(rig: &Rig, elsewhere: usize) -> Served {
    let mute: String = (2..=20).map(|reset| format!("command {reset}/1 mute\n")).collect();
    let card = rig.insert("card", Reader::Phoenix, &format!("command 1/3 mute\n{mute}"));
    rig.refused(&card, &PURCHASE, 4, &["put the card back, `stbcam wallet prove` asks it"]);
    drop(card);
    let card = rig.serve();
    for _ in 0..elsewhere {
        let other = ["wallet", "purchase", "--amount", "0.01", "--state", "elsewhere"];
        rig.object(&card, &other, "paid");
    }
    card
}

#[test]
fn no_card_is_locked_out_for_ever() {
    for (outcome, entered) in [("--made", "made"), ("--not-made", "not_made")] {
        let rig = STBCAM.rig(&format!("settle-{entered}"));
        let card = moved_on(&rig, 17);
        let hint = format!("stbcam wallet settle --serial {SERIAL}");
        for asked in [&PURCHASE[..], &["wallet", "prove"]] {
            let error = rig.refused(&card, asked, 4, &["made other transactions since", &hint]);
            assert!(!error.contains("put the card back"), "{error}");
        }
        let (listed, _) = settle(&rig, &[], 0);
        assert_eq!((&listed[0]["outcome"], &listed[0]["serial"]), (&"open".into(), &SERIAL.into()));
        let (settled, _) = settle(&rig, &["--serial", SERIAL, outcome], 0);
        assert_eq!(
            (&settled[0]["outcome"], &settled[0]["amount"]),
            (&entered.into(), &"1.00".into())
        );
        let by = settled[0]["settled_by"].as_str().unwrap();
        assert!(by.contains("Acquirer, desk 4") && by.contains("in the clearing"), "{by}");
        assert_eq!(rig.balance(&card), "98.83");
        let paid = rig.object(&card, &PURCHASE, "paid");
        assert_eq!(paid["after"], "97.83");
        // Who, why and when stay, beside what it was about.
        let state = std::fs::read_dir(rig.folder.join("stbcam-state")).unwrap();
        let names = state.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = names.filter(|name| name.starts_with("verdict-")).collect();
        let [name] = &names[..] else { panic!("{names:?}") };
        let kept: Value = serde_json::from_str(&rig.text(&format!("stbcam-state/{name}"))).unwrap();
        assert_eq!((&kept["outcome"], &kept["serial"]), (&entered.into(), &SERIAL.into()));
        assert_eq!((&kept["by"], &kept["amount"]), (&"Acquirer, desk 4".into(), &"1.00".into()));
        assert!(kept["entered"].as_str().unwrap().starts_with("20") && kept["why"].is_string());
        let (_, error) = settle(&rig, &["--serial", SERIAL, outcome], 2);
        assert!(error.contains("nothing is open with card"), "{error}");
    }
}

/// What is said of a card that has only lost its log's record of it is what was seen.
#[test]
fn a_card_that_can_still_tell_is_asked() {
    let rig = STBCAM.rig("settle-can-tell");
    let card = moved_on(&rig, 2);
    let objects = rig.objects(&card, &["wallet", "prove"], "", 0);
    assert_eq!(find(&objects, "settled").unwrap()["outcome"], "made");
    let (listed, _) = settle(&rig, &[], 0);
    assert!(listed[0]["note"].as_str().unwrap().contains("nothing is open"), "{listed:?}");
}

/// A load whose answer was lost, and all of it spent elsewhere: the balance is the one before, and
/// the log has forgotten the load. A kiosk that took that for "not made" would give it twice.
#[test]
fn a_load_that_was_spent_is_not_given_twice() {
    let rig = STBCAM.rig("settle-spent");
    let mute: String = (2..=20).map(|reset| format!("command {reset}/1 mute\n")).collect();
    // SELECT, VERIFY, INITIALIZE, CREDIT.
    let card = rig.insert("card", Reader::Phoenix, &format!("command 1/4 mute\n{mute}"));
    let load = ["wallet", "load", "--amount", "1.70", "--pin", "-"];
    rig.refused(&card, &load, 4, &["is not settled"]);
    drop(card);
    let card = rig.serve();
    for _ in 0..17 {
        let other = ["wallet", "purchase", "--amount", "0.10", "--state", "elsewhere"];
        rig.object(&card, &other, "paid");
    }
    assert_eq!(rig.balance(&card), "100.00");
    rig.refused(&card, &load, 4, &["made other transactions since", "settle --serial"]);
    settle(&rig, &["--serial", SERIAL, "--made"], 0);
    assert_eq!(rig.object(&card, &load, "loaded")["after"], "101.70");
}

#[test]
fn a_verdict_names_what_it_is_about() {
    let rig = STBCAM.rig("settle-refused");
    drop(moved_on(&rig, 0));
    let open = format!("there is {SERIAL}");
    let refused: [(&[&str], &str); 6] = [
        (&["--serial", "90000000000000004712", "--made"], &open),
        (&["--serial", "9000", "--made"], "2 octets, expected 10"),
        (&["--made"], "--serial"),
        (&["--serial", SERIAL, "--made", "--not-made"], "cannot be used with"),
        (&["--serial", SERIAL, "--made", "--why", " "], "--why"),
        (
            &["--serial", SERIAL, "--made", "--why", "key 00112233445566778899AABBCCDDEEFF"],
            "looks like a key",
        ),
    ];
    for (more, part) in refused {
        // A later --why takes the place of the first.
        let own: Vec<&str> = match more.contains(&"--why") {
            true => ["wallet", "settle", "--by", "me"].to_vec(),
            false => VERDICT.to_vec(),
        };
        let arguments = [&own[..], &["--keys", "keys.toml"], more].concat();
        let output = rig.command(&arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {error}");
        assert!(error.contains(part), "{more:?}: {error}");
        assert!(!error.contains("00112233445566778899"), "{error}");
    }
    let arguments = ["wallet", "settle", "--serial", SERIAL, "--made", "--keys", "keys.toml"];
    let output = rig.command(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(rig.folder.join(format!("stbcam-state/unsettled-{SERIAL}")).exists());
}

/// An entry of a batch, too: its journal has who and why.
#[test]
fn an_entry_of_a_batch_is_settled_by_a_verdict() {
    let rig = STBCAM.rig("settle-batch");
    let mute: String = (2..=20).map(|reset| format!("command {reset}/1 mute\n")).collect();
    // SELECT for the serial; SELECT, VERIFY, INITIALIZE, CREDIT.
    let card = rig.insert("card", Reader::Phoenix, &format!("command 1/5 mute\n{mute}"));
    let batch = ["wallet", "load", "--batch", "batch.csv", "--pin", "-"];
    rig.objects(&card, &batch, &format!("{PIN}\n"), 4);
    drop(card);
    let card = rig.serve();
    for _ in 0..17 {
        let other = ["wallet", "purchase", "--amount", "0.01", "--state", "elsewhere"];
        rig.object(&card, &other, "paid");
    }
    let objects = rig.objects(&card, &batch, &format!("{PIN}\n"), 4);
    let entry = find(&objects, "entry").unwrap();
    let reference = entry["reference"].as_str().unwrap();
    let hint = format!("settle --batch batch.csv --reference {reference}");
    assert!(entry["why"].as_str().unwrap().contains(&hint), "{entry}");
    let (_, error) = settle(&rig, &["--batch", "batch.csv", "--reference", "none", "--made"], 2);
    assert!(error.contains(reference), "{error}");
    settle(&rig, &["--batch", "batch.csv", "--reference", reference, "--made"], 0);
    assert!(rig.text("batch.csv.journal").contains("Acquirer, desk 4"));
    let objects = rig.objects(&card, &batch, &format!("{PIN}\n"), 0);
    let sums = find(&objects, "batch").unwrap();
    assert_eq!((&sums["loaded"], &sums["earlier"]), (&2.into(), &1.into()));
}

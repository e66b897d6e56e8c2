// SPDX-License-Identifier: Apache-2.0
//! The money commands as somebody at the bench meets them, with cards of the demo's kind.
#![allow(clippy::unwrap_used, reason = "a test fails where its helpers do")]

use system_tests::stbcam::{PIN, PSAM, Reader, SERIAL, Stbcam, TERMINAL, find};
use vcard::Fault;
use vreader::inserted::Side;

const STBCAM: Stbcam =
    Stbcam { program: env!("CARGO_BIN_EXE_stbcam"), place: env!("CARGO_TARGET_TMPDIR") };

#[test]
fn money_over_every_reader() {
    for (name, reader, pin) in [
        ("phoenix", Reader::Phoenix, &["--pin", "-"][..]),
        ("vpcd-contact", Reader::Vpcd(Side::Contact), &["--pin", "-"]),
        ("vpcd-contactless", Reader::Vpcd(Side::Contactless), &[]),
    ] {
        let rig = STBCAM.rig(&format!("wallet-{name}"));
        let card = rig.insert("card", reader, "");
        let wait = &["--wait", "--datetime", "2026-11-27T08:30:00"][..];
        let run = |arguments: &[&str], event| rig.object(&card, &[arguments, wait].concat(), event);
        let loaded = run(&[&["wallet", "load", "--amount", "20.5"], pin].concat(), "loaded");
        assert_eq!((&loaded["before"], &loaded["after"]), (&"100.00".into(), &"120.50".into()));
        assert_eq!((&loaded["tac_check"], &loaded["serial"]), (&"right".into(), &SERIAL.into()));
        let paid = run(&["wallet", "purchase", "--amount", "12.34"], "paid");
        assert_eq!((&paid["before"], &paid["after"]), (&"120.50".into(), &"108.16".into()));
        assert_eq!((&paid["mac2"], &paid["tac_check"]), (&"right".into(), &"right".into()));
        assert_eq!((&paid["terminal_sequence"], &paid["card_sequence"]), (&1.into(), &0.into()));
        assert_eq!((&paid["date"], &paid["time"]), (&"2026-11-27".into(), &"08:30:00".into()));
        let record = "221000112233445566778899AABBCCDDEEFF";
        let capp = ["wallet", "capp", "--amount", "0.00", "--record", record];
        let paid = run(&capp, "paid");
        assert_eq!(
            (&paid["kind"], &paid["after"]),
            (&"compound purchase".into(), &"108.16".into())
        );
        let proof = run(&["wallet", "prove", "--sequence", "2", "--type", "09"], "proven");
        assert_eq!(proof["tac"], paid["tac"]);
        let shown = run(&["wallet", "purchase", "--amount", "0.01"], "shown");
        assert_eq!(shown["shown"], "log under the number after the transaction");
        let note = run(&["wallet", "prove"], "note");
        assert!(note["note"].as_str().unwrap().starts_with("nothing to settle"));
        let arguments = ["--json", "wallet", "log", "--wait", "--reader", &card.url];
        let log = rig.command(&arguments).output().unwrap().stdout;
        let log = String::from_utf8(log).unwrap();
        let log: Vec<serde_json::Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<_> = log.iter().map(|record| record["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["purchase", "compound purchase", "purchase", "load"]);
        assert_eq!((&log[3]["amount"], &log[3]["terminal"]), (&"20.50".into(), &TERMINAL.into()));
    }
}

/// The answer to a commit is lost, before or after the card has carried it out: the card tells
/// which.
#[test]
fn a_lost_answer_is_settled_at_once() {
    // SELECT, INITIALIZE, DEBIT; for a load VERIFY behind SELECT.
    for (what, number, event) in [("purchase", 3, "paid"), ("load", 4, "loaded")] {
        let rig = STBCAM.rig(&format!("wallet-lost-{what}"));
        let arguments = ["wallet", what, "--amount", "1.00"];
        let pin = if what == "load" { &["--pin", PIN][..] } else { &[] };
        let arguments = [&arguments[..], pin].concat();
        let after = if what == "load" { "101.00" } else { "99.00" };
        let card = rig.insert("card", Reader::Phoenix, &format!("command 1/{number} remove 1"));
        let error = rig.refused(&card, &arguments, 1, &["answer to the", "was lost"]);
        assert!(error.ends_with("no money has moved\n"), "{error}");
        assert_eq!(rig.balance(&card), "100.00");
        drop(card);
        let card = rig.insert("card", Reader::Phoenix, &format!("command 1/{number} mute"));
        let made = rig.object(&card, &arguments, event);
        assert_eq!((&made["after"], &made["tac_check"]), (&after.into(), &"right".into()));
        assert_eq!(made["settled_by"], "a proof under the number after the transaction");
        assert_eq!(rig.balance(&card), after);
    }
}

/// Silence until the program gives up: the next run finds out, and nothing is paid twice.
/// A card whose codes are right and whose balance is not: that is told beside the receipt, also
/// where the card had to be asked what became of it.
#[test]
fn a_card_that_reckons_wrongly_is_told() {
    for (name, script, settled) in [("answered", "", false), ("lost", "command 1/3 mute", true)] {
        let rig = STBCAM.rig(&format!("wallet-wrong-{name}"));
        let fault = Some(Fault::WrongSubtraction);
        let card = rig.insert_faulty("card", Reader::Phoenix, script, fault);
        let paid = rig.object(&card, &["wallet", "purchase", "--amount", "1.00"], "paid");
        assert_eq!(!paid["settled_by"].is_null(), settled, "{paid}");
        assert_eq!((&paid["after"], &paid["tac_check"]), (&"99.00".into(), &"right".into()));
        assert_eq!((&paid["balance_check"], &paid["held"]), (&"wrong".into(), &"98.99".into()));
    }
}

#[test]
fn what_is_not_settled_survives() {
    for carried_out in [true, false] {
        let rig = STBCAM.rig(&format!("wallet-open-{carried_out}"));
        let commit = if carried_out { "mute" } else { "remove 1" };
        let mute: String = (2..=20).map(|reset| format!("command {reset}/1 mute\n")).collect();
        let script = format!("command 1/3 {commit}\n{mute}");
        let card = rig.insert("card", Reader::Phoenix, &script);
        let purchase = ["wallet", "purchase", "--amount", "1.00"];
        let parts = ["purchase of 1.00", "not settled, money may have moved", "wallet prove"];
        rig.refused(&card, &purchase, 4, &parts);
        drop(card);
        let unsettled = rig.folder.join(format!("stbcam-state/unsettled-{SERIAL}"));
        assert_eq!(std::fs::read(&unsettled).unwrap().len(), 29);
        let card = rig.serve();
        let objects = rig.objects(&card, &purchase, "", 5);
        let settled = find(&objects, "settled").unwrap();
        let (outcome, balance) =
            if carried_out { ("made", "99.00") } else { ("not_made", "100.00") };
        assert_eq!((&settled["outcome"], &settled["amount"]), (&outcome.into(), &"1.00".into()));
        assert!(objects[1]["error"].as_str().unwrap().contains("no money has moved by it"));
        assert_eq!(rig.balance(&card), balance);
        assert!(!unsettled.exists());
        let note = rig.object(&card, &["wallet", "prove"], "note");
        assert!(note["note"].as_str().unwrap().contains("nothing to settle"));
        // The number of the lost one is a gap.
        let paid = rig.object(&card, &purchase, "paid");
        assert_eq!(paid["terminal_sequence"], 2);
    }
}

#[test]
fn prove_settles_without_another_purchase() {
    let rig = STBCAM.rig("wallet-prove");
    let mute: String = (2..=20).map(|reset| format!("command {reset}/1 mute\n")).collect();
    let card = rig.insert("card", Reader::Phoenix, &format!("command 1/3 mute\n{mute}"));
    rig.refused(&card, &["wallet", "purchase", "--amount", "1.00"], 4, &[]);
    drop(card);
    // Another card knows nothing of it.
    rig.personalise("other", &system_tests::stbcam::CARD.replace(SERIAL, "90000000000000004712"));
    let other = rig.insert("other", Reader::Phoenix, "");
    rig.object(&other, &["wallet", "prove"], "note");
    drop(other);
    let card = rig.serve();
    let objects = rig.objects(&card, &["wallet", "prove"], "", 0);
    assert_eq!(objects[0]["outcome"], "made");
    assert_eq!(
        (&objects[0]["after"], &objects[0]["terminal_sequence"]),
        (&"99.00".into(), &1.into())
    );
    let shown = "proof under the number after the transaction; proof with its MAC";
    assert_eq!(objects[1]["shown"], shown);
}

#[test]
fn a_psam_at_a_second_reader() {
    let rig = STBCAM.rig("wallet-psam");
    rig.personalise("psam", PSAM);
    let (card, psam) = (rig.serve(), rig.insert("psam", Reader::Phoenix, ""));
    let url = psam.url.clone();
    let run = |more: &[&str]| {
        let arguments =
            ["--json", "wallet", "purchase", "--amount", "12.34", "--reader", &card.url];
        let own = ["--psam", &url, "--state", "state"];
        rig.command(&[&arguments[..], &own, more].concat()).output().unwrap()
    };
    let paid: serde_json::Value =
        serde_json::from_slice(run(&[]).stdout.split(|octet| *octet == b'\n').next().unwrap())
            .unwrap();
    assert_eq!((&paid["after"], &paid["mac2"]), (&"87.66".into(), &"right".into()));
    assert_eq!((&paid["terminal"], &paid["tac_check"]), (&TERMINAL.into(), &"no_key".into()));
    let output = run(&["--terminal", "AABBCCDDEEFF"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("the PSAM is terminal 001122334455; no money has moved"), "{error}");
    drop(psam);
    // A module without the card's key.
    rig.personalise("psam", &PSAM.replacen("version = 1", "version = 9", 1));
    let psam = rig.insert("psam", Reader::Phoenix, "");
    let error = String::from_utf8(run(&[]).stderr).unwrap();
    assert!(error.contains("secure module has no purchase key 01"), "{error}");
    assert!(error.ends_with("no money has moved\n"), "{error}");
    drop(psam);
    let error = String::from_utf8(run(&[]).stderr).unwrap();
    assert!(error.contains("no money has moved") || error.contains("no such file"), "{error}");
    assert_eq!(rig.balance(&card), "87.66");
}

#[test]
fn a_terminals_number_is_used_once() {
    let rig = STBCAM.rig("wallet-number");
    let card = rig.serve();
    let purchase = |more: &[&str]| {
        let arguments = [&["wallet", "purchase", "--amount", "0.01"], more].concat();
        rig.object(&card, &arguments, "paid")["terminal_sequence"].as_u64().unwrap()
    };
    assert_eq!((purchase(&[]), purchase(&[]), purchase(&["--term-seq", "70000"])), (1, 2, 70_000));
    assert_eq!(purchase(&[]), 70_001);
    let again = ["wallet", "purchase", "--amount", "0.01", "--term-seq", "70000"];
    rig.refused(&card, &again, 2, &["has used numbers up to 70001", "no money has moved"]);
    assert_eq!(purchase(&["--term-seq", "4294967295"]), 4_294_967_295);
    let purchase = ["wallet", "purchase", "--amount", "0.01"];
    rig.refused(&card, &purchase, 3, &["has used up its sequence", "no money has moved"]);
    rig.file(&format!("stbcam-state/sequence-{TERMINAL}"), "many");
    rig.refused(&card, &purchase, 1, &["not what was written there", "no money has moved"]);
    let lock = std::fs::File::open(rig.folder.join("stbcam-state")).unwrap();
    lock.lock().unwrap();
    rig.refused(&card, &purchase, 1, &["another context or process uses it", "no money has moved"]);
}

/// No output, trace or error has the PIN or a key in it.
#[test]
fn secrets_stay_secret() {
    let rig = STBCAM.rig("wallet-secrets");
    let card = rig.serve();
    let mut said = Vec::new();
    for arguments in [
        &["wallet", "load", "--amount", "1.00", "--pin", PIN][..],
        &["wallet", "load", "--amount", "1.00", "--pin", "-"],
        &["wallet", "purchase", "--amount", "60.00", "--pin", "-"],
        &["till", "--amount", "20.00"],
        &["wallet", "load", "--amount", "1.00", "--pin", "11119999"],
        &["wallet", "load", "--amount", "1.00", "--pin", "4096271x"],
        &["wallet", "pin-change", "--pin", PIN, "--new-pin", "11119999"],
    ] {
        for json in [&[][..], &["--json"]] {
            let arguments = [json, arguments, &["--trace", "-"]].concat();
            let output = match arguments.contains(&"pin-change") {
                true => {
                    let own = ["--reader", &card.url];
                    rig.command(&[&arguments[..], &own].concat()).output().unwrap()
                }
                false => rig.typing(&card, &arguments, &format!("{PIN}\n")),
            };
            said.extend(output.stdout);
            said.extend(output.stderr);
        }
    }
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("> 00 20 00 00 04 .. .. .. .."), "{said}");
    assert!(said.contains("> 80 5E 01 00 09 .. .. .. .. .. .. .. .. .."), "{said}");
    assert!(said.contains("wrong PIN") && said.contains("decimal digits only"), "{said}");
    let plain: String =
        said.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    let keys = rig.text("keys.toml");
    let keys = keys.split('"').filter(|text| text.len() == 32);
    for secret in keys.chain([PIN, "11119999", "4096271x"]) {
        assert!(!plain.contains(&secret.to_lowercase()), "a secret is there");
    }
}

/// City cards log their loads in the file 1A, and only there.
#[test]
fn loads_that_are_logged_apart_are_shown() {
    let rig = STBCAM.rig("wallet-loads");
    let load = "0004 000000 000007D0 02 001122334455 20261201 080000".replace(' ', "");
    let file = format!("\n[[purse.record]]\nsfi = 0x1A\ncontent = \"{load}\"\n");
    rig.personalise("card", &format!("{}{file}", system_tests::stbcam::CARD));
    let card = rig.serve();
    rig.object(&card, &["wallet", "purchase", "--amount", "1.00"], "paid");
    let output = rig.command(&["--json", "wallet", "log", "--reader", &card.url]).output().unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    let log: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = log.iter().map(|record| (&record["file"], &record["kind"])).collect();
    assert_eq!(said, [(&"18".into(), &"purchase".into()), (&"1A".into(), &"load".into())]);
    assert_eq!((&log[1]["amount"], &log[1]["sequence"]), (&"20.00".into(), &4.into()));
}

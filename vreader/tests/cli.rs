// SPDX-License-Identifier: Apache-2.0
//! The command line: what it says and how it ends.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

fn vcard(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vcard")).args(args).output().expect("vcard runs")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).expect("vcard speaks UTF-8")
}

#[test]
fn help_names_every_command_option_and_fault() {
    let help = vcard(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = text(&help.stdout);
    for part in [
        "demo --out",
        "personalise",
        "serve",
        "inspect",
        "cut before-commit",
        "remove",
        "unplug",
        "plug",
        "quit",
    ] {
        assert!(help.contains(part), "{part}");
    }
    for fault in vcard::Fault::ALL {
        assert!(help.contains(fault.name()) && help.contains(fault.about()), "{fault}");
    }
    assert!(help.contains(vreader::script::GRAMMAR));
    let help = text(&vcard(&["serve", "--help"]).stdout);
    for option in [
        "memory",
        "link",
        "line",
        "vpcd",
        "slot",
        "protocol",
        "atr",
        "ta1",
        "specific",
        "guard",
        "wi",
        "ifsc",
        "bwi",
        "cwi",
        "edc",
        "historical",
        "convention",
        "chaining",
        "clock",
        "pace",
        "record",
        "control",
        "script",
        "fault",
    ] {
        assert!(help.contains(&format!("--{option}")), "{option}");
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    let table: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["serve"], "--memory"),
        (&["serve", "--memory", "x", "--fault", "nonsense"], "double-debit"),
        (&["serve", "--memory", "x", "--clock", "99"], "1000000"),
        (&["serve", "--memory", "x", "--slot", "contactless"], "--vpcd"),
        (&["serve", "--memory", "x", "--vpcd", "x:1", "--link", "y"], "cannot be used with"),
        (&["serve", "--memory", "x", "--atr", "3B0"], "pairs of hexadecimal digits"),
        (&["serve", "--memory", "x", "--atr", "3B00", "--bwi", "1"], "cannot be used with"),
        (&["serve", "--memory", "x", "--ifsc", "255"], "254"),
        (&["personalise", "--memory", "x"], "--from"),
    ];
    for (args, named) in table {
        let output = vcard(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let error = text(&output.stderr);
        assert!(error.contains(named), "{args:?}: {error}");
    }
}

#[test]
fn a_failure_is_1_and_names_the_file() {
    for args in [
        &["serve", "--memory", "/nonexistent/card.nvm"][..],
        &["inspect", "--memory", "/nonexistent/card.nvm"],
        &["personalise", "--from", "/nonexistent/card.nvm", "--memory", "x"],
    ] {
        let output = vcard(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let error = text(&output.stderr);
        assert!(error.contains("/nonexistent/card.nvm"), "{args:?}: {error}");
    }
}

#[test]
fn options_that_do_not_go_together_are_named() {
    let folder = std::env::temp_dir().join(format!("vcard-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let script = folder.join("script");
    std::fs::write(&script, "# one\ncard 3 loose\n").expect("a file");
    let script = script.to_str().expect("UTF-8");
    let table: &[(&[&str], &str)] = &[
        (&["--protocol", "t0", "--ifsc", "32"], "--ifsc is a matter of --protocol t1"),
        (&["--wi", "3"], "--wi is a matter of --protocol t0"),
        (&["--historical", "00112233445566778899AABBCCDDEEFF"], "16 octets, at most 15"),
        (&["--script", script], "script: line 2: unknown fault \"loose\""),
        (&["--script", "/nonexistent/script"], "/nonexistent/script"),
    ];
    for (options, named) in table {
        let output = vcard(&[&["serve", "--memory", "x"], *options].concat());
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        let error = text(&output.stderr);
        assert!(error.contains(named), "{options:?}: {error}");
    }
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

/// One command gives a card to talk to: paired, with the box's half, and nothing is written over.
#[test]
fn demo_makes_a_paired_card_and_the_boxs_half() {
    let folder = std::env::temp_dir().join(format!("vcard-demo-{}", std::process::id()));
    let out = folder.join("new").to_str().expect("UTF-8").to_owned();
    let made = vcard(&["demo", "--out", &out]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let said = text(&made.stdout);
    for part in ["vcard serve --memory", "player --reader serial:", "/state", "/box.txt"] {
        assert!(said.contains(part), "{said}");
    }
    let card = text(&vcard(&["inspect", "--memory", &format!("{out}/card.nvm")]).stdout);
    assert!(card.contains("pairings: 1"), "{card}");

    let keys = std::fs::read_to_string(format!("{out}/box.txt")).expect("the box's keys");
    let names: Vec<_> = keys.lines().filter_map(|line| line.split_once(' ')).collect();
    let [("stb_id", id), ("box_key", key), ("ladder_key", root)] = names[..] else {
        panic!("{} lines", names.len());
    };
    assert_eq!((id.len(), key.len(), root.len()), (16, 32, 32));
    let pairing = format!("{out}/state/pairing.0");
    assert_eq!(std::fs::read(&pairing).expect("the box's half").first(), Some(&0x8A));
    for secret in [&pairing, &format!("{out}/box.txt"), &format!("{out}/card.nvm")] {
        let mode = std::fs::metadata(secret).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }

    let again = vcard(&["demo", "--out", &out]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("card.nvm: is there already"), "{}", text(&again.stderr));
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

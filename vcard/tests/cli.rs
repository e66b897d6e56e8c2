//! The command line: what it says and how it ends.

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
    for word in ["personalise", "serve", "inspect", "cut before-commit", "remove", "quit"] {
        assert!(help.contains(word), "{word}");
    }
    for fault in vcard::Fault::ALL {
        assert!(help.contains(fault.name()) && help.contains(fault.about()), "{fault}");
    }
    let help = text(&vcard(&["serve", "--help"]).stdout);
    for option in ["memory", "link", "protocol", "clock", "pace", "record", "control", "fault"] {
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

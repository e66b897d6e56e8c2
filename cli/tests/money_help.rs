// SPDX-License-Identifier: Apache-2.0
//! The examples of the money commands' help, typed as they stand there.
#![allow(clippy::unwrap_used, reason = "a test fails where its helpers do")]

use std::io::Write as _;
use std::process::Stdio;
use system_tests::stbcam::{PIN, PSAM, Reader, Stbcam};

const STBCAM: Stbcam =
    Stbcam { program: env!("CARGO_BIN_EXE_stbcam"), place: env!("CARGO_TARGET_TMPDIR") };

#[test]
fn examples_work_as_they_stand_there() {
    let rig = STBCAM.rig("target-of-help");
    let inner = rig.folder.join("target");
    std::fs::create_dir(&inner).unwrap();
    std::os::unix::fs::symlink(&rig.folder, inner.join("bench")).unwrap();
    rig.personalise("psam", PSAM);
    let _card = rig.serve();
    let _psam = rig.insert("psam", Reader::Phoenix, "");
    let mut typed = 0;
    for command in [
        &["wallet"][..],
        &["wallet", "load"],
        &["wallet", "purchase"],
        &["wallet", "capp"],
        &["wallet", "prove"],
        &["gate"],
        &["till"],
    ] {
        let help = rig.command(&[command, &["--help"]].concat()).output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap().replace("\\\n", " ");
        let examples = help.lines().filter(|line| line.trim_start().starts_with("stbcam "));
        // The antenna is `wallet.rs`'s business.
        for example in examples.filter(|line| line.contains(" --reader serial:")) {
            let arguments: Vec<&str> = example.split_whitespace().skip(1).collect();
            let mut child = rig.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
            let _ = writeln!(child.stdin.take().unwrap(), "{PIN}");
            assert_eq!(child.wait().unwrap().code(), Some(0), "{example}");
            typed += 1;
        }
    }
    assert!(typed >= 12, "{typed} examples");
}

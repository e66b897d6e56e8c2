// SPDX-License-Identifier: Apache-2.0
//! A refusal takes the same instructions wherever what was presented is wrong.
//!
//! Callgrind counts (Debian's `valgrind`; `make tools` installs it). The program `refusals`
//! presents and says what, callgrind writes a file for each presentation.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const PRESENTED: &str = "refusals::attempts::presented";

/// The instructions of each counted presentation, by kind, in the order of the places.
fn counted() -> BTreeMap<String, Vec<u64>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("constant-time");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let told = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", folder.join("counts").display()))
        .args([format!("--toggle-collect={PRESENTED}"), format!("--dump-after={PRESENTED}")])
        .args([env!("CARGO_BIN_EXE_refusals"), "once"])
        .output()
        .unwrap_or_else(|error| panic!("valgrind: {error}; install Debian's package valgrind"));
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut kinds = BTreeMap::<String, Vec<u64>>::new();
    for (line, number) in String::from_utf8(told.stdout).unwrap().lines().zip(1..) {
        let (kind, what) = line.split_once('\t').unwrap();
        if what != "counted" {
            continue;
        }
        let file = fs::read_to_string(folder.join(format!("counts.{number}"))).unwrap();
        let total = file.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
        kinds.entry(kind.to_owned()).or_default().push(total.parse().unwrap());
    }
    kinds
}

/// T26: no refusal tells where a tag, a cryptogram, a MAC, a receipt or a PIN begins to be wrong.
#[test]
fn a_refusal_takes_as_long_wherever_it_is_wrong() {
    let mut kinds = counted();
    let planted = kinds.remove("planted: an early exit").unwrap();
    assert!(
        planted.windows(2).all(|pair| pair[0] < pair[1]),
        "an exit at the first difference is not found: {planted:?}"
    );
    // Here to be looked at: what it costs is the C library's affair.
    kinds.remove("planted: == of slices").unwrap();
    assert_eq!(kinds.len(), 20, "{:?}", kinds.keys());
    let uneven: Vec<_> = kinds
        .iter()
        .filter(|(_, counts)| counts.len() < 4 || counts.iter().any(|count| *count != counts[0]))
        .collect();
    assert!(uneven.is_empty(), "{uneven:#?}");
}

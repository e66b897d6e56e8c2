// SPDX-License-Identifier: Apache-2.0
//! `include/stbcam.hpp` is written by hand: nothing of the C header may be missing from it.

use std::fs;
use std::path::PathBuf;

/// What is C's business alone: the guard, and how a function is exported.
const OF_C: &[&str] = &["STBCAM_H", "STBCAM_API"];

fn text(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c| !is_of_name(c)).filter(|word| !word.is_empty()).collect()
}

/// `STBCAM_REASON_NO_KEY` is `NoKey` where its family is `REASON`: the words behind the family.
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{first}{}", rest.to_ascii_lowercase())
    };
    name.split('_').map(word).collect()
}

#[test]
fn every_number_is_there() {
    let (header, enums, classes) =
        (text("include/stbcam.h"), text("include/stbcam-enums.hpp"), text("include/stbcam.hpp"));
    let there = [words(&enums), words(&classes)].concat();
    let missing: Vec<_> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define "))
        .filter_map(|rest| rest.split_whitespace().next())
        .filter(|name| !OF_C.contains(name) && !there.contains(name))
        .collect();
    assert!(missing.is_empty(), "not in include/stbcam-enums.hpp: {missing:?}");
}

/// One that is gone from the C header does not compile; one under another's name would.
#[test]
fn every_enumerator_has_the_name_of_its_number() {
    let enums = text("include/stbcam-enums.hpp");
    let mut seen = 0;
    for line in enums.lines() {
        let Some((name, number)) = line.trim().trim_end_matches(',').split_once(" = STBCAM_")
        else {
            continue;
        };
        seen += 1;
        assert!(camel(number).ends_with(name), "{name} stands for STBCAM_{number}");
    }
    assert!(seen > 100, "{seen} enumerators");
}

#[test]
fn every_function_is_called() {
    let map = text("ffi/stbcam.map");
    let classes = text("include/stbcam.hpp");
    let functions = map
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';'))
        .filter(|name| name.starts_with("stbcam_"));
    let missing: Vec<_> = functions.filter(|name| !classes.contains(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "not called in include/stbcam.hpp: {missing:?}");
}

//! `include/stbcam.h` is generated from this crate, group by group, so that it reads like a
//! manual; it is committed, and this test fails when it is stale. To write it:
//!
//!     STBCAM_WRITE_HEADER=1 cargo test -p stbcam-ffi --test header

use std::fs;
use std::path::{Path, PathBuf};

/// The files of the header's groups, in their order.
const GROUPS: &[&str] = &[
    "version",
    "result",
    "types",
    "host",
    "config",
    "stream",
    "event",
    "access",
    "reason",
    "subscriber",
    "money",
    "soft",
    "operation",
    "report",
];

const OPENING: &str = "\
/*
 * stbcam: conditional access for set-top boxes.
 *
 * This header is the manual of libstbcam. It is generated from the library's source (crate ffi); do
 * not edit it. The wider picture, the events' payload and the table of readers are in
 * docs/spec/abi.md; examples/c/player.c is a whole box.
 *
 * Everywhere:
 *  - A function that can be refused returns a result, 0 or below 0; stbcam_last_error() has the
 *    details. NULL, a stale handle, a wrong size or a wrong order is refused, never undefined.
 *  - The caller sets struct_size of every structure that it hands in, also of those that are
 *    filled. Zero what you do not set.
 *  - Nothing that the library returns is freed by the caller, unless its comment says so.
 *  - A process that was forked from one that uses the library must not use it.
 *
 * C99, C11, C++11 and later.
 */
#ifndef STBCAM_H
#define STBCAM_H

#include <stddef.h>
#include <stdint.h>

#ifndef STBCAM_API
#if defined(__GNUC__)
#define STBCAM_API __attribute__((visibility(\"default\")))
#else
#define STBCAM_API
#endif
#endif

#ifdef __cplusplus
extern \"C\" {
#endif
";

const ENDING: &str = "
#ifdef __cplusplus
}
#endif

#endif /* STBCAM_H */
";

fn crate_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The words at the top of a group: its module's documentation.
fn introduction(source: &str) -> String {
    let lines: Vec<_> = source
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    let title = lines.first().copied().unwrap_or_default();
    let mut comment =
        format!("\n/* ---- {title} {}\n", "-".repeat(90_usize.saturating_sub(title.len())));
    for line in lines.iter().skip(1) {
        comment.push_str(format!(" * {}", line.replace('`', "")).trim_end());
        comment.push('\n');
    }
    comment.push_str(" */\n");
    comment
}

fn group(name: &str, config: &cbindgen::Config) -> String {
    let path = crate_dir().join("src").join(format!("{name}.rs"));
    let source = fs::read_to_string(&path).expect("every group is a file");
    let mut config = config.clone();
    config.export.include = types(&source);
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(&path)
        .generate()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut written = Vec::new();
    bindings.write(&mut written);
    let body = String::from_utf8(written).expect("the source is UTF-8");
    format!("{}\n{}\n", introduction(&source), tidied(body.trim()))
}

/// The types of a file. cbindgen would leave out those that none of its functions uses.
fn types(source: &str) -> Vec<String> {
    let public = source.lines().filter_map(|line| {
        line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub type "))
    });
    let name = |rest: &str| rest.split([' ', '{', '=', '(']).next().unwrap_or_default().to_owned();
    public.map(name).collect()
}

/// A comment of one line on one line, numbers close together, Rust's marks taken off.
fn tidied(body: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in body.replace('`', "").lines() {
        let line = line.replace("* # Safety", "* The caller promises:");
        let indent = line.len() - line.trim_start().len();
        if line.trim() == "*/" && lines.iter().rev().nth(1).is_some_and(|open| open.trim() == "/**")
        {
            let text = lines.pop().unwrap_or_default();
            lines.pop();
            let text = text.trim().trim_start_matches('*').trim();
            lines.push(format!("{}/** {text} */", " ".repeat(indent.saturating_sub(1))));
        } else if line.starts_with("#define") && lines.len() > 2 {
            let gap = lines.len() - 2;
            if lines[gap].is_empty() && lines[gap - 1].starts_with("#define") {
                lines.remove(gap);
            }
            lines.push(line);
        } else {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn generated() -> String {
    let config = cbindgen::Config::from_file(crate_dir().join("cbindgen.toml"))
        .expect("cbindgen.toml is well formed");
    let groups: String = GROUPS.iter().map(|name| group(name, &config)).collect();
    format!("{OPENING}{groups}{ENDING}")
}

fn committed() -> PathBuf {
    crate_dir().join("../include/stbcam.h")
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let generated = generated();
    if std::env::var_os("STBCAM_WRITE_HEADER").is_some() {
        fs::write(committed(), &generated).unwrap();
    }
    let committed = fs::read_to_string(committed()).unwrap_or_default();
    assert!(
        committed == generated,
        "include/stbcam.h is stale: STBCAM_WRITE_HEADER=1 cargo test -p stbcam-ffi --test header"
    );
}

/// Every function of the header, and nothing else, is exported, and the other way round.
#[test]
fn the_version_script_lists_the_functions() {
    let listed = symbols(&crate_dir().join("stbcam.map"));
    let mut declared: Vec<String> = generated()
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '('))
        .filter_map(|word| word.split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("stbcam_") && !name.ends_with("_t"))
        .collect();
    declared.sort();
    declared.dedup();
    // The comment at the top names one with parentheses, as it should.
    assert_eq!(listed, declared);
}

fn symbols(map: &Path) -> Vec<String> {
    let text = fs::read_to_string(map).expect("the version script is there");
    let mut names: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';'))
        .filter(|name| name.starts_with("stbcam_"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

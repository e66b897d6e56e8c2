// SPDX-License-Identifier: Apache-2.0
//! `include/stbcam.h` is generated from this crate, group by group, so that it reads like a
//! manual; it is committed, and this test fails when it is stale. To write it:
//!
//!     STBCAM_WRITE_HEADER=1 cargo test -p stbcam-ffi --test header

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of each of the header's groups, in their order. The first one introduces the group.
const GROUPS: &[&[&str]] = &[
    &["version"],
    &["result", "last_error"],
    &["types"],
    &["host"],
    &["config"],
    &["stream"],
    &["event", "event_queue"],
    &["access"],
    &["reason"],
    &["subscriber"],
    &["money", "purchase"],
    &["soft"],
    &["operation", "stats"],
    &["report"],
];

const OPENING: &str = "\
/*
 * stbcam: conditional access for set-top boxes.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * This header is the manual of libstbcam. It is generated from the library's source (crate ffi); do
 * not edit it. The wider picture, the events' payload and the table of readers are in
 * docs/spec/abi.md, how to bring the library to a box in docs/porting.md; examples/c/player.c is a
 * whole box. Names of files are those of the source, and below share/doc/stbcam where the library
 * is installed. stbcam.hpp is the same for C++17.
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

/// The longest line of the header.
const LINE: usize = 100;

fn crate_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text at the top of a group: the documentation of its first module.
fn introduction(source: &str) -> String {
    let lines: Vec<_> = source
        .lines()
        .skip_while(|line| line.starts_with("// SPDX-"))
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

fn group(names: &[&str], config: &cbindgen::Config) -> String {
    let path = |name: &&str| crate_dir().join("src").join(format!("{name}.rs"));
    let files: Vec<_> = names.iter().map(path).collect();
    let sources = files.iter().map(|path| fs::read_to_string(path).expect("every group is files"));
    let source = sources.collect::<Vec<_>>().join("\n");
    let body = arranged(&translated(&files, &source, config), &source);
    format!("{}\n{body}\n", introduction(&source))
}

/// What cbindgen makes of a group's files: all constants, then all types, then all functions.
fn translated(files: &[PathBuf], source: &str, config: &cbindgen::Config) -> String {
    let mut config = config.clone();
    // It would leave out the types that none of the group's functions uses.
    config.export.include = items(source)
        .iter()
        .filter(|item| matches!(item.kind, Kind::Type))
        .map(|item| item.name.to_owned())
        .collect();
    let builder = cbindgen::Builder::new().with_config(config);
    let builder = files.iter().fold(builder, |builder, path| builder.with_src(path));
    let bindings = builder.generate().unwrap_or_else(|error| panic!("{files:?}: {error}"));
    let mut written = Vec::new();
    bindings.write(&mut written);
    String::from_utf8(written).expect("the source is UTF-8")
}

/// A public item of a source file.
struct Item<'a> {
    name: &'a str,
    kind: Kind<'a>,
    /// A blank line stands between it and the item before.
    apart: bool,
}

enum Kind<'a> {
    /// With its number as it is written.
    Constant(&'a str),
    Type,
    Function,
}

/// The public items of a group's files in their order.
fn items(source: &str) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut apart = true;
    for line in source.lines() {
        apart |= line.is_empty();
        let Some((kind, rest)) = public(line) else { continue };
        let name = rest.split(|c: char| !is_of_name(c)).next().unwrap_or_default();
        items.push(Item { name, kind, apart });
        apart = false;
    }
    items
}

/// A line that begins a public item, and what follows from its name on.
fn public(line: &str) -> Option<(Kind<'_>, &str)> {
    if let Some(rest) = line.strip_prefix("pub const ") {
        let number = rest.split_once("= ").and_then(|(_, number)| number.strip_suffix(';'));
        return Some((Kind::Constant(number.expect("a constant is one line")), rest));
    }
    let kind = |prefix, kind| Some((kind, line.strip_prefix(prefix)?));
    kind("pub struct ", Kind::Type)
        .or_else(|| kind("pub type ", Kind::Type))
        .or_else(|| kind("pub extern \"C\" fn ", Kind::Function))
        .or_else(|| kind("pub unsafe extern \"C\" fn ", Kind::Function))
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The items of a group in the order of its source, where a constant stands beside what it is for.
fn arranged(translated: &str, source: &str) -> String {
    let mut left: BTreeMap<&str, &str> =
        translated.trim().split("\n\n").map(|item| (declared(item), item)).collect();
    let mut out = String::new();
    let mut after_constant = false;
    for Item { name, kind, apart } in items(source) {
        let item = left.remove(name).unwrap_or_else(|| panic!("cbindgen has left {name} out"));
        let (item, constant) = match kind {
            Kind::Constant(number) => (defined(&tidied(item), number), true),
            Kind::Type | Kind::Function => (tidied(item), false),
        };
        // Numbers stand close together where they do in the source, but for long comments.
        let close = after_constant && constant && !apart && item.lines().count() == 2;
        if !out.is_empty() {
            out.push_str(if close { "\n" } else { "\n\n" });
        }
        out.push_str(&item);
        after_constant = constant;
    }
    assert!(left.is_empty(), "not in the source: {:?}", left.keys());
    out
}

/// The name that an item of the header declares.
fn declared(item: &str) -> &str {
    let code = item.split_once("*/\n").map_or(item, |(_, code)| code);
    let until = if let Some(rest) = code.strip_prefix("#define ") {
        return rest.split(' ').next().unwrap_or_default();
    } else if !code.starts_with("typedef") {
        code.find('(')
    } else if let (Some(pointer), None) = (code.find("(*"), code.find('{')) {
        code[pointer..].find(')').map(|end| pointer + end)
    } else {
        code.rfind(';')
    };
    code[..until.expect("an item of C")].rsplit(|c| !is_of_name(c)).next().unwrap_or_default()
}

/// A constant with its number as the source writes it, hexadecimal where the specification does;
/// a negative one in parentheses, so that it stays one number in an expression.
fn defined(item: &str, number: &str) -> String {
    let (before, decimal) = item.rsplit_once(' ').expect("a definition has a number");
    let number = number.replace('_', "");
    let value = match number.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    };
    let agreed = value.is_some() && value == decimal.parse().ok();
    assert!(
        agreed,
        "{before}: the source has {number} and cbindgen {decimal}, expected one number"
    );
    if number.starts_with('-') {
        format!("{before} ({number})")
    } else {
        format!("{before} {number}")
    }
}

/// A comment of one line on one line, if it fits there; Rust's marks taken off.
fn tidied(item: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in item.replace('`', "").lines() {
        let line = line.replace("* # Safety", "* The caller promises:");
        let indent = " ".repeat((line.len() - line.trim_start().len()).saturating_sub(1));
        if line.trim() == "*/"
            && let [.., open, text] = &lines[..]
            && open.trim() == "/**"
        {
            let text = text.trim().trim_start_matches('*').trim();
            let whole = format!("{indent}/** {text} */");
            if whole.len() <= LINE {
                lines.truncate(lines.len() - 2);
                lines.push(whole);
                continue;
            }
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn generated() -> String {
    let config = cbindgen::Config::from_file(crate_dir().join("cbindgen.toml"))
        .expect("cbindgen.toml is well formed");
    let groups: String = GROUPS.iter().map(|names| group(names, &config)).collect();
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

/// What the header's writer does to what cbindgen gives it, on a file of its own.
#[test]
fn items_stand_where_the_source_has_them() {
    let source = "\
/// A state.
pub const STBCAM_ON: i32 = 0x1F;
/// Another.
pub const STBCAM_GONE: i32 = -2;

/// A flag.
pub const STBCAM_LOUD: u32 = 1_000;

/// A lamp.
pub struct stbcam_lamp_t {
    pub state: i32,
}

/// Called.
pub type stbcam_lamp_fn = Option<unsafe extern \"C\" fn(state: i32)>;

/// How many it has.
pub const STBCAM_LAMPS: usize = 3;

/// Lights it.
pub unsafe extern \"C\" fn stbcam_light() {}
";
    let translated = "\
/**
 * A state.
 */
#define STBCAM_ON 31

/**
 * Another.
 */
#define STBCAM_GONE -2

/**
 * A flag.
 */
#define STBCAM_LOUD 1000

/**
 * How many it has.
 */
#define STBCAM_LAMPS 3

/**
 * Called.
 */
typedef void (*stbcam_lamp_fn)(int32_t state);

/**
 * A lamp.
 */
typedef struct stbcam_lamp_t {
    int32_t state;
} stbcam_lamp_t;

/**
 * Lights it.
 */
STBCAM_API
void stbcam_light(void);
";
    let expected = "\
/** A state. */
#define STBCAM_ON 0x1F
/** Another. */
#define STBCAM_GONE (-2)

/** A flag. */
#define STBCAM_LOUD 1000

/** A lamp. */
typedef struct stbcam_lamp_t {
    int32_t state;
} stbcam_lamp_t;

/** Called. */
typedef void (*stbcam_lamp_fn)(int32_t state);

/** How many it has. */
#define STBCAM_LAMPS 3

/** Lights it. */
STBCAM_API
void stbcam_light(void);";
    assert_eq!(arranged(translated, source), expected);
}

/// A number that cbindgen and the source do not agree on is not written.
#[test]
#[should_panic(expected = "STBCAM_ON")]
fn a_number_keeps_its_value() {
    arranged("/**\n * A state.\n */\n#define STBCAM_ON 31", "pub const STBCAM_ON: i32 = 0x20;");
}

/// Every function of the header, and nothing else, is exported, and the other way round.
#[test]
fn the_version_script_lists_the_functions() {
    let listed = symbols(&crate_dir().join("stbcam.map"));
    let mut declared: Vec<String> = generated()
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '('))
        .filter_map(|token| token.split_once('('))
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

// SPDX-License-Identifier: Apache-2.0
//! The files that an engineer writes: operator and schedule, in TOML, read strictly.
//!
//! A field that nobody knows, a field of the wrong kind and a field that contradicts another are
//! refused with file, line, table and field. The text of a value is never repeated: it may be a
//! key.

pub mod card_key;
pub mod fields;
pub mod issued;
pub mod operator;
pub mod schedule;

use serde::de::DeserializeOwned;
use std::fmt;
use std::path::{Path, PathBuf};

/// A file's text.
fn text(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|error| FileError {
        path: path.to_owned(),
        place: String::new(),
        what: error.to_string(),
    })
}

/// Reads a file into `T`, or says what is wrong and where.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    parse(path, &text(path)?)
}

/// Reads the text of a file into `T`; `path` is for the error.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|error| {
        let place = error.span().map_or_else(String::new, |span| place(text, span.start));
        FileError { path: path.to_owned(), place, what: without_values(error.message()) }
    })
}

/// "line 12, table [[service]] 2, field `ecm_pid`: " for an offset of the text.
fn place(text: &str, offset: usize) -> String {
    let (number, text_of_line) = line(text, offset);
    let mut place = format!("line {}", number + 1);
    let header = |line: &str| line.split('#').next().map_or("", str::trim).to_owned();
    let headers: Vec<String> =
        text.lines().take(number + 1).map(header).filter(|line| line.starts_with('[')).collect();
    if let Some(table) = headers.last() {
        place += &format!(", table {table}");
        if table.starts_with("[[") {
            place += &format!(" {}", headers.iter().filter(|other| *other == table).count());
        }
    }
    if let Some(field) = field(text_of_line) {
        place += &format!(", field `{field}`");
    }
    place
}

/// The line, counted from 0, that an offset of the text lies in.
pub(crate) fn line(text: &str, offset: usize) -> (usize, &str) {
    let number = text.get(..offset).unwrap_or(text).matches('\n').count();
    (number, text.lines().nth(number).unwrap_or_default())
}

/// The name in front of a line's `=`.
pub(crate) fn field(line: &str) -> Option<&str> {
    let (field, _) = line.split_once('=')?;
    (!line.trim_start().starts_with(['[', '#'])).then(|| field.trim())
}

/// A message of the TOML reader without the text of values that it may quote.
pub(crate) fn without_values(message: &str) -> String {
    let mut clean = String::new();
    for (place, part) in message.split('"').enumerate() {
        clean += if place % 2 == 0 { part } else { "…" };
    }
    clean.replace('\n', ", ")
}

/// Takes a field out of a table. The error names it.
fn optional<T: DeserializeOwned>(
    table: &mut toml::Table,
    field: &str,
) -> Result<Option<T>, String> {
    let named =
        |error: toml::de::Error| format!("field `{field}`: {}", without_values(error.message()));
    table.remove(field).map(toml::Value::try_into).transpose().map_err(named)
}

/// The same for a field that must be there.
pub(crate) fn required<T: DeserializeOwned>(
    table: &mut toml::Table,
    field: &str,
) -> Result<T, String> {
    optional(table, field)?.ok_or_else(|| format!("missing field `{field}`"))
}

/// Why a file was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Line, table and field, as far as known.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl FileError {
    /// An error found after reading: `table` and `field` name the place.
    pub fn field(path: &Path, table: &str, field: &str, what: impl fmt::Display) -> Self {
        let place = match (table, field) {
            ("", field) => format!("field `{field}`"),
            (table, "") => format!("table {table}"),
            (table, field) => format!("table {table}, field `{field}`"),
        };
        Self { path: path.to_owned(), place, what: what.to_string() }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for FileError {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Top {
        number: u8,
        #[serde(default)]
        row: Vec<Row>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Row {
        key: u8,
    }

    fn error(text: &str) -> String {
        parse::<Top>(Path::new("x.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_file_line_table_and_field() {
        for (text, expected) in [
            ("number = true", "x.toml: line 1, field `number`: invalid type: boolean"),
            ("", "x.toml: line 1: missing field `number`"),
            (
                "number = 1\n[[row]]\nkey = 2\n[[row]] # second\nkey = 300",
                "x.toml: line 5, table [[row]] 2, field `key`: invalid value: integer `300`",
            ),
            (
                "number = 1\n[[row]]\nkay = 2",
                "x.toml: line 3, table [[row]] 1, field `kay`: unknown field `kay`, expected `key`",
            ),
            ("number = 1\n[[row]]\n", "x.toml: line 2, table [[row]] 1: missing field `key`"),
            ("number = ", "x.toml: line 1, field `number`"),
        ] {
            let error = error(text);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_good_file_is_read() {
        let text = "number = 1\n[[row]]\nkey = 2";
        assert_eq!(
            parse(Path::new("x.toml"), text),
            Ok(Top { number: 1, row: vec![Row { key: 2 }] })
        );
    }

    #[test]
    fn the_text_of_a_value_is_never_repeated() {
        let error = error("number = \"00112233\"");
        assert!(!error.contains("00112233"), "{error}");
        assert!(error.contains("field `number`: invalid type: string"), "{error}");
    }
}

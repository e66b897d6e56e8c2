// SPDX-License-Identifier: Apache-2.0
//! What an EMM says, as an engineer writes it: an `[[emm]]` table of the schedule or a file for
//! `headend emm`. A kind of message is one type in `kinds.rs`.

pub mod attacks;
mod check;
pub mod kind;
pub mod kinds;

pub use kinds::Message;

use crate::files::{self, FileError};
use std::path::Path;
use toml::{Table, Value};
use zeroize::Zeroizing;

impl Message {
    /// Reads a file with one message.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::from_table(files::read(path)?).map_err(|what| Self::refused(path, what))
    }

    /// Takes the text of such a file; `path` is for the error.
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        Self::from_table(files::parse(path, text)?).map_err(|what| Self::refused(path, what))
    }

    fn refused(path: &Path, what: String) -> FileError {
        FileError { path: path.to_owned(), place: String::new(), what }
    }

    /// Takes a table whose `kind` says which fields the others are.
    pub fn from_table(mut table: Table) -> Result<Self, String> {
        let kind: String = files::required(&mut table, "kind")?;
        let tagged = Table::from_iter([(kind, Value::Table(table))]);
        // Read from text once more, because only then an error knows its field.
        let text = Zeroizing::new(tagged.to_string());
        let message: Self = toml::from_str(&text).map_err(|error| {
            let what = files::without_values(error.message());
            match error.span().and_then(|span| files::field(files::line(&text, span.start).1)) {
                Some(field) => format!("field `{field}`: {what}"),
                None => what,
            }
        })?;
        message.check()?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_by_its_name() {
        for (kind, _) in Message::KINDS.iter().chain(Message::KINDS_OF_SCHEDULE) {
            let table = Table::from_iter([("kind".into(), Value::from(*kind))]);
            match Message::from_table(table) {
                Ok(message) => assert_eq!(message.kind(), *kind),
                Err(error) => assert!(error.starts_with("missing field"), "{kind}: {error}"),
            }
        }
    }

    /// The fields in the text of a kind, and whether each may be left out: it is in brackets, or
    /// one of two.
    fn fields_of(text: &str) -> Vec<(&str, bool)> {
        text.split(", ")
            .filter(|field| !field.ends_with("signed)"))
            .map(|field| field.split_once(" (").map_or(field, |(field, _)| field))
            .flat_map(|field| {
                let left_out = field.starts_with('[') || field.contains(" or ");
                let names = field.trim_matches(['[', ']']).split(" or ");
                names.map(move |name| (name, left_out))
            })
            .collect()
    }

    fn sample(field: &str) -> Value {
        match field {
            "card" | "box" | "nonce" | "receipt" => "0102030405060708".into(),
            "group" => "00000001".into(),
            "end" | "horizon" => Value::Datetime("2027-01-02T00:00:00Z".parse().unwrap()),
            "start" | "not_before" | "time" => {
                Value::Datetime("2027-01-01T00:00:00Z".parse().unwrap())
            }
            "barred" | "blocked" => true.into(),
            "pin" => "1234".into(),
            "amount" => "1.00".into(),
            "text" | "file" | "of" => "x".into(),
            _ => 1.into(),
        }
    }

    #[test]
    fn the_help_names_the_fields_of_each_kind() {
        for &(kind, text) in Message::KINDS.iter().chain(Message::KINDS_OF_SCHEDULE) {
            let fields = fields_of(text);
            let whole = |without: &str| {
                let there = fields.iter().filter(|(field, _)| *field != without);
                let values = there.map(|(field, _)| ((*field).to_owned(), sample(field)));
                values.chain([("kind".to_owned(), kind.into())]).collect::<Table>()
            };
            for (field, left_out) in &fields {
                assert_eq!(Message::from_table(whole(field)).is_ok(), *left_out, "{kind}: {field}");
            }
            let mut more = whole("");
            assert!(Message::from_table(more.clone()).is_ok(), "{kind}");
            more.insert("more".into(), 1.into());
            let refused = Message::from_table(more).unwrap_err();
            let (_, expected) = refused.split_once(", expected ").expect(&refused);
            let mut there: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
            let mut named: Vec<_> = fields.iter().map(|(field, _)| *field).collect();
            there.sort_unstable();
            named.sort_unstable();
            assert_eq!(there, named, "{kind}");
        }
    }
}

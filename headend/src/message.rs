// SPDX-License-Identifier: Apache-2.0
//! What an EMM says, as an engineer writes it: an `[[emm]]` table of the schedule or a file for
//! `headend emm`. A kind of message is one type in `kinds.rs`.

pub mod attacks;
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
        toml::from_str(&text).map_err(|error| {
            let what = files::without_values(error.message());
            match error.span().and_then(|span| files::field(files::line(&text, span.start).1)) {
                Some(field) => format!("field `{field}`: {what}"),
                None => what,
            }
        })
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
}

// SPDX-License-Identifier: Apache-2.0
//! A TOML file field by field: every field is taken once, none may be left over, and no error shows
//! a value.
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use zeroize::Zeroizing;

/// What is wrong in a file, and where.
#[derive(Debug)]
pub(crate) struct Problem {
    path: PathBuf,
    field: String,
    why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, field, why } = self;
        write!(f, "{}: ", path.display())?;
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        write!(f, "{why}; no money has moved")
    }
}

/// A table that is being read.
pub(crate) struct Fields {
    path: PathBuf,
    /// Where it is in the file.
    at: String,
    table: Table,
}

/// More than anybody writes by hand.
const MAX_LEN: u64 = 1 << 20;

/// A whole text file of bounded length.
pub(crate) fn text(path: &Path) -> Result<Zeroizing<String>, Problem> {
    use std::io::Read as _;
    let problem = |why| Problem { path: path.to_owned(), field: String::new(), why };
    let file = std::fs::File::open(path).map_err(|error| problem(error.to_string()))?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_LEN).read_to_string(&mut text).map_err(|error| problem(error.to_string()))?;
    Ok(text)
}

impl Fields {
    /// Reads the whole file as one table.
    pub(crate) fn read(path: &Path) -> Result<Self, Problem> {
        let text = text(path)?;
        let table = text.parse::<Table>().map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.get(..at).unwrap_or_default().lines().count().max(1);
            // The parser's own text may quote what it found.
            let why = format!("line {line} is not TOML");
            Problem { path: path.to_owned(), field: String::new(), why }
        })?;
        Ok(Self { path: path.to_owned(), at: String::new(), table })
    }

    /// This field is wrong.
    pub(crate) fn wrong(&self, name: &str, why: impl Into<String>) -> Problem {
        let field = match (self.at.as_str(), name) {
            (at, "") => at.to_owned(),
            ("", name) => name.to_owned(),
            (at, name) => format!("{at}.{name}"),
        };
        Problem { path: self.path.clone(), field, why: why.into() }
    }

    /// Nothing is left over.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.wrong(name, "unknown field")),
        }
    }

    /// The tables of the array `name`, each to its end.
    pub(crate) fn tables<T>(
        &mut self,
        name: &str,
        read: impl Fn(&mut Self) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        let tables = match self.table.remove(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(tables)) => tables,
            Some(_) => return Err(self.wrong(name, format!("write it as [[{name}]]"))),
        };
        (1..)
            .zip(tables)
            .map(|(count, table)| {
                let at = format!("{name} {count}");
                let Value::Table(table) = table else {
                    return Err(self.wrong(name, "not a table"));
                };
                let mut fields = Self { path: self.path.clone(), at, table };
                let read = read(&mut fields)?;
                fields.finish().map(|()| read)
            })
            .collect()
    }

    /// Text, if the field is there.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<Zeroizing<String>>, Problem> {
        match self.table.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Zeroizing::new(text))),
            Some(_) => Err(self.wrong(name, "expected text in quotes")),
        }
    }

    /// A whole number, if the field is there.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let number = match self.table.remove(name) {
            None => return Ok(None),
            Some(Value::Integer(number)) => number,
            Some(_) => return Err(self.wrong(name, "expected a whole number")),
        };
        match T::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(self.wrong(name, "number is out of range")),
        }
    }

    /// What must be there.
    pub(crate) fn wanted<T>(&self, name: &str, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| self.wrong(name, "is missing"))
    }
}

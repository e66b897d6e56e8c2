//! What the factory puts on a card: the personalisation file.

use cam_types::{CardId, OperatorId, Pseudonym};
use std::fmt;
use std::path::{Path, PathBuf};

/// Everything that is on a card when it leaves the factory.
#[derive(Debug)]
pub struct Personalisation {
    /// The card's number.
    pub card_id: CardId,
    /// Its address in EMM-U.
    pub pseudonym: Pseudonym,
    /// The operator whose card it is.
    pub operator: OperatorId,
}

/// Why a personalisation file makes no card.
#[derive(Debug)]
pub struct PersonalisationError {
    path: PathBuf,
    field: String,
    why: String,
}

impl fmt::Display for PersonalisationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.why)
    }
}

impl std::error::Error for PersonalisationError {}

impl Personalisation {
    /// Reads the file `path`; files that it names are looked for beside it.
    pub fn from_file(path: &Path) -> Result<Self, PersonalisationError> {
        Err(PersonalisationError {
            path: path.to_owned(),
            field: String::new(),
            why: String::new(),
        })
    }
}

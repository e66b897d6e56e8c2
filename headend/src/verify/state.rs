// SPDX-License-Identifier: Apache-2.0
//! What was verified of each card, kept in a file between two reports.
//!
//! Normative references:
//!  - `docs/spec/report.md` §4.1

use crate::files::FileError;
use crate::files::fields::Octets;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The cards by their pseudonyms.
#[derive(Clone, Debug, Default)]
pub struct State {
    cards: BTreeMap<Octets<8>, CardState>,
    none: CardState,
}

/// One card.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CardState {
    /// The newest receipt verified; of a new card zeros, as in front of the first record.
    pub chain: Octets<8>,
    /// The last records, oldest first.
    pub records: Vec<Known>,
    /// Debits that the purse had done.
    pub offline_sequence: u16,
    /// Credits that it had done.
    pub online_sequence: u16,
    /// What it held, in fen.
    pub balance: Option<u32>,
    /// The card's time, seconds since 2000.
    pub time: u32,
    /// Numbers of issued top-ups that have come.
    pub topups: BTreeSet<u16>,
    /// Events and sequences of issued refunds that have come.
    pub refunds: BTreeSet<(u32, u16)>,
}

/// A record that was verified: its receipt, and what that does not cover.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Stands for all that it covers.
    pub receipt: Octets<8>,
    /// 01 paid, 02 refunded since.
    pub state: u8,
    /// The end of its right, seconds since 2000.
    pub end: u32,
    /// Its transaction code.
    pub tac: Octets<4>,
}

impl CardState {
    /// So many records are kept. A memory put back by more looks like a gap.
    pub const RECORDS: usize = 128;

    /// The record of a receipt, if it is among those that are kept.
    pub fn record(&self, receipt: [u8; 8]) -> Option<&Known> {
        self.records.iter().rev().find(|known| known.receipt.0 == receipt)
    }

    /// The receipt was met before; so were the zeros in front of the first one.
    pub fn has(&self, receipt: [u8; 8]) -> bool {
        receipt == [0; 8] || receipt == self.chain.0 || self.record(receipt).is_some()
    }
}

/// The file's form. The check is over the cards as JSON without white space.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    cards: BTreeMap<Octets<8>, CardState>,
    check: Octets<32>,
}

/// The number of this form.
const FORMAT: u32 = 2;

fn check(cards: &BTreeMap<Octets<8>, CardState>) -> io::Result<Octets<32>> {
    Ok(Octets(Sha256::digest(serde_json::to_vec(cards)?).into()))
}

impl State {
    /// Reads the file; one that is not there yet is empty.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let wrong = |what: String| FileError { path: path.to_owned(), place: String::new(), what };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let written: Written = serde_json::from_str(&text).map_err(|error| {
            wrong(format!("damaged, cut short, or no file of this kind: {error}"))
        })?;
        if written.format != FORMAT {
            return Err(wrong(format!("of format {}, expected {FORMAT}", written.format)));
        }
        if check(&written.cards).map_err(|error| wrong(error.to_string()))? != written.check {
            return Err(wrong("damaged: its check does not fit what it says".to_owned()));
        }
        Ok(Self { cards: written.cards, ..Self::default() })
    }

    /// What is known of a card; of a new one nothing.
    pub fn card(&self, pseudonym: Octets<8>) -> &CardState {
        self.cards.get(&pseudonym).unwrap_or(&self.none)
    }

    /// The card has come further.
    pub fn keep(&mut self, pseudonym: Octets<8>, state: CardState) {
        self.cards.insert(pseudonym, state);
    }

    /// Writes the file, its owner's alone: beside, synced, renamed. A power cut leaves the old one
    /// or the new one.
    pub fn write(self, path: &Path) -> io::Result<()> {
        let check = check(&self.cards)?;
        let mut json =
            serde_json::to_vec_pretty(&Written { format: FORMAT, cards: self.cards, check })?;
        json.push(b'\n');
        let beside = path.with_added_extension("new");
        // Left by a power cut.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&json)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder(path))?.sync_all()
    }
}

/// Nobody else verifies with a file of this folder, as long as this lives.
pub struct Alone {
    _folder: File,
}

impl Alone {
    /// With the folder of this file. The file itself is another one after each report.
    pub fn with(path: &Path) -> Result<Self, FileError> {
        let wrong = |what: String| FileError { path: path.to_owned(), place: String::new(), what };
        let folder = File::open(folder(path)).map_err(|error| wrong(error.to_string()))?;
        match folder.try_lock() {
            Ok(()) => Ok(Self { _folder: folder }),
            Err(TryLockError::WouldBlock) => {
                Err(wrong("another process verifies with a file of this folder".to_owned()))
            }
            Err(TryLockError::Error(error)) => Err(wrong(error.to_string())),
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    /// T1: also where this file, or one that a power cut left beside it, was everybody's.
    #[test]
    fn what_is_known_of_cards_is_its_owners() {
        let path = std::env::temp_dir().join(format!("stbcam-cards-{}", std::process::id()));
        for wide in [&path, &path.with_added_extension("new")] {
            fs::write(wide, "{}").unwrap();
            fs::set_permissions(wide, Permissions::from_mode(0o666)).unwrap();
        }
        State::default().write(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        fs::remove_file(&path).unwrap();
        assert_eq!(mode & 0o777, 0o600);
    }
}

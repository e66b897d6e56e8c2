// SPDX-License-Identifier: Apache-2.0
//! What was verified of each card, kept in a file between two reports.

use crate::files::FileError;
use crate::files::fields::Octets;
use ecm_emm::report::ReportRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// The file: cards by their pseudonyms.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    cards: BTreeMap<String, CardState>,
    #[serde(skip)]
    none: CardState,
}

/// One card.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CardState {
    /// The last receipt verified.
    pub chain: Octets<8>,
    /// The last receipts, oldest first.
    pub receipts: Vec<Octets<8>>,
    /// Debits that the purse had done.
    pub offline_sequence: u16,
    /// Credits that it had done.
    pub online_sequence: u16,
    /// What it held, in fen.
    pub balance: Option<u32>,
    /// The card's time, seconds since 2000.
    pub time: u32,
}

impl CardState {
    /// At most this many receipts are kept: as many as the card keeps records.
    pub const RECEIPTS: usize = ReportRecord::MAX_KEPT;

    /// The receipt was verified before; so were the zeros in front of the first one.
    pub fn has(&self, receipt: [u8; 8]) -> bool {
        let complete = self.receipts.len() < Self::RECEIPTS;
        self.receipts.contains(&Octets(receipt))
            || receipt == self.chain.0
            || (complete && receipt == [0; 8])
    }
}

impl State {
    /// Reads the file; one that is not there yet is empty.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let wrong = |what: String| FileError { path: path.to_owned(), place: String::new(), what };
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| wrong(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// What is known of a card; of a new one nothing.
    pub fn card(&self, pseudonym: Octets<8>) -> &CardState {
        self.cards.get(&pseudonym.to_string()).unwrap_or(&self.none)
    }

    /// The card has come further.
    pub fn keep(&mut self, pseudonym: Octets<8>, state: CardState) {
        self.cards.insert(pseudonym.to_string(), state);
    }

    /// Writes the file, its owner's alone: beside, synced, renamed. A power cut leaves the old one
    /// or the new one.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        let beside = path.with_added_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(&json)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

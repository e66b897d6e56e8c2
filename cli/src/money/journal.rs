// SPDX-License-Identifier: Apache-2.0
//! What a kiosk has done of a batch, line by line in a file beside it: each intent before its
//! CREDIT, each outcome after it. A line is durable before anything follows from it.
use super::state::{Serial, serial_of, serial_text};
use super::terminal::Ledger;
use super::verdict::{Verdict, WayOut};
use crate::failure::Failure;
use crate::hex;
use crate::owners;
use crate::record::money::Loaded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use wallet::proof::Unsettled;

/// The journal of one batch.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    standing: BTreeMap<String, Standing>,
}

/// Where an entry stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// A CREDIT may have been sent: this card, this intent.
    Intended { serial: String, amount: String, intent: Vec<u8> },
    /// The card holds the money.
    Loaded { serial: String, amount: String },
}

/// One line: an object that says what has become of an entry.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Intent { reference: String, serial: String, amount: String, intent: String },
    Loaded { reference: String, after: Option<String>, tac: Option<String> },
    NotLoaded { reference: String },
    Verdict { reference: String, made: bool, by: String, why: String, entered: String },
}

/// More than any batch makes.
const MAX_LEN: u64 = 64 << 20;

impl Journal {
    /// Opens the journal beside the batch file, or begins one.
    pub(crate) fn open(batch: &Path) -> Result<Self, Failure> {
        let path = Self::path(batch);
        let at = |why: &dyn std::fmt::Display| {
            Failure::Failed(format!("{}: {why}; no money has moved", path.display()))
        };
        let mut file = owners::append(&path).map_err(|error| at(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(at(&"another process works on this batch"));
            }
            Err(TryLockError::Error(error)) => return Err(at(&error)),
        }
        let mut octets = Vec::new();
        (&mut file).take(MAX_LEN).read_to_end(&mut octets).map_err(|error| at(&error))?;
        // The power may have gone in the middle of the last line: nothing has followed from it.
        let whole = octets.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        if whole < octets.len() {
            let cut = file.set_len(whole as u64).and_then(|()| file.sync_all());
            cut.and_then(|()| file.seek(std::io::SeekFrom::End(0)).map(|_| ()))
                .map_err(|error| at(&error))?;
            octets.truncate(whole);
        }
        let mut standing = BTreeMap::new();
        let lines = octets.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
        for (number, line) in (1..).zip(lines) {
            let follows = serde_json::from_slice::<Line>(line)
                .ok()
                .is_some_and(|line| line.follow(&mut standing));
            if !follows {
                return Err(at(&format!("line {number} is not what was written there")));
            }
        }
        // A journal is there when its directory says so.
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(directory).and_then(|parent| parent.sync_all()).map_err(|error| at(&error))?;
        Ok(Self { file, path, standing })
    }

    /// Whether there is one beside this batch.
    pub(crate) fn is_beside(batch: &Path) -> bool {
        Self::path(batch).exists()
    }

    fn path(batch: &Path) -> PathBuf {
        let mut path = batch.as_os_str().to_owned();
        path.push(".journal");
        PathBuf::from(path)
    }

    /// Where this entry stands; `None` when no CREDIT was ever sent for it, or the card has not
    /// taken it.
    pub(crate) fn standing(&self, reference: &str) -> Option<&Standing> {
        self.standing.get(reference)
    }

    /// The intent of an entry that is not settled.
    pub(crate) fn unsettled(&self, reference: &str) -> Option<Unsettled> {
        match self.standing.get(reference) {
            Some(Standing::Intended { intent, .. }) => Unsettled::parse(intent).ok(),
            _ => None,
        }
    }

    /// The part of a ledger for one entry.
    pub(crate) fn entry<'a>(&'a mut self, reference: &'a str, amount: &'a str) -> EntryLedger<'a> {
        EntryLedger { journal: self, reference, amount }
    }

    /// The card holds the money of this entry.
    pub(crate) fn loaded(
        &mut self,
        reference: &str,
        after: Option<String>,
        tac: Option<String>,
    ) -> Result<(), Failure> {
        self.write(Line::Loaded { reference: reference.into(), after, tac })
    }

    /// The card has not taken this entry.
    pub(crate) fn not_loaded(&mut self, reference: &str) -> Result<(), Failure> {
        self.write(Line::NotLoaded { reference: reference.into() })
    }

    /// Somebody has said what became of this entry.
    pub(crate) fn judged(&mut self, reference: &str, verdict: &Verdict) -> Result<(), Failure> {
        let Verdict { made, by, why, entered } = verdict.clone();
        self.write(Line::Verdict { reference: reference.into(), made, by, why, entered })
    }

    /// The card and the intent of an entry that is not settled.
    pub(crate) fn open_entry(&self, reference: &str) -> Option<(Serial, Unsettled)> {
        let Some(Standing::Intended { serial, .. }) = self.standing.get(reference) else {
            return None;
        };
        Some((serial_of(serial), self.unsettled(reference)?))
    }

    /// The references of entries that are not settled.
    pub(crate) fn open_entries(&self) -> impl Iterator<Item = &str> {
        let open = |standing: &Standing| matches!(standing, Standing::Intended { .. });
        self.standing.iter().filter(move |(_, standing)| open(standing)).map(|(name, _)| &**name)
    }

    /// What to do about an entry that is open.
    pub(crate) fn way_out(&self, reference: &str) -> WayOut {
        let batch = self.path.with_extension("");
        WayOut::of_entry(&batch.display().to_string(), reference)
    }

    fn write(&mut self, line: Line) -> Result<(), Failure> {
        let mut text = serde_json::to_string(&line)
            .map_err(|error| Failure::Failed(format!("{}: {error}", self.path.display())))?;
        text.push('\n');
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            Failure::Failed(format!(
                "{}: {error}; run the batch again: the card says what has moved",
                self.path.display()
            ))
        })?;
        line.follow(&mut self.standing);
        Ok(())
    }
}

impl Line {
    /// What the line makes of its entry. Whether it can stand where it stands.
    fn follow(self, standing: &mut BTreeMap<String, Standing>) -> bool {
        match self {
            Self::Intent { reference, serial, amount, intent } => {
                let Ok(intent) = hex::parse(&intent) else { return false };
                Unsettled::parse(&intent).is_ok()
                    && standing
                        .insert(reference, Standing::Intended { serial, amount, intent })
                        .is_none()
            }
            Self::Loaded { reference, .. } => match standing.remove(&reference) {
                Some(Standing::Intended { serial, amount, .. }) => {
                    standing.insert(reference, Standing::Loaded { serial, amount });
                    true
                }
                _ => false,
            },
            Self::Verdict { reference, made: true, .. } => {
                Self::Loaded { reference, after: None, tac: None }.follow(standing)
            }
            Self::NotLoaded { reference } | Self::Verdict { reference, .. } => {
                matches!(standing.remove(&reference), Some(Standing::Intended { .. }))
            }
        }
    }
}

/// One entry's part of the journal.
pub(crate) struct EntryLedger<'a> {
    journal: &'a mut Journal,
    reference: &'a str,
    amount: &'a str,
}

impl Ledger for EntryLedger<'_> {
    fn intend(&mut self, card: Serial, intent: &[u8]) -> Result<(), Failure> {
        self.journal.write(Line::Intent {
            reference: self.reference.into(),
            serial: serial_text(card),
            amount: self.amount.into(),
            intent: intent.iter().map(|octet| format!("{octet:02X}")).collect(),
        })
    }

    fn way_out(&self, _: Serial) -> WayOut {
        self.journal.way_out(self.reference)
    }

    fn done(&mut self, _: Serial, outcome: Option<&Loaded>) -> Result<(), Failure> {
        match outcome {
            Some(loaded) => self.journal.loaded(
                self.reference,
                Some(loaded.after.to_string()),
                loaded.tac.clone(),
            ),
            None => self.journal.not_loaded(self.reference),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    /// T1: also where a journal of that name was everybody's.
    #[test]
    fn a_journal_is_its_owners() {
        let batch = std::env::temp_dir().join(format!("stbcam-batch-{}", std::process::id()));
        let path = Journal::path(&batch);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(Journal::open(&batch).is_ok());
        let mode = path.metadata().unwrap().permissions().mode();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(mode & 0o777, 0o600);
    }
}

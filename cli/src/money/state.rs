// SPDX-License-Identifier: Apache-2.0
//! What a terminal must not forget: its number, and transactions whose outcome only a card knows.
use crate::failure::Failure;
use crate::hex;
use cam_types::{TerminalId, TerminalSequence};
use stb_shim::storage::{DirectoryStorage, Storage as _};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use wallet::Transaction;
use wallet::proof::Unsettled;

/// A directory with one small file for each thing, for one process at a time. Each is durable
/// before a call returns.
pub(crate) struct State {
    storage: DirectoryStorage,
}

/// A card by its serial number; one without is taken for every other without.
pub(crate) type Serial = Option<[u8; 10]>;

/// A serial number as people read it.
pub(crate) fn serial_text(serial: Serial) -> String {
    let Some(serial) = serial else { return "without a serial number".into() };
    let mut text = String::new();
    for octet in serial {
        let _ = write!(text, "{octet:02X}");
    }
    text
}

/// The serial number that such a text says.
pub(crate) fn serial_of(text: &str) -> Option<[u8; 10]> {
    hex::parse(text).ok()?.try_into().ok()
}

impl State {
    /// Opens the directory, which is made when it is not there.
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        let at = |error: &dyn std::fmt::Display| {
            let directory = directory.display();
            Failure::Failed(format!("--state {directory}: {error}; no money has moved"))
        };
        let storage = DirectoryStorage::open(directory).map_err(|error| at(&error))?;
        Ok(Self { storage })
    }

    /// Beside the keys, or where the user's programs keep their state.
    pub(crate) fn default_directory(keys: Option<&Path>) -> Result<PathBuf, Failure> {
        if let Some(keys) = keys {
            return Ok(keys.with_file_name("stbcam-state"));
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = variable("XDG_STATE_HOME").map(PathBuf::from).or_else(|| {
            variable("HOME").map(|home| PathBuf::from(home).join(".local").join("state"))
        });
        let home = home.ok_or_else(|| {
            Failure::Usage("where is the state? give --state DIR; no money has moved".into())
        })?;
        Ok(home.join("stbcam"))
    }

    /// Uses up the terminal's next number, or `wanted`. The number before it, which a module counts
    /// up from.
    pub(crate) fn reserve(
        &mut self,
        terminal: TerminalId,
        wanted: Option<u32>,
    ) -> Result<TerminalSequence, Failure> {
        let key = format!("{SEQUENCE}{terminal}");
        let last = match self.get(&key)? {
            None => 0,
            Some(text) => number(&text).ok_or_else(|| self.damaged(&key))?,
        };
        let before = match wanted {
            None => last,
            Some(wanted) if wanted > last => wanted - 1,
            Some(wanted) => {
                return Err(Failure::Usage(format!(
                    "--term-seq {wanted}: terminal {terminal} has used numbers up to {last}; no money has moved"
                )));
            }
        };
        let next = before.checked_add(1).ok_or_else(|| {
            Failure::Declined(format!(
                "terminal {terminal} has used up its sequence; no money has moved"
            ))
        })?;
        self.put(&key, next.to_string().as_bytes())?;
        Ok(TerminalSequence::new(before))
    }

    /// A commit is about to go to this card.
    pub(crate) fn intend(&mut self, card: Serial, intent: &[u8]) -> Result<(), Failure> {
        self.put(&unsettled_key(card), intent)
    }

    /// What is not settled with this card.
    pub(crate) fn unsettled(&mut self, card: Serial) -> Result<Option<Unsettled>, Failure> {
        let key = unsettled_key(card);
        match self.get(&key)? {
            None => Ok(None),
            Some(octets) => Unsettled::parse(&octets).map(Some).map_err(|_| self.damaged(&key)),
        }
    }

    /// Every card with something that is not settled.
    pub(crate) fn open_cards(&self) -> Result<Vec<Serial>, Failure> {
        let directory = self.storage.directory();
        let at = |error: io::Error| {
            Failure::Failed(format!("{}: {error}; no money has moved", directory.display()))
        };
        let mut cards = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(at)? {
            let name = entry.map_err(at)?.file_name();
            match name.to_str().and_then(|name| name.strip_prefix(UNSETTLED)) {
                Some(NO_SERIAL) => cards.push(None),
                Some(serial) => cards.extend(serial_of(serial).map(Some)),
                None => {}
            }
        }
        cards.sort_unstable();
        Ok(cards)
    }

    /// Somebody has said what became of it: that stays, and then the transaction is settled. Cut in
    /// between, the same can be said again, but nothing else.
    pub(crate) fn judged(
        &mut self,
        card: Serial,
        open: &Unsettled,
        outcome: &str,
        record: &[u8],
    ) -> Result<(), Failure> {
        let [high, low] = open.sequence;
        let Transaction { kind, date, time, .. } = &open.transaction;
        let key = format!(
            "verdict-{}-{high:02X}{low:02X}-{:02X}-{}{}",
            key_part(card),
            kind.0,
            digits(&date.0),
            digits(&time.0)
        );
        if let Some(kept) = self.get(&key)? {
            let kept: serde_json::Value =
                serde_json::from_slice(&kept).map_err(|_| self.damaged(&key))?;
            if kept["outcome"] != outcome {
                return Err(Failure::Usage(format!(
                    "{} says otherwise: {}; no money has moved",
                    self.storage.directory().join(&key).display(),
                    kept["outcome"].as_str().unwrap_or("something else")
                )));
            }
        }
        self.put(&key, record)?;
        self.settled(card)
    }

    /// The outcome is known and has been said.
    pub(crate) fn settled(&mut self, card: Serial) -> Result<(), Failure> {
        let key = unsettled_key(card);
        self.storage.delete(&key).map_err(|error| self.failed(&key, &error))
    }

    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.storage.get(key).map_err(|error| self.failed(key, &error))
    }

    fn put(&mut self, key: &str, octets: &[u8]) -> Result<(), Failure> {
        self.storage.put(key, octets).map_err(|error| self.failed(key, &error))
    }

    fn failed(&self, key: &str, error: &io::Error) -> Failure {
        let path = self.storage.directory().join(key);
        Failure::Failed(format!("{}: {error}; no money has moved by this command", path.display()))
    }

    fn damaged(&self, key: &str) -> Failure {
        let path = self.storage.directory().join(key);
        let remedy = if key.starts_with(UNSETTLED) {
            "when the acquirer has said what it was and what became of it, move it away"
        } else if key.starts_with(SEQUENCE) {
            "move it away and begin with --term-seq, over the number of the last receipt"
        } else {
            "move it away"
        };
        Failure::Failed(format!(
            "{}: not what was written there: put back what was, or {remedy}; no money has moved",
            path.display()
        ))
    }
}

const SEQUENCE: &str = "sequence-";
const UNSETTLED: &str = "unsettled-";
const NO_SERIAL: &str = "no-serial";

fn unsettled_key(card: Serial) -> String {
    format!("{UNSETTLED}{}", key_part(card))
}

fn key_part(card: Serial) -> String {
    card.map_or_else(|| NO_SERIAL.into(), |_| serial_text(card))
}

fn digits(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

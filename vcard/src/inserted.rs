//! A card with its memory file, as a reader serves it and the control socket looks at it.

use crate::os::Os;
use crate::{Card, Cut, PowerLost};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A card in a reader.
pub struct Inserted {
    card: Card,
    memory: PathBuf,
}

impl Inserted {
    /// The card whose memory is this file.
    pub fn new(card: Card, memory: &Path) -> Self {
        Self { card, memory: memory.to_owned() }
    }

    /// A digest of the whole memory: two that are equal mean that nothing on the card has changed.
    fn digest(&self) -> Option<String> {
        let memory = std::fs::read(&self.memory).ok()?;
        let mut text = String::new();
        for octet in Sha256::digest(&memory) {
            write!(text, "{octet:02x}").ok()?;
        }
        Some(text)
    }
}

impl Os for Inserted {
    fn power_on(&mut self) -> Vec<u8> {
        self.card.power_on()
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, PowerLost> {
        self.card.transmit(apdu)
    }

    fn arm_cut(&mut self, cut: Cut) {
        self.card.arm_cut(cut);
    }

    fn status(&self) -> Map<String, Value> {
        let status = self.card.status();
        let mut map = Map::new();
        map.insert("balance".into(), status.balance.fen().into());
        map.insert("offline_sequence".into(), status.offline_sequence.into());
        map.insert("online_sequence".into(), status.online_sequence.into());
        map.insert("transactions".into(), status.purchases.into());
        map.insert("pin_tries".into(), status.pin_tries.into());
        map.insert("commits".into(), status.commits.into());
        map.insert("page_writes".into(), status.page_writes.into());
        map.insert("digest".into(), self.digest().into());
        map
    }

    fn pages_written(&self) -> u64 {
        self.card.status().page_writes
    }
}

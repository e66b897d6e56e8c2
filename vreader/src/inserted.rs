// SPDX-License-Identifier: Apache-2.0
//! A card with its memory file, as a reader serves it and the control socket looks at it.

use crate::os::Os;
use cam_types::interindustry::{INS_GET_CHALLENGE, INS_GET_DATA, INS_READ_BINARY, INS_READ_RECORD};
use ecm_emm::card::INS_INFO;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use vcard::{Card, Cut, Interface, PowerLost};
use wallet::command::INS_BALANCE;

/// A card in a reader.
pub struct Inserted {
    card: Card,
    memory: PathBuf,
    side: Side,
}

/// Which side of a dual-interface card a reader is at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Side {
    /// The contacts: both applications.
    #[default]
    Contact,
    /// The antenna: the purse only.
    Contactless,
}

impl Inserted {
    /// The card whose memory is this file.
    pub fn new(card: Card, memory: &Path) -> Self {
        Self { card, memory: memory.to_owned(), side: Side::Contact }
    }

    /// The same at this side of it.
    pub fn at(self, side: Side) -> Self {
        Self { side, ..self }
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
        self.card.power_on_at(match self.side {
            Side::Contact => Interface::Contact,
            Side::Contactless => Interface::Contactless,
        })
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, PowerLost> {
        self.card.answer(apdu)
    }

    fn after_answer(&mut self) {
        self.card.bring_home();
    }

    fn takes_data(&self) -> fn(u8, u8) -> bool {
        if self.card.is_psam() { takes_data_psam } else { takes_data }
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
        map.insert("transactions".into(), status.debits.into());
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

/// Whether a command of our card brings data: all do but those that only ask.
pub fn takes_data(cla: u8, ins: u8) -> bool {
    // Secure messaging always brings a MAC.
    let secured = cla & 0x80 != 0 && cla & 0x0C != 0;
    let asks = match cla & 0x80 {
        0 => matches!(ins, INS_GET_CHALLENGE | INS_READ_BINARY | INS_READ_RECORD | INS_GET_DATA),
        _ => matches!(ins, INS_INFO | INS_BALANCE | INS_GET_DATA),
    };
    secured || !asks
}

/// The same of a secure module, whose GET DATA brings an authentication code.
fn takes_data_psam(cla: u8, ins: u8) -> bool {
    cla & 0x80 != 0 || ins != INS_READ_BINARY
}

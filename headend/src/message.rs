// SPDX-License-Identifier: Apache-2.0
//! What an EMM says, as an engineer writes it: an `[[emm]]` table of the schedule or a file for
//! `headend emm`.

use crate::files::fields::{Octets, Pin, Utc, amount};
use crate::files::{self, FileError};
use cam_types::Fen;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use zeroize::Zeroizing;

/// One EMM. Each kind names the cards it goes to in its own way: `card` by card number (EMM-U),
/// `group` by group address (EMM-S), or all cards (EMM-G).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// A package for a card; for a group, a later end of the rights that are there.
    Grant {
        /// The card, by its number.
        card: Option<Octets<8>>,
        /// Or the group, by its address.
        group: Option<Octets<4>>,
        /// The package, by its number.
        package: u16,
        /// The first moment of the right.
        start: Utc,
        /// The last moment of the right.
        end: Utc,
        /// Counts up with every change of this card's package.
        version: u16,
        /// How far group messages may move the end.
        horizon: Option<Utc>,
    },
    /// Takes a package away.
    Revoke {
        /// The card, by its number.
        card: Octets<8>,
        /// The package, by its number.
        package: u16,
        /// Above the version of the grant.
        version: u16,
    },
    /// An event without purchase.
    PpvGrant {
        /// The card, by its number.
        card: Octets<8>,
        /// The event, by its number.
        event: u32,
        /// Quality or window of the event.
        tier: u8,
        /// Until when.
        end: Utc,
    },
    /// A service key; the key itself stands in the operator file.
    KeyDeliver {
        /// The card, by its number.
        card: Option<Octets<8>>,
        /// Or the group, by its address.
        group: Option<Octets<4>>,
        /// The service key's slot.
        slot: u8,
        /// Its generation.
        epoch: u16,
        /// No ECM before this moment opens with it.
        not_before: Option<Utc>,
    },
    /// Erases the service keys below a floor.
    KeyActivate {
        /// The card, by its number.
        card: Octets<8>,
        /// The service key's slot.
        slot: u8,
        /// The generation in use.
        epoch: u16,
        /// The oldest one kept.
        floor: u16,
    },
    /// Erases one service key.
    KeyDestroy {
        /// The card, by its number.
        card: Octets<8>,
        /// The service key's slot.
        slot: u8,
        /// The generation that goes.
        epoch: u16,
    },
    /// Raises the level that ECMs may ask for (`emm_floor`).
    EmmLevel {
        /// The card, by its number.
        card: Octets<8>,
        /// The new level.
        level: u16,
    },
    /// Moves the card's clock forward. Without `card` it goes to all cards, signed.
    TimeSync {
        /// The card, by its number.
        card: Option<Octets<8>>,
        /// The time; by default the schedule's at the entry's first moment on air.
        time: Option<Utc>,
        /// Also sets the card's own clock, written at once.
        #[serde(default)]
        reset: bool,
    },
    /// A new PIN, its tries all back.
    PinReset {
        /// The card, by its number.
        card: Octets<8>,
        /// The new PIN.
        pin: Pin,
    },
    /// Blocks a card or frees it.
    CardState {
        /// The card, by its number.
        card: Octets<8>,
        /// Blocked from now on; `false` frees it.
        blocked: bool,
    },
    /// Asks a card for a report of its purchases.
    ReportRequest {
        /// The card, by its number.
        card: Octets<8>,
        /// Drawn for this request; `verify-report --nonce` takes it.
        nonce: Octets<8>,
        /// From the purchase with this offline sequence; without it from what was not acknowledged.
        #[serde(default)]
        from: u16,
    },
    /// Tells a card that its report has arrived.
    ReportAck {
        /// The card, by its number.
        card: Octets<8>,
        /// The last receipt, as `verify-report` shows it.
        receipt: Octets<8>,
    },
    /// Gives a purchase back and ends its right.
    Refund {
        /// The card, by its number.
        card: Octets<8>,
        /// The event, by its number.
        event: u32,
        /// The purse's offline sequence of the purchase.
        sequence: u16,
        /// At most what was paid, in yuan as text.
        #[serde(deserialize_with = "amount")]
        amount: Fen,
    },
    /// A message for the viewer.
    Osd {
        /// The card, by its number.
        card: Option<Octets<8>>,
        /// Or the group, by its address. Without both it goes to all cards.
        group: Option<Octets<4>>,
        /// Tells messages apart.
        id: u16,
        /// Display attributes.
        #[serde(default)]
        attributes: u8,
        /// What the viewer reads.
        text: String,
    },
    /// Pairs a card with a box: the card's half. The keys stand in the operator file.
    Pair {
        /// The card, by its number.
        card: Octets<8>,
        /// The box, by its number.
        #[serde(rename = "box")]
        stb: Octets<8>,
    },
    /// Pairs a box with a card: the box's half.
    BoxPair {
        /// The card, by its number.
        card: Octets<8>,
        /// The box, by its number.
        #[serde(rename = "box")]
        stb: Octets<8>,
    },
    /// A section from a file, as it is.
    Raw {
        /// The file; relative to the schedule's folder.
        file: PathBuf,
    },
    /// An attacker repeats an earlier EMM octet by octet.
    Replay {
        /// The entry's name.
        of: String,
    },
    /// An attacker's EMM: a good header, a fresh number, a seal that is no seal.
    ForgeEmm {
        /// The card, by its number.
        card: Octets<8>,
    },
    /// An attacker's ECM: the header of the next crypto period, a seal that is no seal.
    ForgeEcm {
        /// The service's number.
        service: u16,
    },
}

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

    /// The kind, as it is written in files and shown in the report.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Grant { .. } => "grant",
            Self::Revoke { .. } => "revoke",
            Self::PpvGrant { .. } => "ppv_grant",
            Self::KeyDeliver { .. } => "key_deliver",
            Self::KeyActivate { .. } => "key_activate",
            Self::KeyDestroy { .. } => "key_destroy",
            Self::EmmLevel { .. } => "emm_level",
            Self::TimeSync { .. } => "time_sync",
            Self::PinReset { .. } => "pin_reset",
            Self::CardState { .. } => "card_state",
            Self::ReportRequest { .. } => "report_request",
            Self::ReportAck { .. } => "report_ack",
            Self::Refund { .. } => "refund",
            Self::Osd { .. } => "osd",
            Self::Pair { .. } => "pair",
            Self::BoxPair { .. } => "box_pair",
            Self::Raw { .. } => "raw",
            Self::Replay { .. } => "replay",
            Self::ForgeEmm { .. } => "forge_emm",
            Self::ForgeEcm { .. } => "forge_ecm",
        }
    }

    /// It is sealed with a number of its own. A time stands for itself, a raw section has its
    /// number, a pairing's is in the operator file.
    pub const fn takes_number(&self) -> bool {
        !matches!(
            self,
            Self::TimeSync { .. }
                | Self::Pair { .. }
                | Self::BoxPair { .. }
                | Self::Raw { .. }
                | Self::Replay { .. }
                | Self::ForgeEcm { .. }
        )
    }
}

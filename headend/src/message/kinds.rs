// SPDX-License-Identifier: Apache-2.0
//! The kinds of messages: the fields that an engineer writes, and the section made of them.
//!
//! Normative references:
//!  - `docs/spec/emm.md`
//!  - ISO 9564-1 §9.3.3 (PIN block format 2)

use super::attacks::{ForgeEcm, ForgeEmm, Replay};
use super::kind::{Kind, Occasion, messages};
use crate::emm::{EmmError, Senders};
use crate::files::FileError;
use crate::files::fields::{Octets, Pin, Utc, amount, from_1};
use cam_types::{CasTime, Epoch, EventId, Fen, PackageId, Secret, Slot, StbId};
use ecm_emm::EncodeError;
use ecm_emm::card::PAIRING_SLOTS;
use ecm_emm::emm::{EmmCommand, KeyDelivery, KeyTarget, ResetNumber, TimeStep};
use ecm_emm::keys::KeyMaterial;
use ecm_emm::section::CaSection;
use ecm_emm::suite::WrappedKey;
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;
use zeroize::Zeroizing;

messages! {
    Grant Revoke PpvGrant
    KeyDeliver KeyActivate KeyDestroy EmmLevel
    TimeSync PinReset CardState
    ReportRequest ReportAck Refund
    Osd
    Pair Unpair BoxPair BoxUnpair BoxBar;
    in a schedule also Raw Replay ForgeEmm ForgeEcm
}

/// A package for a card; for a group, a later end of the rights that are there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The card, by its number.
    pub card: Option<Octets<8>>,
    /// Or the group, by its address.
    pub group: Option<Octets<4>>,
    /// The package, by its number.
    pub package: u16,
    /// The first moment of the right.
    pub start: Utc,
    /// The last moment of the right.
    pub end: Utc,
    /// Counts up with every change of this card's package.
    pub version: u16,
    /// How far group messages may move the end.
    pub horizon: Option<Utc>,
}

impl Kind for Grant {
    const NAME: &str = "grant";
    const FIELDS: &str = "card or group, package, start, end, version, [horizon]";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let command = EmmCommand::Grant {
            package: PackageId::new(self.package),
            start: self.start.0,
            end: self.end.0,
            version: self.version,
            horizon: self.horizon.map(|horizon| horizon.0),
        };
        Ok(from.card_or_group(self.card, self.group)?.section(on.sequence, &[command])?)
    }
}

/// Takes a package away.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The package, by its number.
    pub package: u16,
    /// Above the version of the grant.
    pub version: u16,
}

impl Kind for Revoke {
    const NAME: &str = "revoke";
    const FIELDS: &str = "card, package, version";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let package = PackageId::new(self.package);
        let command = EmmCommand::Revoke { package, version: self.version };
        Ok(from.card(self.card)?.section(on.sequence, &[command])?)
    }
}

/// An event without purchase.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PpvGrant {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The event, by its number.
    #[serde(deserialize_with = "from_1")]
    pub event: u32,
    /// Quality or window of the event.
    pub tier: u8,
    /// Until when.
    pub end: Utc,
}

impl Kind for PpvGrant {
    const NAME: &str = "ppv_grant";
    const FIELDS: &str = "card, event, tier, end";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let event = EventId::new(self.event);
        let command = EmmCommand::PpvGrant { event, tier: self.tier, end: self.end.0 };
        Ok(from.card(self.card)?.section(on.sequence, &[command])?)
    }
}

/// A service key; the key itself stands in the operator file. For a group it is signed, and has no
/// number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDeliver {
    /// The card, by its number.
    pub card: Option<Octets<8>>,
    /// Or the group, by its address.
    pub group: Option<Octets<4>>,
    /// The service key's slot.
    pub slot: u8,
    /// Its generation.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
    /// No ECM before this moment opens with it.
    pub not_before: Option<Utc>,
}

impl Kind for KeyDeliver {
    const NAME: &str = "key_deliver";
    const FIELDS: &str = "card or group (which needs [signing_key]), slot, epoch, [not_before]";

    fn takes_number(&self) -> bool {
        self.group.is_none()
    }

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let sender = from.card_or_group(self.card, self.group)?;
        let key = from.service_key(self.slot, self.epoch)?;
        let command = EmmCommand::KeyDeliver(KeyDelivery {
            target: KeyTarget::Service(Slot::new(self.slot)),
            epoch: Epoch::new(self.epoch),
            suite: key.suite().number(),
            usage: 0,
            wrapped: sender.wrap(key.material()),
            kcv: key.kcv(),
            not_before: self.not_before.map_or(CasTime::new(0), |moment| moment.0),
        });
        Ok(match self.group {
            Some(_) => sender.signed_section(0, &[command], &from.signing_key()?)?,
            None => sender.section(on.sequence, &[command])?,
        })
    }
}

/// Erases the service keys below a floor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyActivate {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The service key's slot.
    pub slot: u8,
    /// The generation in use.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
    /// The oldest one kept.
    pub floor: u16,
}

impl Kind for KeyActivate {
    const NAME: &str = "key_activate";
    const FIELDS: &str = "card, slot, epoch, floor";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let command = EmmCommand::KeyActivate {
            target: KeyTarget::Service(Slot::new(self.slot)),
            epoch: Epoch::new(self.epoch),
            floor: Epoch::new(self.floor),
        };
        Ok(from.card(self.card)?.section(on.sequence, &[command])?)
    }
}

/// Erases one service key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDestroy {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The service key's slot.
    pub slot: u8,
    /// The generation that goes.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
}

impl Kind for KeyDestroy {
    const NAME: &str = "key_destroy";
    const FIELDS: &str = "card, slot, epoch";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let target = KeyTarget::Service(Slot::new(self.slot));
        let command = EmmCommand::KeyDestroy { target, epoch: Epoch::new(self.epoch) };
        Ok(from.card(self.card)?.section(on.sequence, &[command])?)
    }
}

/// Raises the level that ECMs may ask for (`emm_floor`). Without `card` for all cards, signed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmmLevel {
    /// The card, by its number.
    pub card: Option<Octets<8>>,
    /// The new level.
    pub level: u16,
    /// Only a card that took the RESET of this number reaches it.
    #[serde(default, deserialize_with = "reset_number")]
    pub after_reset: Option<ResetNumber>,
}

impl Kind for EmmLevel {
    const NAME: &str = "emm_level";
    const FIELDS: &str = "[card] (without: all cards, signed), level, [after_reset]";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let command = EmmCommand::EmmLevel { level: self.level, after: self.after_reset };
        Ok(match self.card {
            Some(card) => from.card(card)?.section(on.sequence, &[command])?,
            None => from.all()?.signed_section(on.sequence, &[command], &from.signing_key()?)?,
        })
    }
}

/// Moves the card's clock forward. Without `card` it goes to all cards, signed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSync {
    /// The card, by its number.
    pub card: Option<Octets<8>>,
    /// The time; by default the schedule's at the entry's first moment on air.
    pub time: Option<Utc>,
    /// Also sets the card's own clock, backward too: the number of this RESET, one series for all
    /// cards and each single one.
    #[serde(default, deserialize_with = "reset_number")]
    pub reset: Option<ResetNumber>,
}

/// A number of a RESET as an engineer writes it.
fn reset_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ResetNumber>, D::Error> {
    from_1(from).map(ResetNumber::new)
}

impl Kind for TimeSync {
    const NAME: &str = "time_sync";
    const FIELDS: &str = "[card] (without: all cards, signed), [time], [reset]";

    fn takes_number(&self) -> bool {
        false
    }

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let time = self.time.map_or(on.time, |time| time.0);
        let step = match self.reset {
            Some(number) => TimeStep::Reset(number),
            None => TimeStep::Forward,
        };
        let command = EmmCommand::TimeSync { time, step };
        Ok(match self.card {
            Some(card) => from.card(card)?.section(0, &[command])?,
            None => from.all()?.signed_section(0, &[command], &from.signing_key()?)?,
        })
    }
}

/// A new PIN, its tries all back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinReset {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The new PIN.
    pub pin: Pin,
}

impl Kind for PinReset {
    const NAME: &str = "pin_reset";
    const FIELDS: &str = "card, pin";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let sender = from.card(self.card)?;
        // The PIN block, followed by eight zero octets to the length of a key.
        let mut block = Zeroizing::new([0; 16]);
        block[..8].copy_from_slice(self.pin.0.expose());
        let WrappedKey::Short(wrapped) = sender.wrap(&KeyMaterial::Bits128(Secret::new(*block)))
        else {
            return Err(EncodeError::Invalid("PIN block").into());
        };
        Ok(sender.section(on.sequence, &[EmmCommand::PinReset { flags: 0, wrapped }])?)
    }
}

/// Blocks a card or frees it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardState {
    /// The card, by its number.
    pub card: Octets<8>,
    /// Blocked from now on; `false` frees it.
    pub blocked: bool,
}

impl Kind for CardState {
    const NAME: &str = "card_state";
    const FIELDS: &str = "card, blocked";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let command = EmmCommand::CardState { blocked: self.blocked };
        Ok(from.card(self.card)?.section(on.sequence, &[command])?)
    }
}

/// Asks a card for a report of its purchases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// The card, by its number.
    pub card: Octets<8>,
    /// Drawn for this request; `verify-report --nonce` takes it.
    pub nonce: Octets<8>,
    /// From the purchase with this offline sequence; without it from what was not acknowledged.
    #[serde(default)]
    pub from: u16,
}

impl Kind for ReportRequest {
    const NAME: &str = "report_request";
    const FIELDS: &str = "card, nonce, [from]";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let command = EmmCommand::ReportRequest { nonce: self.nonce.0, from: self.from };
        Ok(from.card(self.card)?.section(on.sequence, &[command])?)
    }
}

/// Tells a card that its report has arrived.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportAck {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The last receipt, as `verify-report` shows it.
    pub receipt: Octets<8>,
}

impl Kind for ReportAck {
    const NAME: &str = "report_ack";
    const FIELDS: &str = "card, receipt";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let command = EmmCommand::ReportAck(self.receipt.0);
        Ok(from.card(self.card)?.section(on.sequence, &[command])?)
    }
}

/// Gives a purchase back and ends its right.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refund {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The event, by its number.
    #[serde(deserialize_with = "from_1")]
    pub event: u32,
    /// The purse's offline sequence of the purchase.
    #[serde(deserialize_with = "from_1")]
    pub sequence: u16,
    /// At most what was paid, in yuan as text.
    #[serde(deserialize_with = "amount")]
    pub amount: Fen,
}

impl Kind for Refund {
    const NAME: &str = "refund";
    const FIELDS: &str = "card, event, sequence, amount";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let command = EmmCommand::Refund {
            event: EventId::new(self.event),
            sequence: self.sequence,
            amount: self.amount,
        };
        Ok(from.purse(self.card)?.section(on.sequence, &[command])?)
    }
}

/// A message for the subscriber.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Osd {
    /// The card, by its number.
    pub card: Option<Octets<8>>,
    /// Or the group, by its address. Without both it goes to all cards.
    pub group: Option<Octets<4>>,
    /// Tells messages apart.
    pub id: u16,
    /// Display attributes.
    #[serde(default)]
    pub attributes: u8,
    /// What the subscriber reads.
    pub text: String,
}

impl Kind for Osd {
    const NAME: &str = "osd";
    const FIELDS: &str = "[card or group] (without: all cards), id, text, [attributes]";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let sender = match (self.card, self.group) {
            (None, None) => from.all()?,
            (card, group) => from.card_or_group(card, group)?,
        };
        let (id, attributes, text) = (self.id, self.attributes, self.text.clone());
        Ok(sender.section(on.sequence, &[EmmCommand::Osd { id, attributes, text }])?)
    }
}

/// Pairs a card with a box: the card's half. The keys stand in the operator file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The box, by its number.
    #[serde(rename = "box")]
    pub stb: Octets<8>,
}

impl Kind for Pair {
    const NAME: &str = "pair";
    const FIELDS: &str = "card, box";

    fn takes_number(&self) -> bool {
        false
    }

    fn section(&self, from: Senders<'_>, _: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        from.card_half(self.card, self.stb)
    }
}

/// Takes a card's pairings away.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpair {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The pairing slot; without it all of them.
    pub slot: Option<u8>,
}

impl Kind for Unpair {
    const NAME: &str = "unpair";
    const FIELDS: &str = "card, [slot] (without: all)";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        if self.slot.is_some_and(|slot| slot >= PAIRING_SLOTS) {
            return Err(EncodeError::Invalid("pairing slot").into());
        }
        Ok(from.card(self.card)?.section(on.sequence, &[EmmCommand::Unpair(self.slot)])?)
    }
}

/// Takes a box's pairing with a card away.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxUnpair {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The box, by its number.
    #[serde(rename = "box")]
    pub stb: Octets<8>,
}

impl Kind for BoxUnpair {
    const NAME: &str = "box_unpair";
    const FIELDS: &str = "card, box";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        from.box_withdrawn(self.card, self.stb, on.sequence)
    }
}

/// Pairs a box with a card: the box's half.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxPair {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The box, by its number.
    #[serde(rename = "box")]
    pub stb: Octets<8>,
}

impl Kind for BoxPair {
    const NAME: &str = "box_pair";
    const FIELDS: &str = "card, box";

    fn takes_number(&self) -> bool {
        false
    }

    fn section(&self, from: Senders<'_>, _: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        from.box_half(self.card, self.stb)
    }
}

/// Lists a box out, or lifts that. Without `card` it goes to all cards, signed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxBar {
    /// The card, by its number.
    pub card: Option<Octets<8>>,
    /// The box, by its number.
    #[serde(rename = "box")]
    pub stb: Octets<8>,
    /// No card works with it from now on; `false` lifts that.
    pub barred: bool,
    /// The decision's number: one series for all boxes, whether told to one card or to all.
    #[serde(deserialize_with = "from_1")]
    pub number: u32,
}

impl Kind for BoxBar {
    const NAME: &str = "box_bar";
    const FIELDS: &str = "[card] (without: all cards, signed), box, barred, number";

    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let (number, stb) = (self.number, StbId::new(self.stb.0));
        let command = [EmmCommand::BoxBar { number, barred: self.barred, stb }];
        Ok(match self.card {
            Some(card) => from.card(card)?.section(on.sequence, &command)?,
            None => from.all()?.signed_section(on.sequence, &command, &from.signing_key()?)?,
        })
    }
}

/// A section from a file, as it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The file; relative to the schedule's folder.
    pub file: PathBuf,
}

impl Kind for Raw {
    const NAME: &str = "raw";
    const FIELDS: &str = "file";

    fn takes_number(&self) -> bool {
        false
    }

    fn section(&self, _: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        let file = on.folder.join(&self.file);
        let refused = |what: String| {
            EmmError::File(FileError { path: file.clone(), place: String::new(), what })
        };
        let octets = std::fs::read(&file).map_err(|error| refused(error.to_string()))?;
        CaSection::parse(&octets).map_err(|error| refused(error.to_string()))?;
        Ok(octets)
    }
}

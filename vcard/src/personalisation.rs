// SPDX-License-Identifier: Apache-2.0
//! What the factory puts on a card: the personalisation file.
//!
//! The file is TOML and strict: a field that nobody knows, a key of the wrong length, a number out
//! of range are errors that name the file and the field. No error shows a value: it might be a key.

mod fields;
mod keys;
mod psam;
mod purse;

use crate::cas::rights::Right;
use crate::psam::store::PsamStore;
use cam_types::{CardId, CasTime, Key, OperatorId, PackageId, Pseudonym, Secret, StbId};
use ecm_emm::card::PinBlock;
use ecm_emm::emm::ResetNumber;
use fields::{Fields, Problem, once};
use gp::scp03::StaticKeys;
pub use keys::{KeyEntry, KeyName};
pub use purse::PursePersonalisation;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Everything that is on a card when it leaves the factory.
pub struct Personalisation {
    /// The card's number.
    pub card_id: CardId,
    /// What it is called on the air.
    pub pseudonym: Pseudonym,
    /// The operator whose card it is.
    pub operator: OperatorId,
    /// The card begins its life blocked.
    pub blocked: bool,
    /// The end of its life.
    pub expires: CasTime,
    /// Where it lives, 0 to 15.
    pub region: u8,
    /// Ratings above want the PIN.
    pub rating_limit: u8,
    /// Channels that it keeps open at once.
    pub channels: u8,
    /// The EMM level that it has reached.
    pub emm_level: u16,
    /// The card's time when it leaves the factory.
    pub now: CasTime,
    /// The last TIME_SYNC.
    pub sync: CasTime,
    /// The last RESET of the clock, if there was one before the card was made.
    pub reset: Option<ResetNumber>,
    /// The holder's PIN.
    pub pin: PinBlock,
    /// Wrong PINs in a row before it is blocked.
    pub pin_tries: u8,
    /// Group addresses by index.
    pub groups: Vec<(u8, u32)>,
    /// The keys of its applications, each with its generation.
    pub keys: Vec<KeyEntry>,
    /// The operator's public key and its generation.
    pub signature: Option<(u8, [u8; 64])>,
    /// Administration key sets by key version.
    pub key_sets: Vec<(u8, StaticKeys)>,
    /// The purse: files, money and limits.
    pub purse: PursePersonalisation,
    /// The packages that are subscribed.
    pub rights: Vec<RightEntry>,
    /// The boxes that it works with.
    pub pairings: Vec<PairingEntry>,
    /// EMM sections that the factory applies, with the name of each.
    pub factory_emm: Vec<(String, Vec<u8>)>,
    /// The card is a secure module and nothing else.
    pub(crate) psam: Option<PsamStore>,
    path: PathBuf,
}

/// A subscribed package, as the file has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RightEntry {
    /// What the operator sells under this number.
    pub package: PackageId,
    /// The service key slot that it opens.
    pub slot: u8,
    /// From.
    pub start: CasTime,
    /// Until.
    pub end: CasTime,
}

/// A box.
pub struct PairingEntry {
    /// The pairing slot.
    pub slot: u8,
    /// The box.
    pub stb: StbId,
    /// The key of their sessions.
    pub k_pair: Key,
    /// The key under which control words leave the card.
    pub k_cw: Key,
}

/// Why a personalisation file makes no card.
#[derive(Debug)]
pub struct PersonalisationError {
    path: PathBuf,
    problem: Problem,
}

impl fmt::Display for PersonalisationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl std::error::Error for PersonalisationError {}

impl Personalisation {
    /// Reads the file `path`; files that it names are looked for beside it.
    pub fn from_file(path: &Path) -> Result<Self, PersonalisationError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let problem = Problem::whole(error.to_string());
            PersonalisationError { path: path.to_owned(), problem }
        })?;
        Self::from_text(&Zeroizing::new(text), path)
    }

    /// Reads the text of a file that is, or would be, at `path`.
    pub fn from_text(text: &str, path: &Path) -> Result<Self, PersonalisationError> {
        Self::parse(text, path)
            .map_err(|problem| PersonalisationError { path: path.to_owned(), problem })
    }

    /// An error of this file, found when the card was made.
    pub(crate) fn error(&self, field: &str, why: String) -> PersonalisationError {
        let problem = Problem::field(field, why);
        PersonalisationError { path: self.path.clone(), problem }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Problem> {
        let mut file = Fields::parse(text)?;
        match file.optional("kind", |f, name| f.one_of(name, &["card", "psam"]))? {
            Some(1) => {
                let psam = psam::read(&mut file)?;
                file.finish()?;
                let nothing = Self::card(Fields::parse(psam::NO_CARD)?, path)?;
                Ok(Self { psam: Some(psam), ..nothing })
            }
            _ => {
                let card = Self::card(file, path)?;
                card.check()?;
                Ok(card)
            }
        }
    }

    fn card(mut file: Fields, path: &Path) -> Result<Self, Problem> {
        let (now, sync, reset) = file.table("clock", |clock| {
            let reset = clock.optional("reset", |clock, name| {
                let number = ResetNumber::new(clock.number(name)?);
                number.ok_or_else(|| clock.wrong(name, "numbers of a RESET start at 1"))
            })?;
            Ok((clock.time("now")?, clock.time("sync")?, reset))
        })?;
        let perso = Self {
            card_id: CardId::new(file.octets("card_id")?),
            pseudonym: Pseudonym::new(file.octets("pseudonym")?),
            operator: OperatorId::new(file.number("operator")?),
            blocked: file.optional("state", |f, name| f.one_of(name, &["active", "blocked"]))?
                == Some(1),
            expires: file.optional("expires", Fields::time)?.unwrap_or(CasTime::new(u32::MAX)),
            region: file.optional("region", |f, name| f.at_most(name, 15))?.unwrap_or(0),
            rating_limit: file.optional("rating_limit", Fields::number)?.unwrap_or(u8::MAX),
            channels: file.optional("channels", channels)?.unwrap_or(8),
            emm_level: file.optional("emm_level", Fields::number)?.unwrap_or(0),
            now,
            sync,
            reset,
            pin: file.pin("pin")?,
            pin_tries: file.optional("pin_tries", |f, name| f.at_most(name, 15))?.unwrap_or(3),
            groups: file.tables("group", |group| {
                let address = u32::from_be_bytes(group.octets("address")?);
                Ok((group.at_most("index", 7)?, address))
            })?,
            keys: file.tables("key", KeyEntry::read)?,
            signature: file
                .optional_table("signature", |s| Ok((s.counted("epoch")?, s.octets("key")?)))?,
            key_sets: file.tables("key_set", |set| {
                let kvn: u8 = set.number("kvn")?;
                if !(0x30..=0x32).contains(&kvn) {
                    return Err(set.wrong("kvn", "expected 0x30, 0x31 or 0x32"));
                }
                let mut key = |name| set.octets(name).map(Secret::new);
                Ok((kvn, StaticKeys { enc: key("enc")?, mac: key("mac")?, dek: key("dek")? }))
            })?,
            purse: file.table("purse", PursePersonalisation::read)?,
            rights: file.tables("right", |right| {
                let (start, end) = (right.time("start")?, right.time("end")?);
                if end <= start {
                    return Err(right.wrong("end", "expected a time after `start`"));
                }
                let slot = right.optional("slot", |f, name| f.at_most(name, 15))?;
                Ok(RightEntry {
                    package: PackageId::new(right.number("package")?),
                    slot: slot.unwrap_or(Right::ANY_SLOT),
                    start,
                    end,
                })
            })?,
            pairings: file.tables("pairing", |pairing| {
                Ok(PairingEntry {
                    slot: pairing.at_most("slot", 3)?,
                    stb: StbId::new(pairing.octets("stb_id")?),
                    k_pair: Secret::new(pairing.octets("k_pair")?),
                    k_cw: Secret::new(pairing.octets("k_cw")?),
                })
            })?,
            factory_emm: file.files("factory_emm", path)?,
            psam: None,
            path: path.to_owned(),
        };
        file.finish()?;
        Ok(perso)
    }
    /// What the file says twice or against itself: each field alone is as it should be, and no card
    /// could be what all of them say.
    fn check(&self) -> Result<(), Problem> {
        let wrong = |field: &str, why: &str| Err(Problem::field(field, why.to_owned()));
        if self.pin_tries == 0 {
            return wrong("pin_tries", "is 0, counted from 1");
        }
        if self.sync > self.now {
            return wrong("clock.sync", "is later than `now`");
        }
        if self.expires <= self.now {
            return wrong("expires", "expected a time after `clock.now`");
        }
        let pairings = self.pairings.iter().map(|pairing| pairing.slot);
        once(pairings, "pairing", "slot", "another pairing has this slot")?;
        let groups = || self.groups.iter();
        once(groups().map(|group| group.0), "group", "index", "another group has this index")?;
        once(groups().map(|group| group.1), "group", "address", "another index has this address")?;
        let sets = self.key_sets.iter().map(|set| set.0);
        once(sets, "key_set", "kvn", "another set has this version")?;
        let rights = self.rights.iter().map(|right| (right.package, right.slot));
        once(rights, "right", "package", "this package has a right of this slot already")?;
        // The purse's number is for everybody to read, and the pseudonym is on the air.
        let (card, pseudonym) = (self.card_id.octets(), self.pseudonym.octets());
        let purse_has =
            |number: &[u8; 8]| self.purse.serial().windows(number.len()).any(|part| part == number);
        if pseudonym == card {
            return wrong("pseudonym", "is the card's number");
        }
        if purse_has(card) {
            return wrong("purse.serial", "has the card's number in it");
        }
        if purse_has(pseudonym) {
            return wrong("purse.serial", "has the pseudonym in it");
        }
        Ok(())
    }
}

/// How many channels a card keeps: one at least.
fn channels(file: &mut Fields, name: &str) -> Result<u8, Problem> {
    match file.at_most(name, 64)? {
        0 => Err(file.wrong(name, "is 0, counted from 1")),
        kept => Ok(kept),
    }
}

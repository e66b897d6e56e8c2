// SPDX-License-Identifier: Apache-2.0
//! The schedule file: what goes on air, and when.

use super::FileError;
use super::fields::{Octets, SecretOctets, Utc, amount, from_1, section_pid};
use super::{optional, required};
use crate::cw_source::Entropy;
use crate::message::Message;
use crate::scrambler::Algorithm;
use cam_types::{Fen, Pid};
use ecm_emm::dvs042::Scte52Ivs;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Spanned, Table};

/// The schedule file. Times with `_ms` and `_s` count from `start`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The moment of the stream's first PCR.
    pub start: Utc,
    /// CA_system_id of our descriptors.
    pub ca_system_id: u16,
    /// How long a control word is in use.
    pub crypto_period_s: u32,
    /// An ECM of each service falls due this often.
    #[serde(default = "ecm_period")]
    pub ecm_period_ms: u32,
    /// The CAT falls due this often.
    #[serde(default = "cat_period")]
    pub cat_period_ms: u32,
    /// Where EMMs go.
    #[serde(deserialize_with = "section_pid")]
    pub emm_pid: Pid,
    /// The initialisation vector of the network's SCTE 52; without it, zero.
    scte52_iv: Option<Octets<8>>,
    /// The one for payloads shorter than a block; without it, the same.
    scte52_short_iv: Option<Octets<8>>,
    /// Control words come from this instead of the system's random numbers: only for tests.
    pub seed: Option<SecretOctets<16>>,
    /// The services to scramble.
    pub service: Vec<Service>,
    /// The EMM carousel, in the order of its numbers.
    #[serde(skip)]
    pub emm: Vec<Entry>,
    #[serde(default, rename = "emm")]
    written: Vec<Spanned<Table>>,
    /// Where it was read from.
    #[serde(skip)]
    pub path: PathBuf,
}

const fn ecm_period() -> u32 {
    100
}

const fn cat_period() -> u32 {
    400
}

/// A service to scramble.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// For the report.
    pub name: String,
    /// program_number in the PAT.
    pub service: u16,
    /// More services of the PAT under the same ECMs: such as share components with it.
    #[serde(default)]
    pub also: Vec<u16>,
    /// What becomes of components that a service under other ECMs, or under none, has too.
    pub shared: Option<Shared>,
    /// The channel in its ECMs.
    pub channel: u16,
    /// Which service key seals its ECMs.
    pub slot: u8,
    /// The algorithm.
    #[serde(with = "Scrambling")]
    pub scrambling: Algorithm,
    /// How much of its control words a DVB-CSA2 scrambler uses.
    pub entropy: Option<Entropy>,
    /// Where its ECMs go.
    #[serde(deserialize_with = "section_pid")]
    pub ecm_pid: Pid,
    /// The generation of the service key, from the start.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
    /// Later generations.
    #[serde(default)]
    pub rotation: Vec<Rotation>,
    /// Any of these packages opens the service.
    #[serde(default)]
    pub packages: Vec<u16>,
    /// Open to every card that holds the service key.
    #[serde(default)]
    pub free: bool,
    /// Pay-per-view events, in order.
    #[serde(default)]
    pub event: Vec<Event>,
    /// Copy control information for the box.
    #[serde(default)]
    pub cci: u8,
    /// Age rating.
    #[serde(default)]
    pub rating: u8,
    /// Regions where it may be watched.
    #[serde(default = "every_region")]
    pub region: u16,
    /// The EMM level that a card must have reached.
    #[serde(default)]
    pub emm_floor: u16,
    /// The level that it will ask for next.
    pub next_floor: Option<NextFloor>,
}

/// The next EMM level that a service asks for: its ECMs say so before.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextFloor {
    /// Above `emm_floor`.
    pub level: u16,
    /// From this crypto period's first moment; it may lie behind the end of the stream.
    pub from: Utc,
    /// When the level's `emm_level` went on air for the first time.
    pub level_on_air: Utc,
    /// Less than a week between the two: only for tests.
    #[serde(default)]
    pub without_grace: bool,
}

impl NextFloor {
    /// How long a card may have been without EMMs before it goes dark.
    const GRACE_S: u32 = 7 * 86_400;
}

const fn every_region() -> u16 {
    0xFFFF
}

/// What becomes of a component of two services.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Shared {
    /// It stays in clear.
    Clear,
}

impl Service {
    /// All services under its ECMs, by program_number.
    pub fn numbers(&self) -> impl Iterator<Item = u16> + '_ {
        std::iter::once(self.service).chain(self.also.iter().copied())
    }

    /// How much of its control words the scrambler uses: all of them if the file does not say.
    pub fn entropy(&self) -> Entropy {
        self.entropy.unwrap_or_default()
    }
}

/// The names of the algorithms in the file.
#[derive(Deserialize)]
#[serde(remote = "Algorithm", rename_all = "snake_case")]
enum Scrambling {
    Csa2,
    Cissa,
    Idsa,
    Scte52,
}

/// A change of the service key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// From this crypto period's first moment.
    pub from_s: u32,
    /// The new generation.
    #[serde(deserialize_with = "from_1")]
    pub epoch: u16,
}

/// A pay-per-view event.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// event_id: what an ECM and a purchase name it by.
    #[serde(deserialize_with = "from_1")]
    pub id: u32,
    /// Its beginning, in seconds from the schedule's start.
    pub from_s: u32,
    /// Its end; without one it lasts to the end of the stream.
    pub until_s: Option<u32>,
    /// The price in yuan, as text.
    #[serde(deserialize_with = "amount")]
    pub price: Fen,
    /// It is not for sale: cards that it is granted to (`ppv_grant`) open it. Its price is 0.
    #[serde(default)]
    pub grant_only: bool,
    /// Quality or window of the event.
    #[serde(default = "first_tier")]
    pub tier: u8,
    /// How many seconds can be watched before buying.
    #[serde(default)]
    pub preview_s: u8,
    /// The offer to buy it ahead is on air from here to its end.
    pub offer_from_s: Option<u32>,
}

const fn first_tier() -> u8 {
    1
}

/// An entry of the EMM carousel.
#[derive(Clone, Debug)]
pub struct Entry {
    /// For the report and for `replay`.
    pub name: String,
    /// Due for the first time.
    pub from_ms: u32,
    /// Not due any more; without it the entry stays to the end of the stream.
    pub until_ms: Option<u32>,
    /// Due again after this time; without it the entry is sent once.
    pub period_ms: Option<u32>,
    /// What it says.
    pub message: Message,
}

impl Entry {
    /// Name and times, then the fields of the message's kind.
    fn from_table(mut table: Table) -> Result<Self, String> {
        Ok(Self {
            name: required(&mut table, "name")?,
            from_ms: required(&mut table, "from_ms")?,
            until_ms: optional(&mut table, "until_ms")?,
            period_ms: optional(&mut table, "period_ms")?,
            message: Message::from_table(table)?,
        })
    }
}

impl Schedule {
    /// Reads and checks a schedule file.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::parse(path, &super::text(path)?)
    }

    /// Takes a schedule file's text; `path` is for errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let mut schedule: Self = super::parse(path, text)?;
        path.clone_into(&mut schedule.path);
        for written in std::mem::take(&mut schedule.written) {
            let place = super::place(text, written.span().start);
            let entry = Entry::from_table(written.into_inner()).map_err(|what| FileError {
                path: path.to_owned(),
                place,
                what,
            })?;
            schedule.emm.push(entry);
        }
        schedule.check()?;
        Ok(schedule)
    }

    /// The initialisation vectors of the network's SCTE 52.
    pub fn scte52_ivs(&self) -> Scte52Ivs {
        Scte52Ivs::new(self.scte52_iv.unwrap_or_default().0, self.scte52_short_iv.map(|iv| iv.0))
    }

    /// What is wrong with a field, with the path of this file, for whoever wrote it.
    pub fn error(&self, table: &str, field: &str, what: impl fmt::Display) -> FileError {
        FileError::field(&self.path, table, field, what)
    }

    fn check(&self) -> Result<(), FileError> {
        for (field, got, least, most) in [
            ("crypto_period_s", self.crypto_period_s, 2, 3600),
            ("ecm_period_ms", self.ecm_period_ms, 20, 1000),
            ("cat_period_ms", self.cat_period_ms, 25, 500),
        ] {
            if !(least..=most).contains(&got) {
                let what = format!("got {got}, expected {least} to {most}");
                return Err(self.error("", field, what));
            }
        }
        if !self.start.0.seconds().is_multiple_of(self.crypto_period_s) {
            let what = "crypto periods are counted from 2000: start at a multiple of \
                        crypto_period_s";
            return Err(self.error("", "start", what));
        }
        if self.scte52_short_iv.is_some() && self.scte52_iv.is_none() {
            let what = "stands beside scte52_iv, which is missing; one of zeros is written out";
            return Err(self.error("", "scte52_short_iv", what));
        }
        if self.service.is_empty() {
            return Err(self.error("", "service", "no service to scramble"));
        }
        let mut pids = vec![self.emm_pid];
        for (n, service) in self.service.iter().enumerate() {
            self.check_service(n, service)?;
            let table = format!("[[service]] \"{}\"", service.name);
            if pids.contains(&service.ecm_pid) {
                return Err(self.error(&table, "ecm_pid", "another stream of sections has it"));
            }
            pids.push(service.ecm_pid);
        }
        for (n, entry) in self.emm.iter().enumerate() {
            self.check_entry(n, entry)?;
        }
        self.check_prices()
    }

    fn check_service(&self, n: usize, service: &Service) -> Result<(), FileError> {
        let table = format!("[[service]] \"{}\"", service.name);
        let mut numbers: Vec<u16> =
            self.service.iter().take(n).flat_map(Service::numbers).collect();
        for (place, number) in service.numbers().enumerate() {
            if numbers.contains(&number) {
                let field = if place == 0 { "service" } else { "also" };
                return Err(self.error(&table, field, "another table has this service"));
            }
            numbers.push(number);
        }
        let earlier = || self.service.iter().take(n);
        if earlier().any(|other| other.name == service.name) {
            return Err(self.error(&table, "name", "another table has it"));
        }
        if earlier().any(|other| other.channel == service.channel) {
            return Err(self.error(&table, "channel", "another table has it"));
        }
        if service.region == 0 {
            return Err(self.error(&table, "region", "0 is nowhere"));
        }
        let twice = |(n, package): (usize, &u16)| {
            service.packages.iter().take(n).any(|other| other == package).then_some(*package)
        };
        if let Some(package) = service.packages.iter().enumerate().find_map(twice) {
            return Err(self.error(&table, "packages", format!("{package} stands in it twice")));
        }
        if service.slot > 15 {
            let what = format!("got {}, expected 0 to 15", service.slot);
            return Err(self.error(&table, "slot", what));
        }
        if service.entropy.is_some() && service.scrambling != Algorithm::Csa2 {
            let what = format!(
                "{} takes control words as they are; only a service of {} has it",
                service.scrambling,
                Algorithm::Csa2
            );
            return Err(self.error(&table, "entropy", what));
        }
        if service.channel == 0 {
            return Err(self.error(&table, "channel", "0 stands for any channel"));
        }
        if service.packages.len() > 16 {
            return Err(self.error(&table, "packages", "at most 16 fit one ECM"));
        }
        if let Some(floor) = &service.next_floor {
            self.check_floor(&table, service.emm_floor, floor)?;
        }
        let (mut before, mut epoch) = (0, service.epoch);
        for (m, rotation) in service.rotation.iter().enumerate() {
            let table = format!("{table} rotation {}", m + 1);
            self.check_boundary(&table, "from_s", rotation.from_s)?;
            if rotation.from_s <= before {
                return Err(self.error(&table, "from_s", "rotations follow one another"));
            }
            if rotation.epoch <= epoch {
                let what = format!("generations count up, {epoch} is on air before");
                return Err(self.error(&table, "epoch", what));
            }
            (before, epoch) = (rotation.from_s, rotation.epoch);
        }
        let mut free_from = Some(0);
        for event in &service.event {
            let table = format!("{table} event {}", event.id);
            self.check_boundary(&table, "from_s", event.from_s)?;
            if free_from.is_none_or(|free| event.from_s < free) {
                return Err(self.error(&table, "from_s", "the event before is still on air"));
            }
            self.check_price(&table, event)?;
            if let Some(until) = event.until_s {
                self.check_boundary(&table, "until_s", until)?;
                if until <= event.from_s {
                    return Err(self.error(&table, "until_s", "ends before it starts"));
                }
            }
            if event.offer_from_s.is_some_and(|from| from > event.from_s) {
                let what = "an offer is on air before the event starts";
                return Err(self.error(&table, "offer_from_s", what));
            }
            free_from = event.until_s;
        }
        Ok(())
    }

    /// Who had the box off for some days is not in the dark for it.
    fn check_floor(&self, table: &str, now: u16, next: &NextFloor) -> Result<(), FileError> {
        let error = |field, what: String| Err(self.error(table, field, what));
        if next.level <= now {
            let what = format!("got {}, expected more than emm_floor ({now})", next.level);
            return error("next_floor.level", what);
        }
        if !next.from.0.seconds().is_multiple_of(self.crypto_period_s) {
            let what = "crypto periods are counted from 2000: from a multiple of crypto_period_s";
            return error("next_floor.from", what.to_owned());
        }
        let earliest = next.level_on_air.0.saturating_add(NextFloor::GRACE_S);
        if next.from.0 < earliest && !next.without_grace {
            let what = format!(
                "7 days after the level's EMM went on air, at the earliest {} s later; a test \
                 writes without_grace = true",
                earliest.seconds() - next.from.0.seconds()
            );
            return error("next_floor.from", what);
        }
        Ok(())
    }

    /// An edition of an event costs the same wherever it is: a report has only its number.
    fn check_prices(&self) -> Result<(), FileError> {
        let mut sold: Vec<&Event> = Vec::new();
        for service in &self.service {
            for event in &service.event {
                let same = |other: &&&Event| (other.id, other.tier) == (event.id, event.tier);
                if let Some(other) = sold.iter().find(same)
                    && other.price != event.price
                {
                    let table = format!("[[service]] \"{}\" event {}", service.name, event.id);
                    let what = format!("another table sells it for {}", other.price);
                    return Err(self.error(&table, "price", what));
                }
                sold.push(event);
            }
        }
        Ok(())
    }

    /// Nothing is sold for nothing.
    fn check_price(&self, table: &str, event: &Event) -> Result<(), FileError> {
        let (field, what) = match (event.grant_only, event.price == Fen::ZERO) {
            (false, true) => (
                "price",
                "an event costs something; for one that is not sold write grant_only = true",
            ),
            (true, false) => ("price", "what is not sold has the price 0.00"),
            (true, true) if event.offer_from_s.is_some() => {
                ("offer_from_s", "what is not sold has no offer")
            }
            _ => return Ok(()),
        };
        Err(self.error(table, field, what))
    }

    /// Criteria change only where the control word does.
    fn check_boundary(&self, table: &str, field: &str, seconds: u32) -> Result<(), FileError> {
        if seconds.is_multiple_of(self.crypto_period_s) {
            return Ok(());
        }
        let what = format!(
            "got {seconds}, expected a multiple of crypto_period_s ({})",
            self.crypto_period_s
        );
        Err(self.error(table, field, what))
    }

    fn check_entry(&self, n: usize, entry: &Entry) -> Result<(), FileError> {
        let table = format!("[[emm]] \"{}\"", entry.name);
        let earlier: Vec<&Entry> = self.emm.iter().take(n).collect();
        if earlier.iter().any(|other| other.name == entry.name) {
            return Err(self.error(&table, "name", "another entry has it"));
        }
        if entry.until_ms.is_some_and(|until| until <= entry.from_ms) {
            return Err(self.error(&table, "until_ms", "ends before it starts"));
        }
        if entry.period_ms.is_some_and(|period| period < 25) {
            let what = "sections of one kind keep 25 ms between them";
            return Err(self.error(&table, "period_ms", what));
        }
        if let Message::Replay(replay) = &entry.message {
            let Some(original) = earlier.iter().find(|other| other.name == replay.of) else {
                return Err(self.error(&table, "of", "names no earlier entry"));
            };
            if original.from_ms >= entry.from_ms {
                return Err(self.error(&table, "from_ms", "nothing was on air to repeat"));
            }
        }
        if let Message::ForgeEcm(forged) = &entry.message
            && !self.service.iter().any(|other| other.service == forged.service)
        {
            return Err(self.error(&table, "service", "names no service"));
        }
        Ok(())
    }
}

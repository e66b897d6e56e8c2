// SPDX-License-Identifier: Apache-2.0
//! Floods: a box that watches on the slowest line, and somebody who fills the air, in virtual time.
//!
//! Every service has its crypto period of ten seconds, and its ECM ten times a second.

use crate::demo::{
    DAY, EVENT, K_GLB, NEWS, NOON, PIN, PRICE, Sender, TO_ALL, TO_CARD, TO_GROUP, body, cinema,
    file, key, powered, raw, seal_period, subscription,
};
use crate::paced_box::PacedBox;
use crate::tables;
use cam_core::{SessionId, Stats, TxnState};
use cam_types::{Instant, PackageId, Pid};
use ecm_emm::ecm::Ecm;
use ecm_emm::emm::{self, EmmCommand};
use std::path::Path;
use std::time::Duration;
use vcard::atr::Profile;
use vcard::nvm::RamStore;
use vcard::{Card, Personalisation};

pub const EMM_PID: Pid = Pid::from_field(0x150);
/// One section of a flood comes in so many milliseconds.
pub const TICK: u32 = 10;
/// Ticks of a crypto period.
pub const PERIOD: u32 = 10_000 / TICK;
/// The first crypto periods, from which the box learns.
pub const WARM: u32 = 4;
/// Octets of an EMM of a flood.
pub const LONG: usize = 239;
/// The point at which P-256 begins: a public key whose private one is 1.
const SIGNER: &str = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                      4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

/// Whom the EMMs of a flood are addressed to, and what is wrong with them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Junk {
    Unique,
    Shared,
    Global,
    /// Under the key that every card holds, with a signature that is none.
    Signed,
}

impl Junk {
    pub const ALL: [Self; 4] = [Self::Unique, Self::Shared, Self::Global, Self::Signed];

    pub const fn sender(self) -> Sender {
        match self {
            Self::Unique => TO_CARD,
            Self::Shared => TO_GROUP,
            Self::Global | Self::Signed => TO_ALL,
        }
    }
}

/// EMMs of 239 octets, each another one, that begin like genuine ones.
pub struct Forger {
    junk: Junk,
    section: Vec<u8>,
}

impl Forger {
    pub fn new(junk: Junk) -> Self {
        let sender = junk.sender();
        let room = LONG - sender.header(0).aad_len() - 16;
        Self { junk, section: raw(sender, 5000, &vec![0xA5; room]) }
    }

    pub fn section(&mut self, n: u32) -> Vec<u8> {
        if self.junk == Junk::Signed {
            return signed(5000 + n);
        }
        assert_eq!(self.section.len(), LONG);
        let mut section = self.section.clone();
        let at = LONG - 4;
        section[at..].copy_from_slice(&(0x5EED_0000 ^ n).to_be_bytes());
        section
    }
}

/// A message that is sealed by the key of all cards, and not signed by the operator.
fn signed(number: u32) -> Vec<u8> {
    let mut section = Vec::new();
    let level = EmmCommand::EmmLevel { level: 9, after: Default::default() };
    let sign = |_: &[u8; 32]| [0x5A; 64];
    emm::seal_signed(&TO_ALL.header(number), &[level], sign, &key(K_GLB), &mut section).unwrap();
    section
}

/// The demo's card, which knows an operator's public key.
fn card() -> Card {
    let text = format!("{}\n[signature]\nepoch = 1\nkey = \"{SIGNER}\"\n", file(""));
    let made = Personalisation::from_text(&text, Path::new("card.toml"));
    let memory = Card::personalise(&made.unwrap_or_else(|e| panic!("{e}"))).unwrap();
    powered(Box::new(RamStore::new(memory.octets())))
}

/// A service: its ECM stream, its session, and how many ticks its periods begin behind the first's.
struct Service {
    pid: Pid,
    session: SessionId,
    phase: u32,
    /// When each crypto period came on air.
    began: Vec<(u32, Instant)>,
    ecm: Vec<u8>,
}

/// See the module.
pub struct Flood {
    pub stb: PacedBox,
    services: Vec<Service>,
    tick: u32,
}

impl Flood {
    /// So many services are watched, by a card of T=0 at 9,600 bit/s.
    pub fn new(services: u16) -> Self {
        let mut stb = PacedBox::with(&Profile { ta1: 0x11, ..Profile::t0() }, card());
        stb.run_until(Duration::from_secs(20), |stb| stb.engine.stats().channels == 1);
        stb.cat(&tables::cat(EMM_PID));
        let mut all = Vec::new();
        for n in 0..services {
            let pid = Pid::from_field(0x141 + n);
            let session = match n {
                0 => stb.news,
                _ => {
                    let pmt = tables::pmt(1 + n, pid, Pid::from_field(0x101 + n), None);
                    stb.engine.session_open(stb.line.now(), 0, &pmt).unwrap()
                }
            };
            let phase = u32::from(n) * 230;
            all.push(Service { pid, session, phase, began: Vec::new(), ecm: Vec::new() });
        }
        stb.called();
        let mut flood = Self { stb, services: all, tick: 0 };
        flood.periods(WARM, |_, _| {});
        flood
    }

    /// So many crypto periods go by; in each tick somebody does something, behind what is genuine.
    pub fn periods(&mut self, periods: u32, mut act: impl FnMut(&mut Self, u32)) {
        for n in 0..periods * PERIOD {
            self.broadcast();
            act(self, n);
            self.stb.run(Duration::from_millis(TICK.into()));
            self.tick += 1;
        }
    }

    fn broadcast(&mut self) {
        for (n, service) in self.services.iter_mut().enumerate() {
            let behind = self.tick + PERIOD - service.phase;
            if !behind.is_multiple_of(10) {
                continue;
            }
            let (period, since) = (behind / PERIOD + 10, behind % PERIOD);
            if since == 0 || service.ecm.is_empty() {
                let time = NOON.saturating_add(10 * period + n as u32);
                service.ecm = seal_period(NEWS, period, &body(time, subscription()));
                if since == 0 {
                    service.began.push((period, self.stb.line.now()));
                }
            }
            self.stb.section(service.pid, &service.ecm);
        }
    }

    /// The genuine ECM of the first service.
    pub fn ecm(&self) -> &[u8] {
        &self.services[0].ecm
    }

    pub fn first_pid(&self) -> Pid {
        self.services[0].pid
    }

    pub fn stats(&self) -> Stats {
        self.stb.engine.stats()
    }

    /// How long the control words of each crypto period took that began since `from`, sorted. The
    /// last period may not be over, and every other one must have had its words.
    pub fn latencies(&self, from: Instant) -> Vec<Duration> {
        let mut all = Vec::new();
        for service in &self.services {
            let (_, began) = service.began.split_last().unwrap();
            for (period, at) in began.iter().filter(|(_, at)| *at >= from) {
                let ours =
                    |given: &&(Instant, Pid, u32)| (given.1, given.2) == (service.pid, *period);
                let given = self.stb.given.iter().find(ours);
                let (given, ..) = given.unwrap_or_else(|| panic!("no words in period {period}"));
                all.push(given.since(*at));
            }
        }
        all.sort_unstable();
        all
    }

    /// Whether the News are open in every session.
    pub fn all_granted(&self) -> bool {
        self.services.iter().all(|service| {
            let access = self.stb.engine.access(service.session).unwrap();
            access.state == cam_core::AccessState::Granted
        })
    }
}

/// A right for package 7 that somebody sends.
pub fn genuine(junk: Junk) -> Vec<u8> {
    match junk {
        Junk::Unique => {
            let (start, end) = (NOON, NOON.saturating_add(30 * DAY));
            let package = PackageId::new(7);
            let grant = EmmCommand::Grant { package, start, end, version: 1, horizon: None };
            TO_CARD.seal(4000, &[grant])
        }
        Junk::Shared => TO_GROUP.seal(4000, &[osd()]),
        Junk::Global | Junk::Signed => TO_ALL.seal(4000, &[osd()]),
    }
}

fn osd() -> EmmCommand {
    EmmCommand::Osd { id: 1, attributes: 0, text: "hello".into() }
}

/// The least that 99 of a hundred do not exceed.
pub fn p99(sorted: &[Duration]) -> Duration {
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}

/// ECM latencies of so many crypto periods in which nobody does anything, sorted.
pub fn quiet(services: u16, periods: u32) -> Vec<Duration> {
    let mut flood = Flood::new(services);
    let from = flood.stb.line.now();
    flood.periods(periods + 1, |_, _| {});
    flood.latencies(from)
}

/// A purchase of the event in Cinema, with the right PIN, while somebody sends an EMM in each tick
/// (or not): how long it takes from the subscriber's word to the receipt.
pub fn purchase(mut forge: impl FnMut(u32) -> Option<Vec<u8>>) -> Duration {
    let mut flood = Flood::new(1);
    let pid = Pid::from_field(0x160);
    let pmt = tables::pmt(9, pid, Pid::from_field(0x161), None);
    let session = flood.stb.engine.session_open(flood.stb.line.now(), 0, &pmt).unwrap();
    flood.stb.called();
    let ecm = cinema(EVENT, NOON.saturating_add(60));
    let mut air = |flood: &mut Flood, n: u32| {
        if let Some(section) = forge(n) {
            flood.stb.section(EMM_PID, &section);
        }
        if n.is_multiple_of(10) {
            flood.stb.section(pid, &ecm);
        }
    };
    flood.periods(2, &mut air);
    let engine = &mut flood.stb.engine;
    let offer = engine.offers(session).next().unwrap();
    let request = engine.request_new().unwrap();
    let now = flood.stb.line.now();
    let txn = engine.purchase_begin(now, offer.id, request, PRICE).unwrap();
    engine.purchase_confirm(now, txn, PIN).unwrap();
    flood.stb.called();
    let mut took = None;
    flood.periods(1, |flood, n| {
        if took.is_none() && flood.stb.engine.purchase(txn).unwrap().state == TxnState::Paid {
            took = Some(flood.stb.line.now().since(now));
        }
        air(flood, 2 * PERIOD + n);
    });
    took.expect("paid within ten seconds")
}

/// What EMMs did to a box.
pub struct Told {
    pub p99: Duration,
    pub longest: Duration,
    /// How long the genuine message took from its first time on air; `None`: for ever.
    pub applied: Option<Duration>,
    /// Messages of the flood that the card was asked about, and refused.
    pub refused: u64,
    /// Of `page_writes` while there was no genuine message.
    pub writes: u64,
}

/// In so many crypto periods somebody sends an EMM in each tick; from the middle on the head-end a
/// genuine one, each so many ticks. Nothing else writes on the card.
pub fn under_emms(
    junk: Junk,
    services: u16,
    periods: u32,
    each: u32,
    mut forge: impl FnMut(u32) -> Option<Vec<u8>>,
) -> Told {
    let mut flood = Flood::new(services);
    let (from, written) = (flood.stb.line.now(), flood.stb.card().page_writes);
    let genuine = genuine(junk);
    let first = periods / 2 * PERIOD + 137;
    let (mut applied, mut writes) = (None, 0);
    flood.periods(periods + 1, |flood, n| {
        if let Some(section) = forge(n) {
            flood.stb.section(EMM_PID, &section);
        }
        if n < first {
            writes = flood.stb.card().page_writes - written;
            assert_eq!(flood.stats().emm_applied.iter().sum::<u64>(), 0);
            return;
        }
        if applied.is_none() && flood.stats().emm_applied.iter().sum::<u64>() > 0 {
            applied = Some(Duration::from_millis(u64::from((n - first) * TICK)));
        }
        if (n - first).is_multiple_of(each) {
            flood.stb.section(EMM_PID, &genuine);
        }
    });
    assert!(flood.all_granted(), "{junk:?}");
    let latencies = flood.latencies(from);
    assert!(latencies.len() >= periods as usize * usize::from(services));
    let refused = flood.stats().emm_refused.iter().sum();
    let longest = latencies.last().copied().unwrap_or_default();
    Told { p99: p99(&latencies), longest, applied, refused, writes }
}

/// A section of a genuine ECM's header whose seal is nobody's, each another one.
pub fn forged_ecm(genuine: &[u8], n: u32) -> Vec<u8> {
    assert!(Ecm::parse(genuine).is_ok());
    let mut section = genuine.to_vec();
    let at = section.len() - 4;
    section[at..].copy_from_slice(&(0x0BAD_0000 ^ n).to_be_bytes());
    section
}

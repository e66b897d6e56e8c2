// SPDX-License-Identifier: Apache-2.0
//! A box in virtual time: engine, reader, storage, descrambler, and a slot for a card.

pub(crate) mod air;
pub(crate) mod card;

use cam_core::{
    Absence, CardState, Config, Engine, Entropy, Event, Handover, Input, Output, Probed, SessionId,
    SignOfLife, StoreId,
};
use cam_types::{Instant, Key, Pid};
use card::{ModelCard, STB};
use ecm_emm::card::INS_ECM;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the card takes for a command, and to answer to its reset.
pub(crate) const EXCHANGE: Duration = Duration::from_millis(80);
pub(crate) const RESET: Duration = Duration::from_millis(50);
/// The same for the longest ECM on the slowest line, T=0 at 9,600 bit/s: 340 ms of line
/// (`docs/benchmarks.md`) and the card's own.
pub(crate) const SLOWEST: Duration = Duration::from_millis(350);
/// The time after which the line gives a silent card up when the engine does not say.
pub(crate) const BWT: Duration = Duration::from_millis(800);

struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, octets: &mut [u8]) {
        for octet in octets {
            self.0 = self.0.wrapping_mul(5).wrapping_add(17);
            *octet = self.0;
        }
    }
}

/// What the reader will report, and when.
enum Report {
    Response(Vec<u8>),
    Probed(Probed),
    Silence,
    Ready,
    Mute,
}

/// The ECWs of one ECM stream in the descrambler.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ecw {
    pub even: [u8; 16],
    pub odd: [u8; 16],
    pub period: u32,
    pub es_pids: Vec<Pid>,
    pub mode: u8,
}

pub(crate) struct Rig {
    pub engine: Engine,
    pub now: Instant,
    pub card: ModelCard,
    pub inserted: bool,
    /// Rows that became durable.
    pub storage: BTreeMap<String, Vec<u8>>,
    /// The storage answers nothing until this is off.
    pub storage_hangs: bool,
    pub storage_fails: bool,
    stores: Vec<StoreId>,
    pub ecw: BTreeMap<(u32, Pid), Ecw>,
    pub events: Vec<(Instant, Event)>,
    pub cleared: Vec<(Instant, SessionId)>,
    pub ladders: Vec<u8>,
    pub activations: usize,
    pub commands: Vec<Vec<u8>>,
    /// What the line can do by itself, what comes of it, and how often it was asked.
    pub sign_of_life: SignOfLife,
    pub sign: Probed,
    pub probes: usize,
    /// How long the card takes for a command.
    pub exchange: Duration,
    /// What the descrambler says to ladder keys and to control words; `None`: nothing yet.
    pub ladder: Option<Handover>,
    pub descrambler: Option<Handover>,
    /// How often it was handed control words.
    pub handovers: usize,
    /// What it has said and the engine has not heard yet.
    handed: Vec<Input<'static>>,
    /// The next so many answers get lost.
    pub lose: usize,
    report: Option<(Instant, Report)>,
    wait: Option<Instant>,
}

impl Rig {
    /// A paired box with a card in its reader, in session.
    pub(crate) fn ready() -> Self {
        Self::ready_from(moments::first())
    }

    pub(crate) fn ready_from(first: Instant) -> Self {
        let mut rig = Self::from(first, config(air::stored_pairing()));
        rig.run(1000);
        rig.rest();
        assert_eq!(rig.engine.card().state, CardState::Ready);
        rig
    }

    pub(crate) fn new(config: Config) -> Self {
        Self::from(moments::first(), config)
    }

    /// The box is switched on at this moment of its clock.
    pub(crate) fn from(first: Instant, config: Config) -> Self {
        let stored = config.stored.iter().cloned().collect();
        let mut rig = Self {
            engine: Engine::new(config),
            now: first,
            card: ModelCard::new(),
            inserted: true,
            storage: stored,
            storage_hangs: false,
            storage_fails: false,
            stores: Vec::new(),
            ecw: BTreeMap::new(),
            events: Vec::new(),
            cleared: Vec::new(),
            ladders: Vec::new(),
            activations: 0,
            commands: Vec::new(),
            sign_of_life: SignOfLife::Command,
            sign: Probed::Alive,
            probes: 0,
            exchange: EXCHANGE,
            ladder: Some(Handover::Taken),
            descrambler: Some(Handover::Taken),
            handovers: 0,
            handed: Vec::new(),
            lose: 0,
            report: None,
            wait: None,
        };
        rig.drain();
        rig
    }

    /// The box is switched off and on: only the storage stays.
    pub(crate) fn restart(self) -> Self {
        let mut again = Self::new(config(self.storage.clone().into_iter().collect()));
        again.card = self.card;
        again.card.reset();
        again.now = self.now;
        again.run(1000);
        again
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.engine.handle_input(self.now, input);
        self.drain();
    }

    pub(crate) fn section(&mut self, pid: Pid, octets: &[u8]) {
        self.input(Input::Section { source: 0, pid, octets });
    }

    /// From now on EMMs are taken from their stream.
    pub(crate) fn tune_emms(&mut self) {
        self.input(Input::Cat { source: 0, section: &air::cat() });
    }

    /// A carousel: the section every 100 ms, for so long.
    pub(crate) fn carousel(&mut self, pid: Pid, octets: &[u8], ms: u64) {
        for _ in 0..ms / 100 {
            self.section(pid, octets);
            self.run(100);
        }
    }

    /// The card is pulled, and the box has noticed.
    pub(crate) fn pull(&mut self) {
        self.inserted = false;
        self.run(1500);
        assert_eq!(self.engine.card().state, CardState::Absent);
    }

    /// Lets so many milliseconds pass.
    pub(crate) fn run(&mut self, ms: u64) {
        let until = self.now.after(Duration::from_millis(ms));
        // A machine that asks to be called again and again in the same moment is stuck.
        for _ in 0..100_000 {
            self.drain();
            self.answer_stores();
            let report = self.report.as_ref().map(|(at, _)| *at);
            let next = report.into_iter().chain(self.wait).min().filter(|at| *at <= until);
            let Some(at) = next else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            match self.report.take_if(|(due, _)| *due <= at) {
                Some((_, report)) => self.deliver(report),
                None => self.input(Input::Timeout),
            }
        }
        panic!("the engine does not come to rest");
    }

    /// Lets time pass until nothing is on the line.
    pub(crate) fn rest(&mut self) {
        while self.report.is_some() {
            self.run(1);
        }
    }

    fn answer_stores(&mut self) {
        if self.storage_hangs {
            return;
        }
        for id in std::mem::take(&mut self.stores) {
            let failed = self.storage_fails;
            self.input(if failed { Input::StoreFailed(id) } else { Input::Stored(id) });
        }
    }

    fn deliver(&mut self, report: Report) {
        match report {
            Report::Response(_) if !self.inserted => {
                self.forget_judgement();
                self.input(Input::Failed { may_have_executed: true, silent: true });
            }
            Report::Response(_) if self.lose > 0 => {
                self.lose -= 1;
                self.forget_judgement();
                self.input(Input::Failed { may_have_executed: true, silent: false });
            }
            Report::Response(response) => self.input(Input::Response(&response)),
            Report::Probed(probed) => self.input(Input::Probed(probed)),
            Report::Silence => self.input(Input::Failed { may_have_executed: true, silent: true }),
            Report::Ready if self.inserted => {
                self.card.reset();
                let sign_of_life = self.sign_of_life;
                self.input(Input::CardReady { atr: &[0x3B, 0x00], protocol: 1, sign_of_life });
            }
            Report::Ready | Report::Mute => self.input(Input::CardAbsent(Absence::Mute)),
        }
    }

    /// When the engine wants to be called again.
    pub(crate) fn wait(&self) -> Option<Instant> {
        self.wait
    }

    /// The box has not heard what the card made of an ECM.
    fn forget_judgement(&mut self) {
        if self.card.seen.last() == Some(&INS_ECM) {
            self.card.judged.pop();
        }
    }

    pub(crate) fn drain(&mut self) {
        for _ in 0..10_000 {
            // As `stb-shim` does it: what came of an output is said before the next is asked for.
            if let Some(handed) = self.handed.pop() {
                self.engine.handle_input(self.now, handed);
            }
            match self.engine.poll_output() {
                Output::Wait(at) => {
                    self.wait = at;
                    return;
                }
                Output::ActivateCard => {
                    self.activations += 1;
                    let report = if self.inserted { Report::Ready } else { Report::Mute };
                    self.report = Some((self.now.after(RESET), report));
                }
                Output::Command { apdu } => {
                    assert!(
                        !matches!(self.report, Some((_, Report::Response(_) | Report::Silence))),
                        "one command at a time"
                    );
                    let answer = if self.inserted { self.card.transmit(apdu) } else { None };
                    self.commands.push(apdu.to_vec());
                    self.report = Some(match answer {
                        Some(response) => {
                            (self.now.after(self.exchange), Report::Response(response))
                        }
                        None => (self.now.after(BWT), Report::Silence),
                    });
                }
                Output::Probe => {
                    assert_eq!(self.sign_of_life, SignOfLife::Probe);
                    self.probes += 1;
                    self.report = Some(if self.inserted {
                        (self.now.after(self.exchange), Report::Probed(self.sign))
                    } else {
                        (self.now.after(BWT), Report::Silence)
                    });
                }
                Output::LoadLadder { pairing_slot, .. } => {
                    self.ladders.push(pairing_slot);
                    self.handed.extend(self.ladder.map(Input::Ladder));
                }
                Output::SetCw(ecw) => {
                    assert!(!self.ladders.is_empty(), "the ladder is loaded first");
                    self.handovers += 1;
                    let key = (ecw.session.0, ecw.ecm_pid);
                    self.handed.extend(self.descrambler.map(|handover| Input::Cw {
                        session: ecw.session,
                        ecm_pid: ecw.ecm_pid,
                        handover,
                    }));
                    if self.descrambler == Some(Handover::Refused) {
                        self.ecw.remove(&key);
                        continue;
                    }
                    let ecw = Ecw {
                        even: *ecw.even,
                        odd: *ecw.odd,
                        period: ecw.crypto_period,
                        es_pids: ecw.es_pids.to_vec(),
                        mode: ecw.mode.0,
                    };
                    self.ecw.insert(key, ecw);
                }
                Output::ClearCw { session } => {
                    self.cleared.push((self.now, session));
                    self.ecw.retain(|(of, _), _| *of != session.0);
                }
                Output::Store { id, key, value } => {
                    assert!(Engine::storage_keys().iter().any(|known| known == key));
                    if !self.storage_hangs && !self.storage_fails {
                        self.storage.insert(key.to_owned(), value.to_vec());
                    }
                    self.stores.push(id);
                }
                Output::Event(event) => self.events.push((self.now, event)),
            }
        }
        panic!("the engine does not say Wait");
    }

    pub(crate) fn open(&mut self, pmt: &[u8]) -> SessionId {
        self.open_on(0, pmt)
    }

    pub(crate) fn open_on(&mut self, source: u8, pmt: &[u8]) -> SessionId {
        let id = self.engine.session_open(self.now, source, pmt).unwrap();
        self.drain();
        id
    }

    /// The crypto period of a session's ECWs in the descrambler.
    pub(crate) fn period(&self, session: SessionId) -> Option<u32> {
        self.ecw.iter().find(|((of, _), _)| *of == session.0).map(|(_, ecw)| ecw.period)
    }

    pub(crate) fn has_ecw(&self, session: SessionId) -> bool {
        self.ecw.keys().any(|(of, _)| *of == session.0)
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events).into_iter().map(|(_, event)| event).collect()
    }
}

pub(crate) fn config(stored: Vec<(String, Vec<u8>)>) -> Config {
    let mut config = Config::new(STB, Key::new([0x60; 16]), Box::new(Counting(1)));
    config.stored = stored;
    config
}

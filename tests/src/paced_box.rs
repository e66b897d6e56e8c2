// SPDX-License-Identifier: Apache-2.0
//! A box that watches the News by a card at the end of a paced line, in virtual time: engine, line
//! and card as they are, and what the card thread does between them.

use crate::demo::{BOX_KEY, K_PAIR, NOON, PSEUDONYM, STB, box_pairing, card, news};
use crate::entropy::Counting;
use crate::paced_line::{Event, PacedLine};
use crate::tables;
use cam_core::{Absence, Config, Engine, Handover, Input, Output, Probed, SessionId, SignOfLife};
use cam_types::{Instant, Key, Pid};
use iso7816::line;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use vcard::atr::Profile;
use vcard::{Card, Status};

const ECM_PID: Pid = Pid::from_field(0x141);
const VIDEO_PID: Pid = Pid::from_field(0x101);

/// See the module.
pub struct PacedBox {
    pub engine: Engine,
    pub line: PacedLine<'static>,
    pub news: SessionId,
    /// Whether the descrambler holds its keys.
    pub keyed: bool,
    /// How often the engine and the line have reset the card.
    pub resets: usize,
    /// Commands and other questions so far.
    pub asked: (usize, usize),
    /// What the box makes use of, where the line can do it.
    pub sign_of_life: SignOfLife,
    /// Control words that the descrambler was handed: when, for which stream and crypto period.
    pub given: Vec<(Instant, Pid, u32)>,
    card: Rc<RefCell<Card>>,
    wait: Option<Instant>,
    probing: bool,
}

impl PacedBox {
    /// A box that is switched on, with this answer to reset of its card.
    pub fn new(profile: &Profile) -> Self {
        Self::with(profile, card())
    }

    /// The same with another card than the demo's.
    pub fn with(profile: &Profile, card: Card) -> Self {
        let mut config = Config::new(STB, Key::new(BOX_KEY), Box::new(Counting(1)));
        config.stored = vec![box_pairing(STB, 0, K_PAIR, PSEUDONYM)];
        let card = Rc::new(RefCell::new(card));
        let os = card.clone();
        let line =
            PacedLine::new(profile.emit(), move |apdu| os.borrow_mut().transmit(apdu).unwrap());
        let mut engine = Engine::new(config);
        let pmt = tables::pmt(1, ECM_PID, VIDEO_PID, None);
        let news = engine.session_open(line.now(), 0, &pmt).unwrap();
        Self {
            engine,
            line,
            news,
            keyed: false,
            resets: 0,
            asked: (0, 0),
            sign_of_life: SignOfLife::Probe,
            given: Vec::new(),
            card,
            wait: None,
            probing: false,
        }
    }

    /// The ECM of the News of so many seconds after noon comes.
    pub fn ecm(&mut self, seconds: u32) {
        let ecm = news(NOON.saturating_add(seconds));
        self.input(Input::Section { source: 0, pid: ECM_PID, octets: &ecm });
    }

    /// A section comes on this PID.
    pub fn section(&mut self, pid: Pid, octets: &[u8]) {
        self.input(Input::Section { source: 0, pid, octets });
    }

    /// The CAT comes.
    pub fn cat(&mut self, section: &[u8]) {
        self.input(Input::Cat { source: 0, section });
    }

    /// Does what the engine wants after a call of the test's own.
    pub fn called(&mut self) {
        self.drain();
    }

    /// What the card's memory says.
    pub fn card(&self) -> Status {
        self.card.borrow().status()
    }

    /// The card loses its power, and with it its session: it is mute until the next reset.
    pub fn cut(&mut self) {
        self.line.cut();
        assert!(!self.card.borrow_mut().power_on().is_empty());
    }

    /// Time goes by.
    pub fn run(&mut self, time: Duration) {
        let end = self.line.now().after(time);
        self.drain();
        while self.line.now() < end {
            let until = self.wait.map_or(end, |at| at.min(end));
            match self.line.run_until(Some(until)) {
                Some(event) => self.happened(event),
                None => self.input(Input::Timeout),
            }
        }
    }

    /// Time goes by until this holds; how long it took.
    pub fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> Duration {
        let began = self.line.now();
        while !holds(self) {
            self.run(Duration::from_millis(1));
            let took = self.line.now().since(began);
            assert!(took < limit, "not within {limit:?}");
        }
        self.line.now().since(began)
    }

    fn happened(&mut self, event: Event) {
        let probing = std::mem::take(&mut self.probing);
        match event {
            Event::Ready => {
                let line = self.line.terminal();
                let sign_of_life =
                    if line.probes() { self.sign_of_life } else { SignOfLife::Command };
                let protocol = line.protocol();
                self.input(Input::CardReady { atr: &[0x3B, 0x00], protocol, sign_of_life });
            }
            Event::Response(_) if probing => self.input(Input::Probed(Probed::Alive)),
            Event::Response(response) => self.input(Input::Response(&response)),
            Event::Failed(error) if probing && error.usable() => {
                self.input(Input::Probed(Probed::Doubtful));
            }
            Event::Failed(error) => {
                let may_have_executed = error.may_have_executed();
                self.input(Input::Failed { may_have_executed, silent: true });
                if !error.usable() && !error.recovering() {
                    self.input(Input::CardAbsent(Absence::Mute));
                }
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle_input(self.line.now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.engine.poll_output() {
                Output::Wait(at) => {
                    self.wait = at;
                    return;
                }
                Output::ActivateCard => {
                    self.resets += 1;
                    self.line.tell(line::Input::Activate);
                }
                Output::Command { apdu } => {
                    self.asked.0 += 1;
                    self.line.tell(line::Input::Command { apdu, patience: None });
                }
                Output::Probe => {
                    self.asked.1 += 1;
                    self.probing = true;
                    self.line.tell(line::Input::Probe);
                }
                Output::SetCw(ecw) => {
                    let (session, ecm_pid) = (ecw.session, ecw.ecm_pid);
                    self.keyed = true;
                    self.given.push((self.line.now(), ecm_pid, ecw.crypto_period));
                    let handover = Handover::Taken;
                    let taken = Input::Cw { session, ecm_pid, handover };
                    self.engine.handle_input(self.line.now(), taken);
                }
                Output::LoadLadder { .. } => {
                    let taken = Input::Ladder(Handover::Taken);
                    self.engine.handle_input(self.line.now(), taken);
                }
                Output::ClearCw { .. } => self.keyed = false,
                Output::Store { id, .. } => {
                    self.engine.handle_input(self.line.now(), Input::Stored(id));
                }
                Output::Event(_) => {}
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Terminal, line and card on a clock that nobody waits for.
//!
//! Characters take the time that [`Pace`] gives them, the two ends take none unless the test says
//! so: whatever time passes beside the card's delay after reset is the line's, or a wait that one
//! of the ends decided on.

use cam_types::Instant;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::line as terminal;
use std::collections::VecDeque;
use std::time::Duration;
use vreader::line as card;
use vreader::pace::{Pace, Tempo};
use vreader::record::{Party, Recorder};

/// The first character of the answer to reset comes so many clock cycles after reset is released;
/// the standard lets a card take 400 to 40,000 (6.2.1).
pub const ANSWER_AFTER: u64 = 400;

/// What the terminal was told by its line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    Ready,
    Response(Vec<u8>),
    Failed(terminal::LineError),
}

/// What answers commands.
type Answers<'a> = dyn FnMut(&[u8]) -> Vec<u8> + 'a;

/// A terminal's line and a card's, and what is between them.
pub struct PacedLine<'a> {
    now: Instant,
    terminal: terminal::CardLine,
    terminal_wait: Option<Instant>,
    card: card::CardLine,
    card_wait: Option<Instant>,
    card_params: LineParams,
    pace: Pace,
    /// Answers commands, after `think`.
    os: Box<Answers<'a>>,
    pub think: Duration,
    answer: Option<(Instant, Vec<u8>)>,
    atr: Vec<u8>,
    /// When the card begins to answer reset.
    answer_at: Option<Instant>,
    answer_left: usize,
    recorder: Recorder<Vec<u8>>,
    happened: VecDeque<Event>,
    /// The last character in either direction was over.
    pub last: Instant,
    /// Characters of the terminal and of the card so far.
    pub octets: (usize, usize),
}

impl<'a> PacedLine<'a> {
    pub fn new(atr: Vec<u8>, os: impl FnMut(&[u8]) -> Vec<u8> + 'a) -> Self {
        let initial = LineParams::initial(USUAL_CLOCK_HZ);
        let policy = card::Policy::new(USUAL_CLOCK_HZ, vreader::inserted::takes_data);
        let card = card::CardLine::new(policy);
        Self {
            now: Instant::default(),
            terminal: terminal::CardLine::new(terminal::Policy::new(USUAL_CLOCK_HZ)),
            terminal_wait: None,
            card_wait: None,
            card_params: initial,
            pace: Pace::new(Tempo::new(&initial, card.turn_etu())),
            card,
            os: Box::new(os),
            think: Duration::ZERO,
            answer: None,
            atr,
            answer_at: None,
            answer_left: 0,
            recorder: Recorder::new(Vec::new(), Instant::default()),
            happened: VecDeque::new(),
            last: Instant::default(),
            octets: (0, 0),
        }
    }

    /// Resets the card and brings it up: the time until it is ready for a command.
    pub fn activate(&mut self) -> Duration {
        let begin = self.now;
        self.tell(terminal::Input::Activate);
        assert_eq!(self.run(), Event::Ready);
        self.now.since(begin)
    }

    /// One exchange, and the time it took.
    pub fn command(&mut self, apdu: &[u8]) -> (Vec<u8>, Duration) {
        let begin = self.now;
        self.tell(terminal::Input::Command { apdu, patience: None });
        match self.run() {
            Event::Response(response) => (response, self.now.since(begin)),
            other => panic!("{other:?}"),
        }
    }

    /// The card loses its power: it is mute until the next reset.
    pub fn cut(&mut self) {
        self.card.power_off();
        self.card_wait = None;
        self.answer = None;
        self.pace.clear(self.now);
    }

    /// The terminal's end, to be asked.
    pub const fn terminal(&self) -> &terminal::CardLine {
        &self.terminal
    }

    /// How the line runs.
    pub fn params(&self) -> LineParams {
        self.card_params
    }

    /// What passed the line, as `vcard serve --record` writes it.
    pub fn recording(&mut self) -> Vec<u8> {
        let fresh = Recorder::new(Vec::new(), Instant::default());
        std::mem::replace(&mut self.recorder, fresh).into_inner()
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    /// Time goes by until the terminal is told something.
    fn run(&mut self) -> Event {
        self.run_until(None).expect("somebody waits for something")
    }

    /// Time goes by until the terminal is told something, or until then. `None` when nothing was,
    /// or ever will be.
    pub fn run_until(&mut self, end: Option<Instant>) -> Option<Event> {
        for _ in 0..20_000 {
            if let Some(event) = self.happened.pop_front() {
                return Some(event);
            }
            let thought = self.answer.as_ref().map(|(at, _)| *at);
            let waits =
                [self.terminal_wait, self.card_wait, self.answer_at, self.pace.next(), thought];
            let next = waits.into_iter().flatten().min();
            let Some(next) = next.filter(|next| end.is_none_or(|end| *next <= end)) else {
                self.now = end.map_or(self.now, |end| self.now.max(end));
                return None;
            };
            self.now = self.now.max(next);
            self.due();
        }
        panic!("the two never come to an end");
    }

    fn due(&mut self) {
        if self.answer_at.take_if(|at| *at <= self.now).is_some() {
            self.card.power_on(&self.atr).expect("a good answer to reset");
            self.answer_left = self.atr.len();
            self.drain();
        }
        if let Some((_, response)) = self.answer.take_if(|(at, _)| *at <= self.now) {
            self.card.handle_input(self.now, card::Input::Executed(&response));
            self.drain();
        }
        let (mut arrived, mut departed) = (Vec::new(), Vec::new());
        self.pace.arrived(self.now, &mut arrived);
        self.pace.departed(self.now, &mut departed);
        if !departed.is_empty() {
            self.reach_terminal(&departed);
            self.drain();
        }
        if !arrived.is_empty() {
            self.last = self.now;
            self.card.handle_input(self.now, card::Input::Received(&arrived));
            self.drain();
        }
        if self.card_wait.take_if(|at| *at <= self.now).is_some() {
            self.card.handle_input(self.now, card::Input::Timeout);
            self.drain();
        }
        if self.terminal_wait.is_some_and(|at| at <= self.now) {
            self.tell(terminal::Input::Timeout);
        }
    }

    fn reach_terminal(&mut self, octets: &[u8]) {
        self.last = self.now;
        self.octets.1 += octets.len();
        let party = if self.answer_left > 0 { Party::Reset } else { Party::Card };
        self.answer_left = self.answer_left.saturating_sub(octets.len());
        self.note(party, octets);
        let convention = self.card_params.convention;
        let raw: Vec<u8> = octets.iter().map(|octet| convention.map(*octet)).collect();
        self.tell(terminal::Input::Received(&raw));
    }

    /// Gives the terminal's line one input, and does what it wants.
    pub fn tell(&mut self, input: terminal::Input<'_>) {
        terminal_input(&mut self.terminal, self.now, input);
        loop {
            match terminal_output(&mut self.terminal) {
                terminal::Output::Activate(_) => {
                    self.note(Party::Reset, &[]);
                    self.cut();
                    self.configure(LineParams::initial(USUAL_CLOCK_HZ));
                    self.answer_at = Some(self.now.after(self.card_params.clocks(ANSWER_AFTER)));
                }
                terminal::Output::Deactivate => self.cut(),
                // The reader keeps to the guard time of these; the pace knows it from the card.
                terminal::Output::Configure(_) => {}
                terminal::Output::Transmit(octets) => {
                    let convention = self.card_params.convention;
                    let octets: Vec<u8> = octets.iter().map(|o| convention.map(*o)).collect();
                    self.octets.0 += octets.len();
                    self.note(Party::Terminal, &octets);
                    self.pace.receive(self.now, &octets);
                }
                terminal::Output::Ready(_) => self.happened.push_back(Event::Ready),
                terminal::Output::Response(response) => {
                    self.happened.push_back(Event::Response(response.to_vec()));
                }
                terminal::Output::Failed(error) => {
                    self.happened.push_back(Event::Failed(error));
                }
                terminal::Output::Wait(until) => {
                    self.terminal_wait = until;
                    return;
                }
            }
        }
    }

    /// Does what the card wants, until it waits or its characters take their time.
    fn drain(&mut self) {
        while self.pace.sent() {
            match self.card.poll_output() {
                card::Output::Transmit(octets) => self.pace.send(self.now, Duration::ZERO, octets),
                card::Output::Configure(params) => self.configure(params),
                card::Output::Execute(apdu) => {
                    let response = (self.os)(apdu);
                    if !self.think.is_zero() {
                        self.answer = Some((self.now.after(self.think), response));
                        continue;
                    }
                    self.card.handle_input(self.now, card::Input::Executed(&response));
                }
                card::Output::Wait(until) => {
                    self.card_wait = until;
                    return;
                }
            }
        }
    }

    fn configure(&mut self, params: LineParams) {
        self.card_params = params;
        self.pace.set_tempo(Tempo::new(&params, self.card.turn_etu()));
    }

    fn note(&mut self, party: Party, octets: &[u8]) {
        self.recorder.note(self.now, party, octets).expect("memory takes everything");
    }
}

/// All that the terminal's line does is done in this function and the next: callgrind counts there.
#[inline(never)]
fn terminal_input(line: &mut terminal::CardLine, now: Instant, input: terminal::Input<'_>) {
    line.handle_input(now, input);
}

#[inline(never)]
fn terminal_output(line: &mut terminal::CardLine) -> terminal::Output<'_> {
    line.poll_output()
}

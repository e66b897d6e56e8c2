// SPDX-License-Identifier: Apache-2.0
//! A terminal's end of the line and a card's on one wire, in virtual time, with one fault on it.
use cam_types::Instant;
use iso7816::etu::{Convention, LineParams, USUAL_CLOCK_HZ};
use iso7816::line::{CardLine, Input, LineError, Output, Policy};
use std::collections::VecDeque;
use std::time::Duration;
use vcard::Card;
use vreader::line;

/// How long the card takes for anything, in etu: so long that an octet more reaches it.
const THINKING: u64 = 30;

/// What answers commands.
pub trait App {
    /// Power or a reset.
    fn power_on(&mut self);
    /// Data and status word.
    fn answer(&mut self, apdu: &[u8]) -> Vec<u8>;
}

impl App for Card {
    fn power_on(&mut self) {
        assert!(!Card::power_on(self).is_empty());
    }

    fn answer(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.transmit(apdu).unwrap()
    }
}

/// What happens to one octet.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mishap {
    Lost,
    Doubled,
    /// Changed, and its parity with it.
    Damaged,
    /// Changed in these bits, and nobody can tell by the parity.
    Changed(u8),
    /// Lost, and everything after it.
    Cut,
}

/// Who sends.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum From {
    Terminal,
    Card,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    Ready,
    Response(Vec<u8>),
    Failed(LineError),
}

/// An octet on its way, as a UART has it: of a card with inverse convention inverted and reversed.
#[derive(Clone, Copy)]
struct Flying {
    at: Instant,
    octet: u8,
    damaged: bool,
    /// How it was sent.
    mode: Mode,
}

impl Flying {
    fn is_good_for(&self, mode: Mode) -> bool {
        !self.damaged && self.mode == mode
    }
}

/// What both sides have to agree on, or characters arrive damaged: F, D and the convention, which a
/// UART knows as parity.
type Mode = (u16, u8, Convention);

const fn mode(params: &LineParams) -> Mode {
    (params.f, params.d, params.convention)
}

pub struct Wire<A> {
    pub terminal: CardLine,
    card: line::CardLine,
    pub app: A,
    atr: Vec<u8>,
    pub now: Instant,
    /// The commands that the card has executed, in order.
    pub executed: Vec<Vec<u8>>,
    /// The octets that have been sent since [`Wire::arm`], and by whom.
    pub passed: Vec<(From, u8)>,
    fault: Option<(usize, Mishap)>,
    terminal_mode: Mode,
    card_params: LineParams,
    terminal_deadline: Option<Instant>,
    card_deadline: Option<Instant>,
    to_card: VecDeque<Flying>,
    to_terminal: VecDeque<Flying>,
    /// The application's answer, and when it is ready.
    answer: Option<(Instant, Vec<u8>)>,
    /// When the line is free after what each has sent.
    terminal_free: Instant,
    card_free: Instant,
    /// When the card began to send what it sent last: until the end of it the card hears nothing.
    card_began: Instant,
    events: VecDeque<Event>,
}

impl<A: App> Wire<A> {
    /// A card in the reader; nothing is under power yet.
    pub fn new(atr: &[u8], policy: Policy, largest_field: u8, app: A) -> Self {
        let takes_data = vreader::inserted::takes_data;
        let start = Instant::from_micros(1);
        Self {
            terminal: CardLine::new(policy),
            card: line::CardLine::new(line::Policy {
                largest_field,
                quiet_etu: 13,
                ..line::Policy::new(USUAL_CLOCK_HZ, takes_data)
            }),
            app,
            atr: atr.to_vec(),
            now: start,
            executed: Vec::new(),
            passed: Vec::new(),
            fault: None,
            terminal_mode: mode(&LineParams::initial(USUAL_CLOCK_HZ)),
            card_params: LineParams::initial(USUAL_CLOCK_HZ),
            terminal_deadline: None,
            card_deadline: None,
            to_card: VecDeque::new(),
            to_terminal: VecDeque::new(),
            answer: None,
            terminal_free: start,
            card_free: start,
            card_began: start,
            events: VecDeque::new(),
        }
    }

    /// From now on octets are counted, and this happens to one of them.
    pub fn arm(&mut self, fault: Option<(usize, Mishap)>) {
        self.passed.clear();
        self.fault = fault;
    }

    /// Brings the card up, to the first event.
    pub fn activate(&mut self) -> Event {
        self.tell_terminal(Input::Activate);
        self.run().expect("an activation ends")
    }

    /// One exchange, to its event.
    pub fn command(&mut self, apdu: &[u8]) -> Event {
        self.tell_terminal(Input::Command { apdu, patience: None });
        self.run().expect("an exchange ends")
    }

    /// What happens next; `None` when nothing ever will.
    pub fn run(&mut self) -> Option<Event> {
        for _ in 0..50_000 {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let octet = |queue: &VecDeque<Flying>| queue.front().map(|flying| flying.at);
            let next = [
                octet(&self.to_card),
                octet(&self.to_terminal),
                self.answer.as_ref().map(|(at, _)| *at),
                self.card_deadline,
                self.terminal_deadline,
            ];
            let at = next.iter().flatten().min()?;
            let who = next.iter().position(|time| time.as_ref() == Some(at))?;
            self.now = self.now.max(*at);
            match who {
                0 => self.reach_card(),
                1 => self.reach_terminal(),
                2 => {
                    let (_, answer) = self.answer.take()?;
                    self.tell_card(line::Input::Executed(&answer));
                }
                3 => self.tell_card(line::Input::Timeout),
                _ => self.tell_terminal(Input::Timeout),
            }
        }
        panic!("the line does not come to rest");
    }

    /// Lets time pass in which nothing should happen; what does happen is returned.
    pub fn rest(&mut self, time: Duration) -> Option<Event> {
        let end = self.now.after(time);
        let event = self.run();
        self.now = self.now.max(end);
        event
    }

    fn reach_card(&mut self) {
        let Some(flying) = self.to_card.pop_front() else { return };
        if (self.card_began..self.card_free).contains(&self.now) {
            return; // a line for one at a time
        }
        let octet = self.card_params.convention.map(flying.octet);
        if flying.is_good_for(mode(&self.card_params)) {
            self.tell_card(line::Input::Received(&[octet]));
        } else {
            self.tell_card(line::Input::Damaged(octet));
        }
    }

    fn reach_terminal(&mut self) {
        let Some(flying) = self.to_terminal.pop_front() else { return };
        if !flying.is_good_for(self.terminal_mode) {
            self.terminal.handle_input(self.now, Input::Damaged);
        }
        self.tell_terminal(Input::Received(&[flying.octet]));
    }

    fn tell_terminal(&mut self, input: Input<'_>) {
        self.terminal.handle_input(self.now, input);
        loop {
            match self.terminal.poll_output() {
                Output::Activate(_) => {
                    self.to_card.clear();
                    self.to_terminal.clear();
                    self.answer = None;
                    self.app.power_on();
                    self.terminal_mode = mode(&LineParams::initial(USUAL_CLOCK_HZ));
                    self.card.power_off();
                    self.card.power_on(&self.atr).expect("an answer to reset");
                    // 400 to 40,000 clocks after the reset.
                    self.card_free = self.now.after(Duration::from_millis(2));
                    self.drain_card();
                }
                Output::Deactivate => self.card.power_off(),
                Output::Configure(params) => self.terminal_mode = mode(&params),
                Output::Transmit(octets) => {
                    let octets = octets.to_vec();
                    let params = self.terminal.params();
                    self.send(From::Terminal, &octets, params, params.guard_etu.into());
                }
                Output::Ready(_) => self.events.push_back(Event::Ready),
                Output::Response(response) => {
                    self.events.push_back(Event::Response(response.to_vec()));
                }
                Output::Failed(error) => self.events.push_back(Event::Failed(error)),
                Output::Wait(deadline) => {
                    self.terminal_deadline = deadline;
                    return;
                }
            }
        }
    }

    fn tell_card(&mut self, input: line::Input<'_>) {
        self.card.handle_input(self.now, input);
        self.drain_card();
    }

    fn drain_card(&mut self) {
        loop {
            match self.card.poll_output() {
                line::Output::Transmit(octets) => {
                    let convention = self.card_params.convention;
                    let octets: Vec<u8> =
                        octets.iter().map(|octet| convention.map(*octet)).collect();
                    self.send(From::Card, &octets, self.card_params, 12);
                }
                line::Output::Configure(params) => self.card_params = params,
                line::Output::Execute(apdu) => {
                    let apdu = apdu.to_vec();
                    let ready = self.now.after(self.card_params.etus(THINKING));
                    self.answer = Some((ready, self.app.answer(&apdu)));
                    self.executed.push(apdu);
                }
                line::Output::Wait(deadline) => {
                    self.card_deadline = deadline;
                    return;
                }
            }
        }
    }

    /// Octets leave, each as long behind the last as the guard time says, and with what happens to
    /// them on the way.
    fn send(&mut self, from: From, octets: &[u8], params: LineParams, guard_etu: u64) {
        let (queue, free) = match from {
            From::Terminal => (&mut self.to_card, &mut self.terminal_free),
            From::Card => (&mut self.to_terminal, &mut self.card_free),
        };
        // The terminal's machine keeps the guard times, the card's does not.
        let turn = if from == From::Card { params.etus(THINKING) } else { Duration::ZERO };
        let mut edge = (*free).max(self.now.after(turn));
        if from == From::Card && edge > *free {
            self.card_began = edge;
        }
        for octet in octets {
            let mishap = self.fault.filter(|(place, mishap)| match mishap {
                Mishap::Cut => *place <= self.passed.len(),
                _ => *place == self.passed.len(),
            });
            self.passed.push((from, *octet));
            let at = edge.after(params.etus(10));
            edge = edge.after(params.etus(guard_etu));
            let mut flying = Flying { at, octet: *octet, damaged: false, mode: mode(&params) };
            match mishap.map(|(_, mishap)| mishap) {
                Some(Mishap::Lost | Mishap::Cut) => continue,
                Some(Mishap::Doubled) => {
                    queue.push_back(flying);
                    flying.at = edge.after(params.etus(10));
                    edge = edge.after(params.etus(guard_etu));
                }
                Some(Mishap::Damaged) => {
                    flying.damaged = true;
                    flying.octet ^= 0x10;
                }
                Some(Mishap::Changed(bits)) => flying.octet ^= bits,
                None => {}
            }
            queue.push_back(flying);
        }
        *free = edge;
    }
}

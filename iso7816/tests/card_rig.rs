// SPDX-License-Identifier: Apache-2.0
//! A card line with a small card on it, in virtual time, with faults on the line.

use cam_types::Instant;
use iso7816::etu::{Convention, LineParams};
use iso7816::line::{CardLine, Input, LineError, Output, Policy, Reset};
use iso7816::pps::Pps;
use iso7816::t1::{Block, Edc, Fault, Supervisory};
use std::collections::VecDeque;
use std::time::Duration;

/// What happens to one octet on the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mishap {
    Lost,
    Doubled,
    Flipped(u8),
    /// Flipped, and the UART sees the parity error.
    Parity,
    /// Right, but the UART sees a parity error: it expects the other convention.
    Marked,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Ready(Vec<u8>),
    Response(Vec<u8>),
    Failed(LineError),
}

/// The answer of the card in these tests: the command turned round, so that nothing in it is
/// constant, or as many octets as P2 says.
pub(crate) fn answer(apdu: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = match apdu {
        [_, 0xB0, _, p2, ..] => (0..*p2).collect(),
        [_, 0x32, ..] => Vec::new(),
        _ => apdu.iter().rev().copied().collect(),
    };
    out.extend([0x90, 0x00]);
    out
}

/// A card that speaks T=1 as the standard has it, block by block.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub atr: Vec<u8>,
    pub resets: Vec<Reset>,
    pub executed: Vec<Vec<u8>>,
    pub mute: bool,
    pub refuses_pps: bool,
    pub pps_seen: usize,
    ifs: usize,
    ns: bool,
    nr: bool,
    last: Vec<u8>,
    command: Vec<u8>,
    response: Vec<u8>,
    sent: usize,
    started: bool,
}

impl Card {
    pub(crate) fn new(atr: &[u8]) -> Self {
        Self {
            atr: atr.to_vec(),
            resets: Vec::new(),
            executed: Vec::new(),
            mute: false,
            refuses_pps: false,
            pps_seen: 0,
            ifs: 32,
            ns: false,
            nr: false,
            last: Vec::new(),
            command: Vec::new(),
            response: Vec::new(),
            sent: 0,
            started: false,
        }
    }

    fn reset(&mut self, reset: Reset) -> Vec<u8> {
        self.resets.push(reset);
        (self.ns, self.nr, self.ifs, self.started) = (false, false, 32, false);
        self.command.clear();
        self.response.clear();
        self.sent = 0;
        if self.mute { Vec::new() } else { self.atr.clone() }
    }

    fn emit(&mut self, block: Block<'_>) -> Vec<u8> {
        let mut out = [0; 300];
        let len = block.emit(Edc::Lrc, &mut out).unwrap();
        self.last = out[..len].to_vec();
        self.last.clone()
    }

    fn next_part(&mut self) -> Vec<u8> {
        let end = self.response.len().min(self.sent + self.ifs);
        let inf = self.response[self.sent..end].to_vec();
        let more = end < self.response.len();
        self.emit(Block::I { ns: self.ns, more, inf: &inf })
    }

    fn receive(&mut self, octets: &[u8]) -> Vec<u8> {
        if self.mute || octets.is_empty() {
            return Vec::new();
        }
        if !self.started && octets[0] == 0xFF {
            self.pps_seen += 1;
            return match Pps::parse(octets) {
                Ok(_) if self.refuses_pps => Vec::new(),
                Ok(pps) => pps.emit().to_vec(),
                Err(_) => Vec::new(),
            };
        }
        self.started = true;
        let block = match Block::parse(octets, Edc::Lrc) {
            Ok(block) => block,
            Err(why) => return self.emit(Block::R { nr: self.nr, fault: why.fault() }),
        };
        match block {
            Block::I { ns, more, inf } if ns == self.nr => {
                if self.sent < self.response.len() {
                    self.ns = !self.ns; // the last part of our answer has arrived
                }
                self.nr = !self.nr;
                self.command.extend_from_slice(inf);
                if more {
                    return self.emit(Block::R { nr: self.nr, fault: Fault::None });
                }
                let command = std::mem::take(&mut self.command);
                self.response = answer(&command);
                self.executed.push(command);
                self.sent = 0;
                self.next_part()
            }
            // The host asks for our block again, or for the next part.
            Block::R { nr, .. } if nr == self.ns => self.last_block(),
            Block::R { .. } if self.sent + self.ifs < self.response.len() => {
                self.sent += self.ifs;
                self.ns = !self.ns;
                self.next_part()
            }
            Block::S { response: false, kind } => {
                match kind {
                    Supervisory::Ifs(size) => self.ifs = size.into(),
                    Supervisory::Resynch => {
                        (self.ns, self.nr, self.ifs) = (false, false, 32);
                        self.command.clear();
                        self.response.clear();
                        self.sent = 0;
                    }
                    _ => {}
                }
                self.emit(Block::S { response: true, kind })
            }
            _ => self.emit(Block::R { nr: self.nr, fault: Fault::Other }),
        }
    }

    /// Our I-block again when it is on its way, else whatever was last.
    fn last_block(&mut self) -> Vec<u8> {
        if self.response.is_empty() { self.last.clone() } else { self.next_part() }
    }
}

pub(crate) struct CardRig {
    pub line: CardLine,
    pub card: Card,
    pub now: Instant,
    pub deadline: Option<Instant>,
    pub events: VecDeque<Event>,
    /// At this octet of the line, counted in both directions, this happens.
    pub mishap: Option<(usize, Mishap)>,
    pub octets: usize,
    pub sent: Vec<Vec<u8>>,
    pub configured: Vec<LineParams>,
    pub deactivated: usize,
    /// The card is of inverse convention.
    pub inverse: bool,
    to_host: VecDeque<(u8, bool)>,
}

impl CardRig {
    pub(crate) fn new(atr: &[u8], policy: Policy) -> Self {
        Self::from(moments::first(), atr, policy)
    }

    pub(crate) fn from(first: Instant, atr: &[u8], policy: Policy) -> Self {
        Self {
            line: CardLine::new(policy),
            card: Card::new(atr),
            now: first,
            deadline: None,
            events: VecDeque::new(),
            mishap: None,
            octets: 0,
            sent: Vec::new(),
            configured: Vec::new(),
            deactivated: 0,
            inverse: false,
            to_host: VecDeque::new(),
        }
    }

    /// One octet passes the line; what comes out, and whether the UART sees a parity error.
    fn pass(&mut self, octet: u8) -> Vec<(u8, bool)> {
        let at = self.octets;
        self.octets += 1;
        match self.mishap {
            Some((place, mishap)) if place == at => match mishap {
                Mishap::Lost => vec![],
                Mishap::Doubled => vec![(octet, false), (octet, false)],
                Mishap::Flipped(bits) => vec![(octet ^ bits, false)],
                Mishap::Parity => vec![(octet ^ 1, true)],
                Mishap::Marked => vec![(octet, true)],
            },
            _ => vec![(octet, false)],
        }
    }

    fn convention(&self) -> Convention {
        if self.inverse { Convention::Inverse } else { Convention::Direct }
    }

    fn send_to_host(&mut self, octets: &[u8]) {
        for octet in octets {
            let raw = self.convention().map(*octet);
            let passed = self.pass(raw);
            self.to_host.extend(passed);
        }
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.line.handle_input(self.now, input);
        for _ in 0..16 {
            match self.line.poll_output() {
                Output::Activate(reset) => {
                    self.to_host.clear();
                    let atr = self.card.reset(reset);
                    self.send_to_host(&atr);
                }
                Output::Deactivate => self.deactivated += 1,
                Output::Configure(params) => self.configured.push(params),
                Output::Transmit(octets) => {
                    let octets = octets.to_vec();
                    let convention = self.convention();
                    self.sent.push(octets.iter().map(|octet| convention.map(*octet)).collect());
                    let arrived: Vec<u8> = (octets.iter())
                        .flat_map(|octet| self.pass(*octet))
                        .map(|(octet, _)| convention.map(octet))
                        .collect();
                    let answer = self.card.receive(&arrived);
                    self.send_to_host(&answer);
                }
                Output::Ready(atr) => self.events.push_back(Event::Ready(atr.octets().to_vec())),
                Output::Response(response) => {
                    self.events.push_back(Event::Response(response.to_vec()));
                }
                Output::Failed(error) => self.events.push_back(Event::Failed(error)),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
        panic!("the line does not come to rest");
    }

    /// Characters and time go by until something happens; `None` when the line rests.
    pub(crate) fn run(&mut self) -> Option<Event> {
        for _ in 0..5_000 {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if let Some((octet, damaged)) = self.to_host.pop_front() {
                self.now = self.now.after(self.line.params().etus(12));
                if damaged {
                    self.line.handle_input(self.now, Input::Damaged);
                }
                self.input(Input::Received(&[octet]));
                continue;
            }
            self.now = self.now.max(self.deadline?);
            self.input(Input::Timeout);
        }
        panic!("nothing ever happens");
    }

    pub(crate) fn ready(&mut self) {
        self.input(Input::Activate);
        let event = self.run();
        assert!(matches!(event, Some(Event::Ready(_))), "{event:?}");
    }

    pub(crate) fn command(&mut self, apdu: &[u8]) -> Event {
        self.input(Input::Command { apdu, patience: Some(Duration::from_secs(5)) });
        self.run().expect("an exchange ends")
    }
}

// SPDX-License-Identifier: Apache-2.0
//! A card line whose other end is played by the test, in virtual time.

use cam_types::Instant;
use iso7816::etu::{Convention, LineParams};
use iso7816::line::{CardLine, Cause, Input, LineError, Output, Policy, Reset};
use iso7816::t1::{Block, Edc, Fault};
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Activate(Reset),
    Deactivate,
    Configure(LineParams),
    /// In logical octets.
    Transmit(Vec<u8>),
    Ready,
    Response(Vec<u8>),
    Failed(LineError),
}

pub(crate) struct Rig {
    pub line: CardLine,
    pub now: Instant,
    pub deadline: Option<Instant>,
    pub events: VecDeque<Event>,
    /// How the card puts its octets on the line.
    pub convention: Convention,
}

/// The answer to reset with its TCK.
pub(crate) fn with_tck(atr: &[u8]) -> Vec<u8> {
    let tck = atr[1..].iter().fold(0, |sum, octet| sum ^ octet);
    [atr, &[tck]].concat()
}

/// What a card that agrees to everything and has nothing to say answers.
pub(crate) fn agreeable(sent: &[u8], protocol: u8) -> Vec<u8> {
    match (sent, protocol) {
        ([0xFF, ..], _) => sent.to_vec(),
        (_, 1) => {
            let mut out = [0; 300];
            let block = match Block::parse(sent, Edc::Lrc).unwrap() {
                Block::S { kind, .. } => Block::S { response: true, kind },
                Block::I { ns, more: true, .. } => Block::R { nr: !ns, fault: Fault::None },
                Block::I { ns, .. } => Block::I { ns, more: false, inf: &[0x90, 0x00] },
                Block::R { nr, .. } => Block::I { ns: nr, more: false, inf: &[0x90, 0x00] },
            };
            let len = block.emit(Edc::Lrc, &mut out).unwrap();
            out[..len].to_vec()
        }
        (_, 14) => [1, 2, 3, 4, 5, 6, 7, 0, 0x3F].to_vec(),
        _ => vec![0x90, 0x00],
    }
}

impl Rig {
    pub(crate) fn new(policy: Policy) -> Self {
        Self::from(moments::first(), policy)
    }

    pub(crate) fn from(first: Instant, policy: Policy) -> Self {
        Self {
            line: CardLine::new(policy),
            now: first,
            deadline: None,
            events: VecDeque::new(),
            convention: Convention::Direct,
        }
    }

    /// A line that is up with this card on it, which agrees to everything.
    pub(crate) fn up(policy: Policy, atr: &[u8]) -> Self {
        let mut rig = Self::new(policy);
        let end = rig.activate(atr);
        assert_eq!(end, Event::Ready, "{atr:02X?}");
        rig
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.line.handle_input(self.now, input);
        for _ in 0..16 {
            let event = match self.line.poll_output() {
                Output::Activate(reset) => Event::Activate(reset),
                Output::Deactivate => Event::Deactivate,
                Output::Configure(params) => Event::Configure(params),
                Output::Transmit(octets) => Event::Transmit(
                    octets.iter().map(|octet| self.convention.map(*octet)).collect(),
                ),
                Output::Ready(_) => Event::Ready,
                Output::Response(response) => Event::Response(response.to_vec()),
                Output::Failed(error) => Event::Failed(error),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            };
            self.events.push_back(event);
        }
        panic!("the line does not come to rest");
    }

    /// So much time passes.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(at) = self.deadline.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    pub(crate) fn pass_etu(&mut self, count: u64) {
        self.pass(self.line.params().etus(count));
    }

    /// The card sends logical octets, one every 12 etu.
    pub(crate) fn card(&mut self, octets: &[u8]) {
        for octet in octets {
            self.pass_etu(12);
            self.input(Input::Received(&[self.convention.map(*octet)]));
        }
    }

    /// The card sends this octet, and the UART sees a parity error.
    pub(crate) fn damaged(&mut self, octet: u8) {
        self.pass_etu(12);
        self.line.handle_input(self.now, Input::Damaged);
        self.input(Input::Received(&[self.convention.map(octet)]));
    }

    /// What happens next; time passes until it does. `None` when nothing ever will.
    pub(crate) fn next(&mut self) -> Option<Event> {
        for _ in 0..100 {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            self.now = self.now.max(self.deadline?);
            self.input(Input::Timeout);
        }
        panic!("nothing ever happens");
    }

    /// The next thing that is not a mere setting.
    pub(crate) fn next_act(&mut self) -> Option<Event> {
        loop {
            match self.next() {
                Some(Event::Configure(_)) => {}
                event => return event,
            }
        }
    }

    pub(crate) fn cause(&mut self) -> Cause {
        match self.next_act() {
            Some(Event::Failed(error)) => error.cause(),
            other => panic!("{other:?}"),
        }
    }

    /// Brings the line up or not: every reset is answered alike.
    pub(crate) fn activate(&mut self, atr: &[u8]) -> Event {
        self.input(Input::Activate);
        self.come_up(&[atr])
    }

    /// Up, or down; the n-th reset is answered by the n-th of these, the last for ever.
    pub(crate) fn come_up(&mut self, atrs: &[&[u8]]) -> Event {
        let mut resets = 0;
        loop {
            let sent = match self.next_act() {
                Some(Event::Activate(_)) => {
                    let atr = atrs.get(resets).or(atrs.last()).copied().unwrap_or(&[]);
                    resets += 1;
                    self.convention = match atr.first() {
                        Some(0x3F) => Convention::Inverse,
                        _ => Convention::Direct,
                    };
                    self.card(atr);
                    continue;
                }
                Some(Event::Deactivate) => continue,
                Some(Event::Transmit(sent)) => sent,
                Some(event) => return event,
                None => panic!("neither up nor down"),
            };
            self.card(&agreeable(&sent, self.line.protocol()));
        }
    }

    pub(crate) fn command(&mut self, apdu: &[u8]) {
        self.input(Input::Command { apdu, patience: None });
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Plays the dialogues of `dialogues/t1.txt`, which says how to read them, against a card line.

use crate::rig::{Event, Rig, with_tck};
use cam_types::Instant;
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Gone, Input, LineError, Policy, Reset};
use iso7816::t1::{Block, Edc, Fault, MAX_BLOCK, Supervisory};
use std::time::Duration;

/// One dialogue: its number and what stands behind it, and its steps.
pub(crate) struct Dialogue {
    pub title: &'static str,
    pub steps: Vec<Vec<&'static str>>,
}

impl Dialogue {
    pub(crate) fn new(title: &'static str, text: &'static str) -> Self {
        let mut dialogue = Self { title, steps: Vec::new() };
        dialogue.add(text);
        dialogue
    }

    fn add(&mut self, text: &'static str) {
        for token in text.split_whitespace() {
            match token {
                "C" | "A" | ">" | "<" | "-" | "ready" | "=" | "!" => self.steps.push(vec![token]),
                _ => self.steps.last_mut().expect("a verb comes first").push(token),
            }
        }
    }
}

/// All of them, in order.
pub(crate) fn dialogues() -> Vec<Dialogue> {
    let text = include_str!("dialogues/t1.txt");
    let mut all: Vec<Dialogue> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(|first: char| first.is_ascii_digit()) {
            all.push(Dialogue::new(line, ""));
        } else if !line.is_empty() {
            all.last_mut().expect("a title comes first").add(line);
        }
    }
    all
}

/// Those of one scenario.
pub(crate) fn scenario(number: u8) -> Vec<Dialogue> {
    let number = number.to_string();
    let mut found = dialogues();
    found.retain(|dialogue| dialogue.title.split(' ').next() == Some(&number));
    assert!(!found.is_empty(), "no dialogue has the number {number}");
    found
}

/// A dialogue that is going on.
pub(crate) struct Player {
    pub rig: Rig,
    edc: Edc,
    /// The card's octets come in parts of so many.
    split: usize,
    commands: u8,
    command: Vec<u8>,
    /// The command has gone out whole, and nothing has come of it yet.
    sent: bool,
}

impl Player {
    /// The card has answered the reset, with IFSC 32 and the usual waiting times.
    pub(crate) fn new(dialogue: &Dialogue, edc: Edc, split: usize) -> Self {
        Self::from(moments::first(), dialogue, edc, split)
    }

    pub(crate) fn from(first: Instant, dialogue: &Dialogue, edc: Edc, split: usize) -> Self {
        let announces = dialogue.steps.first().is_some_and(|step| step == &["A"]);
        let ifsd = if announces { 254 } else { 32 };
        let policy = Policy { ifsd, max_response: 80, ..Policy::new(USUAL_CLOCK_HZ) };
        let mut rig = Rig::from(first, policy);
        rig.input(Input::Activate);
        assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
        rig.card(&match edc {
            Edc::Lrc => with_tck(&hex!("3B 80 81 31 20 4D")),
            Edc::Crc => with_tck(&hex!("3B 80 81 71 20 4D 01")),
        });
        let mut player = Self { rig, edc, split, commands: 0, command: vec![], sent: false };
        if !announces {
            player.expect(Event::Ready, dialogue.title);
        }
        player
    }

    /// One step; `here` says where it stands.
    pub(crate) fn step(&mut self, step: &[&str], here: &str) {
        match *step {
            ["A"] => {}
            ["C", length] => {
                self.commands += 1;
                self.command = match length.parse() {
                    Ok(length) if length < 1000 => command(length, self.commands),
                    _ => self.data(&[length]),
                };
                self.rig.command(&self.command.clone());
            }
            [">", ref block @ ..] => {
                let sent = self.block(block);
                self.sent |= ends_a_command(&sent);
                self.expect(Event::Transmit(sent), here);
            }
            ["<", ref block @ ..] => self.receive(block, here),
            ["-", times] => {
                let bwt = self.rig.line.params().bwt(4);
                let times: u32 = times.parse().unwrap();
                let wait = self.rig.deadline.unwrap().since(self.rig.now);
                assert!(self.rig.events.is_empty(), "{here}: {:?}", self.rig.events);
                assert!(wait >= bwt * times && wait < bwt * times + bwt / 2, "{here}: {wait:?}");
            }
            ["ready"] => self.expect(Event::Ready, here),
            ["=", ref data @ ..] => {
                let response = self.data(data);
                self.expect(Event::Response(response), here);
                self.sent = false;
            }
            ["!", cause, then, whether] => {
                let Some(Event::Failed(error)) = self.rig.next_act() else {
                    panic!("{here}: it did not fail")
                };
                let said = format!("{:?}", error.cause());
                assert_eq!((said.as_str(), error.usable()), (cause, then == "usable"), "{here}");
                assert_eq!(error.may_have_executed(), whether == "sent", "{here}");
                self.sent = false;
                if then == "reset" {
                    assert!(error.recovering(), "{here}");
                    self.expect(Event::Activate(Reset::Warm), here);
                }
            }
            _ => panic!("{here}: no such step"),
        }
    }

    /// The card leaves: this is told at once and once, and nothing follows.
    pub(crate) fn remove(&mut self, here: &str) {
        for event in self.rig.events.drain(..) {
            self.sent = match event {
                Event::Transmit(block) => self.sent | ends_a_command(&block),
                Event::Response(_) | Event::Failed(_) => false,
                _ => self.sent,
            };
        }
        self.rig.input(Input::Gone(Gone::Removed));
        let events: Vec<Event> = self.rig.events.drain(..).collect();
        let [Event::Deactivate, Event::Failed(error)] = &events[..] else {
            panic!("{here}, then removed: {events:?}")
        };
        let told = (error.cause(), error.may_have_executed());
        assert_eq!(told, (Cause::Removed, self.sent), "{here}, then removed");
        assert!(!error.usable() && !LineError::recovering(error), "{here}");
        assert_eq!(self.rig.deadline, None, "{here}");
        self.rig.pass(Duration::from_secs(100));
        self.rig.card(&[0x00, 0x00, 0x02, 0x90, 0x00, 0x92]);
        assert_eq!(self.rig.next(), None, "{here}");
    }

    fn receive(&mut self, block: &[&str], here: &str) {
        assert!(self.rig.events.is_empty(), "{here}: before it {:?}", self.rig.events);
        let (octets, parity) = match block {
            ["x", block @ ..] => {
                let mut octets = self.block(block);
                *octets.last_mut().unwrap() ^= 0x10;
                (octets, false)
            }
            ["p", block @ ..] => (self.block(block), true),
            ["octets", octets @ ..] => (self.data(octets), false),
            ["raw", body @ ..] => (self.with_epilogue(&self.data(body)), false),
            block => (self.block(block), false),
        };
        for (at, part) in octets.chunks(self.split).enumerate() {
            self.rig.pass_etu(12 * part.len() as u64);
            if parity && at == 0 {
                self.rig.line.handle_input(self.rig.now, Input::Damaged);
            }
            self.rig.input(Input::Received(part));
        }
    }

    fn expect(&mut self, event: Event, here: &str) {
        assert_eq!(self.rig.next_act(), Some(event), "{here}");
    }

    fn with_epilogue(&self, body: &[u8]) -> Vec<u8> {
        match self.edc {
            Edc::Lrc => [body, &[body.iter().fold(0, |sum, octet| sum ^ octet)]].concat(),
            Edc::Crc => [body, &crc(body).to_le_bytes()].concat(),
        }
    }

    fn block(&self, tokens: &[&str]) -> Vec<u8> {
        let (kind, rest) = tokens.split_first().unwrap();
        let inf = if kind.starts_with('I') { self.data(rest) } else { Vec::new() };
        let bit = |at: usize| kind.as_bytes()[at] == b'1';
        let block = match kind.as_bytes()[0] {
            b'I' => Block::I { ns: bit(1), more: bit(2), inf: &inf },
            b'R' => Block::R {
                nr: bit(1),
                fault: match kind.get(2..) {
                    Some("e") => Fault::Edc,
                    Some("o") => Fault::Other,
                    _ => Fault::None,
                },
            },
            _ => {
                let number = rest.get(1).map_or(0, |number| number.parse().unwrap());
                let kind = match *kind {
                    "S(RESYNCH" => Supervisory::Resynch,
                    "S(IFS" => Supervisory::Ifs(number),
                    "S(ABORT" => Supervisory::Abort,
                    "S(WTX" => Supervisory::Wtx(number),
                    other => panic!("{other} is no block"),
                };
                Block::S { response: rest.first() == Some(&"r)"), kind }
            }
        };
        let mut out = [0; MAX_BLOCK];
        let len = block.emit(self.edc, &mut out).unwrap();
        out[..len].to_vec()
    }

    fn data(&self, tokens: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for token in tokens {
            let range = |range: &str| {
                let (from, to) = range.split_once("..").unwrap();
                from.parse().unwrap()..to.parse().unwrap()
            };
            if *token == "@" {
                out.extend_from_slice(&self.command);
            } else if let Some(part) = token.strip_prefix('@') {
                out.extend_from_slice(&self.command[range(part)]);
            } else if let Some(numbers) = token.strip_prefix('#') {
                out.extend(range(numbers).map(|number: usize| number as u8));
            } else {
                let octets = (0..token.len()).step_by(2);
                out.extend(octets.map(|at| u8::from_str_radix(&token[at..at + 2], 16).unwrap()));
            }
        }
        out
    }
}

/// An I-block without M.
fn ends_a_command(block: &[u8]) -> bool {
    block[1] & 0xA0 == 0
}

/// A command of so many octets, different each time.
fn command(length: usize, number: u8) -> Vec<u8> {
    let mut apdu = vec![0x80, 0x34, 0x00, number];
    if length > apdu.len() {
        apdu.push(u8::try_from(length - 5).unwrap());
        apdu.extend((5..length).map(|at| at as u8));
    }
    apdu
}

/// CRC-16 of ISO/IEC 13239.
fn crc(octets: &[u8]) -> u16 {
    let mut crc = 0xFFFF_u16;
    for octet in octets {
        crc ^= u16::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 };
        }
    }
    !crc
}

/// Plays it to its end, with either epilogue and however the octets are split.
pub(crate) fn play(dialogue: &Dialogue) {
    for edc in [Edc::Lrc, Edc::Crc] {
        for split in [1, 3, 300] {
            play_from(moments::first(), dialogue, edc, split);
        }
    }
}

/// Plays it to its end; the card is reset at this moment.
pub(crate) fn play_from(first: Instant, dialogue: &Dialogue, edc: Edc, split: usize) {
    let mut player = Player::from(first, dialogue, edc, split);
    for (at, step) in dialogue.steps.iter().enumerate() {
        let here = format!("{}, step {at}: {} ({edc:?})", dialogue.title, step.join(" "));
        player.step(step, &here);
    }
    let left = &player.rig.events;
    assert!(left.is_empty(), "{}: left over {left:?}", dialogue.title);
}

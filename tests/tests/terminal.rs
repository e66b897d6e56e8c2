// SPDX-License-Identifier: Apache-2.0
//! The card's end of the line against the terminal's, in virtual time.

use cam_types::Instant;
use hex_literal::hex;
use iso7816::apdu::Command;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::line as terminal;
use std::collections::VecDeque;
use vcard::atr;
use vreader::line as card;

/// What happens to one octet on the line, counted from the first after the answer to reset.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    None,
    /// One bit of it turns over.
    Damaged(usize),
    /// It never arrives.
    Lost(usize),
}

/// Terminal, line and card.
struct Pair {
    now: Instant,
    terminal: terminal::CardLine,
    terminal_params: LineParams,
    terminal_deadline: Option<Instant>,
    card: card::CardLine,
    card_params: LineParams,
    card_deadline: Option<Instant>,
    /// Octets under way, each with the parameters it was sent with.
    to_card: VecDeque<(u8, LineParams)>,
    to_terminal: VecDeque<(u8, LineParams)>,
    atr: Vec<u8>,
    mishap: Mishap,
    /// Octets on the line so far, those of the answer to reset apart.
    octets: usize,
    answered: bool,
    executed: Vec<Vec<u8>>,
    happened: Vec<Event>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Event {
    Ready,
    Response(Vec<u8>),
    Failed(String),
}

/// P1 says how long the answer is; it depends on every octet of the command but Le.
fn answer(apdu: &[u8]) -> Vec<u8> {
    let command = Command::parse(apdu).expect("a command arrives whole");
    let sum = command.data.iter().fold(command.ins, |sum, octet| sum.wrapping_mul(3) ^ octet);
    (0..command.p1).map(|at| sum.wrapping_add(at)).chain([0x90, 0x00]).collect()
}

impl Pair {
    fn new(atr: Vec<u8>, mishap: Mishap) -> Self {
        let initial = LineParams::initial(USUAL_CLOCK_HZ);
        let mut pair = Self {
            now: Instant::default(),
            terminal: terminal::CardLine::new(terminal::Policy::new(USUAL_CLOCK_HZ)),
            terminal_params: initial,
            terminal_deadline: None,
            card: card::CardLine::new(card::Policy::new(
                USUAL_CLOCK_HZ,
                vreader::inserted::takes_data,
            )),
            card_params: initial,
            card_deadline: None,
            to_card: VecDeque::new(),
            to_terminal: VecDeque::new(),
            atr,
            mishap,
            octets: 0,
            answered: false,
            executed: Vec::new(),
            happened: Vec::new(),
        };
        pair.tell(terminal::Input::Activate);
        pair.run();
        pair
    }

    fn command(&mut self, apdu: &[u8]) -> Vec<Event> {
        self.happened.clear();
        self.tell(terminal::Input::Command { apdu, patience: None });
        self.run();
        self.happened.clone()
    }

    fn tell(&mut self, input: terminal::Input<'_>) {
        self.terminal.handle_input(self.now, input);
        loop {
            match self.terminal.poll_output() {
                terminal::Output::Activate(_) => {
                    self.to_card.clear();
                    self.to_terminal.clear();
                    self.terminal_params = LineParams::initial(USUAL_CLOCK_HZ);
                    self.answered = false;
                    self.card.power_on(&self.atr).expect("a good answer to reset");
                    self.drain();
                    self.answered = true;
                }
                terminal::Output::Deactivate => self.card.power_off(),
                terminal::Output::Configure(params) => self.terminal_params = params,
                terminal::Output::Transmit(octets) => {
                    let octets = octets.to_vec();
                    for octet in octets {
                        if let Some(octet) = self.mishap(octet) {
                            self.to_card.push_back((octet, self.terminal_params));
                        }
                    }
                }
                terminal::Output::Ready(_) => self.happened.push(Event::Ready),
                terminal::Output::Response(response) => {
                    self.happened.push(Event::Response(response.to_vec()));
                }
                terminal::Output::Failed(error) => {
                    self.happened.push(Event::Failed(error.to_string()));
                }
                terminal::Output::Wait(deadline) => {
                    self.terminal_deadline = deadline;
                    return;
                }
            }
        }
    }

    fn tell_card(&mut self, input: card::Input<'_>) {
        self.card.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.card.poll_output() {
                card::Output::Transmit(octets) => {
                    let octets = octets.to_vec();
                    for octet in octets {
                        if let Some(octet) = self.mishap(octet) {
                            let octet = self.card_params.convention.map(octet);
                            self.to_terminal.push_back((octet, self.card_params));
                        }
                    }
                }
                card::Output::Configure(params) => self.card_params = params,
                card::Output::Execute(apdu) => {
                    let response = answer(apdu);
                    self.executed.push(apdu.to_vec());
                    self.card.handle_input(self.now, card::Input::Executed(&response));
                }
                card::Output::Wait(deadline) => {
                    self.card_deadline = deadline;
                    return;
                }
            }
        }
    }

    fn mishap(&mut self, octet: u8) -> Option<u8> {
        if !self.answered {
            return Some(octet);
        }
        self.octets += 1;
        match self.mishap {
            Mishap::Damaged(at) if at + 1 == self.octets => Some(octet ^ 0x10),
            Mishap::Lost(at) if at + 1 == self.octets => None,
            _ => Some(octet),
        }
    }

    /// Until both ends have nothing more to say.
    fn run(&mut self) {
        for _ in 0..10_000 {
            let same = |a: &LineParams, b: &LineParams| a.baud() == b.baud();
            if !self.to_card.is_empty() {
                let octets: Vec<u8> = self
                    .to_card
                    .drain(..)
                    .filter(|(_, sent)| same(sent, &self.card_params))
                    .map(|(octet, sent)| sent.convention.map(octet))
                    .collect();
                self.tell_card(card::Input::Received(&octets));
            } else if let Some((octet, sent)) = self.to_terminal.pop_front() {
                if same(&sent, &self.terminal_params) {
                    self.tell(terminal::Input::Received(&[octet]));
                }
            } else {
                let idle = self
                    .happened
                    .last()
                    .is_some_and(|event| matches!(event, Event::Ready | Event::Response(_)));
                let (terminal, card) = (self.terminal_deadline, self.card_deadline);
                let next = [terminal, card].into_iter().flatten().min();
                let Some(next) = next.filter(|_| !idle) else { return };
                self.now = self.now.max(next);
                if terminal.is_some_and(|at| at <= self.now) {
                    self.tell(terminal::Input::Timeout);
                }
                if card.is_some_and(|at| at <= self.now) {
                    self.tell_card(card::Input::Timeout);
                }
            }
        }
        panic!("the two never come to an end: {:?}", self.happened);
    }
}

/// Commands of all cases; answers longer than the card's IFS and the terminal's.
fn commands() -> Vec<Vec<u8>> {
    let mut commands = vec![
        hex!("80 10 00 00").to_vec(),
        // CAS INFO and GET BALANCE: nothing but an answer.
        hex!("80 32 09 00 00").to_vec(),
        hex!("80 5C FF 00 FF").to_vec(),
        hex!("80 D6 00 00 02 FFFF").to_vec(),
        hex!("80 36 10 00 03 C0C1FF 00").to_vec(),
        hex!("84 C2 01 00 01 00 00").to_vec(),
    ];
    let mut longest = hex!("84 34 FF 00 FF").to_vec();
    longest.extend((0..255).map(|at: u8| at ^ 0x5A));
    longest.push(0);
    commands.push(longest);
    commands
}

/// T=1 with IFSC 32, so that commands are chained.
fn chained() -> Vec<u8> {
    let mut atr = hex!("3B 90 18 81 31 20 15").to_vec();
    atr.push(atr.iter().skip(1).fold(0, |sum, octet| sum ^ octet));
    atr
}

#[test]
fn every_case_of_command() {
    let inverse = hex!("3F 90 18 40 02").to_vec();
    let specific = hex!("3B 90 95 10 80").to_vec();
    for atr in [atr::t1(), atr::t0(), chained(), inverse, specific, hex!("3B 00").to_vec()] {
        let mut pair = Pair::new(atr.clone(), Mishap::None);
        assert_eq!(pair.happened, [Event::Ready], "{atr:02X?}");
        for apdu in commands() {
            let expected = answer(&apdu);
            assert_eq!(pair.command(&apdu), [Event::Response(expected)], "{atr:02X?} {apdu:02X?}");
        }
        assert_eq!(pair.executed.len(), commands().len(), "{atr:02X?}");
        assert_eq!(pair.terminal_params.baud(), pair.card_params.baud(), "{atr:02X?}");
        let without_ta1 = atr.get(1) == Some(&0x00);
        assert_eq!(pair.card_params.d == 1, without_ta1, "{atr:02X?}");
    }
}

/// On T=1 one damaged or lost octet, wherever it is, costs time and nothing else: every command is
/// answered rightly and executed once.
#[test]
fn one_mishap_on_t1_is_repaired() {
    for atr in [atr::t1(), chained()] {
        let apdus = [commands().swap_remove(4), commands().swap_remove(6)];
        let mut quiet = Pair::new(atr.clone(), Mishap::None);
        let begin = quiet.octets;
        for apdu in &apdus {
            let _ = quiet.command(apdu);
        }
        for at in begin..quiet.octets {
            for mishap in [Mishap::Damaged(at), Mishap::Lost(at)] {
                let mut pair = Pair::new(atr.clone(), mishap);
                for apdu in &apdus {
                    let expected = [Event::Response(answer(apdu))];
                    assert_eq!(pair.command(apdu), expected, "{mishap:?} {atr:02X?}");
                }
                assert_eq!(pair.executed, apdus, "{mishap:?}");
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Every single mishap on the cable of a GemPC Twin: terminal, host, reader and card in virtual
//! time.

use cam_types::Instant;
use hex_literal::hex;
use iso7816::apdu::Command;
use iso7816::etu::GEMPC_CLOCK_HZ;
use iso7816::line as terminal;
use iso7816::line::{Gone, Level};
use stb_shim::gempc::host::{Host, Input, Output};
use std::collections::VecDeque;
use std::time::Duration;
use vcard::atr;
use vreader::gempc::{self, GemPc, Presence};
use vreader::line as card;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    ToReader,
    ToHost,
}

#[derive(Clone, Copy, Debug)]
enum Mishap {
    Lose,
    Double,
    Damage(u8),
}

/// The octets on the cable in one direction.
#[derive(Default)]
struct Cable {
    octets: VecDeque<u8>,
    count: usize,
    mishap: Option<(usize, Mishap)>,
}

impl Cable {
    fn send(&mut self, octets: &[u8]) {
        for &octet in octets {
            match self.mishap.filter(|(at, _)| *at == self.count) {
                None => self.octets.push_back(octet),
                Some((_, Mishap::Lose)) => {}
                Some((_, Mishap::Double)) => self.octets.extend([octet, octet]),
                Some((_, Mishap::Damage(bits))) => self.octets.push_back(octet ^ bits),
            }
            self.count += 1;
        }
    }

    fn take(&mut self) -> Vec<u8> {
        self.octets.drain(..).collect()
    }
}

struct Rig {
    now: Instant,
    terminal: terminal::CardLine,
    host: Host,
    reader: GemPc,
    card: card::CardLine,
    deadlines: [Option<Instant>; 4],
    to_reader: Cable,
    to_host: Cable,
    atr: Vec<u8>,
    executed: Vec<Vec<u8>>,
    happened: Vec<Event>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Event {
    Ready,
    Response(Vec<u8>),
    Failed { cause: terminal::Cause, recovering: bool },
}

/// A command without its Le, which T=0 does not carry.
fn core(apdu: &[u8]) -> Vec<u8> {
    let Ok(command) = Command::parse(apdu) else { panic!("a command arrives whole") };
    [&[command.cla, command.ins, command.p1, command.p2], command.data].concat()
}

/// Depends on every octet of the command but Le, and looks like a frame.
fn answer(apdu: &[u8]) -> Vec<u8> {
    let sum = core(apdu).iter().fold(0x5A_u8, |sum, octet| sum.wrapping_mul(3) ^ octet);
    vec![sum, 0x03, 0x06, sum.wrapping_add(1), 0x90, 0x00]
}

impl Rig {
    fn new(atr: &[u8], way: Way, mishap: Option<(usize, Mishap)>) -> Self {
        let policy = terminal::Policy {
            atr_start: Duration::from_secs(5),
            ..terminal::Policy::new(GEMPC_CLOCK_HZ)
        };
        let cable = |of| Cable { mishap: mishap.filter(|_| of == way), ..Cable::default() };
        let mut rig = Self {
            now: Instant::from_micros(1),
            terminal: terminal::CardLine::new(policy),
            host: Host::new(GEMPC_CLOCK_HZ),
            reader: GemPc::new(GEMPC_CLOCK_HZ, Presence::Present),
            card: card::CardLine::new(card::Policy::new(
                GEMPC_CLOCK_HZ,
                vreader::inserted::takes_data,
            )),
            deadlines: [None; 4],
            to_reader: cable(Way::ToReader),
            to_host: cable(Way::ToHost),
            atr: atr.to_vec(),
            executed: Vec::new(),
            happened: Vec::new(),
        };
        rig.tell_host(Input::Greet);
        rig.run(|rig| rig.host.idle());
        rig
    }

    fn activate(&mut self) -> Event {
        self.tell(terminal::Input::Activate);
        self.until_something_happens()
    }

    fn command(&mut self, apdu: &[u8]) -> Event {
        self.tell(terminal::Input::Command { apdu, patience: None });
        self.until_something_happens()
    }

    fn until_something_happens(&mut self) -> Event {
        self.run(|rig| !rig.happened.is_empty());
        self.happened.remove(0)
    }

    fn tell(&mut self, input: terminal::Input<'_>) {
        self.terminal.handle_input(self.now, input);
        loop {
            let event = match self.terminal.poll_output() {
                terminal::Output::Activate(reset) => {
                    self.tell_host(Input::Activate(reset));
                    continue;
                }
                terminal::Output::Deactivate => {
                    self.tell_host(Input::Deactivate);
                    continue;
                }
                terminal::Output::Configure(params) => {
                    self.tell_host(Input::Configure(&params));
                    continue;
                }
                terminal::Output::Transmit(octets) => {
                    let octets = octets.to_vec();
                    self.tell_host(Input::Transfer(&octets));
                    continue;
                }
                terminal::Output::Ready(_) => Event::Ready,
                terminal::Output::Response(response) => Event::Response(response.to_vec()),
                terminal::Output::Failed(error) => {
                    Event::Failed { cause: error.cause(), recovering: error.recovering() }
                }
                terminal::Output::Wait(until) => {
                    self.deadlines[0] = until;
                    return;
                }
            };
            self.happened.push(event);
        }
    }

    fn tell_host(&mut self, input: Input<'_>) {
        self.host.handle_input(self.now, input);
        let mut events = Vec::new();
        loop {
            match self.host.poll_output() {
                Output::Send(octets) => self.to_reader.send(octets),
                Output::Wait(until) => {
                    self.deadlines[1] = until;
                    break;
                }
                Output::AnswerToReset => events.push((Output::AnswerToReset, self.answered())),
                Output::Message => events.push((Output::Message, self.answered())),
                Output::Unanswered { damaged } => {
                    events.push((Output::Unanswered { damaged }, vec![]));
                }
                Output::Removed => events.push((Output::Removed, vec![])),
                Output::Dead => events.push((Output::Dead, vec![])),
            }
        }
        for (event, octets) in events {
            self.tell(match event {
                Output::AnswerToReset => {
                    terminal::Input::Answered { atr: &octets, level: Level::Tpdu, agreed: None }
                }
                Output::Message => terminal::Input::Message(&octets),
                Output::Unanswered { damaged } => terminal::Input::Unanswered { damaged },
                Output::Removed => terminal::Input::Gone(Gone::Removed),
                _ => terminal::Input::Gone(Gone::ReaderLost),
            });
        }
    }

    fn answered(&self) -> Vec<u8> {
        self.host.answer().to_vec()
    }

    fn tell_reader(&mut self, input: gempc::Input<'_>) {
        self.reader.handle_input(self.now, input);
        loop {
            match self.reader.poll_output() {
                gempc::Output::ToHost(octets) => self.to_host.send(&octets),
                gempc::Output::ToCard(octets) => self.tell_card(card::Input::Received(&octets)),
                gempc::Output::PowerOn => {
                    let atr = self.atr.clone();
                    assert!(self.card.power_on(&atr).is_ok(), "a good answer to reset");
                    self.drain();
                }
                gempc::Output::PowerOff => self.card.power_off(),
                gempc::Output::Wait(until) => {
                    self.deadlines[2] = until;
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
                        self.tell_reader(gempc::Input::Card { octet, damaged: false });
                    }
                }
                card::Output::Configure(_) => {}
                card::Output::Execute(apdu) => {
                    let apdu = apdu.to_vec();
                    let response = answer(&apdu);
                    self.executed.push(core(&apdu));
                    self.card.handle_input(self.now, card::Input::Executed(&response));
                }
                card::Output::Wait(until) => {
                    self.deadlines[3] = until;
                    return;
                }
            }
        }
    }

    fn run(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            if done(self) {
                return;
            }
            let (out, back) = (self.to_reader.take(), self.to_host.take());
            if !out.is_empty() {
                self.tell_reader(gempc::Input::Host(&out));
            }
            if !back.is_empty() {
                self.tell_host(Input::Received(&back));
            }
            if !out.is_empty() || !back.is_empty() {
                continue;
            }
            let Some(next) = self.deadlines.into_iter().flatten().min() else {
                panic!("nobody waits for anything: {:?}", self.happened)
            };
            self.now = self.now.max(next);
            let due = self.deadlines.map(|at| at.is_some_and(|at| at <= self.now));
            if due[0] {
                self.tell(terminal::Input::Timeout);
            }
            if due[1] {
                self.tell_host(Input::Timeout);
            }
            if due[2] {
                self.tell_reader(gempc::Input::Timeout);
            }
            if due[3] {
                self.tell_card(card::Input::Timeout);
            }
        }
        panic!("they never come to an end: {:?}", self.happened);
    }
}

fn commands() -> Vec<Vec<u8>> {
    let mut long = hex!("80 D6 00 00 20").to_vec();
    long.extend((0..0x20_u8).map(|at| at ^ 0x03));
    long.push(0x06);
    vec![hex!("80 CA 00 00 06").to_vec(), hex!("80 36 00 00 04 03060315 06").to_vec(), long]
}

fn cores() -> Vec<Vec<u8>> {
    commands().iter().map(|apdu| core(apdu)).collect()
}

/// Octets on the cable without a mishap.
fn octets(atr: &[u8], way: Way) -> usize {
    let mut rig = Rig::new(atr, way, None);
    assert_eq!(rig.activate(), Event::Ready);
    for apdu in commands() {
        assert_eq!(rig.command(&apdu), Event::Response(answer(&apdu)));
    }
    assert_eq!(rig.executed, cores());
    if way == Way::ToReader { rig.to_reader.count } else { rig.to_host.count }
}

/// One octet lost, doubled or damaged, wherever it is, costs time and nothing else: every command
/// is answered rightly and executed once.
#[test]
fn one_mishap_on_the_cable_is_repaired() {
    let mut worst = Duration::ZERO;
    for atr in [atr::t1(), atr::t0()] {
        for way in [Way::ToReader, Way::ToHost] {
            for at in 0..octets(&atr, way) {
                for mishap in
                    [Mishap::Lose, Mishap::Double, Mishap::Damage(0x01), Mishap::Damage(0x90)]
                {
                    let name = format!("{mishap:?} of octet {at} {way:?}, {atr:02X?}");
                    let mut rig = Rig::new(&atr, way, Some((at, mishap)));
                    assert_eq!(rig.activate(), Event::Ready, "{name}");
                    for apdu in commands() {
                        let expected = Event::Response(answer(&apdu));
                        assert_eq!(rig.command(&apdu), expected, "{name}");
                    }
                    assert_eq!(rig.executed, cores(), "{name}");
                    worst = worst.max(rig.now.since(Instant::default()));
                }
            }
        }
    }
    assert!(worst < Duration::from_secs(4), "{worst:?}");
}

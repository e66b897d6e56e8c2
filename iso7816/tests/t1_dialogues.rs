//! Dialogues between the host's T=1 machine and a scripted card: the informative annex of
//! ISO/IEC 7816-3 and the faults of other stacks.
//!
//! ```text
//! C data    the caller gives a command      A         the caller wants IFSD announced
//! > block   the machine sends               < block   the card sends
//! < x block the card's block is damaged     < raw hex the card sends these octets
//! -         nothing comes in time           = data    the response
//! ! Name    the exchange failed             ifsd n    the announcement is over
//! ```
//! A block is `I<N(S)><M> data`, `R<N(R)>` with `e` (EDC) or `o` (other), or `S(NAME q)` and
//! `S(NAME r)` with a number behind it for IFS and WTX. Data is hex, or `#a..b` for the octets a
//! to b-1.
#![allow(clippy::unwrap_used)] // a test that cannot go on panics
use cam_types::Instant;
use iso7816::emv::Profile;
use iso7816::etu::LineParams;
use iso7816::t1::{Block, Edc, Fault, Input, Output, Supervisory, T1, T1Params};
use std::collections::VecDeque;
use std::time::Duration;

const SCENARIOS: &[(&str, &str)] = &[
    (
        "1 plain exchanges",
        "C 01;> I00 01;< I00 9000;= 9000;C 02;> I10 02;< I10 9000;= 9000;C 03;> I00 03;< I00 6A80;= 6A80",
    ),
    ("2 waiting time extension", "C 01;> I00 01;< S(WTX q) 5;> S(WTX r) 5;< I00 9000;= 9000"),
    ("3 we offer IFSD", "A;> S(IFS q) 254;< S(IFS r) 254;ifsd 254;C 01;> I00 01;< I00 9000;= 9000"),
    (
        "4 the card changes IFSC",
        "C 01;> I00 01;< S(IFS q) 5;> S(IFS r) 5;< I00 9000;= 9000;C #0..8;> I11 #0..5;< R0;> I00 #5..8;< I10 9000;= 9000",
    ),
    (
        "5 our chain",
        "C #0..40;> I01 #0..32;< R1;> I10 #32..40;< I00 9000;= 9000;C 01;> I00 01;< I10 9000;= 9000",
    ),
    (
        "6 the card's chain",
        "C 01;> I00 01;< I01 #0..32;> R1;< I11 #32..64;> R0;< I00 9000;= #0..64 9000;C 02;> I10 02;< I10 9000;= 9000",
    ),
    ("7 both chains", "C #0..40;> I01 #0..32;< R1;> I10 #32..40;< I01 AA;> R1;< I10 9000;= AA9000"),
    (
        "8 WTX inside our chain",
        "C #0..40;> I01 #0..32;< S(WTX q) 2;> S(WTX r) 2;< R1;> I10 #32..40;< I00 9000;= 9000",
    ),
    (
        "9 IFS inside our chain",
        "C #0..40;> I01 #0..32;< S(IFS q) 4;> S(IFS r) 4;< R1;> I11 #32..36;< R0;> I00 #36..40;< I00 9000;= 9000",
    ),
    (
        "10 the card aborts our chain, R",
        "C #0..40;> I01 #0..32;< S(ABORT q);> S(ABORT r);< R1;! Aborted;C 01;> I10 01;< I00 9000;= 9000",
    ),
    (
        "10 the card aborts our chain, I",
        "C #0..40;> I01 #0..32;< S(ABORT q);> S(ABORT r);< I00 6F00;! Aborted;C 01;> I10 01;< I10 9000;= 9000",
    ),
    (
        "11 we abort the card's chain",
        "C 01;> I00 01;< I01 #0..32;> R1;< I11 #0..32;> R0;< I01 #0..32;> S(ABORT q);< S(ABORT r);! TooLong;C 02;> I10 02;< I10 9000;= 9000",
    ),
    (
        "11 the last part is too long",
        "C 01;> I00 01;< I01 #0..32;> R1;< I11 #0..32;> R0;< I00 #0..32;! TooLong;C 02;> I10 02;< I10 9000;= 9000",
    ),
    ("12 our I-block was damaged", "C 01;> I00 01;< R0e;> I00 01;< I00 9000;= 9000"),
    ("13 the card's I-block is damaged", "C 01;> I00 01;< x I00 9000;> R0e;< I00 9000;= 9000"),
    (
        "14 our R-block is damaged too",
        "C 01;> I00 01;< x I00 9000;> R0e;< R1e;> R0e;< I00 9000;= 9000",
    ),
    ("15 damage both ways", "C 01;> I00 01;< x R0e;> R0e;< R0e;> I00 01;< I00 9000;= 9000"),
    ("16 silence, then the answer again", "C 01;> I00 01;-;> R0o;< I00 9000;= 9000"),
    ("17 silence, the card never saw it", "C 01;> I00 01;-;> R0o;< R0;> I00 01;< I00 9000;= 9000"),
    ("18 other error", "C 01;> I00 01;< R0o;> I00 01;< I00 9000;= 9000"),
    (
        "19 three damaged answers",
        "C 01;> I00 01;< I00 9000;= 9000;C 02;> I10 02;< x I10 9000;> R1e;< x I10 9000;> R1e;< x I10 9000;> S(RESYNCH q);< S(RESYNCH r);! Resynchronised;C 03;> I00 03;< I00 9000;= 9000",
    ),
    (
        "20 three requests for the same block",
        "C 01;> I00 01;< R0e;> I00 01;< R0e;> I00 01;< R0e;> S(RESYNCH q);< S(RESYNCH r);! Resynchronised",
    ),
    (
        "21 the same at the start",
        "C 01;> I00 01;< x I00 9000;> R0e;< x I00 9000;> R0e;< x I00 9000;! Blocks",
    ),
    ("21 a mute card at the start", "C 01;> I00 01;-;> R0o;-;> R0o;-;! Silent"),
    (
        "22 wrong N(S) acknowledges nothing",
        "C 01;> I00 01;< I10 9000;> R0o;< R0;> I00 01;< I00 6A80;= 6A80",
    ),
    (
        "22 the answer of the command before",
        "C 01;> I00 01;< I00 9000;= 9000;C 02;> I10 02;< I00 9000;> R1o;< I10 6A80;= 6A80",
    ),
    (
        "23 damaged WTX request",
        "C 01;> I00 01;< x S(WTX q) 2;> R0e;< S(WTX q) 2;> S(WTX r) 2;< I00 9000;= 9000",
    ),
    (
        "24 WTX asked again",
        "C 01;> I00 01;< S(WTX q) 2;> S(WTX r) 2;< S(WTX q) 2;> S(WTX r) 2;< I00 9000;= 9000",
    ),
    (
        "25 WTX response asked for by R",
        "C 01;> I00 01;< S(WTX q) 2;> S(WTX r) 2;< R0e;> S(WTX r) 2;< I00 9000;= 9000",
    ),
    (
        "25 and after that the block",
        "C 01;> I00 01;< S(WTX q) 2;> S(WTX r) 2;< R0e;> S(WTX r) 2;< R0e;> I00 01;< I00 9000;= 9000",
    ),
    (
        "26 damaged answer after WTX",
        "C 01;> I00 01;< S(WTX q) 2;> S(WTX r) 2;< x I00 9000;> R0e;< I00 9000;= 9000",
    ),
    (
        "27 WTX again and again",
        "C 01;> I00 01;< S(WTX q) 255;> S(WTX r) 255;< S(WTX q) 255;> S(WTX r) 255;< S(WTX q) 1;> S(WTX r) 1;< I00 9000;= 9000",
    ),
    (
        "28 WTX without a number",
        "C 01;> I00 01;< raw 00C300C3;> R0o;< raw 00C3020101C1;> R0o;< I00 9000;= 9000",
    ),
    ("28 WTX of zero", "C 01;> I00 01;< raw 00C30100C2;> R0o;< I00 9000;= 9000"),
    ("29 our S(IFS) was damaged", "A;> S(IFS q) 254;< R0e;> S(IFS q) 254;< S(IFS r) 254;ifsd 254"),
    (
        "30 the answer to it is damaged",
        "A;> S(IFS q) 254;< x S(IFS r) 254;> S(IFS q) 254;< S(IFS r) 254;ifsd 254",
    ),
    (
        "31 it answers another value",
        "A;> S(IFS q) 254;< S(IFS r) 32;> S(IFS q) 254;< S(IFS r) 32;> S(IFS q) 254;< S(IFS r) 32;ifsd 32;C 01;> I00 01;< I00 9000;= 9000",
    ),
    (
        "32 damaged S(IFS) of the card",
        "C 01;> I00 01;< x S(IFS q) 8;> R0e;< S(IFS q) 8;> S(IFS r) 8;< I00 9000;= 9000",
    ),
    (
        "33 IFS of 0 and of FF",
        "C 01;> I00 01;< raw 00C10100C0;> R0o;< raw 00C101FF3F;> R0o;< I00 9000;= 9000",
    ),
    (
        "34 damage in our chain",
        "C #0..40;> I01 #0..32;< R0e;> I01 #0..32;< R1;> I10 #32..40;< I00 9000;= 9000",
    ),
    (
        "35 damaged acknowledgement",
        "C #0..40;> I01 #0..32;< x R1;> R0e;< R1;> I10 #32..40;< I00 9000;= 9000",
    ),
    (
        "36 second part damaged",
        "C #0..80;> I01 #0..32;< R1;> I11 #32..64;< R1e;> I11 #32..64;< R0;> I00 #64..80;< I00 9000;= 9000",
    ),
    (
        "37 damage in the card's chain",
        "C 01;> I00 01;< x I01 AA;> R0e;< I01 AA;> R1;< I10 9000;= AA9000",
    ),
    (
        "38 our acknowledgement was damaged",
        "C 01;> I00 01;< I01 AA;> R1;< R1e;> R1;< I10 9000;= AA9000",
    ),
    (
        "39 a part of the chain twice",
        "C 01;> I00 01;< I01 AA;> R1;< I01 AA;> R1;< I10 9000;= AA9000",
    ),
    (
        "40 acknowledged though nothing follows",
        "C 01;> I00 01;< I00 9000;= 9000;C 02;> I10 02;< R0;> R1o;< R0;> R1o;< R0;> S(RESYNCH q);< S(RESYNCH r);! Resynchronised",
    ),
    (
        "41 the answer to the abort is lost",
        "C #0..40;> I01 #0..32;< S(ABORT q);> S(ABORT r);< S(ABORT q);> S(ABORT r);< R1;! Aborted",
    ),
    (
        "41 our abort is lost",
        "C 01;> I00 01;< I01 #0..32;> R1;< I11 #0..32;> R0;< I01 #0..32;> S(ABORT q);-;> S(ABORT q);< S(ABORT r);! TooLong",
    ),
    (
        "42 RESYNCH lost once",
        "C 01;> I00 01;< R0e;> I00 01;< R0e;> I00 01;< R0e;> S(RESYNCH q);-;> S(RESYNCH q);< S(RESYNCH r);! Resynchronised",
    ),
    (
        "43 RESYNCH in vain",
        "C 01;> I00 01;< R0e;> I00 01;< R0e;> I00 01;< R0e;> S(RESYNCH q);-;> S(RESYNCH q);-;> S(RESYNCH q);-;! Blocks",
    ),
    ("44 the card may not resynchronise", "C 01;> I00 01;< S(RESYNCH q);> R0o;< I00 9000;= 9000"),
    (
        "45 a response nobody asked for",
        "C 01;> I00 01;< S(IFS r) 32;> R0o;< S(WTX r) 1;> R0o;< I00 9000;= 9000",
    ),
    (
        "46 RESYNCH in our chain never sends the tail",
        "C #0..80;> I01 #0..32;< R1;> I11 #32..64;< R1e;> I11 #32..64;< R1e;> I11 #32..64;< R1e;> S(RESYNCH q);< S(RESYNCH r);! Resynchronised;C #0..40;> I01 #0..32;< R1;> I10 #32..40;< I00 9000;= 9000",
    ),
    (
        "47 RESYNCH in the card's chain drops what came",
        "C 01;> I00 01;< I01 AA;> R1;< x I11 BB;> R1;< x I11 BB;> R1;< x I11 BB;> S(RESYNCH q);< S(RESYNCH r);! Resynchronised;C 02;> I00 02;< I00 9000;= 9000",
    ),
    (
        "IFS is announced again after RESYNCH",
        "A;> S(IFS q) 254;< S(IFS r) 254;ifsd 254;C 01;> I00 01;< R0e;> I00 01;< R0e;> I00 01;< R0e;> S(RESYNCH q);< S(RESYNCH r);! Resynchronised;C 02;> S(IFS q) 254;< S(IFS r) 254;> I00 02;< I00 9000;= 9000",
    ),
    ("a block bigger than IFSD", "C 01;> I00 01;< I00 #0..33;> R0o;< I00 9000;= 9000"),
    (
        "LEN FF, and octets behind the end",
        "C 01;> I00 01;< raw 0000FF;> R0o;< raw 0000029000929292;> R0o;< I00 9000;= 9000",
    ),
    ("a wrong NAD", "C 01;> I00 01;< raw 2100029000B3;> R0o;< I00 9000;= 9000"),
    ("a block cut short", "C 01;> I00 01;< raw 000002;> R0o;< I00 9000;= 9000"),
    (
        "INS C0 does not look like a block",
        "C 00C0000010;> I00 00C0000010;< I00 9000;= 9000;C 00C1010000;> I10 00C1010000;< I10 9000;= 9000",
    ),
    (
        "an I-block inside our chain",
        "C #0..40;> I01 #0..32;< I00 9000;> R0o;< R1;> I10 #32..40;< I00 9000;= 9000",
    ),
];

#[derive(Debug, PartialEq)]
enum Event {
    Sent(Vec<u8>),
    Response(Vec<u8>),
    Failed(String),
    Announced(u8),
}

struct Stage {
    machine: T1,
    now: Instant,
    deadline: Option<Instant>,
    events: VecDeque<Event>,
    edc: Edc,
}

impl Stage {
    fn new(offer: u8, edc: Edc) -> Self {
        let mut machine = T1::new(261, 80, Duration::from_millis(40), offer, Profile::Iso);
        let params = T1Params { edc, ..T1Params::default() };
        machine.reset(LineParams::initial(3_579_545), params);
        Self { machine, now: Instant::from_micros(1), deadline: None, events: VecDeque::new(), edc }
    }

    fn input(&mut self, input: Input<'_>) {
        self.machine.handle_input(self.now, input);
        loop {
            let event = match self.machine.poll_output() {
                Output::Transmit(block) => Event::Sent(block.to_vec()),
                Output::Response(response) => Event::Response(response.to_vec()),
                Output::Failed(why) => Event::Failed(format!("{why:?}")),
                Output::Announced { ifsd } => Event::Announced(ifsd),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            };
            self.events.push_back(event);
        }
    }

    /// Lets time pass until the machine does something.
    fn pass_time(&mut self) {
        for _ in 0..3 {
            if !self.events.is_empty() {
                return;
            }
            let Some(deadline) = self.deadline else { return };
            assert!(deadline >= self.now);
            self.now = deadline;
            self.input(Input::Timeout);
        }
    }

    fn block(&self, text: &str) -> Vec<u8> {
        let (kind, rest) = text.split_at(if text.starts_with('S') {
            text.find(')').unwrap() + 1
        } else {
            text.find(' ').unwrap_or(text.len())
        });
        let inf = if kind.starts_with('I') { data(rest) } else { Vec::new() };
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
                let number = rest.trim().parse().unwrap_or(0);
                let (name, way) = kind[2..kind.len() - 1].split_once(' ').unwrap();
                let kind = match name {
                    "RESYNCH" => Supervisory::Resynch,
                    "IFS" => Supervisory::Ifs(number),
                    "ABORT" => Supervisory::Abort,
                    _ => Supervisory::Wtx(number),
                };
                Block::S { response: way == "r", kind }
            }
        };
        let mut out = [0; 300];
        let len = block.emit(self.edc, &mut out).unwrap();
        out[..len].to_vec()
    }
}

fn data(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        if let Some((from, to)) = word.strip_prefix('#').and_then(|range| range.split_once("..")) {
            out.extend(from.parse::<u8>().unwrap()..to.parse().unwrap());
        } else {
            let octets = (0..word.len()).step_by(2);
            out.extend(octets.map(|at| u8::from_str_radix(&word[at..at + 2], 16).unwrap()));
        }
    }
    out
}

fn play(name: &str, script: &str, edc: Edc, split: usize) {
    // The default IFSD needs no announcement, so most scenarios start with the command.
    let mut stage = Stage::new(if script.starts_with('A') { 254 } else { 32 }, edc);
    for (at, line) in script.split(';').enumerate() {
        let here = format!("scenario {name}, line {at}: {line}");
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let expected = match verb {
            "C" => {
                stage.input(Input::Command(&data(rest)));
                continue;
            }
            "A" => {
                stage.input(Input::Announce);
                continue;
            }
            "<" => {
                assert!(stage.events.is_empty(), "{here}: before it {:?}", stage.events);
                let octets = if let Some(damaged) = rest.strip_prefix("x ") {
                    let mut octets = stage.block(damaged);
                    *octets.last_mut().unwrap() ^= 0x10;
                    octets
                } else if let Some(raw) = rest.strip_prefix("raw ") {
                    data(raw)
                } else {
                    stage.block(rest)
                };
                for part in octets.chunks(split) {
                    stage.input(Input::Received(part));
                }
                stage.pass_time();
                continue;
            }
            "-" => {
                assert!(stage.events.is_empty(), "{here}: before it {:?}", stage.events);
                stage.pass_time();
                continue;
            }
            ">" => Event::Sent(stage.block(rest)),
            "=" => Event::Response(data(rest)),
            "!" => Event::Failed(rest.to_owned()),
            "ifsd" => Event::Announced(rest.parse().unwrap()),
            _ => panic!("{here}: no such verb"),
        };
        assert_eq!(stage.events.pop_front(), Some(expected), "{here}");
    }
    assert!(stage.events.is_empty(), "scenario {name}: left over {:?}", stage.events);
    assert_eq!(stage.deadline, None, "scenario {name}: still waiting");
}

#[test]
fn scenarios() {
    for (name, script) in SCENARIOS {
        for split in [1, 3, 300] {
            play(name, script, Edc::Lrc, split);
        }
    }
}

#[test]
fn scenarios_with_crc() {
    for (name, script) in SCENARIOS.iter().filter(|(_, script)| !script.contains("raw")) {
        play(name, script, Edc::Crc, 1);
    }
}

/// A waiting time extension counts for the next block only, and the biggest does not overflow.
#[test]
fn extended_waiting_time() {
    let mut stage = Stage::new(32, Edc::Lrc);
    stage.input(Input::Command(&[0, 0, 0, 0]));
    let bwt = stage.deadline.unwrap().since(stage.now);
    let request = stage.block("S(WTX q) 255");
    stage.events.clear();
    stage.input(Input::Received(&request));
    stage.pass_time();
    let extended = stage.deadline.unwrap().since(stage.now);
    assert!(extended > bwt * 200 && extended < bwt * 256, "{bwt:?} {extended:?}");
    assert!(stage.machine.extended());
    stage.events.clear();
    stage.pass_time();
    assert!(!stage.machine.extended());
    assert!(stage.deadline.unwrap().since(stage.now) < bwt * 2);
}

/// A parity error spoils the block that it is in, whatever the check over it says.
#[test]
fn parity_errors() {
    let mut stage = Stage::new(32, Edc::Lrc);
    stage.input(Input::Command(&[0, 0, 0, 0]));
    stage.events.clear();
    let answer = stage.block("I00 9000");
    stage.input(Input::Damaged);
    stage.input(Input::Received(&answer));
    stage.pass_time();
    assert_eq!(stage.events.pop_front(), Some(Event::Sent(stage.block("R0e"))));
    stage.input(Input::Received(&answer));
    stage.pass_time();
    assert_eq!(stage.events.pop_front(), Some(Event::Response(vec![0x90, 0x00])));
}

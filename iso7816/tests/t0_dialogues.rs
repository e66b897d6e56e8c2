//! Dialogues between the host's T=0 machine and a scripted card.
//!
//! `C` command, `>` the machine sends, `<` the card sends, `-` nothing comes in time, `x` a parity
//! error, `=` the response, `!` the exchange failed. Octets are hex, `..n` repeats the last n times.
#![allow(clippy::unwrap_used)] // a test that cannot go on panics
use cam_types::Instant;
use iso7816::etu::LineParams;
use iso7816::t0::{Input, Output, T0, T0Policy};
use std::collections::VecDeque;
use std::time::Duration;

const DIALOGUES: &[(&str, &str)] = &[
    ("case 1", "C 80320000;> 8032000000;< 9000;= 9000"),
    ("case 2, all at once", "C 8032000002;> 8032000002;< 32AABB9000;= AABB9000"),
    ("case 2, octet by octet", "C 8032000002;> 8032000002;< CDAACDBB9000;= AABB9000"),
    ("case 2, mixed", "C 8032000003;> 8032000003;< CDAA32BBCC9000;= AABBCC9000"),
    ("case 2, 256 octets", "C 8032000000;> 8032000000;< 32 55..256 9000;= 55..256 9000"),
    ("case 2, fewer than asked for", "C 8032000005;> 8032000005;< CDAA6282;= AA6282"),
    ("case 3, all at once", "C 8036000003010203;> 8036000003;< 36;> 010203;< 9000;= 9000"),
    (
        "case 3, octet by octet",
        "C 8036000003010203;> 8036000003;< C9;> 01;< C9;> 02;< C9;> 03;< 9000;= 9000",
    ),
    ("case 3, mixed", "C 8036000003010203;> 8036000003;< C9;> 01;< 36;> 0203;< 9000;= 9000"),
    ("case 3, ended early", "C 8036000003010203;> 8036000003;< C9;> 01;< 6A80;= 6A80"),
    (
        "case 3, 61xx is the caller's business",
        "C 80360000010A;> 8036000001;< 36;> 0A;< 6102;= 6102",
    ),
    (
        "case 4",
        "C 80340000010A00;> 8034000001;< 34;> 0A;< 6102;> 80C0000002;< C0AABB9000;= AABB9000",
    ),
    (
        "case 4 of secure messaging keeps its class",
        "C 84340000010A00;> 8434000001;< 34;> 0A;< 6102;> 84C0000002;< C0AABB9000;= AABB9000",
    ),
    (
        "case 4 on a logical channel",
        "C 01340000010A00;> 0134000001;< 34;> 0A;< 6101;> 01C0000001;< C0AA9000;= AA9000",
    ),
    (
        "chaining is not for GET RESPONSE",
        "C 11340000010A00;> 1134000001;< 34;> 0A;< 6101;> 01C0000001;< C0AA9000;= AA9000",
    ),
    (
        "case 4, less wanted than waits",
        "C 80340000010A01;> 8034000001;< 34;> 0A;< 6105;> 80C0000001;< C0AA6104;= AA6104",
    ),
    (
        "case 4, in two answers",
        "C 80340000010A00;> 8034000001;< 34;> 0A;< 6102;> 80C0000002;< C0AABB6101;> 80C0000001;< C0CC9000;= AABBCC9000",
    ),
    (
        "case 4, 6100 stands for 256",
        "C 80340000010A00;> 8034000001;< 34;> 0A;< 6100;> 80C0000000;< C0 55..256 9000;= 55..256 9000",
    ),
    (
        "case 4, GET RESPONSE corrected",
        "C 80340000010A00;> 8034000001;< 34;> 0A;< 6105;> 80C0000005;< 6C01;> 80C0000001;< C0AA9000;= AA9000",
    ),
    ("case 4, error without data", "C 80340000010A00;> 8034000001;< 34;> 0A;< 6988;= 6988"),
    ("case 4, 9000 ends it", "C 80340000010A00;> 8034000001;< 34;> 0A;< 9000;= 9000"),
    ("6Cxx", "C 8032000000;> 8032000000;< 6C02;> 8032000002;< 32AABB9000;= AABB9000"),
    (
        "6Cxx, more than wanted",
        "C 8032000001;> 8032000001;< 6C02;> 8032000002;< 32AABB9000;= AA9000",
    ),
    ("6Cxx twice stops", "C 8032000000;> 8032000000;< 6C02;> 8032000002;< 6C03;= 6C03"),
    ("6Cxx never repeats VERIFY", "C 0020008108;> 0020008108;< 6C04;= 6C04"),
    ("6Cxx never repeats CHANGE PIN", "C 8424008108;> 8424008108;< 6C04;= 6C04"),
    ("NULL", "C 8032000001;> 8032000001;< 60;< 6060;< 32;< AA;< 60;< 90;< 00;= AA9000"),
    ("FF and 60 in data", "C 8032000003;> 8032000003;< 32FF60609000;= FF60609000"),
    ("no procedure byte", "C 8032000001;> 8032000001;< C4;! ProcedureByte(196)"),
    ("Vpp forms are gone", "C 8032000001;> 8032000001;< 33;! ProcedureByte(51)"),
    ("ACK without data", "C 80320000;> 8032000000;< 32;! ProcedureByte(50)"),
    ("ACK after all data", "C 80360000010A;> 8036000001;< 36;> 0A;< 36;! ProcedureByte(54)"),
    ("9x is SW1", "C 80320000;> 8032000000;< 9401;= 9401"),
    ("silence after the header", "C 80320000;> 8032000000;-;! Silent"),
    ("silence in the data", "C 8032000002;> 8032000002;< 32AA;-;! Silent"),
    ("silence after SW1", "C 80320000;> 8032000000;< 90;-;! Silent"),
    ("octets behind the status word", "C 80320000;> 8032000000;< 900000;! Leftover"),
    ("the same a little later", "C 80320000;> 8032000000;< 9000;< 00;! Leftover"),
    ("out of nowhere", "C 80320000;> 8032000000;< 9000;= 9000;< 00;! Leftover"),
    (
        "octets while the line turns round",
        "C 80360000010A;> 8036000001;< 36;< 36;! ProcedureByte(54)",
    ),
    ("parity error", "C 8032000001;> 8032000001;< 32;x;! Damaged"),
    ("CLA FF", "C FF320000;! Command(Class)"),
    ("INS 60", "C 80600000;! Command(Instruction { ins: 96 })"),
    ("INS 9E", "C 809E0000;! Command(Instruction { ins: 158 })"),
    ("extended length", "C 80320000000001AA;! Command(Extended)"),
];

fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        let (hex, times) = word.split_once("..").unwrap_or((word, "1"));
        let bytes = (0..hex.len()).step_by(2);
        out.extend(bytes.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()));
        let last = *out.last().unwrap();
        out.extend(std::iter::repeat_n(last, times.parse::<usize>().unwrap() - 1));
    }
    out
}

struct Stage {
    machine: T0,
    now: Instant,
    deadline: Option<Instant>,
    events: VecDeque<(char, String, Vec<u8>)>,
}

impl Stage {
    fn new(get_response_after_ok: bool) -> Self {
        let line = LineParams::initial(3_579_545);
        let mut machine = T0::new(
            Duration::from_millis(40),
            T0Policy { get_response_after_ok, ..T0Policy::default() },
        );
        machine.reset(line, line.wt(10, 372));
        Self { machine, now: Instant::from_micros(1), deadline: None, events: VecDeque::new() }
    }

    fn input(&mut self, input: Input<'_>) {
        self.machine.handle_input(self.now, input);
        loop {
            let event = match self.machine.poll_output() {
                Output::Transmit(octets) => ('>', String::new(), octets.to_vec()),
                Output::Response(octets) => ('=', String::new(), octets.to_vec()),
                Output::Failed(why) => ('!', format!("{why:?}"), Vec::new()),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            };
            self.events.push_back(event);
        }
    }

    fn pass_time(&mut self) {
        if let (true, Some(deadline)) = (self.events.is_empty(), self.deadline) {
            self.now = deadline;
            self.input(Input::Timeout);
        }
    }
}

fn play(name: &str, script: &str, get_response_after_ok: bool, split: usize) {
    let mut stage = Stage::new(get_response_after_ok);
    for line in script.split(';') {
        let here = format!("{name}: {line}");
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "C" => stage.input(Input::Command(&octets(rest))),
            "<" => {
                assert!(stage.events.is_empty(), "{here}: before it {:?}", stage.events);
                for part in octets(rest).chunks(split) {
                    stage.input(Input::Received(part));
                }
            }
            "x" => stage.input(Input::Damaged),
            "-" => stage.pass_time(),
            _ => {
                stage.pass_time();
                let (kind, why, sent) = stage.events.pop_front().expect(&here);
                let text = if verb == "!" { rest } else { "" };
                let data = if verb == "!" { Vec::new() } else { octets(rest) };
                assert_eq!((kind.to_string().as_str(), why.as_str()), (verb, text), "{here}");
                assert_eq!(sent, data, "{here}");
            }
        }
    }
    assert!(stage.events.is_empty(), "{name}: left over {:?}", stage.events);
    assert_eq!(stage.deadline, None, "{name}: still waiting");
}

#[test]
fn dialogues() {
    for (name, script) in DIALOGUES {
        for split in [1, 2, 300] {
            play(name, script, false, split);
        }
    }
}

#[test]
fn answer_of_a_case_4_command_that_ended_with_9000() {
    let script = "C 80340000010A07;> 8034000001;< 34;> 0A;< 9000;> 80C0000007;< C0AA9000";
    play(
        "by policy",
        &script.replace("C0AA9000", "6C01;> 80C0000001;< C0AA9000;= AA9000"),
        true,
        1,
    );
}

/// The waiting time runs from character to character, and NULL starts it again.
#[test]
fn waiting_time() {
    let mut stage = Stage::new(false);
    stage.input(Input::Command(&[0x80, 0x32, 0, 0]));
    stage.events.clear();
    for _ in 0..100 {
        stage.now = stage.now.after(Duration::from_millis(900));
        stage.input(Input::Received(&[0x60]));
        stage.input(Input::Timeout);
        assert!(stage.events.is_empty());
    }
    let left = stage.deadline.unwrap().since(stage.now);
    assert!(left > Duration::from_millis(998) && left < Duration::from_millis(1050), "{left:?}");
}

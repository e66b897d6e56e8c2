// SPDX-License-Identifier: Apache-2.0
//! Dialogues between the host's T=0 machine and a scripted card.
//!
//! `C` command, `>` the machine sends, `<` the card sends, `-` nothing comes in time, `x` a parity
//! error, `=` the response, `!` the exchange failed. Octets are hex, `..n` repeats the last n
//! times.

use cam_types::Instant;
use iso7816::apdu::Lengths;
use iso7816::emv::Profile;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::t0::{Input, Output, T0, T0Policy};
use std::collections::VecDeque;
use std::time::Duration;

/// Octets of the longest response in these dialogues.
const LIMIT: usize = 600;
const ISO: T0Policy =
    T0Policy { get_response_after_ok: false, vpp_procedure_bytes: false, profile: Profile::Iso };

fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for token in text.split_whitespace() {
        let (hex, times) = token.split_once("..").unwrap_or((token, "1"));
        let bytes = (0..hex.len()).step_by(2);
        out.extend(bytes.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()));
        let last = *out.last().unwrap();
        out.extend(std::iter::repeat_n(last, times.parse::<usize>().unwrap() - 1));
    }
    out
}

struct Rig {
    machine: T0,
    line: LineParams,
    now: Instant,
    deadline: Option<Instant>,
    events: VecDeque<(char, String, Vec<u8>)>,
}

impl Rig {
    fn new(policy: T0Policy) -> Self {
        let line = LineParams::initial(USUAL_CLOCK_HZ);
        let latency = Duration::from_millis(40);
        let mut machine = T0::new(Lengths::MAX_COMMAND, LIMIT, latency, policy);
        machine.reset(line, line.wt(10, 372));
        let now = moments::first();
        Self { machine, line, now, deadline: None, events: VecDeque::new() }
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

fn play_split(script: &str, policy: T0Policy, split: usize) {
    let mut rig = Rig::new(policy);
    for line in script.split(';') {
        let here = format!("{script}: {line}");
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "C" => rig.input(Input::Command(&octets(rest))),
            "<" => {
                assert!(rig.events.is_empty(), "{here}: before it {:?}", rig.events);
                for part in octets(rest).chunks(split) {
                    rig.input(Input::Received(part));
                }
            }
            "x" => rig.input(Input::Damaged),
            "-" => rig.pass_time(),
            _ => {
                rig.pass_time();
                let (kind, why, sent) = rig.events.pop_front().expect(&here);
                let text = if verb == "!" { rest } else { "" };
                let data = if verb == "!" { Vec::new() } else { octets(rest) };
                assert_eq!((kind.to_string().as_str(), why.as_str()), (verb, text), "{here}");
                assert_eq!(sent, data, "{here}");
            }
        }
    }
    assert!(rig.events.is_empty(), "{script}: left over {:?}", rig.events);
    assert_eq!(rig.deadline, None, "{script}: still waiting");
}

/// However the card's octets arrive.
fn play(policy: T0Policy, scripts: &[&str]) {
    for script in scripts {
        for split in [1, 2, 300] {
            play_split(script, policy, split);
        }
    }
}

#[test]
fn the_four_cases_with_short_lengths() {
    play(
        ISO,
        &[
            "C 80320000;> 8032000000;< 9000;= 9000",
            "C 8032000002;> 8032000002;< 32AABB9000;= AABB9000",
            "C 8036000003010203;> 8036000003;< 36;> 010203;< 9000;= 9000",
            // 61xx to who wants no answer is the caller's business
            "C 80360000010A;> 8036000001;< 36;> 0A;< 6102;= 6102",
            "C 80340000010A00;> 8034000001;< 34;> 0A;< 6102;> 80C0000002;< C0AABB9000;= AABB9000",
            "C 80340000010A00;> 8034000001;< 34;> 0A;< 6988;= 6988",
        ],
    );
}

#[test]
fn fewer_octets_than_asked_for_are_an_answer() {
    play(ISO, &["C 8032000005;> 8032000005;< CDAA6282;= AA6282"]);
}

#[test]
fn case_4_that_ended_with_9000_is_over() {
    play(ISO, &["C 80340000010A00;> 8034000001;< 34;> 0A;< 9000;= 9000"]);
}

#[test]
fn case_4_that_ended_with_9000_is_fetched_by_policy() {
    let policy = T0Policy { get_response_after_ok: true, ..ISO };
    let script = "C 80340000010A07;> 8034000001;< 34;> 0A;< 9000;> 80C0000007;\
                  < 6C01;> 80C0000001;< C0AA9000;= AA9000";
    play(policy, &[script]);
}

#[test]
fn extended_lengths_that_fit_one_tpdu_go_out_short() {
    play(
        ISO,
        &[
            "C 80320000 000002;> 8032000002;< 32AABB9000;= AABB9000",
            "C 80360000 000001 0A;> 8036000001;< 36;> 0A;< 9000;= 9000",
            "C 80340000 000001 0A 0002;> 8034000001;< 34;> 0A;< 6102;> 80C0000002;< C0AABB9000;= AABB9000",
        ],
    );
}

#[test]
fn more_than_256_octets_of_answer_are_fetched() {
    play(
        ISO,
        &[
            "C 80320000 000200;> 8032000000;< 32 55..256 6100;> 80C0000000;< C0 66..256 9000;= 55..256 66..256 9000",
            "C 80340000 000001 0A 0000;> 8034000001;< 34;> 0A;< 6100;> 80C0000000;< C0 55..256 6103;> 80C0000003;< C0AABBCC9000;= 55..256 AABBCC9000",
            // no more than asked for
            "C 80320000 000102;> 8032000000;< 32 55..256 6105;> 80C0000002;< C0AABB9000;= 55..256 AABB9000",
        ],
    );
}

#[test]
fn envelope_carries_a_command_that_is_too_long_for_one() {
    play(
        ISO,
        &[
            // case 3E
            "C 80360000 000100 AA..256;> 80C20000FF;< C2;> 80360000000100 AA..248;< 9000;> 80C2000008;< C2;> AA..8;< 9000;= 9000",
            // case 4E
            "C 80340000 000104 AA..260 0000;> 80C20000FF;< C2;> 80340000000104 AA..248;< 9000;> 80C200000E;< C2;> AA..12 0000;< 6102;> 80C0000002;< C0BBCC9000;= BBCC9000",
            // on its logical channel, without the chaining bit
            "C 11340000 000100 AA..256;> 01C20000FF;< 3D;> 11;< C2;> 340000000100 AA..248;< 9000;> 01C2000008;< C2;> AA..8;< 6A80;= 6A80",
        ],
    );
}

#[test]
fn a_card_without_envelope_says_so() {
    play(
        ISO,
        &[
            "C 80360000 000100 AA..256;> 80C20000FF;< 6D00;= 6D00",
            // nothing is sent behind a part that was refused
            "C 80360000 000100 AA..256;> 80C20000FF;< C2;> 80360000000100 AA..248;< 6581;= 6581",
            "C 80340000 000100 AA..256 0000;> 80C20000FF;< C2;> 80340000000100 AA..248;< 6105;= 6105",
        ],
    );
}

#[test]
fn an_answer_beyond_the_limit_is_not_fetched() {
    play(
        ISO,
        &[
            "C 80320000 000400;> 8032000000;< 32 55..256 6100;> 80C0000000;< C0 66..256 6100;! TooLong;\
             C 80320000;> 8032000000;< 9000;= 9000",
        ],
    );
}

#[test]
fn lengths_that_contradict_the_octets_are_refused() {
    play(
        ISO,
        &[
            "C 80360000 02 AA;! Command(Length { lc: 2, octets: 1 })",
            "C 80360000 000002 AA;! Command(Length { lc: 2, octets: 1 })",
            "C 8036;! Command(Header { octets: 2 })",
        ],
    );
}

#[test]
fn headers_that_look_like_something_else_are_refused() {
    play(
        ISO,
        &[
            "C FF320000;! Command(Class)",
            "C 80600000;! Command(Instruction { ins: 96 })",
            "C 809E0000;! Command(Instruction { ins: 158 })",
        ],
    );
}

#[test]
fn null_asks_for_time_as_often_as_the_card_likes() {
    play(
        ISO,
        &[
            "C 8032000001;> 8032000001;< 60;< 6060;< 32;< AA;< 60;< 90;< 00;= AA9000",
            "C 80360000010A;> 8036000001;< 60..300 36;> 0A;< 60..300 9000;= 9000",
        ],
    );
}

#[test]
fn ack_and_its_complement_in_both_directions() {
    play(
        ISO,
        &[
            "C 8032000002;> 8032000002;< CDAACDBB9000;= AABB9000",
            "C 8032000003;> 8032000003;< CDAA32BBCC9000;= AABBCC9000",
            "C 8036000003010203;> 8036000003;< C9;> 01;< C9;> 02;< C9;> 03;< 9000;= 9000",
            "C 8036000003010203;> 8036000003;< C9;> 01;< 36;> 0203;< 9000;= 9000",
        ],
    );
}

#[test]
fn a_status_word_before_all_data_ends_the_command() {
    play(
        ISO,
        &[
            "C 8036000003010203;> 8036000003;< 6A80;= 6A80",
            "C 8036000003010203;> 8036000003;< C9;> 01;< 6A80;= 6A80",
            "C 8032000003;> 8032000003;< CDAA9401;= AA9401",
        ],
    );
}

#[test]
fn ff_and_60_in_data_are_data() {
    play(ISO, &["C 8032000003;> 8032000003;< 32FF60609000;= FF60609000"]);
}

#[test]
fn every_other_procedure_byte_is_an_error() {
    for octet in 0..=0xFF_u8 {
        if matches!(octet & 0xF0, 0x60 | 0x90) || octet == 0x32 || octet == 0xCD {
            continue;
        }
        let script = format!("C 8032000001;> 8032000001;< {octet:02X};! ProcedureByte({octet})");
        play(ISO, &[&script]);
    }
}

#[test]
fn vpp_procedure_bytes_by_policy_only() {
    let scripts = [
        "C 8032000002;> 8032000002;< CCAA33BB9000;= AABB9000",
        "C 80360000020A0B;> 8036000002;< C8;> 0A;< 37;> 0B;< 9000;= 9000",
    ];
    play(T0Policy { vpp_procedure_bytes: true, ..ISO }, &scripts);
    play(
        ISO,
        &[
            "C 8032000001;> 8032000001;< 33;! ProcedureByte(51)",
            "C 8032000001;> 8032000001;< CC;! ProcedureByte(204)",
        ],
    );
}

#[test]
fn ack_without_data_to_come_is_an_error() {
    play(
        ISO,
        &[
            "C 80320000;> 8032000000;< 32;! ProcedureByte(50)",
            "C 80360000010A;> 8036000001;< 36;> 0A;< 36;! ProcedureByte(54)",
            "C 8032000001;> 8032000001;< 32AA32;! ProcedureByte(50)",
        ],
    );
}

#[test]
fn octets_while_the_line_turns_round_are_an_error() {
    play(ISO, &["C 80360000010A;> 8036000001;< 36;< 36;! ProcedureByte(54)"]);
}

#[test]
fn get_response_goes_on_until_nothing_is_left() {
    play(
        ISO,
        &[
            "C 80340000010A00;> 8034000001;< 34;> 0A;< 6102;> 80C0000002;< C0AABB6101;> 80C0000001;< C0CC9000;= AABBCC9000",
            "C 80340000010A00;> 8034000001;< 34;> 0A;< 6105;> 80C0000005;< 6C01;> 80C0000001;< C0AA9000;= AA9000",
            // no more than wanted
            "C 80340000010A01;> 8034000001;< 34;> 0A;< 6105;> 80C0000001;< C0AA6104;= AA6104",
        ],
    );
}

#[test]
fn get_response_keeps_class_and_channel_of_the_command() {
    play(
        ISO,
        &[
            "C 84340000010A00;> 8434000001;< 34;> 0A;< 6102;> 84C0000002;< C0AABB9000;= AABB9000",
            "C 01340000010A00;> 0134000001;< 34;> 0A;< 6101;> 01C0000001;< C0AA9000;= AA9000",
            "C 11340000010A00;> 1134000001;< 34;> 0A;< 6101;> 01C0000001;< C0AA9000;= AA9000",
        ],
    );
}

#[test]
fn a_wrong_length_is_put_right_once() {
    play(
        ISO,
        &[
            "C 8032000000;> 8032000000;< 6C02;> 8032000002;< 32AABB9000;= AABB9000",
            "C 8032000001;> 8032000001;< 6C02;> 8032000002;< 32AABB9000;= AA9000",
            "C 8032000000;> 8032000000;< 6C02;> 8032000002;< 6C03;= 6C03",
        ],
    );
}

#[test]
fn commands_that_count_tries_are_never_sent_again() {
    play(
        ISO,
        &[
            "C 0020008108;> 0020008108;< 6C04;= 6C04",
            "C 8424008108;> 8424008108;< 6C04;= 6C04",
            // with data there is no length to put right: some cards count the tries of a wrong PIN
            // in 6Cxx
            "C 80360000010A;> 8036000001;< 6C04;= 6C04",
            "C 0020000003123456;> 0020000003;< 20;> 123456;< 6C02;= 6C02",
            "C 002000000312345600;> 0020000003;< 20;> 123456;< 6C02;= 6C02",
            "C 805E0100051234FF5678;> 805E010005;< 5E;> 1234FF5678;< 6C02;= 6C02",
        ],
    );
}

#[test]
fn silence_fails_the_exchange_wherever_it_comes() {
    play(
        ISO,
        &[
            "C 80320000;> 8032000000;-;! Silent",
            "C 8032000002;> 8032000002;< 32AA;-;! Silent",
            "C 80320000;> 8032000000;< 90;-;! Silent",
            "C 80360000010A;> 8036000001;< 36;> 0A;-;! Silent",
        ],
    );
}

#[test]
fn octets_behind_the_status_word_fail_the_answer() {
    play(
        ISO,
        &[
            "C 80320000;> 8032000000;< 900000;! Leftover",
            "C 80320000;> 8032000000;< 9000;< 00;! Leftover",
            "C 80320000;> 8032000000;< 9000;= 9000;< 00;! Leftover",
        ],
    );
}

#[test]
fn a_parity_error_fails_the_exchange_wherever_it_is() {
    play(
        ISO,
        &[
            "C 8032000001;> 8032000001;x;! Damaged",
            "C 8032000001;> 8032000001;< 32;x;! Damaged",
            "C 8032000001;> 8032000001;< 32AA;x;! Damaged",
            "C 8032000001;> 8032000001;< 32AA90;x;! Damaged",
            "C 80360000010A;> 8036000001;< 36;> 0A;x;! Damaged",
        ],
    );
}

/// Data that nothing protects: these answers are wrong, and nobody can tell.
#[test]
fn what_plain_t0_cannot_see() {
    play(
        ISO,
        &[
            // AA 60 with AA doubled: 60 reads as NULL
            "C 8032000002;> 8032000002;< 32 AAAA60 9000;= AAAA9000",
            // AA BB and NULL with BB lost: NULL reads as data
            "C 8032000002;> 8032000002;< 32 AA60 9000;= AA609000",
        ],
    );
}

#[test]
fn other_stacks_fail_on_le_00() {
    play(ISO, &["C 8032000000;> 8032000000;< 32 55..256 9000;= 55..256 9000"]);
    play(
        ISO,
        &[
            "C 80340000010A00;> 8034000001;< 34;> 0A;< 6100;> 80C0000000;< C0 55..256 9000;= 55..256 9000",
        ],
    );
}

#[test]
fn other_stacks_take_c4_for_an_ack_of_84() {
    play(
        ISO,
        &[
            "C 0084000008;> 0084000008;< C4;! ProcedureByte(196)",
            "C 00840000010A;> 0084000001;< C4;! ProcedureByte(196)",
        ],
    );
}

/// 9x is SW1 whatever the command, also where 94xx is a purse's way to say no.
#[test]
fn other_stacks_and_94xx() {
    play(
        ISO,
        &[
            "C 80320000;> 8032000000;< 9401;= 9401",
            "C 8054010003010203;> 8054010003;< 9401;= 9401",
            "C 8032000002;> 8032000002;< 32AABB9401;= AABB9401",
            // one half of it is none
            "C 80320000;> 8032000000;< 94;-;! Silent",
        ],
    );
}

#[test]
fn other_stacks_leave_61_and_6c_to_the_caller() {
    play(
        ISO,
        &[
            "C 80340000010A00;> 8034000001;< 34;> 0A;< 6103;> 80C0000003;< 6C02;> 80C0000002;< C0AABB9000;= AABB9000",
            "C 8032000004;> 8032000004;< 6C02;> 8032000002;< 32AABB9000;= AABB9000",
        ],
    );
}

#[test]
fn other_stacks_refuse_case_1() {
    play(ISO, &["C 80320000;> 8032000000;< 9000;= 9000", "C 80320000;> 8032000000;< 6D00;= 6D00"]);
}

/// The waiting time runs from character to character, and NULL starts it again.
#[test]
fn every_character_starts_the_waiting_time_again() {
    let mut rig = Rig::new(ISO);
    rig.input(Input::Command(&[0x80, 0x32, 0, 0]));
    rig.events.clear();
    for _ in 0..100 {
        rig.now = rig.now.after(Duration::from_millis(900));
        rig.input(Input::Received(&[0x60]));
        rig.input(Input::Timeout);
        assert!(rig.events.is_empty());
    }
    let left = rig.deadline.unwrap().since(rig.now);
    assert!(left > Duration::from_millis(998) && left < Duration::from_millis(1050), "{left:?}");
}

/// 12 etu from the card's last leading edge to ours, 16 with EMV: what is left after a character of
/// ten bits.
#[test]
fn we_send_12_etu_after_the_card_and_16_with_emv() {
    for (profile, etu) in [(Profile::Iso, 2), (Profile::EmvLevel1, 6)] {
        for script in
            ["C 80360000010A;> 8036000001;< 36", "C 80340000010A00;> 8034000001;< 34;> 0A;< 6102"]
        {
            let mut rig = Rig::new(T0Policy { profile, ..ISO });
            for line in script.split(';') {
                match line.split_once(' ').unwrap() {
                    ("C", command) => rig.input(Input::Command(&octets(command))),
                    ("<", card) => rig.input(Input::Received(&octets(card))),
                    _ => {
                        rig.pass_time();
                        rig.events.clear();
                    }
                }
            }
            let turnaround = rig.line.etus(etu);
            assert_eq!(rig.deadline, Some(rig.now.after(turnaround)), "{script}");
            rig.now = rig.now.after(turnaround - Duration::from_micros(1));
            rig.input(Input::Timeout);
            assert!(rig.events.is_empty(), "too early");
            rig.now = rig.now.after(Duration::from_micros(1));
            rig.input(Input::Timeout);
            assert_eq!(rig.events.pop_front().unwrap().0, '>');
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Dialogues and what is shown of them.
use super::*;
use crate::record::Recorder;
use cam_types::Instant;
use hex_literal::hex;
use proptest::prelude::*;

const T: Party = Party::Terminal;
const C: Party = Party::Card;
const R: Party = Party::Reset;

type Note = (Party, &'static str);

fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// What is shown of the dialogue, without times: who, and octets or dots.
fn shown(mut recorder: Recorder<Vec<u8>>, dialogue: &[&[Note]]) -> String {
    for (party, text) in dialogue.concat() {
        recorder.note(Instant::default(), party, &octets(text)).unwrap();
    }
    String::from_utf8(recorder.into_inner()).unwrap().replace("0.000000 ", "").replace('\n', "|")
}

fn line(answer: &'static str, dialogue: &[Note]) -> String {
    let recorder = Recorder::new(Vec::new(), Instant::default());
    let told = shown(recorder, &[&[(R, ""), (R, answer)], dialogue]);
    told.strip_prefix(&format!("R|R {answer}|")).unwrap().to_owned()
}

const T0: &str = "3B00";
const T1: &str = "3B800181";

/// T1: the purse's VERIFY and CHANGE PIN are in clear on the line, and in no recording.
#[test]
fn a_pin_in_clear_is_not_recorded() {
    let verify = [(T, "0020000003"), (C, "20"), (T, "409627"), (C, "9000")];
    assert_eq!(line(T0, &verify), "T 0020000003|C 20|T ......|C 9000|");
    // In pieces; the card asks for time, takes one octet, then the rest; then the next command.
    let slowly = [
        [(T, "805E01"), (T, "0005"), (C, "60"), (C, "A1"), (T, "40"), (C, "5E")].as_slice(),
        &[(T, "96FF4097"), (C, "63"), (C, "C2"), (T, "00A4040002"), (C, "A4"), (T, "3F00")],
    ];
    assert_eq!(
        line(T0, &slowly.concat()),
        "T 805E01|T 0005|C 60|C A1|T ..|C 5E|T ........|C 63|C C2|T 00A4040002|C A4|T 3F00|"
    );
    let block = [(T, "00 00 08 0020000003 409627 F9"), (C, "00 00 02 9000 92")];
    assert_eq!(line(T1, &block), "T 0000080020000003........|C 000002900092|");
    let commands = Recorder::new(Vec::new(), Instant::default()).of_commands();
    let told = [(R, T0), (T, "0020000003409627"), (C, "9000"), (T, "00B0000000")];
    assert_eq!(shown(commands, &[&told]), "R 3B00|T 0020000003......|C 9000|T 00B0000000|");
}

/// What a session protects is shown as it is: that no PIN stands there is for others to see.
#[test]
fn secure_messaging_is_recorded() {
    let wrapped = [(T, "8420000002"), (C, "20"), (T, "AABB"), (C, "9000")];
    assert_eq!(line(T0, &wrapped), "T 8420000002|C 20|T AABB|C 9000|");
}

/// An answer may hold what looks like the end of a command, or like a command.
#[test]
fn an_answer_of_the_card_is_followed() {
    let dialogue = [
        [(T, "00B0000004"), (C, "B090006120"), (C, "9000")].as_slice(),
        &[(T, "0020000002"), (C, "20"), (T, "4096"), (C, "9000")],
        &[(T, "80CA000000"), (C, "6C03"), (T, "80CA000003"), (C, "35"), (C, "61"), (C, "CA6162")],
        &[(C, "9000"), (T, "0020000002"), (C, "DF"), (T, "40"), (C, "DF"), (T, "96"), (C, "6983")],
    ];
    assert_eq!(
        line(T0, &dialogue.concat()),
        "T 00B0000004|C B090006120|C 9000|T 0020000002|C 20|T ....|C 9000|T 80CA000000|C 6C03|\
         T 80CA000003|C 35|C 61|C CA6162|C 9000|T 0020000002|C DF|T ..|C DF|T ..|C 6983|"
    );
}

/// PPS goes before the protocol, and chooses it.
#[test]
fn pps_chooses() {
    let pps = [(T, "FF1118F6"), (C, "FF1118F6"), (T, "0000070020000002 4096 F3")];
    assert_eq!(line("3B9018800109", &pps), "T FF1118F6|C FF1118F6|T 0000070020000002......|");
}

/// Parts of a chain, and blocks that are sent again, are as secret as the first one was.
#[test]
fn a_chain_is_hidden_to_its_end() {
    let chain = [
        [(T, "00 20 07"), (T, "00200000044096 DF"), (C, "00900090")].as_slice(),
        &[(T, "00 40 02 2718 7D"), (C, "00810081"), (T, "00 40 02 2718 7D")],
        &[(C, "000002900092"), (T, "00 00 05 00B0000000 B5"), (C, "004002900092")],
    ];
    assert_eq!(
        line(T1, &chain.concat()),
        "T 002007|T 0020000004......|C 00900090|T 004002......|C 00810081|T 004002......|\
         C 000002900092|T 00000500B0000000B5|C 004002900092|"
    );
}

/// A chain that is given up hides nothing behind it, and the next command is looked at.
#[test]
fn a_chain_that_is_given_up_is_over() {
    let dialogue = [
        [(T, "00 20 06 00A404000411 B5"), (T, "00 C0 00 C0"), (C, "00 E0 00 E0")].as_slice(),
        &[(T, "00 00 07 00200000024096 F1"), (C, "000002900092")],
    ];
    assert_eq!(
        line(T1, &dialogue.concat()),
        "T 00200600A404000411B5|T 00C000C0|C 00E000E0|T 0000070020000002......|C 000002900092|"
    );
}

fn party() -> impl Strategy<Value = Party> {
    prop_oneof![Just(T), Just(C), Just(R)]
}

proptest! {
    /// Whatever passes, each octet has its place, and only the terminal's are hidden.
    #[test]
    fn whatever_passes(
        notes in prop::collection::vec((party(), prop::collection::vec(any::<u8>(), 0..40)), 0..30),
    ) {
        let mut mask = Mask::line();
        for (party, octets) in notes {
            let hidden = mask.hides(party, &octets);
            prop_assert_eq!(hidden.len(), octets.len());
            prop_assert!(party == T || !hidden.contains(&true));
        }
    }

    /// However a VERIFY is cut into notes, no digit of its PIN is shown.
    #[test]
    fn however_it_is_cut(cuts in prop::collection::vec(1..5usize, 1..10), t1 in any::<bool>()) {
        let (answer, mut rest): (&[u8], &[u8]) = if t1 {
            (&hex!("3B 80 01 81"), &hex!("00 00 09 00 20 00 00 04 AA AA AA AA 99"))
        } else {
            (&hex!("3B 00"), &hex!("00 20 00 00 04 AA AA AA AA"))
        };
        let mut recorder = Recorder::new(Vec::new(), Instant::default());
        recorder.note(Instant::default(), R, answer).unwrap();
        let mut cuts = cuts.into_iter().cycle();
        while !rest.is_empty() {
            let (one, others) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
            recorder.note(Instant::default(), T, one).unwrap();
            rest = others;
        }
        let told = String::from_utf8(recorder.into_inner()).unwrap();
        prop_assert!(!told.contains("AA"), "{}", told);
    }
}

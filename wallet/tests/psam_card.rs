// SPDX-License-Identifier: Apache-2.0
//! A PSAM at a second reader: what is sent to it, and what any answer ends in.

use cam_types::{BcdDate, BcdTime, DecodeError, Fen, StatusWord, TerminalId, TerminalSequence};
use hex_literal::hex;
use proptest::prelude::*;
use std::collections::VecDeque;
use wallet::port::CardPort;
use wallet::psam::{CardIdentity, CardPsam, Psam, SamApplication, SamError, SamPurchase};
use wallet::{Mac, Transaction, TransactionType};

const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));

/// A reader that expects these commands and gives these answers, then is silent.
#[derive(Debug, Default)]
struct Script(VecDeque<(Vec<u8>, Option<Vec<u8>>)>);

impl Script {
    fn then(mut self, command: &[u8], answer: Option<&[u8]>) -> Self {
        self.0.push_back((command.to_vec(), answer.map(<[u8]>::to_vec)));
        self
    }

    fn opened() -> Self {
        Self::default()
            .then(&hex!("00 B0 96 00 06"), Some(&hex!("001122334455 9000")))
            .then(&hex!("00 A4 00 00 02 1001 00"), Some(&hex!("6F00 9000")))
    }

    /// The same with this answer to SELECT.
    fn opened_with(answer: &[u8]) -> Self {
        let mut script = Self::opened();
        if let Some((_, select)) = script.0.back_mut() {
            *select = Some(answer.to_vec());
        }
        script
    }
}

impl CardPort for Script {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let (expected, answer) = self.0.pop_front()?;
        assert_eq!(command, expected);
        answer
    }
}

fn open(script: Script) -> Result<CardPsam<Script>, SamError> {
    CardPsam::open(script, &SamApplication::default())
}

fn purchase(card: &CardIdentity) -> SamPurchase<'_> {
    SamPurchase {
        random: hex!("584633C9"),
        offline_sequence: hex!("0007"),
        transaction: Transaction {
            amount: Fen::new(0x1000),
            kind: TransactionType::PURCHASE,
            terminal: TERMINAL,
            date: BcdDate(hex!("20261201")),
            time: BcdTime(hex!("200000")),
        },
        key_version: 1,
        algorithm: 0,
        card,
    }
}

const INIT: [u8; 34] =
    hex!("80 70 00 00 1C 584633C9 0007 00001000 06 20261201 200000 01 00 1122334455667788 08");

#[test]
fn the_dialogue_of_a_purchase() {
    let card = CardIdentity::of_serial(hex!("0000 1122334455667788"));
    let script = Script::opened()
        .then(&INIT, Some(&hex!("00000102 214E5139 9000")))
        .then(&hex!("80 72 00 00 04 00000000"), Some(&hex!("9302")))
        .then(&hex!("80 72 00 00 04 B30B352F"), Some(&hex!("9000")))
        .then(&hex!("80 72 00 00 04 B30B352F"), Some(&hex!("6901")));
    let mut psam = open(script).unwrap();
    assert_eq!(psam.terminal(), Ok(TERMINAL));
    let started = psam.start(&purchase(&card));
    assert_eq!(started, Ok((TerminalSequence::new(0x0102), Mac(hex!("214E5139")))));
    assert_eq!(psam.credit(Mac([0; 4])), Err(SamError::WrongMac2));
    assert_eq!(psam.credit(Mac(hex!("B30B352F"))), Ok(()));
    let none = SamError::Refused(StatusWord::NOT_INITIALIZED);
    assert_eq!(psam.credit(Mac(hex!("B30B352F"))), Err(none));
    assert!(psam.into_port().0.is_empty());
}

#[test]
fn levels_and_code_are_handed_over() {
    let factors = vec![hex!("1122334455667788"), hex!("07550755FFFFFFFF")];
    let card = CardIdentity { factors, authentication_code: Some(*b"123456789") };
    let init = hex!("80 70 00 00 24 584633C9 0007 00001000 06 20261201 200000 01 00"
                    "1122334455667788 07550755FFFFFFFF 08");
    let script = Script::opened()
        .then(&hex!("80 CA 00 00 09 313233343536373839"), Some(&hex!("9000")))
        .then(&init, Some(&hex!("00000001 E47CE0E9 9000")));
    let started = open(script).unwrap().start(&purchase(&card));
    assert_eq!(started, Ok((TerminalSequence::new(1), Mac(hex!("E47CE0E9")))));
    let card = CardIdentity { factors: vec![[0; 8]; 30], ..CardIdentity::default() };
    let too_many = open(Script::opened()).unwrap().start(&purchase(&card));
    assert_eq!(too_many, Err(SamError::Factors { got: 30 }));
    let text = "secure module takes up to 29 diversification factors, the card has 30";
    assert_eq!(too_many.unwrap_err().to_string(), text);
}

#[test]
fn what_a_module_says_instead() {
    let card = CardIdentity::of_serial(hex!("0000 1122334455667788"));
    let no_key = SamError::NoKey { version: 1, algorithm: 0 };
    for (answer, error) in [
        (None, SamError::NoAnswer),
        (Some(&hex!("9403")[..]), no_key),
        (Some(&hex!("6A88")[..]), no_key),
        (Some(&hex!("9402")[..]), SamError::Exhausted),
        (Some(&hex!("6A81")[..]), SamError::Refused(StatusWord::APPLICATION_BLOCKED)),
        (Some(&hex!("90")[..]), SamError::Malformed(DecodeError::Missing("status word"))),
        (Some(&hex!("00000001 9000")[..]), SamError::Malformed(DecodeError::Missing("MAC1"))),
        (
            Some(&hex!("00000001 E47CE0E9 00 9000")[..]),
            SamError::Malformed(DecodeError::Trailing { message: "answer", octets: 1 }),
        ),
    ] {
        let mut psam = open(Script::opened().then(&INIT, answer)).unwrap();
        assert_eq!(psam.start(&purchase(&card)), Err(error));
        assert_eq!(psam.credit(Mac([0; 4])), Err(SamError::NoAnswer));
    }
    let mut elsewhere = purchase(&card);
    elsewhere.transaction.terminal = TerminalId::new([0; 6]);
    let other = SamError::OtherTerminal { got: TerminalId::new([0; 6]), expected: TERMINAL };
    assert_eq!(open(Script::opened()).unwrap().start(&elsewhere), Err(other));
}

#[test]
fn opening_reads_the_terminal_and_selects_the_keys() {
    let read = hex!("00 B0 96 00 06");
    let id = hex!("001122334455 9000");
    let named = SamApplication::name(b"\xF0STBSAM\x01").unwrap();
    let script = Script::default()
        .then(&read, Some(&id))
        .then(&hex!("00 A4 04 00 08 F053544253414D01 00"), Some(&hex!("9000")));
    assert!(CardPsam::open(script, &named).is_ok());
    assert_eq!(SamApplication::name(b"four"), None);
    assert_eq!(SamApplication::name(&[0; 17]), None);
    let short = SamError::Malformed(DecodeError::Missing("terminal id"));
    for (script, error) in [
        (Script::default(), SamError::NoAnswer),
        (Script::default().then(&read, Some(&hex!("0011223344 9000"))), short),
        (Script::default().then(&read, Some(&id)), SamError::NoAnswer),
        (Script::opened_with(&hex!("6A82")), SamError::Refused(StatusWord(0x6A82))),
    ] {
        assert_eq!(open(script).unwrap_err(), error);
    }
}

/// A reader that answers whatever it likes.
struct Babbling(Vec<Option<Vec<u8>>>);

impl CardPort for Babbling {
    fn transmit(&mut self, _: &[u8]) -> Option<Vec<u8>> {
        self.0.pop()?
    }
}

proptest! {
    #[test]
    fn whatever_a_module_says_nothing_panics(
        start: Option<Vec<u8>>, credit: Option<Vec<u8>>, factors: Vec<[u8; 8]>, sw: bool
    ) {
        let ending = |answer: Option<Vec<u8>>| {
            answer.map(|mut octets| { if sw { octets.extend([0x90, 0x00]) } octets })
        };
        let card = CardIdentity { factors, authentication_code: None };
        let opened = [Some(hex!("9000").to_vec()), Some(hex!("001122334455 9000").to_vec())];
        let answers = [ending(credit), ending(start)].into_iter().chain(opened).collect();
        let mut psam = CardPsam::open(Babbling(answers), &SamApplication::default()).unwrap();
        let _ = psam.start(&purchase(&card));
        let _ = psam.credit(Mac([0; 4]));
    }
}

// SPDX-License-Identifier: Apache-2.0
//! CREDIT FOR LOAD with a guessed MAC2: the try is in memory before MAC2 is compared, so no cut
//! saves one (T15).

use crate::exhaust::{Case, Journal, every_octet, every_write};
use crate::operation::Attempt;
use cam_types::Aid;
use hex_literal::hex;
use system_tests::demo::{memory, powered, select, send};
use system_tests::desk::Desk;
use system_tests::memory::Memory;
use vcard::{Card, atr};

const VERIFY: [u8; 9] = hex!("00200000 04 40962718");
const INITIALIZE: [u8; 16] = hex!("80500002 0B 01 000001F4 001122334455");
const GUESS: [u8; 16] = hex!("80520000 0B 20261201 200000 00000000");

/// A card whose hosts have three of their fifteen tries left at the contacts.
fn three_left() -> Vec<u8> {
    let memory = Memory::new(&memory());
    let mut card = powered(memory.store());
    assert!(verified(&mut card));
    for _ in 0..12 {
        assert_eq!(guess(&mut card), Some(0x9302));
    }
    card.power_on();
    drop(card);
    memory.octets()
}

/// The PIN is shown, if the card takes it.
fn verified(card: &mut Card) -> bool {
    select(card, Aid::PURSE.octets());
    send(card, &VERIFY).1 == 0x9000
}

/// Nothing when there is no try left.
fn guess(card: &mut Card) -> Option<u16> {
    match send(card, &INITIALIZE).1 {
        0x9000 => Some(send(card, &GUESS).1),
        _ => None,
    }
}

#[test]
fn a_torn_guess_of_mac2_costs_its_try() {
    let case = Case {
        name: "CREDIT, wrong MAC2",
        before: three_left(),
        attempt: &|desk| {
            let select = desk.select(Aid::PURSE);
            let ready = select.is_some()
                && [&VERIFY[..], &INITIALIZE].iter().all(|command| {
                    desk.transmit(command).is_some_and(|answer| answer.ends_with(&[0x90, 0x00]))
                });
            match ready.then(|| desk.transmit(&GUESS)) {
                None => Attempt::Unsent,
                Some(None) => Attempt::Lost(Vec::new()),
                Some(Some(_)) => Attempt::Made,
            }
        },
        judge: &|desk: &mut dyn Desk, attempt| {
            if !desk.reset() {
                return Err("mute".to_owned());
            }
            let card = desk.card();
            if !verified(card) {
                return Err("the PIN is not what it was".to_owned());
            }
            let left = (0..10).take_while(|_| guess(card).is_some()).count();
            match (attempt, left) {
                (Attempt::Made, 2) => Ok("told, 2 left"),
                (Attempt::Lost(_), 2) => Ok("not told, 2 left"),
                (Attempt::Lost(_) | Attempt::Unsent, 3) => Ok("not compared, 3 left"),
                (_, left) => Err(format!("{attempt:?}, and {left} tries left")),
            }
        },
    };
    let ends = ["not compared, 3 left", "not told, 2 left", "told, 2 left"];
    every_write(&case, Journal::On).assert_sound(&ends);
    assert!(
        every_write(&case, Journal::Off).violations() > 0,
        "nothing notices that the journal is off"
    );
    every_octet(&case, "T=1", &atr::t1()).assert_sound(&ends);
}

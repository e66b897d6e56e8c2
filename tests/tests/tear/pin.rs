// SPDX-License-Identifier: Apache-2.0
//! VERIFY: the counter goes down before the PIN is compared, so no cut saves a try (T15).

use crate::exhaust::{Case, Journal, every_octet, every_write};
use crate::operation::Attempt;
use cam_types::Aid;
use hex_literal::hex;
use system_tests::demo::{PIN, Stb, WRONG_PIN, memory, powered};
use system_tests::desk::Desk;
use system_tests::memory::{CONTENTS, Cut, Memory};
use vcard::atr;
use wallet::pin::{Change, Pin};

/// A card with two of its three tries left.
fn two_tries() -> Vec<u8> {
    let memory = Memory::new(&memory());
    let mut card = powered(memory.store());
    assert_eq!(Stb::open(&mut card).verify(&mut card, WRONG_PIN).unwrap().tries, 2);
    card.power_on();
    drop(card);
    memory.octets()
}

/// VERIFY at the purse.
pub(crate) fn verify(desk: &mut dyn Desk, pin: [u8; 4]) -> Attempt {
    if desk.select(Aid::PURSE).is_none() {
        return Attempt::Unsent;
    }
    let mut apdu = hex!("00200000 04").to_vec();
    apdu.extend(pin);
    match desk.transmit(&apdu) {
        Some(_) => Attempt::Made,
        None => Attempt::Lost(Vec::new()),
    }
}

fn tries(desk: &mut dyn Desk) -> Result<u8, String> {
    if desk.reset() { Ok(desk.card().status().pin_tries) } else { Err("mute".to_owned()) }
}

#[test]
fn a_torn_wrong_pin_costs_its_try_and_none_grows() {
    let case = Case {
        name: "VERIFY, wrong PIN",
        before: two_tries(),
        attempt: &|desk| verify(desk, hex!("11112222")),
        judge: &|desk, attempt| match (attempt, tries(desk)?) {
            (Attempt::Made, 1) => Ok("told, 1 left"),
            (Attempt::Lost(_), 1) => Ok("not told, 1 left"),
            (Attempt::Lost(_) | Attempt::Unsent, 2) => Ok("not compared, 2 left"),
            (_, left) => Err(format!("{attempt:?}, and {left} tries left")),
        },
    };
    let ends = ["not compared, 2 left", "not told, 1 left", "told, 1 left"];
    every_write(&case, Journal::On).assert_sound(&ends);
    assert!(
        every_write(&case, Journal::Off).violations() > 0,
        "nothing notices that the journal is off"
    );
    every_octet(&case, "T=1", &atr::t1()).assert_sound(&ends);
    every_octet(&case, "T=0", &atr::t0()).assert_sound(&ends);
}

#[test]
fn a_torn_right_pin_never_gives_more_tries_than_there_are() {
    let case = Case {
        name: "VERIFY, right PIN",
        before: two_tries(),
        attempt: &|desk| verify(desk, hex!("40962718")),
        judge: &|desk, attempt| match (attempt, tries(desk)?) {
            (Attempt::Made, 3) => Ok("right, 3 left"),
            (Attempt::Lost(_), 3) => Ok("right, but not told, 3 left"),
            (Attempt::Lost(_), 1) => Ok("counted, 1 left"),
            (Attempt::Lost(_) | Attempt::Unsent, 2) => Ok("not compared, 2 left"),
            (_, left) => Err(format!("{attempt:?}, and {left} tries left")),
        },
    };
    let ends =
        ["counted, 1 left", "not compared, 2 left", "right, 3 left", "right, but not told, 3 left"];
    every_write(&case, Journal::On).assert_sound(&ends);
    assert!(
        every_write(&case, Journal::Off).violations() > 0,
        "nothing notices that the journal is off"
    );
    let ends = ["not compared, 2 left", "right, 3 left", "right, but not told, 3 left"];
    every_octet(&case, "T=1", &atr::t1()).assert_sound(&ends);
    every_octet(&case, "T=0", &atr::t0()).assert_sound(&ends);
}

/// CHANGE PIN: the old PIN holds, or the new one, and never both; a cut may cost a try, and gives
/// none.
#[test]
fn a_torn_pin_change_leaves_one_pin() {
    let pin = |digits: &str| Pin::from_digits(digits).unwrap();
    let change = Change::new(0, &pin("40962718"), &pin("55667788"));
    let right = |desk: &mut dyn Desk, digits: [u8; 4]| {
        desk.select(Aid::PURSE)?;
        let mut apdu = hex!("00200000 04").to_vec();
        apdu.extend(digits);
        Some(desk.transmit(&apdu)? == [0x90, 0x00])
    };
    let case = Case {
        name: "CHANGE PIN",
        before: memory(),
        attempt: &|desk| {
            if desk.select(Aid::PURSE).is_none() {
                return Attempt::Unsent;
            }
            match desk.transmit(change.command()) {
                Some(_) => Attempt::Made,
                None => Attempt::Lost(Vec::new()),
            }
        },
        judge: &|desk, attempt| {
            let left = tries(desk)?;
            let new = right(desk, hex!("55667788"));
            let old = right(desk, hex!("40962718"));
            match (attempt, new, old, left) {
                (Attempt::Made, Some(true), Some(false), 3) => Ok("changed"),
                (Attempt::Lost(_), Some(true), Some(false), 3) => Ok("changed, but not told"),
                (Attempt::Lost(_) | Attempt::Unsent, Some(false), Some(true), 2..=3) => {
                    Ok("not changed")
                }
                what => Err(format!("attempt, new, old, tries: {what:?}")),
            }
        },
    };
    let ends = ["changed", "changed, but not told", "not changed"];
    every_write(&case, Journal::On).assert_sound(&ends);
    assert!(
        every_write(&case, Journal::Off).violations() > 0,
        "nothing notices that the journal is off"
    );
    every_octet(&case, "T=1", &atr::t1()).assert_sound(&ends);
    every_octet(&case, "T=0", &atr::t0()).assert_sound(&ends);
}

/// A wrong PIN, cut at every write, again and again: never more than three comparisons.
#[test]
fn cuts_never_give_a_fourth_try() {
    for after in 0..12 {
        for torn in CONTENTS {
            let memory = Memory::new(&memory());
            let mut answers = 0;
            for _ in 0..6 {
                let mut card = powered(memory.store());
                let mut stb = Stb::open(&mut card);
                memory.arm(Cut { after, torn: *torn });
                if stb.verify(&mut card, WRONG_PIN).is_ok() {
                    answers += 1;
                }
                memory.mend();
            }
            assert!(answers <= 3, "cut {after} {torn:?}: {answers} comparisons");
        }
    }
    // The other way round: the right PIN is still known.
    let mut card = powered(Memory::new(&memory()).store());
    assert!(Stb::open(&mut card).verify(&mut card, PIN).unwrap().right);
}

// SPDX-License-Identifier: Apache-2.0
//! The PIN at the purse: changed by its holder, replaced and given back by the issuer.

use crate::maintenance::challenge;
use crate::purse::purse;
use cam_types::{Aid, Key, Secret};
use hex_literal::hex;
use system_tests::demo::*;
use vcard::Card;
use wallet::pin::{Change, Pin, PinAnswer, ReloadKey, Verify, unblock};
use wallet::secure_messaging::{ChallengeLength, SecureKey};

fn dpuk() -> SecureKey {
    SecureKey::Double(Secret::new(hex!("4a4b4c4d4e4f50515253545556575859")))
}

pub(crate) fn drpk() -> ReloadKey {
    ReloadKey::new(&Key::new(hex!("6a6b6c6d6e6f70717273747576777879")))
}

fn pin(digits: &str) -> Pin {
    Pin::from_digits(digits).unwrap()
}

fn verify(card: &mut Card, digits: &str) -> PinAnswer {
    let verify = Verify::new(0, &pin(digits));
    let response = card.transmit(verify.command()).unwrap();
    verify.answer(Some(&response))
}

fn change(card: &mut Card, old: &str, new: &str) -> PinAnswer {
    let change = Change::new(0, &pin(old), &pin(new));
    let response = card.transmit(change.command()).unwrap();
    change.answer(Some(&response))
}

fn give_back(card: &mut Card, digits: &str) -> u16 {
    let challenge = challenge(card, ChallengeLength::Four);
    send(card, &unblock(0, &pin(digits), &dpuk(), challenge)).1
}

/// One PIN serves all applications: what is changed here holds at the box.
#[test]
fn the_holder_changes_the_pin() {
    let mut card = purse();
    for (old, new) in [("40962718", "1234"), ("1234", "12345"), ("12345", "987654321012")] {
        assert_eq!(change(&mut card, old, new), PinAnswer::Right);
        assert!(matches!(verify(&mut card, old), PinAnswer::Wrong { tries: 2, .. }));
        assert_eq!(verify(&mut card, new), PinAnswer::Right);
    }
    let mut stb = Stb::open(&mut card);
    assert!(stb.verify(&mut card, b"987654321012").unwrap().right);
    assert_eq!(stb.verify(&mut card, PIN).unwrap().tries, 2);
}

/// What ends the verified state, and what leaves it: EF 0016 wants it.
#[test]
fn what_ends_the_verified_state() {
    let purse_by_name = [&hex!("00A4040009")[..], Aid::PURSE.octets()].concat();
    let kept: [&[u8]; 5] = [
        &hex!("00A4000002 0017"),
        &hex!("805001020B 01 00000001 001122334455"),
        &hex!("805401000F 00000001 20261201 200000 00000000"),
        &hex!("0084000004"),
        &hex!("80FF0000"),
    ];
    let ended: [&[u8]; 6] = [
        &hex!("00A4000002 3F00"),
        &purse_by_name,
        &hex!("0020000002 1111"),
        &hex!("0020000001 11"),
        &hex!("805E010005 1111 FF 1234"),
        &hex!("0020000100"),
    ];
    for (command, is_kept) in
        kept.map(|command| (command, true)).into_iter().chain(ended.map(|command| (command, false)))
    {
        let mut card = purse();
        assert_eq!(verify(&mut card, "40962718"), PinAnswer::Right);
        send(&mut card, command);
        if command == hex!("00A4000002 3F00") {
            select(&mut card, Aid::PURSE.octets());
        }
        let expected = if is_kept { 0x9000 } else { 0x6982 };
        assert_eq!(send(&mut card, &hex!("00B0960000")).1, expected, "{command:02X?}");
    }
}

/// A wrong old PIN costs a try, and ends what the right one had allowed.
#[test]
fn a_wrong_old_pin_costs_a_try() {
    let mut card = purse();
    assert_eq!(verify(&mut card, "40962718"), PinAnswer::Right);
    assert!(matches!(change(&mut card, "1111", "1234"), PinAnswer::Wrong { tries: 2, .. }));
    assert_eq!(send(&mut card, &hex!("805000020B 01 00000001 001122334455")).1, 0x6982);
    card.power_on();
    select(&mut card, Aid::PURSE.octets());
    assert!(matches!(change(&mut card, "1111", "1234"), PinAnswer::Wrong { tries: 1, .. }));
    assert!(matches!(verify(&mut card, "2222"), PinAnswer::Wrong { tries: 0, .. }));
    assert!(matches!(verify(&mut card, "40962718"), PinAnswer::Blocked(_)));
    assert!(matches!(change(&mut card, "40962718", "1234"), PinAnswer::Blocked(_)));
    assert_eq!(card.status().pin_tries, 0);
}

#[test]
fn the_issuer_replaces_the_pin() {
    let mut card = purse();
    let _ = verify(&mut card, "1111");
    assert_eq!(send(&mut card, &drpk().reload(0, &pin("123456"))).1, 0x9000);
    assert_eq!(card.status().pin_tries, 3);
    // A new PIN is not a verified one.
    assert_eq!(send(&mut card, &hex!("805000020B 01 00000001 001122334455")).1, 0x6982);
    assert_eq!(verify(&mut card, "123456"), PinAnswer::Right);
    // A blocked one is for PIN UNBLOCK.
    for _ in 0..3 {
        let _ = verify(&mut card, "1111");
    }
    assert_eq!(send(&mut card, &drpk().reload(0, &pin("123456"))).1, 0x6983);
    assert_eq!(give_back(&mut card, "40962718"), 0x9000);
    assert_eq!(card.status().pin_tries, 3);
    assert_eq!(verify(&mut card, "40962718"), PinAnswer::Right);
}

#[test]
fn refusals() {
    let tampered = |mut apdu: Vec<u8>| {
        *apdu.last_mut().unwrap() ^= 1;
        apdu
    };
    for (name, apdu, sw) in [
        ("CHANGE of a PIN that is none", hex!("805E010009 4096271A FF 12345678").to_vec(), 0x6A80),
        ("CHANGE to a PIN that is none", hex!("805E010009 40962718 FF 1234F678").to_vec(), 0x6A80),
        ("CHANGE to three digits", hex!("805E010007 40962718 FF 123F").to_vec(), 0x6A80),
        ("CHANGE to two", hex!("805E010006 40962718 FF 12").to_vec(), 0x6700),
        ("CHANGE to nothing", hex!("805E010005 40962718 FF").to_vec(), 0x6700),
        ("CHANGE without FF", hex!("805E010008 40962718 12345678").to_vec(), 0x6A80),
        ("CHANGE of nothing", hex!("805E0100").to_vec(), 0x6A80),
        ("another PIN", hex!("805E010109 40962718 FF 12345678").to_vec(), 0x6A86),
        ("another P1", hex!("805E020009 40962718 FF 12345678").to_vec(), 0x6A86),
        ("RELOAD with a wrong MAC", tampered(drpk().reload(0, &pin("1234")).to_vec()), 0x9302),
        ("RELOAD of three digits", hex!("805E000006 123F 00000000").to_vec(), 0x6A80),
        ("RELOAD of nothing", hex!("805E000004 00000000").to_vec(), 0x6700),
        ("RELOAD without a MAC", hex!("805E000003 000000").to_vec(), 0x6700),
        (
            "UNBLOCK without a challenge",
            hex!("842400000C 0000000000000000 00000000").to_vec(),
            0x6985,
        ),
        ("UNBLOCK of 16 octets", [&hex!("8424000014")[..], &[0; 20]].concat(), 0x6700),
        ("UNBLOCK with another P2", hex!("842400010C 0000000000000000 00000000").to_vec(), 0x6A86),
        ("VERIFY of seven octets", hex!("0020000007 12345678901234").to_vec(), 0x6700),
        ("VERIFY of F in the middle", hex!("0020000003 1F3456").to_vec(), 0x6A80),
    ] {
        let mut card = purse();
        assert_eq!(send(&mut card, &apdu).1, sw, "{name}");
        assert_eq!(card.status().pin_tries, 3, "{name}");
        assert_eq!(verify(&mut card, "40962718"), PinAnswer::Right, "{name}");
    }
    let mut card = purse();
    let secured = |card: &mut Card, plain: &[u8], key: &SecureKey| {
        let iv = challenge(card, ChallengeLength::Eight);
        let enciphered = dpuk().encipher(plain);
        send(card, &key.secure(iv, hex!("84240000"), &enciphered)).1
    };
    assert_eq!(secured(&mut card, &hex!("12"), &dpuk()), 0x6700, "two digits");
    assert_eq!(secured(&mut card, &hex!("123F"), &dpuk()), 0x6A80, "three");
    assert_eq!(secured(&mut card, &hex!("12345678901234"), &dpuk()), 0x6700, "fourteen");
    assert_eq!(secured(&mut card, &hex!("1234"), &crate::maintenance::damk()), 0x6988);
    assert_eq!(verify(&mut card, "40962718"), PinAnswer::Right);
}

/// Without these keys on the card their commands are refused, and nothing is counted.
#[test]
fn a_card_without_the_keys() {
    let file = file("");
    let (keys, rest) = file.split_once("# DAMK, DPUK and DRPK").unwrap();
    let (_, rest) = rest.split_once("[[key_set]]").unwrap();
    let text = format!("{keys}[[key_set]]{rest}");
    let perso = vcard::Personalisation::from_text(&text, std::path::Path::new("card.toml"));
    let image = Card::personalise(&perso.unwrap()).unwrap();
    let mut card = powered(Box::new(vcard::nvm::RamStore::new(image.octets())));
    select(&mut card, Aid::PURSE.octets());
    for _ in 0..4 {
        assert_eq!(give_back(&mut card, "1234"), 0x9403);
        assert_eq!(send(&mut card, &drpk().reload(0, &pin("1234"))).1, 0x9403);
        assert_eq!(send(&mut card, &hex!("841E000004 00000000")).1, 0x9403);
    }
    assert_eq!(verify(&mut card, "40962718"), PinAnswer::Right);
}

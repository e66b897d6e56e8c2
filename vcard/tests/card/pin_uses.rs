// SPDX-License-Identifier: Apache-2.0
//! What a PIN is good for: one purchase or the rating, never both.

use cam_types::{EventId, PackageId, StatusWord};
use ecm_emm::card::{
    AccessStatus, INS_CHANGE_PIN, INS_VERIFY, PinAnswer, PinBlock, PurchaseResult, VERIFY_PURCHASE,
    VERIFY_RATING,
};
use ecm_emm::ecm::{Criteria, EcmBody, Rating};
use gp::scp03::ScpError;
use system_tests::demo::*;
use vcard::nvm::RamStore;
use vcard::{Card, Personalisation};

/// The demo's card, changed.
fn card_with(changes: &[(&str, &str)]) -> Card {
    let text = changes.iter().fold(file(""), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let path = std::path::Path::new("card.toml");
    let perso = Personalisation::from_text(&text, path).unwrap_or_else(|e| panic!("{e}"));
    let memory = Card::personalise(&perso).unwrap();
    powered(Box::new(RamStore::new(memory.octets())))
}

fn verify(card: &mut Card, stb: &mut Stb, purpose: u8, pin: &[u8]) -> bool {
    stb.verify_for(card, purpose, pin).unwrap().right
}

fn change(card: &mut Card, stb: &mut Stb, old: &[u8]) -> bool {
    let block = |pin| PinBlock::from_ascii(pin).unwrap();
    let data = [*block(old).expose(), *block(PIN).expose()].concat();
    let answer = stb.send(card, INS_CHANGE_PIN, 0, &data).unwrap();
    PinAnswer::parse(&answer).unwrap().right
}

/// Both uses at once: is the rating lifted, and is a purchase paid (of an event that is not owned).
fn uses(card: &mut Card, stb: &mut Stb, event: u32) -> (bool, bool) {
    let criteria = Criteria { packages: vec![PackageId::new(1)], ..Criteria::default() };
    let rated = seal_ecm(NEWS, &EcmBody { rating: Rating(10), ..body(NOON, criteria) });
    let lifted = stb.ecm(card, &rated).status == AccessStatus::GRANTED_SUBSCRIPTION;
    let bought = stb.purchase(card, event, PRICE, &cinema(EventId::new(event), NOON)).unwrap();
    (lifted, bought.result == PurchaseResult::PAID)
}

/// T28, T29: the PIN that was typed for a rating pays nothing, and the PIN of a purchase lifts no
/// rating.
#[test]
fn a_pin_is_good_for_what_it_was_typed_for() {
    let mut card = card_with(&[("operator =", "rating_limit = 9\noperator =")]);
    let mut stb = Stb::open(&mut card);
    assert!(verify(&mut card, &mut stb, VERIFY_RATING, PIN));
    assert_eq!(uses(&mut card, &mut stb, 3001), (true, false));
    let mut stb = Stb::open(&mut card);
    assert!(verify(&mut card, &mut stb, VERIFY_PURCHASE, PIN));
    assert_eq!(uses(&mut card, &mut stb, 3002), (false, true));
    assert_eq!(uses(&mut card, &mut stb, 3003), (false, false));
    // One does not end the other.
    assert!(verify(&mut card, &mut stb, VERIFY_PURCHASE, PIN));
    assert!(verify(&mut card, &mut stb, VERIFY_RATING, PIN));
    assert_eq!(uses(&mut card, &mut stb, 3004), (true, true));
    assert!(verify(&mut card, &mut stb, VERIFY_PURCHASE, PIN));
    assert_eq!(uses(&mut card, &mut stb, 3005), (true, true));
}

/// A PIN for something that this card does not know costs no try.
#[test]
fn a_pin_for_anything_else_is_refused() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let wrong = PinBlock::from_ascii(WRONG_PIN).unwrap();
    for purpose in 2..=0xFF {
        let refused = stb.send(&mut card, INS_VERIFY, purpose, wrong.expose());
        assert_eq!(refused, Err(Failed::Status(0x6A86)), "{purpose}");
    }
    let apdu = stb.wrapped(INS_VERIFY, 1, 0, wrong.expose());
    let response = card.transmit(&apdu).unwrap();
    assert_eq!(stb.verify_answer(&response), Err(ScpError::Refused(StatusWord(0x6A86))));
    assert_eq!(info(&mut card).pin_tries, 3);
}

/// T28: a wrong PIN, for whatever, ends what a right one began.
#[test]
fn a_wrong_pin_ends_both_uses() {
    let wrongs: [fn(&mut Card, &mut Stb) -> bool; 3] = [
        |card, stb| verify(card, stb, VERIFY_PURCHASE, WRONG_PIN),
        |card, stb| verify(card, stb, VERIFY_RATING, WRONG_PIN),
        |card, stb| change(card, stb, WRONG_PIN),
    ];
    for (n, wrong) in (0..).zip(wrongs) {
        let mut card = card_with(&[("operator =", "rating_limit = 9\noperator =")]);
        let mut stb = Stb::open(&mut card);
        assert!(verify(&mut card, &mut stb, VERIFY_PURCHASE, PIN));
        assert!(verify(&mut card, &mut stb, VERIFY_RATING, PIN));
        assert!(!wrong(&mut card, &mut stb));
        assert_eq!(uses(&mut card, &mut stb, 3001), (false, false), "{n}");
    }
}

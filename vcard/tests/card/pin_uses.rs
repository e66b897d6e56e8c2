// SPDX-License-Identifier: Apache-2.0
//! What a PIN is good for, and what is good without one: one purchase or the rating, never both;
//! and a sum a day, which no reset gives twice.

use crate::held_back::new_pin;
use cam_types::{CasTime, EventId, Fen, PackageId, StatusWord};
use ecm_emm::card::{
    AccessStatus, EmmResult, INS_CHANGE_PIN, INS_VERIFY, PinAnswer, PinBlock, PurchaseResult,
    VERIFY_PURCHASE, VERIFY_RATING,
};
use ecm_emm::ecm::{Criteria, EcmBody, Rating};
use ecm_emm::emm::{EmmCommand, ResetNumber, TimeStep};
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

/// T28, T29: who had the PIN from somebody has nothing of it when the operator sets another one.
#[test]
fn a_pin_that_is_reset_ends_both_uses() {
    let mut card = card_with(&[("operator =", "rating_limit = 9\noperator =")]);
    let mut stb = Stb::open(&mut card);
    assert!(verify(&mut card, &mut stb, VERIFY_RATING, PIN));
    assert!(verify(&mut card, &mut stb, VERIFY_PURCHASE, PIN));
    let mut block = [0; 16];
    block[..8].copy_from_slice(PinBlock::from_ascii(b"987654").unwrap().expose());
    let section = TO_CARD.seal(1, &[new_pin(block)]);
    assert_eq!(emm(&mut card, &section), EmmResult::APPLIED);
    assert_eq!(uses(&mut card, &mut stb, 3001), (false, false));
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

const PIN_FREE: [(&str, &str); 2] = [
    ("pin_free_per_purchase = 0", "pin_free_per_purchase = 1200"),
    ("pin_free_per_day = 0", "pin_free_per_day = 2400"),
];

/// Midnight of the card's day, UTC+8.
const MIDNIGHT: CasTime = CasTime::new(NOON.seconds() + 4 * 3600);

fn status_after_reset(card: &mut Card, section: &[u8]) -> AccessStatus {
    Stb::open(card).ecm(card, section).status
}

fn without_pin(card: &mut Card, stb: &mut Stb, number: u32, time: CasTime) -> PurchaseResult {
    let ppv = ppv(EventId::new(3000 + number), time);
    let criteria = Criteria { ppv: Some(ppv), ..Criteria::default() };
    let section = seal_ecm(CINEMA_SERVICE, &body(time, criteria));
    stb.purchase(card, number, PRICE, &section).unwrap().result
}

/// T29: resets around midnight do not give the day's sum again: two purchases a day, and no more.
#[test]
fn the_sum_of_a_day_is_spent_once_around_midnight() {
    let mut card = card_with(&PIN_FREE);
    let mut stb = Stb::open(&mut card);
    stb.ecm(&mut card, &news(MIDNIGHT.saturating_sub(600)));
    let mut number = 0;
    let mut paid = 0;
    for _ in 0..5 {
        card.power_on();
        stb = Stb::open(&mut card);
        for time in [MIDNIGHT.saturating_sub(60), MIDNIGHT.saturating_add(60)] {
            for _ in 0..3 {
                number += 1;
                let result = without_pin(&mut card, &mut stb, number, time);
                paid += u32::from(result == PurchaseResult::PAID);
            }
        }
    }
    assert_eq!(paid, 4);
    // The clock was stored with it.
    card.power_on();
    let late = status_after_reset(&mut card, &news(MIDNIGHT.saturating_sub(541)));
    assert_eq!(late, AccessStatus::CLOCK);
}

/// A card whose clock was wrong by a hundred days is set back: the sum is kept, for the day that it
/// is now, and the next day begins with nothing spent.
#[test]
fn a_reset_of_the_clock_keeps_the_sum_of_the_day() {
    let mut card = card_with(&PIN_FREE);
    let mut stb = Stb::open(&mut card);
    let far = NOON.saturating_add(100 * DAY);
    assert_eq!(without_pin(&mut card, &mut stb, 1, far), PurchaseResult::PAID);
    let step = TimeStep::Reset(ResetNumber::new(1).unwrap());
    let reset = TO_CARD.seal(0, &[EmmCommand::TimeSync { time: NOON, step }]);
    assert_eq!(emm(&mut card, &reset), EmmResult::APPLIED);
    for (number, time, expected) in [
        (2, NOON, PurchaseResult::PAID),
        (3, NOON, PurchaseResult::PIN_REQUIRED),
        (4, NOON.saturating_add(DAY), PurchaseResult::PAID),
        (5, NOON.saturating_add(DAY), PurchaseResult::PAID),
        (6, NOON.saturating_add(DAY), PurchaseResult::PIN_REQUIRED),
    ] {
        assert_eq!(without_pin(&mut card, &mut stb, number, time), expected, "{number}");
    }
    assert_eq!(stb.wallet(&mut card).balance, Fen::new(10_000 - 4 * 1200));
}

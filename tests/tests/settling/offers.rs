// SPDX-License-Identifier: Apache-2.0
//! What is sold, on which terms, and what comes of it later: events, slices, offers sent ahead,
//! refusals and refunds, as the host sees them.

use crate::ends::{made, rich};
use crate::{PAID_ONCE, UNPAID, at_the_cinema, next_event, paid, sealed, section};
use cam_core::{OfferKind, Outcome, TxnState};
use cam_types::{EventId, Fen};
use ecm_emm::card::{EmmResult, PurchaseResult, RightRow};
use ecm_emm::ecm::{ControlWords, Criteria, EcmBody, Ppt};
use ecm_emm::emm::EmmCommand;
use system_tests::demo::{self, DAY, EVENT, NOON, PIN, PRICE, TO_PURSE, WRONG_PIN};
use system_tests::stb::{LIVING_ROOM, Stb};

/// An offer sent ahead, two hours before its event, in a carousel number of its own.
fn offer_ahead(number: u32) -> Vec<u8> {
    let ppv = demo::ppv(EVENT, NOON);
    let criteria = Criteria { ppv: Some(ppv), ..Criteria::default() };
    let body = demo::body(NOON.saturating_sub(7200), criteria);
    let body = EcmBody { cw: ControlWords::None, ..body };
    demo::seal_period(demo::CINEMA_SERVICE, number, &body)
}

/// Only the card can read it: it compares the price, and refuses another.
#[test]
fn an_offer_sent_ahead_is_bought_before_its_event() {
    let mut stb = Stb::new(LIVING_ROOM, demo::card());
    let offer = stb.air(&offer_ahead(77));
    assert_eq!((offer.kind, offer.event, offer.price), (OfferKind::Sealed, None, None));
    let (_, dear) = stb.wish(&offer, Fen::new(1100));
    stb.confirm(dear);
    let [Outcome::Refused { result, balance }] = stb.outcomes()[..] else { panic!() };
    assert_eq!((result, balance), (PurchaseResult::PRICE.0, Some(Fen::new(10_000))));
    assert_eq!(stb.money(), UNPAID);
    let (request, txn) = stb.wish(&offer, PRICE);
    stb.confirm(txn);
    let receipt = paid(&stb.outcomes());
    assert_eq!(stb.money(), PAID_ONCE);
    // The id finds it again when everything is lost, and the event is open when it comes.
    let mut stb = stb.restart_without_storage();
    let txn = stb.again(&offer, request, PRICE);
    stb.run(3000);
    assert_eq!(stb.engine.purchase(txn).unwrap().receipt.unwrap().tac, receipt.tac);
    stb.section(&demo::cinema(EVENT, NOON));
    assert!(stb.is_granted());
}

/// Each slice is a purchase of its own; what is left of one over a minute is owned.
#[test]
fn slices_of_time_are_paid_one_by_one() {
    let ecm = |second: u32| {
        let ppt = Some(Ppt { event: EVENT, price: PRICE, slice_s: 600 });
        sealed(2000 + second / 5, Criteria { ppt, ..Criteria::default() })
    };
    let mut stb = Stb::new(LIVING_ROOM, demo::card());
    let offer = stb.air(&ecm(0));
    assert_eq!(offer.kind, OfferKind::Slice);
    let (_, first) = stb.wish(&offer, PRICE);
    let (_, twice) = stb.wish(&offer, PRICE);
    stb.confirm(first);
    let receipt = paid(&stb.outcomes());
    stb.confirm(twice);
    assert_eq!(stb.outcomes(), [Outcome::Owned(Some(receipt))]);
    assert_eq!(stb.money(), PAID_ONCE);
    stb.section(&ecm(700));
    assert!(!stb.is_granted(), "its ten minutes are over");
    let offer = stb.air(&ecm(705));
    let (_, second) = stb.wish(&offer, PRICE);
    stb.confirm(second);
    paid(&stb.outcomes());
    assert_eq!(stb.money(), (7600, 2));
}

/// Small amounts go without PIN up to the card's limits of a purchase and of a day.
#[test]
fn the_card_s_limits_are_the_limits_without_pin() {
    let file = demo::file("")
        .replace("\npin_free_per_purchase = 0", "\npin_free_per_purchase = 1200")
        .replace("\npin_free_per_day = 0", "\npin_free_per_day = 2000");
    let mut stb = Stb::new(LIVING_ROOM, made(&file));
    let wallet = stb.engine.wallet().unwrap();
    assert_eq!(wallet.pin_free_per_purchase, Fen::new(1200));
    let offer = next_event(&mut stb, 2001);
    let (_, txn) = stb.wish(&offer, PRICE);
    stb.confirm_with(txn, b"");
    paid(&stb.outcomes());
    let offer = next_event(&mut stb, 2002);
    let (_, txn) = stb.wish(&offer, PRICE);
    stb.confirm_with(txn, b"");
    assert_eq!((stb.outcomes(), stb.money()), (vec![Outcome::PinRequired], PAID_ONCE));
    stb.confirm_with(txn, WRONG_PIN);
    assert_eq!(stb.outcomes(), [Outcome::PinWrong { tries_left: 2 }]);
    stb.confirm_with(txn, PIN);
    paid(&stb.outcomes());
    assert_eq!(stb.money(), (7600, 2));
}

/// T31: money back and right gone in one; the box finds out by itself, also when it was off.
#[test]
fn a_refund_is_told() {
    for was_off in [false, true] {
        let (mut stb, offer) = at_the_cinema();
        let (request, txn) = stb.wish(&offer, PRICE);
        stb.confirm(txn);
        let receipt = paid(&stb.outcomes());
        let (event, sequence) = (EVENT, receipt.card_sequence);
        let refund = [EmmCommand::Refund { event, sequence, amount: PRICE }];
        let refund = TO_PURSE.seal(1, &refund);
        assert_eq!(demo::emm(stb.slot.as_mut().unwrap(), &refund), EmmResult::APPLIED);
        if was_off {
            stb = stb.restart();
        }
        stb.run(5000);
        let [Outcome::Refunded(told)] = stb.outcomes()[..] else { panic!("was off: {was_off}") };
        assert_eq!((told.tac, told.refunded), (receipt.tac, true));
        let txn = stb.again(&offer, request, PRICE);
        assert_eq!((stb.state(txn), stb.money()), (TxnState::Refunded, (10_000, 1)));
        assert!(
            !stb.engine
                .rights()
                .iter()
                .any(|right| { right.kind == RightRow::EVENT && right.flags & 1 == 0 })
        );
        stb.confirm(txn);
        assert_eq!(stb.money(), (10_000, 1), "a refunded request pays nothing");
        // It is told once, also over restarts, and the event can be bought anew.
        let mut stb = stb.restart();
        stb.run(5000);
        assert_eq!(stb.outcomes(), []);
        let offer = next_event(&mut stb, 2001);
        let (_, txn) = stb.wish(&offer, PRICE);
        stb.confirm(txn);
        paid(&stb.outcomes());
        assert_eq!(stb.money(), (8800, 2));
    }
}

/// Each with the card's own reason, and not a fen has moved.
#[test]
fn every_refusal_reaches_the_host() {
    let refused = |stb: &mut Stb, price: Fen, expected: PurchaseResult, number: u32| {
        let offer = stb.air(&section(number, price));
        let (_, txn) = stb.wish(&offer, price);
        let before = stb.money();
        stb.confirm(txn);
        let [Outcome::Refused { result, balance }] = stb.outcomes()[..] else { panic!() };
        assert_eq!(PurchaseResult(result), expected);
        assert_eq!((stb.money(), balance), (before, Some(Fen::new(before.0))));
        assert_eq!(stb.state(txn), TxnState::Refused);
    };
    let mut stb = Stb::new(LIVING_ROOM, demo::card());
    refused(&mut stb, Fen::new(10_001), PurchaseResult::FUNDS, 2001);
    // Between the offer and the PIN the card learns that it is two days later.
    let offer = next_event(&mut stb, 2002);
    let (_, txn) = stb.wish(&offer, PRICE);
    let later = demo::news(NOON.saturating_add(2 * DAY));
    let card = stb.slot.as_mut().unwrap();
    demo::Stb::open(card).ecm(card, &later);
    stb.run(5000);
    stb.confirm(txn);
    let [Outcome::Refused { result, .. }] = stb.outcomes()[..] else { panic!() };
    assert_eq!((PurchaseResult(result), stb.money()), (PurchaseResult::CLOCK, UNPAID));

    let mut stb = Stb::new(LIVING_ROOM, rich());
    for n in 0..32 {
        let offer = next_event(&mut stb, 2001 + n);
        let (_, txn) = stb.wish(&offer, PRICE);
        stb.confirm(txn);
        paid(&stb.outcomes());
    }
    refused(&mut stb, PRICE, PurchaseResult::LOG_FULL, 2040);
    assert_eq!(stb.engine.receipts().count(), 31, "and the refusal");
    assert!(stb.engine.receipts().all(|(_, receipt)| receipt.event > Some(EventId::new(2000))));
}

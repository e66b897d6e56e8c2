// SPDX-License-Identifier: Apache-2.0
//! Request ids: what is lost costs an answer, never money; and two wishes for one event pay once.

use crate::ends::{made, rich};
use crate::{PAID_ONCE, UNPAID, at_the_cinema, next_event, paid};
use cam_core::{Offer, Outcome, PurchaseError, Receipt, RequestId, TxnState};
use cam_types::{EventId, Instant, TerminalId, TerminalSequence};
use ecm_emm::card::{EmmResult, PurchaseResult};
use ecm_emm::emm::EmmCommand;
use std::collections::BTreeMap;
use system_tests::demo::{self, NOON, PRICE, TO_CARD};
use system_tests::stb::{BEDROOM, BEDROOM_PAIRING, Fate, LIVING_ROOM, Stb};
use vcard::Card;

/// 32 purchases at another box, each reported and acknowledged: the log forgets what was before.
pub(crate) fn fill_the_log(card: &mut Card) {
    let mut stb = demo::Stb::open(card);
    for n in 1..=32 {
        let section = demo::cinema(EventId::new(5000 + n), NOON);
        stb.verify(card, demo::PIN).unwrap();
        let bought = stb.purchase(card, n, PRICE, &section).unwrap();
        assert_eq!(bought.result, PurchaseResult::PAID, "{n}");
        let ack = TO_CARD.seal(100 + n, &[EmmCommand::ReportAck(bought.receipt)]);
        assert_eq!(demo::emm(card, &ack), EmmResult::APPLIED);
    }
}

/// The request that was paid, asked again.
fn same_again(stb: &mut Stb, offer: &Offer, request: RequestId, receipt: &Receipt) {
    let txn = stb.again(offer, request, PRICE);
    stb.run(3000);
    let transaction = stb.engine.purchase(txn).unwrap();
    assert_eq!(transaction.state, TxnState::Paid);
    let found = transaction.receipt.unwrap();
    assert_eq!((found.tac, found.chain), (receipt.tac, receipt.chain));
    assert_eq!(found.terminal_sequence, receipt.terminal_sequence);
    stb.confirm(txn);
    assert_eq!(stb.money(), PAID_ONCE);
}

/// The directory is emptied after the purchase: the id alone finds it.
#[test]
fn a_lost_storage_costs_nothing() {
    let (mut stb, offer) = at_the_cinema();
    let (request, txn) = stb.wish(&offer, PRICE);
    stb.confirm(txn);
    let receipt = paid(&stb.outcomes());
    let mut stb = stb.restart_without_storage();
    assert_eq!(stb.engine.receipts().count(), 0);
    same_again(&mut stb, &offer, request, &receipt);
    // The numbers go on: another wish is paid at once.
    let offer = next_event(&mut stb, 2002);
    let (next, txn) = stb.wish(&offer, PRICE);
    assert!(next.sequence() > request.sequence());
    stb.confirm(txn);
    paid(&stb.outcomes());
    assert_eq!(stb.money(), (7600, 2));
}

/// The same with the answer lost on top: nothing but the id is left of the purchase.
#[test]
fn an_id_alone_settles() {
    for (fate, pays) in [(Fate::BoxDiesAfter, true), (Fate::BoxDiesBefore, false)] {
        let (mut stb, offer) = at_the_cinema();
        let (request, txn) = stb.wish(&offer, PRICE);
        stb.fate = Some(fate);
        stb.confirm(txn);
        let mut stb = stb.restart_without_storage();
        stb.run(5000);
        assert_eq!(stb.outcomes(), []);
        let txn = stb.again(&offer, request, PRICE);
        assert_eq!(stb.state(txn), TxnState::Settling);
        stb.run(3000);
        if pays {
            paid(&stb.outcomes());
        } else {
            assert_eq!(stb.outcomes(), [Outcome::Forgotten]);
        }
        stb.confirm(txn);
        assert_eq!(stb.money(), if pays { PAID_ONCE } else { UNPAID });
    }
}

/// The storage is put back to what it was before, in the middle of, and after another purchase.
#[test]
fn an_older_copy_of_the_storage_costs_nothing() {
    let (mut stb, offer) = at_the_cinema();
    let mut copies: Vec<BTreeMap<_, _>> = vec![stb.storage.clone()];
    let (request, txn) = stb.wish(&offer, PRICE);
    stb.fate = Some(Fate::CommandLost);
    stb.confirm(txn);
    assert_eq!(stb.outcomes().last(), Some(&Outcome::NotPaid));
    copies.push(stb.storage.clone());
    stb.confirm(txn);
    let receipt = paid(&stb.outcomes());
    let mut card = stb.slot.take().unwrap();
    for copy in copies {
        let mut stb = Stb::new(LIVING_ROOM, card);
        stb.storage = copy;
        let mut stb = stb.restart();
        stb.run(5000);
        same_again(&mut stb, &offer, request, &receipt);
        let fresh = stb.engine.request_new().unwrap();
        assert!(fresh.sequence() > request.sequence());
        card = stb.slot.take().unwrap();
    }
}

/// A row makes room for later ones: the card still knows, and when it does not, nothing is paid.
#[test]
fn a_request_that_was_pushed_out_is_never_paid_again() {
    let mut stb = Stb::new(LIVING_ROOM, rich());
    let offer = next_event(&mut stb, 2001);
    let (request, txn) = stb.wish(&offer, PRICE);
    stb.confirm(txn);
    let receipt = paid(&stb.outcomes());
    let offer = next_event(&mut stb, 2002);
    for _ in 0..40 {
        let (_, cancelled) = stb.wish(&offer, PRICE);
        stb.cancel(cancelled);
    }
    assert_eq!(stb.state(txn), TxnState::Paid, "what came to nothing costs no receipt");
    for _ in 0..32 {
        stb.wish(&offer, PRICE);
    }
    assert_eq!(stb.engine.purchase(txn), Err(PurchaseError::NoTransaction), "pushed out");
    stb.outcomes();
    let txn = stb.again(&offer, request, PRICE);
    stb.run(3000);
    assert_eq!(paid(&stb.outcomes()).tac, receipt.tac);
    let before = stb.money();
    stb.confirm(txn);
    assert_eq!(stb.money(), before);

    let mut card = stb.pull();
    card.power_on();
    fill_the_log(&mut card);
    stb.insert(card);
    let before = stb.money();
    for _ in 0..32 {
        stb.wish(&offer, PRICE);
    }
    stb.outcomes();
    let txn = stb.again(&offer, request, PRICE);
    stb.run(3000);
    assert_eq!(stb.outcomes(), [Outcome::Forgotten]);
    stb.confirm(txn);
    assert_eq!(stb.money(), before);
}

#[test]
fn an_id_of_the_host_s_own_is_refused() {
    let (mut stb, offer) = at_the_cinema();
    let invented = RequestId::new([1; 16]);
    let begun = stb.engine.purchase_begin(Instant::from_micros(1), offer.id, invented, PRICE);
    assert_eq!(begun, Err(PurchaseError::ForeignRequest));
    assert_eq!(stb.money(), UNPAID);
}

/// Two wishes for one event at one box: both confirmed, one paid, the other gets its receipt.
#[test]
fn two_wishes_at_once_pay_once() {
    for first_is_first in [true, false] {
        let (mut stb, offer) = at_the_cinema();
        let (_, one) = stb.wish(&offer, PRICE);
        let (_, other) = stb.wish(&offer, PRICE);
        let (first, second) = if first_is_first { (one, other) } else { (other, one) };
        // No sign of life is on the line.
        stb.run(100);
        stb.engine_confirm(first, demo::PIN);
        stb.engine_confirm(second, demo::PIN);
        stb.run(10_000);
        assert_eq!(stb.money(), PAID_ONCE);
        let outcomes = stb.outcomes();
        let receipt = paid(&outcomes[..1]);
        assert_eq!(outcomes[1..], [Outcome::Owned(Some(receipt))]);
        assert_eq!((stb.state(first), stb.state(second)), (TxnState::Paid, TxnState::Owned));
    }
}

/// The same from two boxes of one home, with the card carried from one to the other.
#[test]
fn two_boxes_pay_once() {
    let card = made(&format!("{}{BEDROOM_PAIRING}", demo::file("")));
    let mut living = Stb::new(LIVING_ROOM, card);
    let offer = next_event(&mut living, 2001);
    let (_, here) = living.wish(&offer, PRICE);
    let card = living.pull();
    let mut bedroom = Stb::new(BEDROOM, card);
    let offer = next_event(&mut bedroom, 2001);
    let (_, there) = bedroom.wish(&offer, PRICE);
    bedroom.confirm(there);
    let receipt = paid(&bedroom.outcomes());
    let card = bedroom.pull();
    living.insert(card);
    living.confirm(here);
    let [Outcome::Owned(Some(first))] = living.outcomes()[..] else { panic!() };
    assert_eq!((first.tac, first.chain, first.amount), (receipt.tac, receipt.chain, PRICE));
    let names = (first.terminal, first.terminal_sequence);
    assert_eq!(names, (TerminalId::default(), TerminalSequence::default()), "not told by the card");
    assert_eq!(living.money(), PAID_ONCE);
}

/// Numbers are paid in their order: one that was overtaken is refused, and a new wish is paid.
#[test]
fn an_overtaken_number_is_refused() {
    let (mut stb, offer) = at_the_cinema();
    let (_, slow) = stb.wish(&offer, PRICE);
    let next = next_event(&mut stb, 2002);
    let (_, quick) = stb.wish(&next, PRICE);
    stb.confirm(quick);
    paid(&stb.outcomes());
    stb.confirm(slow);
    let [Outcome::Refused { result, .. }] = stb.outcomes()[..] else { panic!() };
    assert_eq!((result, stb.money()), (PurchaseResult::SEQUENCE.0, PAID_ONCE));
}

// SPDX-License-Identifier: Apache-2.0
//! What was paid is not paid again, and what was not paid is not had: which right a purchase makes,
//! which one stands against another purchase, and which one a refund ends.

use cam_types::{CasTime, EventId, Fen, Slot};
use ecm_emm::card::{
    AccessStatus, EmmResult, INS_RIGHTS, PurchaseAnswer, PurchaseResult, RIGHTS_ROWS, RightRow,
    RightsPage,
};
use ecm_emm::ecm::{ControlWords, Criteria, EcmBody, Ppt, Ppv};
use ecm_emm::emm::EmmCommand;
use system_tests::demo::*;
use vcard::Card;

fn after(seconds: u32) -> CasTime {
    NOON.saturating_add(seconds)
}

fn event_body(ppv: Ppv, time: CasTime) -> EcmBody {
    body(time, Criteria { ppv: Some(ppv), ..Criteria::default() })
}

fn event(ppv: Ppv, time: CasTime) -> Vec<u8> {
    seal_ecm(CINEMA_SERVICE, &event_body(ppv, time))
}

fn offer(ppv: Ppv, time: CasTime) -> Vec<u8> {
    seal_ecm(CINEMA_SERVICE, &EcmBody { cw: ControlWords::None, ..event_body(ppv, time) })
}

fn slice(time: CasTime) -> Vec<u8> {
    let ppt = Some(Ppt { event: EVENT, price: PRICE, slice_s: 600 });
    seal_ecm(CINEMA_SERVICE, &body(time, Criteria { ppt, ..Criteria::default() }))
}

fn buy(card: &mut Card, stb: &mut Stb, sequence: u32, section: &[u8]) -> PurchaseAnswer {
    stb.buy(card, sequence, section).unwrap()
}

fn paid(card: &mut Card, stb: &mut Stb, sequence: u32, section: &[u8]) -> PurchaseAnswer {
    let answer = buy(card, stb, sequence, section);
    assert_eq!(answer.result, PurchaseResult::PAID, "{sequence}");
    answer
}

fn status(card: &mut Card, stb: &mut Stb, section: &[u8]) -> AccessStatus {
    stb.ecm(card, section).status
}

fn rows(card: &mut Card, stb: &mut Stb, kind: u8) -> Vec<RightRow> {
    let page = stb.send(card, INS_RIGHTS, RIGHTS_ROWS, &[0]).unwrap();
    let rows = RightsPage::parse(&page).unwrap().rows;
    rows.into_iter().filter(|row| row.kind == kind).collect()
}

fn refund(card: &mut Card, number: u32, event: EventId, sequence: u16) {
    let refund = EmmCommand::Refund { event, sequence, amount: PRICE };
    assert_eq!(emm(card, &TO_PURSE.seal(number, &[refund])), EmmResult::APPLIED);
}

/// T29: an event that is bought before it begins is paid once, by offer or by ECM, and is not
/// offered any more.
#[test]
fn an_event_bought_before_it_begins_is_paid_once() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let early = NOON.saturating_sub(7200);
    let first = paid(&mut card, &mut stb, 1, &offer(ppv(EVENT, NOON), early));
    let lower = Ppv { tier: 0, ..ppv(EVENT, NOON) };
    for (n, section) in [
        (2, offer(ppv(EVENT, NOON), early)),
        (3, event(ppv(EVENT, NOON), early)),
        (4, event(lower, early)),
        (5, event(ppv(EVENT, NOON), NOON)),
    ] {
        let again = buy(&mut card, &mut stb, n, &section);
        assert_eq!(again, PurchaseAnswer { result: PurchaseResult::OWNED, ..first }, "{n}");
    }
    assert_eq!(stb.wallet(&mut card).balance, Fen::new(8800));
    card.power_on();
    let mut stb = Stb::open(&mut card);
    let answer = stb.ecm(&mut card, &event(ppv(EVENT, NOON), early));
    assert_eq!((answer.status, answer.offer), (AccessStatus::NOT_YET_VALID, None));
    // A better tier is another thing, and so is another service's event.
    let better = Ppv { tier: 2, ..ppv(EVENT, NOON) };
    paid(&mut card, &mut stb, 6, &event(better, NOON));
}

/// An event that lasts longer than was announced is not paid again, up to a day; one write.
#[test]
fn an_overrun_is_not_paid_again() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let end = |seconds| Ppv { end: after(seconds), ..ppv(EVENT, NOON) };
    paid(&mut card, &mut stb, 1, &event(end(3600), NOON));
    let commits = card.status().commits;
    let answer = stb.ecm(&mut card, &event(end(5400), after(1800)));
    assert_eq!(answer.status, AccessStatus::GRANTED_EVENT);
    assert_eq!(answer.opened_by.unwrap().end, after(5400));
    assert_eq!(stb.ecm(&mut card, &event(end(5400), after(1810))), answer);
    assert_eq!(card.status().commits, commits + 1);
    // A shorter end takes nothing away.
    assert_eq!(status(&mut card, &mut stb, &event(end(3600), after(1820))), answer.status);
    card.power_on();
    let mut stb = Stb::open(&mut card);
    assert_eq!(status(&mut card, &mut stb, &event(end(5400), after(5399))), answer.status);
    let again = buy(&mut card, &mut stb, 2, &event(end(5400), after(5399)));
    assert_eq!(again.result, PurchaseResult::OWNED);
    // A day behind the end that was bought, and no further, however often.
    for _ in 0..3 {
        stb.ecm(&mut card, &event(end(10 * DAY), after(5399)));
    }
    assert_eq!(rows(&mut card, &mut stb, RightRow::EVENT)[0].end, after(3600 + DAY));
    let late = event(end(10 * DAY), after(3600 + DAY));
    assert_eq!(status(&mut card, &mut stb, &late), AccessStatus::PURCHASABLE);
}

/// An overrun moves what was bought: not what was granted with an end of its own, nor what was
/// refunded, nor what is over, nor another tier's or service's.
#[test]
fn an_overrun_moves_nothing_else() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let longer = |event| Ppv { end: after(7200), ..ppv(event, NOON) };
    let granted = EventId::new(2002);
    let grant = EmmCommand::PpvGrant { event: granted, tier: 1, end: after(3600) };
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[grant])), EmmResult::APPLIED);
    let refunded = EventId::new(2003);
    let back = paid(&mut card, &mut stb, 1, &event(ppv(refunded, NOON), NOON));
    refund(&mut card, 1, refunded, back.offline_sequence);
    paid(&mut card, &mut stb, 2, &event(ppv(EVENT, NOON), NOON));
    let before = rows(&mut card, &mut stb, RightRow::EVENT);
    for section in [
        event(longer(granted), NOON),
        event(longer(refunded), NOON),
        event(Ppv { tier: 2, ..longer(EVENT) }, NOON),
        seal_ecm(NEWS, &event_body(longer(EVENT), NOON)),
        event(longer(EVENT), after(3600)),
    ] {
        stb.ecm(&mut card, &section);
        assert_eq!(rows(&mut card, &mut stb, RightRow::EVENT), before);
    }
}

/// T29: what would be sold is what can be owned. An event of price 0 is not for sale, so the slice
/// beside it is, once.
#[test]
fn a_slice_beside_an_event_without_a_price_is_paid_once() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let beside = |price, seconds| {
        let ppv = Some(Ppv { price, ..ppv(EventId::new(2002), NOON) });
        let ppt = Some(Ppt { event: EVENT, price: PRICE, slice_s: 600 });
        seal_ecm(
            CINEMA_SERVICE,
            &body(after(seconds), Criteria { ppv, ppt, ..Criteria::default() }),
        )
    };
    paid(&mut card, &mut stb, 1, &beside(Fen::ZERO, 0));
    for (n, second) in [(2, 1), (3, 2), (4, 300)] {
        let again = buy(&mut card, &mut stb, n, &beside(Fen::ZERO, second));
        assert_eq!(again.result, PurchaseResult::OWNED, "{n}");
    }
    // An event with a price goes first, as long as it has not ended; then the slice, as offered.
    let offered = stb.ecm(&mut card, &beside(PRICE, 3600)).offer.unwrap();
    assert_eq!(offered.event, EVENT);
    paid(&mut card, &mut stb, 5, &beside(PRICE, 3600));
    let again = buy(&mut card, &mut stb, 6, &beside(PRICE, 3601));
    assert_eq!(again.result, PurchaseResult::OWNED);
}

/// An event of price 0 opens to whom it was granted, and to nobody for nothing.
#[test]
fn an_event_without_a_price_is_opened_by_a_grant_alone() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let nothing = event(Ppv { price: Fen::ZERO, ..ppv(EVENT, NOON) }, NOON);
    assert_eq!(status(&mut card, &mut stb, &nothing), AccessStatus::NO_RIGHT);
    stb.verify(&mut card, PIN).unwrap();
    let refused = stb.purchase(&mut card, 1, Fen::ZERO, &nothing).unwrap();
    assert_eq!(refused.result, PurchaseResult::NO_OFFER);
    let grant = EmmCommand::PpvGrant { event: EVENT, tier: 1, end: after(3600) };
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[grant])), EmmResult::APPLIED);
    assert_eq!(status(&mut card, &mut stb, &nothing), AccessStatus::GRANTED_EVENT);
}

/// T31: a refund ends the right that its purchase made: of several tiers, services and grants of
/// one event only that.
#[test]
fn a_refund_ends_one_right() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let tier = |tier| Ppv { tier, ..ppv(EVENT, NOON) };
    let on_news = |tier| seal_ecm(NEWS, &event_body(Ppv { tier, ..ppv(EVENT, NOON) }, NOON));
    let grant = EmmCommand::PpvGrant { event: EVENT, tier: 3, end: after(1800) };
    let low = paid(&mut card, &mut stb, 1, &event(tier(1), NOON));
    let high = paid(&mut card, &mut stb, 2, &event(tier(2), NOON));
    let elsewhere = paid(&mut card, &mut stb, 3, &on_news(2));
    paid(&mut card, &mut stb, 4, &slice(NOON));
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[grant])), EmmResult::APPLIED);
    // What is owned is told by the record of the purchase that made it.
    for (n, section, record) in [(5, event(tier(2), NOON), high), (6, on_news(2), elsewhere)] {
        let again = buy(&mut card, &mut stb, n, &section);
        assert_eq!(again, PurchaseAnswer { result: PurchaseResult::OWNED, ..record }, "{n}");
    }
    let open = |card: &mut Card, stb: &mut Stb, seconds: u32| {
        let at = |ppv| event(ppv, after(seconds));
        let on_news = |ppv| seal_ecm(NEWS, &event_body(ppv, after(seconds)));
        [at(tier(1)), at(tier(2)), on_news(tier(2)), slice(after(seconds))]
            .map(|section| stb.ecm(card, &section).ecw.is_some())
    };
    assert_eq!(open(&mut card, &mut stb, 0), [true; 4]);
    refund(&mut card, 1, EVENT, high.offline_sequence);
    let revoked: Vec<_> = rows(&mut card, &mut stb, RightRow::EVENT)
        .into_iter()
        .filter(|row| row.flags & 1 != 0)
        .map(|row| (row.slot, row.tier))
        .collect();
    assert_eq!(revoked, [(Slot::new(2).value(), 2)]);
    assert_eq!(open(&mut card, &mut stb, 0), [true; 4], "the grant opens both");
    refund(&mut card, 2, EVENT, low.offline_sequence);
    // The grant is over, the slice too.
    assert_eq!(open(&mut card, &mut stb, 1800), [false, false, true, false]);
}

/// T31: an overrun that a refund follows is refunded with it; a purchase that came after it is not.
#[test]
fn a_refund_ends_the_overrun_and_no_later_purchase() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let end = |seconds| Ppv { end: after(seconds), ..ppv(EVENT, NOON) };
    let first = paid(&mut card, &mut stb, 1, &event(end(600), NOON));
    // It ended, and its end was moved too late: bought again.
    let second = paid(&mut card, &mut stb, 2, &event(end(1200), after(600)));
    refund(&mut card, 1, EVENT, first.offline_sequence);
    let granted = AccessStatus::GRANTED_EVENT;
    assert_eq!(status(&mut card, &mut stb, &event(end(1800), after(700))), granted);
    assert_eq!(status(&mut card, &mut stb, &event(end(1800), after(1700))), granted);
    refund(&mut card, 2, EVENT, second.offline_sequence);
    let sold = AccessStatus::PURCHASABLE;
    assert_eq!(status(&mut card, &mut stb, &event(end(1800), after(1700))), sold);
}

/// T31: of slices a refund takes the one that was refunded from the end; of slices after a gap
/// nothing for one before it.
#[test]
fn a_refunded_slice_is_taken_from_the_end() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let opened = |card: &mut Card, stb: &mut Stb| {
        let rows = rows(card, stb, RightRow::SLICE);
        let rows: Vec<_> = rows.iter().filter(|row| row.flags & 1 == 0).collect();
        rows.iter().map(|row| (row.start, row.end)).collect::<Vec<_>>()
    };
    let first = paid(&mut card, &mut stb, 1, &slice(after(15)));
    let second = paid(&mut card, &mut stb, 2, &slice(after(600)));
    assert_eq!(opened(&mut card, &mut stb), [(NOON, after(1215))]);
    refund(&mut card, 1, EVENT, first.offline_sequence);
    assert_eq!(opened(&mut card, &mut stb), [(NOON, after(615))]);
    // Before the end that the second slice had when it was paid.
    let third = paid(&mut card, &mut stb, 3, &slice(after(1000)));
    refund(&mut card, 2, EVENT, second.offline_sequence);
    assert_eq!(opened(&mut card, &mut stb), [(after(985), after(1600))]);
    refund(&mut card, 3, EVENT, third.offline_sequence);
    assert_eq!(opened(&mut card, &mut stb), []);
    let sold = AccessStatus::PURCHASABLE;
    assert_eq!(status(&mut card, &mut stb, &slice(after(1000))), sold);
    assert_eq!(stb.wallet(&mut card).balance, Fen::new(10_000));
    paid(&mut card, &mut stb, 4, &slice(after(1000)));
    assert_eq!(opened(&mut card, &mut stb), [(after(985), after(1600))]);
}

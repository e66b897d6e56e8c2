// SPDX-License-Identifier: Apache-2.0
//! What is counted in ECM time: a preview and a slice of time open the ECMs of their seconds, and
//! no others, wherever the card's clock stands.

use cam_types::{CasTime, EventId};
use ecm_emm::card::{AccessStatus, PurchaseResult};
use ecm_emm::ecm::{ControlWords, Criteria, EcmBody, Ppt, Ppv};
use system_tests::demo::*;
use vcard::Card;

fn after(seconds: u32) -> CasTime {
    NOON.saturating_add(seconds)
}

fn before(seconds: u32) -> CasTime {
    NOON.saturating_sub(seconds)
}

/// An event of two hours with a preview of a minute.
fn previewed(event: u32) -> Ppv {
    Ppv { preview_s: 60, end: after(7200), ..ppv(EventId::new(event), NOON) }
}

fn preview_ecm(service: Service, ppv: Ppv, time: CasTime) -> Vec<u8> {
    seal_ecm(service, &body(time, Criteria { ppv: Some(ppv), ..Criteria::default() }))
}

fn status(card: &mut Card, stb: &mut Stb, section: &[u8]) -> AccessStatus {
    stb.ecm(card, section).status
}

/// T8: a preview that begins with the last ECM of a recording opens none of those before it, resets
/// or not.
#[test]
fn a_preview_opens_no_recording() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    // The clock is stored now, and then not for an hour.
    assert_eq!(status(&mut card, &mut stb, &news(NOON)), AccessStatus::GRANTED_SUBSCRIPTION);
    let ecm = |second| preview_ecm(CINEMA_SERVICE, previewed(2001), after(second));
    assert_eq!(status(&mut card, &mut stb, &ecm(3590)), AccessStatus::PREVIEW);
    card.power_on();
    let mut stb = Stb::open(&mut card);
    let opened: Vec<u32> = (0..3700)
        .step_by(10)
        .filter(|second| stb.ecm(&mut card, &ecm(*second)).ecw.is_some())
        .collect();
    assert_eq!(opened, [3590, 3600, 3610, 3620, 3630, 3640]);
}

/// T8: a preview that was forgotten with its event does not come again with late ECMs.
#[test]
fn an_event_that_is_over_begins_no_preview() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    status(&mut card, &mut stb, &news(after(7200)));
    let ecm = preview_ecm(CINEMA_SERVICE, previewed(2001), after(7000));
    assert_eq!(stb.ecm(&mut card, &ecm).ecw, None);
}

/// T8: the beginning of a preview is not undone by a reset, nor is the time at which it was.
#[test]
fn a_preview_stores_the_clock() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    status(&mut card, &mut stb, &news(NOON));
    let ecm = preview_ecm(CINEMA_SERVICE, previewed(2001), after(3000));
    assert_eq!(status(&mut card, &mut stb, &ecm), AccessStatus::PREVIEW);
    card.power_on();
    let mut stb = Stb::open(&mut card);
    assert_eq!(status(&mut card, &mut stb, &news(after(2399))), AccessStatus::CLOCK);
    assert_eq!(status(&mut card, &mut stb, &news(after(2400))), AccessStatus::GRANTED_SUBSCRIPTION);
}

/// T8: within one power-up as well, where the clock would let it.
#[test]
fn a_preview_does_not_run_backwards() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let ecm = |second| preview_ecm(CINEMA_SERVICE, previewed(2001), after(second));
    for (second, expected, left) in [
        (600, AccessStatus::PREVIEW, 60),
        (599, AccessStatus::PURCHASABLE, 0),
        (300, AccessStatus::PURCHASABLE, 0),
        (659, AccessStatus::PREVIEW, 1),
        (660, AccessStatus::PURCHASABLE, 0),
        // Had, but not over: the same ECMs open again.
        (600, AccessStatus::PREVIEW, 60),
    ] {
        let answer = stb.ecm(&mut card, &ecm(second));
        assert_eq!((answer.status, answer.offer.unwrap().preview_s), (expected, left), "{second}");
    }
}

/// Two multiplexes whose clocks differ do not eat a preview: the card's clock has no part in it.
#[test]
fn another_multiplexs_clock_shortens_no_preview() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    status(&mut card, &mut stb, &news(after(61)));
    for (second, expected) in
        [(0, AccessStatus::PREVIEW), (59, AccessStatus::PREVIEW), (60, AccessStatus::PURCHASABLE)]
    {
        let ecm = preview_ecm(CINEMA_SERVICE, previewed(2001), after(second));
        assert_eq!(status(&mut card, &mut stb, &ecm), expected, "{second}");
    }
}

/// T8: one preview of an event, under whatever service key its ECMs come.
#[test]
fn an_event_has_one_preview_on_all_its_services() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    for (service, second, expected) in [
        (NEWS, 0, AccessStatus::PREVIEW),
        (CINEMA_SERVICE, 59, AccessStatus::PREVIEW),
        (CINEMA_SERVICE, 60, AccessStatus::PURCHASABLE),
        (NEWS, 60, AccessStatus::PURCHASABLE),
    ] {
        let ecm = preview_ecm(service, previewed(2001), after(second));
        assert_eq!(status(&mut card, &mut stb, &ecm), expected, "{second}");
    }
}

/// T8, T19: 32 previews are remembered until their events are over, or for seven days; then a place
/// is free, and no reset gives the old preview back. Each is written once, when it begins.
#[test]
fn a_preview_is_forgotten_only_when_it_cannot_come_again() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let month = |event| Ppv { end: after(30 * DAY), ..previewed(event) };
    status(&mut card, &mut stb, &preview_ecm(CINEMA_SERVICE, previewed(2000), NOON));
    for event in 2001..2032 {
        let commits = card.status().commits;
        for _ in 0..2 {
            let ecm = preview_ecm(CINEMA_SERVICE, month(event), NOON);
            assert_eq!(status(&mut card, &mut stb, &ecm), AccessStatus::PREVIEW);
        }
        assert_eq!(card.status().commits, commits + 1, "{event}");
    }
    let more = |event, second| preview_ecm(CINEMA_SERVICE, month(event), after(second));
    let full = stb.ecm(&mut card, &more(3000, 1));
    assert_eq!(full.status, AccessStatus::PURCHASABLE, "no place, but it can be bought");
    assert_eq!(full.offer.unwrap().preview_s, 0);
    // A day behind the end of an event its place is taken.
    assert_eq!(status(&mut card, &mut stb, &more(3000, DAY + 7199)), AccessStatus::PURCHASABLE);
    assert_eq!(status(&mut card, &mut stb, &more(3000, DAY + 7200)), AccessStatus::PREVIEW);
    assert_eq!(status(&mut card, &mut stb, &more(3001, DAY + 7200)), AccessStatus::PURCHASABLE);
    card.power_on();
    let mut stb = Stb::open(&mut card);
    let gone = |second| preview_ecm(CINEMA_SERVICE, previewed(2000), after(second));
    for second in (0..7200).step_by(100) {
        assert_eq!(stb.ecm(&mut card, &gone(second)).ecw, None, "{second}");
    }
    // After seven days the others go as well, one for each that comes.
    for event in 3001..3032 {
        let ecm = more(event, 7 * DAY);
        assert_eq!(status(&mut card, &mut stb, &ecm), AccessStatus::PREVIEW, "{event}");
    }
    assert_eq!(status(&mut card, &mut stb, &more(3032, 7 * DAY)), AccessStatus::PURCHASABLE);
}

fn event_to(event: u32, end: u32, second: u32) -> Vec<u8> {
    let ppv = Ppv { end: after(end), ..previewed(event) };
    preview_ecm(CINEMA_SERVICE, ppv, after(second))
}

/// T8: an event that lasts longer, or runs later on another service, has no second preview.
#[test]
fn an_event_that_lasts_longer_has_no_second_preview() {
    for told in [true, false] {
        let mut card = card();
        let mut stb = Stb::open(&mut card);
        assert_eq!(status(&mut card, &mut stb, &event_to(2001, 7200, 0)), AccessStatus::PREVIEW);
        if told {
            status(&mut card, &mut stb, &event_to(2001, 9000, 7190));
        }
        // The only place that might be free is taken by another one.
        let other = event_to(2002, 14_400, 7210);
        assert_eq!(status(&mut card, &mut stb, &other), AccessStatus::PREVIEW);
        let again = stb.ecm(&mut card, &event_to(2001, 9000, 7220));
        assert_eq!((again.status, again.ecw), (AccessStatus::PURCHASABLE, None), "{told}");
    }
}

const SLICE: u16 = 600;

fn slice_body(time: CasTime) -> EcmBody {
    let ppt = Some(Ppt { event: EVENT, price: PRICE, slice_s: SLICE });
    body(time, Criteria { ppt, ..Criteria::default() })
}

fn slice_ecm(time: CasTime) -> Vec<u8> {
    seal_ecm(CINEMA_SERVICE, &slice_body(time))
}

fn slice_offer(time: CasTime) -> Vec<u8> {
    seal_ecm(CINEMA_SERVICE, &EcmBody { cw: ControlWords::None, ..slice_body(time) })
}

fn buy(card: &mut Card, stb: &mut Stb, sequence: u32, section: &[u8]) -> PurchaseResult {
    stb.buy(card, sequence, section).unwrap().result
}

/// T8: a slice opens what it was paid for, and nothing that lies before it.
#[test]
fn a_slice_opens_no_recording() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    status(&mut card, &mut stb, &news(NOON));
    assert_eq!(buy(&mut card, &mut stb, 1, &slice_ecm(after(3590))), PurchaseResult::PAID);
    card.power_on();
    let mut stb = Stb::open(&mut card);
    let opened: Vec<u32> = (0..4300)
        .step_by(5)
        .filter(|second| stb.ecm(&mut card, &slice_ecm(after(*second))).ecw.is_some())
        .collect();
    assert_eq!((opened.first(), opened.last()), (Some(&3575), Some(&4185)));
    assert_eq!(opened.len(), 1 + (4185 - 3575) / 5);
}

/// A slice that a slow multiplex sells opens the ECM that sold it, and lasts no shorter.
#[test]
fn a_slice_is_paid_in_the_time_of_its_ecm() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    status(&mut card, &mut stb, &news(after(61)));
    assert_eq!(buy(&mut card, &mut stb, 1, &slice_ecm(NOON)), PurchaseResult::PAID);
    for (time, expected) in [
        (before(16), AccessStatus::PURCHASABLE),
        (before(15), AccessStatus::GRANTED_TIME),
        (NOON, AccessStatus::GRANTED_TIME),
        (after(599), AccessStatus::GRANTED_TIME),
        (after(600), AccessStatus::PURCHASABLE),
    ] {
        assert_eq!(status(&mut card, &mut stb, &slice_ecm(time)), expected, "{time:?}");
    }
}

/// An offer waits: its slice begins when it is paid.
#[test]
fn the_slice_of_an_offer_begins_when_it_is_paid() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    status(&mut card, &mut stb, &news(after(1000)));
    assert_eq!(buy(&mut card, &mut stb, 1, &slice_offer(NOON)), PurchaseResult::PAID);
    for (second, expected) in [
        (984, AccessStatus::PURCHASABLE),
        (985, AccessStatus::GRANTED_TIME),
        (1599, AccessStatus::GRANTED_TIME),
        (1600, AccessStatus::PURCHASABLE),
    ] {
        assert_eq!(status(&mut card, &mut stb, &slice_ecm(after(second))), expected, "{second}");
    }
}

/// A slice bought while one runs makes it longer; after a gap it begins anew, and the gap stays
/// shut.
#[test]
fn a_slice_grows_or_begins_anew() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    for (n, second, expected) in [
        (1, 0, PurchaseResult::PAID),
        (2, 539, PurchaseResult::OWNED),
        (3, 540, PurchaseResult::PAID),
        // Its end, to the second: there is no gap.
        (4, 1200, PurchaseResult::PAID),
        (5, 2000, PurchaseResult::PAID),
    ] {
        assert_eq!(buy(&mut card, &mut stb, n, &slice_ecm(after(second))), expected, "{n}");
    }
    for (second, expected) in [
        (1799, AccessStatus::PURCHASABLE),
        (1984, AccessStatus::PURCHASABLE),
        (1985, AccessStatus::GRANTED_TIME),
        (2599, AccessStatus::GRANTED_TIME),
        (2600, AccessStatus::PURCHASABLE),
    ] {
        assert_eq!(status(&mut card, &mut stb, &slice_ecm(after(second))), expected, "{second}");
    }
}

/// A slice paid with an ECM from before a running one gives no second more than was paid for, and
/// takes none away.
#[test]
fn a_slice_bought_backwards_is_no_cheaper() {
    for (slice_s, second, opened) in [
        // The two touch: one, as long as both.
        (600, 1500, 1485..2700),
        // They do not: two.
        (300, 1300, 1285..1600),
    ] {
        let mut card = card();
        let mut stb = Stb::open(&mut card);
        let ecm = |second| {
            let ppt = Some(Ppt { event: EVENT, price: PRICE, slice_s });
            let criteria = Criteria { ppt, ..Criteria::default() };
            seal_ecm(CINEMA_SERVICE, &body(after(second), criteria))
        };
        for (n, second) in [(1, 1900), (2, second)] {
            assert_eq!(buy(&mut card, &mut stb, n, &ecm(second)), PurchaseResult::PAID, "{second}");
        }
        let running = 1885..1900 + u32::from(slice_s);
        for second in (1300..2710).step_by(5) {
            let expected = opened.contains(&second) || running.contains(&second);
            let answer = stb.ecm(&mut card, &ecm(second));
            assert_eq!(answer.ecw.is_some(), expected, "slices of {slice_s} at {second}");
        }
    }
}

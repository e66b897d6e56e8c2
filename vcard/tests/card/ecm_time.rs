// SPDX-License-Identifier: Apache-2.0
//! What is counted in ECM time: a preview opens the ECMs of its seconds, and no others, wherever
//! the card's clock stands.

use cam_types::{CasTime, EventId};
use ecm_emm::card::AccessStatus;
use ecm_emm::ecm::{Criteria, Ppv};
use system_tests::demo::*;
use vcard::Card;

fn after(seconds: u32) -> CasTime {
    NOON.saturating_add(seconds)
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
    // One event ends, and its place is taken.
    assert_eq!(status(&mut card, &mut stb, &more(3000, 7199)), AccessStatus::PURCHASABLE);
    assert_eq!(status(&mut card, &mut stb, &more(3000, 7200)), AccessStatus::PREVIEW);
    assert_eq!(status(&mut card, &mut stb, &more(3001, 7200)), AccessStatus::PURCHASABLE);
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

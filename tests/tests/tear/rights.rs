// SPDX-License-Identifier: Apache-2.0
//! What the card writes by itself when it judges an ECM or its clock is set: all of it, or nothing.

use crate::exhaust::{Case, Journal, every_octet, every_write};
use crate::messages::send_once;
use crate::operation::Attempt;
use crate::programme::SetTopBox;
use cam_types::{CasTime, EventId};
use ecm_emm::card::{AccessStatus, INS_ECM, INS_RIGHTS, PurchaseResult, RIGHTS_ROWS, RightsPage};
use ecm_emm::ecm::{Criteria, Ppv};
use ecm_emm::emm::{EmmCommand, ResetNumber, TimeStep};
use system_tests::demo::*;
use system_tests::desk::Desk;
use system_tests::memory::Memory;
use vcard::{Card, Personalisation, atr};

fn after(seconds: u32) -> CasTime {
    NOON.saturating_add(seconds)
}

fn event(ppv: Ppv, time: CasTime) -> Vec<u8> {
    seal_ecm(CINEMA_SERVICE, &body(time, Criteria { ppv: Some(ppv), ..Criteria::default() }))
}

/// A card on which this has happened, without power.
fn card_after(memory: &[u8], happens: impl FnOnce(&mut Card, &mut Stb)) -> Vec<u8> {
    let memory = Memory::new(memory);
    let mut card = powered(memory.store());
    let mut stb = Stb::open(&mut card);
    happens(&mut card, &mut stb);
    card.power_on();
    drop(card);
    memory.octets()
}

fn tear(
    name: &str,
    before: Vec<u8>,
    attempt: &dyn Fn(&mut dyn Desk) -> Attempt,
    judge: &dyn Fn(&mut Card) -> Result<&'static str, String>,
) {
    let judge = |desk: &mut dyn Desk, _: &Attempt| {
        if !desk.reset() {
            return Err("mute".to_owned());
        }
        judge(desk.card())
    };
    let case = Case { name, before, attempt, judge: &judge };
    every_write(&case, Journal::On).assert_sound(&["after", "before"]);
    assert!(
        every_write(&case, Journal::Off).violations() > 0,
        "nothing notices that the journal is off"
    );
    every_octet(&case, "T=1", &atr::t1()).assert_sound(&["after", "before"]);
}

fn ecm(desk: &mut dyn Desk, section: &[u8]) -> Attempt {
    let Some(mut stb) = SetTopBox::open(desk) else { return Attempt::Unsent };
    match stb.send(desk, INS_ECM, section) {
        Some(_) => Attempt::Made,
        None => Attempt::Lost(Vec::new()),
    }
}

/// T8: a preview has begun and its clock is stored, or neither.
#[test]
fn a_torn_preview_begins_with_its_clock() {
    let previewed =
        |second| event(Ppv { preview_s: 60, end: after(7200), ..ppv(EVENT, NOON) }, after(second));
    let before = card_after(&memory(), |card, stb| {
        stb.ecm(card, &news(NOON));
    });
    tear("a preview", before, &|desk| ecm(desk, &previewed(3000)), &|card| {
        let mut stb = Stb::open(card);
        let clock = stb.ecm(card, &news(after(2399))).status;
        let earlier = stb.ecm(card, &previewed(2999)).status;
        match (clock, earlier) {
            (AccessStatus::CLOCK, AccessStatus::PURCHASABLE) => Ok("after"),
            (AccessStatus::GRANTED_SUBSCRIPTION, AccessStatus::PREVIEW) => Ok("before"),
            other => Err(format!("{other:?}")),
        }
    });
}

/// T29: a bought event lasts longer, or as long as it did.
#[test]
fn a_torn_overrun_moves_the_end_or_does_not() {
    let end = |seconds| Ppv { end: after(seconds), ..ppv(EVENT, NOON) };
    let before = card_after(&memory(), |card, stb| {
        let paid = stb.buy(card, 1, &event(end(3600), NOON)).unwrap();
        assert_eq!(paid.result, PurchaseResult::PAID);
    });
    let longer = event(end(5400), after(60));
    tear("an overrun", before, &|desk| ecm(desk, &longer), &|card| {
        let mut stb = Stb::open(card);
        let page = stb.send(card, INS_RIGHTS, RIGHTS_ROWS, &[0]).unwrap();
        let rows = RightsPage::parse(&page).map_err(|error| error.to_string())?.rows;
        let ends: Vec<CasTime> =
            rows.iter().filter(|row| row.id == EVENT.value()).map(|row| row.end).collect();
        match ends.as_slice() {
            [end] if *end == after(5400) => Ok("after"),
            [end] if *end == after(3600) => Ok("before"),
            other => Err(format!("{other:?}")),
        }
    });
}

/// T29: the clock is set back and the day of the PIN-free sum with it, or neither.
#[test]
fn a_torn_reset_of_the_clock_takes_the_day_with_it() {
    let text = file("")
        .replace("pin_free_per_purchase = 0", "pin_free_per_purchase = 1200")
        .replace("pin_free_per_day = 0", "pin_free_per_day = 2400");
    let perso = Personalisation::from_text(&text, std::path::Path::new("card.toml")).unwrap();
    let buy = |card: &mut Card, stb: &mut Stb, number: u32, time| {
        let section = event(ppv(EventId::new(3000 + number), time), time);
        stb.purchase(card, number, PRICE, &section).unwrap().result
    };
    let before = card_after(Card::personalise(&perso).unwrap().octets(), |card, stb| {
        let far = NOON.saturating_add(100 * DAY);
        assert_eq!(buy(card, stb, 1, far), PurchaseResult::PAID);
    });
    let step = TimeStep::Reset(ResetNumber::new(1).unwrap());
    let reset = TO_CARD.seal(0, &[EmmCommand::TimeSync { time: NOON, step }]);
    tear("a reset of the clock", before, &|desk| send_once(desk, &reset), &|card| {
        let mut stb = Stb::open(card);
        let clock = stb.ecm(card, &news(NOON)).status;
        let bought = [(2, NOON), (3, NOON), (4, after(DAY))]
            .map(|(number, time)| buy(card, &mut stb, number, time));
        match (clock, bought) {
            (
                AccessStatus::GRANTED_SUBSCRIPTION,
                [PurchaseResult::PAID, PurchaseResult::PIN_REQUIRED, PurchaseResult::PAID],
            ) => Ok("after"),
            (AccessStatus::CLOCK, [PurchaseResult::CLOCK, PurchaseResult::CLOCK, _]) => {
                Ok("before")
            }
            other => Err(format!("{other:?}")),
        }
    });
}

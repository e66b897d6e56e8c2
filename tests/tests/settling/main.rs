// SPDX-License-Identifier: Apache-2.0
//! Programme purchases from the box's engine to the card's memory: whatever is lost on the way, the
//! card has debited what the box says, and no request twice (`docs/spec/purchase.md`, 4).
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod ends;
mod offers;
mod reports;
mod requests;
mod rights;
mod torn;

use cam_core::{Offer, Outcome, Receipt};
use cam_types::{EventId, Fen, Secret};
use ecm_emm::ecm::{ControlWords, Criteria, EcmBody, Ppv};
use system_tests::demo::{self, EVENT, NOON, PRICE};
use system_tests::stb::{LIVING_ROOM, Stb};

/// Balance and debits: the demo's card has 100.00.
pub const UNPAID: (u32, u16) = (10_000, 0);
/// An event costs 12.00.
pub const PAID_ONCE: (u32, u16) = (8800, 1);

/// The demo's card in the living room's box, and Cinema's event on air.
pub fn at_the_cinema() -> (Stb, Offer) {
    let mut stb = Stb::new(LIVING_ROOM, demo::card());
    let offer = next_event(&mut stb, 2001);
    assert_eq!((offer.event, offer.price), (Some(EVENT), Some(PRICE)));
    (stb, offer)
}

/// An event of Cinema in a later crypto period, at this price.
pub fn section(event: u32, price: Fen) -> Vec<u8> {
    let ppv = Ppv { price, ..demo::ppv(EventId::new(event), NOON) };
    sealed(event, Criteria { ppv: Some(ppv), ..Criteria::default() })
}

/// In crypto period `number - 2000`, five seconds each.
pub fn sealed(number: u32, criteria: Criteria) -> Vec<u8> {
    let period = number - 2000;
    let cw = ControlWords::Cw64 { even: Secret::new([1; 8]), odd: Secret::new([2; 8]) };
    let body = EcmBody { cw, ..demo::body(NOON.saturating_add(5 * period), criteria) };
    demo::seal_period(demo::CINEMA_SERVICE, period + 2, &body)
}

/// Goes on air, and is for sale.
pub fn next_event(stb: &mut Stb, number: u32) -> Offer {
    stb.air(&section(number, PRICE))
}

/// The last of them is this receipt.
pub fn paid(outcomes: &[Outcome]) -> Receipt {
    match outcomes {
        [.., Outcome::Paid(receipt)] => *receipt,
        other => panic!("{other:?}"),
    }
}

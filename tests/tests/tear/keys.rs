// SPDX-License-Identifier: Apache-2.0
//! KEY_DELIVER: the old key opens until the new one is there, and after (T14).

use crate::exhaust::{Case, Journal, every_octet, every_write};
use crate::messages::send_once;
use crate::operation::Attempt;
use ecm_emm::card::{AccessStatus, EmmOutcome};
use system_tests::demo::*;
use system_tests::desk::Desk;
use vcard::atr;

#[test]
fn a_torn_key_delivery_leaves_the_old_key_in_use() {
    let section = TO_CARD.seal(1, &[TO_CARD.delivery(news_target(), 2, 2, NEWS_2)]);
    let judge = |desk: &mut dyn Desk, _: &Attempt| {
        if !desk.reset() {
            return Err("mute".to_owned());
        }
        let card = desk.card();
        let mut stb = Stb::open(card);
        let new = Service { epoch: 2, key: NEWS_2, ..NEWS };
        let old = stb.ecm(card, &news(NOON)).status;
        let new = stb.ecm(card, &seal_ecm(new, &body(NOON, subscription()))).status;
        if old != AccessStatus::GRANTED_SUBSCRIPTION {
            return Err(format!("the old key is gone: {old}"));
        }
        match (new, emm(card, &section).outcome) {
            (AccessStatus::NO_KEY, EmmOutcome::APPLIED) => Ok("before"),
            (AccessStatus::GRANTED_SUBSCRIPTION, EmmOutcome::DUPLICATE) => Ok("after"),
            other => Err(format!("{other:?}")),
        }
    };
    let case = Case {
        name: "key delivery",
        before: memory(),
        attempt: &|desk| send_once(desk, &section),
        judge: &judge,
    };
    every_write(&case, Journal::On).assert_sound(&["after", "before"]);
    assert!(
        every_write(&case, Journal::Off).violations() > 0,
        "nothing notices that the journal is off"
    );
    every_octet(&case, "T=1", &atr::t1()).assert_sound(&["after", "before"]);
}

// SPDX-License-Identifier: Apache-2.0
//! KEY_DELIVER: the old key opens until the new one is there, and after (T14). BOX_BAR and UNPAIR:
//! the box is out, or the message is still to come (T33).

use crate::exhaust::{Case, Journal, every_octet, every_write};
use crate::messages::send_once;
use crate::operation::Attempt;
use cam_types::Key;
use ecm_emm::card::{AccessStatus, EmmOutcome};
use ecm_emm::emm::EmmCommand;
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
    tear("key delivery", &section, &judge);
}

/// T33: the box opens no session and the message is known, or neither.
#[test]
fn a_torn_message_puts_a_box_out_or_does_not() {
    for (name, command) in [
        ("a barred box", EmmCommand::BoxBar { number: 1, barred: true, stb: STB }),
        ("an unpaired box", EmmCommand::Unpair(Some(0))),
    ] {
        let section = TO_CARD.seal(1, &[command]);
        let judge = |desk: &mut dyn Desk, _: &Attempt| {
            if !desk.reset() {
                return Err("mute".to_owned());
            }
            let opens = Stb::with_keys(desk.card(), 0x3F, &Key::new(K_PAIR), STB).is_ok();
            match (opens, emm(desk.card(), &section).outcome) {
                (true, EmmOutcome::APPLIED) => Ok("before"),
                (false, EmmOutcome::DUPLICATE) => Ok("after"),
                other => Err(format!("{other:?}")),
            }
        };
        tear(name, &section, &judge);
    }
}

/// The message is sent once, and cut wherever that is possible.
fn tear(
    name: &str,
    section: &[u8],
    judge: &dyn Fn(&mut dyn Desk, &Attempt) -> Result<&'static str, String>,
) {
    let attempt = |desk: &mut dyn Desk| send_once(desk, section);
    let case = Case { name, before: memory(), attempt: &attempt, judge };
    every_write(&case, Journal::On).assert_sound(&["after", "before"]);
    assert!(
        every_write(&case, Journal::Off).violations() > 0,
        "nothing notices that the journal is off"
    );
    every_octet(&case, "T=1", &atr::t1()).assert_sound(&["after", "before"]);
}

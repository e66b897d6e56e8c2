// SPDX-License-Identifier: Apache-2.0
//! Keys by EMM: delivered, used, activated, narrowed; by whom, and how far.

use cam_types::Epoch;
use ecm_emm::card::{AccessStatus, EmmDetail, EmmOutcome, EmmResult};
use ecm_emm::emm::{EmmCommand, KeyDelivery, KeyTarget};
use ecm_emm::keys::Role;
use system_tests::demo::*;
use vcard::Card;

const APPLIED: EmmResult = EmmResult::APPLIED;
const DUPLICATE: EmmResult = EmmResult::DUPLICATE;

fn refused(detail: EmmDetail) -> EmmResult {
    EmmResult::refused(detail)
}

fn later(detail: EmmDetail) -> EmmResult {
    EmmResult::new(EmmOutcome::LATER, detail)
}

fn stale(detail: EmmDetail) -> EmmResult {
    EmmResult::new(EmmOutcome::STALE, detail)
}

fn status(card: &mut Card, section: &[u8]) -> AccessStatus {
    let mut stb = Stb::open(card);
    stb.ecm(card, section).status
}

/// The rotation of the demo: deliver, use, activate; the old key goes only then (T14, T22).
#[test]
fn a_service_key_is_delivered_used_and_activated() {
    let mut card = card();
    let new = Service { epoch: 2, key: NEWS_2, ..NEWS };
    let ecm = |time| seal_ecm(new, &body(time, subscription()));
    let not_before = NOON.saturating_add(15);
    let delivery = KeyDelivery { not_before, ..TO_CARD.key_delivery(news_target(), 2, 2, NEWS_2) };
    let activate = |seq| {
        let (epoch, floor) = (Epoch::new(2), Epoch::new(2));
        TO_CARD.seal(seq, &[EmmCommand::KeyActivate { target: news_target(), epoch, floor }])
    };
    info(&mut card);
    assert_eq!(emm(&mut card, &activate(12)), later(EmmDetail::EPOCH));
    let delivered = EmmCommand::KeyDeliver(delivery);
    assert_eq!(emm(&mut card, &TO_CARD.seal(11, std::slice::from_ref(&delivered))), APPLIED);
    assert_eq!(status(&mut card, &ecm(NOON)), AccessStatus::NO_KEY, "not before its time");
    assert_eq!(status(&mut card, &news(NOON)), AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(status(&mut card, &ecm(not_before)), AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(status(&mut card, &news(not_before)), AccessStatus::GRANTED_SUBSCRIPTION);
    let slot = info(&mut card).slots[0];
    let epochs = (slot.key.active.value(), slot.key.newest.value(), slot.key.floor.value());
    assert_eq!(epochs, (2, 2, 0));

    assert_eq!(emm(&mut card, &activate(12)), APPLIED);
    assert_eq!(emm(&mut card, &activate(12)), DUPLICATE);
    assert_eq!(status(&mut card, &news(not_before)), AccessStatus::NO_KEY);
    assert_eq!(status(&mut card, &ecm(not_before)), AccessStatus::GRANTED_SUBSCRIPTION);
    let old = TO_CARD.delivery(news_target(), 1, 2, NEWS_1);
    assert_eq!(emm(&mut card, &TO_CARD.seal(13, &[old])), stale(EmmDetail::EPOCH));
    // What is held and equal is success; another key of a generation in use is not taken.
    assert_eq!(emm(&mut card, &TO_CARD.seal(14, &[delivered])), APPLIED);
    let other = TO_CARD.delivery(news_target(), 2, 2, [9; 16]);
    assert_eq!(emm(&mut card, &TO_CARD.seal(15, &[other])), refused(EmmDetail::EPOCH));
}

/// T3, T23: who may deliver what, and for which suite.
#[test]
fn keys_are_delivered_within_bounds() {
    let new = [0x77; 16];
    let own = |target, suite| {
        let mut plain = Vec::new();
        TO_CARD.delivery(target, 2, suite, new).emit(&mut plain).unwrap();
        raw(TO_CARD, 1, &plain)
    };
    let foreign = {
        let delivery = TO_GROUP.key_delivery(news_target(), 2, 2, new);
        TO_CARD.seal(1, &[EmmCommand::KeyDeliver(delivery)])
    };
    for (name, section, expected) in [
        ("own key", own(KeyTarget::Own, 2), APPLIED),
        ("another suite of that length", own(news_target(), 5), refused(EmmDetail::KCV)),
        ("a suite of another length", own(news_target(), 3), refused(EmmDetail::MALFORMED)),
        ("the purse's suite", own(news_target(), 1), refused(EmmDetail::MALFORMED)),
        ("wrapped for another message's key", foreign, refused(EmmDetail::AUTHENTICATION)),
    ] {
        let mut card = card();
        info(&mut card);
        assert_eq!(emm(&mut card, &section), expected, "{name}");
    }
}

/// T21: what is barred stays barred, and a key that is needed is not barred away.
#[test]
fn suites_only_narrow() {
    let mut card = card();
    info(&mut card);
    let allow = |mask| [EmmCommand::SuiteAllow { role: Role::Service, mask }];
    let barred = TO_CARD.seal(1, &allow(0b10_0000));
    assert_eq!(emm(&mut card, &barred), later(EmmDetail::SUITE), "no key of suite 5 yet");
    assert_eq!(emm(&mut card, &TO_CARD.seal(2, &allow(0b00_0100))), APPLIED);
    assert_eq!(emm(&mut card, &TO_CARD.seal(3, &allow(0b10_1110))), APPLIED);
    assert_eq!(info(&mut card).operators[0].suites_allowed, 0b00_0100);
    let delivery = TO_CARD.delivery(news_target(), 2, 5, NEWS_2);
    assert_eq!(emm(&mut card, &TO_CARD.seal(4, &[delivery])), refused(EmmDetail::SUITE));
}

/// T6, T22: a key that opens messages comes back neither destroyed nor below one that was held: its
/// window would be empty.
#[test]
fn a_destroyed_generation_does_not_come_back() {
    let mut card = card();
    info(&mut card);
    let target = KeyTarget::Group(0);
    let new = [0x61; 16];
    let deliver = |seq, epoch, key| TO_CARD.seal(seq, &[TO_CARD.delivery(target, epoch, 2, key)]);
    let destroy = |seq, target, epoch| {
        TO_CARD.seal(seq, &[EmmCommand::KeyDestroy { target, epoch: Epoch::new(epoch) }])
    };
    assert_eq!(emm(&mut card, &deliver(1, 2, new)), APPLIED);
    let second = Sender { epoch: 2, key: new, ..TO_GROUP };
    let osd = [EmmCommand::Osd { id: 1, attributes: 0, text: "x".into() }];
    let recorded = second.seal(5, &osd);
    assert_eq!(emm(&mut card, &recorded), APPLIED);
    assert_eq!(emm(&mut card, &destroy(2, target, 2)), APPLIED);
    assert_eq!(emm(&mut card, &deliver(3, 2, new)), stale(EmmDetail::EPOCH));
    assert_eq!(emm(&mut card, &recorded), refused(EmmDetail::NO_KEY));
    // No floor has moved: the first generation works, and the next one is taken.
    assert_eq!(emm(&mut card, &TO_GROUP.seal(1, &osd)), APPLIED);
    assert_eq!(emm(&mut card, &deliver(4, 4, [0x64; 16])), APPLIED);
    assert_eq!(emm(&mut card, &deliver(5, 3, [0x63; 16])), stale(EmmDetail::EPOCH));
    assert_eq!(emm(&mut card, &deliver(6, 1, K_GRP)), APPLIED, "held and equal");
    card.power_on();
    info(&mut card);
    assert_eq!(emm(&mut card, &deliver(7, 2, new)), stale(EmmDetail::EPOCH));
}

/// T7, T22: a service key that was destroyed does not come back by the message that once brought
/// it, held back or recorded; and no key above or below it is lost by that.
#[test]
fn a_destroyed_service_key_stays_away() {
    let deliver = |seq, epoch| {
        TO_CARD.seal(seq, &[TO_CARD.delivery(news_target(), epoch, 2, [epoch as u8; 16])])
    };
    let destroy = |seq, epoch| {
        let epoch = Epoch::new(epoch);
        TO_CARD.seal(seq, &[EmmCommand::KeyDestroy { target: news_target(), epoch }])
    };
    let mut card = card();
    info(&mut card);
    // The delivery was held back, its withdrawal was not.
    assert_eq!(emm(&mut card, &destroy(2, 9)), APPLIED);
    assert_eq!(emm(&mut card, &deliver(1, 9)), stale(EmmDetail::EPOCH));
    for (seq, epoch) in [(3, 2), (4, 10)] {
        assert_eq!(emm(&mut card, &deliver(seq, epoch)), APPLIED, "{epoch}");
    }
    assert_eq!(emm(&mut card, &destroy(5, 10)), APPLIED);
    assert_eq!(emm(&mut card, &deliver(6, 10)), stale(EmmDetail::EPOCH));
    // The card remembers two; a third is made to go by a floor.
    assert_eq!(emm(&mut card, &destroy(7, 3)), refused(EmmDetail::FULL));
    let (epoch, floor) = (Epoch::new(11), Epoch::new(11));
    assert_eq!(emm(&mut card, &deliver(8, 11)), APPLIED);
    let activate = EmmCommand::KeyActivate { target: news_target(), epoch, floor };
    assert_eq!(emm(&mut card, &TO_CARD.seal(9, &[activate])), APPLIED);
    assert_eq!(emm(&mut card, &destroy(7, 3)), APPLIED, "below the floor it is gone for good");
    assert_eq!(emm(&mut card, &destroy(10, 12)), APPLIED);
    assert_eq!(info(&mut card).slots[0].key.newest, Epoch::new(11));
}

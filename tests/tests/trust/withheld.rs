// SPDX-License-Identifier: Apache-2.0
//! A box that keeps all messages from its card: how long it has a picture, and that it comes back.

use cam_core::{AccessState, AccessStatus};
use cam_types::{CasTime, PackageId};
use ecm_emm::ecm::{Criteria, EcmBody};
use ecm_emm::emm::EmmCommand;
use system_tests::demo::{self, DAY, NOON, TO_CARD, TO_GROUP};
use system_tests::stb::{LIVING_ROOM, Stb};

fn day(n: u32) -> CasTime {
    NOON.saturating_add(n * DAY)
}

fn lease(end: CasTime, horizon: Option<CasTime>) -> EmmCommand {
    let (package, start) = (PackageId::new(2), CasTime::new(0));
    EmmCommand::Grant { package, start, end, version: 1, horizon }
}

/// An ECM of this moment.
fn air(stb: &mut Stb, day_number: u32, emm_floor: u16) -> (AccessState, AccessStatus) {
    let criteria = Criteria { packages: vec![PackageId::new(2)], ..Criteria::default() };
    let body = EcmBody { emm_floor, ..demo::body(day(day_number), criteria) };
    stb.section(&demo::seal_period(demo::CINEMA_SERVICE, 2 * day_number + 2, &body));
    (stb.access().state, stb.access().reason)
}

/// T5: a subscription leased for ten days, and longer each week by the group's message.
fn leased() -> Stb {
    let mut stb = Stb::new(LIVING_ROOM, demo::card());
    stb.emm(&TO_CARD.seal(1, &[lease(day(10), Some(day(60)))]));
    stb
}

const GRANTED: (AccessState, AccessStatus) =
    (AccessState::Granted, AccessStatus::GRANTED_SUBSCRIPTION);
const EXPIRED: (AccessState, AccessStatus) = (AccessState::Denied, AccessStatus::EXPIRED);
const NEEDED: (AccessState, AccessStatus) = (AccessState::Denied, AccessStatus::EMM_NEEDED);

/// T5: forty days of a broadcast with its messages, and the same with all of them left out: without
/// them the picture lasts to the lease's end and not beyond, and comes back with the first of them.
#[test]
fn without_messages_the_picture_ends_with_the_lease() {
    let extension = |n: u32| TO_GROUP.seal(n, &[lease(day(10 + n), Some(day(10 + n)))]);
    let (mut with, mut without) = (leased(), leased());
    for n in 1..40 {
        with.emm_for(&extension(n), 2000);
        assert_eq!(air(&mut with, n, 0), GRANTED, "day {n}");
        let expected = if n < 10 { GRANTED } else { EXPIRED };
        assert_eq!(air(&mut without, n, 0), expected, "day {n}");
    }
    // A restart of the box, a card out and in: nothing helps.
    let mut without = without.restart();
    assert_eq!(air(&mut without, 40, 0), EXPIRED);
    let card = without.pull();
    without.insert(card);
    assert_eq!(air(&mut without, 41, 0), EXPIRED);
    without.emm_for(&extension(40), 2000);
    assert_eq!((without.access().state, without.access().reason), GRANTED, "without zapping");
}

/// T5: who keeps messages away to lose nothing goes dark at the next floor; old ECMs do not help,
/// and the level's message brings the picture back without zapping.
#[test]
fn without_messages_the_picture_ends_at_the_floor() {
    let mut stb = leased();
    assert_eq!(air(&mut stb, 1, 0), GRANTED);
    assert_eq!(air(&mut stb, 2, 1), NEEDED);
    // What was on air before the floor, again: too old, and no word of it.
    assert_ne!(air(&mut stb, 1, 0).0, AccessState::Granted);
    assert_eq!(air(&mut stb, 3, 1), NEEDED);
    stb.emm_for(&TO_CARD.seal(2, &[EmmCommand::EmmLevel { level: 1, after: None }]), 2000);
    assert_eq!((stb.access().state, stb.access().reason), GRANTED);
}

/// T5: the host hears of a floor a week before, by its access and by an event; it hears of it no
/// more once the message came, and the floor finds the picture running. Whoever kept the message
/// away has it until the floor, and again with the message.
#[test]
fn a_floor_is_told_a_week_before() {
    let floor = day(9);
    let mut stb = leased();
    let announce = |stb: &mut Stb, second: u32| {
        let criteria = Criteria {
            packages: vec![PackageId::new(2)],
            floor_ahead: Some((2, floor)),
            ..Criteria::default()
        };
        let body = demo::body(day(2).saturating_add(second), criteria);
        stb.section(&demo::seal_period(demo::CINEMA_SERVICE, 100 + 2 * second, &body));
        (stb.access().reason, stb.access().update_by)
    };
    assert_eq!(air(&mut stb, 1, 0), GRANTED);
    assert_eq!(stb.access().update_by, None);
    stb.updates.clear();
    assert_eq!(announce(&mut stb, 0), (AccessStatus::GRANTED_SUBSCRIPTION, Some(floor)));
    assert_eq!(announce(&mut stb, 5), (AccessStatus::GRANTED_SUBSCRIPTION, Some(floor)));
    assert_eq!(stb.updates, [Some(floor)], "told once");
    let level = TO_CARD.seal(2, &[EmmCommand::EmmLevel { level: 2, after: None }]);
    for withheld in [false, true] {
        if withheld {
            stb = leased();
            announce(&mut stb, 0);
        } else {
            stb.emm_for(&level, 2000);
            assert_eq!(stb.updates, [Some(floor), None], "and taken back");
        }
        let section = {
            let criteria = Criteria { packages: vec![PackageId::new(2)], ..Criteria::default() };
            let body = EcmBody { emm_floor: 2, ..demo::body(floor, criteria) };
            demo::seal_period(demo::CINEMA_SERVICE, 900, &body)
        };
        stb.section(&section);
        let expected = if withheld { NEEDED } else { GRANTED };
        assert_eq!((stb.access().state, stb.access().reason), expected);
        assert_eq!(stb.access().update_by, None);
        if withheld {
            assert_eq!(stb.access().remedy, cam_core::Remedy::Emm);
            stb.emm_for(&level, 2000);
            assert_eq!((stb.access().state, stb.access().reason), GRANTED, "without zapping");
        }
    }
}

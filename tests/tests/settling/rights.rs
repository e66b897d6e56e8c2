// SPDX-License-Identifier: Apache-2.0
//! Rights that the card gives, moves and takes while Cinema is watched, as the host sees them.

use crate::sealed;
use cam_core::{AccessState, AccessStatus};
use cam_types::{CasTime, PackageId};
use ecm_emm::ecm::{Criteria, EcmBody, Rating};
use ecm_emm::emm::EmmCommand;
use system_tests::demo::{self, DAY, NOON, PIN, TO_CARD};
use system_tests::stb::{LIVING_ROOM, Stb};

const WITHIN: u64 = 1000;

fn grant(package: u16, days: u32, version: u16) -> EmmCommand {
    EmmCommand::Grant {
        package: PackageId::new(package),
        start: CasTime::new(0),
        end: NOON.saturating_add(days * DAY),
        version,
        horizon: None,
    }
}

fn packages(ids: &[u16]) -> Criteria {
    let packages = ids.iter().map(|id| PackageId::new(*id)).collect();
    Criteria { packages, ..Criteria::default() }
}

/// Packages 2 and 3 for 20 and 90 days, and Cinema, which package 2 opens, on air.
fn watching() -> Stb {
    let mut stb = Stb::new(LIVING_ROOM, demo::card());
    stb.emm(&TO_CARD.seal(1, &[grant(2, 20, 1), grant(3, 90, 1)]));
    stb.section(&sealed(2001, packages(&[2])));
    assert!(stb.is_granted());
    stb
}

#[test]
fn a_programme_expires_with_the_right_that_opened_it() {
    let mut stb = watching();
    let end = |days: u32| Some(NOON.saturating_add(days * DAY));
    assert_eq!(stb.access().expires, end(20), "package 3 lasts longer, and opened nothing");
    stb.emm_for(&TO_CARD.seal(2, &[grant(2, 50, 2)]), WITHIN);
    assert_eq!(stb.access().expires, end(50), "a renewal");
    stb.section(&sealed(2002, packages(&[2, 3])));
    assert_eq!(stb.access().expires, end(90), "of several the one that lasts longest");
    stb.section(&sealed(2003, Criteria { free: true, ..Criteria::default() }));
    assert_eq!((stb.is_granted(), stb.access().expires), (true, None));
}

#[test]
fn what_ends_a_right_ends_the_picture_within_a_second() {
    let revoke = EmmCommand::Revoke { package: PackageId::new(2), version: 2 };
    for (command, reason) in [
        (revoke, AccessStatus::NO_RIGHT),
        (EmmCommand::CardState { blocked: true }, AccessStatus::CARD_BLOCKED),
    ] {
        let mut stb = watching();
        stb.emm_for(&TO_CARD.seal(2, &[command]), WITHIN);
        assert_eq!((stb.access().state, stb.access().reason), (AccessState::Denied, reason));
    }
    // And back again.
    let mut stb = watching();
    stb.emm_for(&TO_CARD.seal(2, &[EmmCommand::CardState { blocked: true }]), WITHIN);
    stb.emm_for(&TO_CARD.seal(3, &[EmmCommand::CardState { blocked: false }]), WITHIN);
    assert!(stb.is_granted());
}

#[test]
fn a_rated_programme_opens_with_its_pin() {
    let card = vcard::Card::personalise(&demo::personalisation("rating_limit = 9")).unwrap();
    let card = demo::powered(Box::new(vcard::nvm::RamStore::new(card.octets())));
    let mut stb = Stb::new(LIVING_ROOM, card);
    let free = Criteria { free: true, ..Criteria::default() };
    let rated = EcmBody { rating: Rating(10), ..demo::body(NOON, free) };
    stb.section(&demo::seal_period(demo::CINEMA_SERVICE, 2, &rated));
    assert_eq!(stb.access().reason, AccessStatus::RATING);
    stb.verify(demo::WRONG_PIN, WITHIN);
    assert_eq!(stb.access().reason, AccessStatus::RATING);
    stb.verify(PIN, WITHIN);
    assert!(stb.is_granted());
}

// SPDX-License-Identifier: Apache-2.0
//! A package that has more than one row: a command acts on all of them, each by its own version.

use cam_types::{CasTime, PackageId};
use ecm_emm::card::{AccessStatus, EmmDetail, EmmOutcome, EmmResult};
use ecm_emm::ecm::Criteria;
use ecm_emm::emm::EmmCommand;
use system_tests::demo::*;
use vcard::nvm::RamStore;
use vcard::{Card, Personalisation};

const APPLIED: EmmResult = EmmResult::APPLIED;
const STALE: EmmResult = EmmResult::new(EmmOutcome::STALE, EmmDetail::NONE);
const PACKAGE: PackageId = PackageId::new(7);

/// A card to which the factory gave package 7 for News and for Cinema, two rows.
fn card_with_two_rows() -> Card {
    let row = |slot: u8| {
        format!(
            "[[right]]\npackage = 7\nslot = {slot}\nstart = 2026-01-01T00:00:00Z\n\
             end = 2027-01-01T00:00:00Z\n"
        )
    };
    let text = format!("{}\n{}{}", file(""), row(1), row(2));
    let perso = Personalisation::from_text(&text, std::path::Path::new("card.toml"));
    let image = Card::personalise(&perso.unwrap_or_else(|e| panic!("{e}"))).unwrap();
    powered(Box::new(RamStore::new(image.octets())))
}

/// What News and Cinema say of package 7 at this moment.
fn statuses(card: &mut Card, time: CasTime) -> [AccessStatus; 2] {
    let criteria = || Criteria { packages: vec![PACKAGE], ..Criteria::default() };
    let mut stb = Stb::open(card);
    [NEWS, CINEMA_SERVICE]
        .map(|service| stb.ecm(card, &seal_ecm(service, &body(time, criteria()))).status)
}

fn grant(end: CasTime, version: u16) -> EmmCommand {
    let start = CasTime::new(0);
    EmmCommand::Grant { package: PACKAGE, start, end, version, horizon: None }
}

fn days(days: u32) -> CasTime {
    NOON.saturating_add(days * DAY)
}

const OPEN: [AccessStatus; 2] = [AccessStatus::GRANTED_SUBSCRIPTION; 2];
const SHUT: [AccessStatus; 2] = [AccessStatus::NO_RIGHT; 2];

/// T7: nothing of a revoked package opens, and no older grant brings a row of it back.
#[test]
fn a_revocation_takes_every_row_of_a_package() {
    let mut card = card_with_two_rows();
    assert_eq!(statuses(&mut card, NOON), OPEN);
    info(&mut card);
    let revoke = EmmCommand::Revoke { package: PACKAGE, version: 2 };
    assert_eq!(emm(&mut card, &TO_CARD.seal(2, &[revoke])), APPLIED);
    assert_eq!(statuses(&mut card, NOON), SHUT);
    info(&mut card);
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[grant(days(60), 1)])), STALE);
    assert_eq!(statuses(&mut card, NOON), SHUT);
}

/// T7: what lengthens, by the card's own key or by its group's, lengthens every row.
#[test]
fn a_grant_and_a_lease_move_every_row_of_a_package() {
    let mut card = card_with_two_rows();
    assert_eq!(statuses(&mut card, days(40)), [AccessStatus::EXPIRED; 2]);
    info(&mut card);
    let leased = EmmCommand::Grant {
        package: PACKAGE,
        start: CasTime::new(0),
        end: days(50),
        version: 1,
        horizon: Some(days(90)),
    };
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[leased])), APPLIED);
    assert_eq!(statuses(&mut card, days(41)), OPEN);
    info(&mut card);
    assert_eq!(emm(&mut card, &TO_GROUP.seal(1, &[grant(days(80), 0)])), APPLIED);
    assert_eq!(statuses(&mut card, days(70)), OPEN);
}

/// T7: two grants of an event without versions: the later end stands, whatever came last.
#[test]
fn an_older_grant_of_an_event_does_not_shorten_it() {
    let mut card = card();
    info(&mut card);
    let grant = |end| EmmCommand::PpvGrant { event: EVENT, tier: 1, end };
    assert_eq!(emm(&mut card, &TO_CARD.seal(2, &[grant(days(2))])), APPLIED);
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[grant(NOON.saturating_add(60))])), APPLIED);
    let mut stb = Stb::open(&mut card);
    let watched = stb.ecm(&mut card, &cinema(EVENT, NOON.saturating_add(120)));
    assert_eq!(watched.status, AccessStatus::GRANTED_EVENT);
}

/// T7: of a grant and a revocation of one version the revocation stands, whichever came first.
#[test]
fn a_revocation_stands_against_a_grant_of_its_version() {
    let messages = [
        TO_CARD.seal(1, &[grant(days(60), 3)]),
        TO_CARD.seal(2, &[EmmCommand::Revoke { package: PACKAGE, version: 3 }]),
    ];
    for order in [[0, 1, 0], [1, 0, 1]] {
        let mut card = card_with_two_rows();
        info(&mut card);
        for n in order {
            emm(&mut card, &messages[n]);
        }
        assert_eq!(statuses(&mut card, NOON), SHUT, "{order:?}");
    }
}

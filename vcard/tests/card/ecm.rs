// SPDX-License-Identifier: Apache-2.0
//! The ECM command: who may watch, and every reason why not.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use cam_types::{Aid, CasTime, EventId, Fen, PackageId};
use ecm_emm::card::{
    AccessStatus, EcmAnswer, EmmResult, INS_ECM, Offer, OpenedBy, RightRow, VERIFY_RATING,
};
use ecm_emm::ecm::{Blackout, Criteria, EcmBody, Ppt, Ppv, Rating, Regions};
use ecm_emm::emm::EmmCommand;
use system_tests::demo::*;
use vcard::Fault;

fn ladder(ecw: [u8; 16]) -> [u8; 16] {
    let mut block = ecw.into();
    Aes128::new(&K_CW.into()).decrypt_block(&mut block);
    block.into()
}

#[test]
fn a_subscription_opens_its_ecm_for_the_paired_box() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let answer = stb.ecm(&mut card, &news(NOON));
    assert_eq!(answer.status, AccessStatus::GRANTED_SUBSCRIPTION);
    let (even, odd) = answer.ecw.unwrap();
    assert_eq!((ladder(even), ladder(odd)), (CW_EVEN, CW_ODD));
    assert_eq!((answer.cci.0, answer.flags, answer.offer), (0x0F, 0, None));
}

#[test]
fn an_event_is_offered_with_its_price() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let answer = stb.ecm(&mut card, &cinema(EVENT, NOON));
    assert_eq!(answer.status, AccessStatus::PURCHASABLE);
    assert_eq!(answer.flags, EcmAnswer::PIN_NEEDED);
    assert_eq!(answer.ecw, None);
    let offer = answer.offer.unwrap();
    assert_eq!((offer.kind, offer.event, offer.price), (Offer::PPV, EVENT, PRICE));
}

/// One row for each answer: what the ECM says, and what the card says to it.
#[test]
fn every_criterion_has_its_answer() {
    let with = |criteria| body(NOON, criteria);
    let packages = |ids: &[u16]| Criteria {
        packages: ids.iter().map(|id| PackageId::new(*id)).collect(),
        ..Criteria::default()
    };
    let dear = Ppv { price: Fen::new(10_001), ..ppv(EVENT, NOON) };
    let slice = Ppt { event: EVENT, price: PRICE, slice_s: 600 };
    let table: &[(&str, EcmBody, AccessStatus)] = &[
        ("nothing", with(Criteria::default()), AccessStatus::NO_RIGHT),
        ("another package", with(packages(&[2, 3])), AccessStatus::NO_RIGHT),
        ("any package", with(packages(&[3, 1])), AccessStatus::GRANTED_SUBSCRIPTION),
        ("free", with(Criteria { free: true, ..packages(&[9]) }), AccessStatus::GRANTED_FREE),
        (
            "a slice of time",
            with(Criteria { ppt: Some(slice), ..Criteria::default() }),
            AccessStatus::PURCHASABLE,
        ),
        (
            "too dear",
            with(Criteria { ppv: Some(dear), ..Criteria::default() }),
            AccessStatus::FUNDS,
        ),
        (
            "preview",
            with(Criteria {
                ppv: Some(Ppv { preview_s: 60, ..ppv(EVENT, NOON) }),
                ..Criteria::default()
            }),
            AccessStatus::PREVIEW,
        ),
        (
            "blackout",
            with(Criteria { blackout: Some(Blackout(0x0001)), ..subscription() }),
            AccessStatus::BLACKOUT,
        ),
        (
            "blackout elsewhere",
            with(Criteria { blackout: Some(Blackout(0xFFFE)), ..subscription() }),
            AccessStatus::GRANTED_SUBSCRIPTION,
        ),
        (
            "region",
            EcmBody { regions: Regions(0xFFFE), ..with(subscription()) },
            AccessStatus::REGION,
        ),
        ("floor", EcmBody { emm_floor: 1, ..with(subscription()) }, AccessStatus::EMM_NEEDED),
        ("after the right", body(CasTime::new(0), subscription()), AccessStatus::CLOCK),
    ];
    for (name, body, expected) in table {
        let mut card = card();
        let mut stb = Stb::open(&mut card);
        let answer = stb.ecm(&mut card, &seal_ecm(NEWS, body));
        assert_eq!(answer.status, *expected, "{name}");
        assert_eq!(answer.ecw.is_some(), expected.has_ecw(), "{name}");
    }
}

/// A box cannot know by which of the card's rights a programme opened: the answer says it.
#[test]
fn the_answer_names_the_right_that_opened() {
    let end = |days: u32| NOON.saturating_add(days * DAY);
    let grant = |package, days| EmmCommand::Grant {
        package: PackageId::new(package),
        start: CasTime::new(0),
        end: end(days),
        version: 1,
        horizon: None,
    };
    let event = |tier, days| EmmCommand::PpvGrant { event: EVENT, tier, end: end(days) };
    let mut card = card();
    select(&mut card, Aid::CAS.octets());
    let granted = [grant(2, 3), grant(3, 9), grant(4, 5), event(1, 4), event(2, 6)];
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &granted)), EmmResult::APPLIED);
    let mut stb = Stb::open(&mut card);
    let packages = |ids: &[u16]| Criteria {
        packages: ids.iter().map(|id| PackageId::new(*id)).collect(),
        ..Criteria::default()
    };
    let of_tier =
        |tier| Criteria { ppv: Some(Ppv { tier, ..ppv(EVENT, NOON) }), ..Criteria::default() };
    let package = |id, days| Some(OpenedBy { kind: RightRow::PACKAGE, id, end: end(days) });
    let bought = |days| Some(OpenedBy { kind: RightRow::EVENT, id: EVENT.value(), end: end(days) });
    let preview = Ppv { preview_s: 60, ..ppv(EventId::new(5), NOON) };
    for (name, criteria, status, opened_by) in [
        ("one", packages(&[2]), AccessStatus::GRANTED_SUBSCRIPTION, package(2, 3)),
        (
            "the one that lasts longest",
            packages(&[2, 3, 4]),
            AccessStatus::GRANTED_SUBSCRIPTION,
            package(3, 9),
        ),
        ("an event", of_tier(2), AccessStatus::GRANTED_EVENT, bought(6)),
        ("a tier that lasts longer", of_tier(1), AccessStatus::GRANTED_TIER, bought(6)),
        (
            "a package before an event that lasts longer",
            Criteria { ppv: of_tier(1).ppv, ..packages(&[2]) },
            AccessStatus::GRANTED_SUBSCRIPTION,
            package(2, 3),
        ),
        ("free", Criteria { free: true, ..packages(&[9]) }, AccessStatus::GRANTED_FREE, None),
        (
            "preview",
            Criteria { ppv: Some(preview), ..Criteria::default() },
            AccessStatus::PREVIEW,
            None,
        ),
        ("nothing", packages(&[9]), AccessStatus::NO_RIGHT, None),
    ] {
        let answer = stb.ecm(&mut card, &seal_ecm(NEWS, &body(NOON, criteria)));
        assert_eq!((answer.status, answer.opened_by), (status, opened_by), "{name}");
    }
}

/// The protected answer is padded to whole blocks: the element stands where padding was.
#[test]
fn to_name_the_right_costs_the_line_nothing() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let mut length = |criteria| {
        let apdu = stb.wrapped(INS_ECM, 0, 0, &seal_ecm(NEWS, &body(NOON, criteria)));
        let response = card.transmit(&apdu).unwrap();
        stb.opened(&response);
        response.len()
    };
    let free = Criteria { free: true, ..Criteria::default() };
    assert_eq!((length(free), length(subscription())), (58, 58));
}

#[test]
fn a_rating_wants_the_pin() {
    let memory = vcard::Card::personalise(&personalisation("rating_limit = 9")).unwrap();
    let mut card = powered(Box::new(vcard::nvm::RamStore::new(memory.octets())));
    let mut stb = Stb::open(&mut card);
    let rated = seal_ecm(NEWS, &EcmBody { rating: Rating(10), ..body(NOON, subscription()) });
    let answer = stb.ecm(&mut card, &rated);
    assert_eq!((answer.status, answer.flags), (AccessStatus::RATING, EcmAnswer::PIN_NEEDED));
    assert!(stb.verify_for(&mut card, VERIFY_RATING, PIN).unwrap().right);
    assert_eq!(stb.ecm(&mut card, &rated).status, AccessStatus::GRANTED_SUBSCRIPTION);
    let mut stb = Stb::open(&mut card);
    assert_eq!(stb.ecm(&mut card, &rated).status, AccessStatus::RATING);
}

#[test]
fn what_is_not_an_ecm_of_this_card_is_refused() {
    let genuine = news(NOON);
    let mut forged = genuine.clone();
    *forged.last_mut().unwrap() ^= 1;
    let later_epoch = seal_ecm(Service { epoch: 2, ..NEWS }, &body(NOON, subscription()));
    let other_slot = seal_ecm(Service { slot: 3, ..NEWS }, &body(NOON, subscription()));
    let wrong_key = seal_ecm(Service { key: NEWS_2, ..NEWS }, &body(NOON, subscription()));
    let mut other_operator = genuine.clone();
    other_operator[4] ^= 0x40;
    let mut other_suite = genuine.clone();
    other_suite[3] ^= 0x01;
    let mut re_slotted = genuine.clone();
    re_slotted[6] = 0x20 | re_slotted[6] & 0x0F;
    let table: &[(&str, &[u8], AccessStatus)] = &[
        ("a wrong tag", &forged, AccessStatus::REFUSED_ECM),
        ("another key", &wrong_key, AccessStatus::REFUSED_ECM),
        ("no such generation", &later_epoch, AccessStatus::NO_KEY),
        ("no such slot", &other_slot, AccessStatus::NO_KEY),
        ("another service's slot", &re_slotted, AccessStatus::REFUSED_ECM),
        ("another operator", &other_operator, AccessStatus::UNKNOWN_OPERATOR),
        ("another suite", &other_suite, AccessStatus::REFUSED_ECM),
        ("an offer", &cinema_offer(EVENT, NOON), AccessStatus::REFUSED_ECM),
        ("cut short", &genuine[..40], AccessStatus::MALFORMED_ECM),
        ("nothing", &[], AccessStatus::MALFORMED_ECM),
        (
            "an EMM",
            &TO_CARD.seal(
                1,
                &[].into_iter()
                    .chain([EmmCommand::EmmLevel { level: 1, after: None }])
                    .collect::<Vec<_>>(),
            ),
            AccessStatus::MALFORMED_ECM,
        ),
    ];
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let commits = card.status().commits;
    for (name, section, expected) in table {
        assert_eq!(stb.ecm(&mut card, section).status, *expected, "{name}");
    }
    assert_eq!(card.status().commits, commits, "a refused ECM writes nothing");
}

/// T12: the command names the channel that the box expects.
#[test]
fn an_ecm_of_another_channel_is_refused() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    for (expected, status) in [
        (0x0101_u16, AccessStatus::GRANTED_SUBSCRIPTION),
        (0x0000, AccessStatus::GRANTED_SUBSCRIPTION),
        (0x0201, AccessStatus::CHANNEL_MISMATCH),
    ] {
        let [p1, p2] = expected.to_be_bytes();
        let apdu = stb.wrapped(INS_ECM, p1, p2, &news(NOON));
        let response = card.transmit(&apdu).unwrap();
        let answer = stb.opened(&response);
        assert_eq!(EcmAnswer::parse(&answer).unwrap().status, status);
    }
}

/// T8, T10, T35: the clock goes forward, and only so far.
#[test]
fn old_and_far_future_ecms_are_refused() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let status = |card: &mut vcard::Card, stb: &mut Stb, time| stb.ecm(card, &news(time)).status;
    let granted = AccessStatus::GRANTED_SUBSCRIPTION;
    assert_eq!(status(&mut card, &mut stb, NOON), granted);
    assert_eq!(status(&mut card, &mut stb, NOON.saturating_sub(600)), granted);
    assert_eq!(status(&mut card, &mut stb, NOON.saturating_sub(601)), AccessStatus::CLOCK);
    let sync = CasTime::new(NOON.seconds() - DAY * 3 / 2);
    let cap = sync.saturating_add(200 * DAY);
    assert_eq!(status(&mut card, &mut stb, cap.saturating_add(1)), AccessStatus::CLOCK);
    assert_eq!(status(&mut card, &mut stb, cap), granted);
    assert_eq!(status(&mut card, &mut stb, NOON), AccessStatus::CLOCK);
    // The clock was stored on the way: a reset does not turn it back.
    card.power_on();
    let mut stb = Stb::open(&mut card);
    assert_eq!(status(&mut card, &mut stb, NOON), AccessStatus::CLOCK);
}

/// T19: no write for an ECM, but one for the first of a generation and one an hour for the clock.
#[test]
fn ecms_and_sessions_write_nothing() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    stb.ecm(&mut card, &news(NOON));
    let commits = card.status().commits;
    for second in 0..300 {
        stb.ecm(&mut card, &news(NOON.saturating_add(second)));
        stb.ecm(&mut card, &cinema(EVENT, NOON.saturating_add(second)));
        if second % 50 == 0 {
            stb = Stb::open(&mut card);
        }
    }
    // The first ECM of Cinema's key.
    assert_eq!(card.status().commits, commits + 1);
    stb.ecm(&mut card, &news(NOON.saturating_add(3600)));
    assert_eq!(card.status().commits, commits + 2);
}

/// T19: beside the clock once an hour neither ECMs nor sessions write, however many.
#[test]
fn thousands_of_ecms_and_sessions_write_the_clock_alone() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    stb.ecm(&mut card, &news(NOON));
    let before = card.status();
    for hour in 0..2 {
        for n in 0..10_000 {
            stb.ecm(&mut card, &news(NOON.saturating_add(3600 * hour + n % 3600)));
            if n % 5 == 0 {
                stb = Stb::open(&mut card);
            }
        }
        // The first ECM of the second hour has moved it.
        assert_eq!(card.status().commits, before.commits + u64::from(hour), "hour {hour}");
    }
    assert!(card.status().page_writes <= before.page_writes + 4);
}

#[test]
fn a_preview_lasts_its_seconds_and_then_is_for_sale() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let ecm = |time| {
        let criteria = Criteria {
            ppv: Some(Ppv { preview_s: 60, ..ppv(EVENT, NOON) }),
            ..Criteria::default()
        };
        seal_ecm(CINEMA_SERVICE, &body(time, criteria))
    };
    for (second, status, left) in [
        (0, AccessStatus::PREVIEW, 60),
        (59, AccessStatus::PREVIEW, 1),
        (60, AccessStatus::PURCHASABLE, 0),
        // The time of the ECM counts, not the card's.
        (30, AccessStatus::PREVIEW, 30),
    ] {
        let answer = stb.ecm(&mut card, &ecm(NOON.saturating_add(second)));
        assert_eq!(answer.status, status, "{second}");
        assert_eq!(answer.offer.unwrap().preview_s, left, "{second}");
    }
}

/// A trial goes on where it was after a power cut, and 31 others do not bring it back.
#[test]
fn a_preview_is_had_once() {
    let mut card = card();
    let ecm = |event, second| {
        let ppv = Ppv { preview_s: 60, ..ppv(EventId::new(event), NOON) };
        let criteria = Criteria { ppv: Some(ppv), ..Criteria::default() };
        seal_ecm(CINEMA_SERVICE, &body(NOON.saturating_add(second), criteria))
    };
    for (event, second, status) in [
        (2001, 0, AccessStatus::PREVIEW),
        (2001, 0, AccessStatus::PREVIEW),
        (2001, 50, AccessStatus::PREVIEW),
        (2001, 60, AccessStatus::PURCHASABLE),
    ] {
        card.power_on();
        let answer = Stb::open(&mut card).ecm(&mut card, &ecm(event, second));
        assert_eq!(answer.status, status, "{event} at {second}");
    }
    let mut stb = Stb::open(&mut card);
    for event in 3001..3032 {
        assert_eq!(stb.ecm(&mut card, &ecm(event, 70)).status, AccessStatus::PREVIEW);
    }
    card.power_on();
    let mut stb = Stb::open(&mut card);
    assert_eq!(stb.ecm(&mut card, &ecm(2001, 71)).status, AccessStatus::PURCHASABLE);
    assert_eq!(card.status().offline_sequence, 0, "a trial costs nothing");
}

#[test]
fn faults_show() {
    let ask = |fault: Fault, section: &[u8]| {
        let mut card = card();
        card.set_fault(fault);
        let mut stb = Stb::open(&mut card);
        stb.ecm(&mut card, section)
    };
    assert_eq!(ask(Fault::RefuseSubscription, &news(NOON)).status, AccessStatus::NO_RIGHT);
    let (even, odd) = ask(Fault::WrongEcw, &news(NOON)).ecw.unwrap();
    assert_ne!(ladder(even), CW_EVEN);
    assert_eq!(ladder(odd), CW_ODD);
    let dearer = ask(Fault::WrongPrice, &cinema(EVENT, NOON)).offer.unwrap().price;
    assert_eq!(dearer, Fen::new(1201));
    let mut forged = news(NOON);
    forged[20] ^= 1;
    assert_eq!(ask(Fault::AcceptForgedEcm, &forged).status, AccessStatus::NO_RIGHT);
}

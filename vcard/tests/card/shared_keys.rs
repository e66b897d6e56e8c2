// SPDX-License-Identifier: Apache-2.0
//! What can be done with the keys that many cards have: K_grp and K_glb of a card that was opened.

use crate::emm::{card_with_signature, signed, signing_key};
use cam_types::{CasTime, PackageId};
use ecm_emm::card::{AccessStatus, EmmDetail, EmmOutcome, EmmResult};
use ecm_emm::emm::{self, EmmCommand, KeyTarget, TimeStep};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use system_tests::demo::*;
use vcard::Card;

const APPLIED: EmmResult = EmmResult::APPLIED;
const STALE_EPOCH: EmmResult = EmmResult::new(EmmOutcome::STALE, EmmDetail::EPOCH);
const BUSY: EmmResult = EmmResult::new(EmmOutcome::LATER, EmmDetail::BUSY);

fn refused(detail: EmmDetail) -> EmmResult {
    EmmResult::refused(detail)
}

fn sign(digest: &[u8; 32], with: &SigningKey) -> [u8; 64] {
    let signature: p256::ecdsa::Signature = with.sign_prehash(digest).unwrap();
    signature.to_bytes().into()
}

/// A group's KEY_DELIVER of News' key, signed with this key.
pub(crate) fn group_delivery(deliveries: &[(u16, [u8; 16])], with: &SigningKey) -> Vec<u8> {
    let commands: Vec<_> = deliveries
        .iter()
        .map(|(epoch, key)| TO_GROUP.delivery(news_target(), *epoch, 2, *key))
        .collect();
    let mut section = Vec::new();
    let header = TO_GROUP.header(0);
    emm::seal_signed(&header, &commands, |d| sign(d, with), &key(K_GRP), &mut section).unwrap();
    section
}

/// A message under K_grp with this plaintext, signed as the specification says.
fn signed_by_hand(domain: &[u8], plain: &[u8], with: &SigningKey) -> Vec<u8> {
    let mut aad = Vec::new();
    emm::Emm { header: TO_GROUP.header(0), sealed: &vec![0; 16 + plain.len() + 66] }.aad(&mut aad);
    let signature: p256::ecdsa::Signature = with.sign(&[domain, &aad, plain].concat());
    let signature: [u8; 64] = signature.to_bytes().into();
    raw(TO_GROUP, 0, &[plain, &[0x7E, 64], &signature].concat())
}

fn forger() -> SigningKey {
    SigningKey::from_slice(&[0x43; 32]).unwrap()
}

fn newest(card: &mut Card) -> u16 {
    info(card).slots[0].key.newest.value()
}

fn status(card: &mut Card, section: &[u8]) -> AccessStatus {
    Stb::open(card).ecm(card, section).status
}

fn rest_is_over(card: &mut Card) {
    let mut stb = Stb::open(card);
    for _ in 0..8 {
        stb.ecm(card, &news(NOON));
    }
    info(card);
}

/// T4: with K_grp alone no service key is delivered, and none takes the place of the one on air.
#[test]
fn a_group_delivers_only_what_the_operator_signed() {
    let mut card = card_with_signature();
    info(&mut card);
    // Without a signature, and with the number that such a message would have had.
    let mut plain = Vec::new();
    TO_GROUP.delivery(news_target(), 9, 2, [0x66; 16]).emit(&mut plain).unwrap();
    for seq in [0, 1] {
        let section = raw(TO_GROUP, seq, &plain);
        assert_eq!(emm(&mut card, &section), refused(EmmDetail::PERMISSION), "{seq}");
    }
    let forged = group_delivery(&[(9, [0x66; 16])], &forger());
    assert_eq!(emm(&mut card, &forged), refused(EmmDetail::SIGNATURE));
    assert_eq!(card.status().commits, 0);
    rest_is_over(&mut card);
    // What is signed for all cards is not signed for a group; here written out by hand.
    for (domain, signer) in [(b"STBCAM-G1", signing_key()), (b"STBCAM-S1", forger())] {
        let section = signed_by_hand(domain, &plain, &signer);
        assert_eq!(emm(&mut card, &section), refused(EmmDetail::SIGNATURE));
        rest_is_over(&mut card);
    }

    // The forged generation far ahead, an ECM under it, the card's own delivery: News stays open.
    let far = Service { epoch: 9, key: [0x66; 16], ..NEWS };
    assert_eq!(
        status(&mut card, &seal_ecm(far, &body(NOON, subscription()))),
        AccessStatus::NO_KEY
    );
    info(&mut card);
    let own = TO_CARD.delivery(news_target(), 2, 2, NEWS_2);
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[own])), APPLIED);
    assert_eq!(status(&mut card, &news(NOON)), AccessStatus::GRANTED_SUBSCRIPTION);
    info(&mut card);
    assert_eq!(emm(&mut card, &signed_by_hand(b"STBCAM-S1", &plain, &signing_key())), APPLIED);
}

/// T4: what is held writes nothing and costs no look at a signature, whoever signed it.
#[test]
fn a_group_repeats_a_key_without_a_trace() {
    let mut card = card_with_signature();
    info(&mut card);
    let genuine = group_delivery(&[(2, NEWS_2)], &signing_key());
    assert_eq!(genuine.len(), 137);
    assert_eq!(group_delivery(&[(2, NEWS_2), (3, [3; 16])], &signing_key()).len(), 175);
    assert_eq!(emm(&mut card, &genuine), APPLIED);
    assert_eq!(newest(&mut card), 2);
    let commits = card.status().commits;
    // The card rests after a bad signature, and still knows what it has.
    let forged = group_delivery(&[(3, [0x66; 16])], &forger());
    assert_eq!(emm(&mut card, &forged), refused(EmmDetail::SIGNATURE));
    for _ in 0..100 {
        assert_eq!(emm(&mut card, &genuine), APPLIED);
    }
    assert_eq!(card.status().commits, commits);
    assert_eq!(emm(&mut card, &group_delivery(&[(3, [3; 16])], &signing_key())), BUSY);
    // Without the operator's public key nothing is taken.
    let mut unsigned = system_tests::demo::card();
    info(&mut unsigned);
    assert_eq!(emm(&mut unsigned, &genuine), refused(EmmDetail::NO_KEY));
}

/// T14, T22: of the generations the two newest stay, in whatever order and by whomever they come;
/// another key for one that is held is not taken.
#[test]
fn the_two_newest_generations_stay() {
    let own =
        |seq, epoch, key| TO_CARD.seal(seq, &[TO_CARD.delivery(news_target(), epoch, 2, key)]);
    let group = |epoch, key| group_delivery(&[(epoch, key)], &signing_key());
    for (name, messages) in [
        ("own first", [own(1, 2, [2; 16]), group(3, [3; 16])]),
        ("own last", [group(2, [2; 16]), own(1, 3, [3; 16])]),
        ("newest first", [own(1, 3, [3; 16]), group(2, [2; 16])]),
        ("newest first, by the group", [group(3, [3; 16]), own(1, 2, [2; 16])]),
    ] {
        let mut card = card_with_signature();
        info(&mut card);
        for message in &messages {
            assert_eq!(emm(&mut card, message), APPLIED, "{name}");
        }
        let held = |card: &mut Card, epoch, key| {
            let service = Service { epoch, key, ..NEWS };
            status(card, &seal_ecm(service, &body(NOON, subscription())))
        };
        for (epoch, key, expected) in [
            (1, NEWS_1, AccessStatus::NO_KEY),
            (2, [2; 16], AccessStatus::GRANTED_SUBSCRIPTION),
            (3, [3; 16], AccessStatus::GRANTED_SUBSCRIPTION),
        ] {
            assert_eq!(held(&mut card, epoch, key), expected, "{name}, {epoch}");
        }
        info(&mut card);
        assert_eq!(emm(&mut card, &own(7, 1, NEWS_1)), STALE_EPOCH, "{name}");
        assert_eq!(emm(&mut card, &group(1, NEWS_1)), STALE_EPOCH, "{name}");
        for epoch in [2, 3] {
            let other = [own(8, epoch, [9; 16]), group(epoch, [9; 16])];
            for message in &other {
                assert_eq!(emm(&mut card, message), refused(EmmDetail::EPOCH), "{name}, {epoch}");
            }
        }
    }
}

/// T4: after a bad signature the card says that it rests: nothing genuine is called refused.
#[test]
fn a_card_that_rests_says_later() {
    let mut card = card_with_signature();
    info(&mut card);
    let level = |n| [EmmCommand::EmmLevel { level: n, after: None }];
    let genuine = signed(6, &level(2), &signing_key());
    let time = NOON.saturating_add(DAY);
    let sync = signed(0, &[EmmCommand::TimeSync { time, step: TimeStep::Forward }], &signing_key());
    let key = group_delivery(&[(2, NEWS_2)], &signing_key());
    assert_eq!(emm(&mut card, &signed(5, &level(9), &forger())), refused(EmmDetail::SIGNATURE));
    for message in [&genuine, &sync, &key] {
        assert_eq!(emm(&mut card, message), BUSY);
    }
    rest_is_over(&mut card);
    for message in [&genuine, &sync, &key] {
        assert_eq!(emm(&mut card, message), APPLIED);
    }
}

/// T4: the highest number of all, spent by whoever has K_grp, silences no lease.
#[test]
fn a_lease_asks_no_window() {
    let mut card = card_with_signature();
    info(&mut card);
    let to = |days: u32| NOON.saturating_add(days * DAY);
    let lease = |end, horizon| EmmCommand::Grant {
        package: PackageId::new(7),
        start: CasTime::new(0),
        end,
        version: 1,
        horizon,
    };
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[lease(to(1), Some(to(90)))])), APPLIED);
    let osd = [EmmCommand::Osd { id: 1, attributes: 0, text: "x".into() }];
    assert_eq!(emm(&mut card, &TO_GROUP.seal(u32::MAX, &osd)), APPLIED);
    // What is left: the forger's own kind of message is silenced, in this generation alone.
    assert_eq!(emm(&mut card, &TO_GROUP.seal(5, &osd)).outcome, EmmOutcome::STALE);
    let bitmap = EmmCommand::Bitmap {
        base: PackageId::new(0),
        bitmap: vec![0b0000_0001],
        end: to(60),
        version: 0,
    };
    for (command, days) in [(lease(to(30), None), 29), (bitmap, 59)] {
        assert_eq!(emm(&mut card, &TO_GROUP.seal(5, std::slice::from_ref(&command))), APPLIED);
        let commits = card.status().commits;
        assert_eq!(emm(&mut card, &TO_GROUP.seal(5, &[command])), APPLIED);
        assert_eq!(card.status().commits, commits, "repeated, it writes nothing");
        let criteria = ecm_emm::ecm::Criteria {
            packages: vec![PackageId::new(7)],
            ..ecm_emm::ecm::Criteria::default()
        };
        let ecm = seal_ecm(NEWS, &body(to(days), criteria));
        assert_eq!(status(&mut card, &ecm), AccessStatus::GRANTED_SUBSCRIPTION);
        info(&mut card);
    }
    // And a lease sets none: numbers above its own stay free for the others.
    assert_eq!(emm(&mut card, &TO_GROUP.seal(u32::MAX, &osd)), EmmResult::DUPLICATE);
    assert_eq!(info(&mut card).windows.iter().find(|w| w.role == 0x12).unwrap().hi, u32::MAX);
    let group_2 = KeyTarget::Group(0);
    let new = TO_CARD.delivery(group_2, 2, 2, [0x61; 16]);
    assert_eq!(emm(&mut card, &TO_CARD.seal(2, &[new])), APPLIED);
    let next = Sender { epoch: 2, key: [0x61; 16], ..TO_GROUP };
    assert_eq!(emm(&mut card, &next.seal(6, &osd)), APPLIED, "a new generation speaks again");
}

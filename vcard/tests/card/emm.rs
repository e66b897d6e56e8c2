// SPDX-License-Identifier: Apache-2.0
//! The EMM command: whose EMM counts, in which order, and what it leaves behind.

use cam_types::{CasTime, Epoch, EventId, PackageId, Pseudonym};
use ecm_emm::card::{AccessStatus, EmmDetail, EmmOutcome, EmmResult};
use ecm_emm::emm::{self, Address, EmmCommand, KeyDelivery, ResetNumber, TimeStep};
use ecm_emm::keys::{KeyMaterial, Role};
use hex_literal::hex;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use system_tests::demo::*;
use vcard::nvm::RamStore;
use vcard::{Card, Fault};

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

fn grant(package: u16, end: CasTime, version: u16) -> EmmCommand {
    EmmCommand::Grant {
        package: PackageId::new(package),
        start: CasTime::new(0),
        end,
        version,
        horizon: None,
    }
}

fn status(card: &mut Card, section: &[u8]) -> AccessStatus {
    let mut stb = Stb::open(card);
    stb.ecm(card, section).status
}

fn package(package: u16, time: CasTime) -> Vec<u8> {
    let criteria =
        ecm_emm::ecm::Criteria { packages: vec![PackageId::new(package)], ..Default::default() };
    seal_ecm(NEWS, &body(time, criteria))
}

/// T6: a duplicate is success without a write; a message too old is told so.
#[test]
fn a_message_is_applied_once() {
    let mut card = card();
    info(&mut card);
    let section = TO_CARD.seal(100, &[grant(2, NOON.saturating_add(DAY), 1)]);
    assert_eq!(emm(&mut card, &section), APPLIED);
    let writes = card.status().page_writes;
    for _ in 0..1000 {
        assert_eq!(emm(&mut card, &section), DUPLICATE);
    }
    let old = TO_CARD.seal(36, &[grant(2, NOON, 9)]);
    assert_eq!(emm(&mut card, &old), stale(EmmDetail::NONE));
    assert_eq!(card.status().page_writes, writes);
    let late = TO_CARD.seal(37, &[grant(3, NOON.saturating_add(DAY), 1)]);
    assert_eq!(emm(&mut card, &late), APPLIED);
    assert_eq!(status(&mut card, &package(2, NOON)), AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(status(&mut card, &package(3, NOON)), AccessStatus::GRANTED_SUBSCRIPTION);
}

/// T11: every flipped bit of a message is refused, and nothing is written.
#[test]
fn a_forged_message_changes_nothing() {
    let mut card = card();
    info(&mut card);
    let section = TO_CARD.seal(1, &[grant(2, NOON.saturating_add(DAY), 1)]);
    let commits = card.status().commits;
    for bit in 0..section.len() * 8 {
        // The upper half of the length's first octet is not part of the message.
        if (8..12).contains(&bit) {
            continue;
        }
        let mut forged = section.clone();
        forged[bit / 8] ^= 0x80 >> (bit % 8);
        let mut apdu = vec![0x80, 0x36, 0, 0, forged.len() as u8];
        apdu.extend(&forged);
        let (data, sw) = send(&mut card, &apdu);
        assert_eq!((sw, data[0]), (0x9000, EmmOutcome::REFUSED.0), "bit {bit}");
    }
    assert_eq!(card.status().commits, commits);
    assert_eq!(emm(&mut card, &section), APPLIED);
}

#[test]
fn only_this_cards_messages_are_opened() {
    let mut card = card();
    info(&mut card);
    let command = [grant(2, NOON, 1)];
    let elsewhere = Address::Unique(Pseudonym::new(hex!("A1B2C3D4E5F60719")));
    let osd = [EmmCommand::Osd { id: 1, attributes: 0, text: "hello".into() }];
    let extend = [grant(1, NOON, 1)];
    for (name, section, expected) in [
        (
            "another card",
            Sender { address: elsewhere, ..TO_CARD }.seal(1, &command),
            EmmDetail::ADDRESS,
        ),
        (
            "another group",
            Sender { address: Address::Shared(2), ..TO_GROUP }.seal(1, &extend),
            EmmDetail::ADDRESS,
        ),
        ("no such generation", Sender { epoch: 2, ..TO_CARD }.seal(1, &command), EmmDetail::NO_KEY),
        (
            "another key",
            Sender { key: K_GLB, ..TO_CARD }.seal(1, &command),
            EmmDetail::AUTHENTICATION,
        ),
        (
            "no recovery key",
            Sender { role: Role::Recovery, ..TO_CARD }.seal(1, &command),
            EmmDetail::NO_KEY,
        ),
        (
            "the group's key for all",
            Sender { key: K_GRP, ..TO_ALL }.seal(1, &osd),
            EmmDetail::AUTHENTICATION,
        ),
    ] {
        assert_eq!(emm(&mut card, &section), refused(expected), "{name}");
    }
    assert_eq!(card.status().commits, 0);
    assert_eq!(emm(&mut card, &TO_ALL.seal(1, &osd)), APPLIED);
}

/// T4: with the keys that every card has, nothing but the lease of a right that is there moves.
#[test]
fn a_group_only_extends_and_never_beyond_the_horizon() {
    let end = |card: &mut Card| {
        let lines = card.inspect().unwrap().rights;
        lines.iter().find(|line| line.starts_with("package 7")).cloned()
    };
    let mut card = card();
    info(&mut card);
    let to = |days: u32| NOON.saturating_add(days * DAY);
    let lease = |horizon| EmmCommand::Grant {
        package: PackageId::new(7),
        start: NOON,
        end: to(30),
        version: 5,
        horizon: Some(horizon),
    };
    // No right: not yet.
    assert_eq!(
        emm(&mut card, &TO_GROUP.seal(1, &[grant(7, to(60), 9)])),
        later(EmmDetail::NOT_FOUND)
    );
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[lease(to(90))])), APPLIED);
    for (n, command, expected) in [
        (1, grant(7, to(60), 9), "2027-01-30"),
        (2, grant(7, to(20), 9), "2027-01-30"),
        (3, grant(7, to(400), 9), "2027-03-01"),
    ] {
        info(&mut card);
        assert_eq!(emm(&mut card, &TO_GROUP.seal(n, &[command])), APPLIED, "{n}");
        assert!(
            end(&mut card).unwrap().contains(&format!("to {expected}")),
            "{n}: {:?}",
            end(&mut card)
        );
    }
    // Revoked is revoked (T7): neither the group nor an older grant brings it back.
    card.power_on();
    info(&mut card);
    let revoke = EmmCommand::Revoke { package: PackageId::new(7), version: 6 };
    assert_eq!(emm(&mut card, &TO_CARD.seal(2, &[revoke])), APPLIED);
    assert_eq!(
        emm(&mut card, &TO_GROUP.seal(4, &[grant(7, to(40), 9)])),
        later(EmmDetail::NOT_FOUND)
    );
    assert_eq!(emm(&mut card, &TO_CARD.seal(3, &[lease(to(90))])), stale(EmmDetail::NONE));
    assert_eq!(status(&mut card, &package(7, to(1))), AccessStatus::NO_RIGHT);
}

/// T4: every command under every role and table that is not permitted is refused, and nothing
/// written.
#[test]
fn permission_is_the_roles_not_the_tables() {
    let commands = [
        grant(2, NOON, 1),
        EmmCommand::Revoke { package: PackageId::new(1), version: 9 },
        EmmCommand::PpvGrant { event: EventId::new(1), tier: 1, end: NOON },
        EmmCommand::EmmLevel { level: 7, after: None },
        EmmCommand::CardState { blocked: true },
        EmmCommand::Unpair(None),
        EmmCommand::KeyDestroy { target: news_target(), epoch: Epoch::new(1) },
        EmmCommand::KeyActivate {
            target: news_target(),
            epoch: Epoch::new(1),
            floor: Epoch::new(1),
        },
        EmmCommand::SuiteAllow { role: Role::Service, mask: 0 },
        EmmCommand::TimeSync { time: NOON.saturating_add(DAY), step: reset(1) },
        EmmCommand::WalletBlock { blocked: true },
    ];
    for sender in [TO_GROUP, TO_ALL] {
        for command in &commands {
            if matches!((sender.role, command), (Role::Group, EmmCommand::Grant { .. })) {
                continue;
            }
            let seq = u32::from(!matches!(command, EmmCommand::TimeSync { .. }));
            let mut plain = Vec::new();
            command.emit(&mut plain).unwrap();
            let section = raw(sender, seq, &plain);
            let mut card = card();
            info(&mut card);
            assert_eq!(emm(&mut card, &section), refused(EmmDetail::PERMISSION), "{command:?}");
            assert_eq!(card.status().commits, 0);
        }
    }
    // A table_id of others under the card's own key.
    let mut card = card();
    info(&mut card);
    let wrong_table = Sender { address: Address::Global, ..TO_CARD };
    let mut plain = Vec::new();
    grant(2, NOON, 1).emit(&mut plain).unwrap();
    assert_eq!(emm(&mut card, &raw(wrong_table, 1, &plain)), refused(EmmDetail::PERMISSION));
}

/// All or nothing: a good command in front of a bad one leaves no trace.
#[test]
fn a_message_is_applied_whole_or_not_at_all() {
    let mut card = card();
    info(&mut card);
    let bad = KeyDelivery { kcv: [0; 3], ..TO_CARD.key_delivery(news_target(), 2, 2, NEWS_2) };
    let commands = [grant(2, NOON.saturating_add(DAY), 1), EmmCommand::KeyDeliver(bad)];
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &commands)), refused(EmmDetail::KCV));
    assert_eq!(card.status().commits, 0);
    assert_eq!(status(&mut card, &package(2, NOON)), AccessStatus::NO_RIGHT);
}

#[test]
fn levels_states_groups_and_events() {
    let mut card = card();
    info(&mut card);
    for (n, command, expected) in [
        (1, EmmCommand::EmmLevel { level: 3, after: None }, APPLIED),
        (2, EmmCommand::EmmLevel { level: 2, after: None }, stale(EmmDetail::NONE)),
        (3, EmmCommand::PpvGrant { event: EVENT, tier: 1, end: NOON.saturating_add(60) }, APPLIED),
        (4, EmmCommand::CardState { blocked: true }, APPLIED),
    ] {
        assert_eq!(emm(&mut card, &TO_CARD.seal(n, &[command])), expected, "{n}");
    }
    assert_eq!(info(&mut card).operators[0].emm_level, 3);
    assert!(info(&mut card).blocked);
    assert_eq!(status(&mut card, &news(NOON)), AccessStatus::CARD_BLOCKED);
    info(&mut card);
    emm(&mut card, &TO_CARD.seal(5, &[EmmCommand::CardState { blocked: false }]));
    assert_eq!(status(&mut card, &cinema(EVENT, NOON)), AccessStatus::GRANTED_EVENT);

    // A new group, with its key; the old address is the card's no longer.
    let group_key = [0x66; 16];
    let wrapped = key(K_IND)
        .wrap(&TO_CARD.header(1).key_context(), &KeyMaterial::from(cam_types::Key::new(group_key)));
    let assign = EmmCommand::GroupAssign {
        index: 0,
        group: 2,
        suite: ecm_emm::suite::Suite::Cmac128,
        epoch: Epoch::new(1),
        wrapped,
    };
    info(&mut card);
    assert_eq!(emm(&mut card, &TO_CARD.seal(6, &[assign])), APPLIED);
    let osd = || [EmmCommand::Osd { id: 1, attributes: 0, text: "hello".into() }];
    let there = Sender { address: Address::Shared(2), key: group_key, ..TO_GROUP };
    assert_eq!(emm(&mut card, &there.seal(1, &osd())), APPLIED);
    assert_eq!(emm(&mut card, &TO_GROUP.seal(1, &osd())), refused(EmmDetail::ADDRESS));
}

#[test]
fn a_new_pin_comes_wrapped() {
    let mut card = card();
    for _ in 0..3 {
        let mut stb = Stb::open(&mut card);
        stb.verify(&mut card, WRONG_PIN).unwrap();
    }
    let block = hex!("241234FFFFFFFFFF 0000000000000000");
    let wrapped = key(K_IND)
        .wrap(&TO_CARD.header(1).key_context(), &KeyMaterial::from(cam_types::Key::new(block)));
    let wrapped = wrapped.octets().try_into().unwrap();
    info(&mut card);
    let section = TO_CARD.seal(1, &[EmmCommand::PinReset { flags: 0, wrapped }]);
    assert_eq!(emm(&mut card, &section), APPLIED);
    let mut stb = Stb::open(&mut card);
    let answer = stb.verify(&mut card, b"1234").unwrap();
    assert_eq!((answer.right, answer.tries), (true, 3));
}

/// T35: the clock's last fixed point moves by TIME_SYNC only, forward, and a RESET heals.
#[test]
fn time_is_synchronised() {
    let mut card = card();
    info(&mut card);
    let sync = |time| TO_CARD.seal(0, &[EmmCommand::TimeSync { time, step: TimeStep::Forward }]);
    let reset =
        |time, number| TO_CARD.seal(0, &[EmmCommand::TimeSync { time, step: reset(number) }]);
    let day = |n: u32| NOON.saturating_add(n * DAY);
    assert_eq!(emm(&mut card, &sync(CasTime::new(1))), stale(EmmDetail::NONE));
    let commits = card.status().commits;
    let soon = CasTime::new(NOON.seconds() - DAY * 3 / 2 + 100);
    assert_eq!(emm(&mut card, &sync(soon)), APPLIED);
    assert_eq!(card.status().commits, commits, "a small step is not stored");
    assert_eq!(emm(&mut card, &sync(day(1))), APPLIED);
    assert_eq!(card.status().commits, commits + 1);
    // An ECM far ahead takes the clock along; the way back is a RESET.
    assert_eq!(status(&mut card, &news(day(190))), AccessStatus::GRANTED_SUBSCRIPTION);
    assert_eq!(status(&mut card, &news(day(2))), AccessStatus::CLOCK);
    info(&mut card);
    assert_eq!(emm(&mut card, &sync(day(2))), APPLIED);
    assert_eq!(emm(&mut card, &reset(day(3), 1)), APPLIED);
    assert_eq!(emm(&mut card, &reset(day(3), 1)), DUPLICATE);
    assert_eq!(status(&mut card, &news(day(3))), AccessStatus::GRANTED_SUBSCRIPTION);
    card.power_on();
    assert_eq!(info(&mut card).sync, day(3));
}

/// The RESET of this number.
pub(crate) fn reset(number: u16) -> TimeStep {
    TimeStep::Reset(ResetNumber::new(number).unwrap())
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_slice(&[0x42; 32]).unwrap()
}

/// The demo's card with an operator's public key.
pub(crate) fn card_with_signature() -> Card {
    powered(Box::new(RamStore::new(&memory_with_signature())))
}

/// Its memory.
pub(crate) fn memory_with_signature() -> Vec<u8> {
    let point = signing_key().verifying_key().to_sec1_point(false);
    let hex: String = point.as_bytes()[1..].iter().map(|octet| format!("{octet:02x}")).collect();
    let text = include_str!("../../../examples/demo/card.toml");
    let more = format!(
        "{text}\n[signature]\nepoch = 1\nkey = \"{hex}\"\n[[pairing]]\nslot = 0\n\
        stb_id = \"5354423030303031\"\nk_pair = \"808182838485868788898a8b8c8d8e8f\"\n\
        k_cw = \"909192939495969798999a9b9c9d9e9f\""
    );
    let path = std::path::Path::new("card.toml");
    let perso = vcard::Personalisation::from_text(&more, path).unwrap_or_else(|e| panic!("{e}"));
    Card::personalise(&perso).unwrap().octets().to_vec()
}

pub(crate) fn signed(seq: u32, commands: &[EmmCommand], with: &SigningKey) -> Vec<u8> {
    let mut section = Vec::new();
    let sign = |digest: &[u8; 32]| {
        let signature: p256::ecdsa::Signature = with.sign_prehash(digest).unwrap();
        signature.to_bytes().into()
    };
    emm::seal_signed(&TO_ALL.header(seq), commands, sign, &key(K_GLB), &mut section).unwrap();
    section
}

/// T4: what all cards can seal counts only with the operator's signature, and its numbers are its
/// own.
#[test]
fn signed_messages_have_their_own_window() {
    let mut card = card_with_signature();
    info(&mut card);
    // A forger with K_glb burns the highest number of the unsigned window.
    let osd = [EmmCommand::Osd { id: 1, attributes: 0, text: "buy".into() }];
    assert_eq!(emm(&mut card, &TO_ALL.seal(u32::MAX, &osd)), APPLIED);
    let level = |n| [EmmCommand::EmmLevel { level: n, after: None }];
    let section = signed(5, &level(1), &signing_key());
    assert_eq!(emm(&mut card, &section), APPLIED);
    assert_eq!(emm(&mut card, &section), DUPLICATE);
    assert_eq!(emm(&mut card, &TO_ALL.seal(4, &osd)), stale(EmmDetail::NONE));

    // A bad signature is refused, and the next one is not looked at for eight ECMs.
    let forger = SigningKey::from_slice(&[0x43; 32]).unwrap();
    let signature = refused(EmmDetail::SIGNATURE);
    assert_eq!(emm(&mut card, &signed(6, &level(9), &forger)), signature);
    let busy = later(EmmDetail::BUSY);
    assert_eq!(emm(&mut card, &signed(6, &level(2), &signing_key())), busy);
    let mut stb = Stb::open(&mut card);
    for _ in 0..8 {
        stb.ecm(&mut card, &news(NOON));
    }
    assert_eq!(emm(&mut card, &signed(6, &level(2), &signing_key())), APPLIED);
    assert_eq!(info(&mut card).operators[0].emm_level, 2);
    let time = NOON.saturating_add(DAY);
    let sync = signed(0, &[EmmCommand::TimeSync { time, step: TimeStep::Forward }], &signing_key());
    assert_eq!(emm(&mut card, &sync), APPLIED);
    assert_eq!(info(&mut card).sync, time);
}

/// T7: five messages in all their 120 orders, each order sent three times over, end in one state.
#[test]
fn order_does_not_matter() {
    let to = |days: u32| NOON.saturating_add(days * DAY);
    let (epoch, floor) = (Epoch::new(2), Epoch::new(2));
    let messages = [
        TO_CARD.seal(1, &[grant(2, to(10), 1)]),
        TO_CARD.seal(2, &[EmmCommand::Revoke { package: PackageId::new(2), version: 2 }]),
        TO_CARD.seal(3, &[grant(2, to(20), 3)]),
        TO_CARD.seal(4, &[TO_CARD.delivery(news_target(), 2, 2, NEWS_2)]),
        TO_CARD.seal(5, &[EmmCommand::KeyActivate { target: news_target(), epoch, floor }]),
    ];
    let mut finals = std::collections::BTreeSet::new();
    let image = memory();
    for order in permutations(messages.len()) {
        let mut card = powered(Box::new(RamStore::new(&image)));
        info(&mut card);
        for _ in 0..3 {
            for index in &order {
                emm(&mut card, &messages[*index]);
            }
        }
        let inspection = card.inspect().unwrap();
        finals.insert((
            inspection.rights,
            inspection
                .keys
                .into_iter()
                .map(|line| {
                    line.replace("newest EMM 3", "newest EMM 5")
                        .replace("newest EMM 4", "newest EMM 5")
                })
                .collect::<Vec<_>>(),
        ));
    }
    assert_eq!(finals.len(), 1, "{finals:#?}");
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    permutations(n - 1)
        .into_iter()
        .flat_map(|shorter| {
            (0..=shorter.len()).map(move |at| {
                let mut longer = shorter.clone();
                longer.insert(at, n - 1);
                longer
            })
        })
        .collect()
}

#[test]
fn faults_show() {
    let mut card = card();
    card.set_fault(Fault::ApplyDuplicates);
    card.set_fault(Fault::AcceptForged);
    card.set_fault(Fault::LoseKey);
    info(&mut card);
    let section = TO_CARD.seal(1, &[grant(2, NOON, 1)]);
    assert_eq!(emm(&mut card, &section), APPLIED);
    assert_eq!(emm(&mut card, &section), APPLIED);
    let mut forged = TO_CARD.seal(2, &[grant(2, NOON, 2)]);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(emm(&mut card, &forged), APPLIED);
    let delivery = TO_CARD.delivery(news_target(), 2, 2, NEWS_2);
    assert_eq!(emm(&mut card, &TO_CARD.seal(3, &[delivery])), APPLIED);
    assert_eq!(info(&mut card).slots[0].key.newest, Epoch::new(1));
}

// SPDX-License-Identifier: Apache-2.0
//! A box that keeps a message from its card, and plays it when the next one was taken.

use crate::emm::{card_with_signature, reset, signed, signing_key};
use cam_types::{CasTime, Key, StbId};
use ecm_emm::card::{AccessStatus, EmmDetail, EmmOutcome, EmmResult, ReportRequest};
use ecm_emm::emm::{EmmCommand, Pairing, ResetNumber, TimeStep};
use ecm_emm::keys::{KeyMaterial, Role};
use ecm_emm::suite::{Suite, WrappedKey};
use hex_literal::hex;
use system_tests::demo::*;
use vcard::Card;

const APPLIED: EmmResult = EmmResult::APPLIED;
const STALE: EmmResult = EmmResult::new(EmmOutcome::STALE, EmmDetail::NONE);
const RECOVERY: [u8; 32] = [0x5C; 32];

fn day(n: u32) -> CasTime {
    NOON.saturating_add(n * DAY)
}

fn wrap(octets: [u8; 16]) -> WrappedKey {
    key(K_IND).wrap(&TO_CARD.header(1).key_context(), &KeyMaterial::from(Key::new(octets)))
}

fn short(octets: [u8; 16]) -> [u8; 24] {
    wrap(octets).octets().try_into().unwrap()
}

pub(crate) fn pair(slot: u8) -> EmmCommand {
    EmmCommand::Pair(Pairing {
        slot,
        stb: StbId::new(*b"STB00002"),
        k_pair: short([0x21; 16]),
        k_cw: short([0x22; 16]),
        kcv: key([0x21; 16]).kcv(),
    })
}

fn join(group: u32, octets: [u8; 16]) -> EmmCommand {
    EmmCommand::GroupAssign {
        index: 1,
        group,
        suite: Suite::Cmac128,
        epoch: cam_types::Epoch::new(1),
        wrapped: wrap(octets),
    }
}

pub(crate) fn new_pin(block: [u8; 16]) -> EmmCommand {
    EmmCommand::PinReset { flags: 0, wrapped: short(block) }
}

const REPORT: [u8; 8] = [7; 8];

/// What the card has of all that a message sets and another takes back.
fn state(card: &mut Card) -> (String, Vec<String>) {
    let inspection = card.inspect().unwrap();
    card.power_on();
    let told = info(card);
    let stb = Stb::with_keys(card, 0x3F, &Key::new(K_PAIR), STB).ok();
    let tries = stb.map(|mut stb| stb.verify(card, b"1234").map(|answer| answer.right));
    info(card);
    (
        format!(
            "{} {:?} {:?} {tries:?} {}",
            told.blocked, told.groups, told.report, inspection.purse
        ),
        inspection.pairings,
    )
}

/// T7: number 50 is held back, 51 is taken, 50 is played: 51 stands. Each state, in both senses.
#[test]
fn an_older_message_sets_nothing_back() {
    let blocked = |blocked| EmmCommand::CardState { blocked };
    let purse = |blocked| EmmCommand::WalletBlock { blocked };
    let request = |nonce| EmmCommand::ReportRequest { nonce, from: 0 };
    let pin = hex!("241234FFFFFFFFFF 0000000000000000");
    let other_pin = hex!("245678FFFFFFFFFF 0000000000000000");
    for (name, sender, older, newer) in [
        ("unblock, block", TO_CARD, blocked(false), blocked(true)),
        ("block, unblock", TO_CARD, blocked(true), blocked(false)),
        ("purse: unblock, block", TO_PURSE, purse(false), purse(true)),
        ("purse: block, unblock", TO_PURSE, purse(true), purse(false)),
        ("PIN", TO_CARD, new_pin(pin), new_pin(other_pin)),
        ("PIN, the other way round", TO_CARD, new_pin(other_pin), new_pin(pin)),
        ("group", TO_CARD, join(8, [8; 16]), join(9, [9; 16])),
        ("report", TO_CARD, request([6; 8]), request(REPORT)),
        ("pair, unpair", TO_CARD, pair(1), EmmCommand::Unpair(Some(1))),
        ("pair, unpair all", TO_CARD, pair(1), EmmCommand::Unpair(None)),
        ("unpair, pair", TO_CARD, EmmCommand::Unpair(Some(1)), pair(1)),
    ] {
        let older = sender.seal(50, &[older]);
        let newer = sender.seal(51, &[newer]);
        let mut held_back = card();
        info(&mut held_back);
        assert_eq!(emm(&mut held_back, &newer), APPLIED, "{name}");
        let commits = held_back.status().commits;
        assert_eq!(emm(&mut held_back, &older), STALE, "{name}");
        assert_eq!(held_back.status().commits, commits, "{name}: a stale one writes nothing");
        held_back.power_on();
        info(&mut held_back);
        assert_eq!(emm(&mut held_back, &older), STALE, "{name}, after a reset");
        let mut in_order = card();
        info(&mut in_order);
        assert_eq!(emm(&mut in_order, &older), APPLIED, "{name}");
        assert_eq!(emm(&mut in_order, &newer), APPLIED, "{name}");
        assert_eq!(state(&mut held_back), state(&mut in_order), "{name}");
    }
}

/// T7: UNPAIR of all slots spares the one that a later message has paired; the other commands of a
/// message are not hindered by the one that comes too late.
#[test]
fn each_slot_goes_by_its_own_number() {
    let mut card = card();
    info(&mut card);
    assert_eq!(emm(&mut card, &TO_CARD.seal(51, &[pair(1)])), APPLIED);
    let all = [EmmCommand::Unpair(None), EmmCommand::EmmLevel { level: 4, after: None }];
    assert_eq!(emm(&mut card, &TO_CARD.seal(50, &all)), APPLIED);
    assert_eq!(card.inspect().unwrap().pairings, ["slot 1: box 5354423030303032"]);
    card.power_on();
    assert_eq!(info(&mut card).operators[0].emm_level, 4);
    assert_eq!(emm(&mut card, &TO_CARD.seal(49, &[pair(0)])), STALE);
}

/// T7: both keys of a card number from one series.
#[test]
fn the_recovery_key_numbers_in_the_same_series() {
    let hex: String = RECOVERY.iter().map(|octet| format!("{octet:02x}")).collect();
    let text = format!(
        "{}\n[[key]]\nrole = \"recovery\"\nsuite = 3\nepoch = 1\nvalue = \"{hex}\"\n",
        file("")
    );
    let perso = vcard::Personalisation::from_text(&text, std::path::Path::new("card.toml"));
    let image = Card::personalise(&perso.unwrap_or_else(|e| panic!("{e}"))).unwrap();
    let mut card = powered(Box::new(vcard::nvm::RamStore::new(image.octets())));
    info(&mut card);
    let recovery =
        ecm_emm::suite::SealKey::new(Suite::Cmac256, KeyMaterial::from_slice(&RECOVERY).unwrap())
            .unwrap();
    let header = ecm_emm::emm::EmmHeader {
        suite: Suite::Cmac256,
        role: Role::Recovery,
        ..TO_CARD.header(51)
    };
    let mut block = Vec::new();
    let command = [EmmCommand::CardState { blocked: true }];
    ecm_emm::emm::seal(&header, &command, &recovery, &mut block).unwrap();
    assert_eq!(emm(&mut card, &block), APPLIED);
    let unblock = |seq| TO_CARD.seal(seq, &[EmmCommand::CardState { blocked: false }]);
    assert_eq!(emm(&mut card, &unblock(50)), STALE);
    assert!(info(&mut card).blocked);
    assert_eq!(emm(&mut card, &unblock(52)), APPLIED);
}

fn time(time: CasTime, step: TimeStep) -> [EmmCommand; 1] {
    [EmmCommand::TimeSync { time, step }]
}

/// T35: a RESET that the card took, or that a later one has overtaken, is played a month later,
/// when its time lies behind and when it lies ahead: the clock stays.
#[test]
fn a_reset_counts_once() {
    let duplicate = EmmResult::DUPLICATE;
    for sign in [true, false] {
        let make = |at, step| match sign {
            true => signed(0, &time(at, step), &signing_key()),
            false => TO_CARD.seal(0, &time(at, step)),
        };
        let mut card = card_with_signature();
        info(&mut card);
        let first = make(day(100), reset(1));
        let second = make(day(3), reset(2));
        assert_eq!(emm(&mut card, &make(day(1), TimeStep::Forward)), APPLIED);
        // Overtaken: it moves the clock neither now nor behind the next TIME_SYNC.
        assert_eq!(emm(&mut card, &second), APPLIED);
        assert_eq!((info(&mut card).now, info(&mut card).sync), (day(3), day(3)));
        assert_eq!(emm(&mut card, &first), STALE);
        assert_eq!(emm(&mut card, &make(day(33), TimeStep::Forward)), APPLIED);
        let commits = card.status().commits;
        assert_eq!(emm(&mut card, &second), duplicate);
        card.power_on();
        info(&mut card);
        assert_eq!(emm(&mut card, &second), duplicate);
        assert_eq!(emm(&mut card, &first), STALE);
        assert_eq!(card.status().commits, commits);
        assert_eq!(info(&mut card).sync, day(33));
        // A new one sets the clock back, and forward, whatever the time; at once and for good.
        for (number, at) in [(3, day(2)), (4, day(60))] {
            assert_eq!(emm(&mut card, &make(at, reset(number))), APPLIED);
            card.power_on();
            assert_eq!((info(&mut card).now, info(&mut card).sync), (at, at));
        }
    }
}

/// T5, T35: who keeps a RESET from the card goes dark at the next floor.
#[test]
fn a_level_waits_for_its_reset() {
    let mut card = card_with_signature();
    info(&mut card);
    let level = |seq, level| {
        let after = ResetNumber::new(7);
        signed(seq, &[EmmCommand::EmmLevel { level, after }], &signing_key())
    };
    let waits = EmmResult::new(EmmOutcome::LATER, EmmDetail::RESET);
    assert_eq!(emm(&mut card, &level(1, 3)), waits);
    let six = signed(0, &time(day(1), reset(6)), &signing_key());
    assert_eq!(emm(&mut card, &six), APPLIED);
    assert_eq!(emm(&mut card, &level(1, 3)), waits);
    let mut stb = Stb::open(&mut card);
    let floor = ecm_emm::ecm::EcmBody { emm_floor: 3, ..body(day(1), subscription()) };
    assert_eq!(stb.ecm(&mut card, &seal_ecm(NEWS, &floor)).status, AccessStatus::EMM_NEEDED);
    info(&mut card);
    let seven = TO_CARD.seal(0, &time(day(1), reset(7)));
    assert_eq!(emm(&mut card, &seven), APPLIED);
    assert_eq!(emm(&mut card, &level(1, 3)), APPLIED);
    let mut stb = Stb::open(&mut card);
    let watched = stb.ecm(&mut card, &seal_ecm(NEWS, &floor)).status;
    assert_eq!(watched, AccessStatus::GRANTED_SUBSCRIPTION);
}

/// A group has one place: a message to it would find the first of two, with the other's key.
#[test]
fn a_group_is_joined_at_one_index() {
    let mut card = card();
    info(&mut card);
    let there = EmmResult::new(EmmOutcome::LATER, EmmDetail::TARGET);
    // Group 1 is at index 0 from the factory.
    let second = TO_CARD.seal(2, &[join(1, [8; 16])]);
    assert_eq!(emm(&mut card, &second), there);
    let away = match join(5, [9; 16]) {
        EmmCommand::GroupAssign { group, suite, epoch, wrapped, .. } => {
            EmmCommand::GroupAssign { index: 0, group, suite, epoch, wrapped }
        }
        other => other,
    };
    assert_eq!(emm(&mut card, &TO_CARD.seal(3, &[away])), APPLIED);
    assert_eq!(emm(&mut card, &second), APPLIED);
    assert_eq!(info(&mut card).groups, [(0, 5), (1, 1)]);
    let osd = [EmmCommand::Osd { id: 1, attributes: 0, text: "x".into() }];
    let there = Sender { key: [8; 16], ..TO_GROUP };
    assert_eq!(emm(&mut card, &there.seal(1, &osd)), APPLIED);
}

/// The report that is asked for, as CAS INFO tells it.
#[test]
fn the_last_request_stands() {
    let mut card = card();
    info(&mut card);
    for (seq, nonce, expected) in [(2, REPORT, APPLIED), (1, [6; 8], STALE)] {
        let request = EmmCommand::ReportRequest { nonce, from: 0 };
        assert_eq!(emm(&mut card, &TO_CARD.seal(seq, &[request])), expected);
    }
    assert_eq!(info(&mut card).report, Some(ReportRequest { nonce: REPORT, from: 0 }));
}

/// Malformed: a RESET without a number, with number 0, a number without RESET.
#[test]
fn a_reset_has_a_number() {
    let mut card = card();
    info(&mut card);
    let at = NOON.saturating_add(DAY).to_be_bytes();
    for (flags, rest) in [(1, &[][..]), (1, &[0, 0]), (0, &[0, 1]), (2, &[]), (1, &[0, 1, 0])] {
        let value = [&at[..], &[flags], rest].concat();
        let plain = [&[0x72, value.len() as u8], &value[..]].concat();
        let refused = EmmResult::refused(EmmDetail::MALFORMED);
        assert_eq!(emm(&mut card, &raw(TO_CARD, 0, &plain)), refused, "{flags} {rest:?}");
    }
    let level = [0x24, 4, 0, 9, 0, 0];
    assert_eq!(emm(&mut card, &raw(TO_CARD, 1, &level)), EmmResult::refused(EmmDetail::MALFORMED));
    assert_eq!(card.status().commits, 0);
    // Nor in the factory.
    let text = file("").replace("[clock]", "[clock]\nreset = 0");
    let perso = vcard::Personalisation::from_text(&text, std::path::Path::new("card.toml"));
    let error = perso.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("clock.reset: numbers of a RESET start at 1"), "{error}");
}

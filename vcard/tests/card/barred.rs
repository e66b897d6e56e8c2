// SPDX-License-Identifier: Apache-2.0
//! A box that was listed out, for one card or for all.

use crate::emm::{card_with_signature, signed, signing_key};
use crate::held_back::pair;
use cam_types::{Key, StbId};
use ecm_emm::card::{EmmDetail, EmmOutcome, EmmResult, INS_ECM};
use ecm_emm::emm::EmmCommand;
use system_tests::demo::*;
use vcard::Card;

const APPLIED: EmmResult = EmmResult::APPLIED;
const STALE: EmmResult = EmmResult::new(EmmOutcome::STALE, EmmDetail::NONE);
const BARRED: EmmResult = EmmResult::refused(EmmDetail::BARRED);
const FULL: EmmResult = EmmResult::refused(EmmDetail::FULL);

fn decision(number: u32, barred: bool, stb: StbId) -> [EmmCommand; 1] {
    [EmmCommand::BoxBar { number, barred, stb }]
}

fn ready() -> Card {
    let mut card = card_with_signature();
    info(&mut card);
    card
}

fn opens(card: &mut Card) -> bool {
    Stb::with_keys(card, 0x3F, &Key::new(K_PAIR), STB).is_ok()
}

/// T33: a stolen box is listed out for all cards, or for one: its session ends at once, and none
/// opens; the lift brings the pairing back.
#[test]
fn a_stolen_box_is_listed_out() {
    let to_card: fn(u32, &[EmmCommand]) -> Vec<u8> = |seq, what| TO_CARD.seal(seq, what);
    let to_all: fn(u32, &[EmmCommand]) -> Vec<u8> = |seq, what| signed(seq, what, &signing_key());
    for make in [to_card, to_all] {
        let mut card = ready();
        let mut stb = Stb::open(&mut card);
        assert_eq!(emm(&mut card, &make(1, &decision(1, true, StbId::new(*b"STB00009")))), APPLIED);
        assert!(stb.ecm(&mut card, &news(NOON)).ecw.is_some(), "another box");
        assert_eq!(emm(&mut card, &make(2, &decision(2, true, STB))), APPLIED);
        assert_eq!(stb.send(&mut card, INS_ECM, 0, &news(NOON)), Err(Failed::Status(0x6982)));
        assert!(!opens(&mut card));
        card.power_on();
        assert!(!opens(&mut card));
        assert_eq!(info(&mut card).pairing_slots, 0, "the box hears that it is not paired");
        assert_eq!(card.inspect().unwrap().pairings, ["slot 0: box 5354423030303031, barred"]);
        assert_eq!(emm(&mut card, &make(3, &decision(3, false, STB))), APPLIED);
        assert!(opens(&mut card));
    }
}

/// T33: nothing pairs with a box that is listed out, in any slot.
#[test]
fn a_barred_box_is_not_paired() {
    let mut card = ready();
    let stb = StbId::new(*b"STB00002");
    assert_eq!(emm(&mut card, &signed(1, &decision(7, true, stb), &signing_key())), APPLIED);
    let before = card.status().commits;
    for slot in 0..4 {
        assert_eq!(emm(&mut card, &TO_CARD.seal(9, &[pair(slot)])), BARRED);
    }
    assert_eq!(card.status().commits, before, "a refusal writes nothing");
    assert_eq!(emm(&mut card, &signed(2, &decision(8, false, stb), &signing_key())), APPLIED);
    assert_eq!(emm(&mut card, &TO_CARD.seal(9, &[pair(1)])), APPLIED);
    assert_eq!(info(&mut card).pairing_slots, 0b11);
}

/// T7: a lift that was held back until the bar was taken lifts nothing, whichever of the two went
/// to one card and which to all; of one number the bar stands. All orders end alike.
#[test]
fn a_held_back_lift_lifts_nothing() {
    let make = |all: bool, seq, command: &[EmmCommand]| match all {
        true => signed(seq, command, &signing_key()),
        false => TO_CARD.seal(seq, command),
    };
    for (first_to_all, second_to_all) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        for ((older, barred_then), (newer, barred_now)) in
            [((50, false), (51, true)), ((50, true), (51, false)), ((51, false), (51, true))]
        {
            // The messages' own numbers say nothing: the older decision has the greater one.
            let older = make(first_to_all, 60, &decision(older, barred_then, STB));
            let newer = make(second_to_all, 40, &decision(newer, barred_now, STB));
            let mut held_back = ready();
            assert_eq!(emm(&mut held_back, &newer), APPLIED);
            let commits = held_back.status().commits;
            assert_eq!(emm(&mut held_back, &older), STALE);
            held_back.power_on();
            info(&mut held_back);
            assert_eq!(emm(&mut held_back, &older), STALE);
            assert_eq!(held_back.status().commits, commits);
            let mut in_order = ready();
            assert_eq!(emm(&mut in_order, &older), APPLIED);
            assert_eq!(emm(&mut in_order, &newer), APPLIED);
            assert_eq!(opens(&mut held_back), !barred_now);
            assert_eq!(opens(&mut in_order), !barred_now);
        }
    }
}

/// T33: the list has an end, and no box comes off it unless the operator says so.
#[test]
fn a_full_list_drops_no_box() {
    let mut card = ready();
    let others =
        |n: u32| StbId::new([&[0xF0; 4][..], &n.to_be_bytes()].concat().try_into().unwrap());
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &decision(1, true, STB))), APPLIED);
    for n in 2..=32 {
        assert_eq!(emm(&mut card, &TO_CARD.seal(n, &decision(n, true, others(n)))), APPLIED);
    }
    let commits = card.status().commits;
    for barred in [true, false] {
        assert_eq!(emm(&mut card, &TO_CARD.seal(33, &decision(33, barred, others(33)))), FULL);
    }
    assert_eq!(card.status().commits, commits);
    assert!(!opens(&mut card));
    // A box that has its row is decided about; a lift makes room.
    assert_eq!(emm(&mut card, &TO_CARD.seal(33, &decision(34, true, others(32)))), APPLIED);
    assert_eq!(emm(&mut card, &TO_CARD.seal(34, &decision(35, false, others(2)))), APPLIED);
    assert_eq!(emm(&mut card, &TO_CARD.seal(35, &decision(36, true, others(33)))), APPLIED);
    assert_eq!(emm(&mut card, &TO_CARD.seal(36, &decision(37, true, others(34)))), FULL);
    card.power_on();
    assert!(!opens(&mut card));
}

/// T33: neither a stranger nor a forged signature bars anybody.
#[test]
fn only_the_operator_bars_a_box() {
    let mut card = ready();
    let what = decision(1, true, STB);
    let mut zero = Vec::new();
    EmmCommand::BoxBar { number: 0, barred: true, stb: STB }.emit(&mut zero).unwrap();
    assert!(EmmCommand::parse(zero[0], &zero[2..]).is_err(), "no decision has number 0");
    let mut forged = TO_CARD.seal(1, &what);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(emm(&mut card, &forged), EmmResult::refused(EmmDetail::AUTHENTICATION));
    let forger = p256::ecdsa::SigningKey::from_slice(&[0x43; 32]).unwrap();
    let signature = EmmResult::refused(EmmDetail::SIGNATURE);
    assert_eq!(emm(&mut card, &signed(1, &what, &forger)), signature);
    assert!(opens(&mut card));
}

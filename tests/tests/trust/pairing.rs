// SPDX-License-Identifier: Apache-2.0
//! A pairing's life: made at the factory or over the air, taken away, listed out; with the files
//! and messages of the head-end, and the software key ladder as the chip.

use cam_core::{AccessStatus, CardState};
use cam_types::{CasTime, ControlWord, Key, StbId};
use ecm_emm::ecm::Criteria;
use headend::emm::Senders;
use headend::files::fields::Octets;
use headend::files::operator::Operator;
use headend::message::Message;
use headend::message::kind::Occasion;
use hex_literal::hex;
use stb_shim::ladder::Ladder;
use std::collections::BTreeMap;
use std::path::Path;
use system_tests::demo::{self, CW_EVEN, K_PAIR, NOON, STB};
use system_tests::stb::{Home, Stb};
use vcard::nvm::RamStore;
use vcard::{Card, Personalisation};

const CARD: [u8; 8] = hex!("0102030405060708");
const K_BOX: [u8; 16] = hex!("606162636465666768696a6b6c6d6e6f");
const CHIP: [u8; 16] = hex!("707172737475767778797a7b7c7d7e7f");
const HOME: Home = Home { stb: STB, slot: 0, k_pair: K_PAIR, k_box: K_BOX };
const OTHER: [u8; 8] = *b"STB00002";
/// The same box but for its number.
const OTHER_HOME: Home = Home { stb: StbId::new(OTHER), slot: 0, ..HOME };

/// The demo's operator with five more boxes. Three have a slot of the card beside its own box; the
/// fifth and sixth come into the slots of the first two, in whose place their pairings stand in the
/// file.
fn operator(newest: u8) -> Operator {
    let demo = include_str!("../../../examples/demo/operator.toml");
    let (text, own_pairing) = demo.split_at(demo.find("[[pairing]]").unwrap());
    let mut text = text.to_owned();
    let signing = "key = \"4242424242424242424242424242424242424242424242424242424242424242\"";
    text += &format!("\n[signing_key]\nepoch = 1\n{signing}\n");
    let slot = |n: u8| (n - 1) % 4;
    if slot(newest) != 0 || newest == 1 {
        text += own_pairing;
    }
    for n in 2..=6 {
        let id = format!("53544230303030{:02x}", b'0' + n);
        text += &format!(
            "[[box]]\nstb_id = \"{id}\"\nepoch = 1\nsuite = 2\n\
             box_key = \"606162636465666768696a6b6c6d6e6f\"\n\
             ladder_key = \"707172737475767778797a7b7c7d7e7f\"\n",
        );
        if n == newest || n <= 4 && slot(n) != slot(newest) {
            text += &format!(
                "[[pairing]]\ncard = \"0102030405060708\"\nbox = \"{id}\"\nslot = {}\n\
                 sequence = {n}\nk_pair = \"{n:02x}{}\"\nk_cw = \"{n:02x}{}\"\n",
                slot(n),
                "a1".repeat(15),
                "b1".repeat(15),
            );
        }
    }
    Operator::parse(Path::new("operator.toml"), &text).unwrap()
}

/// The operator when this box was paired last.
fn operator_of(stb: [u8; 8]) -> Operator {
    operator(stb[7] - b'0')
}

/// A message of the head-end.
fn message(number: u32, text: &str) -> Vec<u8> {
    let card = "card = \"0102030405060708\"\n";
    let text = if text.contains("all") { text.replace("all", "") } else { format!("{text}{card}") };
    let message = Message::parse(Path::new("message.toml"), &text).unwrap();
    let occasion = Occasion { sequence: number, time: CasTime::new(1), folder: Path::new("") };
    message.section(Senders::new(&operator(1)), occasion).unwrap()
}

fn box_line(stb: [u8; 8]) -> String {
    format!("box = \"{}\"\n", StbId::new(stb))
}

fn card_half(stb: [u8; 8]) -> Vec<u8> {
    Senders::new(&operator_of(stb)).card_half(Octets(CARD), Octets(stb)).unwrap()
}

fn box_half(stb: [u8; 8]) -> Vec<u8> {
    Senders::new(&operator_of(stb)).box_half(Octets(CARD), Octets(stb)).unwrap()
}

/// The demo's card as it leaves the factory: with these messages, and with no pairing else.
fn card(factory: &[Vec<u8>]) -> Card {
    let point = p256_public();
    let text = include_str!("../../../examples/demo/card.toml");
    let text = format!("{text}\n[signature]\nepoch = 1\nkey = \"{point}\"\n");
    let perso = Personalisation::from_text(&text, Path::new("card.toml")).unwrap();
    let image = Card::personalise(&perso).unwrap();
    let mut card = demo::powered(Box::new(RamStore::new(image.octets())));
    demo::info(&mut card);
    for section in factory {
        let applied = ecm_emm::card::EmmResult::APPLIED;
        assert_eq!(demo::emm(&mut card, section), applied);
    }
    card
}

/// The public half of the operator's key, as a card's file has it.
fn p256_public() -> String {
    let key = Senders::new(&operator(1)).signing_key().unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    point.as_bytes()[1..].iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A crypto period of Cinema, open to every card that has its key.
fn air(stb: &mut Stb, period: u32) {
    let free = Criteria { free: true, ..Criteria::default() };
    let body = demo::body(NOON.saturating_add(5 * period), free);
    stb.section(&demo::seal_period(demo::CINEMA_SERVICE, 2 * period, &body));
}

/// The control word that a chip with this root makes of what the box has.
fn picture(stb: &Stb, root: [u8; 16]) -> bool {
    let (Some([ek2, ek1]), Some(ecw)) = (stb.ladder, stb.ecw) else { return false };
    let mut ladder = Ladder::new(&Key::new(root));
    ladder.load(&ek2, &ek1);
    ladder.cw(&ecw) == Some(ControlWord::new(CW_EVEN))
}

fn reason(stb: &Stb) -> AccessStatus {
    stb.access().reason
}

fn paired_at_the_factory() -> Stb {
    let storage = BTreeMap::from([("pairing.0".to_owned(), box_half(*STB.octets()))]);
    let mut stb = Stb::with_storage(HOME, storage, card(&[card_half(*STB.octets())]));
    air(&mut stb, 1);
    assert!(picture(&stb, CHIP));
    stb
}

/// T33: with the factory's files the picture is there; with another chip's root, or a box's key
/// that is another's, what was stored gives none.
#[test]
fn a_copied_storage_opens_nothing_elsewhere() {
    let stb = paired_at_the_factory();
    assert!(!picture(&stb, [0x71; 16]), "another chip makes another word of it");
    let thief = Home { k_box: [0x61; 16], ..HOME };
    let mut stolen =
        Stb::with_storage(thief, stb.storage.clone(), card(&[card_half(*STB.octets())]));
    air(&mut stolen, 1);
    assert_eq!(stolen.engine.card().state, CardState::Unpaired);
    assert_eq!((stolen.ladder, stolen.ecw), (None, None));
    assert_eq!(reason(&stolen), AccessStatus::PAIRING_UNREADABLE);
    // A box of another name, with all keys of the first.
    let mut renamed = Stb::with_storage(OTHER_HOME, stb.storage, card(&[card_half(*STB.octets())]));
    air(&mut renamed, 1);
    assert_eq!((renamed.ladder, renamed.ecw), (None, None));
    assert_eq!(reason(&renamed), AccessStatus::PAIRED_ELSEWHERE);
}

/// A box and a card that never met are paired by a broadcast, in whatever order the halves come.
#[test]
fn strangers_are_paired_over_the_air() {
    for card_first in [true, false] {
        let mut stb = Stb::with_storage(HOME, BTreeMap::new(), card(&[]));
        air(&mut stb, 1);
        assert_eq!(reason(&stb), AccessStatus::NOT_PAIRED);
        let (mut first, mut second) = (card_half(*STB.octets()), box_half(*STB.octets()));
        if !card_first {
            std::mem::swap(&mut first, &mut second);
        }
        stb.emm_for(&first, 5000);
        assert!(!picture(&stb, CHIP), "one half pairs nobody");
        stb.emm_for(&second, 10_000);
        assert_eq!(stb.engine.card().state, CardState::Ready);
        air(&mut stb, 2);
        assert!(picture(&stb, CHIP));
        // It lasts.
        let mut stb = stb.restart();
        air(&mut stb, 3);
        assert!(picture(&stb, CHIP));
    }
}

/// Un-pairing over the air: the card's half ends the session at once, the box's half too; what was
/// recorded of the pairing brings neither back.
#[test]
fn unpairing_ends_the_picture_and_lasts() {
    let mut stb = paired_at_the_factory();
    stb.emm_for(&message(40, "kind = \"unpair\"\n"), 2000);
    assert_eq!((stb.engine.card().state, stb.ecw), (CardState::Unpaired, None));
    assert_eq!(reason(&stb), AccessStatus::NOT_PAIRED);
    stb.emm_for(&card_half(*STB.octets()), 5000);
    air(&mut stb, 2);
    assert_eq!(reason(&stb), AccessStatus::NOT_PAIRED, "PAIR again, which is older");

    let mut stb = paired_at_the_factory();
    let unpair = format!("kind = \"box_unpair\"\n{}", box_line(*STB.octets()));
    stb.emm_for(&message(40, &unpair), 2000);
    assert_eq!((stb.engine.card().state, stb.ecw), (CardState::Unpaired, None));
    assert_eq!(reason(&stb), AccessStatus::PAIRED_ELSEWHERE);
    for restarted in [false, true] {
        stb.emm_for(&box_half(*STB.octets()), 5000);
        air(&mut stb, 2);
        assert_eq!(stb.ecw, None, "BOX_PAIR again, which is older; after a restart: {restarted}");
        stb = stb.restart();
    }
}

/// T2: the same card in a second box gives it nothing, and says why.
#[test]
fn a_second_box_is_refused() {
    let mut stb = paired_at_the_factory();
    let card = stb.pull();
    let mut second = Stb::with_storage(OTHER_HOME, BTreeMap::new(), card);
    air(&mut second, 2);
    assert_eq!(second.engine.card().state, CardState::Unpaired);
    assert_eq!(reason(&second), AccessStatus::PAIRED_ELSEWHERE);
    // Its own half does not pair it: the card's is missing.
    second.emm_for(&box_half(OTHER), 10_000);
    air(&mut second, 3);
    assert_eq!(second.ecw, None);
    assert_eq!(reason(&second), AccessStatus::PAIRED_ELSEWHERE);
    second.emm_for(&card_half(OTHER), 10_000);
    air(&mut second, 4);
    assert!(picture(&second, CHIP));
}

/// T2: a card has four pairings; a fifth takes the place that the operator names, and the box that
/// had it opens nothing any more. The ECWs of one box are nothing to the others' ladders.
#[test]
fn a_fifth_pairing_takes_a_place() {
    let boxes: Vec<[u8; 8]> =
        (1..=5).map(|n| *format!("STB0000{n}").as_bytes().first_chunk().unwrap()).collect();
    let mut card = card(&[]);
    let watch = |card: Card, stb: [u8; 8]| {
        let home = Home { stb: StbId::new(stb), ..HOME };
        let storage = BTreeMap::from([("pairing.0".to_owned(), box_half(stb))]);
        let mut set = Stb::with_storage(home, storage, card);
        air(&mut set, 1);
        let seen = (picture(&set, CHIP), reason(&set), set.ladder, set.ecw);
        (set.pull(), seen)
    };
    for stb in &boxes[..4] {
        assert_eq!(demo::emm(&mut card, &card_half(*stb)), ecm_emm::card::EmmResult::APPLIED);
    }
    let mut seen = Vec::new();
    for stb in &boxes[..4] {
        let (out, (opens, _, ladder, ecw)) = watch(card, *stb);
        card = out;
        assert!(opens, "{stb:?}");
        seen.push((ladder.unwrap(), ecw.unwrap()));
    }
    for (n, (ladder, _)) in seen.iter().enumerate() {
        for (m, (_, ecw)) in seen.iter().enumerate() {
            let mut chip = Ladder::new(&Key::new(CHIP));
            chip.load(&ladder[0], &ladder[1]);
            let opened = chip.cw(ecw) == Some(ControlWord::new(CW_EVEN));
            assert_eq!(opened, n == m, "the ECW of box {m} in the ladder of box {n}");
        }
    }
    card.power_on();
    demo::info(&mut card);
    assert_eq!(demo::emm(&mut card, &card_half(boxes[4])), ecm_emm::card::EmmResult::APPLIED);
    let (card, (opens, ..)) = watch(card, boxes[4]);
    assert!(opens);
    let (card, (opens, ..)) = watch(card, boxes[0]);
    assert!(!opens, "its place is the fifth's");
    let (_, (opens, ..)) = watch(card, boxes[1]);
    assert!(opens);
}

/// T33: a stolen box is listed out for all cards while it shows a picture: it ends at once, with a
/// reason, whatever recorded pairings are played; found again, it is lifted.
#[test]
fn a_stolen_box_shows_nothing() {
    let mut stb = paired_at_the_factory();
    let bar = |number: u32, barred: bool| {
        let text = format!(
            "kind = \"box_bar\"\nbarred = {barred}\nnumber = {number}\n{}all",
            box_line(*STB.octets())
        );
        message(60 + number, &text)
    };
    stb.emm_for(&bar(1, true), 2000);
    assert_eq!((stb.engine.card().state, stb.ecw), (CardState::Unpaired, None));
    assert_eq!(reason(&stb), AccessStatus::NOT_PAIRED);
    stb.emm_for(&card_half(*STB.octets()), 5000);
    stb.emm_for(&box_half(*STB.octets()), 5000);
    let mut stb = stb.restart();
    air(&mut stb, 2);
    assert_eq!((reason(&stb), stb.ecw), (AccessStatus::NOT_PAIRED, None));
    stb.emm_for(&bar(2, false), 10_000);
    air(&mut stb, 3);
    assert!(picture(&stb, CHIP));
}

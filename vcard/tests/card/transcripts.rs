// SPDX-License-Identifier: Apache-2.0
//! Sessions recorded with an applet of others, played to our card: with its keys, versions and
//! random numbers ours answers octet for octet alike, but where `docs/spec/purse.md` section 6 says
//! otherwise.

use cam_types::Aid;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use system_tests::demo::*;
use vcard::nvm::RamStore;
use vcard::{Card, Personalisation, Random};

const SESSIONS: &[(&str, &str)] = &[
    ("load", include_str!("../../../wallet/tests/vectors/applet-01-load.json")),
    ("purchase", include_str!("../../../wallet/tests/vectors/applet-02-purchase.json")),
    ("prove", include_str!("../../../wallet/tests/vectors/applet-05-prove.json")),
    ("PIN", include_str!("../../../wallet/tests/vectors/applet-07-pin.json")),
];

fn octets(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
}

/// A card with the applet's keys and versions, an empty purse, its PIN, and its random numbers.
fn card_of(session: &Value) -> Card {
    let mut file = file("")
        .replace("balance = 10000", "balance = 0")
        .replace("terminal_pin_free_per_purchase = 5000", "")
        .replace("pin = \"40962718\"", "pin = \"123456\"");
    let (head, mut keys) = file.split_once("[[key]]\nrole = \"purchase\"").unwrap();
    let mut text = head.to_owned();
    keys = &keys[keys.find("# DAMK").unwrap()..];
    for (role, name, epoch) in [("purchase", "DPK", 1), ("load", "DLK", 2), ("tac", "DTK", 1)] {
        let value = session["keys"][name].as_str().unwrap();
        text += &format!(
            "[[key]]\nrole = \"{role}\"\nsuite = 1\nepoch = {epoch}\nvalue = \"{value}\"\n"
        );
    }
    text += keys;
    file = text;
    let perso = Personalisation::from_text(&file, std::path::Path::new("card.toml")).unwrap();
    let image = Card::personalise(&perso).unwrap();
    let recorded: VecDeque<u8> = session["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| step["fields"].get("rand"))
        .flat_map(octets)
        .collect();
    let recorded = Arc::new(Mutex::new(recorded));
    let random = Random::new(move |octets| {
        octets.fill_with(|| recorded.lock().unwrap().pop_front().expect("no more random numbers"));
    });
    let mut card = Card::with_random(Box::new(RamStore::new(image.octets())), random).unwrap();
    card.power_on();
    assert_eq!(select(&mut card, Aid::PURSE.octets()), 0x9000);
    card
}

/// The commits of a session so far, by type and by the number that our log shows: MAC and TAC.
type Proofs = BTreeMap<(u8, [u8; 2]), Vec<u8>>;

/// Our answer to a recorded command, from the applet's, and the command as we number transactions.
fn ours(step: &Value, proofs: &Proofs) -> (Vec<u8>, Vec<u8>) {
    let mut command = octets(&step["capdu"]);
    let mut data = octets(&step["rapdu"]);
    let mut sw = octets(step.get("spec_sw").unwrap_or(&step["sw"]));
    match command[..] {
        // A wrong PIN is 63Cx, which nobody takes for a wrong length.
        [0x00, 0x20, ..] if sw[0] == 0x6C => sw = vec![0x63, 0xC0 | sw[1]],
        // The log shows the number after the transaction; so does the proof, at any time, with
        // MAC2.
        [0x00, 0xB2, ..] => data[1] += 1,
        [0x80, 0x5A, 0x00, kind, 0x02, ..] => {
            command[6] += 1;
            (data, sw) = match proofs.get(&(kind, [command[5], command[6]])) {
                Some(proof) => (proof.clone(), vec![0x90, 0x00]),
                None => (Vec::new(), vec![0x94, 0x06]),
            };
        }
        _ => {}
    }
    data.append(&mut sw);
    (command, data)
}

#[test]
fn our_card_answers_like_the_applet() {
    let mut played = 0;
    for (name, text) in SESSIONS {
        let session: Value = serde_json::from_str(text).unwrap();
        let mut card = card_of(&session);
        let mut proofs = Proofs::new();
        let mut numbers = BTreeMap::from([(0x02, 0_u16), (0x06, 0)]);
        for step in session["steps"].as_array().unwrap() {
            if step["control"] == "RESET" {
                card.power_on();
                assert_eq!(select(&mut card, Aid::PURSE.octets()), 0x9000);
                continue;
            }
            let recorded = octets(&step["capdu"]);
            // SELECT by another name, and the applet's own set-up.
            if matches!(recorded[..2], [0x00, 0xA4 | 0xD6 | 0xDC] | [0x80, 0xE0 | 0x26]) {
                continue;
            }
            let (command, expected) = ours(step, &proofs);
            let response = card.transmit(&command).unwrap();
            assert_eq!(response, expected, "{name}: {}", step["name"]);
            played += 1;
            let kind = match recorded[1] {
                0x52 => 0x02,
                0x54 => 0x06,
                _ => continue,
            };
            let number = numbers.get_mut(&kind).unwrap();
            *number += 1;
            let (tac, mac2) = response[..response.len() - 2].split_at(4);
            let mac = if mac2.is_empty() { &[0; 4] } else { mac2 };
            proofs.insert((kind, number.to_be_bytes()), [mac, tac].concat());
        }
    }
    assert_eq!(played, 43);
}

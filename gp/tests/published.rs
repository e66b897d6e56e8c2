// SPDX-License-Identifier: Apache-2.0
//! SCP03 against values published with pySim and recorded between pySim and a model card.

use cam_types::{Key, Secret, StatusWord};
use gp::kdf_cmac;
use gp::scp03::{Initialize, Level, Mode, Session, StaticKeys, card};
use serde_json::Value;

fn load(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn key(octets: &[u8]) -> Key {
    Secret::new(octets.try_into().unwrap())
}

fn entries(file: &Value) -> &Vec<Value> {
    file["scp03"].as_array().unwrap()
}

/// AES-128, -192 and -256: session keys and card cryptogram.
#[test]
fn session_keys() {
    let file = load(include_str!("vectors/published.json"));
    let mut checked = 0;
    for v in entries(&file) {
        let host = hex(&v["init_update"])[5..13].to_vec();
        let response = hex(&v["init_update_rsp"]);
        let context = [&host, &response[13..21]].concat();
        for (static_key, constant, session_key) in
            [("enc", 0x04, "s_enc"), ("mac", 0x06, "s_mac"), ("mac", 0x07, "s_rmac")]
        {
            let expected = hex(&v[session_key]);
            let mut got = vec![0; expected.len()];
            kdf_cmac(&hex(&v[static_key]), constant, &context, &mut got).unwrap();
            assert_eq!(got, expected, "{} {session_key}", v["name"]);
            checked += 1;
        }
        for (constant, cryptogram) in [(0x00, "card_cryptogram"), (0x01, "host_cryptogram")] {
            let mut got = [0; 8];
            kdf_cmac(&hex(&v["s_mac"]), constant, &context, &mut got).unwrap();
            assert_eq!(got.as_slice(), hex(&v[cryptogram]), "{} {cryptogram}", v["name"]);
        }
    }
    assert_eq!(checked, 27);
}

fn keys_of(v: &Value) -> StaticKeys {
    StaticKeys { enc: key(&hex(&v["enc"])), mac: key(&hex(&v["mac"])), dek: key(&hex(&v["dek"])) }
}

fn published(v: &Value) -> Session {
    let command = hex(&v["init_update"]);
    let level = Level::new(v["level"].as_u64().unwrap() as u8).unwrap();
    let challenge = command[5..13].try_into().unwrap();
    let initialize = Initialize::new(keys_of(v), command[2], challenge).with_level(level);
    assert_eq!(initialize.command(), command);
    let open = initialize.answer(&hex(&v["init_update_rsp"])).unwrap();
    assert_eq!(open.command(), hex(&v["ext_auth"]), "{}", v["name"]);
    open.finish(StatusWord::OK).unwrap()
}

/// AES-128: the terminal's commands and the card's answers at levels 03, 11 and 33.
#[test]
fn terminal_against_published() {
    let file = load(include_str!("vectors/published.json"));
    let mut out = Vec::new();
    let mut commands = 0;
    for v in entries(&file).iter().filter(|v| hex(&v["enc"]).len() == 16) {
        let mut session = published(v);
        for name in ["get_eid", "case1", "case2", "case3", "case4"] {
            let plain = hex(&v["apdus"][name]["plain"]);
            let wrapped = hex(&v["apdus"][name]["wrapped"]);
            let data = match plain.len() {
                0..=5 => &[][..],
                _ => &plain[5..5 + usize::from(plain[4])],
            };
            session.wrap(plain[0], plain[1], plain[2], plain[3], data, &mut out).unwrap();
            // The published host leaves Le out where the plain command had none.
            assert_eq!(out[..wrapped.len()], wrapped, "{} {name}", v["name"]);
            assert!(out.len() - wrapped.len() <= 1);
            commands += 1;
            if let Some(response) = v["apdus"][name].get("response_wrapped") {
                let response = [hex(response), vec![0x90, 0x00]].concat();
                assert_eq!(session.unwrap(&response, &mut out), Ok(StatusWord::OK));
                assert_eq!(out, hex(&v["apdus"][name]["response_plain"]));
            }
        }
    }
    assert_eq!(commands, 15);
}

fn transcript_keys() -> StaticKeys {
    let run = |first: u8| Secret::new(core::array::from_fn(|i| first + i as u8));
    StaticKeys { enc: run(0x00), mac: run(0x10), dek: run(0x20) }
}

fn terminal(level: Level, mode: Mode, challenge: &[u8]) -> Initialize {
    match mode {
        Mode::S8 => Initialize::new(transcript_keys(), 0x30, challenge.try_into().unwrap())
            .with_level(level),
        Mode::S16 => {
            Initialize::wide(transcript_keys(), 0x30, level, challenge.try_into().unwrap())
        }
    }
}

/// Every SCP03 dialogue, both ends: our terminal sends what pySim sent and takes what the model
/// card answered; our card takes what pySim sent and answers what the model card answered.
#[test]
fn transcripts() {
    let file = load(include_str!("vectors/transcripts.json"));
    let aid = hex(&file["aid"]);
    let (mut pseudo_random, mut random) = (0, 0);
    for t in file["transcripts"].as_array().unwrap() {
        if t["scp"] != "SCP03" {
            continue;
        }
        let name = format!("{} {} {}", t["card"], t["level"], t["s_mode"]);
        let level = Level::new(t["level"].as_u64().unwrap() as u8).unwrap();
        let apdus: Vec<(Vec<u8>, Vec<u8>)> = t["apdus"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (hex(&pair[0]), hex(&pair[1])))
            .collect();
        let (initialize_command, initialize_response) = &apdus[1];
        let host = &initialize_command[5..initialize_command.len() - 1];
        let mode = Mode::of_challenge(host.len()).unwrap();
        let initialize_data = &initialize_response[..initialize_response.len() - 2];

        // The terminal.
        let initialize = terminal(level, mode, host);
        assert_eq!(initialize.command(), *initialize_command, "{name}");
        let open = initialize.answer(initialize_data).unwrap();
        let authenticate = &apdus[2].0;
        assert_eq!(open.command(), authenticate.as_slice(), "{name}");
        let mut session = open.finish(StatusWord::OK).unwrap();

        // The card.
        let challenge = if initialize_data[12] == 0x70 {
            pseudo_random += 1;
            let sequence = initialize_data[initialize_data.len() - 3..].try_into().unwrap();
            card::Challenge::pseudo_random(&transcript_keys(), host, sequence, &aid).unwrap()
        } else {
            random += 1;
            let octets = &initialize_data[13..13 + mode.octets()];
            card::Challenge::random(&transcript_keys(), host, octets).unwrap()
        };
        let diversification = initialize_data[..10].try_into().unwrap();
        assert_eq!(challenge.answer(diversification, 0x30), initialize_data, "{name}");
        let header = authenticate[..4].try_into().unwrap();
        let mut card = challenge.authenticate(header, &authenticate[5..]).unwrap();
        assert_eq!(card.level(), level);

        let (mut plain, mut answer, mut wrapped, mut replied) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (command, response) in &apdus[3..] {
            let header: [u8; 4] = command[..4].try_into().unwrap();
            let data = &command[5..5 + usize::from(command[4])];
            card.unwrap(header, data, &mut plain).unwrap();
            let [cla, ins, p1, p2] = header;
            session.wrap(cla & !0x04, ins, p1, p2, &plain, &mut wrapped).unwrap();
            assert_eq!(wrapped[..5 + data.len()], command[..5 + data.len()], "{name}");
            assert_eq!(session.unwrap(response, &mut answer), Ok(StatusWord::OK), "{name}");
            card.wrap(&answer, StatusWord::OK, &mut replied).unwrap();
            assert_eq!(replied, *response, "{name}");
        }
    }
    assert_eq!((pseudo_random, random), (6, 6));
}

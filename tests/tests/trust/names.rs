// SPDX-License-Identifier: Apache-2.0
//! What air and antenna tell of a card: neither its number nor what it is called on the other one.

use headend::emm::Senders;
use headend::files::operator::Operator;
use headend::files::schedule::Schedule;
use headend::message::Message;
use headend::message::kind::Occasion;
use headend::package::package;
use headend::stream::{self, Stream};
use hex_literal::hex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use system_tests::demo;
use vcard::Interface;

const CARD: [u8; 8] = hex!("0102030405060708");

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// The number as anybody might write it.
fn codings(number: [u8; 8]) -> Vec<(&'static str, Vec<u8>)> {
    let text =
        |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let lower = text(&number);
    let backwards: Vec<u8> = number.iter().rev().copied().collect();
    let swapped: Vec<u8> = number.iter().map(|octet| octet.rotate_left(4)).collect();
    let inverted: Vec<u8> = number.iter().map(|octet| !octet).collect();
    let decimal = u64::from_be_bytes(number).to_string();
    let padded = if decimal.len() % 2 == 1 { format!("0{decimal}") } else { decimal.clone() };
    let bcd =
        padded.as_bytes().chunks(2).map(|two| ((two[0] - b'0') << 4) | (two[1] - b'0')).collect();
    let wide = lower.bytes().flat_map(|octet| [0, octet]).collect();
    let spaced: Vec<String> = number.iter().map(|octet| format!("{octet:02X}")).collect();
    let base64 = base64(&number);
    vec![
        ("octets", number.to_vec()),
        ("octets backwards", backwards),
        ("nibbles swapped", swapped),
        ("inverted", inverted),
        ("lower case", lower.clone().into_bytes()),
        ("upper case", lower.to_uppercase().into_bytes()),
        ("with spaces", spaced.join(" ").into_bytes()),
        ("UTF-16", wide),
        ("decimal", decimal.into_bytes()),
        ("decimal, packed", bcd),
        ("base64", base64),
    ]
}

/// Of what the eight octets decide alone.
fn base64(octets: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let number = octets.iter().fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
    (0..10).map(|n| DIGITS[(number >> (58 - 6 * n) & 63) as usize]).collect()
}

/// In which codings it stands somewhere in there.
fn found(number: [u8; 8], recorded: &[u8]) -> Vec<&'static str> {
    let stands = |what: &[u8]| recorded.windows(what.len()).any(|window| window == what);
    codings(number).into_iter().filter(|(_, what)| stands(what)).map(|(name, _)| name).collect()
}

/// Every coding is found where it is planted, at the end of other octets.
#[test]
fn the_search_finds_what_is_planted() {
    for (name, what) in codings(CARD) {
        let recorded = [&[0xA5; 300][..], &what].concat();
        assert_eq!(found(CARD, &recorded).iter().filter(|other| **other == name).count(), 1);
        assert_eq!(found(CARD, &recorded[..recorded.len() - 1]).len(), 0, "{name}");
    }
}

/// T36: no broadcast names a card by its number: the demo's stream, by packet and by what the
/// packets of each PID carry; and every kind of message. The pseudonym is found there.
#[test]
fn the_air_does_not_say_the_card_number() {
    let operator = Operator::read(&example("demo/operator.toml")).unwrap();
    let schedule = Schedule::read(&example("demo/schedule.toml")).unwrap();
    let mut broadcast = Stream::read(&example("media/two-services.ts")).unwrap();
    package(&mut broadcast, &schedule, &operator).unwrap();
    let mut carried: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    for packet in broadcast.packets() {
        let payload = stream::payload(packet);
        carried.entry(stream::pid(packet).value()).or_default().extend(payload);
    }
    assert_eq!(found(CARD, broadcast.octets()), [""; 0]);
    for (pid, octets) in &carried {
        assert_eq!(found(CARD, octets), [""; 0], "PID {pid:04X}");
    }
    let pseudonym = *demo::PSEUDONYM.octets();
    assert_eq!(found(pseudonym, &carried[&0x0150]), ["octets"], "it is what the air says");

    for text in [
        "kind=\"grant\"\npackage=1\nstart=2026-01-01T00:00:00Z\nend=2027-01-01T00:00:00Z\nversion=1",
        "kind=\"revoke\"\npackage=1\nversion=3",
        "kind=\"key_deliver\"\nslot=1\nepoch=2",
        "kind=\"emm_level\"\nlevel=4",
        "kind=\"time_sync\"",
        "kind=\"pin_reset\"\npin=\"40962718\"",
        "kind=\"card_state\"\nblocked=true",
        "kind=\"report_request\"\nnonce=\"a102030405060709\"",
        "kind=\"refund\"\nevent=2001\nsequence=1\namount=\"12.00\"",
        "kind=\"osd\"\nid=1\ntext=\"hello\"",
        "kind=\"pair\"\nbox=\"5354423030303031\"",
        "kind=\"unpair\"",
        "kind=\"box_pair\"\nbox=\"5354423030303031\"",
        "kind=\"box_unpair\"\nbox=\"5354423030303031\"",
        "kind=\"box_bar\"\nbox=\"5354423030303031\"\nbarred=true\nnumber=1",
    ] {
        let text = format!("{text}\ncard=\"0102030405060708\"\n");
        let message = Message::parse(Path::new("message.toml"), &text).unwrap();
        let (time, folder) = (demo::NOON, Path::new(""));
        let section = message
            .section(Senders::new(&operator), Occasion { sequence: 9, time, folder })
            .unwrap();
        assert_eq!(found(CARD, &section), [""; 0], "{text}");
    }
}

/// T36: the antenna answers with neither number nor pseudonym: every instruction to every
/// application, and every record of every file.
#[test]
fn the_antenna_names_no_card() {
    let mut card = demo::card();
    let mut said = card.power_on_at(Interface::Contactless);
    let (mut asked, mut told) = (0, 0);
    let mut ask = |card: &mut vcard::Card, apdu: &[u8]| {
        let response = card.transmit(apdu).unwrap();
        asked += 1;
        told += usize::from(response.len() > 2);
        said.extend(response);
        said.extend([0xFF; 16]);
    };
    let aids = [cam_types::Aid::PURSE, cam_types::Aid::CAS, cam_types::Aid::ISSUER];
    for aid in aids.map(|aid| aid.octets().to_vec()).into_iter().chain([
        Vec::new(),
        b"1PAY.SYS.DDF01".to_vec(),
        b"2PAY.SYS.DDF01".to_vec(),
    ]) {
        let select = |card: &mut vcard::Card, ask: &mut dyn FnMut(&mut vcard::Card, &[u8])| {
            let mut apdu = vec![0x00, 0xA4, 0x04, 0x00, aid.len() as u8];
            apdu.extend(&aid);
            apdu.push(0);
            ask(card, &apdu);
        };
        for cla in [0x00, 0x80, 0x84, 0x04] {
            select(&mut card, &mut ask);
            for ins in 0..=0xFF {
                for parameters in [[0, 0], [0, 1], [1, 2], [0x9F, 0x36], [0, 0x66], [0, 0xE0]] {
                    ask(&mut card, &[cla, ins, parameters[0], parameters[1], 0]);
                    let data = [cla, ins, parameters[0], parameters[1], 4, 1, 2, 3, 4, 0];
                    ask(&mut card, &data);
                }
            }
        }
        select(&mut card, &mut ask);
        ask(&mut card, &hex!("805C000204"));
        ask(&mut card, &hex!("805000020B 01 00000000 53000000000110"));
        ask(&mut card, &hex!("805001020B 01 00000001 53000000000110"));
        ask(&mut card, &hex!("805A000902 000000"));
        for sfi in 0..=31 {
            ask(&mut card, &[0x00, 0xB0, 0x80 | sfi, 0, 0]);
            for record in 0..=16 {
                ask(&mut card, &[0x00, 0xB2, record, sfi << 3 | 4, 0]);
            }
        }
    }
    assert!(asked > 70_000 && told > 30, "{asked} commands, {told} with data");
    assert_eq!(found(CARD, &said), [""; 0]);
    assert_eq!(found(*demo::PSEUDONYM.octets(), &said), [""; 0]);
    // At the contacts it is there for the asking, and the search finds it.
    card.power_on();
    demo::select(&mut card, cam_types::Aid::CAS.octets());
    let (told, _) = demo::send(&mut card, &[0x80, ecm_emm::card::INS_INFO, 0, 0, 0]);
    assert_eq!(found(*demo::PSEUDONYM.octets(), &told), ["octets"]);
}

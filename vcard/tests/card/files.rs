// SPDX-License-Identifier: Apache-2.0
//! The purse's files: who reads what, and how commands name them.

use crate::purse::purse;
use cam_types::Aid;
use hex_literal::hex;
use system_tests::demo::*;
use vcard::nvm::RamStore;
use vcard::{Card, Interface};

/// EF 0015 of the demo's card.
const APPLICATION: [u8; 30] =
    hex!("0000000000001201 02 01 90000000000000004711 20260101 20361231 0000");

#[test]
fn public_data_comes_with_select() {
    for interface in [Interface::Contact, Interface::Contactless] {
        let mut card = card();
        card.power_on_at(interface);
        let apdu = [&hex!("00A4040009")[..], Aid::PURSE.octets(), &[0]].concat();
        let (fci, sw) = send(&mut card, &apdu);
        assert_eq!(sw, 0x9000);
        let name = hex!("6F35 8409 A00000000386980701 A528 5005 5055525345 9F0C1E");
        assert_eq!(fci, [&name[..], &APPLICATION].concat());
        assert_eq!(send(&mut card, &hex!("00B095001E")), (APPLICATION.to_vec(), 0x9000));
        // The serial alone, which diversifies keys.
        assert_eq!(send(&mut card, &hex!("00B0950A0A")).0, APPLICATION[10..20]);
        assert_eq!(send(&mut card, &hex!("00B0960000")).1, 0x6982, "the holder's data");
    }
}

/// The holder's data is for who knows the PIN.
#[test]
fn the_holder_is_private() {
    let more = "[purse.holder]\ncard_type = 1\nname = \"LI LEI\"\nid_number = \"1234567890\"\n";
    let mut perso = file("");
    perso.push_str(more);
    let perso = vcard::Personalisation::from_text(&perso, std::path::Path::new("card.toml"));
    let image = Card::personalise(&perso.unwrap()).unwrap();
    let mut card = powered(Box::new(RamStore::new(image.octets())));
    select(&mut card, Aid::PURSE.octets());
    assert_eq!(send(&mut card, &hex!("00B0960000")).1, 0x6982);
    assert_eq!(send(&mut card, &hex!("0020000004 40962718")).1, 0x9000);
    let (data, sw) = send(&mut card, &hex!("00B0960000"));
    let expected =
        [&hex!("0100")[..], b"LI LEI\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"1234567890\0\0\0\0\0\0", &[0]];
    assert_eq!((data, sw), (expected.concat(), 0x9000));
    select(&mut card, Aid::PURSE.octets());
    assert_eq!(send(&mut card, &hex!("00B0960000")).1, 0x6982, "a SELECT forgets the PIN");
}

/// A command, the beginning of its answer, and the status word.
type Exchange<'a> = (&'a [u8], &'a [u8], u16);

#[test]
fn files_are_selected_and_read() {
    let table: &[(&str, &[Exchange<'_>])] = &[
        ("nothing is selected", &[(&hex!("00B0000000"), &[], 0x6986)]),
        (
            "EF 0015 by its identifier",
            &[
                (
                    &hex!("00A4000002 0015 00"),
                    &hex!("6F0E 8002001E 820101 83020015 8801A8"),
                    0x9000,
                ),
                (&hex!("00B0000A0A"), &hex!("90000000000000004711"), 0x9000),
                (&hex!("00B0001D00"), &hex!("00"), 0x9000),
                (&hex!("00B0001E00"), &[], 0x6B00),
                (&hex!("00B0FFFF00"), &[], 0x6A86),
                (&hex!("00B07FFF00"), &[], 0x6B00),
                (&hex!("00B0001420"), &[], 0x6C0A),
            ],
        ),
        (
            "the record file",
            &[
                (
                    &hex!("00A4000002 0017 00"),
                    &hex!("6F0E 80020032 820105 83020017 8801B8"),
                    0x9000,
                ),
                (&hex!("00B2010400"), &hex!("211E"), 0x9000),
                (&hex!("00B2220000"), &hex!("2210"), 0x9000),
                (&hex!("00B0000000"), &[], 0x6981),
                (&hex!("00B0970000"), &[], 0x6981),
            ],
        ),
        (
            "the log",
            &[
                (
                    &hex!("00A4000002 0018 00"),
                    &hex!("6F0E 80020170 820106 83020018 8801C0"),
                    0x9000,
                ),
                (&hex!("00B2010400"), &[], 0x6A83),
                (&hex!("00B201AC00"), &[], 0x6981),
            ],
        ),
        (
            "no such file",
            &[
                (&hex!("00A4000002 0019 00"), &[], 0x6A82),
                (&hex!("00A4000002 3F01 00"), &[], 0x6A82),
                (&hex!("00A4000002 001F 00"), &[], 0x6A82),
                (&hex!("00A4000001 15 00"), &[], 0x6700),
                (&hex!("00A4000402 0015 00"), &[], 0x6A86),
                (&hex!("00B0990000"), &[], 0x6A82),
                (&hex!("00B0800000"), &[], 0x6986),
            ],
        ),
    ];
    for (name, dialogue) in table {
        let mut card = purse();
        for (apdu, beginning, sw) in *dialogue {
            let (data, got) = send(&mut card, apdu);
            assert_eq!(got, *sw, "{name}: {apdu:02X?}");
            assert!(data.starts_with(beginning), "{name}: {data:02X?}");
        }
    }
    // Files are the purse's: elsewhere SELECT knows names only.
    let mut card = card();
    assert_eq!(send(&mut card, &hex!("00A4000002 0015 00")).1, 0x6A86);
}

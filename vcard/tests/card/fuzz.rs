// SPDX-License-Identifier: Apache-2.0
//! Whatever comes in at the door: no panic, no 6F00, and without a session nothing changes (T16,
//! T24).

use cam_types::Aid;
use hex_literal::hex;
use proptest::prelude::*;
use system_tests::demo::*;
use vcard::Interface;

fn aid() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![Just(Aid::ISSUER.octets()), Just(Aid::CAS.octets()), Just(Aid::PURSE.octets())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_are_answered(aid in aid(), apdus in prop::collection::vec(any::<Vec<u8>>(), 1..20)) {
        let mut card = card();
        select(&mut card, aid);
        for apdu in apdus {
            let response = card.transmit(&apdu).unwrap();
            prop_assert!(response.len() >= 2);
            prop_assert!(!response.ends_with(&[0x6F, 0x00]));
        }
    }

    #[test]
    fn without_a_session_nothing_changes(
        aid in aid(),
        cla in prop_oneof![Just(0x00_u8), Just(0x80), Just(0x84), any::<u8>()],
        parameters: [u8; 2],
        data in prop::collection::vec(any::<u8>(), 0..255),
    ) {
        let mut card = card();
        select(&mut card, aid);
        for ins in 0..=0xFF {
            // A wrong PIN at the purse costs a try and a wrong MAC is counted, as they should.
            if aid == Aid::PURSE.octets() && matches!((cla, ins), (0x00, 0x20) | (0x80, 0x5E)) {
                continue;
            }
            let mut apdu = vec![cla, ins, parameters[0], parameters[1]];
            if !data.is_empty() {
                apdu.push(data.len() as u8);
                apdu.extend(&data);
            }
            let response = card.transmit(&apdu).unwrap();
            prop_assert!(response.len() >= 2);
            prop_assert!(!response.ends_with(&[0x6F, 0x00]));
        }
        prop_assert_eq!(card.status().page_writes, 0);
    }

    /// The parsers behind the seal and the session are reached as well.
    #[test]
    fn any_plaintext_in_a_session_is_answered(
        ins in prop_oneof![Just(0x20_u8), Just(0x24), Just(0x34), Just(0x36), Just(0x38), Just(0x3A)],
        p2 in 0..3_u8,
        data in prop::collection::vec(any::<u8>(), 0..230),
    ) {
        let mut card = card();
        let rights = card.inspect().unwrap().rights;
        let mut stb = Stb::open(&mut card);
        let _ = stb.send(&mut card, ins, p2, &data);
        prop_assert_eq!(card.inspect().unwrap().rights, rights);
        prop_assert_eq!(card.status().balance.fen(), 10_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// T24: whatever stands behind a genuine seal; an ECM is bought too. Beside it `fuzz/`.
    #[test]
    fn any_plaintext_of_an_ecm(
        first: u8,
        beginning in prop_oneof![Just(Vec::new()), Just(genuine_ecm())],
        rest in prop::collection::vec(any::<u8>(), 0..100),
        flip: Option<(prop::sample::Index, u8)>,
    ) {
        system_tests::plain::ecm(&altered(&[first], beginning, rest, flip));
    }

    /// T24: the same of an EMM, under every key that the card has; one that is signed is signed
    /// well. What is refused or put off changes no page.
    #[test]
    fn any_plaintext_of_an_emm(
        first: u8,
        seq in 0..3_u8,
        beginning in prop::sample::select(genuine_emms()),
        rest in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..60)],
        flip: Option<(prop::sample::Index, u8)>,
    ) {
        system_tests::plain::emm(&altered(&[first, seq], beginning, rest, flip));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Commands of the purse in any order, their parameters and lengths right or nearly so: all its
    /// machines are reached, and without a right MAC nothing moves.
    #[test]
    fn without_keys_no_money_moves(
        contactless: bool,
        commands in prop::collection::vec(purse_command(), 1..60),
    ) {
        let mut card = card();
        card.power_on_at(if contactless { Interface::Contactless } else { Interface::Contact });
        select(&mut card, Aid::PURSE.octets());
        let before = card.status();
        let mut tries = before.pin_tries;
        for apdu in commands {
            let response = card.transmit(&apdu).unwrap();
            prop_assert!((2..=258).contains(&response.len()));
            prop_assert!(!response.ends_with(&[0x6F, 0x00]));
            prop_assert!(card.status().pin_tries <= tries);
            tries = card.status().pin_tries;
        }
        let after = card.status();
        prop_assert_eq!(after.balance, before.balance);
        prop_assert_eq!(after.offline_sequence, before.offline_sequence);
        prop_assert_eq!(after.online_sequence, before.online_sequence);
        if contactless {
            // The tries of a host's MAC2, as often as there are any.
            prop_assert!(after.page_writes - before.page_writes <= 15 * 3);
        }
    }
}

fn altered(
    head: &[u8],
    mut plain: Vec<u8>,
    rest: Vec<u8>,
    flip: Option<(prop::sample::Index, u8)>,
) -> Vec<u8> {
    plain.extend(rest);
    if let Some((place, mask)) = flip
        && !plain.is_empty()
    {
        *place.get_mut(&mut plain) ^= mask;
    }
    [head, &plain].concat()
}

/// What the demo's cinema says, with control words of 8 octets.
fn genuine_ecm() -> Vec<u8> {
    let mut plain = hex!("0101").to_vec();
    plain.extend(NOON.to_be_bytes());
    plain.extend(hex!("0F00 FFFF 0000 0102030405060708 1112131415161718"));
    plain
}

/// A command of every kind: its tag, and a value as long as the parser takes.
fn genuine_emms() -> Vec<Vec<u8>> {
    let of = |(tag, _): &(u8, &str)| crate::forged::sample(TO_CARD, *tag);
    ecm_emm::emm::tag::ALL.iter().map(of).chain([Vec::new()]).collect()
}

/// The headers of all commands of the purse, with the length of their data.
const PURSE_COMMANDS: &[([u8; 4], usize)] = &[
    ([0x00, 0x20, 0x00, 0x00], 4),
    ([0x00, 0x84, 0x00, 0x00], 0),
    ([0x00, 0xA4, 0x00, 0x00], 2),
    ([0x00, 0xB0, 0x95, 0x00], 0),
    ([0x00, 0xB2, 0x01, 0xC4], 0),
    ([0x00, 0xB2, 0x21, 0xB8], 0),
    ([0x04, 0xD6, 0x95, 0x00], 8),
    ([0x04, 0xDC, 0x21, 0xB8], 36),
    ([0x80, 0x50, 0x00, 0x02], 11),
    ([0x80, 0x50, 0x01, 0x02], 11),
    ([0x80, 0x50, 0x03, 0x02], 11),
    ([0x80, 0x52, 0x00, 0x00], 11),
    ([0x80, 0x54, 0x01, 0x00], 15),
    ([0x80, 0x5A, 0x00, 0x09], 2),
    ([0x80, 0x5C, 0x00, 0x02], 0),
    ([0x80, 0x5E, 0x00, 0x00], 8),
    ([0x80, 0x5E, 0x01, 0x00], 9),
    ([0x80, 0xDC, 0x21, 0xB8], 32),
    ([0x80, 0xDC, 0x02, 0xBC], 18),
    ([0x84, 0x16, 0x00, 0x00], 4),
    ([0x84, 0x18, 0x00, 0x00], 4),
    ([0x84, 0x1E, 0x00, 0x00], 4),
    ([0x84, 0x24, 0x00, 0x00], 12),
];

/// Beginnings of data that get past the first look: key index and small amount, records, file,
/// PINs.
fn beginning() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![
        3 => Just(&[][..]),
        3 => Just(&[0x01, 0x00, 0x00][..]),
        1 => Just(&[0x01, 0x00, 0x00, 0x00, 0x00][..]),
        1 => Just(&[0x21, 0x1E][..]),
        1 => Just(&[0x22, 0x10][..]),
        1 => Just(&[0x00, 0x17][..]),
        1 => Just(&[0x11, 0x11, 0x22, 0x22, 0xFF, 0x12, 0x34, 0x56, 0x78][..]),
    ]
}

fn purse_command() -> impl Strategy<Value = Vec<u8>> {
    let nearly = |right: u8| prop_oneof![9 => Just(right), 1 => any::<u8>()];
    prop::sample::select(PURSE_COMMANDS).prop_flat_map(move |(header, len)| {
        let [cla, ins, p1, p2] = header;
        let len = prop_oneof![9 => Just(len), 1 => 0..255_usize];
        (nearly(p1), nearly(p2), len, beginning(), any::<[u8; 255]>(), any::<Option<u8>>())
            .prop_map(move |(p1, p2, len, beginning, rest, le)| {
                let mut apdu = vec![cla, ins, p1, p2];
                if len > 0 {
                    apdu.push(len as u8);
                    apdu.extend(beginning.iter().chain(&rest).take(len));
                }
                apdu.extend(le);
                apdu
            })
    })
}

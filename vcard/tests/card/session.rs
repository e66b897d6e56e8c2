// SPDX-License-Identifier: Apache-2.0
//! Sessions: who may open one, what works without, what ends it.

use cam_types::{Aid, Key, StatusWord, StbId};
use ecm_emm::card::{INS_ECM, INS_RIGHTS, INS_VERIFY};
use ecm_emm::emm::{EmmCommand, Pairing};
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::WrappedKey;
use gp::scp03::{Initialize, Level, ScpError, StaticKeys};
use hex_literal::hex;
use system_tests::demo::*;
use vcard::Interface;

#[test]
fn applications_are_selected_by_their_whole_name() {
    let mut card = card();
    for (aid, sw) in [
        (Aid::ISSUER.octets(), 0x9000),
        (Aid::CAS.octets(), 0x9000),
        (Aid::PURSE.octets(), 0x9000),
        (&hex!("A000000003000000")[..], 0x9000),
        (&Aid::CAS.octets()[..7], 0x6A82),
        (&hex!("F0535442434153 0100")[..], 0x6A82),
        (&hex!("F0535442434153 02")[..], 0x6A82),
    ] {
        assert_eq!(select(&mut card, aid), sw, "{aid:02X?}");
    }
    // An empty SELECT means the issuer's domain.
    let (fci, sw) = send(&mut card, &hex!("00A4040000"));
    assert_eq!((&fci[..4], sw), (&hex!("6F108408")[..], 0x9000));
}

/// T2: without the pairing key there is no session, and without a session nothing but INFO and EMM.
#[test]
fn only_a_paired_box_opens_a_session() {
    let mut card = card();
    let k_pair = Key::new(K_PAIR);
    for (kvn, key, stb, expected) in [
        (0x3E, &k_pair, STB, ScpError::Refused(StatusWord(0x6A88))),
        (0x30, &k_pair, STB, ScpError::Refused(StatusWord(0x6A88))),
        (0x3F, &k_pair, StbId::new(*b"STB00002"), ScpError::Authentication),
        (0x3F, &Key::new([0; 16]), STB, ScpError::Authentication),
    ] {
        let error = Stb::with_keys(&mut card, kvn, key, stb).err();
        assert_eq!(error, Some(expected), "{kvn:02X}");
    }
    assert_eq!(select(&mut card, Aid::CAS.octets()), 0x9000);
    for ins in [0x20, 0x24, 0x34, 0x38, 0x3A, 0x3C] {
        assert_eq!(send(&mut card, &[0x80, ins, 0, 0, 0]).1, 0x6982, "{ins:02X}");
        let wrapped = [0x84, ins, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(send(&mut card, &wrapped).1, 0x6982, "{ins:02X}");
    }
    assert_eq!(send(&mut card, &[0x80, 0x32, 0, 0, 0]).1, 0x9000);
    assert_eq!(send(&mut card, &[0x80, 0x3E, 0, 0, 0]), (vec![0x1D], 0x9000), "malformed");
    assert_eq!(send(&mut card, &[0x80, 0x3D, 0, 0, 0]).1, 0x6D00);
}

#[test]
fn a_session_below_full_protection_is_refused() {
    let mut card = card();
    for level in [0x01, 0x03, 0x11, 0x13] {
        assert_eq!(select(&mut card, Aid::CAS.octets()), 0x9000);
        let keys = ecm_emm::keys::pairing_keys(&Key::new(K_PAIR), STB);
        let initialize =
            Initialize::new(keys, 0x3F, *b"hostrand").with_level(Level::new(level).unwrap());
        let (answer, _) = send(&mut card, &initialize.command());
        assert_eq!(&answer[..13], &hex!("00000000000000000000 3F 03 60"));
        let open = initialize.answer(&answer).unwrap();
        assert_eq!(send(&mut card, open.command()).1, 0x6982, "{level:02X}");
    }
}

/// T18: a recorded session does not open again, and writes nothing (T19).
#[test]
fn a_recorded_session_cannot_be_played_back() {
    let mut card = card();
    let writes = card.status().page_writes;
    assert_eq!(select(&mut card, Aid::CAS.octets()), 0x9000);
    let keys = ecm_emm::keys::pairing_keys(&Key::new(K_PAIR), STB);
    let initialize = Initialize::new(keys, 0x3F, *b"hostrand");
    let first = initialize.command();
    let (answer, _) = send(&mut card, &first);
    let open = initialize.answer(&answer).unwrap();
    assert_eq!(send(&mut card, open.command()).1, 0x9000);
    send(&mut card, &first);
    assert_eq!(send(&mut card, open.command()).1, 0x6300);
    assert_eq!(send(&mut card, open.command()).1, 0x6985, "the challenge is used up");
    assert_eq!(card.status().page_writes, writes);
}

/// T17: whatever is changed, repeated or left out on the line ends the session.
#[test]
fn a_damaged_command_ends_the_session() {
    for bit in [0, 100, 300] {
        let mut card = card();
        let mut stb = Stb::open(&mut card);
        let mut apdu = stb.wrapped(INS_ECM, 0, 0, &news(NOON));
        apdu[5 + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(send(&mut card, &apdu).1, 0x6988);
        assert_eq!(stb.send(&mut card, INS_ECM, 0, &news(NOON)), Err(Failed::Status(0x6982)));
    }
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let apdu = stb.wrapped(INS_RIGHTS, 0, 1, &[]);
    assert_eq!(send(&mut card, &apdu).1, 0x9000);
    assert_eq!(send(&mut card, &apdu).1, 0x6988, "repeated");
}

#[test]
fn a_select_or_reset_ends_the_session() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    assert!(stb.send(&mut card, INS_RIGHTS, 1, &[]).is_ok());
    select(&mut card, Aid::CAS.octets());
    assert_eq!(stb.send(&mut card, INS_RIGHTS, 1, &[]), Err(Failed::Status(0x6982)));
    let mut stb = Stb::open(&mut card);
    card.power_off();
    assert!(card.transmit(&stb.wrapped(INS_RIGHTS, 0, 1, &[])).is_err());
    card.power_on();
    select(&mut card, Aid::CAS.octets());
    assert_eq!(stb.send(&mut card, INS_RIGHTS, 1, &[]), Err(Failed::Status(0x6982)));
}

/// UNPAIR, or another box in the slot, ends the slot's session at once.
#[test]
fn losing_its_pairing_ends_the_session() {
    let carrier = key(K_IND);
    let context = TO_CARD.header(1).key_context();
    let wrap = |octets| match carrier.wrap(&context, &KeyMaterial::from(Key::new(octets))) {
        WrappedKey::Short(wrapped) => wrapped,
        WrappedKey::Long(_) => panic!("a key of 16 octets"),
    };
    let other = Pairing {
        slot: 0,
        stb: StbId::new(*b"STB00002"),
        k_pair: wrap([7; 16]),
        k_cw: wrap([8; 16]),
        kcv: key([7; 16]).kcv(),
    };
    for command in [EmmCommand::Unpair(None), EmmCommand::Unpair(Some(0)), EmmCommand::Pair(other)]
    {
        let mut card = card();
        let mut stb = Stb::open(&mut card);
        assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[command])), EMM_APPLIED);
        assert_eq!(stb.send(&mut card, INS_ECM, 0, &news(NOON)), Err(Failed::Status(0x6982)));
        assert!(Stb::with_keys(&mut card, 0x3F, &Key::new(K_PAIR), STB).is_err());
    }
}

const EMM_APPLIED: ecm_emm::card::EmmResult = ecm_emm::card::EmmResult::APPLIED;

/// The base for administration: SCP03 with pseudo-random challenges, one write for each session.
#[test]
fn the_issuers_domain_opens_a_session_of_its_own() {
    let mut card = card();
    let keys = StaticKeys {
        enc: Key::new(hex!("0a1a2a3a4a5a6a7a8a9aaabacadaeafa")),
        mac: Key::new(hex!("0b1b2b3b4b5b6b7b8b9babbbcbdbebfb")),
        dek: Key::new(hex!("0c1c2c3c4c5c6c7c8c9cacbcccdcecfc")),
    };
    for sequence in 0..2 {
        assert_eq!(select(&mut card, Aid::ISSUER.octets()), 0x9000);
        let initialize = Initialize::new(keys.clone(), 0x30, *b"hostrand");
        let (answer, sw) = send(&mut card, &initialize.command());
        assert_eq!(sw, 0x9000);
        assert_eq!(&answer[10..13], &hex!("300370"));
        assert_eq!(&answer[29..], &[0, 0, sequence]);
        let commits = card.status().commits;
        let open = initialize.answer(&answer).unwrap();
        assert_eq!(send(&mut card, open.command()).1, 0x9000);
        assert_eq!(card.status().commits, commits + 1);
        let mut session = open.finish(StatusWord::OK).unwrap();
        let (mut apdu, mut plain) = (Vec::new(), Vec::new());
        session.wrap(0x80, 0xCA, 0x00, 0xE0, &[], &mut apdu).unwrap();
        let response = card.transmit(&apdu).unwrap();
        assert_eq!(session.unwrap(&response, &mut plain), Ok(StatusWord::OK));
        assert_eq!(plain, hex!("E012 C00401308810 C00402308810 C00403308810"));
    }
}

/// T34: over the antenna there is a purse and nothing else.
#[test]
fn contactless_there_is_only_the_purse() {
    let mut card = card();
    card.power_on_at(Interface::Contactless);
    select(&mut card, Aid::CAS.octets());
    for ins in [0x20, 0x24, 0x32, 0x34, 0x36, 0x38, 0x3A, 0x50, 0x82] {
        assert_eq!(send(&mut card, &[0x80, ins, 0, 0, 0]).1, 0x6985, "{ins:02X}");
    }
    select(&mut card, Aid::ISSUER.octets());
    assert_eq!(send(&mut card, &hex!("80CA00E000")).1, 0x6985);
    assert_eq!(send(&mut card, &hex!("8050300008 0000000000000000 00")).1, 0x6985);
    assert_eq!(select(&mut card, Aid::PURSE.octets()), 0x9000);
    assert_eq!(send(&mut card, &hex!("805C000204")), (hex!("00002710").to_vec(), 0x9000));
    assert_eq!(send(&mut card, &hex!("0020000004 40962718")).1, 0x6985);
}

/// T15, T28: three tries, whatever happens between them.
#[test]
fn a_pin_has_three_tries() {
    let mut card = card();
    for left in [2, 1, 0] {
        let mut stb = Stb::open(&mut card);
        let answer = stb.verify(&mut card, WRONG_PIN).unwrap();
        assert_eq!((answer.right, answer.tries), (false, left));
        card.power_on();
    }
    let mut stb = Stb::open(&mut card);
    assert_eq!(stb.verify(&mut card, PIN), Err(Failed::Status(0x6983)));
    assert_eq!(stb.send(&mut card, INS_VERIFY, 0, &[0; 8]), Err(Failed::Status(0x6A80)));
}

#[test]
fn a_right_pin_brings_the_tries_back_and_changes_the_pin() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    assert!(!stb.verify(&mut card, WRONG_PIN).unwrap().right);
    let answer = stb.verify(&mut card, PIN).unwrap();
    assert_eq!((answer.right, answer.tries), (true, 3));
    let mut change = hex!("28 40962718 FFFFFF").to_vec();
    change.extend(hex!("24 1234 FFFFFFFFFF"));
    assert_eq!(stb.send(&mut card, 0x24, 0, &change), Ok(vec![0, 3]));
    assert!(!stb.verify(&mut card, PIN).unwrap().right);
    assert!(stb.verify(&mut card, b"1234").unwrap().right);
}

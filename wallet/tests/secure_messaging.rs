// SPDX-License-Identifier: Apache-2.0
//! Commands under secure messaging, and the PIN's, against numbers of real cards where there are
//! any.

use cam_types::{DecodeError, Secret, StatusWord};
use hex_literal::hex;
use wallet::cipher::triple_des_encrypt;
use wallet::compound::Update;
use wallet::keys::SessionKey;
use wallet::mac::{mac, retail_mac};
use wallet::pin::{Change, Pin, PinAnswer, PinError, ReloadKey, Verify, unblock, unblocked};
use wallet::refusal::Step;
use wallet::secure_messaging::{Challenge, ChallengeLength, Order, SecureKey, SecuredError};
use wallet::{Reason, Refusal};

const KEY: [u8; 16] = hex!("00112233445566778899AABBCCDDEEFF");

fn double() -> SecureKey {
    SecureKey::Double(Secret::new(KEY))
}

fn pin(digits: &str) -> Pin {
    Pin::from_digits(digits).unwrap()
}

/// Source: vectors V4b and V4c, and V11a to V11d: WRITE KEY commands as cards took them.
#[test]
fn a_key_is_enciphered_and_its_command_secured() {
    let enciphered = double().encipher(&hex!("22000000112233445566778899AABBCCDDEEFF"));
    assert_eq!(enciphered, hex!("DCC0BB5793ABFCA2CA8C1624822F6E01A86A0B5CBED191DD"));
    let challenge = ChallengeLength::Four.answer(&hex!("5D72B3FD 9000")).unwrap();
    assert_eq!(challenge, Challenge::new(hex!("5D72B3FD00000000")));
    let mut command = hex!("84D400001C").to_vec();
    command.extend(&enciphered);
    command.extend(hex!("8A9D4ADB"));
    assert_eq!(double().secure(challenge, hex!("84D40000"), &enciphered), command);

    let single = SecureKey::Single(Secret::new([0xFF; 8]));
    let enciphered = single.encipher(&hex!("F9F0F0AAFF1122334455667788"));
    assert_eq!(enciphered, hex!("7C87BC23140021B3AFEA67E6359DDCFE"));
    for (challenge, header, mac) in [
        (hex!("4C45BAB900000000"), hex!("84D40102"), hex!("D7C943F6")),
        (hex!("EF36481800000000"), hex!("84D43901"), hex!("9095E4E1")),
    ] {
        let command = single.secure(Challenge::new(challenge), header, &enciphered);
        assert_eq!(command[..5], [&header[..], &[0x14]].concat());
        assert_eq!(command[21..], mac);
    }
}

/// Blocks that are full are not padded.
#[test]
fn a_full_block_is_not_padded() {
    assert_eq!(double().encipher(&[0x12; 7]).len(), 8);
    assert_eq!(double().encipher(&[0x12; 8]).len(), 16);
}

/// What was enciphered comes back, of any length; other blocks do not pass for it.
#[test]
fn a_card_deciphers() {
    let data: Vec<u8> = (1..=40).collect();
    for key in [double(), SecureKey::Single(Secret::new([0x88; 8]))] {
        for len in 0..=data.len() {
            let blocks = key.encipher(&data[..len]);
            assert_eq!(*key.decipher(&blocks).unwrap(), data[..len]);
            assert_eq!(key.decipher(&blocks[1..]), None);
        }
        assert_eq!(key.decipher(&[]), None);
    }
    for plain in [
        hex!("0312345681000000"),
        hex!("0312345680000001"),
        hex!("0312345600000000"),
        hex!("0812345680000000"),
        hex!("FF12345680000000"),
    ] {
        assert_eq!(double().decipher(&triple_des_encrypt(&Secret::new(KEY), plain)), None);
    }
}

#[test]
fn challenges_of_both_kinds() {
    assert_eq!(ChallengeLength::Four.command(), hex!("00 84 00 00 04"));
    assert_eq!(ChallengeLength::Eight.command(), hex!("00 84 00 00 08"));
    let long = hex!("1122334455667788 9000");
    let read = ChallengeLength::Eight.answer(&long);
    assert_eq!(read, Ok(Challenge::new(hex!("1122334455667788"))));
    let wrong = SecuredError::Malformed(DecodeError::Missing("challenge of the length asked for"));
    assert_eq!(ChallengeLength::Four.answer(&long), Err(wrong));
    let unknown = Refusal::new(Step::Read, StatusWord(0x6D00));
    assert_eq!(ChallengeLength::Four.answer(&hex!("6D00")), Err(SecuredError::Refused(unknown)));
}

#[test]
fn orders_of_the_maintenance_key() {
    let iv = hex!("5D72B3FD00000000");
    for (order, header) in [
        (Order::Block, hex!("84 1E 00 00 04")),
        (Order::BlockForGood, hex!("84 1E 00 01 04")),
        (Order::Unblock, hex!("84 18 00 00 04")),
        (Order::BlockCard, hex!("84 16 00 00 04")),
    ] {
        let mut expected = header.to_vec();
        expected.extend(retail_mac(&Secret::new(KEY), iv, &header).0);
        assert_eq!(order.command(&double(), Challenge::new(iv)), expected);
        assert_eq!(order.answer(Some(&hex!("9000"))), Ok(()));
        assert_eq!(order.answer(None), Err(SecuredError::Lost));
        for (status, reason) in [
            (0x6988, Reason::WrongMac),
            (0x6982, Reason::WrongMac),
            (0x9302, Reason::WrongMac),
            (0x9303, Reason::BlockedForGood),
            (0x6985, Reason::Conditions),
            (0x6A86, Reason::Unknown),
        ] {
            let Err(SecuredError::Refused(refusal)) = order.answer(Some(&u16::to_be_bytes(status)))
            else {
                panic!("{status:04X} is no refusal")
            };
            assert_eq!(refusal, Refusal { reason, status: StatusWord(status) });
        }
    }
}

#[test]
fn a_record_for_a_file_under_line_protection() {
    let iv = hex!("1122334455667788");
    let protect = |record: &[u8]| {
        Update::by_number(0x17, 2, record).unwrap().protected(&double(), Challenge::new(iv))
    };
    assert!(protect(&[0x11; 251]).is_ok());
    assert!(protect(&[0x11; 252]).is_err());
    let expected = retail_mac(&Secret::new(KEY), iv, &hex!("84 DC 02 BC 07 AABBCC"));
    let command = protect(&hex!("AABBCC")).unwrap().command();
    assert_eq!(command[..8], hex!("84 DC 02 BC 07 AABBCC"));
    assert_eq!(command[8..], expected.0);
}

#[test]
fn pin_commands() {
    assert_eq!(Verify::new(0, &pin("1234")).command(), hex!("00 20 00 00 02 1234"));
    assert_eq!(Verify::new(1, &pin("12345")).command(), hex!("00 20 00 01 03 12345F"));
    let twelve = pin("123456789012");
    assert_eq!(Verify::new(0, &twelve).command(), hex!("00 20 00 00 06 123456789012"));
    let change = Change::new(0, &pin("123456"), &pin("4321"));
    assert_eq!(change.command(), hex!("80 5E 01 00 06 123456 FF 4321"));

    // The halves of the reload key are folded.
    let folded = SessionKey::new(Secret::new([0x88; 8]));
    let reload = ReloadKey::new(&Secret::new(KEY)).reload(0, &pin("1234"));
    assert_eq!(reload[..7], hex!("80 5E 00 00 06 1234"));
    assert_eq!(reload[7..], folded.mac(&hex!("1234")).0);

    let iv = hex!("5D72B3FD00000000");
    let command = unblock(0, &pin("123456"), &double(), Challenge::new(iv));
    assert_eq!(command[..5], hex!("84 24 00 00 0C"));
    assert_eq!(command[5..13], double().encipher(&hex!("123456")));
    assert_eq!(command[13..], retail_mac(&Secret::new(KEY), iv, &command[..13]).0);
    let single = SecureKey::Single(Secret::new([0x88; 8]));
    let command = unblock(0, &pin("123456"), &single, Challenge::new(iv));
    assert_eq!(command[13..], mac(&Secret::new([0x88; 8]), iv, &command[..13]).0);
    assert_eq!(unblocked(Some(&hex!("9000"))), Ok(()));
    assert_eq!(unblocked(None), Err(SecuredError::Lost));
}

#[test]
fn texts_that_are_no_pin() {
    for (text, error) in [
        ("", PinError::Length(0)),
        ("123", PinError::Length(3)),
        ("1234567890123", PinError::Length(13)),
        ("12a4", PinError::NotDigits),
        ("-123", PinError::NotDigits),
        ("１２３４", PinError::NotDigits),
    ] {
        assert_eq!(Pin::from_digits(text).err(), Some(error));
    }
}

/// What cards say to a PIN, and what the cardholder is told.
#[test]
fn answers_to_a_pin() {
    let refused = |status| PinAnswer::Refused(Refusal::new(Step::Pin, StatusWord(status)));
    let wrong = |tries, status| PinAnswer::Wrong { tries, status: StatusWord(status) };
    for (response, answer, text) in [
        (&hex!("9000")[..], PinAnswer::Right, "PIN accepted"),
        (&hex!("63C2"), wrong(2, 0x63C2), "wrong PIN, 2 tries left (SW=63C2)"),
        (&hex!("6C01"), wrong(1, 0x6C01), "wrong PIN, 1 try left (SW=6C01)"),
        (
            &hex!("63C0"),
            wrong(0, 0x63C0),
            "wrong PIN, and no tries left: the PIN is blocked (SW=63C0)",
        ),
        (
            &hex!("6983"),
            PinAnswer::Blocked(StatusWord(0x6983)),
            "the PIN has no tries left (SW=6983)",
        ),
        (
            &hex!("6A83"),
            PinAnswer::Blocked(StatusWord(0x6A83)),
            "the PIN has no tries left (SW=6A83)",
        ),
        (&hex!("6A81"), refused(0x6A81), "purse is blocked (SW=6A81)"),
        (&hex!("6985"), refused(0x6985), "the card does not do this here or now (SW=6985)"),
        (&hex!("6700"), refused(0x6700), "card does not take what was sent (SW=6700)"),
        (&hex!("6581"), PinAnswer::Lost, "no answer to the PIN: a try may be lost"),
        (&hex!("63"), PinAnswer::Lost, "no answer to the PIN: a try may be lost"),
        (&hex!("009000"), PinAnswer::Lost, "no answer to the PIN: a try may be lost"),
    ] {
        assert_eq!(Verify::new(0, &pin("1234")).answer(Some(response)), answer);
        let changed = Change::new(0, &pin("1234"), &pin("4321")).answer(Some(response));
        assert_eq!((changed, changed.to_string().as_str()), (answer, text));
    }
    assert_eq!(Verify::new(0, &pin("1234")).answer(None), PinAnswer::Lost);
}

/// Nothing with a PIN in it shows it.
#[test]
fn pins_do_not_print() {
    let shown = format!(
        "{:?} {:?} {:?}",
        pin("123456"),
        Verify::new(0, &pin("123456")),
        Change::new(0, &pin("123456"), &pin("654321"))
    );
    assert_eq!(shown, "Pin { .. } Verify(PinCommand { .. }) Change(PinCommand { .. })");
}

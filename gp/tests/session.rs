// SPDX-License-Identifier: Apache-2.0
//! Terminal and card against each other, and against whoever stands between them.

use cam_types::{Secret, StatusWord};
use gp::scp03::{Initialize, Level, ScpError, Session, StaticKeys, card};
use hex_literal::hex;
use proptest::prelude::*;

fn keys(seed: u8) -> StaticKeys {
    let key = |k: u8| Secret::new([seed ^ k; 16]);
    StaticKeys { enc: key(1), mac: key(2), dek: key(3) }
}

fn connect(level: Level) -> (Session, card::Session) {
    let initialize = Initialize::new(keys(0x50), 0x3F, [7; 8]).with_level(level);
    let challenge = card::Challenge::random(&keys(0x50), &[7; 8], &[9; 8]).unwrap();
    let open = initialize.answer(&challenge.answer([0; 10], 0x3F)).unwrap();
    let command = open.command().to_vec();
    let header = command[..4].try_into().unwrap();
    let card = challenge.authenticate(header, &command[5..]).unwrap();
    (open.finish(StatusWord::OK).unwrap(), card)
}

fn send(session: &mut Session, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    session.wrap(0x80, 0x34, 1, 2, data, &mut out).unwrap();
    out
}

fn receive(card: &mut card::Session, command: &[u8]) -> Result<Vec<u8>, ScpError> {
    let mut plain = Vec::new();
    let data = &command[5..5 + usize::from(command[4])];
    card.unwrap(command[..4].try_into().unwrap(), data, &mut plain).map(|()| plain)
}

#[test]
fn sizes_on_the_line() {
    let (mut session, _) = connect(Level::FULL);
    for (data, lc) in [(0, 8), (8, 24), (103, 120), (183, 200), (198, 216), (239, 248)] {
        assert_eq!(send(&mut session, &vec![0x5A; data])[4], lc, "{data}");
    }
    let mut out = Vec::new();
    assert_eq!(session.wrap(0x80, 0x36, 0, 0, &[0; 240], &mut out), Err(ScpError::TooLong(240)));
    assert!(!session.is_over());
}

#[test]
fn a_wrong_key_is_found_by_the_terminal() {
    let initialize = Initialize::new(keys(1), 0x3F, [7; 8]);
    let challenge = card::Challenge::random(&keys(2), &[7; 8], &[9; 8]).unwrap();
    let answer = initialize.answer(&challenge.answer([0; 10], 0x3F));
    assert_eq!(answer.err(), Some(ScpError::Authentication));
}

#[test]
fn an_answer_of_another_kind_is_refused() {
    let challenge = card::Challenge::random(&keys(1), &[7; 8], &[9; 8]).unwrap();
    let good = challenge.answer([0; 10], 0x3F);
    let refusal = |answer: &[u8]| Initialize::new(keys(1), 0x3F, [7; 8]).answer(answer).err();
    assert_eq!(refusal(&good), None);
    let mut option = good.clone();
    option[12] = 0x20;
    let told = |answer: &[u8]| refusal(answer).unwrap().to_string();
    assert_eq!(told(&option), "card speaks SCP03 i=20, expected i=60 or i=70");
    // Source: answer layout of GlobalPlatform 2.3, E.5.1.5: sequence2, challenge6, cryptogram8.
    let scp02 = hex!("00010203040506070809 20 02 0003 A1A2A3A4A5A6 B1B2B3B4B5B6B7B8");
    let scp01 = hex!("00010203040506070809 0D 01 A1A2A3A4A5A6A7A8 B1B2B3B4B5B6B7B8");
    assert_eq!(told(&scp02), "card speaks SCP02, expected SCP03 i=60 or i=70");
    assert_eq!(told(&scp01), "card speaks SCP01, expected SCP03 i=60 or i=70");
    let mut other_version = good.clone();
    other_version[10] = 0x3E;
    let expected = ScpError::KeyVersion { got: 0x3E, expected: 0x3F };
    assert_eq!(refusal(&other_version), Some(expected));
    for len in 0..good.len() {
        assert!(refusal(&good[..len]).is_some(), "{len}");
    }
    assert!(refusal(&[good.as_slice(), &[0]].concat()).is_some());
}

/// Key version 00 leaves the choice to the card, which names its key set in the answer.
#[test]
fn key_version_00_takes_the_cards_own() {
    let challenge = card::Challenge::random(&keys(1), &[7; 8], &[9; 8]).unwrap();
    let answer = challenge.answer([0; 10], 0x30);
    let initialize = Initialize::new(keys(1), 0x00, [7; 8]);
    assert_eq!(initialize.command()[2], 0x00);
    assert_eq!(initialize.answer(&answer).err(), None);
    // And it proves itself all the same.
    let initialize = Initialize::new(keys(2), 0x00, [7; 8]);
    assert_eq!(initialize.answer(&answer).err(), Some(ScpError::Authentication));
}

/// T18: what was recorded in one session opens no other.
#[test]
fn a_replayed_session_is_refused() {
    let initialize = Initialize::new(keys(1), 0x3F, [7; 8]);
    let first = card::Challenge::random(&keys(1), &[7; 8], &[9; 8]).unwrap();
    let open = initialize.answer(&first.answer([0; 10], 0x3F)).unwrap();
    let recorded = open.command().to_vec();
    let second = card::Challenge::random(&keys(1), &[7; 8], &[10; 8]).unwrap();
    let refused = second.authenticate(recorded[..4].try_into().unwrap(), &recorded[5..]);
    assert_eq!(refused.err(), Some(ScpError::Authentication));
}

#[test]
fn an_empty_data_field_stays_empty() {
    let (mut session, mut card) = connect(Level::FULL);
    assert_eq!(receive(&mut card, &send(&mut session, &[])), Ok(vec![]));
    let mut reply = Vec::new();
    card.wrap(&[], StatusWord::OK, &mut reply).unwrap();
    assert_eq!(reply.len(), 10);
    let mut data = Vec::new();
    assert_eq!(session.unwrap(&reply, &mut data), Ok(StatusWord::OK));
    assert!(data.is_empty());
}

#[test]
fn an_error_status_denies_and_no_more() {
    let (mut session, mut card) = connect(Level::FULL);
    let mut data = vec![1, 2, 3];
    receive(&mut card, &send(&mut session, b"first")).unwrap();
    let mut reply = Vec::new();
    card.wrap(b"lost", StatusWord(0x6A80), &mut reply).unwrap();
    assert_eq!(reply, [0x6A, 0x80]);
    assert_eq!(session.unwrap(&reply, &mut data), Err(ScpError::Refused(StatusWord(0x6A80))));
    assert!(data.is_empty());
    assert_eq!(receive(&mut card, &send(&mut session, b"next")), Ok(b"next".to_vec()));
    assert_eq!(
        session.unwrap(&[0x69, 0x88], &mut data),
        Err(ScpError::Refused(StatusWord(0x6988)))
    );
    assert!(session.is_over());
    let mut out = Vec::new();
    assert_eq!(session.wrap(0x80, 0x34, 0, 0, &[], &mut out), Err(ScpError::Over));
}

/// T17: what is lost, repeated or exchanged on the line ends the session.
#[test]
fn order_is_part_of_the_mac() {
    let (mut session, mut card) = connect(Level::FULL);
    let first = send(&mut session, b"first");
    let second = send(&mut session, b"second");
    assert_eq!(receive(&mut card, &second), Err(ScpError::Authentication));
    assert_eq!(receive(&mut card, &first), Err(ScpError::Over));

    let (mut session, mut card) = connect(Level::FULL);
    let first = send(&mut session, b"first");
    receive(&mut card, &first).unwrap();
    assert_eq!(receive(&mut card, &first), Err(ScpError::Authentication));
}

#[test]
fn warm_buffers_do_not_move() {
    let (mut session, mut card) = connect(Level::FULL);
    let (mut command, mut data, mut reply, mut plain) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut places = None;
    for round in 0..100 {
        session.wrap(0x80, 0x34, 0, 0, &[round; 103], &mut command).unwrap();
        let body = &command[5..command.len() - 1];
        card.unwrap(command[..4].try_into().unwrap(), body, &mut plain).unwrap();
        card.wrap(&[round; 36], StatusWord::OK, &mut reply).unwrap();
        session.unwrap(&reply, &mut data).unwrap();
        let now = (command.as_ptr(), data.as_ptr());
        assert_eq!(*places.get_or_insert(now), now);
    }
}

proptest! {
    #[test]
    fn what_is_wrapped_unwraps(
        level in prop::sample::select(vec![0x01, 0x03, 0x11, 0x13, 0x33]),
        messages in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..=239), prop::collection::vec(any::<u8>(), 0..=239),
             prop::sample::select(vec![0x9000_u16, 0x6200, 0x63C1])), 1..5),
    ) {
        let (mut session, mut card) = connect(Level::new(level).unwrap());
        for (data, answer, sw) in messages {
            let sw = StatusWord(sw);
            let command = send(&mut session, &data);
            prop_assert_eq!(receive(&mut card, &command), Ok(data));
            let mut reply = Vec::new();
            card.wrap(&answer, sw, &mut reply).unwrap();
            let mut got = Vec::new();
            prop_assert_eq!(session.unwrap(&reply, &mut got), Ok(sw));
            prop_assert_eq!(got, answer);
        }
    }

    /// T17: a flipped bit anywhere ends the session.
    #[test]
    fn flipped_bits_are_found(
        data in prop::collection::vec(any::<u8>(), 0..64),
        bit in any::<prop::sample::Index>(),
    ) {
        let (mut session, mut card) = connect(Level::FULL);
        let good = send(&mut session, &data);
        let mut command = good.clone();
        // Lc and Le belong to the line; the channel bits of CLA are not covered.
        let covered: Vec<usize> = (0..6).chain(8..32).chain(40..(command.len() - 1) * 8).collect();
        let at = covered[bit.index(covered.len())];
        command[at / 8] ^= 0x80 >> (at % 8);
        prop_assert!(receive(&mut card, &command).is_err());

        let (mut session, mut card) = connect(Level::FULL);
        receive(&mut card, &send(&mut session, &data)).unwrap();
        let mut reply = Vec::new();
        card.wrap(&data, StatusWord::OK, &mut reply).unwrap();
        let at = bit.index(reply.len() * 8);
        reply[at / 8] ^= 0x80 >> (at % 8);
        let mut got = Vec::new();
        prop_assert!(session.unwrap(&reply, &mut got).is_err());
        prop_assert!(got.is_empty());
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300), header in any::<[u8; 4]>()) {
        let (mut session, mut card) = connect(Level::FULL);
        let mut out = Vec::new();
        prop_assert!(session.unwrap(&noise, &mut out).is_err());
        prop_assert!(card.unwrap(header, &noise, &mut out).is_err());
        prop_assert!(Initialize::new(keys(1), 0x3F, [7; 8]).answer(&noise).is_err());
        let challenge = card::Challenge::random(&keys(1), &[7; 8], &[9; 8]).unwrap();
        prop_assert!(challenge.authenticate(header, &noise).is_err());
        let _ = card::Challenge::random(&keys(1), &noise, &noise);
        let _ = card::Challenge::pseudo_random(&keys(1), &noise, [0; 3], &noise);
    }
}

use super::*;
use aes::Aes128;
use aes::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeEncrypt, KeyInit, KeyIvInit,
};

const ROOT: [u8; 16] = [0x11; 16];
const EK2: [u8; 16] = [0x22; 16];
const EK1: [u8; 16] = [0x33; 16];
const VIDEO: u16 = 0x0100;
const AUDIO: u16 = 0x0101;

/// The control word of a crypto period of the imaginary service.
fn word(period: u32) -> [u8; 16] {
    std::array::from_fn(|i| period.to_be_bytes()[i % 4] ^ (i as u8).wrapping_mul(29))
}

fn aes(key: [u8; 16]) -> Aes128 {
    Aes128::new(&Array::from(key))
}

/// As the card sends it: encrypted under the key at the foot of the ladder.
fn encrypted(period: u32) -> [u8; 16] {
    let [mut k2, mut k1, mut word] = [EK2, EK1, word(period)].map(Array::from);
    aes(ROOT).decrypt_block(&mut k2);
    aes(k2.into()).decrypt_block(&mut k1);
    aes(k1.into()).encrypt_block(&mut word);
    word.into()
}

fn scrambled(pid: u16, period: u32) -> [u8; 188] {
    let mut packet = clear(pid);
    packet[3] |= if period.is_multiple_of(2) { 0x80 } else { 0xC0 };
    let (blocks, _) = Array::slice_as_chunks_mut(&mut packet[4..]);
    cbc::Encryptor::<Aes128>::new(&word(period).into(), b"DVBTMCPTAESCISSA".into())
        .encrypt_blocks(blocks);
    packet
}

fn clear(pid: u16) -> [u8; 188] {
    let mut packet = [0x5A; 188];
    packet[0] = 0x47;
    packet[1..3].copy_from_slice(&pid.to_be_bytes());
    packet[3] = 0x10;
    packet
}

fn box_with_pairing() -> SoftDescrambler {
    let descrambler = SoftDescrambler::new(&Key::new(ROOT));
    descrambler.load_ladder(&Key::new(EK2), &Key::new(EK1));
    descrambler
}

/// The words that the ECM of `period` brings: its own and the next one's.
fn provide(descrambler: &SoftDescrambler, session: u32, period: u32) -> Result<(), KeyError> {
    let [even, odd] = if period.is_multiple_of(2) {
        [encrypted(period), encrypted(period + 1)]
    } else {
        [encrypted(period + 1), encrypted(period)]
    };
    descrambler.set_control_words(&ControlWords {
        session: SessionId(session),
        source: 0,
        ecm_pid: Pid::from_field(0x140),
        es_pids: &[Pid::from_field(VIDEO), Pid::from_field(AUDIO)],
        mode: ScramblingMode::CISSA,
        crypto_period: period,
        parity: Parity::of_crypto_period(period),
        even: &even,
        odd: &odd,
        cci: 0,
        preview: false,
    })
}

/// Descrambles a packet and checks that it is either right or untouched.
fn play(descrambler: &SoftDescrambler, pid: u16, period: u32) -> PacketResult {
    let mut packet = scrambled(pid, period);
    let result = descrambler.packet(0, &mut packet);
    match result {
        PacketResult::Descrambled => assert_eq!(packet, clear(pid), "period {period}"),
        _ => assert_eq!(packet, scrambled(pid, period), "period {period}"),
    }
    result
}

#[test]
fn a_service_plays_through_its_crypto_periods() {
    let descrambler = box_with_pairing();
    assert_eq!(play(&descrambler, VIDEO, 6), PacketResult::NoKey);
    for period in 6..30 {
        // The packets right behind the toggle come before the first ECM of the period.
        if period > 6 {
            assert_eq!(play(&descrambler, VIDEO, period), PacketResult::Descrambled);
            assert_eq!(play(&descrambler, AUDIO, period - 1), PacketResult::Descrambled);
        }
        provide(&descrambler, 1, period).unwrap();
        assert_eq!(play(&descrambler, VIDEO, period), PacketResult::Descrambled);
        assert_eq!(play(&descrambler, AUDIO, period), PacketResult::Descrambled);
    }
}

/// A key of an earlier period has the parity of a later one; used there it would garble.
#[test]
fn a_spent_key_is_no_key() {
    let descrambler = box_with_pairing();
    provide(&descrambler, 1, 10).unwrap();
    assert_eq!(play(&descrambler, VIDEO, 10), PacketResult::Descrambled);
    assert_eq!(play(&descrambler, VIDEO, 11), PacketResult::Descrambled);
    for period in 12..15 {
        assert_eq!(play(&descrambler, VIDEO, period), PacketResult::NoKey, "{period}");
    }
    // An answer that was late by a period and more must not be taken for the present.
    provide(&descrambler, 1, 12).unwrap();
    assert_eq!(play(&descrambler, VIDEO, 14), PacketResult::NoKey);
    provide(&descrambler, 1, 14).unwrap();
    assert_eq!(play(&descrambler, VIDEO, 14), PacketResult::Descrambled);
}

#[test]
fn control_words_ahead_of_the_stream_wait_for_the_toggle() {
    let descrambler = box_with_pairing();
    provide(&descrambler, 1, 10).unwrap();
    assert_eq!(play(&descrambler, VIDEO, 10), PacketResult::Descrambled);
    provide(&descrambler, 1, 11).unwrap();
    assert_eq!(play(&descrambler, VIDEO, 10), PacketResult::Descrambled);
    assert_eq!(play(&descrambler, VIDEO, 11), PacketResult::Descrambled);
    assert_eq!(play(&descrambler, VIDEO, 12), PacketResult::Descrambled);
}

#[test]
fn after_a_gap_or_a_new_numbering_the_newest_ecm_rules() {
    for (before, after) in [(10, 12), (10, 15), (1000, 4), (u32::MAX - 1, 0)] {
        let descrambler = box_with_pairing();
        provide(&descrambler, 1, before).unwrap();
        assert_eq!(play(&descrambler, VIDEO, before), PacketResult::Descrambled);
        provide(&descrambler, 1, after).unwrap();
        assert_eq!(play(&descrambler, VIDEO, after), PacketResult::Descrambled, "{after}");
    }
}

#[test]
fn keys_are_gone_after_clear_and_only_those_of_the_session() {
    let descrambler = box_with_pairing();
    provide(&descrambler, 1, 2).unwrap();
    provide(&descrambler, 2, 2).unwrap();
    descrambler.clear(SessionId(1));
    assert_eq!(play(&descrambler, VIDEO, 2), PacketResult::Descrambled);
    descrambler.clear(SessionId(2));
    assert_eq!(play(&descrambler, VIDEO, 2), PacketResult::NoKey);
}

#[test]
fn without_a_pairing_there_are_no_keys() {
    let descrambler = SoftDescrambler::new(&Key::new(ROOT));
    assert_eq!(provide(&descrambler, 1, 2), Err(KeyError::NoLadder));
    assert_eq!(play(&descrambler, VIDEO, 2), PacketResult::NoKey);
}

#[test]
fn another_tuner_has_other_keys() {
    let descrambler = box_with_pairing();
    provide(&descrambler, 1, 2).unwrap();
    assert_eq!(descrambler.packet(1, &mut scrambled(VIDEO, 2)), PacketResult::NoKey);
}

#[test]
fn headers_adaptation_fields_and_rubbish_stay_as_they_are() {
    let descrambler = box_with_pairing();
    provide(&descrambler, 1, 2).unwrap();

    let mut packet = clear(VIDEO);
    assert_eq!(descrambler.packet(0, &mut packet), PacketResult::Clear);
    assert_eq!(packet, clear(VIDEO));

    // An adaptation field that leaves 15 octets: too short for a block of AES, so it was never
    // scrambled; only transport_scrambling_control changes.
    let mut short = clear(VIDEO);
    (short[3], short[4]) = (0xB0, 168);
    let mut expected = short;
    expected[3] = 0x30;
    assert_eq!(descrambler.packet(0, &mut short), PacketResult::Descrambled);
    assert_eq!(short, expected);

    for (name, flags, adaptation_length) in [
        ("reserved transport_scrambling_control", 0x50, 0),
        ("reserved adaptation_field_control", 0x80, 0),
        ("adaptation field longer than the packet", 0xB0, 183),
    ] {
        let mut packet = clear(VIDEO);
        (packet[3], packet[4]) = (flags, adaptation_length);
        let before = packet;
        assert_eq!(descrambler.packet(0, &mut packet), PacketResult::Malformed, "{name}");
        assert_eq!(packet, before, "{name}");
    }

    let mut octets = [scrambled(VIDEO, 2).as_slice(), &[0x47; 187]].concat();
    let mut results = [PacketResult::NoKey; 2];
    descrambler.packets(0, &mut octets, &mut results);
    assert_eq!(results, [PacketResult::Descrambled, PacketResult::Malformed]);
    octets[0] = 0x46;
    assert_eq!(descrambler.packet(0, &mut octets[..188]), PacketResult::Malformed);
}

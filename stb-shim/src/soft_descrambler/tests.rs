// SPDX-License-Identifier: Apache-2.0
//! An imaginary service, scrambled under keys that the ladder opens: what plays, what stays dark,
//! and what damage costs.
use super::*;
use aes::Aes128;
use aes::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeEncrypt, KeyInit, KeyIvInit,
};
use ecm_emm::dvs042::{Idsa, Scte52};

const ROOT: [u8; 16] = [0x11; 16];
const EK2: [u8; 16] = [0x22; 16];
const EK1: [u8; 16] = [0x33; 16];
const VIDEO: u16 = 0x0100;
const AUDIO: u16 = 0x0101;

/// The control word of a crypto period of the imaginary service.
fn cw(period: u32) -> [u8; 16] {
    std::array::from_fn(|i| period.to_be_bytes()[i % 4] ^ (i as u8).wrapping_mul(29))
}

fn aes(key: [u8; 16]) -> Aes128 {
    Aes128::new(&Array::from(key))
}

/// As the card sends it: encrypted under the key at the foot of the ladder.
fn encrypted(period: u32) -> [u8; 16] {
    let [mut k2, mut k1, mut cw] = [EK2, EK1, cw(period)].map(Array::from);
    aes(ROOT).decrypt_block(&mut k2);
    aes(k2.into()).decrypt_block(&mut k1);
    aes(k1.into()).encrypt_block(&mut cw);
    cw.into()
}

fn scrambled(pid: u16, period: u32) -> [u8; 188] {
    let mut packet = clear(pid);
    scramble(&mut packet, period);
    packet
}

fn scramble(packet: &mut [u8; 188], period: u32) {
    packet[3] |= if period.is_multiple_of(2) { 0x80 } else { 0xC0 };
    let (blocks, _) = Array::slice_as_chunks_mut(&mut packet[4..]);
    cbc::Encryptor::<Aes128>::new(&cw(period).into(), b"DVBTMCPTAESCISSA".into())
        .encrypt_blocks(blocks);
}

fn clear(pid: u16) -> [u8; 188] {
    let mut packet = [0x5A; 188];
    packet[0] = 0x47;
    packet[1..3].copy_from_slice(&pid.to_be_bytes());
    packet[3] = 0x10;
    packet
}

/// A packet that starts a PES packet.
fn pes(pid: u16) -> [u8; 188] {
    let mut packet = clear(pid);
    packet[1] |= 0x40;
    packet[4..8].copy_from_slice(&[0x00, 0x00, 0x01, 0xE0]);
    packet
}

/// A box with a clock of its own.
struct Rig {
    descrambler: SoftDescrambler,
    mode: ScramblingMode,
    now: Instant,
}

impl Rig {
    /// The length of a crypto period.
    const PERIOD: Duration = Duration::from_secs(10);

    fn new() -> Self {
        let descrambler = SoftDescrambler::new(&Key::new(ROOT));
        descrambler.load_ladder(&Key::new(EK2), &Key::new(EK1));
        Self { descrambler, mode: ScramblingMode::CISSA, now: Instant::from_micros(1_000_000) }
    }

    /// The ECWs that the ECM of `period` brings: its own and the next one's.
    fn provide(&self, session: u32, period: u32) -> Result<(), KeyError> {
        let [even, odd] = if period.is_multiple_of(2) {
            [encrypted(period), encrypted(period.wrapping_add(1))]
        } else {
            [encrypted(period.wrapping_add(1)), encrypted(period)]
        };
        let ecw = Ecw {
            session: SessionId(session),
            source: 0,
            ecm_pid: Pid::from_field(0x140),
            es_pids: &[Pid::from_field(VIDEO), Pid::from_field(AUDIO)],
            mode: self.mode,
            crypto_period: period,
            parity: Parity::of_crypto_period(period),
            even: &even,
            odd: &odd,
            cci: 0,
            preview: false,
        };
        let period = Some(Self::PERIOD);
        self.descrambler.state().set_cw(self.now, &ecw, period)
    }

    fn passes(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// What becomes of one packet.
    fn take(&self, source: u8, packet: &mut [u8]) -> PacketResult {
        let mut results = Vec::new();
        self.descrambler.packets_at(self.now, source, packet, |result| results.push(result));
        results[0]
    }

    /// Descrambles a packet and checks that it is either right or untouched.
    fn play(&self, pid: u16, period: u32) -> PacketResult {
        let mut packet = scrambled(pid, period);
        let result = self.take(0, &mut packet);
        match result {
            PacketResult::Descrambled => assert_eq!(packet, clear(pid), "period {period}"),
            _ => assert_eq!(packet, scrambled(pid, period), "period {period}"),
        }
        result
    }

    /// Packets of one period, until its end.
    fn play_period(&mut self, period: u32) -> Vec<PacketResult> {
        let packets = 8;
        let results = (0..packets).map(|_| {
            self.passes(Self::PERIOD / packets);
            self.play(VIDEO, period)
        });
        results.collect()
    }
}

/// SCTE 52 and IDSA leave no payload in clear, however short, and a start of a PES packet that is
/// shorter than a start code is none that should show it. The IVs of SCTE 52 are those that were
/// set before the control words came.
#[test]
fn payloads_of_any_length_come_out_of_scte_52_and_idsa() {
    let ivs = Scte52Ivs::new([0x81; 8], Some([0x18; 8]));
    for mode in [ScramblingMode::SCTE52, ScramblingMode::IDSA] {
        let mut rig = Rig::new();
        rig.mode = mode;
        rig.provide(1, 8).unwrap();
        rig.descrambler.set_scte52_ivs(ivs);
        rig.provide(1, 10).unwrap();
        let cw = ControlWord::new(cw(10));
        let (scte52, idsa) = (Scte52::scte52(&cw, &ivs), Idsa::idsa(&cw));
        for octets in (1..=184).rev().chain([1; 4]).chain([2; 4]).chain([184]) {
            let mut sent = pes(VIDEO);
            let start = 188 - octets;
            if start > 4 {
                sent[3] |= 0x20;
                sent[4] = start as u8 - 5;
                sent[start..][..octets.min(4)].copy_from_slice(&[0, 0, 1, 0xE0][..octets.min(4)]);
            }
            let mut packet = sent;
            packet[3] |= 0x80;
            match mode {
                ScramblingMode::IDSA => idsa.scramble(&mut packet[start..]),
                _ => scte52.scramble(&mut packet[start..]),
            }
            let result = rig.take(0, &mut packet);
            assert_eq!(result, PacketResult::Descrambled, "{mode:?} {octets}");
            assert_eq!(packet, sent, "{mode:?} {octets}");
        }
    }
}

#[test]
fn a_service_plays_through_its_crypto_periods() {
    let mut rig = Rig::new();
    assert_eq!(rig.play(VIDEO, 6), PacketResult::NoKey);
    for period in 6..30 {
        // The packets right behind the toggle come before the first ECM of the period, and a PID
        // may toggle later than the other.
        if period > 6 {
            for (pid, of) in [(VIDEO, period), (AUDIO, period - 1), (VIDEO, period)] {
                assert_eq!(rig.play(pid, of), PacketResult::Descrambled, "{pid:X} {of}");
            }
        }
        rig.provide(1, period).unwrap();
        if period > 6 {
            assert_eq!(rig.play(VIDEO, period), PacketResult::Descrambled);
            assert_eq!(rig.play(AUDIO, period - 1), PacketResult::Descrambled, "behind its ECM");
        }
        for pid in [VIDEO, AUDIO, VIDEO, AUDIO] {
            assert_eq!(rig.play(pid, period), PacketResult::Descrambled, "{pid:X} {period}");
        }
        assert_eq!(rig.play_period(period), [PacketResult::Descrambled; 8], "{period}");
    }
}

/// A key of an earlier period has the parity of a later one; used there it would garble.
#[test]
fn a_spent_key_is_no_key() {
    let mut rig = Rig::new();
    rig.provide(1, 10).unwrap();
    assert_eq!(rig.play_period(10), [PacketResult::Descrambled; 8]);
    assert_eq!(rig.play_period(11), [PacketResult::Descrambled; 8]);
    for period in 12..15 {
        assert_eq!(rig.play_period(period), [PacketResult::NoKey; 8], "{period}");
    }
    // An answer that is late by two periods must not be taken for the present.
    rig.provide(1, 12).unwrap();
    assert_eq!(rig.play(VIDEO, 14), PacketResult::NoKey);
    rig.provide(1, 14).unwrap();
    assert_eq!(rig.play(VIDEO, 14), PacketResult::Descrambled);
}

#[test]
fn cws_ahead_of_the_stream_wait_for_the_toggle() {
    let mut rig = Rig::new();
    rig.provide(1, 10).unwrap();
    assert_eq!(rig.play_period(10), [PacketResult::Descrambled; 8]);
    rig.provide(1, 11).unwrap();
    for period in [10, 11, 12] {
        assert_eq!(rig.play_period(period), [PacketResult::Descrambled; 8]);
    }
}

#[test]
fn after_a_gap_or_a_new_numbering_the_newest_ecm_rules() {
    for (before, after) in [(10, 12), (10, 15), (1000, 4), (10, 9), (10, 8), (u32::MAX - 1, 0)] {
        let mut rig = Rig::new();
        rig.provide(1, before).unwrap();
        assert_eq!(rig.play(VIDEO, before), PacketResult::Descrambled);
        rig.passes(Rig::PERIOD);
        rig.provide(1, after).unwrap();
        for _ in 0..2 {
            rig.passes(Duration::from_millis(1));
            assert_eq!(rig.play(VIDEO, after), PacketResult::Descrambled, "{after}");
        }
    }
}

/// One wrong scrambling bit, with and without transport_error_indicator: only that packet is lost.
#[test]
fn one_damaged_packet_costs_only_itself() {
    for error_indicator in [0x80, 0x00] {
        let mut rig = Rig::new();
        for period in 100..110 {
            rig.provide(1, period).unwrap();
            for n in 0..40 {
                rig.passes(Rig::PERIOD / 40);
                if (period, n) == (103, 20) {
                    let mut stray = scrambled(VIDEO, period);
                    stray[1] |= error_indicator;
                    stray[3] ^= 0x40;
                    let before = stray;
                    let result = rig.take(0, &mut stray);
                    if error_indicator != 0 {
                        assert_eq!((result, stray), (PacketResult::Malformed, before));
                    }
                    continue;
                }
                let result = rig.play(VIDEO, period);
                assert_eq!(result, PacketResult::Descrambled, "{period} {n}");
            }
        }
    }
}

/// Two in a row look like a toggle; the stream that turns back at once has not toggled.
#[test]
fn two_damaged_packets_in_a_row_cost_no_more() {
    let mut rig = Rig::new();
    rig.provide(1, 100).unwrap();
    assert_eq!(rig.play_period(100), [PacketResult::Descrambled; 8]);
    rig.passes(Duration::from_secs(1));
    for _ in 0..2 {
        let mut stray = scrambled(VIDEO, 100);
        stray[3] ^= 0x40;
        let _ = rig.take(0, &mut stray);
    }
    for _ in 0..8 {
        assert_eq!(rig.play(VIDEO, 100), PacketResult::Descrambled);
    }
    assert_eq!(rig.play_period(101), [PacketResult::Descrambled; 8]);
}

/// Two ECMs have one number: a head-end that started again has other CWs, and parities alone
/// cannot tell when the stream takes them. A start code can.
#[test]
fn a_start_code_finds_the_cw() {
    let rig = Rig::new();
    rig.provide(1, 100).unwrap();
    // The stream is a period ahead of the ECM: the parity alone does not say so.
    assert_eq!(rig.play(VIDEO, 101), PacketResult::NoKey);
    assert_eq!(rig.play(VIDEO, 101), PacketResult::NoKey);
    let mut start = pes(VIDEO);
    scramble(&mut start, 101);
    assert_eq!(rig.take(0, &mut start), PacketResult::Descrambled);
    assert_eq!(start, pes(VIDEO));
    assert_eq!(rig.play(VIDEO, 101), PacketResult::Descrambled);
    assert_eq!(rig.play(AUDIO, 101), PacketResult::Descrambled);
    // Under a wrong CW it stays as it is, and what follows waits for the next ECM.
    for _ in 0..2 {
        let mut other = pes(VIDEO);
        scramble(&mut other, 77);
        let before = other;
        assert_eq!(rig.take(0, &mut other), PacketResult::NoKey);
        assert_eq!(other, before);
    }
    assert_eq!(rig.play(VIDEO, 101), PacketResult::NoKey);
    rig.provide(1, 101).unwrap();
    assert_eq!(rig.play(VIDEO, 101), PacketResult::Descrambled);
}

/// A second session on the same stream follows it while the first one descrambles, and goes on when
/// that is closed.
#[test]
fn two_sessions_on_one_stream_do_not_disturb_each_other() {
    let mut rig = Rig::new();
    for period in 20..24 {
        rig.provide(1, period).unwrap();
        rig.provide(2, period).unwrap();
        assert_eq!(rig.play_period(period), [PacketResult::Descrambled; 8]);
    }
    rig.descrambler.clear(SessionId(1));
    assert_eq!(rig.play_period(24), [PacketResult::Descrambled; 8]);
}

#[test]
fn keys_are_gone_after_clear_and_only_those_of_the_session() {
    let rig = Rig::new();
    rig.provide(1, 2).unwrap();
    rig.provide(2, 2).unwrap();
    rig.descrambler.clear(SessionId(1));
    assert_eq!(rig.play(VIDEO, 2), PacketResult::Descrambled);
    rig.descrambler.clear(SessionId(2));
    assert_eq!(rig.play(VIDEO, 2), PacketResult::NoKey);
}

#[test]
fn without_a_pairing_there_are_no_keys() {
    let descrambler = SoftDescrambler::new(&Key::new(ROOT));
    let rig = Rig { descrambler, ..Rig::new() };
    assert_eq!(rig.provide(1, 2), Err(KeyError::NoLadder));
    assert_eq!(rig.play(VIDEO, 2), PacketResult::NoKey);
}

#[test]
fn another_tuner_has_other_keys() {
    let rig = Rig::new();
    rig.provide(1, 2).unwrap();
    assert_eq!(rig.take(1, &mut scrambled(VIDEO, 2)), PacketResult::NoKey);
}

#[test]
fn headers_adaptation_fields_and_rubbish_stay_as_they_are() {
    let rig = Rig::new();
    rig.provide(1, 2).unwrap();

    let mut packet = clear(VIDEO);
    assert_eq!(rig.take(0, &mut packet), PacketResult::Clear);
    assert_eq!(packet, clear(VIDEO));

    // An adaptation field that leaves 15 octets: too short for a block of AES, so it was never
    // scrambled; only transport_scrambling_control changes.
    let mut short = clear(VIDEO);
    (short[3], short[4]) = (0xB0, 168);
    let mut expected = short;
    expected[3] = 0x30;
    assert_eq!(rig.take(0, &mut short), PacketResult::Descrambled);
    assert_eq!(short, expected);

    for (name, flags, adaptation_length) in [
        ("reserved transport_scrambling_control", 0x50, 0),
        ("reserved adaptation_field_control", 0x80, 0),
        ("adaptation field longer than the packet", 0xB0, 183),
    ] {
        let mut packet = clear(VIDEO);
        (packet[3], packet[4]) = (flags, adaptation_length);
        let before = packet;
        assert_eq!(rig.take(0, &mut packet), PacketResult::Malformed, "{name}");
        assert_eq!(packet, before, "{name}");
    }

    let mut octets = [scrambled(VIDEO, 2).as_slice(), &[0x47; 187]].concat();
    let mut results = Vec::new();
    rig.descrambler.packets_at(rig.now, 0, &mut octets, |result| results.push(result));
    assert_eq!(results, [PacketResult::Descrambled, PacketResult::Malformed]);
    octets[0] = 0x46;
    assert_eq!(rig.take(0, &mut octets[..188]), PacketResult::Malformed);
}

/// The next period's ECM is out already when two packets are damaged: it confirms no toggle.
#[test]
fn an_early_ecm_confirms_no_toggle() {
    for strays in [[VIDEO, VIDEO], [VIDEO, AUDIO]] {
        let mut rig = Rig::new();
        rig.provide(1, 100).unwrap();
        assert_eq!(rig.play_period(100), [PacketResult::Descrambled; 8]);
        rig.provide(1, 101).unwrap();
        for pid in strays {
            let mut stray = scrambled(pid, 100);
            stray[3] ^= 0x40;
            let _ = rig.take(0, &mut stray);
        }
        for pid in [VIDEO, AUDIO, VIDEO, AUDIO] {
            assert_eq!(rig.play(pid, 100), PacketResult::Descrambled, "{strays:X?}");
        }
        assert_eq!(rig.play_period(101), [PacketResult::Descrambled; 8]);
    }
}

/// Strays that good packets lie between are two mistakes, not a toggle.
#[test]
fn strays_far_apart_are_no_toggle() {
    let mut rig = Rig::new();
    rig.provide(1, 100).unwrap();
    assert_eq!(rig.play_period(100), [PacketResult::Descrambled; 8]);
    rig.provide(1, 101).unwrap();
    for pid in [AUDIO, VIDEO] {
        let mut stray = scrambled(pid, 100);
        stray[3] ^= 0x40;
        let _ = rig.take(0, &mut stray);
        for _ in 0..4 {
            rig.passes(Duration::from_secs(1));
            assert_eq!(rig.play(VIDEO, 100), PacketResult::Descrambled);
        }
    }
}

/// A PID that shows its first packet behind a toggle may still be in the period before.
#[test]
fn a_pid_not_seen_yet_lags_too() {
    let mut rig = Rig::new();
    rig.provide(1, 100).unwrap();
    assert_eq!(rig.play_period(100), [PacketResult::Descrambled; 8]);
    for _ in 0..2 {
        assert_eq!(rig.play(VIDEO, 101), PacketResult::Descrambled);
    }
    rig.provide(1, 101).unwrap();
    for _ in 0..2 {
        assert_eq!(rig.play(AUDIO, 100), PacketResult::Descrambled);
        assert_eq!(rig.play(VIDEO, 101), PacketResult::Descrambled);
    }
}

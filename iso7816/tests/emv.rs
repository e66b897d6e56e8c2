// SPDX-License-Identifier: Apache-2.0
//! The profile of EMV contact level 1: what it refuses, what it waits for, and that it gives up.

use crate::rig::{Event, Rig, with_tck};
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Input, Policy, Reset};

const T0: [u8; 4] = hex!("3B 60 00 00");

fn t1() -> Vec<u8> {
    with_tck(&hex!("3B E0 00 00 81 31 20 45"))
}

fn emv() -> Policy {
    Policy::emv(USUAL_CLOCK_HZ)
}

fn reset() -> Rig {
    let mut rig = Rig::new(emv());
    rig.input(Input::Activate);
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
    rig.input(Input::Timeout);
    rig
}

fn cause_of(end: &Event) -> Cause {
    match end {
        Event::Failed(error) => error.cause(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn basic_answers_come_up_without_pps() {
    for (atr, f, d) in [
        (T0.to_vec(), 372, 1),
        (t1(), 372, 1),
        // TA1 18 in negotiable mode: the default rate
        (hex!("3B 70 18 00 00").to_vec(), 372, 1),
        // TA1 13 in specific mode
        (hex!("3B F0 13 00 00 10 80").to_vec(), 372, 4),
        (hex!("3B E0 00 00 40 0A").to_vec(), 372, 1),
    ] {
        let rig = Rig::up(emv(), &atr);
        assert_eq!((rig.line.params().f, rig.line.params().d), (f, d), "{atr:02X?}");
    }
}

#[test]
fn answers_that_are_not_basic_end_in_deactivation_after_one_warm_reset() {
    let table: &[&[u8]] = &[
        &hex!("3B 00"),                                 // no TB1
        &hex!("3B 60 25 00"),                           // Vpp
        &hex!("3B F0 18 00 00 10 80"),                  // specific mode at 372/12
        &hex!("3B F0 11 00 00 10 90"),                  // implicit parameters
        &with_tck(&hex!("3B E0 00 00 0E")),             // T=14
        &hex!("3B E0 00 00 20 00"),                     // TB2
        &hex!("3B E0 00 00 40 0F"),                     // WI 15
        &with_tck(&hex!("3B E0 00 00 81 31 0F 45")),    // IFSC 15
        &with_tck(&hex!("3B E0 00 00 81 31 20 55")),    // BWI 5
        &with_tck(&hex!("3B E0 00 00 81 31 20 46")),    // CWI 6
        &with_tck(&hex!("3B E0 00 00 81 71 20 45 01")), // CRC
        &with_tck(&hex!("3B E0 00 00 81 11 20")),       // no TB3
        &hex!("3B E0 00 00 81 31 20 45 00"),            // wrong TCK
        &hex!("55"),
    ];
    for atr in table {
        let mut rig = Rig::new(emv());
        rig.input(Input::Activate);
        let mut acts = Vec::new();
        let end = loop {
            match rig.next_act().unwrap() {
                Event::Activate(reset) => {
                    acts.push(Some(reset));
                    let cold = reset == Reset::Cold;
                    // TB1 may be anything behind a warm reset, so the second answer is nonsense.
                    rig.card(if cold { atr } else { &[0x55] });
                }
                Event::Deactivate => acts.push(None),
                event => break event,
            }
        };
        assert!(matches!(cause_of(&end), Cause::NotACard(_) | Cause::NotBasic(_)), "{atr:02X?}");
        assert_eq!(acts, [Some(Reset::Cold), Some(Reset::Warm), None], "{atr:02X?}");
    }
}

#[test]
fn tb1_may_be_anything_behind_a_warm_reset() {
    let mut rig = Rig::new(emv());
    rig.input(Input::Activate);
    assert_eq!(rig.come_up(&[&hex!("3B 60 25 00"), &hex!("3B 60 25 00")]), Event::Ready);
}

#[test]
fn a_mute_card_is_deactivated_without_another_try() {
    let mut rig = reset();
    assert_eq!(rig.next(), Some(Event::Deactivate));
    assert_eq!(rig.cause(), Cause::Mute);
    assert_eq!(rig.next(), None);
}

#[test]
fn the_answer_may_begin_within_42_000_clocks() {
    let mut rig = reset();
    rig.pass(rig.line.params().clocks(42_000) - rig.line.params().etus(12));
    rig.card(&T0);
    assert_eq!(rig.next(), Some(Event::Ready));
    let mut rig = reset();
    rig.pass(rig.line.params().clocks(42_000));
    rig.pass(emv().latency);
    assert_eq!(rig.next(), Some(Event::Deactivate));
}

#[test]
fn gaps_of_10_080_etu_are_let_pass_and_longer_ones_are_not() {
    let mut rig = reset();
    rig.card(&T0[..1]);
    rig.pass_etu(10_068);
    rig.card(&T0[1..]);
    assert_eq!(rig.next(), Some(Event::Ready));
    let mut rig = reset();
    rig.card(&T0[..1]);
    rig.pass_etu(10_080);
    rig.pass(emv().latency);
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Warm)));
}

#[test]
fn a_whole_answer_takes_20_160_etu_at_most() {
    for (gap, up) in [(6_600, true), (6_900, false)] {
        let mut rig = reset();
        rig.card(&T0[..1]);
        for octet in &T0[1..] {
            rig.pass_etu(gap);
            if rig.events.is_empty() {
                rig.card(&[*octet]);
            }
        }
        rig.pass(emv().latency);
        assert_eq!(rig.next() == Some(Event::Ready), up, "gaps of {gap} etu");
    }
}

/// How much later than by ISO/IEC 7816-3 the line loses its patience, in etu.
fn tolerance(atr: &[u8], before: impl Fn(&mut Rig)) -> u128 {
    let mut at = [emv(), Policy::new(USUAL_CLOCK_HZ)].map(|policy| {
        let mut rig = Rig::up(policy, atr);
        rig.command(&hex!("80320000 00"));
        before(&mut rig);
        rig.deadline.unwrap().since(rig.now)
    });
    let etu = Rig::new(emv()).line.params().etus(1_000).as_micros();
    at.sort();
    ((at[1] - at[0]).as_micros() * 1_000 + etu / 2) / etu
}

#[test]
fn waiting_times_have_the_tolerance_of_a_terminal() {
    assert_eq!(tolerance(&T0, |_| ()), 480, "WT");
    assert_eq!(tolerance(&t1(), |_| ()), 960, "BWT");
    assert_eq!(tolerance(&t1(), |rig| rig.card(&[0x00])), 4, "CWT");
}

#[test]
fn an_ifsd_of_254_is_announced_first() {
    let mut rig = reset();
    rig.card(&t1());
    assert_eq!(rig.next_act(), Some(Event::Transmit(hex!("00 C1 01 FE 3E").to_vec())));
}

#[test]
fn t0_corrects_lengths_and_fetches_answers() {
    let mut rig = Rig::up(emv(), &T0);
    rig.command(&hex!("80340000 01 0A 00"));
    for (sent, card) in [
        (&hex!("8034000001")[..], &hex!("34")[..]),
        (&hex!("0A"), &hex!("6105")),
        (&hex!("80C0000005"), &hex!("6C02")),
        (&hex!("80C0000002"), &hex!("C0AABB9000")),
    ] {
        assert_eq!(rig.next_act(), Some(Event::Transmit(sent.to_vec())));
        rig.card(card);
    }
    assert_eq!(rig.next(), Some(Event::Response(hex!("AABB9000").to_vec())));
}

/// Whatever fails is the end: power off, and no reset by the line itself.
fn deactivated(rig: &mut Rig, cause: Cause) {
    assert_eq!(rig.next(), Some(Event::Deactivate));
    assert_eq!(rig.cause(), cause);
    assert_eq!(rig.next(), None);
}

#[test]
fn a_failed_exchange_on_t0_ends_in_deactivation() {
    let mut rig = Rig::up(emv(), &T0);
    rig.command(&hex!("80320000"));
    assert!(matches!(rig.next(), Some(Event::Transmit(_))));
    deactivated(&mut rig, Cause::Silent);
    let mut rig = Rig::up(emv(), &T0);
    rig.command(&hex!("80320000"));
    assert!(matches!(rig.next(), Some(Event::Transmit(_))));
    rig.card(&[0xC4]);
    deactivated(&mut rig, Cause::ProcedureByte(0xC4));
}

#[test]
fn three_bad_blocks_end_in_deactivation_and_not_in_resynch() {
    let mut rig = Rig::up(emv(), &t1());
    rig.command(&hex!("80320000"));
    let mut sent = Vec::new();
    let end = loop {
        match rig.next_act() {
            Some(Event::Transmit(block)) => {
                sent.push(block[1]);
                rig.card(&hex!("00 00 02 90 00 FF"));
            }
            end => break end,
        }
    };
    assert_eq!(sent, [0x00, 0x81, 0x81], "the command, then the answer asked for again");
    assert_eq!(end, Some(Event::Deactivate));
}

#[test]
fn a_chain_that_is_too_long_ends_in_deactivation_and_not_in_abort() {
    let mut rig = Rig::up(Policy { max_response: 40, ..emv() }, &t1());
    rig.command(&hex!("80320000 00"));
    for ns in [0x20, 0x60].into_iter().cycle() {
        match rig.next_act() {
            Some(Event::Transmit(block)) => {
                assert_ne!(block[1], 0xC2, "S(ABORT)");
                rig.card(&with_lrc(&[&[0x00, ns, 0x20][..], &[0x55; 32]].concat()));
            }
            end => {
                assert_eq!(end, Some(Event::Deactivate));
                return;
            }
        }
    }
}

fn with_lrc(block: &[u8]) -> Vec<u8> {
    [block, &[block.iter().fold(0, |sum, octet| sum ^ octet)]].concat()
}

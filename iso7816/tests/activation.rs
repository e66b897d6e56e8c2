// SPDX-License-Identifier: Apache-2.0
//! From reset to an answer to reset: windows, attempts, gaps, conventions, damage.

use crate::rig::{Event, Rig, agreeable};
use hex_literal::hex;
use iso7816::atr::{AtrError, AtrPolicy, AtrWarnings};
use iso7816::etu::{Convention, LineParams, USUAL_CLOCK_HZ};
use iso7816::line::{Cause, Gone, Input, Policy, Reset};
use proptest::prelude::*;
use std::time::Duration;

fn policy() -> Policy {
    Policy::new(USUAL_CLOCK_HZ)
}

/// A line whose card has just been reset.
fn reset(policy: Policy) -> Rig {
    let mut rig = Rig::new(policy);
    rig.input(Input::Activate);
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
    rig.input(Input::Timeout);
    rig
}

fn micro() -> Duration {
    Duration::from_micros(1)
}

#[test]
fn the_answer_may_begin_until_its_window_ends() {
    let mut rig = reset(policy());
    // 40,000 clock cycles and what a reader may add.
    assert!(policy().atr_start > LineParams::initial(USUAL_CLOCK_HZ).clocks(40_000));
    rig.pass(policy().atr_start - Duration::from_millis(2));
    rig.card(&hex!("3B 00"));
    assert_eq!(rig.next(), Some(Event::Ready));
}

#[test]
fn an_answer_behind_its_window_is_none() {
    let mut rig = reset(policy());
    rig.pass(policy().atr_start);
    assert_eq!(rig.next(), Some(Event::Deactivate));
    rig.input(Input::Received(&hex!("3B 00")));
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)), "no answer, another attempt");
}

#[test]
fn power_stays_off_between_attempts() {
    let mut rig = reset(policy());
    let before = rig.now;
    assert_eq!(rig.next(), Some(Event::Deactivate));
    let off = rig.now;
    assert!(off.since(before) <= policy().atr_start);
    rig.pass(Duration::from_millis(10) - micro());
    assert!(rig.events.is_empty());
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
    assert!(rig.now.since(off) >= Duration::from_millis(10));
}

#[test]
fn attempts_end_with_a_reason_in_less_than_a_second() {
    let mut rig = Rig::new(policy());
    assert!(matches!(rig.activate(&[]), Event::Failed(error) if error.cause() == Cause::Mute));
    assert!(rig.now.since(moments::first()) < Duration::from_secs(1));
    assert_eq!(rig.next(), None, "and no more");
}

#[test]
fn a_warm_reset_keeps_the_power_and_a_cold_one_follows_where_it_fails() {
    let mut rig = Rig::up(policy(), &hex!("3B 00"));
    rig.command(&hex!("80320000"));
    rig.card(&[0xC4]);
    assert_eq!(rig.next_act(), Some(Event::Transmit(hex!("8032000000").to_vec())));
    assert_eq!(rig.cause(), Cause::ProcedureByte(0xC4));
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Warm)), "no deactivation before it");
    assert_eq!(rig.next(), Some(Event::Deactivate));
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
}

#[test]
fn octets_from_before_a_reset_are_not_its_answer() {
    let mut rig = Rig::up(policy(), &hex!("3B 00"));
    rig.command(&hex!("80320000"));
    rig.events.clear();
    rig.input(Input::Received(&hex!("C4 3B 00")));
    assert_eq!(rig.cause(), Cause::ProcedureByte(0xC4));
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Warm)));
    rig.input(Input::Timeout);
    rig.pass_etu(100);
    assert!(rig.events.is_empty(), "not up");
    rig.card(&hex!("3B 00"));
    assert_eq!(rig.next(), Some(Event::Ready));
}

#[test]
fn power_goes_off_when_the_card_is_removed() {
    let mut rig = Rig::up(policy(), &hex!("3B 00"));
    rig.command(&hex!("80320000"));
    rig.events.clear();
    rig.input(Input::Gone(Gone::Removed));
    assert_eq!(rig.next(), Some(Event::Deactivate));
    assert_eq!(rig.cause(), Cause::Removed);
}

#[test]
fn power_goes_off_when_a_card_is_given_up() {
    let mut rig = reset(policy());
    rig.card(&hex!("3B 80 05 85"));
    assert_eq!(rig.next(), Some(Event::Deactivate));
    assert_eq!(rig.cause(), Cause::Protocol { t: 5 });
}

#[test]
fn a_reader_that_is_gone_is_not_told_to_switch_off() {
    let mut rig = Rig::up(policy(), &hex!("3B 00"));
    rig.input(Input::Gone(Gone::ReaderLost));
    assert_eq!(rig.cause(), Cause::ReaderLost);
    assert_eq!(rig.next(), None);
}

#[test]
fn characters_of_an_answer_may_be_9600_etu_apart() {
    let mut rig = reset(policy());
    rig.card(&[0x3B]);
    rig.pass_etu(9588);
    rig.card(&[0x00]);
    assert_eq!(rig.next(), Some(Event::Ready));
}

#[test]
fn a_longer_gap_ends_the_answer() {
    let mut rig = reset(policy());
    rig.card(&[0x3B]);
    rig.pass_etu(9600);
    rig.pass(policy().latency);
    assert_eq!(rig.next(), Some(Event::Deactivate));
}

#[test]
fn a_trickle_of_characters_does_not_go_on_for_ever() {
    let mut rig = reset(policy());
    let began = rig.now;
    rig.card(&[0x3B]);
    for _ in 0..31 {
        if rig.events.is_empty() {
            rig.pass_etu(9000);
            rig.card(&[0xFF]);
        }
    }
    assert_eq!(rig.events.front(), Some(&Event::Deactivate));
    assert!(rig.now.since(began) < Duration::from_secs(4));
}

#[test]
fn the_first_character_tells_the_convention() {
    for (raw, convention) in [
        (hex!("3B 00"), Convention::Direct),
        (hex!("03 FF"), Convention::Inverse),
        // decoded by the reader
        (hex!("3F 00"), Convention::Inverse),
    ] {
        let mut rig = reset(policy());
        rig.card(&raw);
        let mut last = None;
        while let Some(event) = rig.next() {
            match event {
                Event::Configure(params) => last = Some(params.convention),
                Event::Ready => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(last.unwrap_or_default(), convention, "{raw:02X?}");
        // What goes out is coded like what came in.
        rig.command(&hex!("80320000"));
        let coded = raw[0] == 0x03;
        let sent = if coded { hex!("FE B3 FF FF FF") } else { hex!("80 32 00 00 00") };
        assert_eq!(rig.next(), Some(Event::Transmit(sent.to_vec())), "{raw:02X?}");
    }
}

#[test]
fn another_first_character_is_none() {
    for ts in (0..=0xFF).filter(|ts| ![0x3B, 0x3F, 0x03].contains(ts)) {
        let mut rig = reset(policy());
        rig.card(&[ts]);
        assert_eq!(rig.next(), Some(Event::Deactivate), "{ts:02X}");
    }
}

#[test]
fn inverse_convention_is_learnt_from_a_character_of_wrong_parity() {
    let mut rig = reset(policy());
    rig.convention = Convention::Inverse;
    rig.damaged(0x3F);
    rig.card(&[0x00]);
    assert!(matches!(rig.next(), Some(Event::Configure(_))));
    assert_eq!(rig.next(), Some(Event::Ready));
    assert!(rig.line.atr().unwrap().warnings().is_empty());
}

#[test]
fn damage_behind_the_first_character_is_believed_when_it_comes_again() {
    let mut rig = reset(policy());
    rig.convention = Convention::Inverse;
    for attempt in 0..2 {
        rig.card(&[0x3F]);
        rig.damaged(0x00);
        if attempt == 0 {
            assert_eq!(rig.next_act(), Some(Event::Deactivate));
            assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
        }
    }
    assert_eq!(rig.next_act(), Some(Event::Ready));
    assert!(rig.line.atr().unwrap().warnings().contains(AtrWarnings::PARITY));
}

#[test]
fn a_damaged_answer_of_direct_convention_is_never_used() {
    let mut rig = reset(policy());
    for _ in 0..3 {
        rig.card(&[0x3B]);
        rig.damaged(0x00);
        assert_eq!(rig.next(), Some(Event::Deactivate));
        let _ = rig.events.is_empty() && rig.next() == Some(Event::Activate(Reset::Cold));
    }
    assert_eq!(rig.cause(), Cause::NotACard(AtrError::Damaged));
}

#[test]
fn a_short_answer_is_asked_for_again() {
    let mut rig = Rig::new(policy());
    rig.input(Input::Activate);
    let end = rig.come_up(&[&hex!("3B 02 41"), &hex!("3B 02 41 42")]);
    assert_eq!(end, Event::Ready);
    assert_eq!(rig.line.atr().unwrap().historical(), b"AB");
}

#[test]
fn octets_behind_the_answer_never_reach_the_protocol() {
    let mut rig = Rig::up(policy(), &hex!("3B 00 90 00 60 60"));
    assert!(rig.line.atr().unwrap().warnings().contains(AtrWarnings::TRAILING));
    rig.command(&hex!("80320000"));
    rig.events.clear();
    rig.card(&hex!("6A81"));
    assert_eq!(rig.next(), Some(Event::Response(hex!("6A81").to_vec())));
}

#[test]
fn octets_without_end_behind_an_answer_are_no_card() {
    let mut rig = Rig::new(policy());
    let end = rig.activate(&[&hex!("3B 00")[..], &[0x55; 80]].concat());
    assert!(matches!(end, Event::Failed(error) if matches!(error.cause(), Cause::NotACard(_))));
}

#[test]
fn a_clock_above_what_the_card_allows_is_a_warning() {
    // FI 0 stands for 4 MHz, FI 1 for 5 MHz.
    for (clock, ta1, warned) in [
        (4_000_000, 0x01, false),
        (4_500_000, 0x01, true),
        (4_500_000, 0x11, false),
        (6_000_000, 0x11, true),
        (6_000_000, 0x21, false),
    ] {
        let rig = Rig::up(Policy::new(clock), &[0x3B, 0x10, ta1]);
        let warnings = rig.line.atr().unwrap().warnings();
        assert_eq!(warnings.contains(AtrWarnings::OVERCLOCKED), warned, "{clock} {ta1:02X}");
    }
}

#[test]
fn oddities_come_up_by_the_tolerant_policy_and_not_by_the_strict_one() {
    let strict = Policy { atr: AtrPolicy::STRICT, ..policy() };
    for atr in [
        &hex!("3B 80 01 FF")[..],   // wrong TCK
        &hex!("3B 00 55"),          // trailing octets
        &hex!("3B 10 71"),          // reserved FI
        &hex!("3B 80 81 11 FF EF"), // reserved IFSC
        &hex!("3B 80 40 00"),       // WI 00
    ] {
        Rig::up(policy(), atr);
        let end = Rig::new(strict).activate(atr);
        assert!(
            matches!(end, Event::Failed(error)
                if matches!(error.cause(), Cause::NotACard(AtrError::Refused(_)))),
            "{atr:02X?}: {end:?}"
        );
    }
}

proptest! {
    /// Whatever a caller asks for, the line comes to an end with a card that agrees to everything.
    #[test]
    fn any_policy(
        clock_hz in prop::sample::select(vec![0, 1, USUAL_CLOCK_HZ, u32::MAX]),
        max_command in prop::sample::select(vec![0, 5, 261, 65_544]),
        max_response in prop::sample::select(vec![0, 1, 2, 258, 65_538]),
        max_baud in prop::sample::select(vec![0, 9_622, u32::MAX]),
        baud_base in prop::option::of(prop::sample::select(vec![0, 1, 115_200, u32::MAX])),
        (ifsd, reserved_ifsc, protocol) in (any::<u8>(), any::<u8>(), prop::option::of(any::<u8>())),
        implicit_rate in prop::option::of((any::<u16>(), any::<u8>())),
        atr in prop::sample::select(vec![
            hex!("3B 00").to_vec(),
            hex!("3B 90 95 91 91 31 FE 15 AE").to_vec(),
            hex!("3B 80 81 31 FF 47 07").to_vec(),
            hex!("3B 90 18 80 01 09").to_vec(),
        ]),
        emv in any::<bool>(),
    ) {
        let base = if emv { Policy::emv(clock_hz) } else { Policy::new(clock_hz) };
        let atr_policy = AtrPolicy { reserved_ifsc, ..base.atr };
        let policy = Policy {
            max_command, max_response, max_baud, baud_base, ifsd, protocol, implicit_rate,
            atr: atr_policy, ..base
        };
        let mut rig = Rig::new(policy);
        if rig.activate(&atr) == Event::Ready {
            rig.command(&hex!("80340000 03 010203 00"));
            let protocol = rig.line.protocol();
            for _ in 0..100 {
                match rig.next_act() {
                    Some(Event::Transmit(sent)) => rig.card(&agreeable(&sent, protocol)),
                    Some(Event::Deactivate) => {}
                    Some(Event::Response(_) | Event::Failed(_)) => return Ok(()),
                    other => panic!("{other:?}"),
                }
            }
            panic!("no end");
        }
    }
}

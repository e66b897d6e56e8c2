// SPDX-License-Identifier: Apache-2.0
//! A card on T=1 whose power was cut: told from a noisy line, and reset before its keys would go.

use crate::rig::{Event, Rig, with_tck};
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Policy, Reset};
use std::time::Duration;

const COMMAND: [u8; 4] = hex!("80320000");

/// A card of this BWI whose first command was answered: it is past the protocol's start.
fn up(policy: Policy, bwi: u8) -> Rig {
    let mut rig = Rig::up(policy, &with_tck(&[0x3B, 0x90, 0x11, 0x81, 0x31, 0xFE, bwi << 4 | 5]));
    rig.command(&COMMAND);
    assert!(matches!(rig.next_act(), Some(Event::Transmit(_))));
    rig.card(&hex!("00 00 02 9000 92"));
    assert!(matches!(rig.next_act(), Some(Event::Response(_))));
    rig
}

fn iso() -> Policy {
    Policy::new(USUAL_CLOCK_HZ)
}

/// The blocks that go out until the card is given up; each may be answered. Why, and how long it
/// took.
fn lost(rig: &mut Rig, mut answer: impl FnMut(usize, &mut Rig)) -> (Vec<u8>, Cause, Duration) {
    let began = rig.now;
    let mut controls = Vec::new();
    loop {
        match rig.next_act() {
            Some(Event::Transmit(block)) => {
                controls.push(block[1]);
                answer(controls.len(), rig);
            }
            Some(Event::Failed(error)) => {
                assert!(error.recovering(), "{error}");
                let took = rig.now.since(began);
                assert_eq!(rig.next_act(), Some(Event::Activate(Reset::Warm)));
                return (controls, error.cause(), took);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// I(1), R(1), reset.
#[test]
fn silence_for_two_waiting_times_is_a_card_that_is_gone() {
    for bwi in 0..=9 {
        let mut rig = up(Policy { exchange_limit: Duration::from_secs(600), ..iso() }, bwi);
        let bwt = rig.line.params().bwt(bwi);
        rig.command(&COMMAND);
        let (controls, cause, took) = lost(&mut rig, |_, _| {});
        assert_eq!((controls, cause), (hex!("40 92").to_vec(), Cause::Silent), "BWI {bwi}");
        assert!(took >= bwt * 2, "BWI {bwi}: {took:?}");
        assert!(took < bwt * 2 + Duration::from_millis(120), "BWI {bwi}: {took:?}");
        assert_eq!(took < Duration::from_secs(1), bwi <= 2, "BWI {bwi}: {took:?}");
    }
}

/// Also where it had answered before: in the middle of a chain, or after it had asked for time.
#[test]
fn a_card_that_goes_in_mid_exchange_is_gone_as_soon() {
    for (apdu, before, expected) in [
        (COMMAND.to_vec(), hex!("00 C3 01 01 C3").to_vec(), hex!("40 E3 92")),
        (
            [&hex!("80340000 FF")[..], &[0; 255]].concat(),
            hex!("00 80 00 80").to_vec(),
            hex!("60 00 92"),
        ),
    ] {
        let mut rig = up(iso(), 1);
        rig.command(&apdu);
        let answer = |sent, rig: &mut Rig| {
            if sent == 1 {
                rig.card(&before)
            }
        };
        let (controls, cause, took) = lost(&mut rig, answer);
        assert_eq!((controls, cause), (expected.to_vec(), Cause::Silent));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

/// Three attempts, three S(RESYNCH): one octet of noise shows a line that may get better.
#[test]
fn a_line_with_noise_has_all_its_attempts() {
    let all = hex!("40 92 92 C0 C0 C0");
    for (noisy, damaged) in [(1, false), (1, true), (2, false), (2, true)] {
        let mut rig = up(iso(), 1);
        rig.command(&COMMAND);
        let (controls, cause, _) = lost(&mut rig, |sent, rig| match (sent == noisy, damaged) {
            (true, true) => rig.damaged(0x55),
            (true, false) => rig.card(&[0x55]),
            (false, _) => {}
        });
        let said: Vec<u8> =
            controls.iter().map(|pcb| if *pcb == 0x91 { 0x92 } else { *pcb }).collect();
        assert_eq!((said, cause), (all.to_vec(), Cause::Blocks), "{noisy} {damaged}");
    }
}

/// The card says that our block was damaged: that is a noisy line as well.
#[test]
fn a_request_to_repeat_is_noise() {
    let mut rig = up(iso(), 1);
    rig.command(&COMMAND);
    let (controls, cause, _) = lost(&mut rig, |sent, rig| {
        if sent == 1 {
            rig.card(&hex!("00 91 00 91"));
        }
    });
    assert_eq!((controls, cause), (hex!("40 40 92 C0 C0 C0").to_vec(), Cause::Blocks));
}

/// One silence is asked about, not believed; and noise of one exchange is none of the next.
#[test]
fn one_silence_costs_nothing() {
    let mut rig = up(iso(), 1);
    for n in [1, 0] {
        rig.command(&COMMAND);
        assert!(matches!(rig.next_act(), Some(Event::Transmit(_))));
        assert!(matches!(rig.next_act(), Some(Event::Transmit(_))), "R");
        let answer = [hex!("00 00 02 9000 92"), hex!("00 40 02 9000 D2")][n];
        rig.card(&answer);
        assert_eq!(rig.next_act(), Some(Event::Response(hex!("9000").to_vec())));
    }
}

/// EMV contact level 1 counts attempts, whatever comes.
#[test]
fn emv_makes_three_attempts() {
    let mut rig = Rig::new(Policy::emv(USUAL_CLOCK_HZ));
    assert_eq!(rig.activate(&with_tck(&hex!("3B E0 00 00 81 31 FE 15"))), Event::Ready);
    rig.command(&COMMAND);
    for _ in 0..3 {
        assert!(matches!(rig.next_act(), Some(Event::Transmit(_))));
    }
    assert_eq!(rig.next_act(), Some(Event::Deactivate));
}

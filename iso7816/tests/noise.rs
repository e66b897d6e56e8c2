// SPDX-License-Identifier: Apache-2.0
//! Octets in front of the answer to reset: passed over, within bounds.

use crate::rig::{Event, Rig, with_tck};
use hex_literal::hex;
use iso7816::atr::{AtrError, AtrWarnings};
use iso7816::etu::{Convention, USUAL_CLOCK_HZ};
use iso7816::line::{Cause, Input, Policy, Reset};

/// T=0 alone, T=1 alone with TA1 and historical octets, inverse convention.
const T0: [u8; 7] = hex!("3B 24 00 30 42 30 30");
const INVERSE: [u8; 9] = hex!("3F 65 25 00 22 09 96 90 00");

fn t1() -> Vec<u8> {
    with_tck(&hex!("3B D6 18 FF 81 31 FE 15 53 54 42 43 41 4D"))
}

/// This noise, as a UART sees it, stands in front of each answer to reset.
fn come_up(rig: &mut Rig, noise: &[u8], atr: &[u8], convention: Convention) -> Event {
    rig.input(Input::Activate);
    for _ in 0..20 {
        match rig.next_act() {
            Some(Event::Activate(_)) => {
                rig.input(Input::Timeout);
                rig.convention = Convention::Direct;
                rig.card(noise);
                rig.convention = convention;
                rig.card(atr);
            }
            Some(Event::Deactivate) => {}
            // The answer was understood: PPS or S(IFS) goes out.
            Some(event) => return event,
            None => panic!("the line rests"),
        }
    }
    panic!("no end")
}

#[test]
fn any_constant_octet_in_front_of_an_answer_is_passed_over() {
    for octet in 0..=0xFF {
        for count in 1..=3 {
            let noise = vec![octet; count];
            for (atr, convention) in [
                (T0.to_vec(), Convention::Direct),
                (t1(), Convention::Direct),
                (INVERSE.to_vec(), Convention::Inverse),
            ] {
                let mut rig = Rig::new(Policy::new(USUAL_CLOCK_HZ));
                let end = come_up(&mut rig, &noise, &atr, convention);
                let here = format!("{count} × {octet:02X} in front of {atr:02X?}: {end:?}");
                assert!(!matches!(end, Event::Failed(_)), "{here}");
                let got = rig.line.atr().expect(&here);
                assert_eq!(got.octets(), atr, "{here}");
                assert!(got.warnings().contains(AtrWarnings::NOISE), "{here}");
                assert_eq!(rig.line.params().convention, convention, "{here}");
            }
        }
    }
}

#[test]
fn noise_of_a_wrong_parity_does_not_damage_the_answer() {
    let mut rig = Rig::new(Policy::new(USUAL_CLOCK_HZ));
    rig.input(Input::Activate);
    for _ in 0..2 {
        while rig.next_act() != Some(Event::Activate(Reset::Cold)) {}
        rig.input(Input::Timeout);
        rig.damaged(0x00);
        rig.card(&T0);
    }
    assert_eq!(rig.next_act(), Some(Event::Ready));
}

/// Nobody can tell which octet of several was damaged: as with octets behind, the same twice is
/// believed.
#[test]
fn noise_and_answer_in_one_reception() {
    let mut rig = Rig::new(Policy::new(USUAL_CLOCK_HZ));
    rig.input(Input::Activate);
    for _ in 0..2 {
        while rig.next_act() != Some(Event::Activate(Reset::Cold)) {}
        rig.input(Input::Timeout);
        rig.line.handle_input(rig.now, Input::Damaged);
        rig.input(Input::Received(&[&[0xFF], &T0[..]].concat()));
    }
    assert_eq!(rig.next_act(), Some(Event::Ready));
    assert_eq!(rig.line.atr().unwrap().octets(), T0);
}

#[test]
fn noise_that_never_ends_is_no_card() {
    for octet in [0x00, 0x01, 0x60, 0xFF] {
        let mut rig = Rig::new(Policy::new(USUAL_CLOCK_HZ));
        let began = rig.now;
        let end = come_up(&mut rig, &[octet; 2000], &[], Convention::Direct);
        assert!(
            matches!(end, Event::Failed(error)
                if error.cause() == Cause::NotACard(AtrError::Ts(octet))),
            "{end:?}"
        );
        // The windows of three attempts, and the 2,000 characters of each, which went on.
        assert!(rig.now.since(began).as_secs() < 9);
    }
}

#[test]
fn noise_moves_no_window() {
    let policy = Policy::new(USUAL_CLOCK_HZ);
    let mut rig = Rig::new(policy);
    rig.input(Input::Activate);
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
    rig.input(Input::Timeout);
    let began = rig.now;
    rig.card(&[0x00, 0xFF, 0x00]);
    assert_eq!(rig.next(), Some(Event::Deactivate));
    assert_eq!(rig.now.since(began), policy.atr_start);
}

/// EMV contact level 1: what does not begin with TS is answered by a reset.
#[test]
fn emv_passes_no_noise_over() {
    let mut rig = Rig::new(Policy::emv(USUAL_CLOCK_HZ));
    rig.input(Input::Activate);
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
    rig.input(Input::Timeout);
    rig.card(&[0x00]);
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Warm)));
}

// SPDX-License-Identifier: Apache-2.0
//! Faults of other card stacks that ours must not have: answers to reset, times and state.

use crate::rig::{Event, Rig, agreeable, with_tck};
use hex_literal::hex;
use iso7816::atr::{AtrError, AtrPolicy, AtrWarnings};
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Input, Policy, Reset};
use std::time::Duration;

fn refused(policy: Policy, atr: &[u8]) -> Cause {
    match Rig::new(policy).activate(atr) {
        Event::Failed(error) => error.cause(),
        other => panic!("{other:?}"),
    }
}

fn strict() -> Policy {
    Policy { atr: AtrPolicy::STRICT, ..Policy::new(USUAL_CLOCK_HZ) }
}

#[test]
fn other_stacks_do_not_look_at_tck() {
    let wrong = hex!("3B 80 81 31 FE 45 00");
    let right = with_tck(&wrong[..6]);
    assert_eq!(
        refused(strict(), &wrong),
        Cause::NotACard(AtrError::Refused(AtrWarnings::WRONG_TCK))
    );
    // A mishap is not taken for the card's habit.
    let mut rig = Rig::new(Policy::new(USUAL_CLOCK_HZ));
    rig.input(Input::Activate);
    assert_eq!(rig.come_up(&[&wrong, &right]), Event::Ready);
    assert!(rig.line.atr().unwrap().warnings().is_empty());
    // A card that always says so is used, with a warning.
    let rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &wrong);
    assert_eq!(rig.line.atr().unwrap().warnings(), AtrWarnings::WRONG_TCK);
}

#[test]
fn other_stacks_take_a_reserved_fi_for_a_rate() {
    for ta1 in [0x71, 0x81, 0xE1, 0xF1, 0x10, 0x1A, 0x1F] {
        let atr = [0x3B, 0x10, ta1];
        let rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &atr);
        assert_eq!(rig.line.params().baud(), 9_622, "TA1 {ta1:02X}");
        assert_eq!(
            refused(strict(), &atr),
            Cause::NotACard(AtrError::Refused(AtrWarnings::RESERVED_RATE))
        );
    }
}

#[test]
fn other_stacks_take_ts_aa() {
    assert_eq!(
        refused(Policy::new(USUAL_CLOCK_HZ), &hex!("AA 00")),
        Cause::NotACard(AtrError::Ts(0xAA))
    );
}

#[test]
fn other_stacks_take_an_answer_with_three_octets_missing() {
    let whole = with_tck(&hex!("3B 96 18 81 31 FE 45 41 42 43 44 45 46"));
    let cut = &whole[..whole.len() - 3];
    assert_eq!(refused(Policy::new(USUAL_CLOCK_HZ), cut), Cause::NotACard(AtrError::Short));
}

/// 20 characters at 372/1 last 25 ms, PPS 10 ms; the rest is ours.
#[test]
fn other_stacks_need_two_seconds_from_reset_to_the_first_command() {
    let atr = with_tck(&hex!("3B 9C 96 81 31 FE 45 41 42 43 44 45 46 47 48 49 4A 4B 4C"));
    assert_eq!(atr.len(), 20);
    let mut rig = Rig::new(Policy::new(USUAL_CLOCK_HZ));
    let released = rig.now;
    assert_eq!(rig.activate(&atr), Event::Ready);
    rig.command(&hex!("80320000"));
    loop {
        match rig.next_act() {
            Some(Event::Transmit(sent)) => {
                rig.pass(rig.line.params().sending(sent.len()));
                rig.card(&agreeable(&sent, 1));
            }
            Some(Event::Response(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rig.line.params().baud(), 223_722);
    let took = rig.now.since(released);
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[test]
fn other_stacks_send_a_command_again_that_the_card_may_have_executed() {
    for (atr, t) in [(hex!("3B 00").to_vec(), 0), (with_tck(&hex!("3B 80 81 31 FE 15")), 1)] {
        let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &atr);
        rig.command(&hex!("80320000"));
        let mut commands = 0;
        loop {
            match rig.next_act() {
                Some(Event::Transmit(sent)) if t == 0 => commands += usize::from(sent[0] == 0x80),
                Some(Event::Transmit(sent)) => commands += usize::from(sent[1] & 0x80 == 0),
                Some(Event::Failed(error)) => {
                    assert!(error.may_have_executed() && error.recovering());
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rig.come_up(&[&atr]), Event::Ready);
        rig.pass(Duration::from_secs(60));
        assert!(rig.events.is_empty(), "{:?}", rig.events);
        assert_eq!(commands, 1, "T={t}");
    }
}

#[test]
fn other_stacks_share_state_between_readers() {
    let atrs = [hex!("3B 90 95 10 80").to_vec(), hex!("3F 90 13 10 80").to_vec()];
    let mut rigs = [Rig::new(Policy::new(USUAL_CLOCK_HZ)), Rig::new(Policy::new(6_000_000))];
    for rig in &mut rigs {
        rig.input(Input::Activate);
        assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
    }
    rigs[1].convention = iso7816::etu::Convention::Inverse;
    for at in 0..atrs[0].len() {
        for (rig, atr) in rigs.iter_mut().zip(&atrs) {
            rig.card(&atr[at..=at]);
        }
    }
    let rates = rigs.map(|mut rig| {
        assert_eq!(rig.next_act(), Some(Event::Ready));
        rig.line.params().baud()
    });
    assert_eq!(rates, [111_861, 64_516]);
}

#[test]
fn other_stacks_overflow_when_a_card_asks_for_much_time() {
    // BWI 9 and the slowest clock: 183 s for one block, times 255.
    let atr = with_tck(&hex!("3B 80 81 31 FE 95"));
    let policy = Policy { exchange_limit: Duration::from_secs(100_000), ..Policy::new(1_000_000) };
    let mut rig = Rig::up(policy, &atr);
    rig.command(&hex!("80320000"));
    assert!(matches!(rig.next(), Some(Event::Transmit(_))));
    let one = rig.deadline.unwrap().since(rig.now);
    rig.card(&hex!("00 C3 01 FF 3D"));
    assert_eq!(rig.next_act(), Some(Event::Transmit(hex!("00 E3 01 FF 1D").to_vec())));
    let wait = rig.deadline.unwrap().since(rig.now);
    assert!(wait > one * 254 && wait < one * 256, "{wait:?}");
    // What the caller allows an exchange ends it all the same.
    let policy = Policy { exchange_limit: Duration::from_secs(60), ..policy };
    let mut rig = Rig::up(policy, &atr);
    rig.command(&hex!("80320000"));
    assert!(matches!(rig.next(), Some(Event::Transmit(_))));
    rig.card(&hex!("00 C3 01 FF 3D"));
    assert!(matches!(rig.next_act(), Some(Event::Transmit(_))));
    assert_eq!(rig.cause(), Cause::OutOfTime);
}

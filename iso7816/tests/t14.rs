// SPDX-License-Identifier: Apache-2.0
//! T=14 on the line: framing, times and refusals.

use crate::rig::{Event, Rig, with_tck};
use hex_literal::hex;
use iso7816::apdu::ApduError;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Input, Policy, Reset};
use std::time::Duration;

/// T=14 alone, TA1 21, three historical octets.
fn atr() -> Vec<u8> {
    with_tck(&hex!("3B 93 21 0E 41 42 43"))
}

const COMMAND: [u8; 7] = hex!("01 02 00 00 02 AA BB");
/// Lead, command, checksum: the whole comes to 3F.
const SENT: [u8; 9] = hex!("01 01 02 00 00 02 AA BB 2E");

fn answer(data: &[u8]) -> Vec<u8> {
    let len = u8::try_from(data.len()).unwrap();
    let body = [&hex!("01 02 00 00 00 00 00")[..], &[len], data].concat();
    let sum = body.iter().fold(0x3F, |sum, octet| sum ^ octet);
    [&body[..], &[sum]].concat()
}

/// A line with the command on it.
fn asked() -> Rig {
    let policy = Policy { max_response: 8 + 255, ..Policy::new(USUAL_CLOCK_HZ) };
    let mut rig = Rig::up(policy, &atr());
    rig.command(&COMMAND);
    assert_eq!(rig.next(), Some(Event::Transmit(SENT.to_vec())));
    rig
}

#[test]
fn the_rate_of_the_answer_to_reset_holds_without_pps() {
    let rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &atr());
    assert_eq!((rig.line.protocol(), rig.line.params().f, rig.line.params().d), (14, 558, 1));
}

#[test]
fn a_rate_that_the_reader_cannot_run_is_refused() {
    let policy = Policy { baud_base: Some(9_600), ..Policy::new(USUAL_CLOCK_HZ) };
    let end = Rig::new(policy).activate(&atr());
    assert!(matches!(end, Event::Failed(error) if error.cause() == Cause::SpecificMode));
}

#[test]
fn a_card_that_offers_it_second_is_asked_by_pps() {
    let policy = Policy { protocol: Some(14), ..Policy::new(USUAL_CLOCK_HZ) };
    let mut rig = Rig::new(policy);
    rig.input(Input::Activate);
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
    rig.card(&with_tck(&hex!("3B 80 80 0E")));
    assert_eq!(rig.next(), Some(Event::Transmit(hex!("FF 0E F1").to_vec())));
    rig.card(&hex!("FF 0E F1"));
    assert_eq!(rig.next_act(), Some(Event::Ready));
    assert_eq!(rig.line.protocol(), 14);
}

#[test]
fn the_answer_comes_without_its_checksum() {
    for data in [&[][..], &hex!("AA BB CC"), &[0x55; 255]] {
        let mut rig = asked();
        let answer = answer(data);
        rig.card(&answer);
        let response = answer[..answer.len() - 1].to_vec();
        assert_eq!(rig.next(), Some(Event::Response(response)));
    }
}

#[test]
fn an_answer_beyond_the_callers_limit_fails() {
    let mut rig = Rig::up(Policy { max_response: 8 + 2, ..Policy::new(USUAL_CLOCK_HZ) }, &atr());
    rig.command(&COMMAND);
    let _ = rig.next();
    rig.card(&answer(&hex!("AA BB CC")));
    assert_eq!(rig.cause(), Cause::TooLong);
}

#[test]
fn a_thinking_card_has_five_seconds() {
    let mut rig = asked();
    rig.pass(Duration::from_millis(4_900));
    let answer = answer(&[]);
    rig.card(&answer);
    assert!(matches!(rig.next(), Some(Event::Response(_))));
    let mut rig = asked();
    rig.pass(Duration::from_millis(5_200));
    assert_eq!(rig.cause(), Cause::Silent);
}

/// Nothing can be asked for again: whatever is wrong fails the exchange and resets the card.
#[test]
fn every_damage_fails_the_exchange_and_nothing_is_sent_again() {
    let good = answer(&hex!("AA BB"));
    let mut table = vec![(good[..good.len() - 1].to_vec(), Cause::Silent)];
    table.push(([&good[..], &[0]].concat(), Cause::Leftover));
    for at in 0..good.len() {
        // Another length makes the answer end elsewhere.
        if at != 7 {
            let mut wrong = good.clone();
            wrong[at] ^= 0x10;
            table.push((wrong, Cause::Checksum));
        }
    }
    for (octets, cause) in table {
        let mut rig = asked();
        rig.card(&octets);
        assert_eq!(rig.cause(), cause, "{octets:02X?}");
        assert_eq!(rig.next(), Some(Event::Activate(Reset::Warm)));
        rig.card(&atr());
        assert_eq!(rig.next_act(), Some(Event::Ready));
        rig.pass(Duration::from_secs(10));
        assert!(rig.events.is_empty());
    }
    let mut rig = asked();
    rig.card(&good[..3]);
    rig.input(Input::Damaged);
    assert_eq!(rig.cause(), Cause::Checksum);
}

#[test]
fn a_command_whose_length_is_wrong_is_not_sent() {
    let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &atr());
    for (command, why) in [
        (&hex!("01 02 00 00")[..], ApduError::Header { octets: 4 }),
        (&hex!("01 02 00 00 02 AA"), ApduError::Length { lc: 2, octets: 1 }),
        (&hex!("01 02 00 00 00 AA"), ApduError::Length { lc: 0, octets: 1 }),
    ] {
        rig.command(command);
        assert_eq!(rig.cause(), Cause::Command(why));
    }
    assert_eq!(rig.next(), None);
}

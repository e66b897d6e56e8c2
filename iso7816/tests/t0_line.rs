// SPDX-License-Identifier: Apache-2.0
//! T=0 on the card line: what a failure costs, and that nothing is sent twice.

use crate::rig::{Event, Rig};
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Policy, Reset};
use std::time::Duration;

const ATR: [u8; 2] = hex!("3B 00");
/// Case 4: three octets of data, an answer of two.
const APDU: [u8; 9] = hex!("80340000 03 010203 00");
/// What the card says, and after which of our transmissions.
const CARD: [&[u8]; 3] = [&hex!("60 34"), &hex!("60 6102"), &hex!("C0 AABB 9000")];
const ANSWER: [u8; 4] = hex!("AABB9000");

/// One octet of the card's on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mishap {
    Lost,
    Doubled,
    Parity,
    Other(u8),
}

/// What became of the exchange.
struct Outcome {
    event: Event,
    /// Command headers that went out, GET RESPONSE apart.
    headers: usize,
}

/// The exchange with this mishap at the n-th octet of the card.
fn exchange(rig: &mut Rig, at: usize, mishap: Mishap) -> Outcome {
    rig.command(&APDU);
    let (mut count, mut turn, mut headers) = (0, 0, 0);
    loop {
        match rig.next_act() {
            Some(Event::Transmit(sent)) => {
                headers += usize::from(sent.starts_with(&APDU[..4]));
                let octets = CARD.get(turn).copied().unwrap_or(&[]);
                turn += 1;
                for octet in octets {
                    let here = count == at;
                    count += 1;
                    if !rig.events.is_empty() {
                        break; // reset silences the card
                    }
                    match mishap {
                        _ if !here => rig.card(&[*octet]),
                        Mishap::Lost => {}
                        Mishap::Doubled => rig.card(&[*octet, *octet]),
                        Mishap::Other(octet) => rig.card(&[octet]),
                        Mishap::Parity => rig.damaged(octet ^ 1),
                    }
                }
            }
            Some(event @ (Event::Response(_) | Event::Failed(_))) => {
                return Outcome { event, headers };
            }
            other => panic!("{mishap:?} at {at}: {other:?}"),
        }
    }
}

fn octets() -> usize {
    CARD.iter().map(|part| part.len()).sum()
}

/// The line comes back by one reset at the same rate, sends nothing by itself, and works.
fn comes_back(rig: &mut Rig, here: &str) {
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Warm)), "{here}");
    rig.card(&ATR);
    assert_eq!(rig.next(), Some(Event::Ready), "{here}");
    rig.pass(Duration::from_secs(5));
    assert!(rig.events.is_empty(), "{here}: {:?}", rig.events);
    let next = exchange(rig, usize::MAX, Mishap::Lost);
    assert_eq!(next.event, Event::Response(ANSWER.to_vec()), "{here}");
}

#[test]
fn an_exchange_with_null_data_and_get_response() {
    let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &ATR);
    let outcome = exchange(&mut rig, usize::MAX, Mishap::Lost);
    assert_eq!(outcome.event, Event::Response(ANSWER.to_vec()));
    assert_eq!(outcome.headers, 1);
}

#[test]
fn a_damaged_character_anywhere_fails_the_exchange() {
    for at in 0..octets() {
        let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &ATR);
        let outcome = exchange(&mut rig, at, Mishap::Parity);
        let Event::Failed(error) = outcome.event else { panic!("octet {at}") };
        assert_eq!(error.cause(), Cause::Damaged, "octet {at}");
        assert!(error.may_have_executed() && error.recovering());
        comes_back(&mut rig, &format!("octet {at}"));
    }
}

#[test]
fn a_failed_command_is_never_sent_again() {
    for mishap in [Mishap::Lost, Mishap::Doubled, Mishap::Parity, Mishap::Other(0xC4)] {
        for at in 0..octets() {
            let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &ATR);
            let here = format!("{mishap:?} at {at}");
            let Outcome { event, headers } = exchange(&mut rig, at, mishap);
            assert_eq!(headers, 1, "{here}");
            if let Event::Failed(error) = event {
                assert!(error.may_have_executed(), "{here}");
                comes_back(&mut rig, &here);
            }
        }
    }
}

#[test]
fn a_lost_octet_is_never_a_wrong_answer() {
    // NULL may be lost without harm.
    let nulls = [0, 2];
    for at in 0..octets() {
        let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &ATR);
        match exchange(&mut rig, at, Mishap::Lost).event {
            Event::Response(response) => {
                assert!(nulls.contains(&at) && response == ANSWER, "octet {at}");
            }
            Event::Failed(error) => {
                assert!(!nulls.contains(&at), "octet {at}: {error}");
                comes_back(&mut rig, &format!("octet {at}"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_octet_too_many_is_never_a_wrong_answer() {
    for at in 0..octets() {
        let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &ATR);
        match exchange(&mut rig, at, Mishap::Doubled).event {
            Event::Response(response) => assert_eq!(response, ANSWER, "octet {at}"),
            Event::Failed(_) => comes_back(&mut rig, &format!("octet {at}")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_octet_behind_the_answer_fails_it_and_one_much_later_resets_the_card() {
    let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &ATR);
    rig.command(&hex!("80320000"));
    assert!(matches!(rig.next(), Some(Event::Transmit(_))));
    rig.card(&hex!("9000 00"));
    assert_eq!(rig.cause(), Cause::Leftover);
    comes_back(&mut rig, "at once");
    rig.card(&hex!("00"));
    let Some(Event::Failed(error)) = rig.next() else { panic!("ignored") };
    assert_eq!((error.cause(), error.may_have_executed()), (Cause::Leftover, false));
    comes_back(&mut rig, "out of nowhere");
}

#[test]
fn the_waiting_time_is_what_the_answer_to_reset_makes_it() {
    // WI × 960 × Fi / f, whatever D is.
    for (atr, fi, wi) in [
        (&hex!("3B 00")[..], 372, 10),
        (&hex!("3B 80 40 02"), 372, 2),
        (&hex!("3B 90 95 50 80 0F"), 512, 15),
    ] {
        let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), atr);
        let params = rig.line.params();
        let wt = params.clocks(wi * 960 * fi);
        rig.command(&hex!("80320000"));
        assert!(matches!(rig.next(), Some(Event::Transmit(_))));
        let sending = params.sending(5);
        rig.pass(sending + wt);
        assert!(rig.events.is_empty(), "{atr:02X?}: too early");
        rig.pass(Policy::new(USUAL_CLOCK_HZ).latency);
        assert_eq!(rig.cause(), Cause::Silent, "{atr:02X?}");
    }
}

#[test]
fn a_storm_of_null_ends_with_the_time_of_the_exchange() {
    let policy = Policy { exchange_limit: Duration::from_secs(8), ..Policy::new(USUAL_CLOCK_HZ) };
    let mut rig = Rig::up(policy, &ATR);
    rig.command(&hex!("80320000"));
    let began = rig.now;
    assert!(matches!(rig.next(), Some(Event::Transmit(_))));
    while rig.events.is_empty() {
        rig.pass(Duration::from_millis(500));
        if rig.events.is_empty() {
            rig.card(&[0x60]);
        }
    }
    assert_eq!(rig.cause(), Cause::OutOfTime);
    assert!(rig.now.since(began) < Duration::from_millis(8_700));
    comes_back(&mut rig, "after the storm");
}

#[test]
fn an_envelope_exchange_on_the_line() {
    let policy = Policy { max_command: 600, ..Policy::new(USUAL_CLOCK_HZ) };
    let mut rig = Rig::up(policy, &ATR);
    let apdu = [&hex!("80360000 000110")[..], &[0x5A; 0x110]].concat();
    rig.command(&apdu);
    let mut carried = Vec::new();
    loop {
        match rig.next_act() {
            Some(Event::Transmit(sent)) if sent.starts_with(&hex!("80C20000")) => {
                rig.card(&[0xC2]);
            }
            Some(Event::Transmit(part)) => {
                carried.extend(part);
                rig.card(&hex!("9000"));
            }
            Some(Event::Response(response)) => {
                assert_eq!(response, hex!("9000"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(carried, apdu);
}

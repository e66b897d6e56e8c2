// SPDX-License-Identifier: Apache-2.0
//! A card that asks for time without end: the caller's limit ends the exchange, on every protocol.

use crate::rig::{Event, Rig, with_tck};
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Policy};
use iso7816::t1::{Block, Edc, Supervisory};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(8);

fn policy() -> Policy {
    Policy { exchange_limit: LIMIT, ..Policy::new(USUAL_CLOCK_HZ) }
}

/// The card answers everything with `octets` until the exchange has failed; when it did so.
fn storm(atr: &[u8], octets: &[u8]) -> (Duration, Rig, Event) {
    let mut rig = Rig::up(policy(), atr);
    let begun = rig.now;
    rig.command(&hex!("80 34 00 00 10"));
    for _ in 0..100_000 {
        if let Some(at) = rig.events.iter().position(|event| matches!(event, Event::Failed(_))) {
            let failed = rig.events.remove(at).unwrap();
            return (rig.now.since(begun), rig, failed);
        }
        rig.events.clear();
        rig.card(octets);
        rig.pass_etu(200);
    }
    panic!("the exchange never ends");
}

fn ended_by_the_limit((took, mut rig, event): (Duration, Rig, Event)) {
    let Event::Failed(error) = event else { panic!("{event:?}") };
    assert_eq!(error.cause(), Cause::OutOfTime);
    assert!(error.may_have_executed() && error.recovering());
    assert!(took >= LIMIT && took < LIMIT + Duration::from_secs(1), "{took:?}");
    // The card is not told again what it may have executed.
    let activated = rig.next();
    assert!(matches!(activated, Some(Event::Activate(_))), "{activated:?}");
}

#[test]
fn null_without_end_is_ended_by_the_caller_s_limit() {
    ended_by_the_limit(storm(&hex!("3B 00"), &[0x60]));
}

#[test]
fn waiting_time_extensions_without_end_are_ended_by_the_caller_s_limit() {
    let mut wtx = [0; 8];
    let kind = Supervisory::Wtx(255);
    let len = Block::S { response: false, kind }.emit(Edc::Lrc, &mut wtx).unwrap();
    ended_by_the_limit(storm(&with_tck(&hex!("3B 80 01")), &wtx[..len]));
}

// SPDX-License-Identifier: Apache-2.0
//! The start: answer to reset, PPS and, on T=1, the offer of IFSD. After one fault the card comes
//! up as it would have, at the same rate, within the longest wait and one start more.
use crate::{Echo, NOTICED, changes, echo, exchange};
use cam_types::Instant;
use iso7816::etu::{Convention, LineParams, USUAL_CLOCK_HZ};
use iso7816::line::Policy;
use iso7816::t1::Edc;
use system_tests::wire::{Event, Mishap, Wire};
use vcard::atr::{self, Profile};

fn wire(atr: &[u8]) -> Wire<Echo> {
    Wire::new(atr, Policy::new(USUAL_CLOCK_HZ), 254, Echo)
}

fn every_fault(atr: &[u8], mishaps: &[Mishap]) {
    let mut clean = wire(atr);
    clean.arm(None);
    assert_eq!(clean.activate(), Event::Ready);
    let (octets, took) = (clean.passed.len(), clean.now);
    // The longest wait of a start is that for a character of the answer to reset or of PPS.
    let policy = Policy::new(USUAL_CLOCK_HZ);
    let wait = LineParams::initial(USUAL_CLOCK_HZ).etus(9600) + policy.latency + policy.power_off;
    for mishap in mishaps {
        for place in 0..octets {
            let mut wire = wire(atr);
            wire.arm(Some((place, *mishap)));
            assert_eq!(wire.activate(), Event::Ready, "{mishap:?} at {place} of {octets}");
            let (from, octet) = wire.passed[place];
            let here = format!("{mishap:?} {octet:02X} at {place} of {octets}, by {from:?}");
            assert_eq!(wire.terminal.params(), clean.terminal.params(), "{here}");
            assert_eq!(wire.terminal.protocol(), clean.terminal.protocol(), "{here}");
            let more = wire.now.since(took);
            assert!(more <= wait + took.since(Instant::default()), "{here}: {more:?} more");
            wire.arm(None);
            let apdu = exchange(100, 40);
            let seen = if wire.terminal.protocol() == 1 { &apdu[..] } else { &apdu[..105] };
            assert_eq!(wire.command(&apdu), Event::Response(echo(seen)), "{here}");
        }
    }
}

#[test]
fn one_fault_anywhere_in_a_start_of_t0() {
    every_fault(&atr::t0(), &NOTICED);
}

/// The parity of the first character is wrong for a UART that does not know yet.
#[test]
fn one_fault_anywhere_in_a_start_of_inverse_convention() {
    let convention = Convention::Inverse;
    every_fault(&Profile { convention, ..Profile::t0() }.emit(), &NOTICED);
    every_fault(&Profile { convention, ..Profile::t1() }.emit(), &NOTICED);
}

/// TCK, PCK and the epilogue see what parity does not.
#[test]
fn one_fault_anywhere_in_a_start_of_t1() {
    let mishaps: Vec<Mishap> = NOTICED.into_iter().chain(changes()).collect();
    every_fault(&atr::t1(), &mishaps);
    every_fault(&Profile { edc: Edc::Crc, ..Profile::t1() }.emit(), &mishaps);
}

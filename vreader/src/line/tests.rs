// SPDX-License-Identifier: Apache-2.0
//! From the answer to reset to the first command.

use super::*;
use hex_literal::hex;
use iso7816::etu::{Convention, USUAL_CLOCK_HZ};
use proptest::prelude::*;

#[derive(Debug, Eq, PartialEq)]
enum Step {
    Sent(Vec<u8>),
    Line(u16, u8, u16),
    Executed(Vec<u8>),
}

fn drain(line: &mut CardLine) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        steps.push(match line.poll_output() {
            Output::Transmit(octets) => Step::Sent(octets.to_vec()),
            Output::Configure(line) => Step::Line(line.f, line.d, line.guard_etu),
            Output::Execute(apdu) => Step::Executed(apdu.to_vec()),
            Output::Wait(_) => return steps,
        });
    }
}

fn say(line: &mut CardLine, octets: &[u8]) -> Vec<Step> {
    line.handle_input(Instant::default(), Input::Received(octets));
    drain(line)
}

fn sent(octets: &[u8]) -> Step {
    Step::Sent(octets.to_vec())
}

fn powered(atr: &[u8]) -> CardLine {
    let mut line = CardLine::new(Policy::new(USUAL_CLOCK_HZ, crate::inserted::takes_data));
    line.power_on(atr).unwrap();
    let _ = drain(&mut line);
    line
}

#[test]
fn our_own_answers_to_reset() {
    let mut line = CardLine::new(Policy::new(USUAL_CLOCK_HZ, crate::inserted::takes_data));
    let t1 = vcard::atr::t1();
    line.power_on(&t1).unwrap();
    assert_eq!(drain(&mut line), [Step::Line(372, 1, 12), sent(&t1), Step::Line(372, 1, 11)]);
    assert_eq!(
        say(&mut line, &hex!("FF 11 18 F6")),
        [sent(&hex!("FF 11 18 F6")), Step::Line(372, 12, 11)]
    );
    assert_eq!(say(&mut line, &hex!("00 C1 01 FE 3E")), [sent(&hex!("00 E1 01 FE 1E"))]);
    let mut line = powered(&vcard::atr::t0());
    assert_eq!(
        say(&mut line, &hex!("FF 10 18 F7")),
        [sent(&hex!("FF 10 18 F7")), Step::Line(372, 12, 12)]
    );
    assert_eq!(say(&mut line, &hex!("00 A4 04 00 02")), [sent(&hex!("A4"))]);
}

#[test]
fn pps_octet_by_octet_and_with_what_follows() {
    let mut line = powered(&vcard::atr::t1());
    for octet in hex!("FF 11 18") {
        assert_eq!(say(&mut line, &[octet]), []);
    }
    assert_eq!(say(&mut line, &hex!("F6")).len(), 2);
}

#[test]
fn rates_the_card_agrees_to() {
    let table: &[(&[u8], &[u8], u16, u8)] = &[
        // A slower one; none asked for; one faster than TA1; another F; with PPS2, which we omit.
        (&hex!("FF 11 13 FD"), &hex!("FF 11 13 FD"), 372, 4),
        (&hex!("FF 01 FE"), &hex!("FF 01 FE"), 372, 1),
        (&hex!("FF 11 96 78"), &hex!("FF 01 FE"), 372, 1),
        (&hex!("FF 11 95 7B"), &hex!("FF 01 FE"), 372, 1),
        (&hex!("FF 31 18 01 D7"), &hex!("FF 11 18 F6"), 372, 12),
    ];
    for (request, response, f, d) in table {
        let mut line = powered(&vcard::atr::t1());
        assert_eq!(
            say(&mut line, request),
            [sent(response), Step::Line(*f, *d, 11)],
            "{request:02X?}"
        );
    }
}

#[test]
fn a_bad_pps_is_met_with_silence_until_reset() {
    for request in [&hex!("FF 11 18 F7")[..], &hex!("FF 10 18 F7"), &hex!("FF 91 18 76")] {
        let mut line = powered(&vcard::atr::t1());
        assert_eq!(say(&mut line, request), [], "{request:02X?}");
        assert_eq!(say(&mut line, &hex!("00 C1 01 FE 3E")), []);
        line.power_on(&vcard::atr::t1()).unwrap();
        assert_eq!(drain(&mut line).len(), 3);
        assert_eq!(say(&mut line, &hex!("00 C1 01 FE 3E")).len(), 2);
    }
}

#[test]
fn without_pps_the_first_protocol_begins() {
    let mut line = powered(&vcard::atr::t1());
    assert_eq!(
        say(&mut line, &hex!("00 C1 01 FE 3E")),
        [Step::Line(372, 1, 11), sent(&hex!("00 E1 01 FE 1E"))]
    );
}

#[test]
fn a_card_of_both_protocols() {
    // T=0 first, T=1 second.
    let atr = hex!("3B 90 18 80 01 09");
    let mut line = powered(&atr);
    assert_eq!(say(&mut line, &hex!("00 A4 04 00 02"))[1..], [sent(&hex!("A4"))]);
    let mut line = powered(&atr);
    assert_eq!(say(&mut line, &hex!("FF 11 18 F6")).len(), 2);
    assert_eq!(say(&mut line, &hex!("00 C0 00 C0")), [sent(&hex!("00 E0 00 E0"))]);
}

#[test]
fn specific_mode_begins_at_once() {
    // TA1 95, TA2 80: T=0 at 512/16.
    let atr = hex!("3B 90 95 10 80");
    let mut line = CardLine::new(Policy::new(USUAL_CLOCK_HZ, crate::inserted::takes_data));
    line.power_on(&atr).unwrap();
    assert_eq!(drain(&mut line), [Step::Line(372, 1, 12), sent(&atr), Step::Line(512, 16, 12)]);
    assert_eq!(say(&mut line, &hex!("FF 10 95 7A")), []);
}

#[test]
fn inverse_convention_and_nonsense() {
    let mut line = CardLine::new(Policy::new(USUAL_CLOCK_HZ, crate::inserted::takes_data));
    line.power_on(&hex!("3F 00")).unwrap();
    let Output::Configure(params) = line.poll_output() else { panic!("no line") };
    assert_eq!(params.convention, Convention::Inverse);
    assert!(line.power_on(&hex!("3A 00")).is_err());
    assert!(line.power_on(&[]).is_err());
    assert_eq!(drain(&mut line), []);
}

proptest! {
    #[test]
    fn any_octets(
        atr in prop::collection::vec(any::<u8>(), 0..34),
        direct in any::<bool>(),
        octets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..20),
    ) {
        let mut line = CardLine::new(Policy::new(USUAL_CLOCK_HZ, crate::inserted::takes_data));
        let atr = if direct { [&[0x3B][..], &atr].concat() } else { atr };
        if line.power_on(&atr).is_err() {
            line.power_on(&vcard::atr::t1()).unwrap();
        }
        let _ = drain(&mut line);
        for octets in octets {
            let _ = say(&mut line, &octets);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The card line against a small card: activation, recovery, and every single fault on the line.

use crate::card_rig::{Card, CardRig, Event, Mishap, answer};
use cam_types::Instant;
use hex_literal::hex;
use iso7816::apdu::ApduError;
use iso7816::atr::AtrError;
use iso7816::etu::{Convention, LineParams, USUAL_CLOCK_HZ};
use iso7816::line::{CardLine, Cause, Gone, Input, Output, Policy, Reset};
use moments::{MOMENTS, first};
use proptest::prelude::*;
use std::time::Duration;

/// Negotiable, TA1 18, N 255, T=1, IFSC 254, BWI 1, CWI 5.
const ATR: [u8; 14] = hex!("3B D6 18 FF 81 31 FE 15 53 54 42 43 41 4D");

fn with_tck(atr: &[u8]) -> Vec<u8> {
    let tck = atr[1..].iter().fold(0, |sum, octet| sum ^ octet);
    [atr, &[tck]].concat()
}

fn rig() -> CardRig {
    CardRig::new(&with_tck(&ATR), Policy::new(USUAL_CLOCK_HZ))
}

fn cause(event: &Event) -> Cause {
    match event {
        Event::Failed(error) => error.cause(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn from_reset_to_an_exchange() {
    let mut rig = rig();
    rig.ready();
    assert_eq!(rig.card.resets, [Reset::Cold]);
    assert_eq!(
        rig.sent,
        [hex!("FF 11 18 F6").to_vec(), hex!("00 C1 01 FE 3E").to_vec()],
        "PPS, then S(IFS)"
    );
    let last = rig.configured.last().unwrap();
    assert_eq!((last.f, last.d, last.guard_etu), (372, 12, 11));
    assert_eq!(last.baud(), 115_469);
    for apdu in [&hex!("80320000")[..], &hex!("80B000C8 00"), &[0x80; 9][..5]] {
        assert_eq!(rig.command(apdu), Event::Response(answer(apdu)));
    }
    assert_eq!(rig.card.executed.len(), 3);
    assert!(rig.line.atr().is_some());
    // Reset to the first command in less than 100 ms, at the real speed of the line.
    assert!(rig.now.since(first()) < Duration::from_millis(400));
}

#[test]
fn no_pps_when_the_default_is_all_there_is() {
    let mut rig = CardRig::new(&with_tck(&hex!("3B 80 81 31 FE 15")), Policy::new(USUAL_CLOCK_HZ));
    rig.ready();
    assert_eq!(rig.card.pps_seen, 0);
    assert_eq!(rig.sent, [hex!("00 C1 01 FE 3E").to_vec()]);
}

#[test]
fn a_rate_that_the_uart_cannot_make_is_not_asked_for() {
    let policy = Policy { baud_base: Some(115_200), ..Policy::new(USUAL_CLOCK_HZ) };
    // 512/16: 3 % off on such a UART; 372/12 is faster than that, so 512/8, 372/8 … are tried.
    let mut rig = CardRig::new(&with_tck(&hex!("3B 90 95 81 31 FE 15")), policy);
    rig.ready();
    let baud = rig.line.params().baud();
    let off = (115_200 / ((115_200 + baud / 2) / baud)).abs_diff(baud);
    assert!(baud < 111_861 && off * 50 <= baud, "{baud}");
    let slow = Policy { max_baud: 10_000, ..Policy::new(USUAL_CLOCK_HZ) };
    let mut rig = CardRig::new(&with_tck(&ATR), slow);
    rig.ready();
    assert_eq!((rig.card.pps_seen, rig.line.params().baud()), (0, 9_622));
}

#[test]
fn specific_mode_starts_at_once() {
    let mut rig =
        CardRig::new(&with_tck(&hex!("3B 90 95 91 81 31 FE 15")), Policy::new(USUAL_CLOCK_HZ));
    rig.ready();
    assert_eq!(rig.card.pps_seen, 0);
    assert_eq!((rig.line.params().f, rig.line.params().d), (512, 16));
}

#[test]
fn specific_mode_that_does_not_fit() {
    let policy = Policy { max_baud: 20_000, ..Policy::new(USUAL_CLOCK_HZ) };
    // TA2 01: the card may change, so it is asked once by a warm reset.
    let mut rig = CardRig::new(&with_tck(&hex!("3B 90 95 91 01 31 FE 15")), policy);
    rig.input(Input::Activate);
    let event = rig.run().unwrap();
    assert_eq!(cause(&event), Cause::SpecificMode);
    assert_eq!(rig.card.resets, [Reset::Cold, Reset::Warm]);
    assert_eq!(rig.deactivated, 1);
    // TA2 81: it may not.
    let mut rig = CardRig::new(&with_tck(&hex!("3B 90 95 91 81 31 FE 15")), policy);
    rig.input(Input::Activate);
    assert_eq!(cause(&rig.run().unwrap()), Cause::SpecificMode);
    assert_eq!(rig.card.resets, [Reset::Cold]);
}

#[test]
fn inverse_convention() {
    let mut rig =
        CardRig::new(&with_tck(&hex!("3F 90 18 81 31 FE 15")), Policy::new(USUAL_CLOCK_HZ));
    rig.inverse = true;
    rig.mishap = Some((0, Mishap::Marked)); // the UART still expects even parity
    rig.ready();
    assert!(rig.configured.iter().all(|params| params.convention == Convention::Inverse));
    let apdu = hex!("80340000 03 010203 00");
    assert_eq!(rig.command(&apdu), Event::Response(answer(&apdu)));
}

#[test]
fn pps_refused_then_left_out() {
    let mut rig = rig();
    rig.card.refuses_pps = true;
    rig.ready();
    assert_eq!(rig.card.pps_seen, 3);
    assert_eq!(rig.line.params().baud(), 9_622);
    assert_eq!(rig.command(&hex!("80320000")), Event::Response(vec![0x90, 0x00]));
}

#[test]
fn a_mute_card_and_no_card() {
    let mut rig = rig();
    rig.card.mute = true;
    rig.input(Input::Activate);
    let before = rig.now;
    let Some(Event::Failed(error)) = rig.run() else { panic!("it came up") };
    assert_eq!(error.cause(), Cause::Mute);
    assert!(!error.may_have_executed() && !error.recovering() && !error.usable());
    assert!(rig.now.since(before) < Duration::from_secs(1));
    // Off before each new attempt, and for good at the end.
    assert_eq!((rig.card.resets.len(), rig.deactivated), (3, 3));
    assert_eq!(rig.run(), None);
    assert_eq!(cause(&rig.command(&hex!("80320000"))), Cause::NotReady);
    rig.card.mute = false;
    rig.ready();
}

#[test]
fn nonsense_instead_of_an_answer_to_reset() {
    for (atr, why) in [
        (&hex!("AA 55")[..], AtrError::Ts(0xAA)),
        (&hex!("3B 02 41"), AtrError::Short),
        (&[&hex!("3B F0")[..], &[0xFF; 40]].concat(), AtrError::Overlong),
    ] {
        let mut rig = CardRig::new(atr, Policy::new(USUAL_CLOCK_HZ));
        rig.input(Input::Activate);
        assert_eq!(cause(&rig.run().unwrap()), Cause::NotACard(why));
        assert_eq!(rig.card.resets.len(), 3);
    }
    // T=5 is a card, but not for us.
    let mut rig = CardRig::new(&hex!("3B 80 05 85"), Policy::new(USUAL_CLOCK_HZ));
    rig.input(Input::Activate);
    assert_eq!(cause(&rig.run().unwrap()), Cause::Protocol { t: 5 });
    assert_eq!(rig.card.resets.len(), 1);
}

#[test]
fn trailing_octets_and_a_missing_tck_are_let_pass() {
    for atr in [[with_tck(&ATR), vec![0xAA, 0x55]].concat(), ATR.to_vec()] {
        let mut rig = CardRig::new(&atr, Policy::new(USUAL_CLOCK_HZ));
        rig.ready();
        assert!(!rig.line.atr().unwrap().warnings().is_empty());
        assert_eq!(rig.command(&hex!("80320000")), Event::Response(vec![0x90, 0x00]));
    }
}

#[test]
fn a_card_that_falls_silent() {
    let mut rig = rig();
    rig.ready();
    rig.card.mute = true;
    let before = rig.now;
    rig.input(Input::Command {
        apdu: &hex!("80320000"),
        patience: Some(Duration::from_millis(300)),
    });
    let Some(Event::Failed(error)) = rig.run() else { panic!("an answer from nowhere") };
    assert_eq!(error.cause(), Cause::Silent);
    assert!(error.may_have_executed() && error.recovering());
    assert!(rig.now.since(before) < Duration::from_millis(350));
    assert_eq!(cause(&rig.run().unwrap()), Cause::Mute);
    assert_eq!(rig.card.resets, [Reset::Cold, Reset::Warm, Reset::Cold, Reset::Cold]);
}

#[test]
fn a_card_that_falls_silent_and_comes_back() {
    let mut rig = rig();
    rig.ready();
    rig.card.mute = true;
    rig.input(Input::Command { apdu: &hex!("80320000"), patience: None });
    let event = rig.run().unwrap();
    assert_eq!(cause(&event), Cause::Silent);
    rig.card.mute = false;
    assert!(matches!(rig.run(), Some(Event::Ready(_))));
    assert_eq!(rig.command(&hex!("80320000")), Event::Response(vec![0x90, 0x00]));
    assert_eq!(rig.card.executed.len(), 1);
}

#[test]
fn removed_and_reader_lost() {
    for (gone, expected) in [(Gone::Removed, Cause::Removed), (Gone::ReaderLost, Cause::ReaderLost)]
    {
        let mut rig = rig();
        rig.ready();
        rig.input(Input::Command { apdu: &hex!("80320000"), patience: None });
        rig.input(Input::Gone(gone));
        let Some(Event::Failed(error)) = rig.run() else { panic!("still there") };
        assert_eq!((error.cause(), error.may_have_executed()), (expected, true));
        assert_eq!(rig.run(), None);
        rig.input(Input::Gone(gone));
        assert_eq!(rig.run(), None, "told once");
        rig.ready();
    }
}

#[test]
fn commands_that_are_not_sent() {
    let mut rig = rig();
    assert_eq!(cause(&rig.command(&hex!("80320000"))), Cause::NotReady);
    rig.ready();
    let sent = rig.sent.len();
    for apdu in [&hex!("8032")[..], &hex!("80320000 02 AA"), &[0; 300]] {
        let Event::Failed(error) = rig.command(apdu) else { panic!("sent") };
        assert!(matches!(error.cause(), Cause::Command(_)), "{error}");
        assert!(!error.may_have_executed() && error.usable());
    }
    let Event::Failed(error) = rig.command(&[0; 300]) else { panic!("sent") };
    assert_eq!(error.cause(), Cause::Command(ApduError::TooLong { octets: 300, limit: 261 }));
    assert_eq!(rig.sent.len(), sent);
    assert_eq!(rig.command(&hex!("80320000")), Event::Response(vec![0x90, 0x00]));
}

/// The heart of it: one octet of an exchange is lost, doubled or changed, at every place, in both
/// directions. The answer is right or the exchange fails, no command is executed twice, a failure
/// does not deny an execution, and the next exchange works.
#[test]
fn one_fault_at_every_place() {
    let mishaps = (0..8).map(|bit| Mishap::Flipped(1 << bit)).chain([
        Mishap::Flipped(0xFF),
        Mishap::Lost,
        Mishap::Doubled,
        Mishap::Parity,
    ]);
    let long = [&hex!("80340000 F0")[..], &[0x5A; 0xF0], &[0]].concat();
    let ordinary = hex!("80340000 0C 0102030405060708090A0B0C 00");
    for (atr, apdu) in [
        (with_tck(&ATR), &ordinary[..]),
        // IFSC 8: chains.
        (with_tck(&hex!("3B D0 18 FF 81 31 08 15")), &ordinary[..]),
        (with_tck(&hex!("3B D0 18 FF 81 31 40 15")), &long[..]),
    ] {
        for mishap in mishaps.clone() {
            let mut place = 0;
            loop {
                let mut rig = CardRig::new(&atr, Policy::new(USUAL_CLOCK_HZ));
                rig.ready();
                let here = format!("{mishap:?} at octet {place}");
                rig.octets = 0;
                rig.mishap = Some((place, mishap));
                let event = rig.command(apdu);
                match &event {
                    Event::Response(response) => {
                        assert_eq!(*response, answer(apdu), "{here}");
                        assert_eq!(rig.card.executed, [apdu.to_vec()], "{here}");
                    }
                    Event::Failed(error) => {
                        assert!(rig.card.executed.len() <= 1, "{here}");
                        if !rig.card.executed.is_empty() {
                            assert!(error.may_have_executed(), "{here}: {error}");
                        }
                        if error.recovering() {
                            assert!(matches!(rig.run(), Some(Event::Ready(_))), "{here}");
                        }
                    }
                    Event::Ready(_) => panic!("{here}: {event:?}"),
                }
                let over = rig.octets <= place;
                rig.mishap = None;
                let next = hex!("80320000");
                let event = rig.command(&next);
                assert_eq!(event, Event::Response(answer(&next)), "{here}: the next exchange");
                if over {
                    break;
                }
                place += 1;
            }
            assert!(place > 20);
        }
    }
}

/// The same while the card comes up: it comes up, or is given up, but never wrongly.
#[test]
fn one_fault_at_every_place_of_the_start() {
    for mishap in [Mishap::Lost, Mishap::Doubled, Mishap::Flipped(4), Mishap::Parity] {
        for place in 0..40 {
            let mut rig = rig();
            rig.mishap = Some((place, mishap));
            rig.input(Input::Activate);
            let event = rig.run().unwrap();
            assert!(matches!(event, Event::Ready(_)), "{mishap:?} at {place}: {event:?}");
            let apdu = hex!("80320000");
            rig.mishap = None;
            let event = rig.command(&apdu);
            if let Event::Failed(error) = &event {
                // A fault that an answer to reset cannot show: wrong parameters, but no wrong
                // answer.
                assert!(!matches!(error.cause(), Cause::NotReady), "{mishap:?} at {place}");
                continue;
            }
            assert_eq!(event, Event::Response(answer(&apdu)), "{mishap:?} at {place}");
        }
    }
}

/// A card of T=1 with one octet of the line damaged: everything that comes of it, each with its
/// time.
fn recovery(first: Instant, octet: usize, mishap: Mishap) -> Vec<(Duration, Option<Event>)> {
    let mut rig = CardRig::from(first, &with_tck(&ATR), Policy::new(USUAL_CLOCK_HZ));
    rig.mishap = Some((octet, mishap));
    let mut told = Vec::new();
    rig.input(Input::Activate);
    told.push((rig.now.since(first), rig.run()));
    for apdu in [&hex!("80320000")[..], &hex!("80B000C8 00"), &[0x80; 60]] {
        let event = rig.command(apdu);
        told.push((rig.now.since(first), Some(event)));
    }
    told
}

#[test]
fn it_recovers_alike_from_every_first_moment() {
    for mishap in [Mishap::Lost, Mishap::Parity] {
        for octet in (0..120).step_by(7) {
            let told = recovery(MOMENTS[0], octet, mishap);
            for first in &MOMENTS[1..] {
                let us = first.as_micros();
                assert_eq!(
                    told,
                    recovery(*first, octet, mishap),
                    "{mishap:?} {octet}, from {us} us"
                );
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Activate,
    Command(Vec<u8>),
    Received(Vec<u8>),
    Damaged,
    Removed,
    Timeout,
    Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Activate),
        4 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Command),
        4 => Just(Step::Command(hex!("80340000 03 010203 00").to_vec())),
        6 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Step::Received),
        6 => prop::sample::select(vec![0x60, 0x34, 0x90, 0x00, 0x61, 0x6C, 0xC0, 0xCB])
            .prop_map(|octet| Step::Received(vec![octet])),
        1 => Just(Step::Damaged),
        1 => Just(Step::Removed),
        8 => Just(Step::Timeout),
        2 => (0..5_000_000u32).prop_map(Step::Pass),
    ]
}

/// Answers to reset that bring up T=0, T=1 and everything between.
fn atr() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(hex!("3B 00").to_vec()),
        Just(with_tck(&hex!("3B 80 81 31 FE 15"))),
        Just(with_tck(&hex!("3B 90 95 91 81 31 FE 15"))),
        Just(with_tck(&ATR)),
        prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever comes, the line neither panics nor fails to rest, and every wait ends: left alone
    /// it is down or ready after a bounded time.
    #[test]
    fn any_input_at_any_time(
        atr in atr(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut line = CardLine::new(Policy::new(USUAL_CLOCK_HZ));
        let mut now = first();
        let mut deadline = None;
        let input = |line: &mut CardLine, now, input: Input<'_>| {
            line.handle_input(now, input);
            for _ in 0..16 {
                if let Output::Wait(at) = line.poll_output() {
                    return at;
                }
            }
            panic!("the line does not come to rest");
        };
        input(&mut line, now, Input::Activate);
        input(&mut line, now, Input::Received(&atr));
        for step in &steps {
            let item = match step {
                Step::Activate => Input::Activate,
                Step::Command(apdu) => Input::Command { apdu, patience: None },
                Step::Received(octets) => Input::Received(octets),
                Step::Damaged => Input::Damaged,
                Step::Removed => Input::Gone(Gone::Removed),
                Step::Timeout => {
                    now = deadline.unwrap_or(now);
                    Input::Timeout
                }
                Step::Pass(micros) => {
                    now = now.after(Duration::from_micros((*micros).into()));
                    Input::Timeout
                }
            };
            deadline = input(&mut line, now, item);
        }
        let mut left = 200;
        while let Some(at) = deadline {
            prop_assert!(left > 0, "still waiting");
            left -= 1;
            now = now.max(at);
            deadline = input(&mut line, now, Input::Timeout);
        }
    }

    /// A card that answers a command with anything: the exchange ends, in bounded time.
    #[test]
    fn any_answer_to_a_command(
        t1 in any::<bool>(),
        answers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..40),
    ) {
        let atr = if t1 { with_tck(&hex!("3B 80 81 31 FE 15")) } else { hex!("3B 00").to_vec() };
        let mut rig = CardRig::new(&atr, Policy::new(USUAL_CLOCK_HZ));
        if t1 {
            rig.ready();
        } else {
            rig.input(Input::Activate);
            prop_assert!(matches!(rig.run(), Some(Event::Ready(_))));
        }
        rig.card.mute = true;
        rig.input(Input::Command { apdu: &hex!("80340000 03 010203 00"), patience: None });
        for answer in &answers {
            if !rig.events.is_empty() {
                break;
            }
            rig.input(Input::Received(answer));
            if let Some(at) = rig.deadline {
                rig.now = rig.now.max(at);
                rig.input(Input::Timeout);
            }
        }
        let event = rig.run();
        prop_assert!(matches!(event, Some(Event::Failed(_) | Event::Response(_))), "{event:?}");
        if t1 {
            // Random octets make a block once in thousands of cases, never a whole exchange.
            prop_assert!(rig.now.since(first()) < Duration::from_secs(120));
        }
    }
}

#[test]
fn initial_line() {
    let line = CardLine::new(Policy::new(USUAL_CLOCK_HZ));
    assert_eq!(line.params(), LineParams::initial(USUAL_CLOCK_HZ));
    assert!(line.atr().is_none());
    assert!(Card::new(&ATR).executed.is_empty());
}

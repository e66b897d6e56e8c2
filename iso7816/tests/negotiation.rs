// SPDX-License-Identifier: Apache-2.0
//! From an answer to reset to the first command: specific mode, PPS and rates.

use crate::rig::{Event, Rig, agreeable, with_tck};
use hex_literal::hex;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::line::{Cause, Input, Policy, Reset};

fn policy() -> Policy {
    Policy::new(USUAL_CLOCK_HZ)
}

/// Negotiable up to 372/12, T=1.
fn negotiable() -> Vec<u8> {
    with_tck(&hex!("3B 90 18 81 31 FE 15"))
}

/// A line whose card has just been reset.
fn reset(policy: Policy) -> Rig {
    let mut rig = Rig::new(policy);
    rig.input(Input::Activate);
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
    rig.input(Input::Timeout);
    rig
}

/// A line that has asked for PPS.
fn asking(policy: Policy) -> Rig {
    let mut rig = reset(policy);
    rig.card(&negotiable());
    assert_eq!(rig.next_act(), Some(Event::Transmit(hex!("FF 11 18 F6").to_vec())));
    rig
}

#[test]
fn specific_mode_holds_from_the_first_character_on() {
    for (atr, protocol) in [(hex!("3B 90 95 10 80").to_vec(), 0), (specific(0x81), 1)] {
        let mut rig = Rig::up(policy(), &atr);
        let params = rig.line.params();
        assert_eq!((params.f, params.d, rig.line.protocol()), (512, 16, protocol));
        rig.command(&hex!("80320000"));
        assert!(!matches!(rig.next_act(), Some(Event::Transmit(sent)) if sent[0] == 0xFF));
    }
}

/// 512/16, T=1, with this TA2.
fn specific(ta2: u8) -> Vec<u8> {
    with_tck(&[0x3B, 0x90, 0x95, 0x91, ta2, 0x31, 0xFE, 0x15])
}

#[test]
fn specific_mode_on_a_uart_that_cannot_is_refused() {
    let policy = Policy { baud_base: Some(115_200), ..policy() };
    let end = Rig::new(policy).activate(&specific(0x81));
    assert!(matches!(end, Event::Failed(error) if error.cause() == Cause::SpecificMode));
}

#[test]
fn a_card_that_may_change_its_mode_is_asked_to_negotiate() {
    let policy = Policy { max_baud: 40_000, ..policy() };
    let mut rig = Rig::new(policy);
    rig.input(Input::Activate);
    let atrs = [specific(0x01), with_tck(&hex!("3B 90 95 81 31 FE 15"))];
    assert_eq!(rig.come_up(&[&atrs[0], &atrs[1]]), Event::Ready);
    assert!(rig.line.params().baud() <= 40_000);
    // Once only.
    let mut rig = Rig::new(policy);
    rig.input(Input::Activate);
    let end = rig.come_up(&[&atrs[0]]);
    assert!(matches!(end, Event::Failed(error) if error.cause() == Cause::SpecificMode));
}

#[test]
fn implicit_parameters_are_used_where_configured() {
    let policy = Policy { implicit_rate: Some((372, 4)), ..policy() };
    let rig = Rig::up(policy, &specific(0x91));
    assert_eq!((rig.line.params().f, rig.line.params().d), (372, 4));
}

#[test]
fn implicit_parameters_are_refused_otherwise() {
    let end = Rig::new(policy()).activate(&specific(0x91));
    assert!(matches!(end, Event::Failed(error) if error.cause() == Cause::SpecificMode));
}

#[test]
fn a_protocol_of_specific_mode_that_nobody_speaks_is_refused() {
    let atr = with_tck(&hex!("3B 90 95 95 85 31 FE 15"));
    let end = Rig::new(policy()).activate(&atr);
    assert!(matches!(end, Event::Failed(error) if error.cause() == Cause::Protocol { t: 5 }));
}

#[test]
fn pps_is_the_first_thing_said() {
    let mut rig = asking(policy());
    rig.card(&hex!("FF 11 18 F6"));
    assert!(matches!(rig.next(), Some(Event::Configure(params)) if params.d == 12));
    assert!(matches!(rig.next(), Some(Event::Transmit(block)) if block[1] == 0xC1));
}

#[test]
fn without_pps_the_protocol_begins_at_the_default_rate() {
    for atr in [hex!("3B 00").to_vec(), with_tck(&hex!("3B 80 81 31 FE 15"))] {
        let mut rig = Rig::new(policy());
        assert_eq!(rig.activate(&atr), Event::Ready);
        assert_eq!(rig.line.params().baud(), 9_622);
    }
}

#[test]
fn a_protocol_that_is_not_the_first_is_asked_for() {
    // T=0 first, then T=1.
    let atr = with_tck(&hex!("3B 80 80 01"));
    let policy = Policy { protocol: Some(1), ..policy() };
    let mut rig = reset(policy);
    rig.card(&atr);
    assert_eq!(rig.next(), Some(Event::Transmit(hex!("FF 01 FE").to_vec())));
    rig.card(&hex!("FF 01 FE"));
    assert!(matches!(rig.next_act(), Some(Event::Transmit(block)) if block[1] == 0xC1));
    assert_eq!(rig.line.protocol(), 1);
}

#[test]
fn a_card_that_refuses_another_protocol_keeps_its_first() {
    let atr = with_tck(&hex!("3B 80 80 01"));
    let mut rig = reset(Policy { protocol: Some(1), ..policy() });
    for _ in 0..3 {
        rig.card(&atr);
        assert!(matches!(rig.next(), Some(Event::Transmit(_))));
        assert_eq!(rig.next(), Some(Event::Deactivate));
        assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)));
    }
    rig.card(&atr);
    assert_eq!(rig.next(), Some(Event::Ready));
    assert_eq!(rig.line.protocol(), 0);
}

#[test]
fn the_guard_time_of_the_card_holds_for_pps() {
    for (atr, guard_etu) in [
        (&hex!("3B D0 18 FF 81 31 FE 15")[..], 12),
        (&hex!("3B D0 18 0A 81 31 FE 15"), 22),
        // T=15: N counts in units of TA1.
        (&hex!("3B D0 18 18 81 91 FE 1F 03"), 14),
    ] {
        let mut rig = reset(policy());
        rig.card(&with_tck(atr));
        let mut guard = 12;
        loop {
            match rig.next() {
                Some(Event::Configure(params)) => guard = params.guard_etu,
                Some(Event::Transmit(_)) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(guard, guard_etu, "{atr:02X?}");
    }
}

#[test]
fn pps_without_pps1_leaves_the_default_rate() {
    let mut rig = asking(policy());
    rig.card(&hex!("FF 01 FE"));
    assert!(matches!(rig.next_act(), Some(Event::Transmit(block)) if block[1] == 0xC1));
    assert_eq!(rig.line.params().baud(), 9_622);
}

#[test]
fn every_other_response_to_pps_fails_and_is_not_gone_on_with() {
    let table: &[(&[u8], bool)] = &[
        (&hex!("FF 10 18 F7"), false),    // another protocol
        (&hex!("FF 11 13 FD"), false),    // another PPS1
        (&hex!("FF 11 18 F7"), false),    // wrong PCK
        (&hex!("FF 91 18 76"), false),    // reserved bit
        (&hex!("FE 11 18 F7"), false),    // not PPSS
        (&hex!("FF 31 18 01 D7"), false), // PPS2 that nobody asked for
        (&hex!("FF 11 18 F6 00"), false), // an octet more
        (&hex!("FF 11 18"), false),       // an octet less
        (&[], false),                     // silence
        (&hex!("FF 11 18 F6"), true),     // damaged
    ];
    for (response, damaged) in table {
        let mut rig = asking(policy());
        if *damaged {
            rig.input(Input::Damaged);
        }
        rig.card(response);
        assert_eq!(rig.next(), Some(Event::Deactivate), "{response:02X?}");
        assert_eq!(rig.next(), Some(Event::Activate(Reset::Cold)), "{response:02X?}");
        assert_eq!(rig.line.params().d, 1);
        // It may have been a mishap, so the next try is the same. The one after it is slower.
        rig.card(&negotiable());
        let again = Some(Event::Transmit(hex!("FF 11 18 F6").to_vec()));
        assert_eq!(rig.next_act(), again, "{response:02X?}");
        assert_eq!(rig.next_act(), Some(Event::Deactivate));
        assert_eq!(rig.next_act(), Some(Event::Activate(Reset::Cold)));
        rig.card(&negotiable());
        let Some(Event::Transmit(request)) = rig.next_act() else { panic!("{response:02X?}") };
        assert_eq!(request, hex!("FF 11 14 FA"), "{response:02X?}");
    }
}

#[test]
fn a_response_to_pps_may_take_9600_etu() {
    let mut rig = asking(policy());
    rig.pass_etu(9500);
    rig.card(&hex!("FF"));
    rig.pass_etu(9500);
    rig.card(&hex!("11 18 F6"));
    assert!(matches!(rig.next(), Some(Event::Configure(params)) if params.d == 12));
    // And no longer.
    let mut rig = asking(policy());
    rig.pass_etu(9600 + 4 * 12);
    rig.pass(policy().latency);
    assert_eq!(rig.next(), Some(Event::Deactivate));
}

#[test]
fn the_new_rate_holds_behind_the_response_and_not_before() {
    let mut rig = asking(policy());
    rig.card(&hex!("FF 11 18"));
    assert!(rig.events.is_empty());
    assert_eq!(rig.line.params().baud(), 9_622);
    rig.card(&hex!("F6"));
    assert!(matches!(rig.next(), Some(Event::Configure(params)) if params.baud() == 115_469));
}

#[test]
fn one_pps_for_each_reset() {
    let mut rig = Rig::new(policy());
    rig.input(Input::Activate);
    let (mut resets, mut requests) = (0, 0);
    loop {
        match rig.next_act() {
            Some(Event::Activate(_)) => {
                resets += 1;
                rig.card(&negotiable());
            }
            // The first request is not answered.
            Some(Event::Transmit(sent)) if sent[0] == 0xFF => {
                requests += 1;
                assert!(requests <= resets);
                if resets > 1 {
                    rig.card(&sent);
                }
            }
            Some(Event::Transmit(sent)) => rig.card(&agreeable(&sent, 1)),
            Some(Event::Ready) => break,
            Some(_) => {}
            None => panic!("not up"),
        }
    }
    assert_eq!((resets, requests), (2, 2));
}

#[test]
fn the_fastest_rate_that_the_uart_makes_is_asked_for() {
    let table: &[(u8, Option<u32>, u32, u32)] = &[
        // TA1, base, highest rate, and what it comes to
        (0x96, None, 1_000_000, 223_722),
        (0x95, None, 1_000_000, 111_861),
        (0x95, Some(115_200), 1_000_000, 38_490),
        (0x18, Some(115_200), 1_000_000, 115_469),
        (0x97, None, 300_000, 223_722),
        (0x94, Some(115_200), 1_000_000, 38_490),
        (0x18, Some(9_600), 1_000_000, 9_622),
    ];
    for (ta1, baud_base, max_baud, rate) in table {
        let policy = Policy { baud_base: *baud_base, max_baud: *max_baud, ..policy() };
        let rig = Rig::up(policy, &with_tck(&[0x3B, 0x90, *ta1, 0x81, 0x31, 0xFE, 0x15]));
        assert_eq!(rig.line.params().baud(), *rate, "TA1 {ta1:02X} on {baud_base:?}");
    }
}

#[test]
fn a_rate_never_exceeds_what_the_card_offers() {
    for ta1 in 0..=0xFF {
        let rig = Rig::up(policy(), &with_tck(&[0x3B, 0x90, ta1, 0x81, 0x31, 0xFE, 0x15]));
        let (atr, params) = (rig.line.atr().unwrap(), rig.line.params());
        let (fi, di, _) = atr.rate();
        let offered = LineParams { f: fi, d: di, ..params }.baud();
        assert!(params.baud() <= offered.max(9_622), "TA1 {ta1:02X}: {}", params.baud());
        assert!(params.f <= fi.max(372) && params.d <= di, "TA1 {ta1:02X}");
    }
}

#[test]
fn two_failures_in_a_row_step_the_rate_down() {
    let mut rig = Rig::up(policy(), &negotiable());
    assert_eq!(rig.line.params().d, 12);
    for rate in [12, 8] {
        rig.command(&hex!("80320000"));
        let mut failed = false;
        while !failed {
            match rig.next_act() {
                Some(Event::Failed(_)) => failed = true,
                Some(Event::Transmit(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rig.come_up(&[&negotiable()]), Event::Ready);
        assert_eq!(rig.line.params().d, rate);
    }
}

#[test]
fn a_success_between_two_failures_keeps_the_rate() {
    let mut rig = Rig::up(policy(), &negotiable());
    for answered in [false, true, false] {
        rig.command(&hex!("80320000"));
        loop {
            match rig.next_act() {
                Some(Event::Transmit(sent)) if answered => rig.card(&agreeable(&sent, 1)),
                Some(Event::Transmit(_)) => {}
                Some(Event::Response(_)) => break,
                Some(Event::Failed(_)) => {
                    assert_eq!(rig.come_up(&[&negotiable()]), Event::Ready);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rig.line.params().d, 12);
    }
}

// SPDX-License-Identifier: Apache-2.0
//! A card that takes 25 s for an answer: nothing resets it before its waiting time has passed.

use crate::rig::{Event, Rig, agreeable, with_tck};
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Input, Policy};
use std::time::Duration;

/// WT: WI 250. BWT: BWI 8.
fn cards() -> [(Vec<u8>, u8); 2] {
    [(hex!("3B 80 40 FA").to_vec(), 0), (with_tck(&hex!("3B 80 81 31 FE 85")), 1)]
}

#[test]
fn t0_waits_wt_and_t1_bwt_before_a_reset() {
    for (atr, protocol) in cards() {
        let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &atr);
        assert_eq!(rig.line.protocol(), protocol);
        for _ in 0..3 {
            rig.input(Input::Command { apdu: &hex!("80320000"), patience: None });
            let Some(Event::Transmit(sent)) = rig.next_act() else { panic!("{atr:02X?}") };
            rig.pass(Duration::from_millis(24_800));
            assert!(rig.events.is_empty(), "{atr:02X?}: {:?}", rig.events);
            rig.card(&agreeable(&sent, protocol));
            assert_eq!(rig.next_act(), Some(Event::Response(hex!("9000").to_vec())));
        }
        // And one that never answers is given up at last.
        rig.input(Input::Command { apdu: &hex!("80320000"), patience: None });
        rig.events.clear();
        let began = rig.now;
        while !matches!(rig.next_act(), Some(Event::Failed(_))) {}
        let took = rig.now.since(began);
        assert!(took > Duration::from_secs(24) && took < Duration::from_secs(61), "{took:?}");
    }
}

/// WT of two minutes (WI 255, Fi 2048), BWT of two (BWI 9, 1.5 MHz): longer than an exchange may
/// usually take.
#[test]
fn a_waiting_time_beyond_the_limit_of_an_exchange_is_waited_for() {
    let t0 = (hex!("3B 90 D1 40 FF").to_vec(), 0, USUAL_CLOCK_HZ, 139_000);
    let t1 = (with_tck(&hex!("3B 80 81 31 FE 95")), 1, 1_500_000, 121_000);
    for (atr, protocol, clock, thinks) in [t0, t1] {
        let mut rig = Rig::up(Policy::new(clock), &atr);
        assert_eq!(rig.line.protocol(), protocol);
        for _ in 0..2 {
            rig.command(&hex!("80320000"));
            let Some(Event::Transmit(sent)) = rig.next_act() else { panic!("{atr:02X?}") };
            rig.pass(Duration::from_millis(thinks));
            assert!(rig.events.is_empty(), "{atr:02X?}: {:?}", rig.events);
            rig.card(&agreeable(&sent, protocol));
            assert_eq!(rig.next_act(), Some(Event::Response(hex!("9000").to_vec())));
        }
        rig.command(&hex!("80320000"));
        let began = rig.now;
        while !matches!(rig.next_act(), Some(Event::Failed(_))) {}
        let (took, wait) = (rig.now.since(began), Duration::from_millis(thinks));
        assert!(took > wait && took < wait * 3 + Duration::from_secs(10), "{took:?}");
    }
}

/// IFSD and a sign of life are answered as slowly.
#[test]
fn so_are_the_answers_to_ifs_requests() {
    let mut rig = Rig::new(Policy::new(1_500_000));
    rig.input(Input::Activate);
    assert!(matches!(rig.next(), Some(Event::Activate(_))));
    rig.card(&with_tck(&hex!("3B 80 81 31 FE 95")));
    let answer = |rig: &mut Rig| {
        let Some(Event::Transmit(sent)) = rig.next_act() else { panic!("{:?}", rig.events) };
        rig.pass(Duration::from_secs(121));
        assert!(rig.events.is_empty(), "{:?}", rig.events);
        rig.card(&agreeable(&sent, 1));
    };
    answer(&mut rig);
    assert_eq!(rig.next_act(), Some(Event::Ready));
    rig.input(Input::Probe);
    answer(&mut rig);
    assert_eq!(rig.next_act(), Some(Event::Response(vec![])));
}

/// T=14 has WT too.
#[test]
fn a_card_on_t14_thinks_as_long_as_its_wt() {
    let atr = with_tck(&hex!("3B 80 4E FA"));
    let mut rig = Rig::up(Policy::new(USUAL_CLOCK_HZ), &atr);
    assert_eq!(rig.line.protocol(), 14);
    rig.command(&hex!("01 02 00 00 00"));
    let Some(Event::Transmit(sent)) = rig.next_act() else { panic!("{:?}", rig.events) };
    rig.pass(Duration::from_millis(24_800));
    assert!(rig.events.is_empty(), "{:?}", rig.events);
    rig.card(&agreeable(&sent, 14));
    assert!(matches!(rig.next_act(), Some(Event::Response(_))));
}

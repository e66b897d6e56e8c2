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

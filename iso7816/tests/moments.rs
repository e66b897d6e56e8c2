// SPDX-License-Identifier: Apache-2.0
//! What the card line does, and when, does not depend on the moment at which its clock began.

use crate::dialogue::{dialogues, play_from};
use crate::rig::{Event, Rig};
use cam_types::Instant;
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Gone, Input, Policy};
use iso7816::t1::Edc;
use moments::MOMENTS;
use std::time::Duration;

#[test]
fn every_dialogue_goes_alike_from_every_first_moment() {
    for dialogue in dialogues() {
        for first in MOMENTS {
            play_from(first, &dialogue, Edc::Lrc, 300);
        }
    }
}

/// A card of T=0 that keeps the line with NULL, then falls silent.
fn silence(first: Instant) -> Vec<(Duration, Option<Event>)> {
    let mut rig = Rig::from(first, Policy::new(USUAL_CLOCK_HZ));
    assert_eq!(rig.activate(&hex!("3B 00")), Event::Ready);
    let mut told = Vec::new();
    rig.command(&hex!("80 32 00 00 01"));
    told.push((rig.now.since(first), rig.next()));
    for _ in 0..40 {
        rig.pass(Duration::from_millis(500));
        rig.card(&[0x60]);
    }
    for _ in 0..4 {
        let event = rig.next();
        told.push((rig.now.since(first), event));
    }
    rig.input(Input::Gone(Gone::Removed));
    told.push((rig.now.since(first), rig.next()));
    told
}

#[test]
fn a_silent_card_is_given_up_alike_from_every_first_moment() {
    let told = silence(MOMENTS[0]);
    for first in &MOMENTS[1..] {
        assert_eq!(told, silence(*first), "from {} us", first.as_micros());
    }
}

// SPDX-License-Identifier: Apache-2.0
//! A card that keeps the line busy and gets nowhere is given up within the exchange's first second.

use crate::rig::{Event, Rig, with_tck};
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Policy};
use iso7816::t1::{Block, Edc, Supervisory};
use std::time::Duration;

/// The card answers everything that is sent like this, until the exchange ends; why, and how often
/// something was sent.
fn ends(rig: &mut Rig, apdu: &[u8], mut answer: impl FnMut(&[u8]) -> Vec<u8>) -> (Cause, usize) {
    let began = rig.now;
    rig.command(apdu);
    let mut sent = 0;
    loop {
        match rig.next_act() {
            Some(Event::Transmit(octets)) => {
                sent += 1;
                let answer = answer(&octets);
                rig.card(&answer);
            }
            Some(Event::Failed(error)) => {
                let took = rig.now.since(began);
                assert!(took < Duration::from_secs(1), "{:?} after {took:?}", error.cause());
                return (error.cause(), sent);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn t0() -> Rig {
    Rig::up(Policy::new(USUAL_CLOCK_HZ), &hex!("3B 00"))
}

#[test]
fn t0_data_that_is_announced_and_never_sent() {
    for announced in [hex!("6100"), hex!("6110")] {
        let (cause, sent) = ends(&mut t0(), &hex!("80340000 01 0A 00"), |sent| match sent {
            [0x80, 0x34, ..] => vec![0x34],
            _ => announced.to_vec(),
        });
        assert_eq!(cause, Cause::Withheld);
        assert!(sent <= 5, "{sent}");
    }
}

/// 6Cxx is put right once for each GET RESPONSE: the pair of them is no progress either.
#[test]
fn t0_lengths_that_are_put_right_for_nothing() {
    let mut right = false;
    let (cause, sent) = ends(&mut t0(), &hex!("80340000 01 0A 00"), |sent| match sent {
        [0x80, 0x34, ..] => vec![0x34],
        [0x80, 0xC0, ..] => {
            right = !right;
            if right { vec![0x6C, 0x05] } else { vec![0x61, 0x04] }
        }
        _ => vec![0x61, 0x05],
    });
    assert_eq!(cause, Cause::Withheld);
    assert!(sent <= 8, "{sent}");
}

/// A card may say 61xx to GET RESPONSE once more before it sends.
#[test]
fn t0_data_that_comes_late_is_taken() {
    let mut rig = t0();
    rig.command(&hex!("80340000 01 0A 00"));
    for (sent, card) in [
        (&hex!("8034000001")[..], &hex!("34")[..]),
        (&hex!("0A"), &hex!("6102")),
        (&hex!("80C0000002"), &hex!("6102")),
        (&hex!("80C0000002"), &hex!("3F AA 6101")),
        (&hex!("80C0000001"), &hex!("6101")),
        (&hex!("80C0000001"), &hex!("C0 BB 9000")),
    ] {
        assert_eq!(rig.next_act(), Some(Event::Transmit(sent.to_vec())));
        rig.card(card);
    }
    assert_eq!(rig.next_act(), Some(Event::Response(hex!("AABB9000").to_vec())));
}

fn t1() -> Rig {
    Rig::up(Policy::new(USUAL_CLOCK_HZ), &with_tck(&hex!("3B 90 11 81 31 FE 55")))
}

fn block(block: Block<'_>) -> Vec<u8> {
    let mut out = [0; 300];
    let len = block.emit(Edc::Lrc, &mut out).unwrap();
    out[..len].to_vec()
}

#[test]
fn t1_requests_that_ask_for_no_time() {
    for kind in [Supervisory::Ifs(32), Supervisory::Ifs(254), Supervisory::Abort] {
        let ask = block(Block::S { response: false, kind });
        let (cause, sent) = ends(&mut t1(), &hex!("80320000"), |_| ask.clone());
        assert_eq!(cause, Cause::Blocks, "{kind:?}");
        assert!(sent < 16, "{sent}");
    }
}

/// A chain of blocks without octets grows nothing.
#[test]
fn t1_a_chain_of_nothing() {
    let mut ns = true;
    let (cause, sent) = ends(&mut t1(), &hex!("80320000"), |_| {
        ns = !ns;
        block(Block::I { ns, more: true, inf: &[] })
    });
    assert_eq!(cause, Cause::Blocks);
    assert!(sent < 16, "{sent}");
}

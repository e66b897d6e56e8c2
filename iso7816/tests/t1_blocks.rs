// SPDX-License-Identifier: Apache-2.0
//! T=1 rule by rule: blocks, sizes, times and limits. The dialogues are in `t1_scenarios.rs`.

use crate::dialogue::{Dialogue, play};
use crate::rig::{Event, Rig, with_tck};
use hex_literal::hex;
use iso7816::apdu::Lengths;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Input, Policy};
use iso7816::t1::{Block, BlockError, Edc, Fault, MAX_BLOCK, Supervisory};
use std::time::Duration;

fn check(title: &'static str, text: &'static str) {
    play(&Dialogue::new(title, text));
}

fn octets(block: Block<'_>) -> Vec<u8> {
    let mut out = [0; MAX_BLOCK];
    let len = block.emit(Edc::Lrc, &mut out).unwrap();
    out[..len].to_vec()
}

/// The I-block with which an answer or a command begins, and ends.
fn whole(inf: &[u8]) -> Vec<u8> {
    octets(Block::I { ns: false, more: false, inf })
}

/// A card of this IFSC, BWI 4 and CWI 13 with LRC, at the default rate.
fn up(policy: Policy, ifsc: u8) -> Rig {
    Rig::up(policy, &with_tck(&[0x3B, 0x80, 0x81, 0x31, ifsc, 0x4D]))
}

fn plain() -> Policy {
    Policy { ifsd: 32, ..Policy::new(USUAL_CLOCK_HZ) }
}

fn transmitted(rig: &mut Rig) -> Vec<u8> {
    match rig.next_act() {
        Some(Event::Transmit(sent)) => sent,
        other => panic!("{other:?}"),
    }
}

/// Every PCB with every LEN: those of the standard are blocks, all others are not.
#[test]
fn only_the_control_octets_of_the_standard_are_blocks() {
    for pcb in 0..=255_u8 {
        for len in 0..=3_u8 {
            let mut block = vec![0, pcb, len];
            block.extend(std::iter::repeat_n(7, len.into()));
            block.push(block.iter().fold(0, |sum, octet| sum ^ octet));
            let exists = match (pcb, len) {
                (0x00 | 0x20 | 0x40 | 0x60, _) => true,
                (0x80..=0x82 | 0x90..=0x92, len) => len == 0,
                (0xC0 | 0xE0 | 0xC2 | 0xE2, len) => len == 0,
                (0xC1 | 0xE1 | 0xC3 | 0xE3, len) => len == 1,
                _ => false,
            };
            let parsed = Block::parse(&block, Edc::Lrc);
            assert_eq!(parsed.is_ok(), exists, "PCB {pcb:02X} LEN {len}");
            assert!(exists || parsed == Err(BlockError::Pcb(pcb)), "PCB {pcb:02X} LEN {len}");
        }
    }
}

#[test]
fn a_node_address_other_than_00_is_invalid() {
    for nad in 1..=255 {
        let mut block = whole(&[0x90, 0x00]);
        block[0] = nad;
        block[5] ^= nad;
        assert_eq!(Block::parse(&block, Edc::Lrc), Err(BlockError::Nad(nad)));
    }
    check("NAD 21", "C 4 > I00 @ < raw 2100029000 > R0o < I00 9000 = 9000");
}

#[test]
fn a_block_that_is_not_as_long_as_it_says_is_invalid() {
    check("LEN FF", "C 4 > I00 @ < octets 0000FF9000 > R0o < I00 9000 = 9000");
    check("one octet", "C 4 > I00 @ < octets 00 > R0o < I00 9000 = 9000");
    check("two octets", "C 4 > I00 @ < octets 0000 > R0o < I00 9000 = 9000");
    check(
        "an information field cut short",
        "C 4 > I00 @ < octets 000003900092 > R0o < I00 9000 = 9000",
    );
    check("LEN too small", "C 4 > I00 @ < raw 0000019000 > R0o < I00 9000 = 9000");
}

/// The machine that takes them for the answer behind them gives a wrong one.
#[test]
fn octets_behind_the_epilogue_make_the_block_invalid() {
    for more in [&[0x92][..], &[0x00], &whole(&[0x90, 0x00])] {
        for split in [false, true] {
            let mut rig = up(plain(), 32);
            rig.command(&hex!("80320000"));
            assert!(!transmitted(&mut rig).is_empty());
            let answer = whole(&[0x90, 0x00]);
            if split {
                rig.card(&answer);
                rig.card(more);
            } else {
                rig.pass_etu(100);
                rig.input(Input::Received(&[&answer, more].concat()));
            }
            assert_eq!(transmitted(&mut rig), hex!("00 82 00 82"), "{more:02X?}");
            rig.card(&answer);
            assert_eq!(rig.next(), Some(Event::Response(vec![0x90, 0x00])));
        }
    }
}

#[test]
fn a_block_bigger_than_ifsd_is_invalid() {
    check("33 octets", "C 4 > I00 @ < I00 #0..33 > R0o < I00 #0..32 = #0..32");
}

/// Whatever the epilogue, TC of T=1 chooses it, and every changed octet is seen.
#[test]
fn every_changed_octet_is_seen_by_either_epilogue() {
    let inf: Vec<u8> = (0..60).collect();
    for edc in [Edc::Lrc, Edc::Crc] {
        let mut out = [0; MAX_BLOCK];
        let len = Block::I { ns: true, more: false, inf: &inf }.emit(edc, &mut out).unwrap();
        for at in (0..len).filter(|at| *at != 2) {
            for bits in 1..=255 {
                let mut changed = out[..len].to_vec();
                changed[at] ^= bits;
                let parsed = Block::parse(&changed, edc);
                assert_eq!(parsed, Err(BlockError::Edc), "{edc:?}, octet {at} changed by {bits}");
            }
        }
    }
}

#[test]
fn blocks_to_the_card_keep_to_its_ifsc() {
    for (ifsc, command) in [(1, 12), (5, 40), (31, 261), (32, 261), (254, 261)] {
        let mut rig = up(plain(), ifsc);
        let mut apdu = vec![0x80, 0x34, 0, 0, u8::try_from(command - 5).unwrap_or(255)];
        apdu.resize(5 + usize::from(apdu[4]), 0x5A);
        rig.command(&apdu);
        let mut got = Vec::new();
        loop {
            let sent = transmitted(&mut rig);
            let Ok(Block::I { ns, more, inf }) = Block::parse(&sent, Edc::Lrc) else { panic!() };
            assert!(inf.len() <= ifsc.into() && (!more || inf.len() == ifsc.into()), "{ifsc}");
            got.extend_from_slice(inf);
            if !more {
                break;
            }
            rig.card(&octets(Block::R { nr: !ns, fault: Fault::None }));
        }
        assert_eq!(got, apdu, "IFSC {ifsc}");
    }
}

/// Directly after the answer to reset or PPS, and again after RESYNCH, which takes it back.
#[test]
fn ifsd_is_offered_before_the_first_command() {
    check(
        "offered again",
        "A > S(IFS q) 254 < S(IFS r) 254 ready
         C 4 > I00 @ < R0e > I00 @ < R0e > I00 @ < R0e > S(RESYNCH q) < S(RESYNCH r) ! Resynchronised usable sent
         C 4 > S(IFS q) 254 < S(IFS r) 254 > I00 @ < I00 #0..60 9000 = #0..60 9000",
    );
}

/// The card's IFSC of before RESYNCH does not hold either.
#[test]
fn resynch_takes_ifsc_back() {
    check(
        "IFSC",
        "C 4 > I00 @ < S(IFS q) 5 > S(IFS r) 5 < R0e > S(IFS r) 5 < R0e > I00 @ < R0e > I00 @ < R0e
         > S(RESYNCH q) < S(RESYNCH r) ! Resynchronised usable sent
         C 40 > I01 @0..32 < R1 > I10 @32..40 < I00 9000 = 9000",
    );
}

/// Three offers in vain: the size stays 32 and the card is used, however it refused.
#[test]
fn three_offers_in_vain_leave_ifsd_alone() {
    check(
        "silence",
        "A > S(IFS q) 254 - 1 > S(IFS q) 254 - 1 > S(IFS q) 254 - 1 ready C 4 > I00 @ < I00 #0..33 > R0o < I00 9000 = 9000",
    );
    check(
        "R-blocks",
        "A > S(IFS q) 254 < R0o > S(IFS q) 254 < R0o > S(IFS q) 254 < R0o ready C 4 > I00 @ < I00 9000 = 9000",
    );
}

/// From the last character that we send to the first of the card, plus what the policy allows the
/// reader; from character to character inside a block; and between its last and our first.
#[test]
fn waiting_times() {
    let mut rig = up(plain(), 32);
    let line = rig.line.params();
    let latency = plain().latency;
    rig.command(&hex!("80320000"));
    let sent = transmitted(&mut rig);
    let bwt = line.bwt(4) + line.sending(sent.len()) + latency;
    assert_eq!(rig.deadline.unwrap().since(rig.now), bwt, "BWT");
    // The block waiting time ends with the first character, the character waiting time runs.
    rig.pass(bwt - Duration::from_millis(1));
    let answer = whole(&[0x90, 0x00]);
    for octet in &answer[..5] {
        rig.input(Input::Received(&[*octet]));
        assert_eq!(rig.deadline.unwrap().since(rig.now), line.cwt(13) + latency, "CWT");
        rig.pass(line.cwt(13) - Duration::from_millis(1));
    }
    rig.input(Input::Received(&answer[5..]));
    assert_eq!(rig.next(), Some(Event::Response(vec![0x90, 0x00])));
    // A character too late ends the block.
    rig.command(&hex!("80320000"));
    assert!(!transmitted(&mut rig).is_empty());
    rig.card(&answer[..5]);
    let cut = rig.now;
    assert_eq!(transmitted(&mut rig), hex!("00 92 00 92"));
    assert_eq!(rig.now.since(cut), line.cwt(13) + latency);
}

/// Our leading edge comes 22 etu after the card's last, or later. The end of a character is seen 10
/// etu after its leading edge at the earliest.
#[test]
fn block_guard_time() {
    let blocks = [
        octets(Block::R { nr: true, fault: Fault::None }),
        octets(Block::R { nr: false, fault: Fault::Edc }),
        octets(Block::S { response: false, kind: Supervisory::Wtx(1) }),
        octets(Block::S { response: false, kind: Supervisory::Ifs(9) }),
        octets(Block::I { ns: true, more: false, inf: &[] }),
    ];
    for block in blocks {
        let mut rig = up(plain(), 32);
        rig.command(&[&hex!("80340000 32")[..], &[0; 0x32]].concat());
        assert!(!transmitted(&mut rig).is_empty());
        rig.card(&block);
        let end = rig.now;
        assert!(!transmitted(&mut rig).is_empty());
        let gap = rig.now.since(end) + rig.line.params().etus(10);
        assert!(gap >= rig.line.params().etus(22), "{block:02X?}: {gap:?}");
    }
    // The next command may follow at once when the response is out.
    let mut rig = up(plain(), 32);
    rig.command(&hex!("80320000"));
    assert!(!transmitted(&mut rig).is_empty());
    rig.card(&whole(&[0x90, 0x00]));
    let end = rig.now;
    assert!(matches!(rig.next(), Some(Event::Response(_))));
    assert!(rig.now.since(end) + rig.line.params().etus(10) >= rig.line.params().etus(22));
}

/// However often the card asks for time, and for how much, the caller's limit ends it.
#[test]
fn time_asked_for_without_end_is_bounded() {
    for times in [1, 2, 255] {
        let mut rig = up(plain(), 32);
        let begin = rig.now;
        rig.command(&hex!("80320000"));
        assert!(!transmitted(&mut rig).is_empty());
        let ask = octets(Block::S { response: false, kind: Supervisory::Wtx(times) });
        let cause = loop {
            rig.pass(Duration::from_millis(1500));
            rig.card(&ask);
            match rig.next_act() {
                Some(Event::Transmit(granted)) => assert_eq!(granted[1], 0xE3),
                Some(Event::Failed(error)) => break error.cause(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(cause, Cause::OutOfTime);
        let took = rig.now.since(begin);
        assert!(took < plain().exchange_limit + Duration::from_secs(2), "{took:?}");
    }
}

/// Three attempts in all without progress, whatever went wrong with each.
#[test]
fn three_attempts_of_any_mixture() {
    check(
        "mixed",
        "C 4 > I00 @ < I00 9000 = 9000
         C 4 > I10 @ < x I10 9000 > R1e - 1 > R1e < R1o > S(RESYNCH q) < S(RESYNCH r) ! Resynchronised usable sent",
    );
    check(
        "progress starts the count anew",
        "C 80 > I01 @0..32 < R0e > I01 @0..32 < x R1 > R0e < R1 > I11 @32..64 < x R0 > R0e < x R0 > R0e < R0
         > I00 @64..80 < I00 9000 = 9000",
    );
}

/// Both ways as long as extended lengths allow, and one octet more than the caller's limit.
#[test]
fn chains_of_65538_octets() {
    let limit = Lengths::MAX_RESPONSE;
    for excess in [0, 1] {
        let policy = Policy {
            max_command: Lengths::MAX_COMMAND,
            max_response: limit,
            exchange_limit: Duration::from_secs(1000),
            ..Policy::new(USUAL_CLOCK_HZ)
        };
        let mut rig = up(policy, 254);
        rig.command(&hex!("80 34 00 00 00 0000"));
        let answer: Vec<u8> = (0..limit + excess).map(|at| (at % 251) as u8).collect();
        let mut ns = false;
        let mut parts = answer.chunks(254).peekable();
        assert!(!transmitted(&mut rig).is_empty());
        let end = loop {
            let inf = parts.next().unwrap();
            rig.pass_etu(22);
            let more = parts.peek().is_some();
            rig.input(Input::Received(&octets(Block::I { ns, more, inf })));
            ns = !ns;
            match rig.next_act() {
                Some(Event::Transmit(block)) => assert_eq!(block[1], 0x80 | u8::from(ns) << 4),
                end => break end,
            }
        };
        match excess {
            0 => assert_eq!(end, Some(Event::Response(answer))),
            _ => {
                let Some(Event::Failed(error)) = end else { panic!("{end:?}") };
                assert_eq!((error.cause(), error.usable()), (Cause::TooLong, true));
                rig.command(&hex!("80320000"));
                assert!(!transmitted(&mut rig).is_empty(), "the next command follows");
            }
        }
    }
}

/// Octets of a command, whatever they are, come out as they went in, and so do those of an answer.
#[test]
fn data_never_reaches_the_block_layer() {
    for octet in 0..=255 {
        if octet & 0xF0 == 0x60 || octet & 0xF0 == 0x90 {
            continue; // refused before it comes to blocks: no INS at all
        }
        let mut rig = up(plain(), 32);
        let apdu = [octet & 0x7F, octet, octet, octet, 2, octet, octet];
        rig.command(&apdu);
        assert_eq!(transmitted(&mut rig), whole(&apdu));
        let answer = [octet; 9];
        rig.card(&whole(&answer));
        assert_eq!(rig.next(), Some(Event::Response(answer.to_vec())));
    }
}

/// A card that never stops talking while we offer IFSD is no card.
#[test]
fn a_babbling_card_does_not_hold_up_the_start() {
    let mut rig = Rig::new(Policy::new(USUAL_CLOCK_HZ));
    rig.input(Input::Activate);
    let begin = rig.now;
    let mut activations = 0;
    loop {
        while let Some(event) = rig.events.pop_front() {
            match event {
                Event::Activate(_) => {
                    activations += 1;
                    rig.card(&with_tck(&hex!("3B 80 81 31 FE 4D")));
                }
                Event::Failed(error) => {
                    assert_eq!((error.cause(), activations), (Cause::OutOfTime, 3));
                    assert!(rig.now.since(begin) < Duration::from_secs(200));
                    return;
                }
                Event::Ready => panic!("ready"),
                _ => {}
            }
        }
        assert!(rig.now.since(begin) < Duration::from_secs(1000), "for ever");
        rig.pass(Duration::from_millis(500));
        if rig.events.is_empty() {
            rig.input(Input::Received(&[0xAA]));
        }
    }
}

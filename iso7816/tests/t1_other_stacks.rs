// SPDX-License-Identifier: Apache-2.0
//! What other stacks get wrong on T=1, one test each. The name says what they do; the test, that we
//! do not.

use crate::dialogue::{Dialogue, Player, play};
use crate::rig::{Event, Rig, with_tck};
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Policy, Reset};
use iso7816::t1::{Block, Edc, MAX_BLOCK, Supervisory};
use std::time::Duration;

fn check(title: &'static str, text: &'static str) {
    play(&Dialogue::new(title, text));
}

#[test]
fn other_stacks_take_a_wrong_lrc() {
    check("a damaged answer", "C 4 > I00 @ < x I00 9000 > R0e < I00 6A80 = 6A80");
}

#[test]
fn other_stacks_take_any_send_sequence_number() {
    check("N(S) = 1", "C 4 > I00 @ < I10 9000 > R0o < I00 6A80 = 6A80");
}

#[test]
fn other_stacks_take_any_node_address() {
    check("NAD 21", "C 4 > I00 @ < raw 2100029000 > R0o < I00 6A80 = 6A80");
}

/// `00 00 02 90 00` ends with the CRC in place of the LRC 92, and the other way round.
#[test]
fn other_stacks_take_a_crc_for_an_lrc() {
    for (edc, other) in [(Edc::Lrc, Edc::Crc), (Edc::Crc, Edc::Lrc)] {
        let dialogue = Dialogue::new("the other epilogue", "");
        let mut player = Player::new(&dialogue, edc, 1);
        player.step(&["C", "4"], "command");
        player.step(&[">", "I00", "@"], "command");
        let mut out = [0; MAX_BLOCK];
        let answer = Block::I { ns: false, more: false, inf: &[0x90, 0x00] };
        let len = answer.emit(other, &mut out).unwrap();
        player.rig.card(&out[..len]);
        let Some(Event::Transmit(sent)) = player.rig.next() else { panic!("taken") };
        assert_eq!(sent[1] & 0xF0, 0x80, "{sent:02X?} asks for it again");
        player.step(&["<", "I00", "6A80"], "again");
        player.step(&["=", "6A80"], "again");
    }
}

#[test]
fn other_stacks_resynchronise_when_a_block_is_asked_for_again() {
    check("R(0), EDC", "C 4 > I00 @ < R0e > I00 @ < R0e > I00 @ < I00 9000 = 9000");
}

#[test]
fn other_stacks_fail_when_the_card_changes_ifsc() {
    check(
        "S(IFS)",
        "C 4 > I00 @ < S(IFS q) 100 > S(IFS r) 100 < I00 9000 = 9000 C 80 > I10 @ < I10 9000 = 9000",
    );
}

#[test]
fn other_stacks_fail_when_the_card_aborts() {
    check(
        "S(ABORT)",
        "C 40 > I01 @0..32 < S(ABORT q) > S(ABORT r) < R1 ! Aborted usable unsent C 4 > I10 @ < I00 9000 = 9000",
    );
}

/// They look for supervisory blocks in the octets of the command.
#[test]
fn other_stacks_send_ins_c0_as_resynch_and_c1_as_ifs() {
    check(
        "INS that look like a PCB",
        "C 00C0000010 > I00 00C0000010 < I00 9000 = 9000
         C 00C1010000 > I10 00C1010000 < I10 9000 = 9000
         C 00C2000000 > I00 00C2000000 < I00 9000 = 9000
         C 00C3010100 > I10 00C3010100 < I10 9000 = 9000
         C 00E0000000 > I00 00E0000000 < I00 9000 = 9000
         C 00E1000000 > I10 00E1000000 < I10 9000 = 9000
         C 00E2000000 > I00 00E2000000 < I00 9000 = 9000
         C 00E3000000 > I10 00E3000000 < I10 9000 = 9000
         C 00E4000000 > I00 00E4000000 < I00 C0009000 = C0009000",
    );
}

#[test]
fn other_stacks_go_on_with_the_old_number_after_resynch() {
    check(
        "N(S) after RESYNCH",
        "C 4 > I00 @ < R0e > I00 @ < R0e > I00 @ < R0e > S(RESYNCH q) < S(RESYNCH r) ! Resynchronised usable sent
         C 4 > I00 @ < I00 9000 = 9000",
    );
}

#[test]
fn other_stacks_take_a_request_to_repeat_for_an_acknowledgement() {
    check(
        "R(0) for a block of a chain",
        "C 80 > I01 @0..32 < R0e > I01 @0..32 < R0 > I01 @0..32 < R1 > I11 @32..64 < R0 > I00 @64..80 < I00 9000 = 9000",
    );
}

#[test]
fn other_stacks_fail_on_a_chained_answer_of_270_octets() {
    let policy = Policy { ifsd: 32, max_response: 300, ..Policy::new(USUAL_CLOCK_HZ) };
    let mut rig = Rig::up(policy, &with_tck(&hex!("3B 80 81 31 FE 4D")));
    rig.command(&hex!("80B0000000"));
    let answer: Vec<u8> = (0..270).map(|at| at as u8).collect();
    let parts: Vec<&[u8]> = answer.chunks(32).collect();
    for (at, part) in parts.iter().enumerate() {
        let Some(Event::Transmit(_)) = rig.next() else { panic!("part {at}") };
        let mut out = [0; MAX_BLOCK];
        let block = Block::I { ns: at % 2 == 1, more: at + 1 < parts.len(), inf: part };
        let len = block.emit(Edc::Lrc, &mut out).unwrap();
        rig.card(&out[..len]);
    }
    assert_eq!(rig.next(), Some(Event::Response(answer)));
}

#[test]
fn other_stacks_send_the_rest_of_a_chain_as_a_command_after_resynch() {
    check(
        "RESYNCH inside a chain",
        "C 106 > I01 @0..32 < R1 > I11 @32..64 < R1e > I11 @32..64 < R1e > I11 @32..64 < R1e
         > S(RESYNCH q) < S(RESYNCH r) ! Resynchronised usable unsent
         C 106 > I01 @0..32 < R1 > I11 @32..64 < R0 > I01 @64..96 < R1 > I10 @96..106 < I00 9000 = 9000",
    );
}

#[test]
fn other_stacks_give_the_card_up_at_one_time_out() {
    check("one time-out", "C 4 > I00 @ - 1 > R0o < I00 9000 = 9000 C 4 > I10 @ < I10 9000 = 9000");
}

/// Two octets are no block, so what they keep in their buffer is the command.
#[test]
fn other_stacks_return_the_command_when_two_octets_come() {
    check(
        "a block of two octets",
        "C 4 > I00 @ < octets 9000 > R0o < octets 0000 > R0o < I00 6A80 = 6A80",
    );
}

#[test]
fn other_stacks_take_a_wrong_number_for_an_acknowledgement() {
    check(
        "the answer before",
        "C 4 > I00 @ < I00 9000 = 9000 C 4 > I10 @ < I00 9000 > R1o < R1 > I10 @ < I10 6A80 = 6A80",
    );
}

/// The longest block waiting time, 255 times: over an hour and a half, which is no small number of
/// microseconds for 32 bits. The limit of the exchange ends it.
#[test]
fn other_stacks_overflow_on_a_huge_waiting_time() {
    let policy = Policy { ifsd: 32, ..Policy::new(USUAL_CLOCK_HZ) };
    let mut rig = Rig::up(policy, &with_tck(&hex!("3B 80 81 31 FE 9D")));
    let bwt = rig.line.params().bwt(9);
    let limit = policy.exchange_limit.max(bwt * 3);
    assert!(bwt * 255 > Duration::from_micros(u32::MAX.into()));
    rig.command(&hex!("80320000"));
    assert!(matches!(rig.next(), Some(Event::Transmit(_))));
    let begin = rig.now;
    let mut out = [0; MAX_BLOCK];
    let ask = Block::S { response: false, kind: Supervisory::Wtx(255) };
    let len = ask.emit(Edc::Lrc, &mut out).unwrap();
    rig.card(&out[..len]);
    assert_eq!(rig.next(), Some(Event::Transmit(hex!("00 E3 01 FF 1D").to_vec())));
    assert_eq!(rig.cause(), Cause::OutOfTime);
    let took = rig.now.since(begin);
    assert!(took <= limit && limit - took < Duration::from_secs(1), "{took:?}");
    assert_eq!(rig.next(), Some(Event::Activate(Reset::Warm)));
}

/// They try a command three times, whatever became of it. We send a block again only while the card
/// can tell that it is the same, and never a command.
#[test]
fn other_stacks_send_a_command_again_that_may_have_been_executed() {
    let policy = Policy { ifsd: 32, ..Policy::new(USUAL_CLOCK_HZ) };
    let atr = with_tck(&hex!("3B 80 81 31 FE 4D"));
    let mut rig = Rig::up(policy, &atr);
    rig.command(&hex!("80340000"));
    let mut information = 0;
    let error = loop {
        match rig.next_act() {
            Some(Event::Transmit(block)) => information += usize::from(block[1] & 0x80 == 0),
            Some(Event::Failed(error)) => break error,
            other => panic!("{other:?}"),
        }
    };
    assert!(error.may_have_executed() && error.recovering(), "{error}");
    assert_eq!(rig.come_up(&[&atr]), Event::Ready);
    rig.pass(Duration::from_secs(60));
    assert_eq!((information, rig.next()), (1, None), "only the caller sends it again");
}

// SPDX-License-Identifier: Apache-2.0
//! The sign of life of an idle card on T=1: S(IFS request) with the IFSD in force.

use crate::rig::{Event, Rig, with_tck};
use hex_literal::hex;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{Cause, Input, Level, Policy, Reset};

const REQUEST: [u8; 5] = hex!("00 C1 01 FE 3E");
const RESPONSE: [u8; 5] = hex!("00 E1 01 FE 1E");
const COMMAND: [u8; 4] = hex!("80320000");

fn iso() -> Policy {
    Policy::new(USUAL_CLOCK_HZ)
}

/// BWI 1.
fn t1() -> Vec<u8> {
    with_tck(&hex!("3B 90 11 81 31 FE 15"))
}

fn up() -> Rig {
    Rig::up(iso(), &t1())
}

fn sent(rig: &mut Rig) -> Vec<u8> {
    match rig.next_act() {
        Some(Event::Transmit(sent)) => sent,
        other => panic!("{other:?}"),
    }
}

fn probe(rig: &mut Rig) {
    assert!(rig.line.probes());
    rig.input(Input::Probe);
    assert_eq!(sent(rig), REQUEST);
}

fn alive(rig: &mut Rig) {
    assert_eq!(rig.next_act(), Some(Event::Response(Vec::new())));
}

/// The card's session has not moved: another may be in.
fn doubtful(rig: &mut Rig, cause: Cause) {
    let Some(Event::Failed(error)) = rig.next_act() else { panic!("no doubt") };
    assert_eq!(error.cause(), cause);
    assert!(error.usable() && !error.may_have_executed());
}

fn command(rig: &mut Rig, ns: u8) {
    rig.command(&COMMAND);
    assert_eq!(sent(rig)[1], ns << 6);
    rig.card(&with_lrc(&[0x00, ns << 6, 0x02, 0x90, 0x00]));
    assert_eq!(rig.next_act(), Some(Event::Response(hex!("9000").to_vec())));
}

fn with_lrc(block: &[u8]) -> Vec<u8> {
    [block, &[block.iter().fold(0, |sum, octet| sum ^ octet)]].concat()
}

/// Five octets each way, and the numbers of I-blocks stay as they were.
#[test]
fn a_probe_is_five_octets_each_way_and_moves_nothing() {
    let mut rig = up();
    for ns in [0, 1, 0] {
        probe(&mut rig);
        rig.card(&RESPONSE);
        alive(&mut rig);
        command(&mut rig, ns);
    }
}

/// What answers late, twice asked or out of nowhere may be another card.
#[test]
fn what_does_not_come_at_once_and_alone_is_doubtful() {
    let spoil: [&dyn Fn(&mut Rig); 4] = [
        &|_| {},
        &|rig| rig.card(&hex!("00 E1 01 FE 1F")),
        &|rig| rig.card(&hex!("00 E1 01 20 C0")),
        &|rig| rig.damaged(0x3B),
    ];
    for spoil in spoil {
        let mut rig = up();
        probe(&mut rig);
        spoil(&mut rig);
        assert_eq!(sent(&mut rig), REQUEST);
        rig.card(&RESPONSE);
        doubtful(&mut rig, Cause::Doubtful);
        // The next one is beyond doubt again.
        probe(&mut rig);
        rig.card(&RESPONSE);
        alive(&mut rig);
    }
}

/// A card that is put in answers a reset that nobody made.
#[test]
fn octets_out_of_nowhere_make_the_next_sign_doubtful() {
    for damaged in [false, true] {
        let mut rig = up();
        if damaged {
            rig.damaged(0x3B)
        } else {
            rig.card(&t1())
        }
        probe(&mut rig);
        rig.card(&RESPONSE);
        doubtful(&mut rig, Cause::Doubtful);
        probe(&mut rig);
        rig.card(&RESPONSE);
        alive(&mut rig);
        // A command asks the card of the session itself.
        rig.card(&[0x00]);
        command(&mut rig, 0);
        probe(&mut rig);
        rig.card(&RESPONSE);
        alive(&mut rig);
    }
}

#[test]
fn a_silent_card_is_reset_after_two_waiting_times() {
    let mut rig = up();
    let began = rig.now;
    let bwt = rig.line.params().bwt(1);
    probe(&mut rig);
    assert_eq!(sent(&mut rig), REQUEST);
    let Some(Event::Failed(error)) = rig.next_act() else { panic!("{:?}", rig.events) };
    assert_eq!(error.cause(), Cause::Silent);
    assert!(error.recovering() && !error.may_have_executed());
    let took = rig.now.since(began);
    assert!(took > bwt * 2 && took < bwt * 3, "{took:?}");
    assert_eq!(rig.next_act(), Some(Event::Activate(Reset::Warm)));
}

/// Three attempts, then RESYNCH; its answer makes the line good and the card doubtful.
#[test]
fn wrong_answers_lead_to_resynch_and_then_to_a_reset() {
    let wrong = hex!("00 82 00 82");
    for comes_back in [true, false] {
        let mut rig = up();
        command(&mut rig, 0);
        probe(&mut rig);
        for _ in 0..2 {
            rig.card(&wrong);
            assert_eq!(sent(&mut rig), REQUEST);
        }
        rig.card(&wrong);
        if !comes_back {
            for _ in 0..3 {
                assert_eq!(sent(&mut rig), hex!("00 C0 00 C0"));
                rig.card(&wrong);
            }
            assert_eq!(rig.cause(), Cause::Blocks);
            assert_eq!(rig.next_act(), Some(Event::Activate(Reset::Warm)));
            continue;
        }
        assert_eq!(sent(&mut rig), hex!("00 C0 00 C0"));
        rig.card(&hex!("00 E0 00 E0"));
        doubtful(&mut rig, Cause::Resynchronised);
        // RESYNCH has taken our IFSD back: the probe says it again, and the command need not.
        probe(&mut rig);
        rig.card(&RESPONSE);
        alive(&mut rig);
        command(&mut rig, 0);
    }
}

/// S(IFS) is a reader of TPDUs' as well; what has nothing less than a command says so.
#[test]
fn who_can_be_probed() {
    let mut rig = Rig::new(iso());
    rig.input(Input::Activate);
    rig.events.clear();
    rig.input(Input::Answered { atr: &t1(), level: Level::Tpdu, agreed: Some(1) });
    rig.events.clear();
    rig.input(Input::Message(&RESPONSE));
    assert_eq!(rig.next_act(), Some(Event::Ready));
    probe(&mut rig);
    rig.input(Input::Message(&RESPONSE));
    alive(&mut rig);
    probe(&mut rig);
    rig.input(Input::Unanswered { damaged: false });
    assert_eq!(sent(&mut rig), REQUEST);
    rig.input(Input::Unanswered { damaged: false });
    assert_eq!(rig.cause(), Cause::Silent);

    let apdu = {
        let mut rig = Rig::new(iso());
        rig.input(Input::Activate);
        rig.input(Input::Answered { atr: &t1(), level: Level::Apdu, agreed: Some(1) });
        rig
    };
    let t0 = Rig::up(iso(), &hex!("3B 00"));
    // It was never asked, and nobody knows whether it knows.
    let unasked = Rig::up(Policy { ifsd: 32, ..iso() }, &t1());
    let emv = Rig::up(Policy::emv(USUAL_CLOCK_HZ), &with_tck(&hex!("3B E0 00 00 81 31 FE 15")));
    for mut rig in [apdu, t0, unasked, emv] {
        assert!(!rig.line.probes());
        rig.events.clear();
        rig.input(Input::Probe);
        doubtful(&mut rig, Cause::NotReady);
    }
}

/// A card that did not take our IFSD would not know a probe either.
#[test]
fn a_card_that_refuses_ifs_is_not_probed() {
    let mut rig = Rig::new(iso());
    rig.input(Input::Activate);
    assert_eq!(rig.next_act(), Some(Event::Activate(Reset::Cold)));
    rig.card(&with_tck(&hex!("3B 80 81 31 FE 15")));
    for _ in 0..3 {
        assert_eq!(sent(&mut rig), REQUEST);
        rig.card(&hex!("00 82 00 82"));
    }
    assert_eq!(rig.next_act(), Some(Event::Ready));
    assert!(!rig.line.probes());
    // And a card that has been reset is asked anew.
    assert_eq!(rig.activate(&t1()), Event::Ready);
    assert!(rig.line.probes());
}

/// One thing at a time, and nothing of a card that is not up.
#[test]
fn a_probe_in_between_is_refused() {
    let mut rig = up();
    rig.command(&COMMAND);
    assert_eq!(sent(&mut rig)[1], 0x00);
    rig.input(Input::Probe);
    assert_eq!(rig.cause(), Cause::NotReady);
    rig.card(&hex!("00 00 02 9000 92"));
    assert_eq!(rig.next_act(), Some(Event::Response(hex!("9000").to_vec())));
    let mut down = Rig::new(iso());
    down.input(Input::Probe);
    assert_eq!(down.cause(), Cause::NotReady);
}

/// A card that is pulled in the middle of it is told as such.
#[test]
fn a_card_that_leaves_is_told() {
    let mut rig = up();
    probe(&mut rig);
    rig.input(Input::Gone(iso7816::line::Gone::Removed));
    assert_eq!(rig.next_act(), Some(Event::Deactivate));
    assert_eq!(rig.cause(), Cause::Removed);
}

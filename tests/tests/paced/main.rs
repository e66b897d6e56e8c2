// SPDX-License-Identifier: Apache-2.0
//! How long the line takes, to the elementary time unit: nothing is added to what the standard
//! asks.
//!
//! The real card executes real commands, in no time of its own.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod idle;
mod slow_card;

use cam_types::Instant;
use ecm_emm::card::INS_ECM;
use iso7816::etu::USUAL_CLOCK_HZ;
use std::cell::RefCell;
use std::time::Duration;
use system_tests::demo::{NOON, Stb, card, news};
use system_tests::paced_line::PacedLine;
use system_tests::terminal::SELECT;
use vcard::atr::Profile;

/// One wrapped ECM on a line with this answer to reset: command and answer as APDUs, the etu from
/// the first leading edge to the end of the last character, and those until the terminal had it.
fn ecm(profile: &Profile) -> (Vec<u8>, Vec<u8>, f64, f64) {
    let card = RefCell::new(card());
    let mut line = PacedLine::new(profile.emit(), |apdu| card.borrow_mut().transmit(apdu).unwrap());
    line.activate();
    let mut stb = Stb::open(&mut card.borrow_mut());
    let apdu = stb.wrapped(INS_ECM, 0, 0, &news(NOON));
    let begin = line.now();
    let (response, took) = line.command(&apdu);
    let etus =
        |time: Duration| time.as_secs_f64() / line.params().etus(1_000_000).as_secs_f64() * 1e6;
    let on_line = etus(line.last.since(begin));
    stb.opened(&response);
    (apdu, response, on_line, etus(took))
}

/// `docs/benchmarks.md`: characters begin 12 etu apart in either direction and when the line turns,
/// and the last one takes 10.
fn t0_minimum(apdu: &[u8], response: &[u8]) -> f64 {
    let (lc, la) = (apdu.len() - 6, response.len() - 2);
    let characters = 5 + 1 + lc + 2 + 5 + 1 + la + 2;
    characters as f64 * 12.0 - 2.0
}

/// Two blocks of characters that begin `c` etu apart, the block guard time between them.
fn t1_minimum(apdu: &[u8], response: &[u8], c: usize) -> f64 {
    let (command, answer) = (apdu.len() + 4, response.len() + 4);
    ((command - 1) * c + 22 + (answer - 1) * c + 10) as f64
}

/// Moments of the clock are whole microseconds and an etu may be as short as 4.5 of them: what is
/// rounded at each turn of the line is less than an etu in all.
fn close(took: f64, minimum: f64) -> bool {
    (minimum - 0.5..minimum + 1.0).contains(&took)
}

#[test]
fn an_ecm_takes_the_line_no_longer_than_its_characters() {
    for ta1 in [0x11, 0x13, 0x18, 0x95, 0x96] {
        let (apdu, response, on_line, _) = ecm(&Profile { ta1, ..Profile::t0() });
        let minimum = t0_minimum(&apdu, &response);
        assert!(close(on_line, minimum), "T=0, TA1 {ta1:02X}: {on_line:.1} etu, {minimum} needed");
        for (guard, c) in [(255, 11), (0, 12)] {
            let (apdu, response, on_line, _) = ecm(&Profile { ta1, guard, ..Profile::t1() });
            let minimum = t1_minimum(&apdu, &response, c);
            assert!(
                close(on_line, minimum),
                "T=1, TA1 {ta1:02X}: {on_line:.1} etu, {minimum} needed"
            );
        }
    }
}

/// With IFSC 32 the command goes out in parts, each but the last acknowledged by a block of 4
/// characters. Our next part follows 23 etu after the acknowledgement's last character, not 22: one
/// more than the block guard time, for UARTs that are quick to deliver.
#[test]
fn a_chain_takes_an_etu_more_for_each_part() {
    let (apdu, response, on_line, _) = ecm(&Profile { ifsc: 32, ..Profile::t1() });
    let parts = apdu.len().div_ceil(32);
    let (command, answer) = (apdu.len() + 4 * parts, response.len() + 4);
    let edges = 2 * parts - 1; // between blocks: 22 etu instead of a character time
    let within = command + 4 * (parts - 1) + answer - 1 - edges;
    let minimum = (within * 11 + edges * 22 + 10) as f64;
    assert!(close(on_line, minimum + (parts - 1) as f64), "{on_line:.1} etu, {minimum} needed");
}

/// The terminal believes an answer when one more character would have shown: 22 etu behind the last
/// one of T=1, 24 on T=0.
#[test]
fn an_answer_is_believed_after_one_more_character_time() {
    let (_, _, on_line, told) = ecm(&Profile::t1());
    assert!((told - on_line - 22.0).abs() < 0.5, "{told} {on_line}");
    let (_, _, on_line, told) = ecm(&Profile::t0());
    assert!((told - on_line - 24.0).abs() < 0.5, "{told} {on_line}");
}

/// From the release of reset to the end of the first command, beside the card's own time.
#[test]
fn the_first_command_is_over_100_ms_after_reset() {
    for guard in [255, 0] {
        // 20 characters: TS, T0, TA1, TC1 or one more historical octet, TD1, TD2, TA3, TB3, TCK.
        let historical = vec![0x20; if guard == 0 { 12 } else { 11 }];
        let atr = Profile { ta1: 0x96, guard, historical, ..Profile::t1() }.emit();
        assert_eq!(atr.len(), 20);
        let card = RefCell::new(card());
        let mut line = PacedLine::new(atr, |apdu| card.borrow_mut().transmit(apdu).unwrap());
        line.activate();
        let (response, _) = line.command(&SELECT);
        assert_eq!(response.last_chunk(), Some(&[0x90, 0x00]));
        assert_eq!((line.params().f, line.params().d, USUAL_CLOCK_HZ), (512, 32, 3_579_545));
        let took = line.now().since(Instant::default());
        assert!(took < Duration::from_millis(60), "{took:?}");
    }
}

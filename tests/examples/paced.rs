// SPDX-License-Identifier: Apache-2.0
//! ECM exchanges and a start on a paced line, in virtual time.
//!
//! `cargo run -p system-tests --example paced -- t1|t0 N` makes N exchanges, which callgrind
//! counts.
//! `cargo run -p system-tests --example paced -- FOLDER` writes the recordings of one wrapped ECM
//! by T=1 and T=0 to `FOLDER/paced-t1.txt` and `FOLDER/paced-t0.txt`, and prints as JSON how long
//! a card of TA1 96 takes from the release of reset to the end of its first command.
#![allow(clippy::unwrap_used, reason = "what cannot be measured ends the measuring")]
#![allow(clippy::print_stdout, reason = "the figures go there")]

use cam_types::{Aid, Instant, interindustry};
use ecm_emm::card::INS_ECM;
use iso7816::etu::USUAL_CLOCK_HZ;
use std::cell::RefCell;
use std::path::PathBuf;
use system_tests::demo::{NOON, Stb, card, news};
use system_tests::paced_line::{self, PacedLine};
use vcard::atr::Profile;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [t1, t0] = [Profile::t1(), Profile::t0()].map(|own| Profile { ta1: 0x96, ..own });
    let folder = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["t1", count] => return drop(exchanges(&t1, count.parse().unwrap())),
        ["t0", count] => return drop(exchanges(&t0, count.parse().unwrap())),
        [folder] => PathBuf::from(folder),
        _ => panic!("expected FOLDER, t1 N or t0 N"),
    };
    std::fs::write(folder.join("paced-t1.txt"), exchanges(&t1, 1)).unwrap();
    std::fs::write(folder.join("paced-t0.txt"), exchanges(&t0, 1)).unwrap();
    let historical = vec![0x20; 11];
    start(&Profile { ta1: 0x96, historical, ..Profile::t1() });
}

/// Makes so many exchanges: their recording.
fn exchanges(profile: &Profile, count: usize) -> Vec<u8> {
    let card = RefCell::new(card());
    let mut line = PacedLine::new(profile.emit(), |apdu| card.borrow_mut().transmit(apdu).unwrap());
    line.activate();
    let mut stb = Stb::open(&mut card.borrow_mut());
    for _ in 0..count {
        let apdu = stb.wrapped(INS_ECM, 0, 0, &news(NOON));
        let (response, _) = line.command(&apdu);
        stb.opened(&response);
    }
    line.recording()
}

fn start(profile: &Profile) {
    let card = RefCell::new(card());
    let atr = profile.emit();
    let characters = atr.len();
    let mut line = PacedLine::new(atr, |apdu| card.borrow_mut().transmit(apdu).unwrap());
    let ready = line.activate().as_micros();
    let select: Vec<u8> = interindustry::select(Aid::CAS.octets()).chain([0x00]).collect();
    let (response, _) = line.command(&select);
    assert_eq!(response.last_chunk(), Some(&[0x90, 0x00]));
    let first = line.now().since(Instant::default()).as_micros();
    let own = line.params().clocks(paced_line::ANSWER_AFTER).as_micros();
    println!(
        r#"{{"clock_hz": {USUAL_CLOCK_HZ}, "atr_characters": {characters}, "card_us": {own}, "ready_us": {ready}, "first_command_us": {first}}}"#
    );
}

// SPDX-License-Identifier: Apache-2.0
//! Other readers and faults, by hand-written octets from the host's side of the port.

use super::*;
use hex_literal::hex;
use nix::libc;

fn scripted(name: &str, atr: &[u8], script: &str) -> Rig {
    Rig::with(name, atr, Options { script: script.parse().unwrap(), ..Options::default() })
}

#[test]
fn octets_of_the_card_by_number() {
    let atr = hex!("3B 00");
    // Octets 3 to 7 are the answer to the first command.
    let mut rig =
        scripted("octets", &atr, "card 3 lose\ncard 4 double\ncard 5 damage 01\ncard 6 delay 30");
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("80 CA FF 00 05"));
    let begin = std::time::Instant::now();
    rig.expect(&hex!("80 80 CB FF 00 05 90 00"));
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert_eq!(rig.record().last().unwrap().1, "CA80CAFF00059000");
}

#[test]
fn damage_is_marked_for_who_asks() {
    let atr = hex!("3B 00");
    let mut rig = scripted("marked", &atr, "card 1/3 damage\nterminal 2/2 damage");
    rig.reset();
    rig.expect(&atr);
    rig.set(9600, libc::PARMRK | libc::INPCK);
    rig.send(&hex!("80 CA 00 00 05"));
    rig.expect(&hex!("FF 00 DA 80CA000005 9000"));
    // To the card: the octet is lost on T=0, and the next one takes its place.
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("80 FF CA 00 00 05"));
    rig.expect(&hex!("CA 80CA000005 9000"));
}

#[test]
fn storms_before_an_answer() {
    let atr = vcard::atr::t0();
    let mut rig = scripted("nulls", &atr, "command 1 null 500");
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("80 CA 00 00 05"));
    rig.expect(&[&[0x60; 500], &hex!("CA 80CA000005 9000")[..]].concat());
    let atr = vcard::atr::t1();
    let mut rig = scripted("stalls", &atr, "command 1 wtx 2 3\ncommand 1 wrong nad");
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("00 00 02 80CA 48"));
    for _ in 0..2 {
        rig.expect(&hex!("00 C3 01 03 C1"));
        rig.send(&hex!("00 E3 01 03 E1"));
    }
    rig.expect(&hex!("21 00 04 80CA9000 FF"));
    rig.send(&hex!("00 80 00 80"));
    rig.expect(&hex!("00 00 04 80CA9000 DE"));
}

#[test]
fn mute_removed_and_late() {
    let atr = vcard::atr::t0();
    let script = "command 1/1 mute\ncommand 2/1 delay 20\nterminal 3/2 remove 1\ncard 4/3 mute";
    let mut rig = scripted("mute", &atr, script);
    let command = hex!("80 CA 00 00 05");
    rig.reset();
    rig.expect(&atr);
    rig.send(&command);
    rig.expect_silence();
    assert_eq!(rig.command("status")["card"], "mute");
    rig.reset();
    rig.expect(&atr);
    let begin = std::time::Instant::now();
    rig.send(&command);
    rig.expect(&hex!("CA 80CA000005 9000"));
    assert!(begin.elapsed() >= Duration::from_millis(20));
    rig.reset();
    rig.expect(&atr);
    rig.send(&command);
    rig.expect_silence();
    // Back by itself, and it answers the next reset: two octets of it.
    rig.reset();
    rig.expect(&atr[..2]);
    rig.expect_silence();
}

#[test]
fn unplugged_and_plugged_in_again() {
    let atr = vcard::atr::t0();
    let mut rig = scripted("unplug", &atr, "command 1 unplug 20");
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("80 CA 00 00 05"));
    rig.reopen();
    rig.reset();
    rig.expect(&atr);
    assert_eq!(rig.command("unplug")["plugged"], false);
    assert_eq!(rig.command("status")["card"], "unplugged");
    assert!(rig.command("unplug")["error"].as_str().unwrap().contains("already"));
    assert_eq!(rig.command("plug")["plugged"], true);
    rig.reopen();
    rig.reset();
    rig.expect(&atr);
}

/// A message in a frame, after the echo of the command that it answers.
fn exchange(rig: &mut Rig, command: &[u8], answer: &[u8]) {
    let command = crate::gempc::frame::emit(command);
    rig.send(&command);
    rig.expect(&[command, crate::gempc::frame::emit(answer)].concat());
}

fn gempc(name: &str, atr: &[u8], script: &str) -> Rig {
    let kind = ReaderKind::GemPcTwin;
    Rig::with(name, atr, Options { kind, script: script.parse().unwrap(), ..Options::default() })
}

#[test]
fn a_ccid_reader_before_the_card() {
    let atr = vcard::atr::t1();
    let mut rig = gempc("gempc", &atr, "card 1/21 damage\nreader 1 damage\ncommand 2 remove");
    // The echo of the first command arrives damaged.
    let status = crate::gempc::frame::emit(&hex!("65 00000000 00 00 000000"));
    rig.send(&status);
    let answer = crate::gempc::frame::emit(&hex!("81 00000000 00 00 01 00 00"));
    rig.expect(&[&[0x13], &status[1..], &answer].concat());
    let answered = [&hex!("80 0F000000 00 01 00 00 00")[..], &atr].concat();
    exchange(&mut rig, &hex!("62 00000000 00 01 010000"), &answered);
    exchange(
        &mut rig,
        &hex!("6F 04000000 00 02 000000 FF1118F6"),
        &hex!("80 04000000 00 02 00 00 00 FF1118F6"),
    );
    // The reader still runs at the rate of the answer to reset: neither is heard.
    exchange(
        &mut rig,
        &hex!("6F 05000000 00 03 000000 00C101FE3E"),
        &hex!("80 00000000 00 03 40 FE 00"),
    );
    exchange(
        &mut rig,
        &hex!("61 07000000 00 04 010000 18 10 FF 15 00 FE 00"),
        &hex!("82 07000000 00 04 00 00 01 18 10 FF 15 00 FE 00"),
    );
    let block = hex!("6F 06000000 00 05 000000 0000 02 80CA 48");
    exchange(&mut rig, &block, &hex!("80 00000000 00 05 40 FD 00"));
    exchange(
        &mut rig,
        &hex!("6F 04000000 00 06 000000 00 80 00 80"),
        &hex!("80 08000000 00 06 00 00 00 0000 04 80CA9000 DE"),
    );
    assert_eq!(rig.command("status")["bit_rate"], 129_032);
    // The second command finds no card any more; the host hears of it first.
    let block = crate::gempc::frame::emit(&hex!("6F 06000000 00 07 000000 0040 02 80CA 08"));
    rig.send(&block);
    let answer = crate::gempc::frame::emit(&hex!("80 00000000 00 07 42 FE 00"));
    rig.expect(&[&block, &hex!("50 02")[..], &answer].concat());
    assert_eq!(rig.command("insert")["ok"], true);
    rig.expect(&hex!("50 03"));
}

#[test]
fn a_ccid_reader_and_t0() {
    let atr = vcard::atr::t0();
    let mut rig = gempc("gempc-t0", &atr, "");
    let answered = [&hex!("80 0B000000 00 01 00 00 00")[..], &atr].concat();
    exchange(&mut rig, &hex!("62 00000000 00 01 010000"), &answered);
    exchange(
        &mut rig,
        &hex!("6F 07000000 00 02 000000 80D6000002 0102"),
        &hex!("80 02000000 00 02 00 00 00 6107"),
    );
    exchange(
        &mut rig,
        &hex!("6F 05000000 00 03 000000 00C0000007"),
        &hex!("80 09000000 00 03 00 00 00 80D60000020102 9000"),
    );
}

#[test]
fn a_script_for_another_reader_is_refused() {
    for script in ["card 1 lose\nhost 2 lose", "command 1 mute\nreader 1 double"] {
        let options = Options { script: script.parse().unwrap(), ..Options::default() };
        let (echo, _go_on) = Echo::new(&[]);
        let Err(error) = Server::new(echo, &options) else { panic!("{script}") };
        assert!(error.to_string().starts_with("script, line 2: "), "{error}");
    }
}

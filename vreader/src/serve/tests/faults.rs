//! Other readers and faults, by hand-written octets from the host's side of the port.

use super::*;
use hex_literal::hex;
use nix::libc;

fn scripted(name: &str, atr: &[u8], script: &str) -> Bench {
    Bench::with(name, atr, Options { script: script.parse().unwrap(), ..Options::default() })
}

#[test]
fn octets_of_the_card_by_number() {
    let atr = hex!("3B 00");
    // Octets 3 to 7 are the answer to the first command.
    let mut bench =
        scripted("octets", &atr, "card 3 lose\ncard 4 double\ncard 5 damage 01\ncard 6 delay 30");
    bench.reset();
    bench.expect(&atr);
    bench.send(&hex!("80 CA FF 00 05"));
    let begin = std::time::Instant::now();
    bench.expect(&hex!("80 80 CB FF 00 05 90 00"));
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert_eq!(bench.record().last().unwrap().1, "CA80CAFF00059000");
}

#[test]
fn damage_is_marked_for_who_asks() {
    let atr = hex!("3B 00");
    let mut bench = scripted("marked", &atr, "card 1/3 damage\nterminal 2/2 damage");
    bench.reset();
    bench.expect(&atr);
    bench.set(9600, libc::PARMRK | libc::INPCK);
    bench.send(&hex!("80 CA 00 00 05"));
    bench.expect(&hex!("FF 00 DA 80CA000005 9000"));
    // To the card: the octet is lost on T=0, and the next one takes its place.
    bench.reset();
    bench.expect(&atr);
    bench.send(&hex!("80 FF CA 00 00 05"));
    bench.expect(&hex!("CA 80CA000005 9000"));
}

#[test]
fn storms_before_an_answer() {
    let atr = vcard::atr::t0();
    let mut bench = scripted("nulls", &atr, "command 1 null 500");
    bench.reset();
    bench.expect(&atr);
    bench.send(&hex!("80 CA 00 00 05"));
    bench.expect(&[&[0x60; 500], &hex!("CA 80CA000005 9000")[..]].concat());
    let atr = vcard::atr::t1();
    let mut bench = scripted("stalls", &atr, "command 1 wtx 2 3\ncommand 1 wrong nad");
    bench.reset();
    bench.expect(&atr);
    bench.send(&hex!("00 00 02 80CA 48"));
    for _ in 0..2 {
        bench.expect(&hex!("00 C3 01 03 C1"));
        bench.send(&hex!("00 E3 01 03 E1"));
    }
    bench.expect(&hex!("21 00 04 80CA9000 FF"));
    bench.send(&hex!("00 80 00 80"));
    bench.expect(&hex!("00 00 04 80CA9000 DE"));
}

#[test]
fn mute_removed_and_late() {
    let atr = vcard::atr::t0();
    let script = "command 1/1 mute\ncommand 2/1 delay 20\nterminal 3/2 remove 1\ncard 4/3 mute";
    let mut bench = scripted("mute", &atr, script);
    let command = hex!("80 CA 00 00 05");
    bench.reset();
    bench.expect(&atr);
    bench.send(&command);
    bench.expect_silence();
    assert_eq!(bench.command("status")["card"], "mute");
    bench.reset();
    bench.expect(&atr);
    let begin = std::time::Instant::now();
    bench.send(&command);
    bench.expect(&hex!("CA 80CA000005 9000"));
    assert!(begin.elapsed() >= Duration::from_millis(20));
    bench.reset();
    bench.expect(&atr);
    bench.send(&command);
    bench.expect_silence();
    // Back by itself, and it answers the next reset: two octets of it.
    bench.reset();
    bench.expect(&atr[..2]);
    bench.expect_silence();
}

#[test]
fn unplugged_and_plugged_in_again() {
    let atr = vcard::atr::t0();
    let mut bench = scripted("unplug", &atr, "command 1 unplug 20");
    bench.reset();
    bench.expect(&atr);
    bench.send(&hex!("80 CA 00 00 05"));
    bench.reopen();
    bench.reset();
    bench.expect(&atr);
    assert_eq!(bench.command("unplug")["plugged"], false);
    assert_eq!(bench.command("status")["card"], "unplugged");
    assert!(bench.command("unplug")["error"].as_str().unwrap().contains("already"));
    assert_eq!(bench.command("plug")["plugged"], true);
    bench.reopen();
    bench.reset();
    bench.expect(&atr);
}

/// A message in a frame, after the echo of the command that it answers.
fn exchange(bench: &mut Bench, command: &[u8], answer: &[u8]) {
    let command = crate::gempc::frame::emit(command);
    bench.send(&command);
    bench.expect(&[command, crate::gempc::frame::emit(answer)].concat());
}

fn gempc(name: &str, atr: &[u8], script: &str) -> Bench {
    let kind = ReaderKind::GemPcTwin;
    Bench::with(name, atr, Options { kind, script: script.parse().unwrap(), ..Options::default() })
}

#[test]
fn a_ccid_reader_before_the_card() {
    let atr = vcard::atr::t1();
    let mut bench = gempc("gempc", &atr, "card 1/21 damage\nreader 1 damage\ncommand 2 remove");
    // The echo of the first command arrives damaged.
    let status = crate::gempc::frame::emit(&hex!("65 00000000 00 00 000000"));
    bench.send(&status);
    let answer = crate::gempc::frame::emit(&hex!("81 00000000 00 00 01 00 00"));
    bench.expect(&[&[0x13], &status[1..], &answer].concat());
    let answered = [&hex!("80 0F000000 00 01 00 00 00")[..], &atr].concat();
    exchange(&mut bench, &hex!("62 00000000 00 01 010000"), &answered);
    exchange(
        &mut bench,
        &hex!("6F 04000000 00 02 000000 FF1118F6"),
        &hex!("80 04000000 00 02 00 00 00 FF1118F6"),
    );
    // The reader still runs at the rate of the answer to reset: neither is heard.
    exchange(
        &mut bench,
        &hex!("6F 05000000 00 03 000000 00C101FE3E"),
        &hex!("80 00000000 00 03 40 FE 00"),
    );
    exchange(
        &mut bench,
        &hex!("61 07000000 00 04 010000 18 10 FF 15 00 FE 00"),
        &hex!("82 07000000 00 04 00 00 01 18 10 FF 15 00 FE 00"),
    );
    let block = hex!("6F 06000000 00 05 000000 0000 02 80CA 48");
    exchange(&mut bench, &block, &hex!("80 00000000 00 05 40 FD 00"));
    exchange(
        &mut bench,
        &hex!("6F 04000000 00 06 000000 00 80 00 80"),
        &hex!("80 08000000 00 06 00 00 00 0000 04 80CA9000 DE"),
    );
    assert_eq!(bench.command("status")["bit_rate"], 129_032);
    // The second command finds no card any more; the host hears of it first.
    let block = crate::gempc::frame::emit(&hex!("6F 06000000 00 07 000000 0040 02 80CA 08"));
    bench.send(&block);
    let answer = crate::gempc::frame::emit(&hex!("80 00000000 00 07 42 FE 00"));
    bench.expect(&[&block, &hex!("50 02")[..], &answer].concat());
    assert_eq!(bench.command("insert")["ok"], true);
    bench.expect(&hex!("50 03"));
}

#[test]
fn a_ccid_reader_and_t0() {
    let atr = vcard::atr::t0();
    let mut bench = gempc("gempc-t0", &atr, "");
    let answered = [&hex!("80 0B000000 00 01 00 00 00")[..], &atr].concat();
    exchange(&mut bench, &hex!("62 00000000 00 01 010000"), &answered);
    exchange(
        &mut bench,
        &hex!("6F 07000000 00 02 000000 80D6000002 0102"),
        &hex!("80 02000000 00 02 00 00 00 6107"),
    );
    exchange(
        &mut bench,
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

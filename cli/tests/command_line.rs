// SPDX-License-Identifier: Apache-2.0
//! The program as an engineer meets it: exit status, texts, objects, traces.
#![allow(clippy::unwrap_used, reason = "a test fails where its helpers do")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};
use system_tests::small::Small;

/// Of the tests' files.
const PLACE: &str = env!("CARGO_TARGET_TMPDIR");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stbcam"));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

fn stbcam(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// Standard output of a command that ends with this status.
fn said(arguments: &[&str], status: i32) -> String {
    let output = stbcam(arguments);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(status), "{said}{}", text(&output.stderr));
    said
}

fn objects(arguments: &[&str], status: i32) -> Vec<serde_json::Value> {
    let arguments = [&["--json"], arguments].concat();
    said(&arguments, status).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The message of a command that ends with this status.
fn refused(arguments: &[&str], status: i32, parts: &[&str]) -> String {
    let output = stbcam(arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
    for part in parts {
        assert!(error.contains(part), "{arguments:?}: '{error}' does not say '{part}'");
    }
    error
}

#[test]
fn an_answer_to_reset_is_explained_without_a_reader() {
    let said = said(&["atr", "--explain", "--hex", "3B9F96C00A31FE4580"], 0);
    assert!(said.starts_with("3B 9F 96 C0 0A 31 FE 45 80\nodd: not usable: "), "{said}");
    assert!(said.contains("  96        TA1         Fi 512, Di 32"), "{said}");
    let objects = objects(&["atr", "--hex", "3B 00", "--clock", "6000000"], 0);
    assert_eq!(objects[0]["event"], "atr");
    assert_eq!(objects[0]["atr"], "3B 00");
    assert!(objects[0]["odd"].as_str().unwrap().contains("6 MHz"));
    assert_eq!(objects[2]["event"], "octets");
    assert_eq!((&objects[2]["at"], &objects[2]["octets"]), (&1.into(), &"00".into()));
    assert_eq!((&objects[2]["name"], objects.len()), (&"T0".into(), 3));
}

#[test]
fn the_card_tells_its_answer_to_reset() {
    let card = Small::new(PLACE, "atr", &vcard::atr::t1());
    let said = said(&["atr", "--explain", "--reader", &card.url()], 0);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "3B D6 18 FF 81 31 FE 25 53 54 42 43 41 4D 50");
    assert!(lines[1].starts_with("T=1 at 115469 bit/s (372/12 at 3579545 Hz), 11 etu"), "{said}");
    assert_eq!(lines.len(), 2 + 10, "{said}");
    let objects = objects(&["atr", "--reader", &card.url()], 0);
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["odd"], serde_json::Value::Null);
    assert_eq!(
        (&objects[0]["line"]["protocol"], &objects[0]["line"]["level"]),
        (&1.into(), &"characters".into())
    );
    assert_eq!(objects[0]["line"]["bit_rate"], 115_469);
    assert_eq!(objects[0]["line"]["convention"], "direct");
}

#[test]
fn what_is_no_card_is_explained_all_the_same() {
    let card = Small::new(PLACE, "nonsense", &[0x3B, 0x80, 0x05, 0x85]);
    let arguments = ["atr", "--explain", "--reader", &card.url()];
    refused(&arguments, 1, &["card speaks T=5, expected T=0", "the card sent 3B 80 05 85"]);
    assert!(said(&arguments, 1).contains("  05        TD1         T=5 is reserved"));
    let objects = objects(&arguments[..1], 2);
    assert!(objects.is_empty(), "a wrong command line is told by the parser");
    let objects = self::objects(&arguments, 1);
    assert_eq!(objects.last().unwrap()["event"], "error");
}

#[test]
fn apdus_are_answered_in_order() {
    for (name, atr) in [("t0", vcard::atr::t0()), ("t1", vcard::atr::t1())] {
        let card = Small::new(PLACE, name, &atr);
        let url = card.url();
        let out = said(&["apdu", "00B0000004", "00 20 00 80 02 4096", "--reader", &url], 0);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], "> 00 B0 00 00 04");
        assert!(lines[1].starts_with("< 01 02 03 04 90 00  normal end ("), "{out}");
        assert_eq!(lines[2], "> 00 20 00 80 02 .. ..");
        assert!(lines[3].starts_with("< 63 C2  warning, counter at 2 ("), "{out}");
        let objects = objects(&["apdu", "00B0000004", "0011", "--reader", &url], 2);
        assert_eq!(objects[0]["error"], "APDU 2: got 2 octets, expected CLA INS P1 P2");
        let objects = self::objects(&["apdu", "00B0000004", "00110000", "--reader", &url], 3);
        assert_eq!(
            (&objects[0]["sw"], &objects[0]["data"]),
            (&"90 00".into(), &"01 02 03 04".into())
        );
        assert_eq!(objects[1]["sw"], "6D 00");
        assert_eq!(objects[1]["meaning"], "instruction not known");
        assert!(objects[1]["ms"].as_f64().unwrap() > 0.0);
        // The last one decides.
        said(&["apdu", "00110000", "00B0000001", "--reader", &url], 0);
    }
}

#[test]
fn apdus_come_from_standard_input() {
    let card = Small::new(PLACE, "stdin", &vcard::atr::t1());
    let run = |input: &str| {
        let mut child = command(&["apdu", "-", "--reader", &card.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run("# read\n\n00 B0 00 00 01 # one octet\n00B0000002\n");
    assert_eq!(text(&output.stdout).matches("normal end").count(), 2);
    let output = run("00B0000001\n00B\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("standard input, line 2: 3 hexadecimal digits"));
    assert!(output.stdout.is_empty(), "nothing is sent before all is read");
    assert_eq!(run("# nothing\n").status.code(), Some(2));
}

#[test]
fn a_trace_has_times_and_no_secrets() {
    const PIN: &str = "2440962718FFFFFF";
    for (name, atr) in [("trace0", vcard::atr::t0()), ("trace1", vcard::atr::t1())] {
        let card = Small::new(PLACE, name, &atr);
        let file = card.path("trace");
        let verify = format!("0020008008{PIN}");
        for json in [false, true] {
            let mut arguments = vec!["apdu", "00B0000002", &verify, "--reader"];
            let url = card.url();
            arguments.extend([url.as_str(), "--trace", &file]);
            if json {
                arguments.push("--json");
            }
            let shown = said(&arguments, 0);
            let trace = std::fs::read_to_string(&file).unwrap();
            for text in [&shown, &trace] {
                assert!(!text.contains("40 96") && !text.contains("4096"), "{text}");
            }
            if json {
                let lines: Vec<serde_json::Value> =
                    trace.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                assert!(lines.iter().all(|line| line["event"] == "trace" && line["t"].is_f64()));
                let last = lines.iter().rfind(|line| line["what"] == "response").unwrap();
                assert_eq!(last["octets"], "63 C2");
            } else {
                let letters: Vec<&str> =
                    trace.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
                assert_eq!(letters[0], "R");
                assert!(["A", "P", "T", "C"].iter().all(|l| letters.contains(l)), "{trace}");
                assert!(trace.contains(" > 00 20 00 80 08 .. .. .. .. .. .. .. ..\n"), "{trace}");
                assert!(trace.contains(" < 01 02 90 00\n"), "{trace}");
                let times: Vec<f64> =
                    trace.lines().map(|l| l.split(' ').next().unwrap().parse().unwrap()).collect();
                assert!(times.is_sorted() && times[0] >= 0.0);
            }
        }
    }
    refused(
        &["atr", "--reader", "serial:/dev/null", "--trace", "/nonexistent/trace"],
        1,
        &["--trace /nonexistent/trace: No such file"],
    );
}

#[test]
fn hexadecimal_is_refused_without_being_repeated() {
    for (apdu, parts) in [
        ("002000800240968", &["APDU 1: 15 hexadecimal digits", "pairs"][..]),
        ("00200080024O96", &["APDU 1: character 12 is no hexadecimal digit"]),
        ("00200080034096", &["APDU 1: Lc is 3, 2 octets follow it"]),
        ("", &["APDU 1: nothing there"]),
    ] {
        let error = refused(&["apdu", apdu, "--reader", "serial:/dev/null"], 2, parts);
        assert!(!error.contains("4096") && !error.contains("4O96"), "{error}");
    }
    refused(&["atr", "--hex", "3B0"], 2, &["--hex: 3 hexadecimal digits"]);
}

/// Every message names the key or the port, and what would work.
#[test]
fn readers_that_cannot_be_opened() {
    let card = Small::new(PLACE, "refusals", &vcard::atr::t1());
    let file = env!("CARGO_MANIFEST_PATH");
    let port = |options: &str| format!("{}{options}", card.url());
    let table: &[(String, &[&str])] = &[
        ("/dev/ttyS0".into(), &["scheme is '/dev/ttyS0'", "serial:PATH"]),
        (format!("serial:{file}"), &[file, "give the path of a serial port or terminal"]),
        ("serial:/dev/no-such-port".into(), &["/dev/no-such-port", "no such file"]),
        (port("?speed=9600"), &["'speed'", "reset, detect, clock, base, echo or policy"]),
        (port("?reset=cts"), &["reset is 'cts'", "rts"]),
        (port("?reset=rts"), &["no modem lines for reset", "reset=b0"]),
        (port("?clock=fast"), &["clock is 'fast'", "1000000 to 20000000 Hz"]),
    ];
    for (url, parts) in table {
        for arguments in [
            &["atr", "--reader", url][..],
            &["apdu", "00B0000001", "--reader", url],
            &["card", "watch", "--reader", url],
            &["line", "test", "--reader", url],
        ] {
            refused(arguments, 1, parts);
        }
    }
    let busy = stb_shim::readers::open(&card.url()).unwrap();
    refused(&["atr", "--reader", &card.url()], 1, &["is another program using it?"]);
    drop(busy);
    said(&["atr", "--reader", &card.url()], 0);
}

#[test]
fn a_rate_that_the_port_cannot_make() {
    // Specific mode at 512/16, which a UART with base 115,200 misses by 3 %.
    let card = Small::new(PLACE, "rate", &[0x3B, 0x90, 0x95, 0x10, 0x80]);
    let url = format!("{}?base=115200", card.url());
    let parts = ["111861 bit/s (512/16 at 3.579545 MHz)", "stbcam line test"];
    refused(&["atr", "--reader", &url], 1, &parts);
    said(&["atr", "--reader", &card.url()], 0);
}

#[test]
fn no_card() {
    let card = Small::new(PLACE, "mute", &vcard::atr::t1());
    card.control("remove");
    let parts = ["no answer to reset", "is a card in, and do reset"];
    refused(&["apdu", "00B0000001", "--reader", &card.url()], 1, &parts);
    let objects = objects(&["line", "test", "--reader", &card.url()], 0);
    let note = objects.last().unwrap();
    assert_eq!(note["event"], "note");
    assert!(note["note"].as_str().unwrap().contains("no answer to reset"));
}

#[test]
fn a_card_is_waited_for() {
    for (card, hint) in [
        (Small::new(PLACE, "wait", &vcard::atr::t1()), "no answer to reset; is a card in"),
        (Small::gempc(PLACE, "wait-detect", &vcard::atr::t0()), "no card is in; insert one"),
    ] {
        card.control("remove");
        refused(&["atr", "--reader", &card.url()], 1, &[hint]);
        let arguments = ["atr", "--wait", "--trace", "-", "--reader", &card.url()];
        let mut child = command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // It has been told that there is none, and has not given up.
        assert!(lines.any(|line| line.contains(" ! ")));
        card.control("insert");
        assert!(lines.any(|line| line.starts_with("T=")));
        assert!(child.wait().unwrap().success());
    }
}

/// Nobody comes to it.
#[test]
fn a_virtual_reader_without_a_card() {
    // A port that nobody else has at the moment.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("vpcd:{free}");
    refused(&["atr", "--reader", &url], 1, &["no card is in; insert one, or give --wait"]);
}

#[test]
fn what_a_port_can_do() {
    let card = Small::new(PLACE, "line", &vcard::atr::t1());
    let url = format!("{}?base=115200&clock=3579545", card.url());
    let objects = objects(&["line", "test", "--reader", &url], 0);
    let of = |event: &str| objects.iter().filter(|o| o["event"] == event).collect::<Vec<_>>();
    let [port] = of("port")[..] else { panic!("{objects:?}") };
    assert_eq!((&port["kind"], &port["reset"]), (&"pseudo terminal".into(), &"b0".into()));
    assert_eq!((&port["detect"], &port["baud_base"]), (&"none".into(), &115_200.into()));
    assert_eq!((&port["parity"], &port["lines"]), (&false.into(), &serde_json::json!([])));
    let rates = of("rate");
    assert_eq!(rates.len(), 10);
    for (ta1, wanted, made, usable) in [
        ("11", 9_622, 9_600, true),
        ("18", 115_469, 115_200, true),
        ("95", 111_861, 115_200, false),
    ] {
        let rate = rates.iter().find(|rate| rate["ta1"] == ta1).unwrap();
        assert_eq!((&rate["wanted"], &rate["made"]), (&wanted.into(), &made.into()));
        assert_eq!(rate["usable"], usable, "{ta1}");
    }
    let latencies = of("latency");
    assert_eq!((latencies.len(), &latencies[1]["of"]), (2, &"apdu".into()));
    assert!(latencies[1]["median_ms"].as_f64() <= latencies[1]["worst_ms"].as_f64());
    // 9 characters there, of 11 etu, and 6 back, of 12.
    assert_eq!(latencies[1]["line_ms"], 1.481);
    let text = said(&["line", "test", "--reader", &url], 0);
    assert!(text.contains("reset         b0\n") && text.contains("not usable"), "{text}");
}

#[test]
fn a_reader_that_takes_blocks() {
    let card = Small::gempc(PLACE, "gempc", &vcard::atr::t1());
    let out = said(&["apdu", "00B0000002", "--reader", &card.url()], 0);
    assert!(out.contains("< 01 02 90 00  normal end"), "{out}");
    let objects = objects(&["line", "test", "--reader", &card.url()], 0);
    assert_eq!(objects[0]["detect"], "by the reader");
    assert_eq!(objects[2]["of"], "apdu");
    assert_eq!(objects[2]["line_ms"], serde_json::Value::Null);
}

#[test]
fn help_answers() {
    for (arguments, parts) in [
        (
            &["--help"][..],
            &["atr", "apdu", "card", "line", "Examples:", "serial:PATH", "D8  PUT KEY", "JSON"][..],
        ),
        (&["atr", "--help"], &["--explain", "--hex", "--clock", "Examples:"]),
        (&["apdu", "--help"], &["standard input", "Exit status 3", "Examples:"]),
        (&["card", "watch", "--help"], &["SIGTERM", "GET RESPONSE", "Example:"]),
        (&["line", "test", "--help"], &["2 % off", "Needs no card", "Example:"]),
    ] {
        let help = said(arguments, 0);
        for part in parts.iter().chain(&["--json", "--trace"]) {
            assert!(help.contains(part), "{arguments:?} {part}: {help}");
        }
    }
    for arguments in [
        &[][..],
        &["atr"],
        &["atr", "--hex", "3B00", "--reader", "serial:x"],
        &["apdu", "--reader", "serial:x"],
        &["card", "watch"],
        &["line"],
    ] {
        refused(arguments, 2, &["Usage"]);
    }
    refused(&["atr", "--hex", "3B00", "--clock", "7"], 2, &["'7'", "--clock", "1000000"]);
}

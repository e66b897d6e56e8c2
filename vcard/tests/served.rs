//! `vcard serve` as a program, with the terminal's own reader at its port.
#![allow(clippy::unwrap_used)] // a test that cannot go on panics

use hex_literal::hex;
use iso7816::line::{CardLine, Cause, Input, Output, Policy};
use stb_shim::clock;
use stb_shim::reader::{self, Reader};
use stb_shim::sys::Waker;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SELECT: [u8; 14] = hex!("00 A4 04 00 08 F053544243415301 00");
const SELECTED: [u8; 21] = hex!("6F11 8408F053544243415301 A505 5003434153 9000");
const INFO: [u8; 5] = hex!("80 32 00 00 00");

/// A served card.
struct Card {
    folder: PathBuf,
    process: Child,
}

impl Card {
    fn new(name: &str, options: &[&str]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("vcard-served-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo/card.toml");
        let vcard = || Command::new(env!("CARGO_BIN_EXE_vcard"));
        let memory = folder.join("card.nvm");
        let from = vcard()
            .arg("personalise")
            .arg("--from")
            .arg(demo)
            .arg("--memory")
            .arg(&memory)
            .status();
        assert!(from.unwrap().success());
        let mut process = vcard()
            .current_dir(&folder)
            .args(["serve", "--memory", "card.nvm", "--link", "port", "--control", "control"])
            .args(["--durable", "process"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("serving card.nvm on /dev/pts/"), "{said}");
        Self { folder, process }
    }

    fn script(name: &str, script: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vcard-script-{name}-{}", std::process::id()));
        fs::write(&path, script).unwrap();
        let card = Self::new(name, &["--script", path.to_str().unwrap()]);
        fs::remove_file(path).unwrap();
        card
    }

    fn reader(&self) -> Box<dyn Reader> {
        reader::open(&format!("serial:{}", self.folder.join("port").display())).unwrap()
    }

    fn control(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.join("control")).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[derive(Debug, PartialEq)]
enum Event {
    Ready,
    Response(Vec<u8>),
    Failed(Cause),
}

/// The terminal: its line and its reader.
struct Terminal {
    line: CardLine,
    reader: Box<dyn Reader>,
}

impl Terminal {
    fn new(card: &Card) -> Self {
        let reader = card.reader();
        let line = CardLine::new(Policy::new(reader.capabilities().clock_hz));
        Self { line, reader }
    }

    fn activate(&mut self) -> Event {
        self.run(Input::Activate)
    }

    fn command(&mut self, apdu: &[u8]) -> Event {
        self.run(Input::Command { apdu, patience: None })
    }

    fn run(&mut self, input: Input<'_>) -> Event {
        let Self { line, reader } = self;
        let waker = Waker::new().unwrap();
        line.handle_input(clock::now(), input);
        loop {
            let done = match line.poll_output() {
                Output::Activate(reset) => reader.activate(reset),
                Output::Configure(params) => reader.configure(&params),
                Output::Transmit(octets) => reader.send(octets),
                Output::Deactivate => {
                    reader.deactivate();
                    Ok(())
                }
                Output::Ready(_) => return Event::Ready,
                Output::Response(response) => return Event::Response(response.to_vec()),
                Output::Failed(error) => return Event::Failed(error.cause()),
                Output::Wait(until) => {
                    let mut buf = [0; 300];
                    match reader.receive(&mut buf, until, &waker) {
                        Ok(received) => {
                            if received.damaged {
                                line.handle_input(clock::now(), Input::Damaged);
                            }
                            let octets = &buf[..received.octets];
                            let input = if octets.is_empty() && !received.damaged {
                                Input::Timeout
                            } else {
                                Input::Received(octets)
                            };
                            line.handle_input(clock::now(), input);
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
            };
            if let Err(error) = done {
                line.handle_input(clock::now(), Input::Gone(error.gone()));
            }
        }
    }
}

#[test]
fn answers_to_reset_to_order() {
    let table: &[(&str, &[&str], u32)] = &[
        ("own", &[], 115_469),
        ("t0", &["--protocol", "t0"], 115_469),
        ("slow", &["--ta1", "11", "--bwi", "2"], 9_622),
        ("chain", &["--ifsc", "16", "--chaining", "7", "--edc", "crc"], 115_469),
        ("specific", &["--protocol", "t0", "--specific", "--ta1", "95"], 111_861),
        ("inverse", &["--convention", "inverse", "--guard", "2"], 115_469),
        ("raw", &["--atr", "3B 90 13 80 01 02"], 38_490),
    ];
    for (name, options, rate) in table {
        let card = Card::new(name, options);
        let mut terminal = Terminal::new(&card);
        assert_eq!(terminal.activate(), Event::Ready, "{name}");
        assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()), "{name}");
        let Event::Response(info) = terminal.command(&INFO) else { panic!("{name}") };
        assert!(info.len() > 40 && info.ends_with(&hex!("9000")), "{name}: {info:02X?}");
        let status = card.control("status");
        assert!(status.contains(&format!("\"bit_rate\":{rate}")), "{name}: {status}");
    }
}

/// On T=1 a terminal gets over every fault of a script but those that take the card away.
#[test]
fn a_script_that_the_terminal_gets_over() {
    // ATR, PPS and IFS are 24 octets of the card and 9 of the terminal.
    let script = "card 26 lose\ncard 60 damage\nterminal 20 double\nterminal 60 damage\n\
                  command 2 wtx 3 2\ncommand 3 wrong number\ncard 130 delay 20";
    let card = Card::script("over", script);
    let mut terminal = Terminal::new(&card);
    assert_eq!(terminal.activate(), Event::Ready);
    for round in 0..6 {
        assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()), "round {round}");
    }
}

#[test]
fn removed_and_unplugged_are_told_apart() {
    let card = Card::script("gone", "command 2 unplug 50\ncommand 1 mute");
    let mut terminal = Terminal::new(&card);
    assert_eq!(terminal.activate(), Event::Ready);
    let Event::Failed(mute) = terminal.command(&SELECT) else { panic!("a mute card answers") };
    assert_eq!(terminal.activate(), Event::Ready);
    let Event::Failed(gone) = terminal.command(&SELECT) else { panic!("an absent one answers") };
    assert_ne!(mute, Cause::ReaderLost);
    assert_eq!(gone, Cause::ReaderLost);
    // Plugged in again: another reader at the same path.
    let end = std::time::Instant::now() + Duration::from_secs(5);
    while !fs::exists(card.folder.join("port")).unwrap() {
        assert!(std::time::Instant::now() < end, "never plugged in again");
    }
    let mut terminal = Terminal::new(&card);
    assert_eq!(terminal.activate(), Event::Ready);
    assert_eq!(terminal.command(&SELECT), Event::Response(SELECTED.to_vec()));
}

#[test]
fn signals_end_it_and_leave_nothing() {
    use nix::sys::signal::Signal;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut card = Card::new(&format!("{signal}"), &[]);
        assert!(fs::symlink_metadata(card.folder.join("port")).is_ok());
        card.signal(signal);
        assert_eq!(card.process.wait().unwrap().code(), Some(0));
        assert!(fs::symlink_metadata(card.folder.join("port")).is_err(), "the link is left");
        assert!(!card.folder.join("control").exists(), "the socket is left");
    }
}

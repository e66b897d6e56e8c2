//! `vcard serve --vpcd` as a program, with the terminal's own reader in pcscd's place.
#![allow(clippy::unwrap_used)] // a test that cannot go on panics

use hex_literal::hex;
use iso7816::line::{CardLine, Cause, Input, Output};
use stb_shim::clock;
use stb_shim::reader::{Presence, Reader};
use stb_shim::sys::Waker;
use stb_shim::url::Url;
use stb_shim::vpcd::VpcdReader;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

const SELECT: [u8; 14] = hex!("00 A4 04 00 08 F053544243415301 00");
const SELECTED: [u8; 21] = hex!("6F11 8408F053544243415301 A505 5003434153 9000");

#[derive(Debug, PartialEq)]
enum Event {
    Ready,
    Response(Vec<u8>),
    Failed(Cause),
}

/// The terminal, and a card that comes to it.
struct Terminal {
    folder: PathBuf,
    process: Child,
    reader: VpcdReader,
    line: CardLine,
}

impl Terminal {
    fn new(name: &str, script: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("vcard-come-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("script"), script).unwrap();
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
        let reader = VpcdReader::open(&Url::parse("vpcd:127.0.0.1:0")).unwrap();
        let process = vcard()
            .current_dir(&folder)
            .args(["serve", "--memory", "card.nvm", "--durable", "process"])
            .args(["--control", "control", "--script", "script", "--vpcd"])
            .arg(reader.address().unwrap().to_string())
            .spawn()
            .unwrap();
        let line = CardLine::new(reader.capabilities().policy());
        let mut terminal = Self { folder, process, reader, line };
        terminal.until(Presence::Present);
        terminal
    }

    fn until(&mut self, wanted: Presence) {
        let waker = Waker::new().unwrap();
        while self.reader.present().unwrap() != wanted {
            let until = clock::now().after(Duration::from_millis(10));
            let _ = self.reader.receive(&mut [], Some(until), &waker);
        }
    }

    fn control(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.join("control")).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    fn command(&mut self, patience: Option<Duration>) -> Event {
        self.run(Input::Command { apdu: &SELECT, patience })
    }

    fn run(&mut self, input: Input<'_>) -> Event {
        let Self { line, reader, .. } = self;
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
                    reader.receive(&mut buf, until, &waker).map(|received| {
                        let input = received.input(&buf).unwrap_or(Input::Timeout);
                        line.handle_input(clock::now(), input);
                    })
                }
            };
            if let Err(error) = done {
                line.handle_input(clock::now(), Input::Gone(error.gone()));
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_card_comes_answers_and_leaves() {
    let mut terminal = Terminal::new("leaves", "");
    for _ in 0..2 {
        assert_eq!(terminal.run(Input::Activate), Event::Ready);
        assert_eq!(terminal.line.protocol(), 1);
        for _ in 0..3 {
            assert_eq!(terminal.command(None), Event::Response(SELECTED.to_vec()));
        }
        assert!(terminal.control("status").contains("\"card\":\"on\""));
        assert!(terminal.control("remove").contains("true"));
        assert_eq!(terminal.command(None), Event::Failed(Cause::Removed));
        terminal.until(Presence::Absent);
        assert!(terminal.control("insert").contains("true"));
        terminal.until(Presence::Present);
    }
}

#[test]
fn a_late_or_missing_answer_is_told_and_survived() {
    let mut terminal = Terminal::new("late", "command 2 delay 200\ncommand 4 mute");
    assert_eq!(terminal.run(Input::Activate), Event::Ready);
    assert_eq!(terminal.command(None), Event::Response(SELECTED.to_vec()));
    let patience = Some(Duration::from_millis(20));
    assert_eq!(terminal.command(patience), Event::Failed(Cause::Silent));
    // The line has reset the card by itself.
    assert_eq!(terminal.run(Input::Timeout), Event::Ready);
    assert_eq!(terminal.command(None), Event::Response(SELECTED.to_vec()));
    // Without a line to be mute on, the card leaves, and comes back.
    assert_eq!(terminal.command(None), Event::Failed(Cause::Removed));
    terminal.until(Presence::Present);
    assert_eq!(terminal.run(Input::Activate), Event::Ready);
    assert_eq!(terminal.command(None), Event::Response(SELECTED.to_vec()));
}

// SPDX-License-Identifier: Apache-2.0
//! A served card, from the terminal's side of the port, by hand-written octets.

mod faults;

use super::*;
use crate::sys;
use hex_literal::hex;
use nix::libc;
use nix::sys::eventfd::EventFd;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use vcard::{Cut, PowerLost};

/// Answers every command with itself and 9000. INS EE waits for a sign from the test, INS CC loses
/// the power, INS DD panics.
pub(super) struct Echo {
    atr: Vec<u8>,
    go_on: Receiver<()>,
    armed: Option<Cut>,
}

impl Echo {
    /// The system, and what lets INS EE go on.
    pub(super) fn new(atr: &[u8]) -> (Box<Self>, Sender<()>) {
        let (go_on, wait) = channel();
        (Box::new(Self { atr: atr.to_vec(), go_on: wait, armed: None }), go_on)
    }
}

impl Os for Echo {
    fn power_on(&mut self) -> Vec<u8> {
        self.atr.clone()
    }

    fn power_off(&mut self) {}

    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, PowerLost> {
        match apdu.get(1) {
            Some(0xEE) => self.go_on.recv().unwrap(),
            Some(0xDD) => panic!("the test asked for it"),
            Some(0xCC) => return Err(PowerLost),
            _ => {}
        }
        Ok([apdu, &[0x90, 0x00]].concat())
    }

    fn takes_data(&self) -> fn(u8, u8) -> bool {
        |_, ins| !matches!(ins, 0xCA | 0xCC | 0xDD | 0xEE)
    }

    fn arm_cut(&mut self, cut: Cut) {
        self.armed = Some(cut);
    }

    fn status(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut status = serde_json::Map::new();
        status.insert("armed".into(), format!("{:?}", self.armed).into());
        status
    }

    fn pages_written(&self) -> u64 {
        0
    }
}

/// A terminal on the port of a server that runs in its thread.
pub(super) struct Rig {
    port: File,
    control: BufReader<UnixStream>,
    folder: PathBuf,
    go_on: Sender<()>,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Rig {
    fn new(name: &str, atr: Vec<u8>) -> Self {
        Self::with(name, &atr, Options::default())
    }

    fn paced(name: &str, atr: Vec<u8>) -> Self {
        Self::with(name, &atr, Options { pace: true, ..Options::default() })
    }

    pub(super) fn with(name: &str, atr: &[u8], options: Options) -> Self {
        let folder = std::env::temp_dir().join(format!("vcard-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let options = Options {
            link: Some(folder.join("card")),
            record: Some(folder.join("record")),
            control: Some(folder.join("control")),
            ..options
        };
        let (echo, go_on) = Echo::new(atr);
        let mut server = Server::new(echo, &options).unwrap();
        let port = OpenOptions::new().read(true).write(true).open(folder.join("card")).unwrap();
        let stop = Arc::new(EventFd::new().unwrap());
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || server.run(stop.as_fd())
        });
        let control = BufReader::new(UnixStream::connect(folder.join("control")).unwrap());
        Self { port, control, folder, go_on, stop, thread: Some(thread) }
    }

    pub(super) fn set(&self, baud: u32, iflag: u32) {
        let mut settings = sys::settings(&self.port).unwrap();
        settings.c_cflag = settings.c_cflag & !libc::CBAUD | libc::BOTHER;
        settings.c_iflag = iflag;
        settings.c_ispeed = baud;
        settings.c_ospeed = baud;
        sys::set_settings(&self.port, &settings).unwrap();
    }

    pub(super) fn command(&mut self, line: &str) -> serde_json::Value {
        self.control.get_ref().write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.control.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Holds reset until the reader has seen it, then releases it.
    pub(super) fn reset(&mut self) {
        self.set(0, 0);
        loop {
            let status = self.command("status");
            if matches!(status["card"].as_str(), Some("reset" | "removed")) {
                break;
            }
        }
        self.set(9600, 0);
    }

    pub(super) fn send(&mut self, octets: &[u8]) {
        self.port.write_all(octets).unwrap();
    }

    pub(super) fn expect(&mut self, octets: &[u8]) {
        let mut got = Vec::new();
        while got.len() < octets.len() {
            assert!(self.readable(5000), "got {got:02X?}, expected {octets:02X?}");
            let mut buf = [0; 300];
            let len = self.port.read(&mut buf).unwrap();
            got.extend_from_slice(&buf[..len]);
        }
        assert_eq!(got, octets, "got {got:02X?}, expected {octets:02X?}");
    }

    /// The reader is gone: the port hangs up. Then it is opened again by its link.
    pub(super) fn reopen(&mut self) {
        let mut fds = [PollFd::new(self.port.as_fd(), PollFlags::empty())];
        assert_eq!(nix::poll::poll(&mut fds, 5000u16).unwrap(), 1, "the port still works");
        let end = std::time::Instant::now() + Duration::from_secs(5);
        let link = self.folder.join("card");
        self.port = loop {
            match OpenOptions::new().read(true).write(true).open(&link) {
                Ok(port) => break port,
                Err(error) => assert!(std::time::Instant::now() < end, "{error}"),
            }
        };
    }

    fn readable(&self, ms: u16) -> bool {
        let mut fds = [PollFd::new(self.port.as_fd(), PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, ms).unwrap() == 1
    }

    /// The card says nothing: what was sent before is done when `status` is answered.
    pub(super) fn expect_silence(&mut self) {
        assert!(!self.readable(50));
    }

    pub(super) fn record(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(self.folder.join("record")).unwrap();
        text.lines()
            .map(|line| {
                let mut tokens = line.split(' ').skip(1).map(str::to_owned);
                (tokens.next().unwrap(), tokens.next().unwrap_or_default())
            })
            .collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.write(1).unwrap();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
            assert!(!self.folder.join("card").exists());
            assert!(!self.folder.join("control").exists());
            std::fs::remove_dir_all(&self.folder).unwrap();
        }
    }
}

#[test]
fn reset_pps_and_a_command() {
    let atr = vcard::atr::t1();
    let mut rig = Rig::new("pps", atr.clone());
    rig.send(&hex!("00 C1 01 FE 3E"));
    rig.expect_silence();
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("FF 11 18 F6"));
    rig.expect(&hex!("FF 11 18 F6"));
    // Still at 9600: not heard.
    rig.send(&hex!("00 C1 01 FE 3E"));
    rig.expect_silence();
    rig.set(115_200, 0);
    rig.send(&hex!("00 C1 01 FE 3E"));
    rig.expect(&hex!("00 E1 01 FE 1E"));
    rig.send(&hex!("00 00 05 80CAFFFF00 4F"));
    rig.expect(&hex!("00 00 07 80CAFFFF009000 DD"));
    let record = rig.record();
    assert_eq!(record[1], ("R".into(), String::new()));
    assert_eq!(record[2].0, "R");
    assert_eq!(record[3], ("T".into(), "FF1118F6".into()));
    assert_eq!(record[4], ("C".into(), "FF1118F6".into()));
    assert_eq!(record.last().unwrap().0, "C");
    // Reset again: the answer comes at the initial speed.
    rig.reset();
    rig.expect(&atr);
    assert_eq!(rig.command("status")["resets"], 2);
}

#[test]
fn parity_marks_double_ff() {
    let mut rig = Rig::new("marks", vcard::atr::t0());
    rig.reset();
    rig.expect(&vcard::atr::t0());
    rig.set(9600, libc::PARMRK | libc::INPCK);
    rig.send(&hex!("80 FF 00 00 01"));
    rig.expect(&hex!("FF FF"));
    rig.send(&hex!("FF"));
    rig.expect(&hex!("61 06"));
    rig.send(&hex!("00 C0 00 00 06"));
    rig.expect(&hex!("C0 80 FFFF 00 00 01 FFFF 9000"));
}

#[test]
fn a_missed_pulse_shows_by_the_speed() {
    let atr = vcard::atr::t1();
    let mut rig = Rig::new("pulse", atr.clone());
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("FF 11 18 F6"));
    rig.expect(&hex!("FF 11 18 F6"));
    rig.set(115_200, 0);
    rig.send(&hex!("00 C1 01 FE 3E"));
    rig.expect(&hex!("00 E1 01 FE 1E"));
    rig.set(9600, 0);
    rig.expect(&atr);
}

#[test]
fn removed_and_put_back() {
    let atr = vcard::atr::t0();
    let mut rig = Rig::new("remove", atr.clone());
    rig.reset();
    rig.expect(&atr);
    assert_eq!(rig.command("remove")["ok"], true);
    assert!(rig.command("remove")["error"].as_str().unwrap().contains("no card"));
    rig.send(&hex!("80 CA 00 00 00"));
    rig.expect_silence();
    rig.reset();
    rig.expect_silence();
    assert_eq!(rig.command("insert")["ok"], true);
    assert!(rig.command("insert")["error"].as_str().unwrap().contains("already"));
    // Not before the next reset.
    rig.expect_silence();
    assert_eq!(rig.command("status")["card"], "mute");
    rig.reset();
    rig.expect(&atr);
    assert_eq!(rig.command("status")["card"], "on");
}

#[test]
fn power_lost_inside_a_command() {
    let atr = vcard::atr::t0();
    let mut rig = Rig::new("cut", atr.clone());
    rig.reset();
    rig.expect(&atr);
    assert_eq!(rig.command("cut before-commit")["cut"], "before-commit");
    assert_eq!(rig.command("status")["armed"], "Some(BeforeCommit)");
    rig.send(&hex!("80 CC 00 00 00"));
    rig.expect_silence();
    rig.send(&hex!("80 CA 00 00 00"));
    rig.expect_silence();
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("80 CA 00 00 00"));
    rig.expect(&hex!("6C 05"));
}

#[test]
fn a_reset_in_the_middle_of_a_command_makes_its_answer_void() {
    let atr = vcard::atr::t1();
    let mut rig = Rig::new("void", atr.clone());
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("00 00 02 80EE 6C"));
    // The card asks for more time while its system works.
    rig.expect(&hex!("00 C3 01 01 C3"));
    rig.set(0, 0);
    rig.go_on.send(()).unwrap();
    while rig.command("status")["card"] != "reset" {}
    rig.set(9600, 0);
    rig.expect(&atr);
    rig.send(&hex!("00 00 02 80CA 48"));
    rig.expect(&hex!("00 00 04 80CA9000 DE"));
}

#[test]
fn a_panic_of_the_card_ends_the_service() {
    let atr = vcard::atr::t0();
    let mut rig = Rig::new("panic", atr.clone());
    rig.reset();
    rig.expect(&atr);
    rig.send(&hex!("80 DD 00 00 00"));
    let ended = rig.thread.take().unwrap().join().unwrap();
    assert!(matches!(ended, Err(ServeError::CardEnded)));
    rig.thread = Some(std::thread::spawn(|| Ok(())));
}

#[test]
fn a_paced_line_takes_its_time() {
    let atr = vcard::atr::t0();
    let mut rig = Rig::paced("pace", atr.clone());
    let begin = std::time::Instant::now();
    rig.reset();
    rig.expect(&atr);
    // 11 characters of 12 etu at 9622 bit/s are 13.7 ms.
    assert!(begin.elapsed() >= Duration::from_micros(13_500));
    let begin = std::time::Instant::now();
    rig.send(&hex!("80 CA 00 00 05"));
    rig.expect(&hex!("CA 80CA000005 9000"));
    // 13 characters and the thinking.
    assert!(begin.elapsed() >= Duration::from_micros(17_000));
}

#[test]
fn what_cannot_be_made_is_named() {
    let named = |options: &Options| {
        let (echo, _go_on) = Echo::new(&[]);
        match Server::new(echo, options) {
            Ok(_) => panic!("made"),
            Err(error) => error.to_string(),
        }
    };
    let nowhere = || Some(PathBuf::from("/nonexistent/here"));
    for (options, what) in [
        (Options { link: nowhere(), ..Options::default() }, "link /nonexistent/here: "),
        (Options { record: nowhere(), ..Options::default() }, "recording /nonexistent/here: "),
        (
            Options { control: nowhere(), ..Options::default() },
            "control socket /nonexistent/here: ",
        ),
    ] {
        let error = named(&options);
        assert!(error.starts_with(what), "{error}");
    }
}

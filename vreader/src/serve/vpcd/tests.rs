// SPDX-License-Identifier: Apache-2.0
//! vpcd's side of the connection, by hand.

use super::super::tests::Echo;
use super::*;
use hex_literal::hex;
use nix::sys::eventfd::EventFd;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

struct Rig {
    listener: TcpListener,
    stream: TcpStream,
    control: UnixStream,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
    folder: PathBuf,
}

impl Rig {
    fn new(name: &str, script: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("vcard-vpcd-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = VpcdOptions {
            address: listener.local_addr().unwrap().to_string(),
            control: Some(folder.join("control")),
            script: script.parse().unwrap(),
            ..VpcdOptions::default()
        };
        let (echo, _go_on) = Echo::new(&vcard::atr::t1());
        let mut server = VpcdServer::new(echo, &options).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let stop = Arc::new(EventFd::new().unwrap());
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || server.run(stop.as_fd())
        });
        let control = UnixStream::connect(folder.join("control")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { listener, stream, control, stop, thread: Some(thread), folder }
    }

    fn send(&mut self, message: &[u8]) {
        self.stream.write_all(&emit(message).unwrap()).unwrap();
    }

    fn expect(&mut self, answer: &[u8]) {
        let mut got = vec![0; 2 + answer.len()];
        self.stream.read_exact(&mut got).unwrap();
        assert_eq!(got, emit(answer).unwrap());
    }

    /// The card leaves, and comes back.
    fn expect_absence(&mut self) {
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0);
        self.stream = self.listener.accept().unwrap().0;
        self.stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }

    fn command(&mut self, line: &str) -> String {
        self.control.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = [0; 1000];
        let len = self.control.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..len]).into_owned()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.write(1).unwrap();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
            std::fs::remove_dir_all(&self.folder).unwrap();
        }
    }
}

#[test]
fn power_and_commands() {
    let mut rig = Rig::new("commands", "");
    rig.send(&hex!("04"));
    rig.expect(&vcard::atr::t1());
    rig.send(&hex!("01"));
    rig.send(&hex!("03"));
    rig.send(&hex!("00CA000000"));
    rig.expect(&hex!("00CA000000 9000"));
    assert!(rig.command("status").contains("\"card\":\"on\""));
    rig.send(&hex!("02"));
    rig.send(&hex!("00CA"));
    rig.send(&hex!("00CB"));
    rig.expect(&hex!("00CA 9000"));
    rig.expect(&hex!("00CB 9000"));
    rig.send(&hex!("00"));
    assert!(rig.command("plug").contains("no cable"));
}

#[test]
fn a_card_that_would_not_answer_leaves_and_comes_back() {
    let mut rig = Rig::new("mute", "command 2 mute\ncommand 3 remove 1\ncommand 4 delay 20");
    rig.send(&hex!("01"));
    // The power is cut in the first command.
    for apdu in [hex!("00CC"), hex!("00CA"), hex!("00CA")] {
        rig.send(&apdu);
        rig.expect_absence();
        rig.send(&hex!("01"));
    }
    let begin = std::time::Instant::now();
    rig.send(&hex!("00CA"));
    // What comes in the meantime has to wait, and no longer.
    rig.send(&hex!("04"));
    rig.expect(&hex!("00CA 9000"));
    assert!(begin.elapsed() >= Duration::from_millis(20));
    rig.expect(&vcard::atr::t1());
    assert!(rig.command("remove").contains("true"));
    assert!(rig.command("remove").contains("no card"));
    assert!(rig.command("status").contains("\"card\":\"removed\""));
    assert!(rig.command("insert").contains("true"));
    rig.expect_absence();
    rig.send(&hex!("04"));
    rig.expect(&vcard::atr::t1());
}

#[test]
fn what_vpcd_cannot_do_is_named() {
    for (address, script, named) in [
        ("127.0.0.1:1", "card 1 lose", "script, line 1: "),
        ("127.0.0.1:1", "command 1 unplug", "script, line 1: "),
        ("nonsense", "", "vpcd nonsense (pcscd listens there"),
    ] {
        let address = address.to_owned();
        let script = script.parse().unwrap();
        let options = VpcdOptions { address, script, ..VpcdOptions::default() };
        let (echo, _go_on) = Echo::new(&[]);
        let Err(error) = VpcdServer::new(echo, &options) else { panic!("{named}") };
        assert!(error.to_string().starts_with(named), "{error}");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The program `stbcam` in a folder of files, and cards of the demo's files in readers.

use crate::slot::Served;
use serde_json::Value;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use vcard::nvm::{NvmError, StoreError};
use vcard::personalisation::Personalisation;
use vcard::{Card, CardError, Durability, Fault};
use vreader::inserted::{Inserted, Side};
use vreader::serve::{Options, VpcdOptions, VpcdServer};

pub const CARD: &str = include_str!("../../examples/demo/card.toml");
pub const PSAM: &str = include_str!("../../examples/demo/psam.toml");
pub const PIN: &str = "40962718";
pub const SERIAL: &str = "90000000000000004711";
pub const TERMINAL: &str = "001122334455";

/// How long a test waits for somebody else.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, where Cargo has built it for the tests of its package, and a place for their files:
/// `env!("CARGO_BIN_EXE_stbcam")` and `env!("CARGO_TARGET_TMPDIR")`.
#[derive(Clone, Copy)]
pub struct Stbcam {
    pub program: &'static str,
    pub place: &'static str,
}

/// A folder of files, in which the program runs.
pub struct Rig {
    pub folder: PathBuf,
    program: &'static str,
}

/// Where a card is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reader {
    Phoenix,
    Vpcd(Side),
}

impl Stbcam {
    /// With the demo's card, and the examples' files.
    pub fn rig(self, name: &str) -> Rig {
        let folder = Path::new(self.place).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let rig = Rig { folder, program: self.program };
        rig.personalise("card", CARD);
        rig.file("keys.toml", include_str!("../../examples/wallet/keys.toml"));
        rig.file("fares.toml", include_str!("../../examples/wallet/fares.toml"));
        rig.file("batch.csv", include_str!("../../examples/wallet/batch.csv"));
        rig
    }
}

impl Rig {
    pub fn file(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// Makes the memory of a card.
    pub fn personalise(&self, name: &str, file: &str) {
        let perso = Personalisation::from_text(file, &self.folder.join(name)).unwrap();
        let image = Card::personalise(&perso).unwrap();
        image.write_to(&self.folder.join(format!("{name}.nvm"))).unwrap();
    }

    /// The demo's card in a Phoenix reader.
    pub fn serve(&self) -> Served {
        self.insert("card", Reader::Phoenix, "")
    }

    /// A card in a reader where things go wrong.
    pub fn insert(&self, name: &str, reader: Reader, script: &str) -> Served {
        self.insert_faulty(name, reader, script, None)
    }

    /// The same of a card that does something wrong.
    pub fn insert_faulty(
        &self,
        name: &str,
        reader: Reader,
        script: &str,
        fault: Option<Fault>,
    ) -> Served {
        let memory = self.folder.join(format!("{name}.nvm"));
        let open = move || {
            let mut card = open_card(&memory);
            fault.into_iter().for_each(|fault| card.set_fault(fault));
            Inserted::new(card, &memory)
        };
        let script = script.parse().unwrap();
        match reader {
            Reader::Phoenix => {
                let link = self.folder.join(format!("{name}0"));
                let options = Options {
                    link: Some(link.clone()),
                    control: Some(self.folder.join(format!("{name}.ctl"))),
                    script,
                    ..Options::default()
                };
                Served::at_port(Box::new(open()), &options, &link)
            }
            Reader::Vpcd(side) => {
                // A port that nobody else has at the moment.
                let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let address = free.local_addr().unwrap().to_string();
                drop(free);
                let atr = (side == Side::Contactless).then(vcard::atr::contactless);
                let options = VpcdOptions {
                    address: address.clone(),
                    record: None,
                    control: None,
                    atr,
                    script,
                };
                let url = format!("vpcd:{address}");
                Served::thread(url, move |stop| {
                    let os = Box::new(open().at(side));
                    let mut server = VpcdServer::new(os, &options).unwrap();
                    server.run(stop.as_fd()).unwrap();
                })
            }
        }
    }

    /// The program with these arguments, in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(arguments).current_dir(&self.folder).env_remove("RUST_LOG");
        command.stdin(Stdio::null());
        command
    }

    /// With the terminal's arguments.
    pub fn money(&self, card: &Served, arguments: &[&str]) -> Vec<String> {
        let arguments = arguments.iter().map(ToString::to_string);
        let own = ["--reader", &card.url, "--keys", "keys.toml", "--terminal", TERMINAL];
        arguments.chain(own.map(str::to_owned)).collect()
    }

    /// Runs it to its end.
    pub fn run(&self, card: &Served, arguments: &[&str]) -> Output {
        self.typing(card, arguments, "")
    }

    /// The same with somebody who types.
    pub fn typing(&self, card: &Served, arguments: &[&str], typed: &str) -> Output {
        let arguments = self.money(card, arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = self.command(&arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who reads no PIN may have ended.
        let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// What it says as objects, when it ends with this status.
    pub fn objects(
        &self,
        card: &Served,
        arguments: &[&str],
        typed: &str,
        status: i32,
    ) -> Vec<Value> {
        let arguments = [&["--json"], arguments].concat();
        let output = self.typing(card, &arguments, typed);
        let said = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}{error}");
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The first object of this name.
    pub fn object(&self, card: &Served, arguments: &[&str], event: &str) -> Value {
        let objects = self.objects(card, arguments, &format!("{PIN}\n"), 0);
        find(&objects, event).unwrap_or_else(|| panic!("no {event} in {objects:?}"))
    }

    /// What it says when it ends with this status; it holds all the parts.
    pub fn refused(
        &self,
        card: &Served,
        arguments: &[&str],
        status: i32,
        parts: &[&str],
    ) -> String {
        let output = self.typing(card, arguments, &format!("{PIN}\n"));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
        for part in parts {
            assert!(error.contains(part), "{arguments:?}: '{error}' does not say '{part}'");
        }
        error
    }

    pub fn balance(&self, card: &Served) -> String {
        let arguments = ["--json", "wallet", "balance", "--reader", &card.url];
        let output = self.command(&arguments).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        said["balance"].as_str().unwrap().into()
    }

    /// A process that is left running.
    pub fn spawn(&self, card: &Served, arguments: &[&str]) -> Child {
        let arguments = self.money(card, arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A number of the card's status.
    pub fn status(&self, name: &str, field: &str) -> u64 {
        let status: Value = serde_json::from_str(&self.control(name, "status")).unwrap();
        status[field].as_u64().unwrap()
    }

    /// Waits for what somebody else does.
    pub fn wait_until(&self, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < end, "it does not come");
            std::thread::yield_now();
        }
    }

    /// Does what a hand would do to the card.
    pub fn control(&self, name: &str, command: &str) -> String {
        use std::io::{BufRead as _, BufReader};
        let socket = self.folder.join(format!("{name}.ctl"));
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("\"ok\":true"), "{command}: {answer}");
        answer
    }
}

pub fn find(objects: &[Value], event: &str) -> Option<Value> {
    objects.iter().find(|object| object["event"] == event).cloned()
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The card in this file. Whoever starts a program has a twin of this process for a moment, in
/// which the lock of a card that was just taken out still holds.
fn open_card(memory: &Path) -> Card {
    let end = Instant::now() + PATIENCE;
    loop {
        match Card::open_file(memory, Durability::Process) {
            Err(CardError::Memory(NvmError::Store(StoreError::Io(busy))))
                if busy.kind() == ErrorKind::ResourceBusy && Instant::now() < end =>
            {
                std::thread::yield_now();
            }
            card => return card.unwrap(),
        }
    }
}

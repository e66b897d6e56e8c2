// SPDX-License-Identifier: Apache-2.0
//! `vcard serve` as a program, with a card in a reader at a port.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The program, where Cargo has built it for the tests of its package:
/// `env!("CARGO_BIN_EXE_vcard")`.
#[derive(Clone, Copy)]
pub struct Vcard(pub &'static str);

/// A served card.
pub struct Card {
    pub folder: PathBuf,
    pub process: Child,
}

impl Vcard {
    /// The demo's card in a reader at a port.
    pub fn serve(self, name: &str, options: &[&str]) -> Card {
        let demo = include_str!("../../examples/demo/card.toml");
        self.serve_file(name, demo, &[&["--link", "port"], options].concat())
    }

    /// The card of a personalisation file, served as the options say.
    pub fn serve_file(self, name: &str, file: &str, options: &[&str]) -> Card {
        let folder =
            std::env::temp_dir().join(format!("vcard-served-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("card.toml"), file).unwrap();
        let vcard = || {
            let mut vcard = Command::new(self.0);
            vcard.current_dir(&folder);
            vcard
        };
        let made = ["personalise", "--from", "card.toml", "--memory", "card.nvm"];
        assert!(vcard().args(made).status().unwrap().success());
        let mut process = vcard()
            .args(["serve", "--memory", "card.nvm", "--control", "control"])
            .args(["--durable", "process"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("serving card.nvm "), "{said}");
        Card { folder, process }
    }

    /// With faults of a script.
    pub fn serve_script(self, name: &str, script: &str, options: &[&str]) -> Card {
        let path = std::env::temp_dir().join(format!("vcard-script-{name}-{}", std::process::id()));
        fs::write(&path, script).unwrap();
        let options = [&["--script", path.to_str().unwrap()], options].concat();
        let card = self.serve(name, &options);
        fs::remove_file(path).unwrap();
        card
    }
}

impl Card {
    /// The reader at its port, by the address `SCHEME:…/port?OPTIONS`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}:{}", self.folder.join("port").display())
    }

    pub fn control(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.join("control")).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
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

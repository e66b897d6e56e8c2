// SPDX-License-Identifier: Apache-2.0
//! A small card in an emulated reader, with a hand at it.

use crate::slot::Served;
use serde_json::{Map, Value};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use vcard::{Cut, PowerLost};
use vreader::os::Os;
use vreader::serve::{Options, ReaderKind};

/// READ BINARY counts, VERIFY has two tries left, and there is nothing else.
struct Counting(Vec<u8>);

impl Os for Counting {
    fn power_on(&mut self) -> Vec<u8> {
        self.0.clone()
    }

    fn power_off(&mut self) {}

    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, PowerLost> {
        Ok(match *apdu {
            [_, 0xB0, _, _, le] => (1..=le).chain([0x90, 0x00]).collect(),
            [_, 0x20, ..] => vec![0x63, 0xC2],
            _ => vec![0x6D, 0x00],
        })
    }

    fn takes_data(&self) -> fn(u8, u8) -> bool {
        |_, ins| ins == 0x20
    }

    fn arm_cut(&mut self, _: Cut) {}

    fn status(&self) -> Map<String, Value> {
        Map::new()
    }

    fn pages_written(&self) -> u64 {
        0
    }
}

/// The card, its reader and its control socket, in a folder of their own.
pub struct Small {
    served: Served,
    folder: Folder,
}

/// Is gone when it is dropped.
struct Folder(PathBuf);

impl Small {
    /// A card with this answer to reset in a Phoenix reader. The folder is made in `place`.
    pub fn new(place: &str, name: &str, atr: &[u8]) -> Self {
        Self::on(place, name, atr, ReaderKind::Phoenix, "")
    }

    /// The same, with faults of a script.
    pub fn scripted(place: &str, name: &str, atr: &[u8], script: &str) -> Self {
        Self::on(place, name, atr, ReaderKind::Phoenix, script)
    }

    /// The same in a GemPC Twin.
    pub fn gempc(place: &str, name: &str, atr: &[u8]) -> Self {
        Self::on(place, name, atr, ReaderKind::GemPcTwin, "")
    }

    fn on(place: &str, name: &str, atr: &[u8], kind: ReaderKind, script: &str) -> Self {
        let folder = Path::new(place).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let link = folder.join("port");
        let options = Options {
            kind,
            link: Some(link.clone()),
            control: Some(folder.join("control")),
            atr: Some(atr.to_vec()),
            script: script.parse().unwrap(),
            ..Options::default()
        };
        let served = Served::at_port(Box::new(Counting(atr.to_vec())), &options, &link);
        Self { served, folder: Folder(folder) }
    }

    /// The reader's address.
    pub fn url(&self) -> String {
        self.served.url.clone()
    }

    /// A file in the card's folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.0.join(name).display().to_string()
    }

    /// Does what a hand would do to the card.
    pub fn control(&self, command: &str) {
        let mut stream = UnixStream::connect(self.folder.0.join("control")).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("\"ok\":true"), "{command}: {answer}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

//! A small card in a virtual reader, served by a thread of the test.
use nix::sys::eventfd::EventFd;
use serde_json::{Map, Value};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use vcard::{Cut, PowerLost};
use vreader::os::Os;
use vreader::serve::{Options, ReaderKind, Server};

/// READ BINARY counts, VERIFY has two tries left, and there is nothing else.
struct Small(Vec<u8>);

impl Os for Small {
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
pub struct Served {
    folder: PathBuf,
    scheme: &'static str,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// A card with this answer to reset in a Phoenix reader.
    pub fn new(name: &str, atr: &[u8]) -> Self {
        Self::on(name, atr, "serial", ReaderKind::Phoenix)
    }

    /// The same in a GemPC Twin.
    pub fn gempc(name: &str, atr: &[u8]) -> Self {
        Self::on(name, atr, "gempc", ReaderKind::GemPcTwin)
    }

    fn on(name: &str, atr: &[u8], scheme: &'static str, kind: ReaderKind) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let options = Options {
            kind,
            link: Some(folder.join("port")),
            control: Some(folder.join("control")),
            atr: Some(atr.to_vec()),
            ..Options::default()
        };
        let mut server = Server::new(Box::new(Small(atr.to_vec())), &options).unwrap();
        let stop = Arc::new(EventFd::new().unwrap());
        let told = stop.clone();
        let thread = std::thread::spawn(move || server.run(told.as_fd()).unwrap());
        Self { folder, scheme, stop, thread: Some(thread) }
    }

    /// The reader's address.
    pub fn url(&self) -> String {
        format!("{}:{}", self.scheme, self.path("port"))
    }

    /// A file in the card's folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Does what a hand would do to the card.
    pub fn control(&self, command: &str) {
        let mut stream = UnixStream::connect(self.folder.join("control")).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("\"ok\":true"), "{command}: {answer}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.write(1).unwrap();
        let ended = self.thread.take().unwrap().join();
        let _ = std::fs::remove_dir_all(&self.folder);
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The control socket of `--control`: what a hand would do to a card, by one line of text each.
//!
//! Every command is answered by one line of JSON: `{"ok":true,…}` or `{"ok":false,"error":"…"}`.

use serde_json::{Value, json};
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use vcard::Cut;

/// A command of the control socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// Arm a power cut for the next purchase that debits.
    Cut(Cut),
    /// Pull the card: mute at once, and no answer to reset.
    Remove,
    /// Put the card back: it answers the next reset.
    Insert,
    /// Pull the reader's cable: the terminal's port is gone.
    Unplug,
    /// Plug the reader in again.
    Plug,
    /// Tell the state of line and card.
    Status,
    /// End the process.
    Quit,
}

impl Command {
    /// Reads one line.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let tokens: Vec<&str> = line.split_ascii_whitespace().collect();
        match *tokens.as_slice() {
            ["cut", "before-commit"] => Ok(Self::Cut(Cut::BeforeCommit)),
            ["cut", "after-commit"] => Ok(Self::Cut(Cut::AfterCommit)),
            ["cut"] => Err(CommandError::Where(String::new())),
            ["cut", point] => Err(CommandError::Where(shortened(point))),
            ["remove"] => Ok(Self::Remove),
            ["insert"] => Ok(Self::Insert),
            ["unplug"] => Ok(Self::Unplug),
            ["plug"] => Ok(Self::Plug),
            ["status"] => Ok(Self::Status),
            ["quit"] => Ok(Self::Quit),
            _ => Err(CommandError::Unknown(shortened(line.trim()))),
        }
    }
}

/// Why a line is no command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CommandError {
    /// No such command.
    Unknown(String),
    /// `cut` does not know this point.
    Where(String),
    /// The line does not end within [`LONGEST_LINE`] octets.
    TooLong,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(line) => write!(
                f,
                "unknown command {line:?}, expected cut before-commit, cut after-commit, remove, \
                 insert, unplug, plug, status or quit"
            ),
            Self::Where(point) => {
                write!(f, "cut {point:?} is unknown, expected before-commit or after-commit")
            }
            Self::TooLong => write!(f, "line longer than {LONGEST_LINE} octets"),
        }
    }
}

impl std::error::Error for CommandError {}

/// The longest line that a client may send.
pub const LONGEST_LINE: usize = 256;

/// The socket and those who are connected to it.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Client>,
    next: u64,
}

#[derive(Debug)]
struct Client {
    number: u64,
    stream: UnixStream,
    line: Vec<u8>,
    /// Commands without an answer so far.
    unanswered: usize,
    /// Nothing more comes; who sends a command and closes still gets the answer.
    closed: bool,
}

impl Control {
    /// Opens the socket. One left behind by a process that is gone is replaced; one that somebody
    /// listens on, or a file of another kind, is an error.
    pub fn create(path: &Path) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                match UnixStream::connect(path) {
                    Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                        use std::os::unix::fs::FileTypeExt;
                        if !fs::symlink_metadata(path)?.file_type().is_socket() {
                            return Err(io::Error::new(
                                io::ErrorKind::AlreadyExists,
                                "exists and is not a socket",
                            ));
                        }
                        fs::remove_file(path)?;
                        UnixListener::bind(path)?
                    }
                    Ok(_) | Err(_) => return Err(error),
                }
            }
            bound => bound?,
        };
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: path.to_owned(), clients: Vec::new(), next: 0 })
    }

    /// The descriptors to wait on.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd())
            .chain(self.clients.iter().filter(|client| !client.closed).map(Client::descriptor))
    }

    /// Takes what clients have sent: who, and the command. Never waits. Lines that are no command
    /// are answered here.
    pub fn commands(&mut self) -> Vec<(u64, Command)> {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client::new(self.next, stream));
                self.next += 1;
            }
        }
        let mut commands = Vec::new();
        self.clients.retain_mut(|client| {
            client.closed = client.closed || !client.receive();
            while let Some(line) = client.take_line() {
                client.unanswered += 1;
                match Command::parse(&line) {
                    Ok(command) => commands.push((client.number, command)),
                    Err(error) => client.answer(&refusal(&error.to_string())),
                }
            }
            if client.line.len() > LONGEST_LINE {
                client.answer(&refusal(&CommandError::TooLong.to_string()));
                return false;
            }
            !client.closed || client.unanswered > 0
        });
        commands
    }

    /// Answers a client; one that has gone is forgotten.
    pub fn answer(&mut self, number: u64, answer: &Value) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.number == number) {
            client.answer(answer);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Client {
    const fn new(number: u64, stream: UnixStream) -> Self {
        Self { number, stream, line: Vec::new(), unanswered: 0, closed: false }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Reads what is there; false when the client is gone.
    fn receive(&mut self) -> bool {
        let mut buf = [0; 512];
        while self.line.len() <= LONGEST_LINE {
            match self.stream.read(&mut buf) {
                Ok(0) => return false,
                Ok(len) => self.line.extend_from_slice(buf.get(..len).unwrap_or_default()),
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.line.iter().position(|&octet| octet == b'\n')?;
        let line: Vec<u8> = self.line.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    fn answer(&mut self, answer: &Value) {
        self.unanswered = self.unanswered.saturating_sub(1);
        // A client that does not read its answers loses them; the card does not wait for it.
        let _ = self.stream.write_all(format!("{answer}\n").as_bytes());
    }
}

/// The answer of a command that was not carried out.
pub fn refusal(error: &str) -> Value {
    json!({ "ok": false, "error": error })
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[test]
    fn commands_parse() {
        let table: &[(&str, Result<Command, CommandError>)] = &[
            ("cut before-commit", Ok(Command::Cut(Cut::BeforeCommit))),
            ("  cut   after-commit\r", Ok(Command::Cut(Cut::AfterCommit))),
            ("remove", Ok(Command::Remove)),
            ("insert", Ok(Command::Insert)),
            ("unplug", Ok(Command::Unplug)),
            ("plug", Ok(Command::Plug)),
            ("status", Ok(Command::Status)),
            ("quit", Ok(Command::Quit)),
            ("cut", Err(CommandError::Where(String::new()))),
            ("cut off", Err(CommandError::Where("off".into()))),
            ("cut before-commit now", Err(CommandError::Unknown("cut before-commit now".into()))),
            ("", Err(CommandError::Unknown(String::new()))),
            ("eject", Err(CommandError::Unknown("eject".into()))),
        ];
        for (line, command) in table {
            assert_eq!(&Command::parse(line), command, "{line:?}");
        }
    }

    #[test]
    fn a_client_is_answered_line_by_line() {
        let path = std::env::temp_dir().join(format!("vcard-control-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let mut control = Control::create(&path).unwrap();
        assert!(Control::create(&path).is_err(), "somebody listens");
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"status\neject\nqu").unwrap();
        let commands = control.commands();
        let &[(number, Command::Status)] = commands.as_slice() else { panic!("{commands:?}") };
        control.answer(number, &json!({ "ok": true }));
        client.write_all(b"it\n").unwrap();
        assert_eq!(control.commands(), [(number, Command::Quit)]);
        let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("unknown command \\\"eject\\\""));
        assert_eq!(lines.next().unwrap().unwrap(), r#"{"ok":true}"#);
        client.write_all(&[b'x'; LONGEST_LINE + 1]).unwrap();
        assert!(control.commands().is_empty());
        assert!(lines.next().unwrap().unwrap().contains("longer than 256"));
        drop(control);
        assert!(!path.exists());
    }
}

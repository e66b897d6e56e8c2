// SPDX-License-Identifier: Apache-2.0
//! A card in the virtual reader vpcd of a pcscd: APDUs over TCP, no line and no characters.
//!
//! vpcd listens and the card comes to it: a connection is an inserted card. What has no answer here
//! has none over vpcd either, which would wait for ever: a card that is mute or has lost its power
//! leaves, and comes back a moment later.

use super::hand::name;
use super::{ServeError, recorder};
use crate::control::{Command, Control, refusal};
use crate::os::{Os, OsThread, Reply, Request};
use crate::record::{Party, Recorder};
use crate::script::{Action, Place, Script};
use crate::vpcd::{Message, Messages, emit};
use cam_types::Instant;
use log::{debug, info, warn};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use serde_json::json;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::TcpStreamExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a card is served to vpcd.
#[derive(Clone, Debug, Default)]
pub struct VpcdOptions {
    /// `HOST:PORT` where vpcd listens: 35963 for its first reader, 35964 for its second.
    pub address: String,
    /// A file that gets every APDU.
    pub record: Option<PathBuf>,
    /// A socket for what a hand would do to the card.
    pub control: Option<PathBuf>,
    /// The answer to reset to give instead of the card's own.
    pub atr: Option<Vec<u8>>,
    /// What goes wrong.
    pub script: Script,
}

/// A card in vpcd's reader.
pub struct VpcdServer {
    epoch: std::time::Instant,
    address: String,
    stream: Option<TcpStream>,
    messages: Messages,
    /// When to go to vpcd (again), while the card is inserted.
    connect_at: Option<Instant>,
    inserted: bool,
    recorder: Option<(Recorder<File>, PathBuf)>,
    control: Option<Control>,
    os: OsThread,
    atr: Option<Vec<u8>>,
    /// The answer to reset, once the card has given it.
    known_atr: Option<Vec<u8>>,
    powered: bool,
    /// A command is being answered; it is to be held back for so long.
    busy: Option<Duration>,
    /// An answer that is held back.
    late: Option<(Instant, Vec<u8>)>,
    script: Script,
    life: u64,
    resets: u64,
}

impl VpcdServer {
    /// Goes to vpcd, and waits a moment for one that is just starting.
    pub fn new(os: Box<dyn Os>, options: &VpcdOptions) -> Result<Self, ServeError> {
        let io = |what: &str, path: &Path| {
            let what = format!("{what} {}", path.display());
            move |error| ServeError::Io { what, error }
        };
        let misfit = options.script.misfit(|place, action| {
            place == Place::Command
                && matches!(action, Action::Delay(_) | Action::Mute | Action::Remove(_))
        });
        if let Some(error) = misfit {
            return Err(ServeError::Script(error));
        }
        let recorder = recorder(options.record.as_deref())?
            .map(|(recorder, path)| (recorder.of_commands(), path));
        let control = match &options.control {
            Some(path) => Some(Control::create(path).map_err(io("control socket", path))?),
            None => None,
        };
        let os = OsThread::spawn(os).map_err(io("thread", Path::new("card")))?;
        let begin = std::time::Instant::now();
        let stream = loop {
            match connect(&options.address) {
                Ok(stream) => break stream,
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionRefused
                        && begin.elapsed() < STARTING => {}
                Err(error) => {
                    let what = format!(
                        "vpcd {} (pcscd listens there when it runs with Debian's vsmartcard-vpcd)",
                        options.address
                    );
                    return Err(ServeError::Io { what, error });
                }
            }
            std::thread::sleep(AGAIN / 5);
        };
        let server = Self {
            epoch: begin,
            address: options.address.clone(),
            stream: Some(stream),
            messages: Messages::default(),
            connect_at: None,
            inserted: true,
            recorder,
            control,
            os,
            atr: options.atr.clone(),
            known_atr: None,
            powered: false,
            busy: None,
            late: None,
            script: options.script.clone(),
            life: 0,
            resets: 0,
        };
        // vpcd asks for the answer to reset before it gives power.
        server.os.request(server.life, Request::PowerOn);
        Ok(server)
    }

    /// Serves until `stop` is readable or somebody says `quit`.
    pub fn run(&mut self, stop: BorrowedFd<'_>) -> Result<(), ServeError> {
        loop {
            let now = self.now();
            self.due(now);
            self.messages()?;
            let (stopped, readable) = self.wait(stop)?;
            if stopped {
                return Ok(());
            }
            if readable {
                self.receive();
            }
            self.os_replies()?;
            if !self.commands() {
                return Ok(());
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::default().after(self.epoch.elapsed())
    }

    /// Waits for something to do: whether `stop` and whether the connection is readable.
    fn wait(&self, stop: BorrowedFd<'_>) -> Result<(bool, bool), ServeError> {
        let late = self.late.as_ref().map(|(at, _)| *at);
        let next = [self.connect_at, late].into_iter().flatten().min();
        let timeout = next.map(|at| TimeSpec::from(at.since(self.now())));
        let connection = self.stream.as_ref().map(AsFd::as_fd);
        let mut fds: Vec<PollFd<'_>> = [stop, self.os.descriptor()]
            .into_iter()
            .chain(connection)
            .chain(self.control.iter().flat_map(Control::descriptors))
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => {
                return Err(ServeError::Io { what: "waiting".into(), error: error.into() });
            }
        }
        let ready = |at: usize| fds.get(at).and_then(PollFd::any).unwrap_or(false);
        Ok((ready(0), connection.is_some() && ready(2)))
    }

    fn due(&mut self, now: Instant) {
        if self.connect_at.take_if(|at| *at <= now).is_some() {
            match connect(&self.address) {
                Ok(stream) => self.stream = Some(stream),
                Err(error) => {
                    debug!("vpcd {}: {error}", self.address);
                    self.connect_at = Some(self.now().after(AGAIN));
                }
            }
        }
        if let Some((_, answer)) = self.late.take_if(|(at, _)| *at <= now) {
            self.send(&answer);
        }
    }

    fn receive(&mut self) {
        let mut buf = [0; 4096];
        let Some(stream) = &mut self.stream else { return };
        match stream.read(&mut buf) {
            Ok(0) => self.lost("it has closed the connection"),
            Ok(len) => {
                // vpcd writes length and message apart: without this it waits 40 ms in between.
                if let Err(error) = stream.set_quickack(true) {
                    debug!("TCP_QUICKACK: {error}");
                }
                self.messages.push(buf.get(..len).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.lost(&error.to_string()),
        }
    }

    /// Takes messages, until the card is at work.
    fn messages(&mut self) -> Result<(), ServeError> {
        while self.busy.is_none() && self.late.is_none() && self.known_atr.is_some() {
            let now = self.now();
            match self.messages.take() {
                None => return Ok(()),
                Some(Err(unknown)) => warn!("{unknown}"),
                Some(Ok(Message::PowerOff)) => self.power_off(),
                Some(Ok(Message::PowerOn)) if self.powered => {}
                Some(Ok(Message::PowerOn | Message::Reset)) => {
                    self.power_off();
                    self.resets += 1;
                    self.script.reset();
                    self.record(now, Party::Reset, &[])?;
                    self.powered = true;
                    self.os.request(self.life, Request::PowerOn);
                    let atr = self.known_atr.clone().unwrap_or_default();
                    self.record(now, Party::Reset, &atr)?;
                }
                Some(Ok(Message::Atr)) => {
                    let atr = self.known_atr.clone().unwrap_or_default();
                    self.send(&atr);
                }
                Some(Ok(Message::Command(apdu))) => {
                    self.record(now, Party::Terminal, &apdu)?;
                    self.execute(now, apdu);
                }
            }
        }
        Ok(())
    }

    fn execute(&mut self, now: Instant, apdu: Vec<u8>) {
        let (mut delay, mut mute) = (Duration::ZERO, false);
        for action in self.script.strike(Place::Command) {
            info!("script: {action:?} at a command");
            match action {
                Action::Delay(time) => delay += time,
                Action::Mute => mute = true,
                Action::Remove(back) => {
                    self.inserted = false;
                    return self.leave(back.map(|time| now.after(time)));
                }
                _ => {}
            }
        }
        self.os.request(self.life, Request::Transmit(apdu));
        self.busy = Some(delay);
        if mute {
            self.leave(Some(now.after(AWAY)));
        }
    }

    fn os_replies(&mut self) -> Result<(), ServeError> {
        self.os.rest();
        while let Some(reply) = self.os.reply().map_err(|_| ServeError::CardEnded)? {
            let now = self.now();
            match reply {
                Reply::Atr { atr, .. } if atr.is_empty() => {
                    warn!("the card's memory is not usable; the card stays away");
                    self.inserted = false;
                    self.leave(None);
                }
                Reply::Atr { atr, .. } => {
                    if self.known_atr.is_none() {
                        self.known_atr = Some(self.atr.clone().unwrap_or(atr));
                        self.power_off();
                    }
                }
                Reply::Response { life, response, .. } if life == self.life => {
                    self.record(now, Party::Card, &response)?;
                    match self.busy.take() {
                        None | Some(Duration::ZERO) => self.send(&response),
                        Some(delay) => self.late = Some((now.after(delay), response)),
                    }
                }
                Reply::PowerLost { life } if life == self.life => {
                    info!("the power was cut inside a command");
                    self.leave(Some(now.after(AWAY)));
                }
                // Of a life that is over.
                Reply::Response { .. } | Reply::PowerLost { .. } => {}
                Reply::Status { client, status } => self.answer_status(client, status),
            }
        }
        Ok(())
    }

    fn power_off(&mut self) {
        self.life += 1;
        self.powered = false;
        self.busy = None;
        self.late = None;
        self.os.request(self.life, Request::PowerOff);
    }

    /// Ends the connection: the card is pulled, and comes back at this moment.
    fn leave(&mut self, back: Option<Instant>) {
        self.stream = None;
        self.messages = Messages::default();
        self.connect_at = back;
        self.inserted |= back.is_some();
        self.power_off();
    }

    fn lost(&mut self, why: &str) {
        info!("vpcd {}: {why}", self.address);
        let again = self.now().after(AGAIN);
        self.leave(Some(again));
    }

    fn send(&mut self, answer: &[u8]) {
        let (Some(stream), Some(message)) = (&mut self.stream, emit(answer)) else { return };
        if let Err(error) = stream.write_all(&message) {
            self.lost(&error.to_string());
        }
    }

    /// Commands of the control socket; false after `quit`.
    fn commands(&mut self) -> bool {
        let commands = self.control.as_mut().map(Control::commands).unwrap_or_default();
        for (client, command) in commands {
            let answer = match command {
                Command::Cut(cut) => {
                    self.os.request(self.life, Request::ArmCut(cut));
                    json!({ "ok": true, "cut": name(cut) })
                }
                Command::Remove if self.inserted => {
                    self.inserted = false;
                    self.leave(None);
                    json!({ "ok": true, "inserted": false })
                }
                Command::Remove => refusal("remove: there is no card in the reader"),
                Command::Insert if !self.inserted => {
                    self.inserted = true;
                    self.connect_at = Some(self.now());
                    json!({ "ok": true, "inserted": true })
                }
                Command::Insert => refusal("insert: the card is in the reader already"),
                Command::Unplug | Command::Plug => refusal("vpcd's reader has no cable"),
                Command::Status => {
                    self.os.request(self.life, Request::Status(client));
                    continue;
                }
                Command::Quit => json!({ "ok": true }),
            };
            if let Some(control) = &mut self.control {
                control.answer(client, &answer);
            }
            if command == Command::Quit {
                return false;
            }
        }
        true
    }

    fn answer_status(
        &mut self,
        client: u64,
        mut status: serde_json::Map<String, serde_json::Value>,
    ) {
        let card = match (self.inserted, self.powered) {
            (false, _) => "removed",
            (true, false) => "off",
            (true, true) => "on",
        };
        status.insert("ok".into(), true.into());
        status.insert("card".into(), card.into());
        status.insert("connected".into(), self.stream.is_some().into());
        status.insert("resets".into(), self.resets.into());
        if let Some(control) = &mut self.control {
            control.answer(client, &status.into());
        }
    }

    fn record(&mut self, now: Instant, party: Party, octets: &[u8]) -> Result<(), ServeError> {
        super::record(&mut self.recorder, now, party, octets)
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no such address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_quickack(true)?;
                stream.set_write_timeout(Some(CONNECTING))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A pcscd that is just starting listens within this time.
const STARTING: Duration = Duration::from_secs(3);
const CONNECTING: Duration = Duration::from_secs(2);
/// From one try to reach a vpcd that has gone to the next.
const AGAIN: Duration = Duration::from_millis(500);
/// pcscd looks for cards every 400 ms: for so long must one be away to be missed.
const AWAY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;

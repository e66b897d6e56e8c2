// SPDX-License-Identifier: Apache-2.0
//! A card in a serial reader: the loop between pseudo terminal, line machine, operating system and
//! control socket.
//!
//! Behind a Phoenix reader the terminal's side of the port is the card's line: speed 0 holds the
//! card in reset, any other speed releases it and the card answers. Behind a GemPC Twin the port
//! carries frames, and the reader is the card's terminal. A card hears and is heard only at the
//! speed of its line. What the card's own clock and the line's speed would take is added with
//! `pace`; the fault script sees octets when they arrive.

mod cross;
mod front;
mod hand;
mod options;
mod port;
mod power;
mod vpcd;

pub use options::{Options, ReaderKind, ServeError};
pub use vpcd::{VpcdOptions, VpcdServer};

use crate::control::Control;
use crate::gempc::Presence;
use crate::line::{CardLine, Input, Output, Policy};
use crate::os::{Os, OsThread, Reply};
use crate::pace::{Pace, Tempo};
use crate::pty::PortEvent;
use crate::record::{Party, Recorder};
use crate::script::{Place, Script};
use cam_types::Instant;
use cross::Late;
use front::Front;
use iso7816::etu::{Convention, LineParams};
use log::{debug, info};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use port::Port;
use power::Supply;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A card in its reader.
pub struct Server {
    epoch: std::time::Instant,
    kind: ReaderKind,
    /// `None` while the reader is unplugged.
    port: Option<Port>,
    path: PathBuf,
    link: Option<PathBuf>,
    plug_at: Option<Instant>,
    front: Front,
    script: Script,
    late: [Late; 4],
    recorder: Option<(Recorder<File>, PathBuf)>,
    control: Option<Control>,
    os: OsThread,
    line: CardLine,
    /// What the line machine waits for.
    deadline: Option<Instant>,
    /// How the line runs now.
    params: LineParams,
    initial: LineParams,
    pace: Option<Pace>,
    atr: Option<Vec<u8>>,
    inserted: bool,
    insert_at: Option<Instant>,
    /// An answer of the operating system that the script holds back.
    late_answer: Option<(Instant, Vec<u8>, Duration)>,
    answer_delay: Duration,
    /// The reset line is active: speed 0.
    held: bool,
    /// The terminal was seen at the speed that PPS or specific mode brought.
    arrived: bool,
    supply: Supply,
    /// Octets of the answer to reset that have not been sent.
    answer_left: usize,
    /// Counts the ends of power: an answer of the operating system belongs to one life.
    life: u64,
    resets: u64,
    received: u64,
    sent: u64,
}

impl Server {
    /// Makes the port and whatever else the options name. The card waits for its first reset.
    pub fn new(os: Box<dyn Os>, options: &Options) -> Result<Self, ServeError> {
        let io = |what: &str, path: &Path| {
            let what = format!("{what} {}", path.display());
            move |error| ServeError::Io { what, error }
        };
        let epoch = std::time::Instant::now();
        if let Some(error) = options.kind.misfit(&options.script) {
            return Err(ServeError::Script(error));
        }
        let recorder = recorder(options.record.as_deref())?;
        let control = match &options.control {
            Some(path) => Some(Control::create(path).map_err(io("control socket", path))?),
            None => None,
        };
        let clock_hz = options.clock_hz.unwrap_or(options.kind.clock_hz());
        let initial = LineParams::initial(clock_hz);
        let mut policy = Policy::new(clock_hz, os.takes_data());
        policy.largest_field = options.largest_field.unwrap_or(policy.largest_field);
        let os = OsThread::spawn(os).map_err(io("thread", Path::new("card")))?;
        let port = Port::create(options.link.as_deref())?;
        let line = CardLine::new(policy);
        let tempo = Tempo::new(&initial, line.turn_etu());
        Ok(Self {
            epoch,
            kind: options.kind,
            path: port.pty.path().to_owned(),
            port: Some(port),
            link: options.link.clone(),
            plug_at: None,
            front: Front::new(options.kind, &initial, Presence::Present),
            script: options.script.clone(),
            late: Default::default(),
            recorder,
            control,
            os,
            line,
            deadline: None,
            params: initial,
            initial,
            pace: options.pace.then(|| Pace::new(tempo)),
            atr: options.atr.clone(),
            inserted: true,
            insert_at: None,
            late_answer: None,
            answer_delay: Duration::ZERO,
            held: false,
            arrived: false,
            supply: Supply::Off,
            answer_left: 0,
            life: 0,
            resets: 0,
            received: 0,
            sent: 0,
        })
    }

    /// The terminal's side of the port.
    pub fn port(&self) -> &Path {
        &self.path
    }

    /// Serves until `stop` is readable or somebody says `quit`.
    pub fn run(&mut self, stop: BorrowedFd<'_>) -> Result<(), ServeError> {
        loop {
            let now = self.now();
            self.due(now)?;
            if self.wait(stop)? {
                return Ok(());
            }
            self.port_events()?;
            self.os_replies()?;
            if !self.commands()? {
                return Ok(());
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::default().after(self.epoch.elapsed())
    }

    /// Waits for something to do; whether `stop` is what happened.
    fn wait(&self, stop: BorrowedFd<'_>) -> Result<bool, ServeError> {
        let starting = match &self.supply {
            Supply::Starting { at, atr: Some(_) } => Some(*at),
            _ => None,
        };
        let next = [
            starting,
            self.deadline,
            self.pace.as_ref().and_then(Pace::next),
            self.front.deadline(),
            self.insert_at,
            self.plug_at,
            self.late_answer.as_ref().map(|(at, ..)| *at),
        ];
        let late = self.late.iter().map(Late::next);
        let next = next.into_iter().chain(late).flatten().min();
        let timeout = next.map(|at| TimeSpec::from(at.since(self.now())));
        let mut fds: Vec<PollFd<'_>> = [stop, self.os.descriptor()]
            .into_iter()
            .chain(self.port.iter().map(|port| port.pty.descriptor()))
            .chain(self.control.iter().flat_map(Control::descriptors))
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN | PollFlags::POLLPRI))
            .collect();
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => {
                return Err(ServeError::Io { what: "waiting".into(), error: error.into() });
            }
        }
        Ok(fds.first().and_then(PollFd::any).unwrap_or(false))
    }

    /// Does what is due at this moment.
    fn due(&mut self, now: Instant) -> Result<(), ServeError> {
        if self.plug_at.is_some_and(|at| at <= now) {
            self.plug()?;
        }
        if self.insert_at.is_some_and(|at| at <= now) {
            self.insert(now)?;
        }
        self.late_octets(now)?;
        if let Some((_, response, think)) = self.late_answer.take_if(|(at, ..)| *at <= now) {
            self.line.handle_input(now, Input::Executed(&response));
            self.drain(now, think)?;
        }
        if let Supply::Starting { at, atr: Some(atr) } = &self.supply
            && *at <= now
        {
            let atr = atr.clone();
            self.answer_reset(now, &atr)?;
        }
        if let Some(pace) = &mut self.pace {
            let (mut arrived, mut departed) = (Vec::new(), Vec::new());
            pace.arrived(now, &mut arrived);
            pace.departed(now, &mut departed);
            if !departed.is_empty() {
                self.emit(now, &departed)?;
                self.drain(now, Duration::ZERO)?;
            }
            if !arrived.is_empty() {
                self.cross(now, Place::Terminal, &arrived)?;
            }
        }
        self.front_due(now)?;
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.line.handle_input(now, Input::Timeout);
            self.drain(now, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Everything that the port has to say.
    fn port_events(&mut self) -> Result<(), ServeError> {
        loop {
            let mut octets = Vec::new();
            let now = self.now();
            let Some(port) = &self.port else { return Ok(()) };
            match port.pty.read(&mut octets).map_err(port_failed)? {
                PortEvent::Nothing => return Ok(()),
                PortEvent::Changed { flushed } => {
                    if flushed {
                        self.flushed(now);
                    }
                    if let Front::Phoenix = self.front {
                        self.changed(now)?;
                    }
                }
                PortEvent::Octets(_) if matches!(self.front, Front::Phoenix) => {
                    self.hear_raw(now, &octets)?;
                }
                PortEvent::Octets(_) => self.cross(now, Place::Host, &octets)?,
            }
        }
    }

    /// The terminal has thrown away what it had not read.
    fn flushed(&mut self, now: Instant) {
        if let (Front::Phoenix, Some(pace)) = (&self.front, &mut self.pace) {
            pace.drop_outgoing(now);
        }
        for late in [Place::Card, Place::Reader] {
            if let Some(late) = self.late.get_mut(late as usize) {
                late.clear();
            }
        }
    }

    /// The speed of the terminal.
    fn terminal_baud(&self) -> Result<u32, ServeError> {
        match (&self.front, &self.port) {
            (Front::Phoenix, None) => Ok(0),
            (Front::Phoenix, Some(port)) => {
                port.pty.settings().map(|port| port.baud).map_err(port_failed)
            }
            (Front::GemPc { reader, .. }, _) => Ok(reader.line().baud()),
        }
    }

    /// The terminal has sent octets through a reader that passes them on as they are.
    fn hear_raw(&mut self, now: Instant, raw: &[u8]) -> Result<(), ServeError> {
        let convention = self.params.convention;
        let odd = match &self.port {
            Some(port) => port.pty.settings().map_err(port_failed)?.odd,
            None => return Ok(()),
        };
        let octets: Vec<u8> = raw.iter().map(|&octet| convention.map(octet)).collect();
        if self.supply == Supply::On && odd != (convention == Convention::Inverse) {
            self.received += octets.len() as u64;
            debug!("octets with the wrong parity");
            return self.record(now, Party::Terminal, &octets);
        }
        self.hear(now, &octets)
    }

    /// The terminal has sent octets.
    fn hear(&mut self, now: Instant, octets: &[u8]) -> Result<(), ServeError> {
        self.received += octets.len() as u64;
        self.record(now, Party::Terminal, octets)?;
        let baud = self.terminal_baud()?;
        if self.supply != Supply::On {
            // Nothing can be meant for this card before its answer: these were sent before reset.
            debug!("{} octets to a card without power", octets.len());
        } else if !near(baud, &self.params) {
            debug!("octets at {baud} bit/s, the card runs at {}", self.params.baud());
        } else {
            self.arrived = !near(baud, &self.initial);
            match &mut self.pace {
                Some(pace) => pace.receive(now, octets),
                None => self.cross(now, Place::Terminal, octets)?,
            }
        }
        Ok(())
    }

    fn os_replies(&mut self) -> Result<(), ServeError> {
        self.os.rest();
        while let Some(reply) = self.os.reply().map_err(|_| ServeError::CardEnded)? {
            let now = self.now();
            match reply {
                Reply::Atr { life, atr } if life == self.life => {
                    if let Supply::Starting { atr: place, .. } = &mut self.supply {
                        // A card that gives none has no usable memory, and stays mute.
                        *place = (!atr.is_empty()).then(|| self.atr.clone().unwrap_or(atr));
                    }
                }
                Reply::Response { life, response, pages } if life == self.life => {
                    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
                    let think = COMMAND.saturating_add(PAGE_WRITE.saturating_mul(pages));
                    let delay = std::mem::take(&mut self.answer_delay);
                    if delay > Duration::ZERO {
                        self.late_answer = Some((now.after(delay), response, think));
                    } else {
                        self.line.handle_input(now, Input::Executed(&response));
                        self.drain(now, think)?;
                    }
                }
                Reply::PowerLost { life } if life == self.life => {
                    info!("the power was cut inside a command");
                    self.power_off(now);
                }
                // Of a life that a reset has ended.
                Reply::Atr { .. } | Reply::Response { .. } | Reply::PowerLost { .. } => {}
                Reply::Status { client, status } => self.answer_status(client, status),
            }
        }
        Ok(())
    }

    /// Does what the line machine wants, until it waits or its octets take their time.
    fn drain(&mut self, now: Instant, think: Duration) -> Result<(), ServeError> {
        while self.pace.as_ref().is_none_or(Pace::sent) {
            match self.line.poll_output() {
                Output::Transmit(octets) => match &mut self.pace {
                    Some(pace) => pace.send(now, think, octets),
                    None => {
                        let octets = octets.to_vec();
                        self.emit(now, &octets)?;
                    }
                },
                Output::Configure(params) => self.configure(params),
                Output::Execute(apdu) => {
                    let apdu = apdu.to_vec();
                    self.execute(now, apdu)?;
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    break;
                }
            }
        }
        Ok(())
    }

    fn configure(&mut self, params: LineParams) {
        self.params = params;
        if let Some(pace) = &mut self.pace {
            pace.set_tempo(Tempo::new(&params, self.line.turn_etu()));
        }
    }

    /// Octets of the card reach the terminal.
    fn emit(&mut self, now: Instant, octets: &[u8]) -> Result<(), ServeError> {
        let (answer, others) = octets.split_at(self.answer_left.min(octets.len()));
        self.answer_left -= answer.len();
        for (party, octets) in [(Party::Reset, answer), (Party::Card, others)] {
            if !octets.is_empty() {
                self.record(now, party, octets)?;
            }
        }
        self.sent += octets.len() as u64;
        self.cross(now, Place::Card, octets)
    }

    fn record(&mut self, now: Instant, party: Party, octets: &[u8]) -> Result<(), ServeError> {
        record(&mut self.recorder, now, party, octets)
    }
}

fn recorder(path: Option<&Path>) -> Result<Option<(Recorder<File>, PathBuf)>, ServeError> {
    let Some(path) = path else { return Ok(None) };
    match Recorder::create(path, Instant::default()) {
        Ok(recorder) => Ok(Some((recorder, path.to_owned()))),
        Err(error) => Err(recording(path, error)),
    }
}

fn record(
    recorder: &mut Option<(Recorder<File>, PathBuf)>,
    now: Instant,
    party: Party,
    octets: &[u8],
) -> Result<(), ServeError> {
    let Some((recorder, path)) = recorder else { return Ok(()) };
    recorder.note(now, party, octets).map_err(|error| recording(path, error))
}

fn recording(path: &Path, error: io::Error) -> ServeError {
    ServeError::Io { what: format!("recording {}", path.display()), error }
}

/// What the nominal card of `docs/spec/card.md`, section 7, takes for any command.
pub const COMMAND: Duration = Duration::from_millis(1);
/// What it takes to write a page of its memory.
pub const PAGE_WRITE: Duration = Duration::from_millis(3);

/// A UART that is off by more than 3.5 % samples the wrong bit.
fn near(baud: u32, params: &LineParams) -> bool {
    u64::from(baud.abs_diff(params.baud())) * 1000 <= u64::from(params.baud()) * 35
}

fn port_failed(error: io::Error) -> ServeError {
    ServeError::Io { what: "port".into(), error }
}

#[cfg(test)]
mod tests;

//! A card in a serial reader: the loop between pseudo terminal, line machine, operating system and
//! control socket.
//!
//! The terminal's side of the port stands for the reader: speed 0 holds the card in reset, any
//! other speed releases it and the card answers. A card hears and is heard only at the speed of
//! its line. What the card's own clock and the line's speed would take is added with `pace`.

mod hand;
mod options;

pub use options::{Options, ServeError};

use crate::control::Control;
use crate::line::{CardLine, Input, Output, Policy};
use crate::link::Link;
use crate::os::{Os, OsThread, Reply, Request};
use crate::pace::{Pace, Tempo};
use crate::pty::{PortEvent, Pty};
use crate::record::{Party, Recorder};
use cam_types::Instant;
use iso7816::etu::{Convention, LineParams};
use log::{debug, info, warn};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A card in its reader.
pub struct Server {
    epoch: std::time::Instant,
    pty: Pty,
    _link: Option<Link>,
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

/// How far the card has got since the last reset.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Supply {
    /// No power, no card, or reset is active.
    Off,
    /// Reset was released; the answer goes out when it is known and its time has come.
    Starting { at: Instant, atr: Option<Vec<u8>> },
    /// The card has answered, and takes part in the protocol.
    On,
}

impl Server {
    /// Makes the port and whatever else the options name. The card waits for its first reset.
    pub fn new(os: Box<dyn Os>, options: &Options) -> Result<Self, ServeError> {
        let io = |what: &str, path: &Path| {
            let what = format!("{what} {}", path.display());
            move |error| ServeError::Io { what, error }
        };
        let epoch = std::time::Instant::now();
        let pty = Pty::create().map_err(io("pseudo terminal", Path::new("/dev/ptmx")))?;
        let recorder = match &options.record {
            Some(path) => {
                let recorder = Recorder::create(path, Instant::default());
                Some((recorder.map_err(io("recording", path))?, path.clone()))
            }
            None => None,
        };
        let control = match &options.control {
            Some(path) => Some(Control::create(path).map_err(io("control socket", path))?),
            None => None,
        };
        let initial = LineParams::initial(options.clock_hz.unwrap_or(CLOCK_HZ));
        let policy = Policy::new(initial.clock_hz, os.takes_data());
        let os = OsThread::spawn(os).map_err(io("thread", Path::new("card")))?;
        let link = match &options.link {
            Some(path) => Some(Link::create(path, pty.path()).map_err(io("link", path))?),
            None => None,
        };
        Ok(Self {
            epoch,
            pty,
            _link: link,
            recorder,
            control,
            os,
            line: CardLine::new(policy),
            deadline: None,
            params: initial,
            initial,
            pace: options.pace.then(|| Pace::new(tempo(&initial))),
            atr: options.atr.clone(),
            inserted: true,
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
        self.pty.path()
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
        let next = [starting, self.deadline, self.pace.as_ref().and_then(Pace::next)];
        let timeout =
            next.into_iter().flatten().min().map(|at| TimeSpec::from(at.since(self.now())));
        let mut fds: Vec<PollFd<'_>> = [stop, self.pty.descriptor(), self.os.descriptor()]
            .into_iter()
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
                self.line.handle_input(now, Input::Received(&arrived));
                self.drain(now, Duration::ZERO)?;
            }
        }
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
            match self.pty.read(&mut octets).map_err(port_failed)? {
                PortEvent::Nothing => return Ok(()),
                PortEvent::Changed { flushed } => {
                    if flushed && let Some(pace) = &mut self.pace {
                        pace.drop_outgoing(now);
                    }
                    self.changed(now)?;
                }
                PortEvent::Octets(_) => self.hear(now, &octets)?,
            }
        }
    }

    /// The terminal has changed something at its port.
    fn changed(&mut self, now: Instant) -> Result<(), ServeError> {
        let baud = self.pty.settings().map_err(port_failed)?.baud;
        match (baud, self.held) {
            (0, false) => {
                self.held = true;
                self.reset(now)?;
            }
            (0, true) => {}
            (_, true) => {
                self.held = false;
                self.release(now);
            }
            (_, false) if near(baud, &self.params) => {
                self.arrived = !near(baud, &self.initial);
            }
            // Back at the speed of an answer to reset after the agreed one: a pulse so short, or a
            // machine so busy, that release was all there was to see.
            (_, false) if self.arrived && near(baud, &self.initial) => {
                self.reset(now)?;
                self.release(now);
            }
            (_, false) => {}
        }
        Ok(())
    }

    /// The reset line has become active.
    fn reset(&mut self, now: Instant) -> Result<(), ServeError> {
        debug!("reset");
        self.resets += 1;
        self.record(now, Party::Reset, &[])?;
        self.power_off(now);
        Ok(())
    }

    fn power_off(&mut self, now: Instant) {
        self.life += 1;
        self.supply = Supply::Off;
        self.answer_left = 0;
        self.arrived = false;
        self.deadline = None;
        self.line.power_off();
        self.configure(self.initial);
        if let Some(pace) = &mut self.pace {
            pace.clear(now);
        }
        self.os.request(self.life, Request::PowerOff);
    }

    fn release(&mut self, now: Instant) {
        if self.inserted {
            self.supply = Supply::Starting { at: now.after(ANSWER_AFTER), atr: None };
            self.os.request(self.life, Request::PowerOn);
        }
    }

    /// The terminal has sent octets.
    fn hear(&mut self, now: Instant, raw: &[u8]) -> Result<(), ServeError> {
        let convention = self.params.convention;
        let octets: Vec<u8> = raw.iter().map(|&octet| convention.map(octet)).collect();
        self.received += octets.len() as u64;
        self.record(now, Party::Terminal, &octets)?;
        let port = self.pty.settings().map_err(port_failed)?;
        if self.supply != Supply::On {
            // Nothing can be meant for this card before its answer: these were sent before reset.
            debug!("{} octets to a card without power", octets.len());
        } else if !near(port.baud, &self.params) {
            debug!("octets at {} bit/s, the card runs at {}", port.baud, self.params.baud());
        } else if port.odd != (convention == Convention::Inverse) {
            debug!("octets with the wrong parity");
        } else {
            self.arrived = !near(port.baud, &self.initial);
            match &mut self.pace {
                Some(pace) => pace.receive(now, &octets),
                None => {
                    self.line.handle_input(now, Input::Received(&octets));
                    self.drain(now, Duration::ZERO)?;
                }
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
                    self.line.handle_input(now, Input::Executed(&response));
                    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
                    self.drain(now, COMMAND.saturating_add(PAGE_WRITE.saturating_mul(pages)))?;
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

    fn answer_reset(&mut self, now: Instant, atr: &[u8]) -> Result<(), ServeError> {
        match self.line.power_on(atr) {
            Ok(()) => {
                self.supply = Supply::On;
                self.answer_left = atr.len();
                self.drain(now, Duration::ZERO)
            }
            Err(error) => {
                warn!("answer to reset {atr:02X?}: {error}; the card stays mute");
                self.supply = Supply::Off;
                Ok(())
            }
        }
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
                    self.os.request(self.life, Request::Transmit(apdu.to_vec()));
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
            pace.set_tempo(tempo(&params));
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
        let baud = self.pty.settings().map_err(port_failed)?.baud;
        if !near(baud, &self.params) {
            debug!("terminal listens at {baud} bit/s, the card sends at {}", self.params.baud());
            return Ok(());
        }
        let raw: Vec<u8> = octets.iter().map(|&octet| self.params.convention.map(octet)).collect();
        if !self.pty.write(&raw).map_err(port_failed)? {
            warn!("the terminal does not read; octets are lost");
        }
        Ok(())
    }

    fn record(&mut self, now: Instant, party: Party, octets: &[u8]) -> Result<(), ServeError> {
        let Some((recorder, path)) = &mut self.recorder else { return Ok(()) };
        recorder.note(now, party, octets).map_err(|error| ServeError::Io {
            what: format!("recording {}", path.display()),
            error,
        })
    }
}

/// The clock of a Smartmouse or Phoenix reader.
pub const CLOCK_HZ: u32 = 3_579_545;
/// A card answers 400 to 40,000 clock cycles after reset is released.
const ANSWER_AFTER: Duration = Duration::from_millis(1);
/// The nominal card of the time computations: one command, and one memory page written.
const COMMAND: Duration = Duration::from_millis(1);
const PAGE_WRITE: Duration = Duration::from_millis(3);

/// A UART that is off by more than 3.5 % samples the wrong bit.
fn near(baud: u32, params: &LineParams) -> bool {
    u64::from(baud.abs_diff(params.baud())) * 1000 <= u64::from(params.baud()) * 35
}

fn tempo(params: &LineParams) -> Tempo {
    Tempo {
        etu: params.etus(100) / 100,
        terminal_character: u32::from(params.guard_etu),
        card_character: if params.guard_etu == 11 { 11 } else { 12 },
        turn: 22,
    }
}

fn port_failed(error: io::Error) -> ServeError {
    ServeError::Io { what: "port".into(), error }
}

#[cfg(test)]
mod tests;

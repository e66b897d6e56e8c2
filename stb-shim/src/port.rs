// SPDX-License-Identifier: Apache-2.0
//! A serial port with one owner, read and written without waiting.
use crate::clock;
use crate::reader::{Latency, ReaderError};
use crate::sys::{self, Mode, Waker};
use cam_types::Instant;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc::c_int;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::stat;
use nix::sys::termios::{FlushArg, tcflush, tcgetattr};
use serialport::TTYPort;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

/// How long a port may refuse octets beyond the time on the line.
pub(crate) const STUCK: Duration = Duration::from_millis(500);

/// An open port, and its path for the errors.
#[derive(Debug)]
pub(crate) struct Port {
    tty: TTYPort,
    path: String,
}

/// What ended a wait; nothing did when the time is over.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ready {
    /// The port has something to say.
    pub port: bool,
    /// The waker fired; the signal is taken back.
    pub woken: bool,
}

impl Port {
    /// Opens a port at this bit rate and locks it.
    pub(crate) fn open(path: &str, baud: u32) -> Result<Self, ReaderError> {
        let builder = serialport::new(path, baud).timeout(Duration::ZERO).exclusive(true);
        let tty = TTYPort::open(&builder).map_err(|error| open_error(path, &error))?;
        let port = Self { tty, path: path.to_owned() };
        fcntl(port.fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|why| port.error("set up", why))?;
        Ok(port)
    }

    /// The device, as the reader's address named it; for messages.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        sys::descriptor(&self.tty)
    }

    /// The port is gone.
    pub(crate) fn lost(&self) -> ReaderError {
        ReaderError::Lost { port: self.path.clone() }
    }

    /// EIO and its kin mean that the port is gone; anything else is told as it is.
    pub(crate) fn error(&self, what: &'static str, why: Errno) -> ReaderError {
        match why {
            Errno::EIO | Errno::ENXIO | Errno::ENODEV | Errno::EPIPE | Errno::EBADF => self.lost(),
            why => ReaderError::Io { port: self.path.clone(), what, why: io::Error::from(why) },
        }
    }

    /// Sets the mode; the bit rate has to come out near enough.
    pub(crate) fn set_mode(&self, mode: Mode) -> Result<(), ReaderError> {
        let wanted = mode.baud;
        let got = self.try_mode(mode)?;
        let off = u64::from(got.abs_diff(wanted));
        // A card samples in the middle of its bits: 4 % is half a bit after twelve.
        if wanted != 0 && off * 25 > u64::from(wanted) {
            return Err(ReaderError::Rate { port: self.path.clone(), wanted, got });
        }
        // The standard has 2 %; many a card of 512/16 runs at 3 %.
        if off * 50 > u64::from(wanted) {
            log::warn!("port {}: {got} bit/s, the card needs {wanted}", self.path);
        }
        Ok(())
    }

    /// Sets the mode, whatever bit rate comes out.
    pub(crate) fn try_mode(&self, mode: Mode) -> Result<u32, ReaderError> {
        sys::set_mode(self.fd(), mode).map_err(|why| self.error("set the mode", why))
    }

    /// Whether it checks parity and marks what is damaged, as far as its mode wants that.
    pub(crate) fn marks_parity(&self) -> Result<bool, ReaderError> {
        sys::marks_parity(self.fd()).map_err(|why| self.error("read the mode", why))
    }

    /// The modem lines; `None` on a port that has none.
    pub(crate) fn modem_lines(&self) -> Result<Option<c_int>, ReaderError> {
        sys::modem_lines(self.fd()).map_err(|why| self.error("read modem lines", why))
    }

    /// Raises a modem line.
    pub(crate) fn raise(&self, line: c_int) -> Result<(), ReaderError> {
        let raised = sys::raise_modem_lines(self.fd(), line);
        raised.map_err(|why| self.error("switch a modem line", why))
    }

    /// Lets a modem line go low.
    pub(crate) fn lower(&self, line: c_int) -> Result<(), ReaderError> {
        let lowered = sys::drop_modem_lines(self.fd(), line);
        lowered.map_err(|why| self.error("switch a modem line", why))
    }

    /// Throws away what was received and what was not sent.
    pub(crate) fn flush(&self) -> Result<(), ReaderError> {
        tcflush(self.fd(), FlushArg::TCIOFLUSH).map_err(|why| self.error("throw octets away", why))
    }

    /// Waits until the port has octets, or for the waker, until then at most.
    pub(crate) fn wait(
        &self,
        until: Option<Instant>,
        waker: Option<&Waker>,
    ) -> Result<Ready, ReaderError> {
        self.poll(PollFlags::POLLIN, until, waker)
    }

    fn poll(
        &self,
        events: PollFlags,
        until: Option<Instant>,
        waker: Option<&Waker>,
    ) -> Result<Ready, ReaderError> {
        let timeout = until.map(|until| clock::timeout(until.since(clock::now())));
        let port = PollFd::new(self.fd(), events);
        let is = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        let (result, ready) = match waker {
            Some(waker) => {
                let mut fds = [port, PollFd::new(waker.as_fd(), PollFlags::POLLIN)];
                let result = ppoll(&mut fds, timeout, None);
                let [port, signal] = &fds;
                (result, Ready { port: is(port), woken: is(signal) && waker.take() })
            }
            None => {
                let mut fds = [port];
                let result = ppoll(&mut fds, timeout, None);
                let [port] = &fds;
                (result, Ready { port: is(port), woken: false })
            }
        };
        match result {
            Ok(_) => Ok(ready),
            Err(Errno::EINTR) => Ok(Ready::default()),
            Err(why) => Err(self.error("wait", why)),
        }
    }

    /// Reads what is there without waiting. `None`: nothing.
    pub(crate) fn read(&self, buf: &mut [u8]) -> Result<Option<usize>, ReaderError> {
        match nix::unistd::read(self.fd(), buf) {
            // A raw terminal has no end of file: the other end has hung up.
            Ok(0) if !buf.is_empty() => Err(self.lost()),
            Ok(len) => Ok(Some(len)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(why) => Err(self.error("read", why)),
        }
    }

    /// Hands all octets to the port, which may take `limit` at most.
    pub(crate) fn write(&self, mut octets: &[u8], limit: Duration) -> Result<(), ReaderError> {
        let mut until = None;
        while !octets.is_empty() {
            match nix::unistd::write(self.fd(), octets) {
                Ok(len) => octets = octets.get(len..).unwrap_or(&[]),
                Err(Errno::EAGAIN) => {
                    let until = *until.get_or_insert_with(|| clock::now().after(limit));
                    if clock::now() >= until {
                        let why = io::Error::from(io::ErrorKind::TimedOut);
                        return Err(ReaderError::Io { port: self.path.clone(), what: "send", why });
                    }
                    self.poll(PollFlags::POLLOUT, Some(until), None)?;
                }
                Err(Errno::EINTR) => {}
                Err(why) => return Err(self.error("send", why)),
            }
        }
        Ok(())
    }

    /// Asks the port to hand octets on as they come: the latency timer of a USB adapter (FTDI
    /// waits 16 ms otherwise), and low latency of a UART. Without the right to do so the line is
    /// slower, not wrong.
    pub(crate) fn low_latency(&self) -> Latency {
        let name = fs::canonicalize(&self.path).unwrap_or_default();
        let device = Path::new("/sys/class/tty").join(name.file_name().unwrap_or_default());
        let timer = device.join("device/latency_timer");
        let latency = latency_timer(&timer).unwrap_or_else(|| match sys::low_latency(self.fd()) {
            Ok(()) => Latency::Low,
            Err(Errno::ENOTTY | Errno::EINVAL | Errno::EOPNOTSUPP) => Latency::Fixed,
            Err(why) => {
                log::warn!("port {}: low latency cannot be set: {why}", self.path);
                Latency::Refused
            }
        });
        log::debug!("port {}: latency is {latency}", self.path);
        latency
    }
}

/// Sets the timer of an adapter that has one.
fn latency_timer(timer: &Path) -> Option<Latency> {
    if !fs::exists(timer).unwrap_or(false) {
        return None;
    }
    Some(match fs::write(timer, "1") {
        Ok(()) => Latency::Low,
        Err(error) => {
            log::warn!("latency timer stays, {}: {error}", timer.display());
            Latency::Refused
        }
    })
}

/// Why the port cannot be opened, and what would help.
fn open_error(path: &str, error: &serialport::Error) -> ReaderError {
    use serialport::ErrorKind;
    use std::io::ErrorKind as Io;
    let exists = fs::metadata(path).is_ok();
    let hint = match error.kind() {
        _ if !exists && !permission(error) => "give the path of a serial port that exists",
        _ if permission(error) => "give this user the right to it (group dialout)",
        ErrorKind::NoDevice => "is another program using it? close that first",
        ErrorKind::Io(Io::ResourceBusy) => "is another program using it? close that first",
        _ => "give the path of a serial port or terminal",
    };
    let why = if exists || permission(error) {
        error.description.clone()
    } else {
        "no such file".to_owned()
    };
    ReaderError::Open { port: path.to_owned(), why, hint, errno: errno(path) }
}

/// What the system says to somebody else who opens it as a port: `serialport` keeps only the text.
fn errno(path: &str) -> Option<i32> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let refused = match open(path, flags, stat::Mode::empty()) {
        Ok(port) => tcgetattr(port).err(),
        Err(why) => Some(why),
    };
    refused.map(|why| why as i32)
}

fn permission(error: &serialport::Error) -> bool {
    error.kind() == serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind as Io;

    #[test]
    fn latency_is_set_and_told() {
        let folder = std::env::temp_dir().join(format!("port-latency-{}", std::process::id()));
        let timer = folder.join("latency_timer");
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(latency_timer(&timer), None);
        fs::write(&timer, "16").unwrap();
        assert_eq!(latency_timer(&timer), Some(Latency::Low));
        assert_eq!(fs::read_to_string(&timer).unwrap(), "1");
        // A folder cannot be written to, whoever one is.
        assert_eq!(latency_timer(&folder), Some(Latency::Refused));
        fs::remove_dir_all(folder).unwrap();
        // A pseudo terminal has nothing to set.
        let (_master, slave) = TTYPort::pair().unwrap();
        let port = Port::open(&serialport::SerialPort::name(&slave).unwrap(), 9600).unwrap();
        assert_eq!(port.low_latency(), Latency::Fixed);
    }

    #[test]
    fn a_rate_is_set_or_told() {
        let (_master, slave) = TTYPort::pair().unwrap();
        let port = Port::open(&serialport::SerialPort::name(&slave).unwrap(), 9600).unwrap();
        let mode = Mode { baud: 111_861, parity: sys::Parity::Odd, two_stop_bits: true };
        port.set_mode(mode).unwrap();
        let (wanted, got) = (312_500, 115_200);
        let text = ReaderError::Rate { port: "/dev/ttyS0".into(), wanted, got }.to_string();
        for part in ["port /dev/ttyS0", "115200 bit/s", "312500", "base="] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn no_permission_is_told() {
        let why = serialport::Error::new(
            serialport::ErrorKind::Io(Io::PermissionDenied),
            "Permission denied",
        );
        let text = open_error("/dev/ttyS0", &why).to_string();
        assert!(text.contains("/dev/ttyS0: Permission denied") && text.contains("dialout"));
    }
}

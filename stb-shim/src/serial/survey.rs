// SPDX-License-Identifier: Apache-2.0
//! What a serial port can do, asked and tried out.
use super::SerialReader;
use super::address::{MODEM_LINES, ResetLine};
use crate::clock;
use crate::reader::{Latency, Reader as _, ReaderError};
use iso7816::etu::LineParams;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// What a serial port can do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Survey {
    /// The port's path.
    pub port: String,
    /// The kind of UART, or pseudo terminal, if it is known.
    pub kind: Option<String>,
    /// The kernel's driver, if it is known.
    pub driver: Option<String>,
    /// Its modem lines; none on a pseudo terminal.
    pub lines: Vec<ModemLine>,
    /// What resets the card, as in an address.
    pub reset: String,
    /// What shows a card, as in an address.
    pub detect: String,
    /// The card's clock in Hz.
    pub clock_hz: u32,
    /// It makes its bit rates by dividing this one by whole numbers: by the address or, where that
    /// does not say, by the kernel. `None`: not known, or it makes any rate.
    pub baud_base: Option<u32>,
    /// It checks parity and marks damaged characters (PARMRK).
    pub marks_parity: bool,
    /// How soon it hands octets on.
    pub latency: Latency,
    /// For how many milliseconds a USB adapter collects octets, if it tells.
    pub latency_timer: Option<u32>,
}

/// A modem line that can tell that a card is there (`detect=` in an address).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ModemLine {
    /// Its name in an address.
    pub name: &'static str,
    /// It is high at this moment.
    pub high: bool,
}

impl SerialReader {
    /// What the port is and has. The card is held in reset.
    pub fn survey(&mut self) -> Result<Survey, ReaderError> {
        self.rest()?;
        let lines = self.port.modem_lines()?.map_or(Vec::new(), |lines| {
            let state = |&(name, line)| ModemLine { name, high: lines & line != 0 };
            MODEM_LINES.iter().map(state).collect()
        });
        let marks_parity = self.port.marks_parity()?;
        let kernel = Kernel::of(self.port.path());
        Ok(Survey {
            port: self.port.path().to_owned(),
            kind: kernel.kind(),
            driver: kernel.driver(),
            lines,
            reset: self.reset.to_string(),
            detect: self.detect.map_or("none".into(), |detect| detect.to_string()),
            clock_hz: self.clock_hz,
            baud_base: self.baud_base.or(kernel.baud_base()),
            marks_parity,
            latency: self.latency,
            latency_timer: kernel.latency_timer(),
        })
    }

    /// Sets the port to this rate and says what the port calls it. The card is in reset again
    /// afterwards.
    pub fn try_rate(&mut self, params: &LineParams) -> Result<u32, ReaderError> {
        let made = self.port.try_mode(self.mode(params.baud()))?;
        self.rest()?;
        Ok(made)
    }

    /// How long one character takes to come back from a reader that echoes. `None` where that
    /// cannot be seen: without echo, and with a reset that leaves no rate to send at.
    pub fn echo_time(&mut self) -> Result<Option<Duration>, ReaderError> {
        if !self.echo || self.reset == ResetLine::Rate0 {
            return Ok(None);
        }
        let start = clock::now();
        self.write(&[0])?;
        self.take_echo(&[0])?;
        Ok(Some(clock::now().since(start)))
    }

    /// Holds the card in reset, at the initial rate where reset is not a rate.
    fn rest(&mut self) -> Result<(), ReaderError> {
        self.params = LineParams::initial(self.clock_hz);
        if self.reset != ResetLine::Rate0 {
            self.apply()?;
        }
        self.held = None;
        self.hold_reset()?;
        self.port.flush()?;
        self.collided = false;
        self.present().map(drop)
    }
}

/// What the kernel tells of a terminal.
struct Kernel {
    device: PathBuf,
    pseudo: bool,
}

impl Kernel {
    /// Names of the kernel's kinds of port (`serial_core.h`), those that one meets.
    const KINDS: [(u32, &str); 8] = [
        (1, "8250"),
        (2, "16450"),
        (3, "16550"),
        (4, "16550A"),
        (6, "16650"),
        (7, "16650V2"),
        (8, "16750"),
        (10, "16C950"),
    ];

    fn of(path: &str) -> Self {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let name = path.file_name().unwrap_or_default();
        Self {
            device: PathBuf::from("/sys/class/tty").join(name),
            pseudo: path.starts_with("/dev/pts"),
        }
    }

    fn read(&self, file: &str) -> Option<String> {
        let text = fs::read_to_string(self.device.join(file)).ok()?;
        Some(text.trim().to_owned())
    }

    fn number(&self, file: &str) -> Option<u32> {
        self.read(file)?.parse().ok()
    }

    fn kind(&self) -> Option<String> {
        if self.pseudo {
            return Some("pseudo terminal".into());
        }
        let kind = self.number("type")?;
        let known = Self::KINDS.iter().find(|(known, _)| *known == kind);
        known.map(|(_, name)| (*name).into())
    }

    fn driver(&self) -> Option<String> {
        let driver = fs::canonicalize(self.device.join("device/driver")).ok()?;
        Some(driver.file_name()?.to_string_lossy().into_owned())
    }

    /// A 16550 and its kin sample a bit sixteen times.
    fn baud_base(&self) -> Option<u32> {
        self.number("uartclk").map(|clock| clock / 16).filter(|base| *base > 0)
    }

    fn latency_timer(&self) -> Option<u32> {
        self.number("device/latency_timer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What the kernel's files of a port hold, and what is made of them.
    #[test]
    fn kernel_files() {
        let folder = std::env::temp_dir().join(format!("survey-{}", std::process::id()));
        let device = |name: &str, files: &[(&str, &str)]| {
            let device = folder.join(name);
            fs::create_dir_all(device.join("device")).unwrap();
            for (file, text) in files {
                fs::write(device.join(file), format!("{text}\n")).unwrap();
            }
            Kernel { device, pseudo: false }
        };
        let uart = device("ttyS0", &[("type", "4"), ("uartclk", "1843200")]);
        assert_eq!(uart.kind().as_deref(), Some("16550A"));
        assert_eq!((uart.baud_base(), uart.latency_timer()), (Some(115_200), None));
        let other = device("ttyS1", &[("type", "99"), ("uartclk", "0")]);
        assert_eq!((other.kind(), other.baud_base()), (None, None));
        let usb = device("ttyUSB0", &[("device/latency_timer", "16")]);
        assert_eq!(usb.latency_timer(), Some(16));
        let usb = device("ttyUSB1", &[("device/latency_timer", "many")]);
        assert_eq!(usb.latency_timer(), None);
        fs::remove_dir_all(&folder).unwrap();
        let none = Kernel::of("/dev/pts/no-such");
        assert_eq!(none.kind().as_deref(), Some("pseudo terminal"));
        assert_eq!((none.driver(), none.baud_base()), (None, None));
        assert!(none.device.starts_with(Path::new("/sys/class/tty")));
    }
}

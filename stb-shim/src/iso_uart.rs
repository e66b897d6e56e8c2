// SPDX-License-Identifier: Apache-2.0
//! A UART that the kernel runs by ISO/IEC 7816-3: card clock, rate, guard time and, on T=0, the
//! repetition of damaged characters are the hardware's.
//!
//! Normative references:
//!  - Linux, `Documentation/driver-api/serial/serial-iso7816.rst`: TIOCSISO7816
//!
//! Reset line, card detect and characters are those of a serial port.
use crate::port::Port;
use crate::reader::{Capabilities, Presence, Reader, ReaderError, Received};
use crate::serial::SerialReader;
use crate::sys::{self, Iso7816Mode, Waker};
use crate::url::Url;
use cam_types::Instant;
use iso7816::etu::LineParams;
use iso7816::line::Reset;
use iso7816::pps::Pps;
use nix::errno::Errno;
use std::fmt::Debug;
use std::os::fd::BorrowedFd;

/// A card behind a UART in ISO 7816 mode.
#[derive(Debug)]
pub struct IsoUartReader {
    serial: SerialReader,
    uart: Box<dyn Uart>,
    params: LineParams,
    /// A command has gone out: a damaged character may be asked for again. Before, TS of inverse
    /// convention has wrong parity by nature.
    running: bool,
    /// What the hardware was told last.
    mode: Iso7816Mode,
}

/// What sets the mode of a port, apart so that it can be tried without such a UART.
trait Uart: Debug + Send {
    fn set(&mut self, port: &Port, mode: &mut Iso7816Mode) -> Result<(), Errno>;
}

/// The UART behind a port of this machine, by ioctl.
#[derive(Debug)]
struct Kernel;

impl Uart for Kernel {
    fn set(&mut self, port: &Port, mode: &mut Iso7816Mode) -> Result<(), Errno> {
        sys::set_iso7816(port.fd(), mode)
    }
}

impl IsoUartReader {
    /// Opens `iso7816:PATH?key=value&…`.
    pub fn open(url: &Url<'_>) -> Result<Self, ReaderError> {
        Self::with(url, Box::new(Kernel))
    }

    fn with(url: &Url<'_>, uart: Box<dyn Uart>) -> Result<Self, ReaderError> {
        if url.path.is_empty() {
            return Err(url.wrong("path", url.path, "the port, as in iso7816:/dev/ttyS1").into());
        }
        if let Some((key, _)) = url.options().find(|(key, _)| matches!(*key, "base" | "echo")) {
            return Err(url.wrong("option", key, "reset, detect, clock or policy").into());
        }
        let serial = SerialReader::open(url)?;
        let params = LineParams::initial(serial.capabilities().clock_hz);
        let mode = Iso7816Mode::default();
        let mut reader = Self { serial, uart, params, running: false, mode };
        let mut first = reader.wanted();
        reader.uart.set(reader.serial.port(), &mut first).map_err(|why| match why {
            Errno::ENOTTY | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS => {
                ReaderError::NoMode { port: reader.serial.port().path().to_owned() }
            }
            why => reader.serial.port().error("set the ISO 7816 mode", why),
        })?;
        reader.mode = first;
        Ok(reader)
    }

    /// The mode for the line as it is.
    fn wanted(&self) -> Iso7816Mode {
        let LineParams { f, d, guard_etu, clock_hz, protocol, .. } = self.params;
        // T=1 is the mode without error signal. Its characters have 11 etu, those of T=0 have 12.
        let (t, etu) = if self.running && protocol == 0 { (0, 12) } else { (1, 11) };
        Iso7816Mode {
            flags: Iso7816Mode::ENABLED | t << Iso7816Mode::T_SHIFT,
            tg: u32::from(guard_etu).saturating_sub(etu),
            sc_fi: f.into(),
            sc_di: d.into(),
            clk: clock_hz,
            ..Iso7816Mode::default()
        }
    }

    fn apply(&mut self) -> Result<(), ReaderError> {
        let wanted = self.wanted();
        if wanted == self.mode {
            return Ok(());
        }
        let mut got = wanted;
        let port = self.serial.port();
        self.uart
            .set(port, &mut got)
            .map_err(|why| port.error("set the card's rate in ISO 7816 mode", why))?;
        if (got.sc_fi, got.sc_di) != (wanted.sc_fi, wanted.sc_di) {
            let (f, d) = (u16::try_from(got.sc_fi), u8::try_from(got.sc_di));
            let (f, d) = (f.unwrap_or(u16::MAX), d.unwrap_or(u8::MAX));
            let got = LineParams { f, d, ..self.params }.baud();
            let wanted = self.params.baud();
            return Err(ReaderError::Rate { port: port.path().to_owned(), wanted, got });
        }
        self.mode = wanted;
        Ok(())
    }

    /// What the port itself has to know: parity. Its own rate and guard time count for nothing.
    fn plain(&self) -> LineParams {
        let LineParams { clock_hz, convention, .. } = self.params;
        LineParams { convention, ..LineParams::initial(clock_hz) }
    }
}

impl Reader for IsoUartReader {
    fn capabilities(&self) -> Capabilities {
        self.serial.capabilities()
    }

    fn present(&mut self) -> Result<Presence, ReaderError> {
        self.serial.present()
    }

    fn activate(&mut self, reset: Reset) -> Result<(), ReaderError> {
        self.params = LineParams::initial(self.params.clock_hz);
        self.running = false;
        self.apply()?;
        self.serial.activate(reset)
    }

    fn deactivate(&mut self) {
        self.serial.deactivate();
    }

    fn configure(&mut self, params: &LineParams) -> Result<(), ReaderError> {
        self.params = *params;
        self.serial.configure(&self.plain())?;
        self.apply()
    }

    fn send(&mut self, octets: &[u8]) -> Result<(), ReaderError> {
        // PPS is older than any protocol.
        if octets.first() != Some(&self.params.convention.map(Pps::PPSS)) {
            self.running = true;
            self.apply()?;
        }
        self.serial.send(octets)
    }

    fn receive(
        &mut self,
        buf: &mut [u8],
        until: Option<Instant>,
        waker: &Waker,
    ) -> Result<Received, ReaderError> {
        self.serial.receive(buf, until, waker)
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.serial.descriptors()
    }

    fn due(&self) -> Option<Instant> {
        self.serial.due()
    }

    fn line_octets(&self) -> (u64, u64) {
        self.serial.line_octets()
    }
}

impl Drop for IsoUartReader {
    fn drop(&mut self) {
        self.serial.deactivate();
        if let Err(why) = self.uart.set(self.serial.port(), &mut Iso7816Mode::default()) {
            log::debug!("port {}: ISO 7816 mode stays: {why}", self.serial.port().path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serialport::{SerialPort, TTYPort};
    use std::sync::{Arc, Mutex};

    /// A UART that has the mode: what it was told, and what it makes of it.
    #[derive(Clone, Debug, Default)]
    struct Mock {
        told: Arc<Mutex<Vec<Iso7816Mode>>>,
        fails: Option<Errno>,
        /// It knows no other D.
        only_d: Option<u32>,
    }

    impl Uart for Mock {
        fn set(&mut self, _: &Port, mode: &mut Iso7816Mode) -> Result<(), Errno> {
            self.told.lock().unwrap().push(*mode);
            mode.sc_di = self.only_d.filter(|_| mode.flags != 0).unwrap_or(mode.sc_di);
            self.fails.map_or(Ok(()), Err)
        }
    }

    impl Mock {
        /// T, tg, F, D and clock of what it was told since it was asked last; T is `None` when the
        /// mode was switched off.
        fn told(&self) -> Vec<(Option<u32>, u32, u32, u32, u32)> {
            let told = std::mem::take(&mut *self.told.lock().unwrap());
            let t = |flags: u32| (flags & 1 == 1).then_some(flags >> 4);
            told.iter().map(|m| (t(m.flags), m.tg, m.sc_fi, m.sc_di, m.clk)).collect()
        }

        fn open(&self, slave: &TTYPort, options: &str) -> Result<IsoUartReader, ReaderError> {
            let url = format!("iso7816:{}{options}", slave.name().unwrap());
            IsoUartReader::with(&Url::parse(&url), Box::new(self.clone()))
        }
    }

    const CLOCK: u32 = 3_571_200;

    #[test]
    fn the_hardware_is_told_how_the_line_runs() {
        let (_master, slave) = TTYPort::pair().unwrap();
        let mock = Mock::default();
        let mut reader = mock.open(&slave, "?clock=3571200").unwrap();
        let initial = (Some(1), 1, 372, 1, CLOCK);
        assert_eq!(mock.told(), [initial]);
        let start = LineParams::initial(CLOCK);
        reader.activate(Reset::Cold).unwrap();
        assert_eq!(mock.told(), [], "nothing has changed");
        // PPS, then T=0 with N = 2 at 372/12.
        reader.send(&[0xFF, 0x10, 0x18, 0xF7]).unwrap();
        assert_eq!(mock.told(), []);
        reader.configure(&LineParams { d: 12, guard_etu: 14, ..start }).unwrap();
        assert_eq!(mock.told(), [(Some(1), 3, 372, 12, CLOCK)]);
        reader.send(&[0x00, 0xA4, 0x04, 0x00, 0x08]).unwrap();
        assert_eq!(mock.told(), [(Some(0), 2, 372, 12, CLOCK)]);
        reader.send(&[0x01]).unwrap();
        assert_eq!(mock.told(), [], "not twice");
        reader.activate(Reset::Warm).unwrap();
        assert_eq!(mock.told(), [initial]);
        // T=1 with N = 255.
        reader
            .configure(&LineParams { f: 512, d: 32, guard_etu: 11, protocol: 1, ..start })
            .unwrap();
        assert_eq!(mock.told(), [(Some(1), 0, 512, 32, CLOCK)]);
        drop(reader);
        assert_eq!(mock.told(), [(None, 0, 0, 0, 0)]);
    }

    #[test]
    fn a_card_of_inverse_convention_without_pps_gets_its_error_signal() {
        let (_master, slave) = TTYPort::pair().unwrap();
        let mock = Mock::default();
        let mut reader = mock.open(&slave, "?clock=3571200").unwrap();
        reader.activate(Reset::Cold).unwrap();
        let convention = iso7816::etu::Convention::Inverse;
        let params = LineParams { convention, ..LineParams::initial(CLOCK) };
        reader.configure(&params).unwrap();
        let _ = mock.told();
        reader.send(&[convention.map(0xFF)]).unwrap();
        assert_eq!(mock.told(), [], "PPS");
        reader.send(&[convention.map(0x00)]).unwrap();
        assert_eq!(mock.told(), [(Some(0), 0, 372, 1, CLOCK)]);
    }

    #[test]
    fn a_rate_that_the_hardware_does_not_make_is_told() {
        let (_master, slave) = TTYPort::pair().unwrap();
        let mock = Mock { only_d: Some(1), ..Mock::default() };
        let mut reader = mock.open(&slave, "?clock=3571200").unwrap();
        let params = LineParams { d: 12, ..LineParams::initial(CLOCK) };
        let error = reader.configure(&params).unwrap_err().to_string();
        assert!(error.contains("runs 9600 bit/s, the card needs 115200"), "{error}");
    }

    #[test]
    fn ports_without_the_mode_and_options_without_sense() {
        let (_master, slave) = TTYPort::pair().unwrap();
        let name = slave.name().unwrap();
        for why in [Errno::ENOTTY, Errno::EINVAL, Errno::EOPNOTSUPP] {
            let mock = Mock { fails: Some(why), ..Mock::default() };
            let error = mock.open(&slave, "").unwrap_err();
            assert!(matches!(&error, ReaderError::NoMode { port } if *port == name), "{error}");
            assert!(error.to_string().contains(&format!("serial:{name}")), "{error}");
        }
        let mock = Mock { fails: Some(Errno::EIO), ..Mock::default() };
        assert!(matches!(mock.open(&slave, ""), Err(ReaderError::Lost { .. })));
        // A pseudo terminal says so by itself.
        let url = format!("iso7816:{name}");
        let error = IsoUartReader::open(&Url::parse(&url)).unwrap_err();
        assert!(matches!(error, ReaderError::NoMode { .. }), "{error}");
        for option in ["?echo=1", "?base=115200"] {
            let error = mock.open(&slave, option).unwrap_err().to_string();
            assert!(error.contains("reset, detect, clock or policy"), "{error}");
        }
        let error = IsoUartReader::open(&Url::parse("iso7816:")).unwrap_err().to_string();
        assert!(error.contains("iso7816:/dev/ttyS1"), "{error}");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The system calls that no crate wraps safely. The only file of this crate with `unsafe`.
#![expect(unsafe_code, reason = "calls that no crate wraps; each block says why it is sound")]

use crate::clock;
use cam_types::Instant;
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use serialport::TTYPort;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

mod ioctls {
    use nix::libc::{self, c_int, termios2};

    nix::ioctl_read_bad!(get_termios, libc::TCGETS2, termios2);
    nix::ioctl_write_ptr_bad!(set_termios, libc::TCSETS2, termios2);
    nix::ioctl_read_bad!(get_lines, libc::TIOCMGET, c_int);
    nix::ioctl_write_ptr_bad!(raise_lines, libc::TIOCMBIS, c_int);
    nix::ioctl_write_ptr_bad!(drop_lines, libc::TIOCMBIC, c_int);
    nix::ioctl_read_bad!(get_serial, libc::TIOCGSERIAL, super::SerialStruct);
    nix::ioctl_write_ptr_bad!(set_serial, libc::TIOCSSERIAL, super::SerialStruct);
    nix::ioctl_readwrite!(set_iso7816, b'T', 0x43, super::Iso7816Mode);
}

/// Ends a wait for the card from any thread. Clones share one signal.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Not signalled yet.
    pub fn new() -> std::io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_flags(flags)?)))
    }

    /// Ends the wait that is going on, or the next one.
    pub fn wake(&self) {
        // The only failure is a counter at its limit, and then the signal is there already.
        let _ = self.0.write(1);
    }

    /// Waits for the signal, or for `until`, and takes it. Whether there was one.
    pub fn wait(&self, until: Option<Instant>) -> bool {
        loop {
            let timeout = until.map(|until| clock::timeout(until.since(clock::now())));
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            let ready = ppoll(&mut fds, timeout, None);
            if self.take() {
                return true;
            }
            // An interrupted wait goes on.
            if ready.is_ok_and(|ready| ready == 0) || until.is_some_and(|at| at <= clock::now()) {
                return false;
            }
        }
    }

    /// Takes the signal back; whether there was one.
    pub fn take(&self) -> bool {
        self.0.read().is_ok()
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The port's descriptor, for as long as the port is borrowed.
pub(crate) fn descriptor(port: &TTYPort) -> BorrowedFd<'_> {
    // SAFETY: the port owns the descriptor and closes it when it is dropped; the borrow of the
    // port outlives the borrowed descriptor.
    unsafe { BorrowedFd::borrow_raw(port.as_raw_fd()) }
}

/// How a serial port runs, with eight data bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mode {
    /// Bits per second; 0 drops RTS and DTR.
    pub baud: u32,
    /// The parity bit. With one, received octets of wrong parity are marked (PARMRK): they come as
    /// FF 00 xx, and FF as FF FF.
    pub parity: Parity,
    /// Two stop bits instead of one.
    pub two_stop_bits: bool,
}

/// The parity bit of a character.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Parity {
    None,
    Even,
    Odd,
}

/// Sets everything in one step and returns the bit rate that the port made of it.
///
/// TCSETS2 does not read the settings back as glibc does, so that a pseudo terminal, which drops
/// PARENB, is no error.
pub(crate) fn set_mode(fd: BorrowedFd<'_>, mode: Mode) -> nix::Result<u32> {
    let mut termios = termios(fd)?;
    let marked = libc::INPCK | libc::PARMRK;
    let (input, parity) = match mode.parity {
        Parity::None => (libc::IGNPAR | libc::IGNBRK, 0),
        Parity::Even => (marked, libc::PARENB),
        Parity::Odd => (marked, libc::PARENB | libc::PARODD),
    };
    termios.c_iflag = input;
    termios.c_oflag = 0;
    termios.c_lflag &= libc::EXTPROC; // the other end of a pseudo terminal may have set it
    termios.c_cflag = libc::CS8 | libc::CREAD | libc::CLOCAL | parity;
    if mode.two_stop_bits {
        termios.c_cflag |= libc::CSTOPB;
    }
    termios.c_cflag |= if mode.baud == 0 { libc::B0 } else { libc::BOTHER };
    termios.c_ispeed = mode.baud;
    termios.c_ospeed = mode.baud;
    // SAFETY: the descriptor is open and the kernel only reads the structure it is given.
    unsafe { ioctls::set_termios(fd.as_raw_fd(), &termios) }?;
    Ok(self::termios(fd)?.c_ospeed)
}

/// Whether the port checks parity and marks what is damaged, after [`set_mode`]. A pseudo terminal
/// does not.
pub(crate) fn marks_parity(fd: BorrowedFd<'_>) -> nix::Result<bool> {
    let termios = termios(fd)?;
    let marks = libc::INPCK | libc::PARMRK;
    Ok(termios.c_cflag & libc::PARENB != 0 && termios.c_iflag & marks == marks)
}

/// The port's settings, speeds as numbers.
fn termios(fd: BorrowedFd<'_>) -> nix::Result<libc::termios2> {
    let mut termios = MaybeUninit::<libc::termios2>::uninit();
    // SAFETY: the descriptor is open and the structure is of the size that TCGETS2 writes.
    unsafe { ioctls::get_termios(fd.as_raw_fd(), termios.as_mut_ptr()) }?;
    // SAFETY: the call succeeded, so that the kernel has written the whole structure.
    Ok(unsafe { termios.assume_init() })
}

/// The modem lines; `None` on a port that has none.
pub(crate) fn modem_lines(fd: BorrowedFd<'_>) -> nix::Result<Option<c_int>> {
    let mut lines = 0;
    // SAFETY: the descriptor is open and the kernel writes one int.
    match unsafe { ioctls::get_lines(fd.as_raw_fd(), &raw mut lines) } {
        Ok(_) => Ok(Some(lines)),
        Err(Errno::ENOTTY | Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Raises these modem lines.
pub(crate) fn raise_modem_lines(fd: BorrowedFd<'_>, lines: c_int) -> nix::Result<()> {
    // SAFETY: the descriptor is open and the kernel only reads the int it is given.
    unsafe { ioctls::raise_lines(fd.as_raw_fd(), &raw const lines) }.map(drop)
}

/// Drops these modem lines.
pub(crate) fn drop_modem_lines(fd: BorrowedFd<'_>, lines: c_int) -> nix::Result<()> {
    // SAFETY: the descriptor is open and the kernel only reads the int it is given.
    unsafe { ioctls::drop_lines(fd.as_raw_fd(), &raw const lines) }.map(drop)
}

/// `struct serial_struct` of the kernel's `linux/serial.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct SerialStruct {
    kind: c_int,
    line: c_int,
    port: libc::c_uint,
    irq: c_int,
    flags: c_int,
    xmit_fifo_size: c_int,
    custom_divisor: c_int,
    baud_base: c_int,
    close_delay: libc::c_ushort,
    io_type: libc::c_char,
    reserved_char: libc::c_char,
    hub6: c_int,
    closing_wait: libc::c_ushort,
    closing_wait2: libc::c_ushort,
    iomem_base: *mut libc::c_uchar,
    iomem_reg_shift: libc::c_ushort,
    port_high: libc::c_uint,
    iomap_base: libc::c_ulong,
}

/// ASYNC_LOW_LATENCY: received octets are handed on at once.
const LOW_LATENCY: c_int = 1 << 13;

/// `struct serial_iso7816` of the kernel's `linux/serial.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Iso7816Mode {
    /// [`Iso7816Mode::ENABLED`], and T.
    pub flags: u32,
    /// Etu between characters to the card beyond those that the mode itself has.
    pub tg: u32,
    /// F.
    pub sc_fi: u32,
    /// D.
    pub sc_di: u32,
    /// The card's clock in Hz.
    pub clk: u32,
    /// Zero.
    pub reserved: [u32; 5],
}

impl Iso7816Mode {
    /// SER_ISO7816_ENABLED; without it the port is a plain one.
    pub(crate) const ENABLED: u32 = 1;
    /// Where SER_ISO7816_T stands.
    pub(crate) const T_SHIFT: u32 = 4;
}

/// Switches the ISO 7816 mode of a UART, and reads back what the driver made of it.
pub(crate) fn set_iso7816(fd: BorrowedFd<'_>, mode: &mut Iso7816Mode) -> nix::Result<()> {
    // SAFETY: the descriptor is open and the structure is of the size that the request names.
    unsafe { ioctls::set_iso7816(fd.as_raw_fd(), mode) }.map(drop)
}

/// Tells the driver of a UART to hand received octets on at once.
pub(crate) fn low_latency(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let mut serial = MaybeUninit::<SerialStruct>::zeroed();
    // SAFETY: the descriptor is open and the structure is of the size that TIOCGSERIAL writes.
    unsafe { ioctls::get_serial(fd.as_raw_fd(), serial.as_mut_ptr()) }?;
    // SAFETY: all fields are numbers or a raw pointer, for which zero octets are valid.
    let mut serial = unsafe { serial.assume_init() };
    if serial.flags & LOW_LATENCY == 0 {
        serial.flags |= LOW_LATENCY;
        // SAFETY: the descriptor is open and the kernel only reads the structure it is given.
        unsafe { ioctls::set_serial(fd.as_raw_fd(), &raw const serial) }?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_keeps_one_signal() {
        let waker = Waker::new().unwrap();
        assert!(!waker.take());
        let other = waker.clone();
        other.wake();
        other.wake();
        assert!(waker.take());
        assert!(!waker.take());
        let soon = clock::now().after(std::time::Duration::from_millis(1));
        assert!(!waker.wait(Some(soon)));
        assert!(clock::now() >= soon);
        other.wake();
        assert!(waker.wait(None));
    }
}

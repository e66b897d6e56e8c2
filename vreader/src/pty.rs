// SPDX-License-Identifier: Apache-2.0
//! A serial reader's port, played on a pseudo terminal.
//!
//! Read before changing it, for each rule has cost somebody a day:
//! - Our own descriptor of the slave stays open, so that closing and opening it again never gives
//!   EIO here and loses no setting.
//! - Raw mode, EXTPROC and packet mode are set before anybody can open the slave. With EXTPROC
//!   every termios call of the terminal's side wakes the master with a status octet.
//! - A status octet may overtake data written before it, and several changes collapse into one.
//!   So a status octet only says "look": what counts is what the settings are now.
//! - A pseudo terminal has no modem lines. Speed 0 stands for the reset line held active, as the
//!   serial core of Linux drops RTS and DTR at speed 0.
//! - With EXTPROC the kernel passes octets on as they are even when the terminal asked for parity
//!   marks (PARMRK); without it, it doubles FF. [`Pty::create`] tries which of the two this kernel
//!   does, and [`Pty::write`] adds what is missing.

use crate::sys;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The card's end of a pseudo terminal, and its terminal's end kept open.
#[derive(Debug)]
pub struct Pty {
    master: File,
    slave: File,
    path: PathBuf,
    kernel_doubles_ff: bool,
}

/// An octet as a receiver sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Octet {
    /// Its bits.
    pub value: u8,
    /// Its parity was wrong.
    pub damaged: bool,
}

/// How the terminal has set its port at this moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortSettings {
    /// Bits per second; 0 holds the card in reset.
    pub baud: u32,
    /// Odd parity, as a card of inverse convention needs it.
    pub odd: bool,
    /// The terminal asked for parity marks, so that a real FF must come doubled.
    pub marks: bool,
}

/// What one read of the port brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PortEvent {
    /// So many octets from the terminal were appended.
    Octets(usize),
    /// The terminal changed something: look at [`Pty::settings`].
    Changed {
        /// It also threw away what it had not read yet.
        flushed: bool,
    },
    /// Nothing (more) at this moment.
    Nothing,
}

impl Pty {
    /// Makes a pseudo terminal that behaves as a serial port from its first moment.
    pub fn create() -> io::Result<Self> {
        // Closed on exec: a child of this process would keep an unplugged cable alive.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(ptsname_r(&master)?);
        let master = File::from(OwnedFd::from(master));
        let slave = File::from(open(&path, flags, Mode::empty())?);
        let mut settings = sys::settings(&master)?;
        settings.c_iflag = 0;
        settings.c_oflag = 0;
        settings.c_lflag = libc::EXTPROC;
        sys::set_settings(&master, &settings)?;
        let kernel_doubles_ff = doubles_ff(&master, &slave)?;
        sys::packet_mode(&master)?;
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK))?;
        Ok(Self { master, slave, path, kernel_doubles_ff })
    }

    /// Where the terminal finds its end.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor to wait on; readable when [`Pty::read`] has something to say.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// The settings at this moment.
    pub fn settings(&self) -> io::Result<PortSettings> {
        let settings = sys::settings(&self.slave)?;
        Ok(PortSettings {
            baud: settings.c_ospeed,
            odd: settings.c_cflag & libc::PARODD != 0,
            marks: settings.c_iflag & libc::PARMRK != 0,
        })
    }

    /// Takes one event; octets are appended to `octets`. Never waits.
    pub fn read(&self, octets: &mut Vec<u8>) -> io::Result<PortEvent> {
        let mut packet = [0; 1024];
        let len = loop {
            match (&self.master).read(&mut packet) {
                Ok(len) => break len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(PortEvent::Nothing);
                }
                Err(error) => return Err(error),
            }
        };
        match packet.get(..len).and_then(<[u8]>::split_first) {
            None => Ok(PortEvent::Nothing),
            Some((0, data)) => {
                octets.extend_from_slice(data);
                Ok(PortEvent::Octets(data.len()))
            }
            Some((status, _)) => Ok(PortEvent::Changed { flushed: status & FLUSH_READ != 0 }),
        }
    }

    /// Sends octets to the terminal. Never waits: what a terminal that does not read has no room
    /// for is lost, as on a real line. Returns whether all went out.
    ///
    /// A terminal that asked for parity marks gets one for a damaged octet, `FF 00` before it; any
    /// other gets the octet as it is, and so does one whose kernel would take our mark for data.
    pub fn write(&self, octets: &[Octet]) -> io::Result<bool> {
        let special = octets.iter().any(|octet| octet.damaged || octet.value == 0xFF);
        let mark = special && !self.kernel_doubles_ff && self.settings()?.marks;
        let mut raw = Vec::with_capacity(octets.len());
        for octet in octets {
            match octet {
                Octet { damaged: true, .. } if mark => raw.extend([0xFF, 0x00]),
                Octet { value: 0xFF, .. } if mark => raw.push(0xFF),
                _ => {}
            }
            raw.push(octet.value);
        }
        match (&self.master).write_all(&raw) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// TIOCPKT_FLUSHREAD of the kernel's `asm/ioctls.h`, which the libc crate lacks.
const FLUSH_READ: u8 = 0x01;

/// Whether this kernel doubles FF by itself for a terminal that asked for parity marks.
fn doubles_ff(master: &File, slave: &File) -> io::Result<bool> {
    let before = sys::settings(slave)?;
    let mut marking = before;
    marking.c_iflag |= libc::PARMRK;
    sys::set_settings(slave, &marking)?;
    nix::unistd::write(master, &[0xFF, 0x00])?;
    let mut echo = Vec::new();
    while !echo.contains(&0x00) {
        let mut buf = [0; 8];
        let len = nix::unistd::read(slave, &mut buf)?;
        echo.extend_from_slice(buf.get(..len).unwrap_or_default());
    }
    sys::set_settings(slave, &before)?;
    Ok(echo.len() > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_baud(pty: &Pty, baud: u32) {
        let mut settings = sys::settings(&pty.slave).unwrap();
        settings.c_cflag = settings.c_cflag & !libc::CBAUD | libc::BOTHER;
        settings.c_ispeed = baud;
        settings.c_ospeed = baud;
        sys::set_settings(&pty.slave, &settings).unwrap();
    }

    #[test]
    fn a_child_does_not_inherit_the_cable() {
        let pty = Pty::create().unwrap();
        for end in [&pty.master, &pty.slave] {
            let flags = fcntl(end, FcntlArg::F_GETFD).unwrap();
            assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        }
    }

    #[test]
    fn speeds_and_flushes_are_seen() {
        let pty = Pty::create().unwrap();
        let mut octets = Vec::new();
        assert_eq!(pty.read(&mut octets).unwrap(), PortEvent::Nothing);
        for baud in [0, 9622, 111_861, 115_469] {
            set_baud(&pty, baud);
            assert_eq!(pty.read(&mut octets).unwrap(), PortEvent::Changed { flushed: false });
            assert_eq!(pty.settings().unwrap().baud, baud);
        }
        nix::sys::termios::tcflush(&pty.slave, nix::sys::termios::FlushArg::TCIFLUSH).unwrap();
        assert_eq!(pty.read(&mut octets).unwrap(), PortEvent::Changed { flushed: true });
        assert!(octets.is_empty());
    }

    #[test]
    fn every_octet_passes_with_and_without_parity_marks() {
        let pty = Pty::create().unwrap();
        for marks in [false, true] {
            let mut settings = sys::settings(&pty.slave).unwrap();
            settings.c_iflag = if marks { libc::PARMRK | libc::INPCK } else { 0 };
            sys::set_settings(&pty.slave, &settings).unwrap();
            let all: Vec<u8> = (0..=0xFF).collect();
            let sent: Vec<Octet> =
                all.iter().map(|&value| Octet { value, damaged: false }).collect();
            assert!(pty.write(&sent).unwrap());
            let mut got = vec![0; all.len() + usize::from(marks)];
            (&pty.slave).read_exact(&mut got).unwrap();
            assert_eq!(got.iter().filter(|&&octet| octet == 0xFF).count(), 1 + usize::from(marks));
            assert!(pty.write(&[Octet { value: 0x12, damaged: true }]).unwrap());
            let mut got = vec![0; if marks && !pty.kernel_doubles_ff { 3 } else { 1 }];
            (&pty.slave).read_exact(&mut got).unwrap();
            assert_eq!(got.last(), Some(&0x12));
            assert_eq!(got.len() == 3, got.starts_with(&[0xFF, 0x00]));
            (&pty.slave).write_all(&all).unwrap();
            let mut octets = Vec::new();
            while octets.len() < all.len() {
                let mut fds =
                    [nix::poll::PollFd::new(pty.descriptor(), nix::poll::PollFlags::POLLIN)];
                nix::poll::poll(&mut fds, 1000u16).unwrap();
                pty.read(&mut octets).unwrap();
            }
            assert_eq!(octets, all);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The three terminal ioctls that nix does not wrap safely.
//!
//! The only file of this crate with `unsafe`: everything else goes through nix's safe functions.
//! `termios2` rather than `termios`, because the rates of a card line are no standard baud rates.

use nix::libc::{self, termios2};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

mod ioctl {
    use nix::libc;
    nix::ioctl_read_bad!(tcgets2, libc::TCGETS2, libc::termios2);
    nix::ioctl_write_ptr_bad!(tcsets2, libc::TCSETS2, libc::termios2);
    nix::ioctl_write_ptr_bad!(tiocpkt, libc::TIOCPKT, libc::c_int);
}

/// Reads the terminal's settings, exact speeds included.
pub(crate) fn settings(fd: impl AsFd) -> io::Result<termios2> {
    // SAFETY: termios2 is plain numbers, for which all bits zero is a value.
    let mut settings: termios2 = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is borrowed for the call and the kernel fills exactly one termios2,
    // which lives on our stack.
    unsafe { ioctl::tcgets2(fd.as_fd().as_raw_fd(), &raw mut settings) }?;
    Ok(settings)
}

/// Sets the terminal's settings at once.
pub(crate) fn set_settings(fd: impl AsFd, settings: &termios2) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for the call and the kernel only reads the termios2.
    unsafe { ioctl::tcsets2(fd.as_fd().as_raw_fd(), settings) }?;
    Ok(())
}

/// Switches the master of a pseudo terminal to packet mode: every read starts with a status octet.
pub(crate) fn packet_mode(master: impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is borrowed for the call and the kernel only reads the number.
    unsafe { ioctl::tiocpkt(master.as_fd().as_raw_fd(), &raw const on) }?;
    Ok(())
}

// SPDX-License-Identifier: Apache-2.0
//! What a card is put into: readers that are emulated, on a pseudo terminal as a serial reader
//! would be, or at the socket of pcscd's vpcd; and what a test wants of them, which is a pace, a
//! recording, faults of a script and a control socket.
//!
//! The card itself is `vcard`. The program that puts one into a reader is `vcard serve`.
#![deny(unsafe_code)]

pub mod control;
pub mod gempc;
pub mod inserted;
pub mod line;
pub mod link;
pub mod os;
pub mod pace;
pub mod pty;
pub mod record;
pub mod script;
pub mod serve;
#[expect(unsafe_code, reason = "the terminal ioctls that nix does not wrap")]
mod sys;
pub mod vpcd;

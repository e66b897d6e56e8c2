// SPDX-License-Identifier: Apache-2.0
//! A TPDU: a header of five octets, and the data that goes with it one way or the other.

/// One command header and what goes with it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tpdu {
    pub header: [u8; 5],
    /// Octets of command data sent and in all.
    pub sent: usize,
    pub outgoing: usize,
    /// Octets of response data received and in all.
    pub got: usize,
    pub incoming: usize,
    pub kind: Kind,
    /// Sent a second time with the length of 6Cxx.
    pub corrected: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Kind {
    /// The command itself.
    #[default]
    Command,
    /// A part of a command that is too long for one.
    Envelope,
    /// Asks for the answer.
    GetResponse,
}

/// A length as P3, in which `00` stands for 256.
pub(super) fn p3_octet(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(0)
}

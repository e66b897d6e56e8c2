// SPDX-License-Identifier: Apache-2.0
//! How packets lie in a file.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.3.2 (188 octets from a sync octet)
//!  - ETSI EN 300 429 §6 (204: a Reed-Solomon code behind each packet)
//!
//! Recorders of discs write 192: four octets of arrival time before each packet. A file may be cut
//! in the middle of a packet at either end. Only the packets are taken.

use cam_types::transport::{PACKET, SYNC};
use serde::Serialize;
use std::fmt;

/// The sizes of a packet with what lies around it, and how much of it comes before the sync octet.
const SIZES: [(usize, usize); 3] = [(PACKET, 0), (192, 4), (204, 0)];
/// So many packets show a size; one of them may have lost its sync octet.
const SHOW: usize = 8;
/// So many sync octets in their places are packets again.
const AGAIN: usize = 3;

/// How the packets lay, and what of them was not whole.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Framing {
    /// Octets from one packet to the next: 188, 192 or 204.
    pub size: usize,
    /// Octets of a packet whose start is not in the file.
    pub head: usize,
    /// Octets of a packet whose end is not in the file.
    pub tail: usize,
    /// The packets whose sync octet was another: it is one again.
    pub repaired: Vec<usize>,
    /// Where octets were missing or too many.
    pub lost: Vec<Lost>,
}

/// Octets that belong to no packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Lost {
    /// The packet behind them.
    pub packet: usize,
    /// The first one's place in the file.
    pub offset: usize,
    /// How many there are.
    pub octets: usize,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packet, offset, octets } = self;
        write!(f, "sync lost at offset {offset}: {octets} octets left out before packet {packet}")
    }
}

/// Takes the packets out of a file.
pub fn packets(octets: &[u8]) -> Result<(Vec<[u8; PACKET]>, Framing), StreamError> {
    let Some(&first) = octets.first() else { return Err(StreamError::Empty) };
    let (size, start, before) = grid(octets).ok_or(match octets.len() {
        len if len < PACKET && first == SYNC => StreamError::Truncated { octets: len },
        _ => StreamError::NoSync { got: first },
    })?;
    let is_sync = |at: usize| octets.get(at) == Some(&SYNC);
    let mut framing = Framing { size, head: start.saturating_sub(before), ..Framing::default() };
    let mut packets: Vec<[u8; PACKET]> = Vec::new();
    let mut at = start;
    while let Some(octets_of) = octets.get(at..).and_then(|rest| rest.first_chunk::<PACKET>()) {
        // A sync octet is damaged if the next two are in their places, as far as the file reaches.
        let behind = [at + size, at + 2 * size].into_iter();
        let mut behind = behind.filter(|next| next + PACKET <= octets.len());
        if is_sync(at) || behind.all(is_sync) {
            if !is_sync(at) {
                framing.repaired.push(packets.len());
            }
            let mut packet = *octets_of;
            packet[0] = SYNC;
            packets.push(packet);
            at += size;
            continue;
        }
        // The packet before may be shorter than it seemed.
        let from = if packets.is_empty() { at } else { at - size };
        let next = again(octets, from + 1, size).unwrap_or(octets.len());
        let offset = if next < at { from } else { at };
        if next < at {
            packets.pop();
        }
        framing.lost.push(Lost { packet: packets.len(), offset, octets: next - offset });
        at = next;
    }
    framing.tail = octets.len().saturating_sub(at);
    Ok((packets, framing))
}

/// The size, the place of the first sync octet, and how much of the size is before it.
fn grid(octets: &[u8]) -> Option<(usize, usize, usize)> {
    for start in 0..octets.len().min(204 + 4) {
        for (size, before) in SIZES {
            let places = (start..).step_by(size).take_while(|at| at + PACKET <= octets.len());
            let places = places.take(SHOW);
            let (mut all, mut good) = (0, 0);
            for at in places {
                all += 1;
                good += usize::from(octets.get(at) == Some(&SYNC));
            }
            let enough = if start == 0 { 1 } else { AGAIN };
            if all >= enough && (good == all || all > AGAIN && good + 1 == all) {
                return Some((size, start, before));
            }
        }
    }
    None
}

/// The next place from which sync octets follow one another, up to the file's end if that is near.
fn again(octets: &[u8], from: usize, size: usize) -> Option<usize> {
    (from..octets.len()).find(|&start| {
        let places = (start..).step_by(size).take_while(|at| at + PACKET <= octets.len());
        let mut places = places.take(AGAIN).peekable();
        let near = octets.len() - start < AGAIN * size;
        let whole = !near || (octets.len() - start) % size <= size - PACKET;
        whole && places.peek().is_some() && places.all(|at| octets.get(at) == Some(&SYNC))
    })
}

/// Why octets are not a transport stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamError {
    /// Nothing there.
    Empty,
    /// No sync octet each 188, 192 or 204 octets.
    NoSync {
        /// The first octet.
        got: u8,
    },
    /// Less than a packet.
    Truncated {
        /// How many octets of it there are, 1 to 187.
        octets: usize,
    },
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty file, expected a transport stream"),
            Self::NoSync { got } => write!(
                f,
                "not a transport stream: starts with {got:02X}, and has no sync byte 47 each 188, \
                 192 or 204 octets"
            ),
            Self::Truncated { octets } => {
                write!(f, "truncated stream: {octets} octets, a packet has {PACKET}")
            }
        }
    }
}

impl std::error::Error for StreamError {}

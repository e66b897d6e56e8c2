// SPDX-License-Identifier: Apache-2.0
//! The transport stream: its packets of 188 octets.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.3.2 to §2.4.3.5 (packet header, adaptation field, PCR)
//!
//! The packager never moves a packet, so a packet is named by its index from the start of the
//! file, everywhere: in errors, in the report and in the schedule's consequences.

use crate::framing::{self, Framing, StreamError};
use cam_types::transport::{PACKET, SYNC};
use cam_types::{Parity, Pid};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Octets of its header.
pub const HEADER: usize = 4;

/// A transport packet's octets.
pub type Packet = [u8; PACKET];

/// A whole transport stream: at least one packet, every one of them with its sync byte.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stream {
    packets: Vec<Packet>,
    framing: Framing,
}

impl Stream {
    /// Reads a file of packets of 188, 192 or 204 octets.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let octets = std::fs::read(path).map_err(|e| ReadError::File(path.to_owned(), e))?;
        Self::parse(&octets).map_err(|e| ReadError::Stream(path.to_owned(), e))
    }

    /// Takes the packets out, as they lie there.
    pub fn parse(octets: &[u8]) -> Result<Self, StreamError> {
        let (packets, framing) = framing::packets(octets)?;
        Ok(Self { packets, framing })
    }

    /// How the packets lay in the file.
    pub const fn framing(&self) -> &Framing {
        &self.framing
    }

    /// The packets, in order.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// The packets, to be changed in place: their number stays.
    pub fn packets_mut(&mut self) -> &mut [Packet] {
        &mut self.packets
    }

    /// Puts other packets in the place of those from the file.
    pub fn replace(&mut self, packets: Vec<Packet>) {
        self.packets = packets;
    }

    /// The packets' octets, 188 each.
    pub fn octets(&self) -> &[u8] {
        self.packets.as_flattened()
    }
}

/// The packet's PID.
pub fn pid(packet: &Packet) -> Pid {
    Pid::from_field(u16::from_be_bytes([packet[1], packet[2]]))
}

/// payload_unit_start_indicator: a section or a PES packet starts here.
pub fn unit_start(packet: &Packet) -> bool {
    packet[1] & 0x40 != 0
}

/// transport_error_indicator: nothing in this packet can be relied on.
pub fn damaged(packet: &Packet) -> bool {
    packet[1] & 0x80 != 0
}

/// Says whether a section starts here.
pub fn mark_unit_start(packet: &mut Packet, starts: bool) {
    packet[1] = packet[1] & !0x40 | if starts { 0x40 } else { 0 };
}

/// transport_scrambling_control: 0 clear, 1 reserved, 2 even, 3 odd.
pub fn scrambling_control(packet: &Packet) -> u8 {
    packet[3] >> 6
}

/// Marks the packet as scrambled with this control word (ETSI ETR 289 §5.1).
pub fn mark_scrambled(packet: &mut Packet, parity: Parity) {
    let control = match parity {
        Parity::Even => 0x80,
        Parity::Odd => 0xC0,
    };
    packet[3] = packet[3] & 0x3F | control;
}

/// The continuity counter.
pub fn continuity(packet: &Packet) -> u8 {
    packet[3] & 0x0F
}

/// Sets the continuity counter.
pub fn count(packet: &mut Packet, continuity: u8) {
    packet[3] = packet[3] & 0xF0 | continuity & 0x0F;
}

/// The packet is the one before it once more (ISO/IEC 13818-1 §2.4.3.3).
pub fn repeats(packet: &Packet, last: &Packet) -> bool {
    continuity(packet) == continuity(last) && payload(packet) == payload(last)
}

/// No packet is missing between the two, which both have a payload.
pub fn follows(packet: &Packet, last: &Packet) -> bool {
    continuity(packet) == (continuity(last) + 1) & 0x0F
}

/// adaptation_field_control says that there is a payload, be it empty.
pub fn has_payload(packet: &Packet) -> bool {
    packet[3] & 0x10 != 0
}

/// Where the payload starts: 188 when the packet has none, or its adaptation field leaves none.
pub fn payload_start(packet: &Packet) -> usize {
    if !has_payload(packet) {
        return PACKET;
    }
    if packet[3] & 0x20 == 0 {
        return HEADER;
    }
    (HEADER + 1 + usize::from(packet[4])).min(PACKET)
}

/// The payload: empty when there is none.
pub fn payload(packet: &Packet) -> &[u8] {
    packet.get(payload_start(packet)..).unwrap_or_default()
}

/// The payload, to be changed in place.
pub fn payload_mut(packet: &mut Packet) -> &mut [u8] {
    let start = payload_start(packet);
    packet.get_mut(start..).unwrap_or_default()
}

/// Takes the payload out and fills its room with adaptation field.
pub fn keep_adaptation_field(packet: &mut Packet) {
    let start = payload_start(packet);
    packet.iter_mut().skip(start).for_each(|octet| *octet = 0xFF);
    if start == HEADER + 1 {
        packet[5] = 0; // it had no flags
    }
    packet[3] = packet[3] & 0xCF | 0x20;
    packet[4] = (PACKET - HEADER - 1) as u8;
}

/// A packet of this PID whose payload is stuffing.
pub fn empty_packet(pid: Pid) -> Packet {
    section_packet(pid, 0, false, &[])
}

/// The programme clock reference in ticks of 27 MHz, and whether the packet announces that the
/// clock starts anew here (discontinuity_indicator).
pub fn pcr(packet: &Packet) -> Option<(u64, bool)> {
    let adaptation = packet[3] & 0x20 != 0;
    let &[length, flags, b0, b1, b2, b3, b4, b5] = packet.get(4..12)?.first_chunk::<8>()?;
    if !adaptation || length < 7 || flags & 0x10 == 0 {
        return None;
    }
    let base = u64::from(u32::from_be_bytes([b0, b1, b2, b3])) << 1 | u64::from(b4 >> 7);
    let extension = u64::from(u16::from_be_bytes([b4 & 1, b5]));
    Some((base * 300 + extension, flags & 0x80 != 0))
}

/// Writes another PCR into a packet that has one.
pub fn set_pcr(packet: &mut Packet, ticks: u64) {
    let (base, extension) = (ticks / 300, ticks % 300);
    // 33 bits, 6 reserved, 9 bits: what lies above was cut off by the counter's wrap.
    let octets = ((base << 15) | 0x7E00 | extension).to_be_bytes();
    if let Some(field) = packet.get_mut(6..12) {
        field.iter_mut().zip(octets.into_iter().skip(2)).for_each(|(to, from)| *to = from);
    }
}

/// A packet with a PCR and no payload: its counter is the one before.
pub fn pcr_packet(pid: Pid, continuity: u8, ticks: u64) -> Packet {
    let mut packet = empty_packet(pid);
    packet[3] = 0x20 | continuity & 0x0F;
    packet[4] = (PACKET - HEADER - 1) as u8;
    packet[5] = 0x10;
    set_pcr(&mut packet, ticks);
    packet
}

/// A packet with one section, or a part of one, as its payload. `start` says that the section
/// begins here; the rest of the packet is stuffed with FF (ISO/IEC 13818-1 §2.4.4).
fn section_packet(pid: Pid, continuity: u8, start: bool, part: &[u8]) -> Packet {
    let mut packet = [0xFF; PACKET];
    let [high, low] = pid.value().to_be_bytes();
    packet[0] = SYNC;
    packet[1] = high | if start { 0x40 } else { 0 };
    packet[2] = low;
    packet[3] = 0x10 | continuity & 0x0F;
    let mut at = HEADER;
    if start {
        packet[at] = 0; // pointer_field: the section starts right behind it
        at += 1;
    }
    for (to, from) in packet[at..].iter_mut().zip(part) {
        *to = *from;
    }
    packet
}

/// Packets that carry one section and count their own continuity.
///
/// A section starts a packet of its own: most of ours fit one, and a receiver that lost a packet
/// has the next section whole.
#[derive(Clone, Copy, Debug)]
pub struct Packetizer {
    pid: Pid,
    continuity: u8,
}

impl Packetizer {
    /// The longest section that fits one packet.
    pub const ONE_PACKET: usize = PACKET - HEADER - 1;

    /// The counter of a new PID starts at 0.
    pub const fn new(pid: Pid) -> Self {
        Self { pid, continuity: 0 }
    }

    /// How many packets a section of `section` octets takes.
    pub const fn packets(section: usize) -> usize {
        if section <= Self::ONE_PACKET {
            1
        } else {
            1 + (section - Self::ONE_PACKET).div_ceil(PACKET - HEADER)
        }
    }

    /// The `part`-th packet of `section`.
    pub fn packet(&mut self, section: &[u8], part: usize) -> Packet {
        let from = match part {
            0 => 0,
            part => Self::ONE_PACKET + (part - 1) * (PACKET - HEADER),
        };
        let continuity = self.continuity;
        self.continuity = (continuity + 1) & 0x0F;
        section_packet(self.pid, continuity, part == 0, section.get(from..).unwrap_or_default())
    }
}

/// Why a file could not be taken as a transport stream.
#[derive(Debug)]
pub enum ReadError {
    /// The file itself.
    File(PathBuf, io::Error),
    /// What is in it.
    Stream(PathBuf, StreamError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Stream(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ReadError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid_of(number: u16) -> Pid {
        Pid::new(number).unwrap()
    }

    #[test]
    fn what_is_not_a_transport_stream_is_refused() {
        let good = [[SYNC; PACKET]; 3].concat();
        for (octets, error) in [
            (&[][..], StreamError::Empty),
            (b"#!/bin/sh", StreamError::NoSync { got: b'#' }),
            (&[0; 1000], StreamError::NoSync { got: 0 }),
            (&good[..20], StreamError::Truncated { octets: 20 }),
        ] {
            assert_eq!(Stream::parse(octets), Err(error));
        }
        assert_eq!(Stream::parse(&good).unwrap().octets(), good);
    }

    #[test]
    fn the_payload_lies_behind_the_adaptation_field() {
        for (control, length, start) in [
            (0x10, 0xFF, 4),
            (0x20, 183, 188),
            (0x30, 0, 5),
            (0x30, 7, 12),
            (0x30, 183, 188),
            (0x30, 0xFF, 188), // damaged: longer than the packet
            (0x00, 0, 188),
        ] {
            let mut packet = [0; PACKET];
            (packet[3], packet[4]) = (control, length);
            assert_eq!(payload_start(&packet), start, "{control:02X} {length}");
            assert_eq!(payload(&packet).len(), PACKET - start);
            assert_eq!(payload_mut(&mut packet).len(), PACKET - start);
        }
    }

    /// Source: packet 4 of examples/media/two-services.ts, as ffprobe shows it.
    #[test]
    fn pcr_is_read_in_27_mhz_ticks() {
        let mut packet = [0xFF; PACKET];
        packet[..12].copy_from_slice(&[
            0x47, 0x41, 0x02, 0x30, 0x07, 0x50, 0x00, 0x00, 0x47, 0x81, 0x7E, 0x00,
        ]);
        assert_eq!(pcr(&packet), Some((0x8F02 * 300, false)));
        packet[5] |= 0x80;
        assert_eq!(pcr(&packet), Some((0x8F02 * 300, true)));
        packet[4] = 1; // too short for a PCR
        assert_eq!(pcr(&packet), None);
        packet[3] = 0x10;
        assert_eq!(pcr(&packet), None);
    }

    #[test]
    fn sections_are_cut_into_packets_that_count_themselves() {
        let section: Vec<u8> = (0..=250).collect();
        let mut packetizer = Packetizer::new(pid_of(0x150));
        assert_eq!([183, 184, 367, 368].map(Packetizer::packets), [1, 2, 2, 3]);
        let first = packetizer.packet(&section, 0);
        let second = packetizer.packet(&section, 1);
        assert!(unit_start(&first) && !unit_start(&second));
        assert_eq!((continuity(&first), continuity(&second)), (0, 1));
        assert_eq!(payload(&first)[0], 0);
        let joined = [&payload(&first)[1..], payload(&second)].concat();
        assert_eq!(joined[..251], section);
        assert!(joined[251..].iter().all(|&octet| octet == 0xFF));
        for count in 2..40 {
            assert_eq!(continuity(&packetizer.packet(&section, 0)), count % 16);
        }
    }

    #[test]
    fn the_mark_touches_nothing_but_the_scrambling_control() {
        let mut packet = [0x3A; PACKET];
        mark_scrambled(&mut packet, Parity::Odd);
        assert_eq!((scrambling_control(&packet), packet[3]), (3, 0xFA));
        mark_scrambled(&mut packet, Parity::Even);
        assert_eq!((scrambling_control(&packet), packet[3]), (2, 0xBA));
    }
}
